"""`lexome split` and `lexome audit` from the terminal: tables, notes, exit codes."""

import json
from pathlib import Path

import polars as pl
import pytest

from lexome.results.tables import read_provenance
from tests.commands import call_main
from tests.evaluation.test_split_table import families


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV of families of DNA."""
    path = tmp_path / "rows.csv"
    families().write_csv(path)
    return path


def test_a_split_is_written_with_its_notes_and_audits_clean(
    table: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    output = tmp_path / "split.parquet"
    asked = ["split", table, "--stratify", "label", "--parts", "0.6,0.2,0.2", "-o", output]
    done = call_main(capsys, monkeypatch, *asked, "--json")
    assert done.code == 0, done.err
    assert "both strands" in done.err
    facts = json.loads(done.out)
    assert [part["rows"] for part in facts["parts"]] == [72, 24, 24]
    made = pl.read_parquet(output)
    assert made.columns == ["family", "sequence", "label", "part", "group"]
    assert read_provenance(output)["method"] == "kmers"
    again = tmp_path / "again.parquet"
    call_main(capsys, monkeypatch, *asked[:-1], again, "--quiet")
    assert pl.read_parquet(again).equals(made)

    audited = call_main(capsys, monkeypatch, "audit", output, "--split", "column:part")
    assert audited.code == 0, audited.err
    assert "no copies across parts" in audited.err


def test_leaks_end_with_exit_code_4_and_a_table_of_pairs(
    table: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    split, pairs = tmp_path / "split.csv", tmp_path / "pairs.csv"
    told = call_main(
        capsys, monkeypatch, "split", table, "--split", "random", "--folds", 4, "-o", split
    )
    assert told.code == 0
    assert "kin may stand" in told.err
    done = call_main(capsys, monkeypatch, "audit", split, "--split", "column:fold", "-o", pairs)
    assert done.code == 4
    found = pl.read_csv(pairs)
    assert set(found["leak"]) <= {"exact", "reverse complement", "near"}
    assert (found["part_a"] != found["part_b"]).all()
    assert read_provenance(pairs)["leaks"] is True


def test_nothing_is_written_where_a_split_is_refused(
    table: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    output = tmp_path / "split.csv"
    done = call_main(
        capsys, monkeypatch, "split", table, "--split", "random", "--group", "family", "-o", output
    )
    assert done.code == 2
    assert "leaks by construction" in done.error
    done = call_main(capsys, monkeypatch, "split", table, "--parts", "a,b", "-o", output)
    assert "numbers with commas" in done.error
    assert not output.exists()
