"""The assays of a folder, their figures and means; and that nothing is judged quietly."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.progress import Progress
from lexome.results.tables import read_provenance
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.mutants.substitution_matrix import blosum62_scorer
from lexome.suites.assays import find_assays, read_assay, shift_text
from lexome.suites.proteingym import (
    Judge,
    Published,
    aggregate,
    evaluate_proteingym,
    judge_assay,
    open_suite,
    read_published,
)
from lexome.suites.shared_folder import read_tasks
from tests.shared_data import shared
from tests.suites.toy_assays import write_assays

NOTHING = Published("none", {}, {})


def judge(scorer: MutantScorer, published: Published = NOTHING) -> Judge:
    return Judge(scorer, "toy", published)


def run(folder: Path, one: Judge, output: Path | None = None) -> tuple[pl.DataFrame, int]:
    _, assays = open_suite(folder)
    return evaluate_proteingym(assays, one, output, dict, Progress("", None, ""))


def test_figures_by_hand(tmp_path: Path) -> None:
    """What BLOSUM62 says itself has Spearman 1, its contrary -1."""
    folder = write_assays(tmp_path / "dms")
    table, _ = run(folder, judge(blosum62_scorer()))
    assert table["spearman"].to_list() == pytest.approx([1, -1, 1])
    assert table["auroc"].to_list()[0] == 1.0
    assert table["count"].to_list() == [190, 190, 152]
    assert table["comparable"].to_list() == ["yes", "no", "yes"]  # 193 are told for the second


def test_means_are_taken_by_protein_then_category() -> None:
    """Two assays of one protein, 0.2 and 0.4, count as one of 0.3; the category's other is 0.5."""
    table = pl.DataFrame(
        {
            "assay": ["a", "b", "c", "d", "e"],
            "spearman": [0.2, 0.4, 0.5, 0.8, 0.0],
            "comparable": ["yes", "nearly", "yes", "yes", "no"],
        }
    ).with_columns(
        *(pl.lit(None, pl.Float64).alias(n) for n in ("auroc", "mcc", "ndcg", "top_recall")),
        pl.lit(0.5).alias("published"),
        pl.lit(None, pl.Float64).alias("published_mcc"),
    )
    proteins = {"a": "P", "b": "P", "c": "Q", "d": "R", "e": "S"}
    assays = [toy(n, proteins[n], "Stability" if n == "d" else "Activity") for n in "abcde"]
    found = aggregate(table, assays)
    assert found["group"].to_list() == ["Activity", "Stability", "mean"]
    assert found["spearman"].to_list() == pytest.approx([0.4, 0.8, 0.6])
    assert found["count"].to_list() == [3, 1, 4]


def toy(name: str, uniprot: str, category: str):
    from lexome.suites.assays import Assay

    return Assay(name, Path(name), name, uniprot, category, 1, "M", "mutant", 0, None, (), "")


def test_a_killed_run_goes_on_with_the_next_assay(tmp_path: Path) -> None:
    folder, output = write_assays(tmp_path / "dms"), tmp_path / "out.parquet"
    plain = blosum62_scorer()
    asked: list[str] = []

    def breaking(sequence, mutants):
        asked.append(sequence)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return plain.compute(sequence, mutants)

    with pytest.raises(KeyboardInterrupt):
        run(folder, judge(plain._replace(compute=breaking)), output)
    assert not output.exists()
    table, resumed = run(folder, judge(plain._replace(compute=breaking)), output)
    assert resumed == 2
    assert len(asked) == 4  # the third was asked again
    whole, _ = run(folder, judge(plain))
    assert table.equals(whole)
    assert "blosum" in str(read_provenance(output)["rule_definition"]).lower()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_rows_without_a_score_are_counted_and_named(tmp_path: Path) -> None:
    folder = write_assays(tmp_path / "dms")
    path = folder / "AAA_TOY_One_2000.csv"
    rows = path.read_text().replace("M1A,", "K1A,")
    path.write_text(rows)
    keep = tmp_path / "scores"
    _, assays = open_suite(folder, ["AAA_TOY_One_2000"])
    row = judge_assay(assays[0], judge(blosum62_scorer())._replace(keep=keep))
    assert (row["count"], row["unscored"], row["comparable"]) == (189, 1, "nearly")
    assert "the reference has M at 1, not K" in row["note"]
    kept = pl.read_parquet(keep / "AAA_TOY_One_2000.parquet")
    assert kept.height == 190
    assert kept.filter(pl.col("score").is_null())["mutant"].to_list() == ["K1A"]


