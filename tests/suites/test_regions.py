"""BRCA1, ClinVar and the windows around their variants."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.scoring.mutants.substitution_matrix import blosum62_scorer
from lexome.suites import brca1, clinvar
from lexome.suites.classes import Task, judge_predictors
from lexome.suites.regions import (
    Region,
    Snv,
    check_references,
    cut_windows,
    find_fit,
    find_problem,
    read_region,
)
from tests.shared_data import shared

REGION = Region("17", 101, "ACGTTGCAAC")


def test_windows_hold_the_change_in_the_middle() -> None:
    found = cut_windows(REGION, [Snv("17", 105, "T", "G"), Snv("17", 101, "A", "C")], 4)
    assert found == [("17:105T>G", "GTTG", "GTGG", 2), ("17:101A>C", "AC", "CC", 0)]
    odd = cut_windows(REGION, [Snv("chr17", 106, "G", "A")], 5)
    assert odd == [("chr17:106G>A", "TTGCA", "TTACA", 2)]


def test_windows_are_those_of_the_published_notebook() -> None:
    """p = position - 1; from max(0, p - size / 2) to min(end, p + size / 2)."""
    rng = np.random.default_rng(0)
    bases = "".join(rng.choice(list("ACGT"), 300))
    region = Region("17", 1, bases)
    for position in (1, 20, 150, 290, 300):
        at = position - 1
        snv = Snv("17", position, bases[at], "A" if bases[at] != "A" else "C")
        ((_, ref, alt, place),) = cut_windows(region, [snv], 64)
        start, end = max(0, at - 32), min(300, at + 32)
        assert ref == bases[start:end]
        assert alt == bases[start:at] + snv.alt + bases[at + 1 : end]
        assert place == at - start


def test_shifted_positions_are_refused_with_the_offset_that_fits() -> None:
    rng = np.random.default_rng(1)
    region = Region("17", 5001, "".join(rng.choice(list("ACGT"), 2000)))
    places = rng.integers(5200, 6800, 120)
    snvs = [Snv("17", int(p) - 37, region.bases[p - 5001], "A") for p in places]
    assert find_fit(region, snvs) == (37, 1.0)
    with pytest.raises(InputError, match=r"positions \+37 fit 100.0% of them"):
        check_references(region, snvs)
    check_references(region, [s._replace(position=s.position + 37) for s in snvs])


def test_a_variant_off_the_region_says_why() -> None:
    assert find_problem(REGION, Snv("3", 105, "T", "G")) == "chromosome 3: no sequence at hand"
    assert find_problem(REGION, Snv("17", 99, "T", "G")) == "position 99: no sequence at hand"
    assert find_problem(REGION, Snv("17", 105, "A", "G")) == "the reference has T at 105, not A"
    assert find_problem(REGION, Snv("17", 105, "T", "GA")) == "GA is no single base"
    assert find_problem(REGION, Snv("17", 105, "T", "G")) == ""


def test_a_region_is_held_to_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "region.fa"
    path.write_text(">chr17:101-110 GRCh38\nACGTT\nGCAAC\n")
    assert read_region(path) == REGION
    path.write_text(">chr17:101-111\nACGTTGCAAC\n")
    with pytest.raises(InputError, match="10 bases"):
        read_region(path)
    path.write_text(">my region\nACGT\n")
    with pytest.raises(InputError, match="my"):
        read_region(path)


def test_predictors_are_judged_on_the_rows_that_they_scored() -> None:
    yes = np.array([True, True, False, False, True, False])
    worse = {"a": np.array([6, 5, 4, 3, 2, 1.0]), "b": np.array([9, np.nan, 1, np.nan, 8, 2.0])}
    groups = {"all": np.ones(6, bool), "few": np.array([True, False, True, False, False, False])}
    task = Task("yes or no", yes, np.ones(6, bool))
    found = judge_predictors(task, worse, groups, np.arange(6))
    assert found["model"].to_list() == ["b", "a", "a", "b"]
    assert found["count"].to_list() == [4, 6, 2, 2]
    assert found["unscored"].to_list() == [2, 0, 0, 0]
    assert found["auroc"].to_list() == pytest.approx([1.0, 7 / 9, 1.0, 1.0])
    assert judge_predictors(task, worse, groups, np.arange(6), least=5).height == 1


def test_brca1_by_its_own_columns() -> None:
    shared("data/variants")
    suite = brca1.open_brca1()
    assert len(suite.variants) == 3893
    asked: list[tuple[str, str, str, int]] = []

    def score_pairs(windows):
        asked.extend(windows)
        return [0.0 if i else "no" for i, _ in enumerate(windows)]

    scores, reasons = brca1.score_dna(suite, score_pairs, 64)
    assert reasons == {0: "no"}
    assert np.isnan(scores).sum() == 1
    for _, ref, alt, place in asked:
        assert len(ref) == len(alt) == 64
        assert [i for i in range(64) if ref[i] != alt[i]] == [place]
    missense, why = brca1.score_missense(suite.table, blosum62_scorer())
    assert (int(np.isfinite(missense).sum()), len(why)) == (2086, 1807)
    table = brca1.judge_brca1(
        suite, {"ours": -suite.table["CADD.score"].cast(pl.Float64).to_numpy()}
    )
    rows = table.filter((pl.col("group") == "all") & (pl.col("task") == "LOF against FUNC and INT"))
    by_model = dict(zip(rows["model"], rows["auroc"], strict=True))
    assert by_model["ours"] == by_model["CADD.score"] == pytest.approx(0.804, abs=1e-3)


def test_brca1_with_other_coordinates_is_refused(tmp_path: Path) -> None:
    folder = shared("data/variants")
    table = pl.read_csv(folder / "brca1_findlay2018_sge.csv.gz", infer_schema=False)
    moved = table.with_columns((pl.col("pos_GRCh38").cast(int) + 11).alias("pos_GRCh38"))
    path = tmp_path / "brca1_findlay2018_sge.csv.gz"
    path.write_bytes(gzip.compress(moved.write_csv().encode()))
    name = "brca1_region_GRCh38_chr17_42425000_43600000.fa.gz"
    (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(InputError, match=r"positions -11 fit 100.0%"):
        brca1.open_brca1(tmp_path)


def test_clinvar_scores_what_lies_on_the_region() -> None:
    shared("data/variants")
    suite = clinvar.open_clinvar()
    scores, reasons = clinvar.score_dna(suite, lambda windows: [1.0] * len(windows), 128)
    assert int(np.isfinite(scores).sum()) == 17
    assert len(reasons) == 983
    table = clinvar.judge_clinvar(suite, {})
    top = table.row(0, named=True)
    assert (top["group"], top["model"], top["count"]) == ("all", "gpnstar_v_llr", 1000)
    assert top["auroc"] == pytest.approx(0.887, abs=1e-3)
    assert {"missense", "splice", "intron"} <= set(table["group"].to_list())
