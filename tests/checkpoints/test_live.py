"""Random small models of every family, built by the reference packages and read by ours."""

import argparse
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lexome.checkpoints.layouts import load_path
from lexome.inference.model import load
from lexome.tokenizers.character import esm_vocabulary
from lexome.tokenizers.kmers import all_kmers
from lexome.tokenizers.overlapping import OverlappingTokenizer
from tests.checkpoints.families import ATOL, RTOL

transformers = pytest.importorskip("transformers")
esm = pytest.importorskip("esm")

LIVE = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NT = ["<unk>", "<pad>", "<mask>", "<cls>", *all_kmers(6), *"ATCGN", "<eos>", "<bos>"]


@st.composite
def sizes(draw, pairs=1):
    """Layers, heads, width, feed-forward width, seed."""
    heads = draw(st.integers(1, 4))
    return {
        "layers": draw(st.integers(1, 3)),
        "heads": heads,
        "width": heads * pairs * draw(st.integers(2, 8)),
        "ffn": draw(st.integers(1, 40)),
        "seed": draw(st.integers(0, 999)),
    }


@pytest.fixture
def folder(tmp_path_factory):
    def make():
        return tmp_path_factory.mktemp("live")

    return make


def shake(model, seed):
    """No neutral norm, no zero bias: what is swapped or left out shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return model.eval()


def draw_rows(seed, low, high, mask, first, last):
    generator = np.random.default_rng(seed)
    rows = []
    for n in (1, 6, 13):
        inner = generator.integers(low, high, n)
        inner[generator.random(n) < 0.2] = mask
        rows.append([first, *inner.tolist(), *([last] if last is not None else [])])
    return rows


def check_esm(reference, path, rows):
    model = load(str(path))
    results = model.run_ids(rows, ["logits", "hidden_layers", "attentions"])
    for ids, found in zip(rows, results, strict=True):
        batch = torch.tensor([ids])
        with torch.inference_mode():
            wanted = reference(
                batch,
                attention_mask=torch.ones_like(batch),
                output_hidden_states=True,
                output_attentions=True,
            )
        for name, ours, theirs in (
            ("logits", found.logits, wanted.logits[0]),
            ("layers", found.hidden_layers, torch.stack(wanted.hidden_states)[:, 0]),
            ("attentions", found.attentions, torch.stack(wanted.attentions)[:, 0]),
        ):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=ATOL, rtol=RTOL, err_msg=name)


def esm_config(size, **more):
    return transformers.EsmConfig(
        hidden_size=size["width"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=size["ffn"],
        pad_token_id=1,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
        **more,
    )


@LIVE
@given(size=sizes(pairs=2), kind=st.sampled_from(["esm2", "esm1b", "esm1v"]))
def test_esm_of_transformers(size, kind, folder):
    config = esm_config(
        size,
        vocab_size=33,
        mask_token_id=32,
        layer_norm_eps=1e-5,
        token_dropout=True,
        position_embedding_type="rotary" if kind == "esm2" else "absolute",
        emb_layer_norm_before=kind == "esm1b",
    )
    reference, path = shake(transformers.EsmForMaskedLM(config), size["seed"]), folder()
    reference.save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(esm_vocabulary()))
    check_esm(reference, path, draw_rows(size["seed"], 4, 31, 32, 0, 2))
    assert load_path(path).layout == kind


@LIVE
@given(size=sizes())
def test_nucleotide_transformer_v1_of_transformers(size, folder):
    config = esm_config(
        size,
        vocab_size=4105,
        mask_token_id=2,
        layer_norm_eps=1e-12,
        token_dropout=True,
        position_embedding_type="absolute",
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
    )
    reference, path = shake(transformers.EsmForMaskedLM(config), size["seed"]), folder()
    reference.save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(NT))
    (path / "tokenizer_config.json").write_text(json.dumps({"eos_token": None}))
    check_esm(reference, path, draw_rows(size["seed"], 4, 4105, 2, 3, None))


@LIVE
@given(size=sizes(), kind=st.sampled_from(["gelu", "gelu_new", "relu"]), dnabert=st.booleans())
def test_bert_of_transformers(size, kind, dnabert, folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    if dnabert:
        words = list(OverlappingTokenizer(3).vocabulary)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=size["width"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=size["ffn"],
        hidden_act=kind,
        max_position_embeddings=30,
        layer_norm_eps=1e-12,
        attn_implementation="eager",
    )
    reference, path = shake(transformers.BertForPreTraining(config), size["seed"]), folder()
    reference.save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(words))
    rows = draw_rows(size["seed"], 5, len(words), 4, 2, 3)
    results = load(str(path)).run_ids(rows, ["logits", "hidden_layers", "attentions"])
    for ids, found in zip(rows, results, strict=True):
        with torch.inference_mode():
            wanted = reference(
                torch.tensor([ids]), output_hidden_states=True, output_attentions=True
            )
        for name, ours, theirs in (
            ("logits", found.logits, wanted.prediction_logits[0]),
            ("layers", found.hidden_layers, torch.stack(wanted.hidden_states)[:, 0]),
            ("attentions", found.attentions, torch.stack(wanted.attentions)[:, 0]),
        ):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=ATOL, rtol=RTOL, err_msg=name)


SENTENCE = "encoder.sentence_encoder."


def on_disk(state, swap=False):
    """fair-esm's names in the file: a prefix, and for alignments rows and columns exchanged."""
    tensors, contacts = {}, {}
    for name, value in state.items():
        if name.startswith("contact_head."):
            contacts[name] = value
            continue
        if swap and "row_self" in name:
            name = name.replace("row_self", "column_self")
        elif swap and "column_self" in name:
            name = name.replace("column_self", "row_self")
        tensors[("encoder." if name.startswith("lm_head.") else SENTENCE) + name] = value
    return tensors, contacts


