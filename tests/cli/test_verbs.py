"""Each verb from its words to its table, its exit code and what it says on the way."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lexome as package
from lexome.cli.main import VERBS
from lexome.inference.embed import embed
from lexome.inference.model import load
from lexome.results.tables import read_provenance
from tests.commands import Finished, run_process
from tests.toys import random_proteins, write_fasta

Lexome = Callable[..., Finished]
PROTEINS = [(f"p{i} of mine", protein) for i, protein in enumerate(random_proteins(9))]


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "in.fasta", PROTEINS)


def test_help_names_every_verb_and_every_verb_ends_with_examples(lexome):
    done = lexome("--help")
    assert done.code == 0
    for verb in VERBS:
        assert verb in done.out
        told = lexome(verb, "-h")
        assert told.code == 0
        examples = told.out.partition("Examples:\n")[2].rstrip().splitlines()
        assert len(examples) >= 2, f"{verb}: its examples stand on lines of their own"
        assert sum(f"lexome {verb}" in line for line in examples) >= 2


def test_the_version_is_that_of_the_package(lexome):
    assert lexome("--version").out == f"lexome {package.__version__}\n"


@pytest.mark.parametrize("words", [("embd",), ("embed",), ("embed", "in.fasta", "--laier", "1")])
def test_words_that_are_no_command_are_the_users_mistake(words, lexome):
    done = lexome(*words)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_doctor_says_what_runs_here_and_why(lexome):
    done = lexome("doctor")
    assert done.code == 0
    for word in ("lexome", "device", "threads", "native bf16", "attention kernel", "esm2-8m"):
        assert word in done.out
    found = json.loads(lexome("doctor", "--json").out)
    assert found["lexome"]["choice"] == package.__version__
    assert found["device"]["reason"]


def test_embed_writes_vectors_with_how_they_were_made(lexome, fasta, esm2, tmp_path):
    output = tmp_path / "new" / "v.parquet"
    done = lexome("embed", fasta, "-m", esm2, "-o", output, "--pooling", "max", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["rows"] == 9
    assert [line.split()[0] for line in done.err.splitlines()] == ["Model", "Saved"]
    table = pl.read_parquet(output)
    assert table["id"].to_list() == [f"p{i}" for i in range(9)]
    expected = embed(load(str(esm2)), fasta, "max").vectors
    assert np.allclose(table["vector"].to_numpy(), expected, atol=1e-5)
    notes = read_provenance(output)
    assert notes["command"].startswith("lexome embed ")
    assert notes["recipe"]["pooling"] == "max"
    assert {"sha256", "dtype", "device", "lexome_version", "created", "model"} <= set(notes)


def test_embed_gives_a_vector_a_residue_when_asked(lexome, fasta, esm2, tmp_path):
    output = tmp_path / "v.parquet"
    command = ("embed", fasta, "-m", esm2, "-o", output, "--per-residue", "--vectors", "float16")
    assert lexome(*command).code == 0
    table = pl.read_parquet(output)
    assert table["vector"].list.len().to_list() == table["length"].to_list()


def test_mapped_letters_and_windows_are_told(lexome, esm2, tmp_path):
    path = write_fasta(tmp_path / "in.fasta", [("a", "MKJJ"), ("b", "W" * 1500)])
    command = ("embed", path, "-m", esm2, "-o", tmp_path / "v.parquet")
    done = lexome(*command, "--unknown", "map", "--long", "window")
    assert done.code == 0
    assert "Letters    2 letters mapped in 1 rows (J 2)" in done.err
    assert "Windows    1 sequences" in done.err
    assert "Cropped" not in done.err


def test_cropped_rows_are_told_and_marked(lexome, esm2, run, tmp_path):
    """The run is of `new:cnn`, which sees the first 160 and the last 96 residues."""
    path = write_fasta(tmp_path / "in.fasta", [("a", "MKTW"), ("b", "W" * 1500)])
    output = tmp_path / "v.parquet"
    done = lexome("embed", path, "-m", esm2, "-o", output, "--long", "crop:30+20")
    assert "Cropped    1 sequences" in done.err
    found = pl.read_parquet(output)
    assert found.select("length", "residues_used", "windows").rows() == [(4, 4, 1), (1500, 50, 1)]
    done = lexome("predict", run, path)
    assert "Cropped    1 sequences" in done.err
    assert [line.split(",")[:3] for line in done.out.splitlines()[1:]] == [
        ["a", "4", "4"],
        ["b", "1500", "256"],
    ]
    assert "Cropped    1 sequences" in lexome("predict", run, path, "-o", tmp_path / "p.csv").err


def test_letters_that_predict_maps_are_told_with_and_without_an_output(lexome, run, tmp_path):
    path = write_fasta(tmp_path / "in.fasta", [("a", "MKJJ"), ("b", "mK"), ("c", "MK")])
    for output in ((), ("-o", tmp_path / "p.csv")):
        done = lexome("predict", run, path, "--unknown", "map", *output)
        assert done.code == 0, done.err
        assert "Letters    3 letters mapped in 2 rows (J 2, m 1)" in done.err


def test_quiet_says_nothing(lexome, fasta, esm2, run, tmp_path):
    for command in (
        ("embed", fasta, "-m", esm2, "-o", tmp_path / "v.parquet"),
        ("predict", run, fasta, "-o", tmp_path / "p.csv"),
    ):
        done = lexome(*command, "--quiet")
        assert (done.code, done.out, done.err) == (0, "", "")


def test_predict_without_an_output_is_csv_in_a_pipe(lexome, fasta, run):
    done = lexome("predict", run, fasta)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "id,length,residues_used,probability_label,threshold,prediction"
    assert [line.split(",")[0] for line in lines[1:]] == [f"p{i}" for i in range(9)]


def test_predict_writes_the_same_to_a_file_and_says_what_it_called(lexome, fasta, run, tmp_path):
    done = lexome("predict", run, fasta, "-o", tmp_path / "p.tsv")
    assert done.code == 0
    assert "9 rows (" in done.err
    shown = [line.split(",") for line in lexome("predict", run, fasta).out.splitlines()]
    written = [line.split("\t") for line in (tmp_path / "p.tsv").read_text().splitlines()]
    assert written == shown
    assert read_provenance(tmp_path / "p.tsv")["input"] == str(fasta)


def test_predict_takes_a_sequence_a_table_and_a_packed_file(lexome, table, run):
    one = lexome("predict", run, "MKTAYIAKQR")
    assert one.out.splitlines()[1].startswith("sequence_1,10,10,")
    assert len(lexome("predict", run, table).out.splitlines()) == 61


def test_finetune_tells_every_step_and_where_the_report_is(warm, table, tmp_path):
    output = tmp_path / "run"
    command = ("finetune", table, "--label", "label", "-o", output, "--epochs", 1, "--json")
    split = ("--split", "column:part", "--train", "train", "--validation", "validation")
    done = warm.run(*command, *split, "--test", "test", "--seeds", 1)
    assert done.code == 0, done.err
    said = [line.split()[0] for line in done.err.splitlines()]
    expected = [
        "Reading",
        "Cleaning",
        "Split",
        "Audit",
        "Plan",
        "Test",
        "Baseline",
        "Saved",
        "Report",
    ]
    assert [word for word in said if word in expected] == expected
    told = json.loads(done.out)
    assert Path(told["report"]).is_file()
    assert told["run"] == str(output)
    facts = json.loads((output / "run.json").read_text())
    assert facts["command"].startswith("lexome finetune ")
    again = warm.run(*command, *split, "--test", "test", "--seeds", 1)
    assert again.code == 0
    assert "holds this very run already" in again.err
    assert json.loads(again.out) == told


def test_the_whole_way_by_the_real_command_in_three_steps(tmp_path, fasta, run):
    """What a new user does last: the saved run answers his own sequences."""
    done = run_process("predict", run, fasta, "-o", tmp_path / "answers.csv")
    assert done.code == 0, done.err
    assert pl.read_csv(tmp_path / "answers.csv").height == 9
