"""Many mutants in arrays: the same as one by one, whatever stands among them."""

import numpy as np
import pytest

from lexome.scoring.mutants.additive import score_texts, score_texts_plainly
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.mutants.substitution_matrix import blosum62_scorer
from lexome.sequence.mutations import AMINO_ACIDS

PROTEIN = "MKTAYIAKQRX"
ODD = ["", "K2", "K2R:K2W", "K3R", "K2*", "M1del", "p.Lys2Arg", "=", "K2=", "K2R;T3S", "X11A"]
ODD += ["A40G", "K0R", "K2K", "T3S:", "K2R:Y9Q", "A4_Y5insG", "K-2R", "K99999999999999999999R"]


def random_texts(num: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(num):
        places = np.sort(rng.choice(10, rng.integers(1, 5), replace=False))
        parts = [f"{PROTEIN[p]}{p + 1}{rng.choice(list(AMINO_ACIDS))}" for p in places]
        texts.append(":".join(parts))
    return texts


def assert_same(scorer: MutantScorer, texts: list[str]) -> None:
    fast, slow = score_texts(scorer, PROTEIN, texts), score_texts_plainly(scorer, PROTEIN, texts)
    np.testing.assert_allclose(fast.scores, slow.scores, atol=1e-12)
    assert dict(sorted(fast.reasons.items())) == slow.reasons
    assert set(slow.reasons) == set(np.flatnonzero(np.isnan(slow.scores)))


def test_arrays_give_what_single_mutants_give() -> None:
    assert_same(blosum62_scorer(), random_texts(300) + ODD + random_texts(50, seed=1))
    assert_same(blosum62_scorer(), ODD)
    assert_same(blosum62_scorer(), [])


def test_a_rule_that_refuses_some_places_keeps_its_reasons() -> None:
    plain = blosum62_scorer()

    def compute(sequence, mutants):
        answers = plain.compute(sequence, mutants)
        return [
            "not here" if any(e.position == 4 for e in m.edits) else a
            for m, a in zip(mutants, answers, strict=True)
        ]

    assert_same(plain._replace(compute=compute), random_texts(200) + ODD)


def test_a_rule_without_a_table_is_not_taken_to_be_additive() -> None:
    """A rule that counts changes and squares them: 1, 4, 9."""

    def compute(sequence, mutants):
        return [float(len(m.edits) ** 2) for m in mutants]

    scorer = MutantScorer("squares", "", (), compute)
    assert score_texts(scorer, PROTEIN, ["K2R", "K2R:T3S", "M1A:K2R:T3S"]).scores.tolist() == [
        1,
        4,
        9,
    ]


def test_blosum62_by_hand() -> None:
    """K to R: 2 - 5; M to A: -1 - 5; both at once: -9."""
    found = score_texts(blosum62_scorer(), PROTEIN, ["K2R", "M1A", "M1A:K2R", "="])
    assert found.scores.tolist() == [-3.0, -6.0, -9.0, 0.0]


@pytest.mark.parametrize("place", [0, 4])
def test_the_table_holds_the_same_scores(place: int) -> None:
    scorer = blosum62_scorer()
    assert scorer.table is not None
    row = scorer.table(PROTEIN)[place]
    texts = [f"{PROTEIN[place]}{place + 1}{letter}" for letter in AMINO_ACIDS]
    np.testing.assert_array_equal(row, score_texts(scorer, PROTEIN, texts).scores)
