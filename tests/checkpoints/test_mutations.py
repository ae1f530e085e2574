"""Each published detail, turned the wrong way: a fixture must notice, or the detail is not tested."""

import pytest
import torch

from lexome.batches.packing import pack
from lexome.checkpoints.layouts import load_path
from lexome.layers import alibi, heads
from lexome.layers.feed_forward import FeedForward, GatedFeedForward
from tests.checkpoints.families import ATOL, RTOL, read_fixture
from tests.checkpoints.test_fixtures import outputs_of
from tests.shared_data import shared


def each(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def recompute_frequencies(network):
    width = 2 * len(network.rotary.inv_freq)
    network.rotary.inv_freq = 1.0 / 10000 ** (torch.arange(0, width, 2) / width)


def tanh_gelu(network):
    for module in each(network, FeedForward):
        module.activation = "gelu_new"


def tanh_gelu_in_the_head(network):
    network.language_model_head.activation = "gelu_new"


def other_eps(network):
    for module in each(network, torch.nn.LayerNorm):
        module.eps = 1e-5 if module.eps < 1e-9 else 1e-12


def no_token_dropout(network):
    network.embedding.token_dropout = False


def no_zero_at_masks(network):
    network.embedding.mask_id = -1


def next_position(network):
    network.embedding.positions.weight.data = network.embedding.positions.weight.roll(-1, 0)


def no_embedding_norm(network):
    network.embedding.norm = None


def tied_head(network):
    network.language_model_head.rows = None


def halves_exchanged(network):
    for module in each(network, GatedFeedForward):
        module.up.weight.data = torch.cat(module.up.weight.chunk(2)[::-1])


def other_gate(network):
    for module in each(network, GatedFeedForward):
        module.activation = "silu" if module.activation == "gelu" else "gelu"


def geometric_slopes(network):
    count = network.config.num_heads
    slopes = torch.tensor([2 ** (-8 * i / count) for i in range(1, count + 1)])
    network._slopes[torch.device("cpu")] = slopes


def no_types(network):
    network.embedding.types = None


def key_and_value_exchanged(network):
    for block in network.blocks:
        attention = block.attention
        attention.key, attention.value = attention.value, attention.key


def norms_exchanged(network):
    for block in network.blocks:
        one, other = block.attention_norm, block.feed_forward_norm
        block.attention_norm, block.feed_forward_norm = other, one


def no_final_norm(network):
    network.final_norm = torch.nn.Identity()


def wrong_query_scale(network):
    for block in network.blocks:
        block.attention.query.weight.data *= 1.01


def mask_row_kept(network):
    network.embedding.tokens.weight.data[32] = 0.3


MUTATIONS = [
    ("esm2-hf-tiny", recompute_frequencies),
    ("esm2-fair-tiny", recompute_frequencies),
    ("esm2-hf-tiny", tanh_gelu),
    ("esm2-hf-tiny", tanh_gelu_in_the_head),
    ("esm2-hf-tiny", other_eps),
    ("esm2-hf-tiny", no_token_dropout),
    ("esm2-hf-tiny", no_zero_at_masks),
    ("esm2-hf-tiny", no_final_norm),
    ("esm2-hf-tiny", norms_exchanged),
    ("esm2-hf-tiny", key_and_value_exchanged),
    ("esm2-hf-tiny", wrong_query_scale),
    ("esm1b-hf-tiny", next_position),
    ("esm1b-hf-tiny", no_embedding_norm),
    ("esm1b-fair-tiny", no_token_dropout),
    ("esm1b-fair-tiny", mask_row_kept),
    ("esm1v-fair-tiny", next_position),
    ("nt-v1-tiny", next_position),
    ("nt-v1-tiny", tied_head),
    ("nt-v1-tiny", no_token_dropout),
    ("nt-v1-tiny", other_eps),
    ("nt-v2-tiny", tied_head),
    ("nt-v2-tiny", halves_exchanged),
    ("nt-v2-tiny", other_gate),
    ("dnabert-tiny", next_position),
    ("dnabert-tiny", no_types),
    ("dnabert-tiny", norms_exchanged),
    ("bert-tiny", tanh_gelu),
    ("bert-tiny", no_embedding_norm),
    ("dnabert2-tiny", geometric_slopes),
    ("dnabert2-tiny", halves_exchanged),
    ("dnabert2-tiny", other_gate),
    ("dnabert2-tiny", no_types),
]


def is_off(found, expected):
    return any(
        not torch.allclose(found[name], wanted, atol=ATOL, rtol=RTOL)
        for name, wanted in expected.items()
        if name in found
    )


@pytest.mark.parametrize(("name", "mutate"), MUTATIONS)
def test_a_fixture_notices(name, mutate):
    fixture = read_fixture(name)
    loaded = load_path(fixture.path)
    cases = [case for case in fixture.batch if not any(case.types or [])]
    tokens_T, layout = pack([case.ids for case in cases])

    def off():
        found = outputs_of(loaded, tokens_T, layout)
        return any(is_off(own, case.expected) for own, case in zip(found, cases, strict=True))

    assert not off()
    mutate(loaded.network)
    assert off()


def test_slopes_of_heads_that_are_no_power_of_two():
    found = alibi.alibi_slopes(12).log2()
    assert found.tolist() == [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]


@pytest.mark.parametrize("wrong", ["no correction", "no zero at eos", "no symmetry"])
def test_contacts_notice(wrong, monkeypatch):
    fixture = read_fixture("esm2-fair-tiny")
    loaded = load_path(fixture.path)
    tokens_T, layout = pack([case.ids for case in fixture.batch])
    if wrong == "no correction":
        monkeypatch.setattr(heads, "remove_average_product", lambda maps: maps)
    elif wrong == "no zero at eos":
        object.__setattr__(loaded.network.config, "eos_id", 99)
    else:
        honest = heads.remove_average_product
        monkeypatch.setattr(heads, "remove_average_product", lambda maps: honest(maps.triu()))
    found = outputs_of(loaded, tokens_T, layout)
    off = [
        not torch.allclose(own["contacts"], case.expected["contacts"], atol=ATOL, rtol=RTOL)
        for own, case in zip(found, fixture.batch, strict=True)
        if "contacts" in own and len(case.ids) > 3
    ]
    # Behind the last residue lies nothing that a lone sequence would see: only <eos> itself does.
    assert any(off) == (wrong != "no zero at eos")


@pytest.mark.parametrize("wrong", ["names as on disk", "depth forgotten", "row vectors forgotten"])
def test_the_msa_fixture_notices(wrong):
    from safetensors.torch import load_file

    path = shared("reference/fixtures/msa1b-fair-tiny")
    network = load_path(path).network
    tensors = load_file(path / "expected.safetensors")
    if wrong == "names as on disk":
        for block in network.blocks:
            block.row_attention, block.column_attention = (
                block.column_attention,
                block.row_attention,
            )
    elif wrong == "depth forgotten":
        for block in network.blocks:
            block.row_attention.query.weight.data *= 2  # as if not divided by the root of 4 rows
            block.row_attention.query.bias.data *= 2
    else:
        network.rows.data.zero_()
    with torch.inference_mode():
        logits = network.logits(network(tensors["single.0.tokens"][0]))
    assert not torch.allclose(logits, tensors["single.0.logits"][0], atol=ATOL, rtol=RTOL)
