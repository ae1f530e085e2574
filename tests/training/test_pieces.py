"""Which token answers which residue: windows, tokens of several letters, and the way back."""

import numpy as np
import pytest
import torch
from torch import nn

from lexome.architectures.predictor import HeadConfig, Predictor
from lexome.layers.convolution import Convolution
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.overlapping import OverlappingTokenizer
from lexome.training.budget import TokenBudget
from lexome.training.examples import Examples
from lexome.training.loop import answers
from lexome.training.objectives import Objective
from lexome.training.pieces import cut_pieces, find_covering, put_back, whole_pieces
from tests.toys import random_proteins

PLAIN = Objective("multiclass", 0.0, None, 0.5, 0.0, 1.0, 0.0)


def covering_by_hand(spans, length):
    """Of the tokens over each letter the one whose middle is nearest, the first of equal ones."""
    found = []
    for letter in range(length):
        over = [i for i, (start, end) in enumerate(spans) if start <= letter < end]
        middle = [abs((spans[i][0] + spans[i][1] - 1) / 2 - letter) for i in over]
        found.append(over[int(np.argmin(middle))])
    return found


@pytest.mark.parametrize("k", [3, 4, 6])
def test_a_letter_belongs_to_the_k_mer_in_whose_middle_it_stands(k):
    spans = np.array(OverlappingTokenizer(k).spans("ACGTTGCAAC")[1:-1])
    token_L, place_L = find_covering(spans, 10)
    assert token_L.tolist() == covering_by_hand(spans.tolist(), 10)
    assert place_L.tolist() == [at - spans[t][0] for at, t in enumerate(token_L)]
    assert place_L[4] in ((k - 1) // 2, k // 2)


def test_a_letter_belongs_to_the_one_token_over_it_and_one_without_to_the_nearest():
    spans = np.array([[0, 1], [1, 9], [9, 10], [12, 13]])
    token_L, place_L = find_covering(spans, 13)
    assert token_L.tolist() == [0, *[1] * 8, 2, 2, 3, 3]
    assert place_L.tolist()[:10] == [0, *range(8), 0]


def test_each_residue_is_answered_once_by_the_window_that_shows_most_around_it():
    tokenizer, sequence = CharacterTokenizer(), "ACDEFGHIKLMNPQRSTVWY"
    targets = np.arange(20)
    tokens, pieces = cut_pieces(
        [sequence, "MK"], ["a", "b"], np.append(targets, [7, 8]), tokenizer, 8
    )
    assert pieces.bounds_N1.tolist() == [0, 4, 5]
    assert [len(ids) for ids in tokens] == [10, 10, 10, 10, 4]
    assert pieces.targets(np.arange(5)).tolist() == [*range(20), 7, 8]
    said = [
        tokenizer.vocabulary[ids[at]]
        for ids, at_A in zip(tokens, pieces.token_PA, strict=True)
        for at in at_A
    ]
    assert "".join(said) == sequence + "MK"
    for ids, at_A in zip(tokens[1:3], pieces.token_PA[1:3], strict=True):
        assert min(at_A.min() - 1, len(ids) - 2 - at_A.max()) >= 2  # off a cut by a quarter
    assert pieces.of_rows(np.array([1, 0])).tolist() == [4, 0, 1, 2, 3]


def test_answers_to_sorted_pieces_come_back_in_order():
    lengths, order = np.array([3, 1, 2]), np.array([1, 2, 0])
    values = np.array([10, 20, 21, 30, 31, 32])  # of the pieces 1, 2 and 0
    assert put_back(values, order, lengths).tolist() == [30, 31, 32, 10, 20, 21]


class Near(nn.Module):
    """Sees two tokens to either side, and not where a sequence ends."""

    width = 8

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(33, 8)
        self.convolution = Convolution(8, 8, 5)

    def forward(self, tokens_N, layout):
        x_SLD, rows = layout.to_rows(self.embedding(tokens_N))
        real = rows.real_N[..., None].float()
        return layout.from_rows(self.convolution(x_SLD * real))


def examples_of(sequences, size, as_rows=False):
    tokenizer = CharacterTokenizer()
    targets, ids = np.zeros(sum(map(len, sequences)), np.int64), list(map(str, sequences))
    tokens, pieces = cut_pieces(sequences, ids, targets, tokenizer, size)
    return Examples(tokens, None, targets, as_rows, tokenizer.pad_id, "cpu", pieces=pieces)


def near_network():
    torch.manual_seed(0)
    return Predictor(Near(), HeadConfig(num_outputs=3, per_residue=True)).eval()


def read(network, examples, rows, tokens=100_000):
    found = examples.of_sequences(np.array(rows))
    return answers(network, examples, found, PLAIN, TokenBudget(tokens))


def test_windows_rejoined_are_the_whole_where_they_show_enough():
    """Windows of 16 keep residues that stand 4 from a cut: further than the network sees."""
    sequences, network = random_proteins(6, low=30, high=90), near_network()
    whole = read(network, examples_of(sequences, None), range(6))
    windows = read(network, examples_of(sequences, 16), range(6))
    assert examples_of(sequences, 16).pieces.bounds_N1[-1] > 12
    assert whole.shape == (sum(map(len, sequences)), 3)
    assert np.allclose(windows, whole, atol=1e-6)
    narrow = read(network, examples_of(sequences, 4), range(6))
    assert not np.allclose(narrow, whole, atol=1e-3)


@pytest.mark.parametrize("size", [None, 16])
def test_packed_padded_and_alone_give_the_same_answers(size):
    sequences, network = random_proteins(5, low=20, high=60), near_network()
    packed = read(network, examples_of(sequences, size), range(5))
    padded = read(network, examples_of(sequences, size, as_rows=True), range(5))
    small = read(network, examples_of(sequences, size), range(5), tokens=40)
    alone = [read(network, examples_of(sequences, size), [row]) for row in range(5)]
    for other in (padded, small, np.concatenate(alone)):
        assert np.allclose(packed, other, atol=1e-6)


def test_vectors_without_special_tokens_answer_by_their_own_places():
    pieces = whole_pieces(["ACD", "MK"], ["a", "b"], np.arange(5), CharacterTokenizer())
    assert [token.tolist() for token in pieces.token_PA] == [[0, 1, 2], [0, 1]]
    assert pieces.targets(np.array([1, 0])).tolist() == [3, 4, 0, 1, 2]
