"""`evaluate`, `fewshot`, `calibrate` and `verify --against`: from words to files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lexome.results.tables import read_provenance
from lexome.sequence.mutations import apply_mutant, parse_mutant
from tests.commands import Finished
from tests.suites.toy_assays import PROTEINS, singles, write_assays

Lexome = Callable[..., Finished]


@pytest.fixture
def assays(tmp_path: Path) -> Path:
    return write_assays(tmp_path / "dms")


def test_a_suite_is_asked_for_by_name(lexome: Lexome) -> None:
    done = lexome("evaluate", "--help")
    assert done.code == 0
    for suite in ("proteingym", "brca1", "clinvar"):
        assert suite in done.out
        told = lexome("evaluate", suite, "--help").out
        assert told.count(f"lexome evaluate {suite}") >= 2
    assert lexome("evaluate", "nonsense").code == 2


def test_proteingym_prints_assays_and_means(lexome: Lexome, assays: Path) -> None:
    done = lexome("evaluate", "proteingym", "--rule", "blosum62", "--data", assays)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1].startswith("AAA_TOY_One_2000,190,0,1.0")
    assert any(line.startswith("mean,2,1.0") for line in lines)


def test_proteingym_writes_a_table_scores_and_json(
    lexome: Lexome, assays: Path, esm2: Path, tmp_path: Path
) -> None:
    output, scores = tmp_path / "out.parquet", tmp_path / "scores"
    words = ("evaluate", "proteingym", "-m", esm2, "--rule", "masked-marginal", "--data", assays)
    done = lexome(*words, "-o", output, "--scores", scores, "--json", "--quiet")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert len(facts["assays"]) == 3
    assert read_provenance(output)["rule"] == "masked-marginal"
    assert len(list(scores.glob("*.parquet"))) == 3
    one = pl.read_parquet(scores / "BBB_TOY_One_2002.parquet")
    assert one["score"].null_count() == 0
    table = pl.read_parquet(output)
    assert table["model"].to_list() == ["esm2-toy"] * 3


def test_an_assay_without_figures_ends_with_four(
    lexome: Lexome, assays: Path, tmp_path: Path
) -> None:
    path = assays / "BBB_TOY_One_2002.csv"
    path.write_text("mutant,DMS_score\nR1A,1\nR1C,2\n")
    done = lexome(
        *("evaluate", "proteingym", "--rule", "blosum62", "--data", assays),
        *("-o", tmp_path / "out.csv"),
    )
    assert done.code == 4
    assert "1 assays have no figures" in done.err
    row = pl.read_csv(tmp_path / "out.csv").row(2, named=True)
    assert (row["count"], row["unscored"]) == (0, 2)
    assert "the reference has W at 1, not R" in row["note"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rule", "blosum62", "--assays", "AAA_TOY_Once_2000"), "AAA_TOY_One_2000"),
        (("--rule", "wt-marginal"), "no model"),
        (("--rule", "blosum62", "-m", "protein-mini"), "--rule blosum62 alone"),
        (("--rule", "nonsense", "-m", "protein-mini"), "no such rule"),
        (("--alignment", "a.a2m", "--rule", "site"), "3 assays"),
    ],
)
def test_what_cannot_be_run_is_refused(
    lexome: Lexome, assays: Path, words: tuple[str, ...], said: str
) -> None:
    done = lexome("evaluate", "proteingym", "--data", assays, *words)
    assert done.code == 2
    assert said in done.error


def test_an_alignment_serves_the_one_assay_that_it_is_of(
    lexome: Lexome, assays: Path, tmp_path: Path
) -> None:
    rows = ["MKTAYIAKQR", "MKTAYLAKQR", "MRTAYIAKQK", "MKSAYVAKNR", "LKTGYIAKQR"]
    path = tmp_path / "family.a2m"
    path.write_text("".join(f">s{i}/1-10\n{row}\n" for i, row in enumerate(rows)))
    done = lexome(
        *("evaluate", "proteingym", "--data", assays, "--assays", "AAA_TOY_One_2000"),
        *("--alignment", path, "--rule", "site", "--quiet"),
    )
    assert done.code == 0, done.err
    assert done.out.splitlines()[1].startswith("AAA_TOY_One_2000,190,0,")


def test_fewshot_fits_and_predicts(lexome: Lexome, tmp_path: Path) -> None:
    texts = singles(PROTEINS["AAA_TOY"])
    rng = np.random.default_rng(0)
    truth = rng.normal(size=len(texts))
    table = tmp_path / "table.csv"
    pl.DataFrame({"mutant": texts, "y": truth, "llr": truth + rng.normal(size=190)}).write_csv(
        table
    )
    run = tmp_path / "run"
    words = ("fewshot", table, "--label", "y", "--score", "llr", "-o", run)
    done = lexome(*words, "--splits", 2, "--sizes", "24,48")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].startswith("model,count,estimate,low,high")
    assert (run / "curve.png").stat().st_size > 10_000
    assert "something there" in lexome(*words).error
    new = tmp_path / "new.csv"
    new.write_text("mutant,llr\nM1A,0.5\nR1A,0.5\n")
    done = lexome("fewshot", new, "--use", run, "--score", "llr", "-o", tmp_path / "said.csv")
    assert done.code == 4
    said = pl.read_csv(tmp_path / "said.csv")
    assert said["value"].is_null().to_list() == [False, True]
    assert said["reason"][1] == "the wild type has M at 1, not R"
    assert "--sizes" in lexome(*words[:-1], tmp_path / "b", "--sizes", "a,b").error
    assert "--label" in lexome("fewshot", table, "-o", tmp_path / "c").error


def test_calibrate_fits_and_is_used(lexome: Lexome, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(size=300)
    truth = (rng.random(300) < 1 / (1 + np.exp(-2 * score))).astype(int)
    table = tmp_path / "scored.csv"
    pl.DataFrame({"llr": score, "bad": truth}).write_csv(table)
    run = tmp_path / "run"
    words = ("calibrate", table, "--score", "llr", "--label", "bad", "-o", run)
    done = lexome(*words, "--about", "toys", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["figures"]["brier"]["value"] < facts["figures"]["brier_constant"]["value"]
    assert any("--group" in limit for limit in facts["limits"])
    new = tmp_path / "new.csv"
    new.write_text("id,llr,other\na,0.2,1\nb,77,1\n")
    words = ("calibrate", new, "--use", run, "--score", "llr", "-o", tmp_path / "said.csv")
    done = lexome(*words, "--prevalence", 0.01)
    assert done.code == 4
    said = pl.read_csv(tmp_path / "said.csv")
    assert said["probability"][0] < 0.05
    assert "lies outside" in said["reason"][1]
    done = lexome("calibrate", new, "--use", run, "--score", "other", "-o", tmp_path / "x.csv")
    assert "fitted to the column 'llr'" in done.err
    assert "--prevalence" in lexome(*words, "--prevalence", 2).error


def test_verify_holds_a_model_to_published_scores(
    lexome: Lexome, esm2: Path, tmp_path: Path
) -> None:
    """Scores of `variants` as the published column: met; shifted by a hundredth: not met."""
    protein = PROTEINS["AAA_TOY"]
    texts = singles(protein)
    rows = pl.DataFrame(
        {
            "mutant": texts,
            "mutated_sequence": [apply_mutant(parse_mutant(text), protein) for text in texts],
        }
    )
    rows.write_csv(tmp_path / "mutants.csv")
    out = tmp_path / "scores.csv"
    done = lexome(
        *("variants", tmp_path / "mutants.csv", "--fasta", protein, "-m", esm2, "-o", out),
        *("--mutant", "mutant"),
    )
    assert done.code == 0, done.err
    score = pl.read_csv(out)["score"]
    path = tmp_path / "published.csv"
    rows.with_columns(toy__wt_marginals=score).write_csv(path)
    words = ("verify", esm2, "--against", path, "--column", "toy__wt_marginals")
    done = lexome(*words)
    assert done.code == 0, done.err
    assert "190 mutants: largest difference" in done.err
    rows.with_columns(toy__wt_marginals=score + 0.01).write_csv(path)
    done = lexome(*words)
    assert done.code == 2
    assert "190 mutants differing by up to 0.01" in done.error
    assert lexome(*words, "--tolerance", 0.02).code == 0
    assert "--against with it" in lexome("verify", esm2, "--column", "x").error
