"""From scores to probabilities: on paper, against scikit-learn, and on rows never seen."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from lexome.errors import InputError
from lexome.evaluation.calibrate_table import (
    calibrate_table,
    load_calibration,
    read_rows,
    use_calibration,
)
from lexome.evaluation.score_calibration import (
    calibrate,
    choose_method,
    fit_calibration,
    fit_calibrator,
    shift_prior,
)


def logistic_rows(num: int, seed: int = 0, slope: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose probability is truly the sigmoid of slope x score."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=num) * 2
    return (rng.random(num) < 1 / (1 + np.exp(-slope * score))).astype(int), score


def test_logistic_is_platts() -> None:
    """Against scikit-learn without a penalty on Platt's smoothed targets, as weighted rows."""
    truth, score = logistic_rows(300)
    positives, negatives = truth.sum(), (1 - truth).sum()
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    rows, twice = np.r_[score, score][:, None], np.r_[np.ones(300), np.zeros(300)]
    oracle = LogisticRegression(C=1e10, tol=1e-12, max_iter=10_000)
    oracle.fit(rows, twice, sample_weight=np.r_[target, 1 - target])
    asked = np.linspace(score.min(), score.max(), 50)
    found = calibrate(fit_calibrator(truth, score, "logistic"), asked)
    np.testing.assert_allclose(found, oracle.predict_proba(asked[:, None])[:, 1], atol=1e-7)


def test_separable_scores_still_get_finite_probabilities() -> None:
    truth = np.repeat([0, 1], 20)
    found = calibrate(fit_calibrator(truth, np.arange(40.0), "logistic"), [0.0, 39.0])
    assert 0 < found[0] < 0.1 < 0.9 < found[1] < 1


def test_isotonic_by_hand() -> None:
    """Steps {1}, {2, 3}, {4, 5, 6} with 0, 1 and 3 positives: 0.5/2, 1.5/3, 3.5/4."""
    truth, score = [0, 1, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6]
    up = fit_calibrator(truth, score, "isotonic")
    np.testing.assert_allclose(
        calibrate(up, [1, 2, 2.5, 3, 4, 6]), [0.25, 0.5, 0.5, 0.5, 0.875, 0.875]
    )
    np.testing.assert_allclose(calibrate(up, [3.5]), [(0.5 + 0.875) / 2])  # between two steps
    down = fit_calibrator(truth, [-s for s in score], "isotonic")
    np.testing.assert_allclose(calibrate(down, [-1, -2.5, -6]), [0.25, 0.5, 0.875])


def test_the_true_shape_wins() -> None:
    truth, score = logistic_rows(2000)
    groups = np.arange(2000)
    assert choose_method(truth, score, groups) == "logistic"
    rng = np.random.default_rng(2)
    stairs = (rng.random(2000) < np.where(np.abs(score) < 1, 0.5, score > 0)).astype(int)
    assert choose_method(stairs, score, groups) == "isotonic"