def save_fair(path, stem, settings_of, state, swap=False):
    tensors, contacts = on_disk(state, swap)
    torch.save(settings_of | {"model": tensors}, path / f"{stem}.pt")
    torch.save({"model": contacts}, path / f"{stem}-contact-regression.pt")
    return path / f"{stem}.pt"


def namespace(size, **more):
    return argparse.Namespace(
        encoder_layers=size["layers"],
        encoder_embed_dim=size["width"],
        encoder_ffn_embed_dim=4 * size["width"],
        encoder_attention_heads=size["heads"],
        token_dropout=True,
        max_positions=40,
        **more,
    )


def stripped(size, **more):
    """The same as fair-esm's own classes take it."""
    whole = vars(namespace(size, **more))
    short = {k.removeprefix("encoder_"): v for k, v in whole.items()}
    rates = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
    return argparse.Namespace(
        **(whole | short | rates), max_tokens=2**14, emb_layer_norm_before=True
    )


def check_fair(reference, path, rows, num_layers):
    model = load(str(path))
    results = model.run_ids(rows, ["logits", "hidden_layers", "attentions", "contacts"])
    for ids, found in zip(rows, results, strict=True):
        with torch.inference_mode():
            wanted = reference(
                torch.tensor([ids]), repr_layers=range(num_layers + 1), return_contacts=True
            )
        layers = torch.stack([wanted["representations"][i][0] for i in range(num_layers + 1)])
        for name, ours, theirs in (
            ("logits", found.logits, wanted["logits"][0]),
            ("layers", found.hidden_layers, layers),
            ("attentions", found.attentions, wanted["attentions"][0]),
            ("contacts", found.contacts, wanted["contacts"][0]),
        ):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=ATOL, rtol=RTOL, err_msg=name)


@LIVE
@given(size=sizes(pairs=2))
def test_esm2_of_fair_esm(size, folder):
    reference = esm.model.esm2.ESM2(size["layers"], size["width"], size["heads"])
    shake(reference, size["seed"])
    args = namespace(size, arch="masked_lm_transformer")
    path = save_fair(folder(), "esm2_toy", {"cfg": {"model": args}}, dict(reference.state_dict()))
    rows = draw_rows(size["seed"], 4, 31, 32, 0, 2)
    check_fair(reference, path, rows, size["layers"])


