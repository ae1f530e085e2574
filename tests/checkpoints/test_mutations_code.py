"""Each published detail of ESM and Nucleotide Transformer, turned the wrong way in the code itself.

Rotation, scaling, token dropout, borders and padding: a fixture must notice.
"""

import pytest
import torch
from safetensors.torch import load_file

from lexome.batches.padding import pad
from lexome.checkpoints import from_fair
from lexome.checkpoints.layouts import load_path
from lexome.layers import attention, embedding
from lexome.layers.attention import Attention
from lexome.layers.block import Block
from lexome.layers.layout import PackedLayout, PaddedLayout
from tests.checkpoints.families import ATOL, RTOL, read_fixture
from tests.checkpoints.mutated import fixture_notices_code


def interleaved_pairs(patch):
    """Channel 2i turned with 2i + 1, where the models turn i with i + d/2."""

    def rotate(x_NHd, turn):
        first, second = x_NHd[..., 0::2], x_NHd[..., 1::2]
        turned = first * turn.cos_N1P - second * turn.sin_N1P
        return torch.stack([turned, second * turn.cos_N1P + first * turn.sin_N1P], -1).flatten(-2)

    patch.setattr(attention, "rotate", rotate)


def half_of_a_head_turned(patch):
    honest = attention.rotate

    def rotate(x_NHd, turn):
        turned, kept = honest(x_NHd, turn), x_NHd.clone()
        half = x_NHd.shape[-1] // 4
        for start in (0, 2 * half):  # the first of the pairs
            kept[..., start : start + half] = turned[..., start : start + half]
        return kept

    patch.setattr(attention, "rotate", rotate)


def turned_the_other_way(patch):
    honest = attention.rotate
    patch.setattr(
        attention, "rotate", lambda x, turn: honest(x, turn._replace(sin_N1P=-turn.sin_N1P))
    )


def keys_not_turned(patch):
    honest = Attention.project

    def project(self, x_ND, turn):
        query, _, value = honest(self, x_ND, turn)
        return query, honest(self, x_ND, None)[1], value

    patch.setattr(Attention, "project", project)


def query_not_scaled(patch):
    honest = Attention.project

    def project(self, x_ND, turn):
        query, key, value = honest(self, x_ND, turn)
        return query * query.shape[-1] ** 0.5, key, value

    patch.setattr(Attention, "project", project)


def residual_of_the_normed(patch):
    honest = Block.leave
    patch.setattr(
        Block, "leave", lambda self, x, context: honest(self, self.attention_norm(x), context)
    )


def all_that_were_chosen_count_as_masked(patch):
    patch.setattr(embedding, "TRAINED_MASK_SHARE", 0.15)


def masks_not_counted(patch):
    """0.88 whatever is masked."""
    honest = PackedLayout.sums
    patch.setattr(PackedLayout, "sums", lambda self, values: 0 * honest(self, values))


def special_tokens_not_counted(patch):
    honest = PackedLayout.sums
    patch.setattr(
        PackedLayout,
        "sums",
        lambda self, values: honest(self, values) * self.lengths_S / (self.lengths_S - 1),
    )


def padding_counted(patch):
    honest = PackedLayout.sums
    patch.setattr(
        PackedLayout,
        "sums",
        lambda self, values: honest(self, values) * self.lengths_S / max(self.lengths),
    )


def masks_keep_their_row(patch):
    """The rescale as it is, and no zero: nothing else of a packed forward fills by a mask."""
    patch.setattr(torch.Tensor, "masked_fill", lambda self, *_: self)


def positions_run_on(patch):
    """Over the borders of packed sequences."""
    honest = PackedLayout.__init__

    def init(self, lengths, device="cpu"):
        honest(self, lengths, device)
        self.positions_N = torch.arange(self.bounds[-1]) % 20

    patch.setattr(PackedLayout, "__init__", init)


def neighbours_attended(patch):
    honest = PackedLayout.attend

    def attend(self, query, key, value, slopes_H=None):
        return honest(PackedLayout([self.bounds[-1]]), query, key, value, slopes_H)

    patch.setattr(PackedLayout, "attend", attend)


def mask_row_left_at_load(patch):
    patch.setattr(from_fair, "_zero_mask_row", lambda tensors: None)


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        ("esm2-hf-tiny", interleaved_pairs),
        ("esm2-hf-tiny", half_of_a_head_turned),
        ("esm2-hf-tiny", turned_the_other_way),
        ("esm2-hf-tiny", keys_not_turned),
        ("esm2-hf-tiny", query_not_scaled),
        ("esm2-hf-tiny", residual_of_the_normed),
        ("esm2-hf-tiny", all_that_were_chosen_count_as_masked),
        ("esm2-hf-tiny", masks_not_counted),
        ("esm2-hf-tiny", special_tokens_not_counted),
        ("esm2-hf-tiny", padding_counted),
        ("esm2-hf-tiny", masks_keep_their_row),
        ("esm2-hf-tiny", neighbours_attended),
        ("esm2-fair-tiny", special_tokens_not_counted),
        ("esm1b-hf-tiny", positions_run_on),
        ("esm1b-fair-tiny", mask_row_left_at_load),
        ("esm1v-fair-tiny", mask_row_left_at_load),
        ("nt-v1-tiny", special_tokens_not_counted),
        ("nt-v1-tiny", all_that_were_chosen_count_as_masked),
        ("nt-v1-tiny", masks_keep_their_row),
        ("nt-v2-tiny", interleaved_pairs),
        ("nt-v2-tiny", half_of_a_head_turned),
    ],
)
def test_a_fixture_notices_the_code(name, mutate, monkeypatch):
    assert fixture_notices_code(name, mutate, monkeypatch)


def keys_of_padding_attended(patch):
    honest = PaddedLayout._weights

    def weights(self, query, key, *more):
        everything = PaddedLayout([len(row) for row in self.real_N])
        return honest(everything, query, key, *more)

    patch.setattr(PaddedLayout, "_weights", weights)


def padding_counted_in_rows(patch):
    honest = PaddedLayout.sums

    def sums(self, values):
        return honest(self, values) * self.lengths_S / max(self.lengths)

    patch.setattr(PaddedLayout, "sums", sums)


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        ("esm2-hf-tiny", keys_of_padding_attended),
        ("esm2-fair-tiny", keys_of_padding_attended),
        ("esm1b-hf-tiny", keys_of_padding_attended),
        ("nt-v2-tiny", keys_of_padding_attended),
        ("dnabert2-tiny", keys_of_padding_attended),
        ("bert-tiny", keys_of_padding_attended),
        ("esm2-hf-tiny", padding_counted_in_rows),
        ("nt-v1-tiny", padding_counted_in_rows),
    ],
)
def test_a_padded_batch_notices_the_code(name, mutate, monkeypatch):
    assert fixture_notices_code(name, mutate, monkeypatch, "padded")


@pytest.mark.parametrize("name", ["esm2-hf-tiny", "esm1b-hf-tiny", "esm1b-fair-tiny", "nt-v1-tiny"])
def test_embeddings_are_zero_at_padding_as_published(name):
    fixture = read_fixture(name)
    wanted = load_file(fixture.path / "expected.safetensors")["batch.hidden.0"]
    network = load_path(fixture.path).network
    tokens_SL, layout = pad([case.ids for case in fixture.batch], pad_id=1)

    def is_off():
        with torch.inference_mode():
            found = network.trace(tokens_SL, layout).layers[0]
        return not torch.allclose(found, wanted, atol=ATOL, rtol=RTOL)

    assert not is_off()
    layout.real_N = torch.ones_like(layout.real_N)
    assert is_off()