def test_held_out_probabilities_are_those_of_fits_without_the_group() -> None:
    """Labels that only the group tells: with whole groups held out nothing is left to learn."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(60), 10)
    truth = rng.integers(0, 2, 60)[group]
    score = rng.normal(size=60)[group]  # the same within a group: a rule could learn it by heart
    alone, together = fit_calibration(truth, score), fit_calibration(truth, score, group)
    assert together.figures["log_loss"].value > alone.figures["log_loss"].value + 0.03
    assert together.figures["log_loss"].high >= together.figures["log_loss_constant"].value
    assert together.num_groups == 60


def test_a_good_score_gives_true_probabilities() -> None:
    truth, score = logistic_rows(4000, seed=5)
    found = fit_calibration(truth, -score)  # the sign is found
    assert found.figures["ece_mass"].value < 0.03
    assert found.figures["log_loss"].high < found.figures["log_loss_constant"].value
    wanted = 1 / (1 + np.exp(-1.5 * np.array([-2.0, 0.0, 2.0])))
    np.testing.assert_allclose(calibrate(found.calibrator, [2.0, 0.0, -2.0]), wanted, atol=0.04)


def test_another_share_of_positives_moves_the_odds() -> None:
    """Odds 1 at a share of 1/2 become 1/9 at a share of 1/10."""
    np.testing.assert_allclose(shift_prior([0.5, 0.9], 0.5, 0.1), [0.1, 0.5])
    np.testing.assert_allclose(shift_prior([0.3], 0.2, 0.2), [0.3])
    with pytest.raises(InputError, match="above 0 and below 1"):
        shift_prior([0.5], 0.5, 1.0)


def test_prior_correction_meets_what_is_seen_under_another_share() -> None:
    """The same classes in other shares: the corrected probabilities come true, the others not."""
    rng = np.random.default_rng(7)

    def rows(num: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        truth = (rng.random(num) < share).astype(int)
        return truth, rng.normal(size=num) + 2 * truth

    truth, score = rows(4000, 0.5)
    found = fit_calibrator(truth, score, "logistic")
    truth, score = rows(40_000, 0.05)
    assert calibrate(found, score, 0.05).mean() == pytest.approx(0.05, abs=0.01)
    assert calibrate(found, score).mean() > 0.15


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="9 positive rows"):
        fit_calibration([1] * 9 + [0] * 40, np.arange(49.0))
    with pytest.raises(InputError, match="in 2 groups"):
        fit_calibration([1] * 20 + [0] * 40, np.arange(60.0), ["a"] * 10 + ["b"] * 30 + ["c"] * 20)


def test_one_group_of_most_rows_is_refused_with_the_reason() -> None:
    truth = np.r_[[0, 1] * 100, [0, 1] * 4]
    groups = ["BRCA1"] * 200 + [f"gene {i}" for i in range(8)]
    with pytest.raises(InputError, match=r"a group of 200 of 208 rows.*--group"):
        fit_calibration(truth, np.arange(208.0), groups)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    truth, score = logistic_rows(200)
    frame = pl.DataFrame(
        {
            "gene": [f"g{i % 40}" for i in range(200)],
            "kind": ["bad" if t else "good" for t in truth],
            "llr": score,
        }
    )
    path = tmp_path / "scored.csv"
    path.write_text(frame.write_csv() + "g1,bad,\ng1,,1.0\n,bad,1.0\n")
    return path


def test_a_folder_is_saved_whole_and_used(table: Path, tmp_path: Path) -> None:
    rows = read_rows(str(table), "llr", "kind", "gene", "bad")
    assert rows.left_out == {"no score": 1, "no label": 1, "no group": 1}
    output = tmp_path / "run"
    found, limits = calibrate_table(rows, output, {"score": "llr"}, "toys", prevalence=0.1)
    assert sorted(p.name for p in output.iterdir()) == [
        *("calibration.json", "held_out.csv", "held_out.csv.meta.json", "reliability.csv"),
        *("reliability.csv.meta.json", "reliability.png", "reliability.svg"),
    ]
    assert any("toys" in limit for limit in limits)
    assert any("share of 0.1" in limit for limit in limits)
    facts = json.loads((output / "calibration.json").read_text())
    assert "threshold" not in json.dumps(facts)  # no cut-off is made
    saved = load_calibration(output)
    assert saved.calibrator == found.calibrator
    new = tmp_path / "new.csv"
    new.write_text("id,llr\na,0.5\nb,999\nc,\n")
    made = use_calibration(saved, str(new), "llr")
    wanted = calibrate(found.calibrator, [0.5], 0.1)[0]
    assert made["probability"].to_list() == [pytest.approx(wanted), None, None]
    assert "999 lies outside" in made["reason"][1]
    assert made["reason"][2] == "no score"
    assert made["input_id"].to_list() == ["a", "b", "c"]
    bins = pl.read_csv(output / "reliability.csv")
    assert bins["count"].sum() == 200
    with pytest.raises(InputError, match="something there"):
        calibrate_table(rows, output, {})


def test_what_is_no_pair_of_classes_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--positive good"):
        read_rows(str(table), "llr", "kind")
    with pytest.raises(InputError, match="no 'worse'"):
        read_rows(str(table), "llr", "kind", positive="worse")
    with pytest.raises(InputError, match="no column"):
        read_rows(str(table), "score", "kind", positive="bad")
    with pytest.raises(InputError, match="no saved calibration"):
        load_calibration(tmp_path)


def test_which_way_scores_rise_does_not_depend_on_the_order_of_tied_rows() -> None:
    """Sixty of 400 positives and ten of 400 negatives are at -1, all others at 0: it falls."""
    truth = np.repeat([0, 1], 400)
    score = np.zeros(800)
    score[:10] = score[400:460] = -1
    for order in (np.arange(800), np.arange(800)[::-1]):
        found = fit_calibration(truth[order], score[order])
        assert found.figures["auroc"].value == pytest.approx(0.5625)
        isotonic = fit_calibrator(truth[order], score[order], "isotonic")
        assert calibrate(isotonic, [-1])[0] > calibrate(isotonic, [0])[0]
