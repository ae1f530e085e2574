"""What is shared is read once, and the answer is that of reading every sequence whole."""

import math

import numpy as np
import pytest

import lexome
from lexome.inference.model import Model
from lexome.scoring.likelihood import Reading, read_likelihoods
from lexome.scoring.mutants.branches import count_shared, read_branches
from lexome.scoring.pairs.forks import Fork, read_forks
from lexome.tokenizers.single_bases import HyenaTokenizer
from tests.checkpoints.decoders import read_decoder
from tests.toy_models import NextBase, toy_model

NAMES = ["progen2-tiny", "gpt2-tiny", "evo1-8k-tiny", "hyenadna-hf-tiny"]


def load(name: str) -> Model:
    return lexome.load(str(read_decoder(name).path), device="cpu")


def read_whole(model: Model, trunk: Reading, branches: list[Reading]) -> list[float]:
    """The slow plain twin: every sequence from its first token on."""
    sums = [float(x.sum(dtype=np.float64)) for x in read_likelihoods(model, [trunk, *branches])]
    return [one - sums[0] for one in sums[1:]]


def change(model: Model, generator: np.random.Generator, ids: list[int]) -> list[int]:
    """A substitution, several, an insertion, a deletion, or a cut."""
    kind, at = generator.integers(5), int(generator.integers(1, len(ids)))
    new = [int(x) for x in generator.choice(sorted(set(ids)), 3)]
    if kind == 0:
        return [*ids[:at], new[0], *ids[at + 1 :]]
    if kind == 1:
        return [*ids[:at], new[0], *ids[at + 1 : -1], new[1]]
    if kind == 2:
        return [*ids[:at], *new, *ids[at:]]
    return [*ids[:at], *ids[at + 2 :]] if kind == 3 else ids[: max(at, 3)]


def make(model: Model, seed: int) -> tuple[Reading, list[Reading]]:
    generator = np.random.default_rng(seed)
    letters = "ACGT" if "evo" in model.card.name or "hyena" in model.card.name else "ACDEFGHIKL"
    text = "".join(generator.choice(list(letters), 50))
    ids = model.tokenizer.encode(text, "reference")
    changed = [change(model, generator, ids) for _ in range(30)]
    return (
        Reading("trunk", tuple(ids), 1, len(ids)),
        [Reading("branch", tuple(one), 1, len(one)) for one in [*changed, ids]],
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [60, None])
def test_branches_score_as_sequences_read_whole(name, budget):
    model = load(name)
    trunk, branches = make(model, seed=1)
    found = read_branches(model, trunk, branches, budget)
    assert found == pytest.approx(read_whole(model, trunk, branches), abs=1e-4)
    assert found[-1] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [60, None])
def test_forks_score_as_sequences_read_whole(name, budget):
    model = load(name)
    forks, expected = [], []
    for seed in range(3):
        trunk, branches = make(model, seed)
        forks += [Fork(trunk, one) for one in branches]
        expected += read_whole(model, trunk, branches)
    assert read_forks(model, forks, budget) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_long_ones_are_read_in_turns(name, monkeypatch):
    model = load(name)
    trunk, branches = make(model, seed=3)
    expected = read_whole(model, trunk, branches)
    monkeypatch.setattr("lexome.scoring.mutants.branches.CHUNK_TOKENS", 7)
    monkeypatch.setattr("lexome.scoring.pairs.forks.CHUNK_TOKENS", 7)
    assert read_branches(model, trunk, branches) == pytest.approx(expected, abs=1e-4)
    found = read_forks(model, [Fork(trunk, one) for one in branches])
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_halved_and_comes_out_the_same(name, monkeypatch):
    model = load(name)
    trunk, branches = make(model, seed=4)
    expected = read_whole(model, trunk, branches)
    extend = model.network.extend

    def tight(tokens_BT, state):
        found = extend(tokens_BT, state)
        if len(tokens_BT) > 2:
            raise MemoryError
        return found

    monkeypatch.setattr(model.network, "extend", tight)
    assert read_branches(model, trunk, branches) == pytest.approx(expected, abs=1e-4)


def test_only_what_follows_the_branching_is_read_again(monkeypatch):
    model = load("progen2-tiny")
    ids = model.tokenizer.encode("1" + "ACDEFGHIKL" * 10)
    trunk = Reading("trunk", tuple(ids), 1, len(ids))
    branches = [trunk._replace(ids=(*ids[:80], new, *ids[81:])) for new in (5, 6, 7)]
    seen, extend = [], model.network.extend
    monkeypatch.setattr(
        model.network, "extend", lambda t, s: (seen.append(tuple(t.shape)), extend(t, s))[1]
    )
    read_branches(model, trunk, branches)
    assert seen == [(1, 100), (3, 20)]


def test_a_chain_is_worked_out_on_paper():
    """AAAA stays three times; AACA leaves its base, and comes back."""
    tokenizer = HyenaTokenizer()
    model = toy_model(NextBase(0.7, "ACGT", tokenizer), tokenizer)
    code = tokenizer.id_of

    def reading(text: str) -> Reading:
        return Reading(text, tuple(code[letter] for letter in text), 1, len(text))

    stay, leave = math.log(0.7), math.log(0.1)
    expected = [2 * leave - 2 * stay, leave - stay, stay]
    branches = [reading("AACA"), reading("AAAC"), reading("AAAAA")]
    assert read_branches(model, reading("AAAA"), branches) == pytest.approx(expected, abs=1e-5)
    forks = [Fork(reading("AAAA"), one) for one in branches]
    assert read_forks(model, forks) == pytest.approx(expected, abs=1e-5)
    # The first letter is given, not scored: only the step from it on counts.
    other_first = read_branches(model, reading("AAAA"), [reading("CAAA")])
    assert other_first == pytest.approx([leave - stay], abs=1e-5)


def test_shared_tokens_are_counted_from_the_first():
    assert count_shared([], [1]) == 0
    assert count_shared([1, 2, 3], [1, 2]) == 2
    assert count_shared([1, 2, 3], [1, 5, 3]) == 1
