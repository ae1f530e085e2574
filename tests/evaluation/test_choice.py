"""The best of many: noise looks good until the choice is corrected, what is good stays so."""

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.choice import choose_best
from lexome.evaluation.metrics import measure


def noise(num: int, candidates: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    generator = np.random.default_rng(seed)
    truth = (np.arange(num) % 3 == 0).astype(int)
    return truth, [generator.random(num) for _ in range(candidates)]


def test_of_pure_noise_the_best_looks_good_and_its_corrected_figure_does_not() -> None:
    gaps = []
    for seed in range(5):
        truth, answers = noise(150, 80, seed)
        choice = choose_best("binary", truth, answers, "auroc", num_resamples=300)
        naive = choice.each[choice.best]
        assert naive.low > 0.5, "chosen for its luck, the best of 80 seems to know something"
        assert choice.corrected.low < 0.5 < choice.corrected.high
        gaps.append((naive.value - 0.5, choice.corrected.value - 0.5))
    seeming, left = np.mean(gaps, axis=0)
    assert seeming > 0.1
    assert abs(left) < 0.2 * seeming


def test_one_candidate_alone_needs_no_correction() -> None:
    truth, answers = noise(300, 1, 0)
    choice = choose_best("binary", truth, [(answers[0] + 0.3 * truth) / 1.3], "auroc")
    plain = measure("binary", truth, (answers[0] + 0.3 * truth) / 1.3).overall["auroc"]
    assert choice.each[0].value == pytest.approx(plain)
    assert choice.corrected.value == pytest.approx(plain, abs=0.01)
    assert choice.chosen_C.tolist() == [1.0]


def test_a_clear_winner_keeps_its_figure() -> None:
    truth, answers = noise(200, 20, 1)
    answers[7] = 0.5 * answers[7] + 0.5 * truth
    choice = choose_best("binary", truth, answers, "auroc", num_resamples=200)
    assert choice.best == 7
    assert choice.chosen_C[7] == 1.0
    assert choice.corrected.value == pytest.approx(choice.each[7].value, abs=0.01)


def test_whole_groups_are_drawn() -> None:
    """Ten copies of ten rows: as rows they look like a hundred, as groups they are ten."""
    generator = np.random.default_rng(3)
    truth, said = np.repeat(np.arange(10) % 2, 10), np.repeat(generator.random(10), 10)
    groups = np.repeat(np.arange(10), 10)
    rows = choose_best("binary", truth, [said], "auroc").each[0]
    whole = choose_best("binary", truth, [said], "auroc", groups).each[0]
    assert whole.value == rows.value
    assert whole.high - whole.low > 2 * (rows.high - rows.low)


def test_what_cannot_be_chosen_by_is_refused() -> None:
    truth, answers = noise(30, 2, 0)
    with pytest.raises(InputError, match="metric: saw 'brier'"):
        choose_best("binary", truth, answers, "brier")
    with pytest.raises(InputError, match="no candidates"):
        choose_best("binary", truth, [], "auroc")
