"""Augmented regression: on paper, against scikit-learn on whole sequences, saved and loaded."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge

from lexome.errors import InputError
from lexome.results.tables import read_provenance
from lexome.sequence.mutations import AMINO_ACIDS, Mutant, apply_mutant, parse_mutant
from lexome.training.augmented import (
    PENALTIES,
    SCORE_PENALTY,
    code_mutants,
    decompose,
    fit_augmented,
    free_columns,
    predict_augmented,
    solve,
)
from lexome.training.few_shot import draw_curve_points, summarise, usable_sizes
from lexome.training.few_shot_run import (
    load_augmented,
    predict_table,
    read_rows,
    run_few_shot,
)

PROTEIN = "MKTAYIAKQRWCHE"


def random_mutants(num: int, seed: int = 0, most: int = 3) -> list[Mutant]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(num):
        places = np.sort(rng.choice(len(PROTEIN), rng.integers(1, most + 1), replace=False))
        parts = []
        for place in places:
            others = [a for a in AMINO_ACIDS if a != PROTEIN[place]]
            parts.append(f"{PROTEIN[place]}{place + 1}{rng.choice(others)}")
        found.append(parse_mutant(":".join(parts)))
    return found


def one_hot(mutants: list[Mutant]) -> np.ndarray:
    rows = [apply_mutant(mutant, PROTEIN) for mutant in mutants]
    return np.array([[float(a == b) for a in row for b in AMINO_ACIDS] for row in rows])


@pytest.mark.parametrize("with_score", [False, True])
def test_it_is_ridge_on_whole_sequences(with_score: bool) -> None:
    """The published form: one column a residue and place, the score's column scaled by 1e4."""
    rng = np.random.default_rng(1)
    train, asked = random_mutants(60), random_mutants(40, seed=9)
    labels, scores = rng.normal(size=60), rng.normal(size=60)
    new_scores = rng.normal(size=40)
    model = fit_augmented(train, labels, scores if with_score else None)
    columns, new_columns = one_hot(train), one_hot(asked)
    if with_score:
        mean, scale = scores.mean(), scores.std()
        columns = np.c_[columns, (scores - mean) / scale * np.sqrt(1 / SCORE_PENALTY)]
        new_columns = np.c_[new_columns, (new_scores - mean) / scale * np.sqrt(1 / SCORE_PENALTY)]
    wanted = Ridge(alpha=model.penalty, solver="svd").fit(columns, labels).predict(new_columns)
    found = predict_augmented(model, asked, list(new_scores) if with_score else None)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert model.penalty in PENALTIES


def test_one_row_by_hand() -> None:
    """Two rows A, B with labels 1, 3, no shared residue, penalty 2, each row's square 2.

    The intercept is 2 by symmetry; w = +-1 x 2 / (2 + 2) of the label's distance, seen through
    the two coordinates of a row: the predictions are 2 -+ 1/2.
    """
    rows = code_mutants([parse_mutant("A1C"), parse_mutant("D2E")]).rows_NF
    gram = (rows @ rows.T).toarray()
    assert gram.tolist() == [[2.0, 0.0], [0.0, 2.0]]
    free = free_columns(2, None, 0.0, 1.0)
    found = solve(decompose(gram), free, np.array([1.0, 3.0]), 2.0)
    np.testing.assert_allclose(free @ found.free_P + gram @ found.dual_N, [1.5, 2.5])


def test_an_unseen_residue_leaves_the_word_to_the_score() -> None:
    train = [parse_mutant(t) for t in ("M1A", "M1C", "K2A", "K2C", "T3A", "T3C")]
    scores = np.array([0.0, 1, 2, 3, 4, 5])
    model = fit_augmented(train, 2 * scores + 1, scores)
    found = predict_augmented(model, [parse_mutant("Y5W"), parse_mutant("H13A")], [0.0, 10.0])
    np.testing.assert_allclose(found, [1.0, 21.0], atol=1e-4)


def test_what_cannot_be_predicted_says_why() -> None:
    train = [parse_mutant(t) for t in ("M1A", "M1C", "K2A", "K2C")]
    model = fit_augmented(train, [1.0, 2, 3, 4], [1.0, 2, 3, 5])
    asked = [parse_mutant(t) for t in ("M1del", "R1A", "K2*", "M1A")]
    found = predict_augmented(model, asked, [1.0, 1.0, 1.0, None])
    assert found == [
        "M1del: only substitutions have a place of their own",
        "the wild type has M at 1, not R",
        "K2*: none of the 20 amino acids",
        "no score, which the model asks for",
    ]
    with pytest.raises(InputError, match="M and R as the wild type's residue 1"):
        fit_augmented([*train, parse_mutant("R1A")], [1.0, 2, 3, 4, 5])
    with pytest.raises(InputError, match="1 of them not finite"):
        fit_augmented(train, [1.0, 2, 3, np.nan])


