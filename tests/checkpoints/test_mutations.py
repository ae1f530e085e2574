"""Each published detail of ESM and Nucleotide Transformer, turned the wrong way.

A fixture must notice, or the detail is not tested.
"""

import pytest
import torch

from lexome.checkpoints.weight_files import read_tensors
from tests.checkpoints.families import read_fixture
from tests.checkpoints.mutated import (
    cost,
    fixture_notices,
    geometric_slopes,
    halves_exchanged,
    head_norm_before_the_activation,
    key_and_value_exchanged,
    layers_without_the_embeddings,
    next_position,
    no_attention_biases,
    no_embedding_norm,
    no_head_bias,
    no_head_dense,
    no_head_norm,
    no_way_down_bias,
    norms_exchanged,
    other_eps,
    other_gate,
    previous_position,
    query_and_key_exchanged,
    tanh_gelu,
    tanh_gelu_in_the_head,
    tied_head,
    untied_head,
    wrong_query_scale,
)


def recompute_frequencies(network):
    width = 2 * len(network.rotary.inv_freq)
    network.rotary.inv_freq = 1.0 / 10000 ** (torch.arange(0, width, 2) / width)


def other_base(network):
    width = 2 * len(network.rotary.inv_freq)
    exponents = torch.arange(0, width, 2) / width
    network.rotary.inv_freq = network.rotary.inv_freq * 2.0**-exponents  # 20000 for 10000


def no_rotation(network):
    network.rotary = None


def no_token_dropout(network):
    network.embedding.token_dropout = False


def token_dropout(network):
    network.embedding.token_dropout = True


def no_zero_at_masks(network):
    network.embedding.mask_id = -1


def norm_of_the_embeddings(network):
    network.embedding.norm = torch.nn.LayerNorm(network.width)


def no_final_norm(network):
    network.final_norm = torch.nn.Identity()


def no_norm_before_attention(network):
    for block in network.blocks:
        block.attention_norm = torch.nn.Identity()


def no_norm_before_feed_forward(network):
    for block in network.blocks:
        block.feed_forward_norm = torch.nn.Identity()


def mask_row_kept(network):
    network.embedding.tokens.weight.data[32] = 0.3


def tanh_gelu_everywhere(network):
    tanh_gelu(network)
    tanh_gelu_in_the_head(network)


def positions_from_row_0(network):
    network.embedding.first_position = 0


def positions_rescaled(network):
    """As if they were added before the token dropout's factor."""
    network.embedding.positions.weight.data *= 0.88


def positions_after_the_norm(network):
    inner, positions = network.embedding, network.embedding.positions
    honest, inner.positions = inner.forward, None

    def forward(tokens_N, layout, types_N=None):
        return honest(tokens_N, layout, types_N) + positions(layout.positions_N + 2)

    inner.forward = forward


def final_and_head_eps_of_jax(network):
    for norm in (network.final_norm, network.language_model_head.norm):
        norm.eps = 1e-5


def last_layer_without_the_norm(network):
    honest = network.trace

    def trace(*args, **more):
        raw = []
        hook = network.final_norm.register_forward_pre_hook(lambda _, x: raw.append(x[0]))
        out = honest(*args, **more)
        hook.remove()
        out.layers[-1] = raw[-1]
        return out

    network.trace = trace


def leftover_table_used(name):
    """ESM-2 and Nucleotide Transformer v2 files hold a table of positions that no one reads."""

    def mutate(network):
        tensors = read_tensors(read_fixture(name).path).by_name
        table = tensors["esm.embeddings.position_embeddings.weight"]
        network.embedding.positions = torch.nn.Embedding.from_pretrained(table)
        network.embedding.first_position = 2

    mutate.__name__ = "leftover_table_used"
    return mutate


