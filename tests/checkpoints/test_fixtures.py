"""Every encoder family against what its reference computed: alone, in a padded batch, fast."""

import json

import numpy as np
import pytest
import torch

from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.inference.model import load
from tests.checkpoints.families import ATOL, FAMILIES, RTOL, read_fixture


def outputs_of(loaded, tokens_N, layout, types_N=None):
    """Everything that a fixture may hold, a dict for each sequence."""
    network = loaded.network
    more = {} if types_N is None else {"types_N": types_N}
    with torch.inference_mode():
        out = network.trace(tokens_N, layout, with_maps=True, **more)
        logits, hidden = layout.split(network.logits(out.hidden_ND)), layout.split(out.hidden_ND)
        layers = [layout.split(layer) for layer in out.layers]
        tokens = layout.split(tokens_N)
        has_contacts = network.contact_head is not None
        found = []
        for i in range(len(layout.lengths)):
            own = {f"hidden.{k}": layer[i] for k, layer in enumerate(layers)}
            own |= {"logits": logits[i], "last": hidden[i], "embeddings": layers[0][i]}
            own["attentions"] = torch.stack([maps[i] for maps in out.maps])
            if has_contacts and len(tokens[i]) > 2:
                own["contacts"] = network.contacts([[maps[i]] for maps in out.maps], [tokens[i]])[0]
            if getattr(network, "pooler", None) is not None:
                own["pooler_output"] = network.pooled(hidden[i][0])
                if network.next_sentence_head is not None:
                    pooled = own["pooler_output"]
                    own["seq_relationship_logits"] = network.next_sentence_head(pooled)
            found.append(own)
    return found


def compare(found, expected):
    """How many tensors were compared; all must agree."""
    names = [name for name in expected if name in found]
    for name in names:
        torch.testing.assert_close(found[name], expected[name], atol=ATOL, rtol=RTOL, msg=name)
    return len(names)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_sequence_alone_agrees_with_the_published_outputs(name):
    fixture, compared = read_fixture(name), 0
    loaded = load_path(fixture.path)
    for case in fixture.single:
        tokens_T, layout = pack([case.ids])
        types_T = None if case.types is None else torch.tensor(case.types)
        found = outputs_of(loaded, tokens_T, layout, types_T)[0]
        compared += compare(found, case.expected)
    assert compared >= 12


@pytest.mark.parametrize("lay", ["packed", "padded"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_agrees_with_the_published_padded_one(name, lay):
    fixture, compared = read_fixture(name), 0
    loaded = load_path(fixture.path)
    ids = [case.ids for case in fixture.batch]
    tokens, layout = pack(ids) if lay == "packed" else pad(ids, loaded.tokenizer.pad_id)
    types = None
    if fixture.batch[0].types is not None:
        rows = [case.types for case in fixture.batch]
        types = (pack(rows) if lay == "packed" else pad(rows, 0))[0]
    found = outputs_of(loaded, tokens, layout, types)
    for own, case in zip(found, fixture.batch, strict=True):
        compared += compare(own, case.expected)
    assert compared >= 3 * len(ids)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_accelerated_model_agrees_too(name):
    fixture, compared = read_fixture(name), 0
    model = load(str(fixture.path))
    cases = [case for case in fixture.batch if not any(case.types or [])]
    wanted = ["logits", "hidden", "hidden_layers", "attentions"]
    if model.network.contact_head is not None:
        wanted.append("contacts")
    for case, found in zip(cases, model.run_ids([c.ids for c in cases], wanted), strict=True):
        own = {"logits": found.logits, "last": found.hidden, "attentions": found.attentions}
        own |= {f"hidden.{k}": layer for k, layer in enumerate(found.hidden_layers)}
        if found.contacts is not None:
            own["contacts"] = found.contacts
        compared += compare({k: torch.from_numpy(v) for k, v in own.items()}, case.expected)
    assert compared >= 2 * len(cases)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_sequence_gets_the_same_answer_in_any_company(name):
    model = load(str(read_fixture(name).path))
    rows = [case.ids for case in read_fixture(name).batch]
    together = model.run_ids(rows, ["logits", "hidden"])
    for ids, one in zip(rows, together, strict=True):
        alone = model.run_ids([ids], ["logits", "hidden"])[0]
        for name_of in ("logits", "hidden"):
            a, b = getattr(alone, name_of), getattr(one, name_of)
            assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()


@pytest.mark.parametrize("name", FAMILIES)
def test_texts_become_the_published_ids(name):
    fixture = read_fixture(name)
    tokenizer, compared = load_path(fixture.path).tokenizer, 0
    facts = fixture.facts
    for case in facts.get("tokenizer_cases", []):
        assert tokenizer.encode(case["text"], "reference") == case["input_ids"]
        compared += 1
    for text, case in zip(facts["sequences"], fixture.single, strict=False):
        if isinstance(text, str):
            assert tokenizer.encode(text, "reference") == case.ids
            compared += 1
    assert compared >= 3


def test_every_tensor_of_a_fixture_is_used_or_has_a_reason():
    for name in FAMILIES:
        loaded = load_path(read_fixture(name).path)
        used, unused = loaded.accounting
        assert len(used) > 20
        assert not set(used) & set(unused)
        assert all(len(reason) > 10 for reason in unused.values())


def test_esm1v_has_no_contacts_and_esm1b_has(tmp_path):
    one_v = load(str(read_fixture("esm1v-hf-tiny").path))
    assert one_v.network.contact_head is None
    assert any("contact" in name for name in one_v.card.unused) or one_v.card.layout == "esm1v"
    one_b = load(str(read_fixture("esm1b-fair-tiny").path))
    assert one_b.run_ids([[0, 5, 6, 2]], ["contacts"])[0].contacts.shape == (2, 2)


def test_the_mask_row_is_zeroed_where_fair_esm_does_so():
    fixture = read_fixture("esm1b-fair-tiny")
    network = load_path(fixture.path).network
    assert fixture.facts["mask_row_nonzero_on_disk"]
    assert not network.embedding.tokens.weight[32].any()
    logits = load(str(fixture.path)).run_ids([[0, 5, 32, 2]], ["logits"])[0].logits
    bias = network.language_model_head.bias[32].item()
    np.testing.assert_allclose(logits[:, 32], bias, atol=1e-6)


def test_the_remote_code_of_a_config_is_never_looked_for():
    path = read_fixture("nt-v2-tiny").path
    assert "auto_map" in json.loads((path / "config.json").read_text())
    assert load_path(path).layout == "nt-v2"
