"""The endless stream: once an epoch, a function of the visit, and cut without loss."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexome.batches.shards import Part
from lexome.batches.stream import Stream, Windows, split_evenly
from lexome.errors import InputError
from lexome.tokenizers.character import CharacterTokenizer
from tests.toy_shards import decode, proteins, write_corpus

CONTEXT = 40
NUM = 150


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """Sequences of 5 to 120 residues in three shards."""
    folder = tmp_path_factory.mktemp("stream") / "corpus"
    return write_corpus(folder, proteins(NUM, low=5, high=120), shards=3).train


def columns(windows: Windows) -> list[list[int]]:
    return [column.tolist() for column in windows]


def test_every_sequence_is_visited_once_an_epoch_in_another_order_each_time(part):
    stream = Stream(part, CONTEXT, seed=1)
    epochs = [stream.windows(epoch * NUM, NUM).numbers_W.tolist() for epoch in range(4)]
    assert all(sorted(numbers) == list(range(NUM)) for numbers in epochs)
    assert len({tuple(numbers) for numbers in epochs}) == 4


def test_windows_depend_on_the_number_of_the_visit_only(part):
    stream = Stream(part, CONTEXT, seed=1)
    whole = stream.windows(0, 3 * NUM)
    generator = np.random.default_rng(0)
    for first in generator.integers(0, 2 * NUM, 20).tolist():
        count = int(generator.integers(1, NUM))
        assert columns(stream.windows(first, count)) == columns(
            whole.take(slice(first, first + count))
        )


def test_another_seed_gives_another_order_and_other_windows(part):
    one, other = (Stream(part, CONTEXT, seed).windows(0, NUM) for seed in (1, 2))
    assert one.numbers_W.tolist() != other.numbers_W.tolist()


def test_a_window_is_whole_or_full_and_marks_true_ends_only(part):
    stream, tokenizer = Stream(part, CONTEXT, seed=3), CharacterTokenizer()
    windows = stream.windows(0, 2 * NUM)
    tokens = stream.read(windows, tokenizer)
    assert sum(tokens.lengths) == len(tokens.ids_T)
    at = 0
    for number, start, stop, length, _ in zip(*columns(windows), strict=True):
        whole = part.residues_of(number).tolist()
        assert len(whole) == length
        assert stop - start == min(length, CONTEXT - 2)
        expected = [tokenizer.cls_id] * (start == 0) + whole[start:stop]
        expected += [tokenizer.eos_id] * (stop == length)
        assert tokens.ids_T[at : at + len(expected)].tolist() == expected
        at += len(expected)
    assert at == len(tokens.ids_T)


def test_a_long_sequence_is_seen_from_places_all_over_it(part):
    stream = Stream(part, CONTEXT, seed=3)
    longest = int(np.argmax(part.lengths(np.arange(NUM))))
    windows = stream.windows(0, 200 * NUM)
    starts = windows.starts_W[windows.numbers_W == longest]
    last = int(part.lengths(np.array([longest]))[0]) - (CONTEXT - 2)
    assert len(starts) == 200
    assert (starts.min(), starts.max()) == (0, last)
    assert abs(starts.mean() - last / 2) < last * 0.1


def test_every_token_of_every_visit_has_a_number_of_its_own(part):
    stream, tokenizer = Stream(part, CONTEXT, seed=3), CharacterTokenizer()
    whole = stream.read(stream.windows(0, 2 * NUM), tokenizer).counters_T
    assert len(set(whole.tolist())) == len(whole)
    later = stream.read(stream.windows(NUM, NUM), tokenizer).counters_T
    assert later.tolist() == whole[-len(later) :].tolist()


@given(st.integers(0, 4 * NUM), st.integers(1, 3000))
def test_a_batch_is_full_and_the_same_from_the_same_visit(part, first, max_tokens):
    stream = Stream(part, CONTEXT, seed=1)
    batch = stream.next_batch(first, max_tokens)
    assert columns(batch) == columns(stream.windows(first, len(batch.numbers_W)))
    assert columns(batch) == columns(stream.next_batch(first, max_tokens))
    tokens = int(batch.tokens_W.sum())
    following = int(stream.windows(first + len(batch.numbers_W), 1).tokens_W[0])
    assert tokens <= max_tokens or len(batch.numbers_W) == 1
    assert tokens + following > max_tokens


def test_batches_one_behind_the_other_leave_nothing_out(part):
    stream, visit, seen = Stream(part, CONTEXT, seed=1), 0, []
    while visit < 2 * NUM:
        batch = stream.next_batch(visit, 500)
        seen += batch.visits_W.tolist()
        visit += len(batch.visits_W)
    assert seen == list(range(visit))


LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 400))
def test_a_cut_keeps_the_bound_the_order_and_every_window(lengths, max_tokens):
    parts = split_evenly(windows_of(lengths), max_tokens)
    kept = [number for part in parts for number in part.numbers_W.tolist()]
    assert kept == list(range(len(lengths)))
    assert all(len(part.numbers_W) for part in parts)
    bound = max(max_tokens, max(lengths))
    assert max(int(part.tokens_W.sum()) for part in parts) <= bound


def test_a_cut_makes_equal_parts():
    parts = split_evenly(windows_of([10] * 12), 50)
    assert [int(part.tokens_W.sum()) for part in parts] == [40, 40, 40]


def test_windows_nearly_as_long_as_the_bound_are_packed_in_order():
    # equal shares of these never keep to 100 tokens: found by a random search
    lengths = [100, 100, 99, 99, 100, 99, 2, 1, 99, 1, 99, 1, 100, 100, 1, 100, 2, 1, 100, 100]
    sizes = [int(part.tokens_W.sum()) for part in split_evenly(windows_of(lengths), 60)]
    assert sizes == [100, 100, 99, 99, 100, 99, 3, 100, 100, 100, 100, 1, 100, 3, 100, 100]


def windows_of(lengths: list[int]) -> Windows:
    """Inner windows of so many tokens: no end is the protein's."""
    tokens = np.array(lengths)
    numbers = np.arange(len(tokens))
    return Windows(numbers, np.ones_like(tokens), tokens + 1, tokens + 5, numbers)


def test_a_part_without_sequences_is_said_to_be_empty(tmp_path):
    empty = write_corpus(tmp_path / "corpus", proteins(2)).heldout
    with pytest.raises(InputError, match="saw no sequences in this part"):
        Stream(empty, CONTEXT, seed=1).windows(0, 1)


def test_tokens_are_the_letters_that_went_in(part):
    stream = Stream(part, 1000, seed=1)
    windows = stream.windows(0, NUM)
    tokens = stream.read(windows, CharacterTokenizer())
    bounds = np.cumsum([0, *tokens.lengths])
    read = {decode(tokens.ids_T[a + 1 : b - 1]) for a, b in pairwise(bounds)}
    assert read == set(proteins(NUM, low=5, high=120))
