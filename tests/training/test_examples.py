"""Batches, draws and noise: what each training step sees."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from lexome.batches.windows import parse_long
from lexome.seeds import numpy_generator
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.interface import TokenIds
from lexome.tokenizers.overlapping import OverlappingTokenizer
from lexome.training.examples import (
    SIMILAR,
    Examples,
    Noise,
    add_noise,
    draw_rows,
    encode_examples,
    epoch_batches,
    make_batch,
    micro_batches,
)
from tests.toys import random_proteins

TOKENIZER = CharacterTokenizer()


@pytest.mark.parametrize("num_negatives", [90, 100, 97])
def test_every_negative_is_drawn_equally_often(num_negatives):
    positive = np.array([True] * 10 + [False] * num_negatives)
    rows = np.arange(len(positive)) + 1000
    seen: Counter[int] = Counter()
    for epoch in range(20):
        drawn = draw_rows(rows, positive, 0.25, seed=1, epoch=epoch)
        assert len(drawn) == 40  # 10 positives are a quarter of 40
        assert set(rows[positive]) <= set(drawn.tolist())
        seen.update(drawn[10:].tolist())
    counts = [seen[row] for row in rows[~positive].tolist()]
    assert sum(counts) == 20 * 30
    assert max(counts) - min(counts) <= 1


def encode_whole(sequences: Sequence[str]) -> list[TokenIds]:
    ids = [f"row {i}" for i in range(len(sequences))]
    return encode_examples(sequences, ids, parse_long("whole"), TOKENIZER)


def test_no_token_lies_across_a_crop() -> None:
    sequence = "ACGTACGGTTCA"
    tokenizer = OverlappingTokenizer(4)
    (cropped,) = encode_examples([sequence], ["a"], parse_long("crop:5+4"), tokenizer)
    head, tail = tokenizer.encode(sequence[:5]), tokenizer.encode(sequence[-4:])
    assert list(cropped) == [*head[:-1], *tail[1:]]


def test_a_crop_of_letters_is_the_crop_of_the_text() -> None:
    sequence = "MKTAYIAKQR"
    (cropped,) = encode_examples([sequence], ["a"], parse_long("crop:3+2"), TOKENIZER)
    assert list(cropped) == TOKENIZER.encode("MKTQR")


def test_a_draw_depends_on_seed_and_epoch_alone():
    positive = np.array([True] * 5 + [False] * 95)
    rows = np.arange(100)
    first = draw_rows(rows, positive, 0.25, seed=1, epoch=3)
    assert np.array_equal(first, draw_rows(rows, positive, 0.25, seed=1, epoch=3))
    assert not np.array_equal(first, draw_rows(rows, positive, 0.25, seed=2, epoch=3))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.05])
def test_without_rarer_positives_than_wanted_all_rows_are_drawn(share):
    positive = np.array([True] * 10 + [False] * 90)
    rows = np.arange(100)
    assert np.array_equal(draw_rows(rows, positive, share, seed=1, epoch=0), rows)


def test_an_epoch_holds_every_row_once_and_batches_like_lengths():
    generator = np.random.default_rng(0)
    lengths = generator.integers(10, 500, 1000)
    batches = epoch_batches(np.arange(1000), lengths, 16, seed=1, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    assert max(map(len, batches)) == 16
    padding = sum(lengths[b].max() * len(b) for b in batches) / lengths.sum()
    assert padding < 1.15  # in random order it is 1.8
    again = epoch_batches(np.arange(1000), lengths, 16, seed=1, epoch=0)
    other = epoch_batches(np.arange(1000), lengths, 16, seed=1, epoch=1)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(batches, other, strict=False))


def test_micro_batches_hold_no_more_than_the_budget_and_lose_no_row():
    lengths = np.array([5, 5, 5, 20, 1])
    found = [rows.tolist() for rows in micro_batches(lengths, np.array([4, 0, 1, 3, 2]), 11)]
    assert found == [[4, 0, 1], [3], [2]]


def test_where_rows_are_padded_the_padding_counts():
    """Of 5, 5, 5 and 20 tokens the last makes 80 of the four rows."""
    lengths = np.array([5, 5, 5, 20, 1, 90])
    rows = np.arange(6)
    packed = [found.tolist() for found in micro_batches(lengths, rows, 40)]
    assert packed == [[0, 1, 2, 3, 4], [5]]
    padded = [found.tolist() for found in micro_batches(lengths, rows, 40, as_rows=True)]
    assert padded == [[0, 1, 2], [3, 4], [5]]


def test_noise_replaces_by_kin_hides_and_leaves_special_tokens():
    clean = encode_whole(random_proteins(50, low=100, high=200))
    noisy = add_noise(clean, Noise(0.1, 0.2), TOKENIZER, numpy_generator("noise"))
    before, after = np.concatenate(clean), np.concatenate(noisy)
    assert [len(ids) for ids in noisy] == [len(ids) for ids in clean]
    special = np.isin(before, [TOKENIZER.cls_id, TOKENIZER.eos_id])
    assert np.array_equal(before[special], after[special])
    hidden = after == TOKENIZER.mask_id
    assert hidden[~special].mean() == pytest.approx(0.1, abs=0.02)
    changed = (before != after) & ~hidden
    kin = {letter: group for group in SIMILAR for letter in group}
    for one, other in zip(before[changed], after[changed], strict=True):
        assert TOKENIZER.vocabulary[other] in kin[TOKENIZER.vocabulary[one]]
    assert 0.05 < changed.mean() < 0.2  # of 0.2, those drawn to be themselves do not change
    assert np.array_equal(np.concatenate(clean), before)  # the clean rows stay clean


def test_without_noise_the_very_same_tokens_come_back():
    clean = encode_whole(["MKT", "GAVL"])
    assert add_noise(clean, Noise(0.0, 0.0), TOKENIZER, numpy_generator("n")) is clean


@pytest.mark.parametrize("as_rows", [False, True])
def test_a_batch_holds_the_tokens_and_features_of_its_rows(as_rows):
    tokens = encode_whole(["MKT", "GAVLI", "W"])
    features = torch.arange(6.0).view(3, 2)
    examples = Examples(tokens, features, np.zeros(3), as_rows, TOKENIZER.pad_id, "cpu")
    assert examples.lengths.tolist() == [5, 7, 3]
    rows = np.array([2, 0])
    batch = make_batch(examples, rows, [tokens[row] for row in rows])
    assert batch.tokens_N is not None
    assert batch.layout is not None
    assert batch.layout.lengths == [3, 5]
    assert tuple(batch.tokens_N.shape) == ((2, 5) if as_rows else (8,))
    assert [TOKENIZER.decode(t.tolist()) for t in batch.layout.split(batch.tokens_N)] == [
        "W",
        "MKT",
    ]
    assert batch.features_SG is not None
    assert batch.features_SG.tolist() == [[4.0, 5.0], [0.0, 1.0]]
