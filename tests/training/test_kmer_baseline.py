"""The baseline of DNA: what it counts, that validation rows alone tune it, that it is kept."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lexome.sequence.kmer_counts import count_kmers
from lexome.training.baselines.kinds import KMERS
from lexome.training.baselines.kmers import (
    fit_kmer_baseline,
    predict_kmer_baseline,
)
from lexome.training.finetune import finetune
from lexome.training.judge_run import judge_run
from lexome.training.target import read_target
from tests.training.test_strands import OPTIONS, sites

NUM = 120


def sequences_with_a_word(word: str = "GATTACA") -> tuple[list[str], list[int]]:
    generator = np.random.default_rng(3)
    letters, labels = [], []
    for i in range(NUM):
        text = "".join(generator.choice(list("ACGT"), int(generator.integers(30, 60))))
        letters.append(text[:12] + word + text[19:] if i % 2 else text)
        labels.append(i % 2)
    return letters, labels


TRAIN, HELD = np.arange(80), np.arange(80, NUM)


def test_words_are_counted_within_each_sequence_only():
    counts = count_kmers(["AAAC", "", "acgu", "ANA", "A"], 2).toarray()
    assert counts[0, 0] == 2  # AA
    assert counts[0, 1] == 1  # AC
    assert counts[2].nonzero()[0].tolist() == [1, 6, 11]  # AC, CG, GT
    assert counts[[1, 3, 4]].sum() == 0
    plain = {}
    for text in ["ACGTTGCANACG"]:
        for i in range(len(text) - 2):
            plain[text[i : i + 3]] = plain.get(text[i : i + 3], 0) + 1
    codes = {
        a + b + c: 16 * i + 4 * j + k
        for i, a in enumerate("ACGT")
        for j, b in enumerate("ACGT")
        for k, c in enumerate("ACGT")
    }
    found = count_kmers(["ACGTTGCANACG"], 3).toarray()[0]
    assert {w: found[c] for w, c in codes.items() if found[c]} == {
        w: n for w, n in plain.items() if "N" not in w
    }


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "multilabel"])
def test_a_word_is_found_and_the_model_survives_its_file(task, tmp_path):
    letters, labels = sequences_with_a_word()
    columns, names = [labels], ["label"]
    if task == "multilabel":
        columns, names = [labels, [1 - label for label in labels]], ["a", "b"]
    if task == "multiclass":
        columns = [[f"class {label}" for label in labels]]
    target = read_target(columns, names, task)
    baseline = fit_kmer_baseline(letters, target, TRAIN, HELD)
    found = predict_kmer_baseline(baseline, letters)
    score = found if found.ndim == 1 else found[:, 1 if task == "multiclass" else 0]
    truth = np.array(labels)
    assert score[HELD][truth[HELD] == 1].mean() > score[HELD][truth[HELD] == 0].mean() + 0.3
    KMERS.save(baseline, tmp_path / "baseline.json")
    again = KMERS.load(tmp_path / "baseline.json")
    assert np.array_equal(predict_kmer_baseline(again, letters), found)
    assert len(baseline.tried) == 8
    best = max(baseline.tried, key=lambda one: one["figure"])
    assert (baseline.k, baseline.strength) == (best["k"], best["strength"])


def test_it_is_logistic_regression_on_standardised_counts():
    letters, labels = sequences_with_a_word()
    target = read_target([labels], ["label"], "binary")
    baseline = fit_kmer_baseline(letters, target, TRAIN, HELD[:0])
    counts = np.concatenate([count_kmers(letters, k).toarray() for k in range(1, 7)], axis=1)
    scaler = StandardScaler(with_mean=False).fit(np.log1p(counts[TRAIN]))
    model = LogisticRegression(C=baseline.strength, max_iter=3000, tol=1e-6)
    model.fit(scaler.transform(np.log1p(counts[TRAIN])), np.array(labels)[TRAIN])
    plain = model.predict_proba(scaler.transform(np.log1p(counts)))[:, 1]
    np.testing.assert_allclose(predict_kmer_baseline(baseline, letters), plain, atol=0.01)


def test_labels_of_test_rows_are_never_looked_at():
    letters, labels = sequences_with_a_word()
    target = read_target([labels], ["label"], "binary")
    poisoned = target.values.copy()
    poisoned[100:] = 1 - poisoned[100:]
    one = fit_kmer_baseline(letters, target, TRAIN, HELD[:20])
    two = fit_kmer_baseline(letters, target._replace(values=poisoned), TRAIN, HELD[:20])
    assert np.array_equal(one.weights_KG, two.weights_KG)
    assert one.tried == two.tried


def test_a_run_of_dna_is_judged_beside_it_then_and_later(tmp_path):
    table = sites()
    run = finetune("new:cnn", table, "label", output=tmp_path / "run", **OPTIONS)
    assert run.metrics["models"][-1]["name"] == "k-mers + logistic regression"
    later = judge_run(run.directory, table.filter(table["part"] == "test"), "label")
    before, after = (
        m["models"][-1]["parts"]["test"]["auroc"]["value"] for m in (run.metrics, later)
    )
    assert before == pytest.approx(after)
