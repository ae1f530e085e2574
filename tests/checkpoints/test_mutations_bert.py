"""Each published detail of BERT, DNABERT and DNABERT-2, turned the wrong way.

A fixture must notice, or the detail is not tested.
"""

import json
import shutil

import pytest
import torch

from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError
from lexome.layers import alibi, layout
from lexome.layers.block import PostNormBlock
from lexome.layers.layout import PackedLayout
from tests.checkpoints.families import read_fixture
from tests.checkpoints.mutated import (
    fixture_notices,
    fixture_notices_code,
    geometric_slopes,
    halves_exchanged,
    head_bias_twice,
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
    query_and_key_exchanged,
    tanh_gelu,
    tanh_gelu_in_the_head,
    untied_head,
    wrong_query_scale,
)


def no_types(network):
    network.embedding.types = None


def all_of_type_0(network):
    network.embedding.types.weight.data[1] = network.embedding.types.weight.data[0]


def offset_of_fairseq(network):
    network.embedding.first_position = 2


def table_of_positions(network):
    """The config says "absolute"."""
    network.embedding.positions = torch.nn.Embedding(512, network.width)


def no_slopes(network):
    network._slopes[torch.device("cpu")] = torch.zeros(network.config.num_heads)


def nearer_is_less(network):
    network._slopes[torch.device("cpu")] = -alibi.alibi_slopes(network.config.num_heads)


def pooler_without_tanh(network):
    network.pooled = lambda first_SD: network.pooler(first_SD)


def pair_head_exchanged(network):
    head = network.next_sentence_head
    head.weight.data, head.bias.data = head.weight.flip(0), head.bias.flip(0)


def fused_head_by_head(network):
    """Wqkv read as q, k, v of the first head, then of the second, ..."""
    for block in network.blocks:
        parts = (block.attention.query, block.attention.key, block.attention.value)
        for kind in ("weight", "bias"):
            fused = torch.cat([getattr(part, kind).data for part in parts])
            by_head = fused.unflatten(0, (block.attention.num_heads, 3, -1)).transpose(0, 1)
            for part, own in zip(parts, by_head, strict=True):
                getattr(part, kind).data = own.flatten(0, 1)


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        ("bert-tiny", next_position),
        ("bert-tiny", offset_of_fairseq),
        ("bert-tiny", no_types),
        ("bert-tiny", all_of_type_0),
        ("bert-tiny", no_embedding_norm),
        ("bert-tiny", norms_exchanged),
        ("bert-tiny", other_eps),
        ("bert-tiny", tanh_gelu),
        ("bert-tiny", tanh_gelu_in_the_head),
        ("bert-tiny", key_and_value_exchanged),
        ("bert-tiny", query_and_key_exchanged),
        ("bert-tiny", wrong_query_scale),
        ("bert-tiny", no_head_dense),
        ("bert-tiny", no_head_norm),
        ("bert-tiny", no_head_bias),
        ("bert-tiny", head_bias_twice),
        ("bert-tiny", head_norm_before_the_activation),
        ("bert-tiny", untied_head),
        ("bert-tiny", pooler_without_tanh),
        ("bert-tiny", pair_head_exchanged),
        ("bert-tiny", layers_without_the_embeddings),
        ("dnabert-tiny", next_position),
        ("dnabert-tiny", offset_of_fairseq),
        ("dnabert-tiny", no_types),
        ("dnabert-tiny", no_embedding_norm),
        ("dnabert-tiny", norms_exchanged),
        ("dnabert-tiny", other_eps),
        ("dnabert-tiny", tanh_gelu),
        ("dnabert-tiny", tanh_gelu_in_the_head),
        ("dnabert-tiny", head_bias_twice),
        ("dnabert-tiny", untied_head),
        ("dnabert-tiny", pooler_without_tanh),
        ("dnabert2-tiny", no_types),
        ("dnabert2-tiny", no_embedding_norm),
        ("dnabert2-tiny", table_of_positions),
        ("dnabert2-tiny", fused_head_by_head),
        ("dnabert2-tiny", key_and_value_exchanged),
        ("dnabert2-tiny", query_and_key_exchanged),
        ("dnabert2-tiny", no_attention_biases),
        ("dnabert2-tiny", wrong_query_scale),
        ("dnabert2-tiny", geometric_slopes),
        ("dnabert2-tiny", no_slopes),
        ("dnabert2-tiny", nearer_is_less),
        ("dnabert2-tiny", norms_exchanged),
        ("dnabert2-tiny", halves_exchanged),
        ("dnabert2-tiny", other_gate),
        ("dnabert2-tiny", tanh_gelu),
        ("dnabert2-tiny", no_way_down_bias),
        ("dnabert2-tiny", other_eps),
        ("dnabert2-tiny", tanh_gelu_in_the_head),
        ("dnabert2-tiny", no_head_norm),
        ("dnabert2-tiny", no_head_bias),
        ("dnabert2-tiny", untied_head),
    ],
)
def test_a_fixture_notices(name, mutate):
    assert fixture_notices(name, mutate)


def norms_before(patch):
    """As ESM has them."""

    def forward(self, x_ND, place, slopes_H=None, maps=None):
        query, key, value = self.attention.project(self.attention_norm(x_ND), None)
        if maps is not None:
            maps.append(place.attention_maps(query, key, slopes_H))
        context = place.attend(query, key, value, slopes_H).flatten(-2)
        x_ND = x_ND + self.attention.output(context)
        return x_ND + self.feed_forward(self.feed_forward_norm(x_ND))

    patch.setattr(PostNormBlock, "forward", forward)


def slopes_to_one_side(patch):
    honest = layout.alibi_bias
    patch.setattr(layout, "alibi_bias", lambda slopes, length: honest(slopes, length).tril())


def neighbours_attended(patch):
    honest = PackedLayout.attend

    def attend(self, query, key, value, slopes_H=None):
        return honest(PackedLayout([self.bounds[-1]]), query, key, value, slopes_H)

    patch.setattr(PackedLayout, "attend", attend)


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        ("bert-tiny", norms_before),
        ("dnabert-tiny", norms_before),
        ("dnabert2-tiny", norms_before),
        ("dnabert2-tiny", slopes_to_one_side),
        ("dnabert2-tiny", neighbours_attended),
        ("bert-tiny", neighbours_attended),
    ],
)
def test_a_fixture_notices_the_code(name, mutate, monkeypatch):
    assert fixture_notices_code(name, mutate, monkeypatch)


def test_slopes_of_heads_that_are_no_power_of_two():
    found = alibi.alibi_slopes(12).log2()
    assert found.tolist() == [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]


def test_slopes_go_on_beyond_the_512_that_the_config_starts_with():
    """Where queries say nothing, attention falls by slope x distance alone."""
    query_THd = torch.zeros(700, 12, 4)
    maps_HQK = PackedLayout([700]).attention_maps(query_THd, query_THd, alibi.alibi_slopes(12))[0]
    fall_QK = (maps_HQK[7] / maps_HQK[7].diagonal()[:, None]).log()  # of slope 2 ** -8
    assert fall_QK[0, 640] == pytest.approx(-2.5, abs=1e-4)
    assert fall_QK[660, 20] == pytest.approx(-2.5, abs=1e-4)


def test_a_head_norm_that_the_published_code_would_not_follow_is_refused(tmp_path):
    """DNABERT-2's code gives the head's norm 1e-12 whatever the config says."""
    for path in read_fixture("dnabert2-tiny").path.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-5}))
    with pytest.raises(CheckpointError, match="layer_norm_eps = 1e-05"):
        load_path(tmp_path)