@LIVE
@given(size=sizes(), norm=st.booleans())
def test_esm1_of_fair_esm(size, norm, folder):
    alphabet = esm.data.Alphabet.from_architecture("roberta_large")
    args = stripped(size, arch="roberta_large")
    args.emb_layer_norm_before = norm
    reference = shake(esm.model.esm1.ProteinBertModel(args, alphabet), size["seed"])
    state = {k: v.clone() for k, v in reference.state_dict().items()}
    state["lm_head.weight"] = state["embed_tokens.weight"]
    with torch.no_grad():  # as fair-esm does when it loads
        reference.embed_tokens.weight[32] = 0
    path = save_fair(folder(), "esm1b_toy", {"args": namespace(size, arch="roberta_large")}, state)
    rows = draw_rows(size["seed"], 4, 31, 32, 0, 2)
    check_fair(reference, path, rows, size["layers"])


@LIVE
@given(size=sizes(), depth=st.integers(1, 5), columns=st.integers(2, 9))
def test_msa_transformer_of_fair_esm(size, depth, columns, folder):
    alphabet = esm.data.Alphabet.from_architecture("msa_transformer")
    args = stripped(
        size,
        arch="msa_transformer",
        embed_positions_msa=True,
        embed_positions_msa_dim=size["width"],
    )
    reference = esm.model.msa_transformer.MSATransformer(args, alphabet)
    shake(reference, size["seed"])
    disk = namespace(size, arch="msa_transformer", embed_positions_msa=True)
    path = save_fair(folder(), "esm_msa1b_toy", {"args": disk}, dict(reference.state_dict()), True)
    network = load_path(path).network
    generator = np.random.default_rng(size["seed"])
    tokens = torch.from_numpy(generator.integers(4, 33, (depth, columns)))
    tokens[:, 0] = 0
    with torch.inference_mode():
        wanted = reference(
            tokens[None], repr_layers=range(size["layers"] + 1), return_contacts=True
        )
        out = network.trace(tokens)
        pairs = {
            "logits": (network.logits(out.hidden_RCD), wanted["logits"][0]),
            "rows": (torch.stack(out.row_maps), wanted["row_attentions"][0]),
            "columns": (torch.stack(out.column_maps), wanted["col_attentions"][0]),
            "contacts": (network.contacts(out.row_maps), wanted["contacts"][0]),
        }
        for i, layer in enumerate(out.layers):
            pairs[f"layer {i}"] = (layer, wanted["representations"][i][0])
    for name, (ours, theirs) in pairs.items():
        torch.testing.assert_close(ours, theirs, atol=ATOL, rtol=RTOL, msg=name)


@LIVE
@given(size=sizes(pairs=2))
def test_nucleotide_transformer_v2_as_its_remote_code_computes(size, folder):
    """transformers' blocks with the gated feed-forward in them that the remote code has."""
    config = esm_config(
        size,
        vocab_size=4107,
        mask_token_id=2,
        layer_norm_eps=1e-12,
        token_dropout=False,
        position_embedding_type="rotary",
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
    )
    reference = transformers.EsmForMaskedLM(config)
    width, hidden = size["width"], size["ffn"]
    for layer in reference.esm.encoder.layer:
        layer.intermediate.dense = torch.nn.Linear(width, 2 * hidden, bias=False)
        layer.output.dense = torch.nn.Linear(hidden, width, bias=False)

        def gate(x, dense=layer.intermediate.dense):
            first, second = dense(x).chunk(2, dim=-1)
            return torch.nn.functional.silu(first) * second

        layer.intermediate.forward = gate
    shake(reference, size["seed"])
    path = folder()
    state = {k: v.contiguous() for k, v in reference.state_dict().items()}
    save_file(state, path / "model.safetensors")
    told = config.to_dict() | {"auto_map": {"AutoConfig": "esm_config.EsmConfig"}}
    del told["model_type"]
    (path / "config.json").write_text(json.dumps(told | {"add_bias_fnn": False}, default=str))
    words = [*NT[:4], "<eos>", "<bos>", *NT[4:-2]]
    (path / "vocab.txt").write_text("\n".join(words))
    (path / "tokenizer_config.json").write_text(json.dumps({"eos_token": None}))
    check_esm(reference, path, draw_rows(size["seed"], 6, 4107, 2, 3, None))
    assert load_path(path).layout == "nt-v2"