def test_an_assay_that_cannot_be_read_is_a_row_with_its_reason(tmp_path: Path) -> None:
    folder = write_assays(tmp_path / "dms")

    def compute(sequence, mutants):
        if len(sequence) > 9:
            raise InputError("the reference", "10 residues", "at most 9", "a shorter one")
        return [float(m.edits[0].position) for m in mutants]

    table, _ = run(folder, judge(blosum62_scorer()._replace(compute=compute)))
    assert table["spearman"].null_count() == 2
    assert "saw 10 residues" in table["note"][0]
    assert table["count"].to_list() == [0, 0, 152]


def test_missing_values_and_other_numberings_are_read(tmp_path: Path) -> None:
    folder = write_assays(tmp_path / "dms")
    path = folder / "BBB_TOY_One_2002.csv"
    path.write_text(path.read_text() + "W1A,-999.0\nW1A,\n")
    _, assays = open_suite(folder, ["BBB_TOY_One_2002"])
    rows = read_assay(assays[0])
    assert len(rows.mutants) == 152
    assert rows.sites is not None
    assert rows.is_positive.tolist() == (rows.truth >= -5).astype(int).tolist()
    shifted = read_assay(assays[0]._replace(shift=3, cutoff=None))
    assert shifted.mutants[0] == "W4A"
    assert shifted.is_positive.mean() >= 0.5
    assert shift_text("nonsense", 3) == "nonsense"


def test_what_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    folder = write_assays(tmp_path / "dms")
    with pytest.raises(InputError, match="AAA_TOY_One_2000"):
        open_suite(folder, ["AAA_TOY_One"])
    with pytest.raises(InputError, match=r"no ProteinGym|saw no"):
        open_suite(tmp_path)
    (folder / "AAA_TOY_One_2000.csv").write_text("mutant,score\nM1A,1\n")
    with pytest.raises(InputError, match="DMS_score"):
        run(folder, judge(blosum62_scorer()))


def test_published_names_are_those_of_the_table() -> None:
    shared("data/published_scores")
    assert read_published("esm2-8m").spearman["BLAT_ECOLX_Stiffler_2015"] == 0.399
    assert read_published("protein-mini").name == "ESM2 (8M)"
    assert read_published("x", "Site-Independent").mcc
    with pytest.raises(InputError, match="ESM2"):
        read_published("x", "ESM2 (8m)")


def test_every_published_name_stands_in_the_table_of_proteingym() -> None:
    path = shared("data/published_scores/proteingym_zero_shot_spearman_by_assay.csv.gz")
    told = read_tasks("proteingym")["published"]
    header = pl.read_csv(path, n_rows=0).columns
    assert set(told["names"].values()) <= set(header)
    from lexome.checkpoints.catalogue import catalogue, ensembles

    assert set(told["names"]) <= set(catalogue()) | set(ensembles())


def test_the_assays_of_the_shared_folder_compare_as_its_table_says() -> None:
    """The last table of the shared data's README; HSP82's two rows more hold -999."""
    folder = shared("data/dms")
    assays = find_assays(folder, read_tasks("proteingym"))
    assert len(assays) == 16
    wanted = {"BLAT_ECOLX_Stiffler_2015": 4996, "HSP82_YEAST_Mishra_2016": 4323}
    for assay in assays:
        if assay.name in wanted:
            rows = read_assay(assay)
            assert len(rows.mutants) == wanted[assay.name] == assay.published_rows


@pytest.mark.parametrize(
    "name", ["GB1_Wu_2016_four_site", "PABP_YEAST_Melamed_2013_RRM_multi", "ENVZ_ECOLI_Ghose_2023"]
)
def test_every_row_of_the_odd_files_agrees_with_its_wild_type(name: str) -> None:
    assays = find_assays(shared("data/dms"), read_tasks("proteingym"), [name])
    row = judge_assay(assays[0], judge(blosum62_scorer()))
    assert row["unscored"] == 0
    assert row["comparable"] in ("yes", "nearly")
    assert np.isfinite(row["spearman"])