def additive(mutants: list[Mutant], seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a random additive landscape, and a score that knows them in part."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=(len(PROTEIN), 20))
    truth = np.array(
        [sum(effect[e.position - 1, AMINO_ACIDS.index(e.alt)] for e in m.edits) for m in mutants]
    )
    return truth, truth + 1.5 * rng.normal(size=len(mutants))


def test_the_curve_rises_with_labels_and_the_score_helps() -> None:
    mutants = random_mutants(500, most=3)
    labels, scores = additive(mutants)
    curve = summarise(draw_curve_points(mutants, labels, scores, (24, 96, 384), 5))
    by_way = {
        way: curve.filter(pl.col("model") == way)["estimate"].to_list()
        for way in curve["model"].unique()
    }
    assert by_way["one-hot ridge"] == sorted(by_way["one-hot ridge"])
    assert by_way["one-hot ridge"][-1] > 0.7
    assert by_way["augmented ridge"][0] > by_way["one-hot ridge"][0] + 0.1
    assert by_way["augmented ridge"][-1] > by_way["zero-shot score"][-1] + 0.1
    assert len(set(by_way["zero-shot score"])) == 1
    assert set(curve["held_out"]) == {116}
    assert (curve["low"] <= curve["estimate"]).all()


def test_held_out_labels_are_never_looked_at() -> None:
    """Other labels in the rows that are judged change no prediction, so no ranking of the truth."""
    mutants = random_mutants(200)
    labels, scores = additive(mutants)
    first = draw_curve_points(mutants, labels, scores, (24, 96), 3, seed=5)
    from lexome.seeds import numpy_generator

    order = numpy_generator("few-shot split", 5, 0).permutation(200)
    moved = labels.copy()
    moved[order[96:]] *= -1  # Spearman of the first split turns its sign, and nothing else
    second = draw_curve_points(mutants, moved, scores, (24, 96), 1, seed=5)
    for way, values in first.found.items():
        np.testing.assert_allclose(second.found[way][0], -values[0], atol=1e-12)


def test_sizes_leave_a_fifth_for_judging() -> None:
    assert usable_sizes(100) == [24, 48]
    with pytest.raises(InputError, match="20 labelled rows"):
        usable_sizes(20)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    mutants = random_mutants(150)
    labels, scores = additive(mutants)
    frame = pl.DataFrame({"mutant": [str(m) for m in mutants], "fitness": labels, "llr": scores})
    rows = frame.write_csv() + "M1del,1.0,1.0\nM1A,,1.0\nM1A,2.0,\nnonsense,1,1\n"
    path = tmp_path / "table.csv"
    path.write_text(rows)
    return path


def test_a_run_saves_what_it_predicts_by(table: Path, tmp_path: Path) -> None:
    rows = read_rows(str(table), "fitness", "llr", None)
    assert len(rows.mutants) == 150
    assert sum(rows.left_out.values()) == 4
    assert {"no label", "no score"} <= set(rows.left_out)
    output = tmp_path / "run"
    done = run_few_shot(rows, output, {"made": "here"}, (24, 48), 2)
    assert sorted(p.name for p in output.iterdir()) == [
        *("augmented.json", "augmented.safetensors", "curve.csv", "curve.csv.meta.json"),
        *("curve.png", "curve.svg"),
    ]
    assert done.curve.height == 6
    assert read_provenance(output / "curve.csv")["left_out"] == rows.left_out
    direct = fit_augmented(rows.mutants, rows.labels, rows.scores)
    assert rows.scores is not None
    wanted = predict_augmented(direct, rows.mutants, list(rows.scores))
    found = predict_table(load_augmented(output), str(table), "llr", None)
    assert found["value"].to_list()[:150] == wanted
    assert found.height == 154
    assert found["reason"].to_list()[150:] == [
        "M1del: only substitutions have a place of their own",
        "",
        "no score, which the model asks for",
        found["reason"][153],
    ]
    with pytest.raises(InputError, match="something there"):
        run_few_shot(rows, output, {}, (24,), 1)
    with pytest.raises(InputError, match="no column of scores"):
        predict_table(load_augmented(output), str(table), None, None)
    (output / "augmented.safetensors").unlink()
    with pytest.raises(InputError, match="no saved model"):
        load_augmented(output)