@pytest.mark.parametrize(
    ("name", "mutate", "logit_error"),
    [
        ("esm2-hf-tiny", recompute_frequencies, 5.8e-3),
        ("esm2-hf-tiny", tanh_gelu_everywhere, 7.4e-3),
        ("esm2-hf-tiny", other_eps, 1.1e-3),
        ("nt-v1-tiny", other_eps, 1.7e-4),
        ("esm2-hf-tiny", no_token_dropout, 15),
        ("esm1b-hf-tiny", previous_position, 15),
        ("nt-v1-tiny", tied_head, 19),
        ("dnabert2-tiny", geometric_slopes, 7.7),
    ],
)
def test_a_wrong_choice_costs_what_was_published_with_the_fixtures(name, mutate, logit_error):
    """README-encoders.md beside them: so each is that very choice, and no other."""
    assert fixture_notices(name, mutate)
    assert cost(name, mutate) == pytest.approx(logit_error, rel=0.05)


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        ("esm2-hf-tiny", recompute_frequencies),
        ("esm2-fair-tiny", recompute_frequencies),
        ("esm2-hf-tiny", other_base),
        ("esm2-hf-tiny", no_rotation),
        ("esm2-hf-tiny", leftover_table_used("esm2-hf-tiny")),
        ("esm2-hf-tiny", norm_of_the_embeddings),
        ("esm2-hf-tiny", tanh_gelu),
        ("esm2-hf-tiny", tanh_gelu_in_the_head),
        ("esm2-hf-tiny", other_eps),
        ("esm2-hf-tiny", no_token_dropout),
        ("esm2-hf-tiny", no_zero_at_masks),
        ("esm2-hf-tiny", no_final_norm),
        ("esm2-hf-tiny", no_norm_before_attention),
        ("esm2-hf-tiny", no_norm_before_feed_forward),
        ("esm2-hf-tiny", norms_exchanged),
        ("esm2-fair-tiny", norms_exchanged),
        ("esm2-hf-tiny", key_and_value_exchanged),
        ("esm2-fair-tiny", key_and_value_exchanged),
        ("esm2-hf-tiny", query_and_key_exchanged),
        ("esm2-fair-tiny", query_and_key_exchanged),
        ("esm2-hf-tiny", wrong_query_scale),
        ("esm2-hf-tiny", no_attention_biases),
        ("esm2-hf-tiny", no_way_down_bias),
        ("esm2-hf-tiny", untied_head),
        ("esm2-hf-tiny", no_head_dense),
        ("esm2-hf-tiny", no_head_norm),
        ("esm2-hf-tiny", no_head_bias),
        ("esm2-hf-tiny", head_norm_before_the_activation),
        ("esm2-hf-tiny", layers_without_the_embeddings),
        ("esm2-hf-tiny", last_layer_without_the_norm),
        ("esm1b-hf-tiny", next_position),
        ("esm1b-hf-tiny", positions_from_row_0),
        ("esm1b-hf-tiny", positions_rescaled),
        ("esm1b-hf-tiny", positions_after_the_norm),
        ("esm1b-hf-tiny", no_embedding_norm),
        ("esm1b-hf-tiny", tanh_gelu),
        ("esm1b-hf-tiny", other_eps),
        ("esm1b-hf-tiny", untied_head),
        ("esm1b-fair-tiny", no_embedding_norm),
        ("esm1b-fair-tiny", no_token_dropout),
        ("esm1b-fair-tiny", mask_row_kept),
        ("esm1v-fair-tiny", mask_row_kept),
        ("esm1v-fair-tiny", next_position),
        ("esm1v-fair-tiny", norm_of_the_embeddings),
        ("esm1v-hf-tiny", norm_of_the_embeddings),
        ("esm1v-hf-tiny", no_token_dropout),
        ("nt-v1-tiny", next_position),
        ("nt-v1-tiny", positions_from_row_0),
        ("nt-v1-tiny", positions_rescaled),
        ("nt-v1-tiny", tied_head),
        ("nt-v1-tiny", tanh_gelu),
        ("nt-v1-tiny", no_token_dropout),
        ("nt-v1-tiny", no_zero_at_masks),
        ("nt-v1-tiny", no_attention_biases),
        ("nt-v1-tiny", no_way_down_bias),
        ("nt-v1-tiny", norm_of_the_embeddings),
        ("nt-v1-tiny", no_final_norm),
        ("nt-v1-tiny", other_eps),
        ("nt-v1-tiny", final_and_head_eps_of_jax),
        ("nt-v2-tiny", no_rotation),
        ("nt-v2-tiny", other_base),
        ("nt-v2-tiny", leftover_table_used("nt-v2-tiny")),
        ("nt-v2-tiny", token_dropout),
        ("nt-v2-tiny", no_attention_biases),
        ("nt-v2-tiny", norm_of_the_embeddings),
        ("nt-v2-tiny", no_final_norm),
        ("nt-v2-tiny", tied_head),
        ("nt-v2-tiny", tanh_gelu_in_the_head),
        ("nt-v2-tiny", no_head_norm),
        ("nt-v2-tiny", halves_exchanged),
        ("nt-v2-tiny", other_gate),
        ("nt-v2-tiny", other_eps),
    ],
)
def test_a_fixture_notices(name, mutate):
    assert fixture_notices(name, mutate)
