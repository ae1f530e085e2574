"""`generate` and `score`: from words to files, and stopped at any moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lexome.io.fasta import read_fasta
from lexome.results.tables import read_provenance
from tests.commands import SMALL_DISK, Finished, warm_start
from tests.toy_causal import write_progen2
from tests.toys import random_proteins, write_esm2, write_fasta

Lexome = Callable[..., Finished]
SMALL_PARTS = {"inference__parts__PART_RECORDS": 4}
FEW_ROWS = ("--max-rows", 4)


@pytest.fixture(scope="module")
def progen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_progen2(tmp_path_factory.mktemp("progen2-toy"))


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    proteins = random_proteins(40, low=100, high=200)
    return write_fasta(tmp_path / "in.fasta", ((f"p{i}", p) for i, p in enumerate(proteins)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fasta_tells_what_is_known_of_every_sequence(progen, lexome, tmp_path):
    output = tmp_path / "new.fasta"
    done = lexome("generate", "-m", progen, "--prompt", "MKT", "-n", 7, "--seed", 3, "-o", output)
    assert done.code == 0, done.err
    assert "token ids 3 16 14 23 (tag n-to-c)" in done.err
    records = list(read_fasta(output))
    assert [record.id for record in records] == [f"sample_{i}" for i in range(1, 8)]
    for record in records:
        facts = dict(word.split("=") for word in record.name.split()[1:])
        assert record.sequence.startswith("MKT")
        assert float(facts["log_likelihood"]) < 0
        assert facts["stop_reason"] in ("stop_token", "max_new", "context")
        assert facts["prompt_ids"] == "3,16,14,23"
        assert facts["seed"] == "3"
    notes = json.loads((tmp_path / "new.fasta.meta.json").read_text())
    assert notes["amount"]["n"] == 7
    assert "natural logarithm" in notes["definitions"]["log_likelihood"]
    assert names(tmp_path) == ["new.fasta", "new.fasta.meta.json"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "tsv"])
def test_tables_hold_the_same(ending, progen, lexome, tmp_path):
    command = ("generate", "-m", progen, "-n", 4, "--seed", 5, "--max-new", 30, "--quiet")
    assert lexome(*command, "-o", tmp_path / "new.fa").code == 0
    output = tmp_path / f"new.{ending}"
    done = lexome(*command, "-o", output, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["sequences"] == 4
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}
    table = read.get(ending, lambda p: pl.read_csv(p, separator="\t"))(output)
    assert table["sequence"].to_list() == [r.sequence for r in read_fasta(tmp_path / "new.fa")]
    assert set(table["stop_reason"]) <= {"stop_token", "max_new"}
    assert read_provenance(output)["sampling"]["temperature"] == 1.0


def test_without_an_output_fasta_streams_in_order(progen, lexome, tmp_path):
    command = ("generate", "-m", progen, "-n", 6, "--seed", 5, "--max-new", 30, *FEW_ROWS)
    done = lexome(*command)
    assert done.code == 0, done.err
    assert lexome(*command, "-o", tmp_path / "new.fasta").code == 0
    assert done.out == (tmp_path / "new.fasta").read_text()
    best = lexome(*command, "--best", 2)
    assert best.out.count(">") == 2


def test_prompts_come_from_a_file_too(progen, lexome, tmp_path):
    prompts = write_fasta(tmp_path / "prompts.fasta", [("a", "MK"), ("b", "MKTAYIAKQR")])
    done = lexome("generate", "-m", progen, "--prompts", prompts, "-n", 2, "--max-new", 5)
    assert done.code == 0, done.err
    ids = [line.split()[0] for line in done.out.splitlines() if line.startswith(">")]
    assert ids == [">a_1", ">a_2", ">b_1", ">b_2"]


def generate_words(progen: Path, n: int = 150) -> tuple[object, ...]:
    return ("generate", "-m", progen, "--prompt", "MK", "-n", n, "--max-new", 60, *FEW_ROWS)


def test_killed_at_any_moment_the_same_command_makes_the_same_file(progen, warm, tmp_path):
    whole, output = tmp_path / "whole.fasta", tmp_path / "killed.fasta"
    assert warm.run(*generate_words(progen), "-o", whole).code == 0
    killed, kept = 0, 0
    for latest in np.linspace(0.2, 1.2, 6):
        delay = random.uniform(0.1, latest)
        done = warm.run_and_signal(signal.SIGKILL, delay, *generate_words(progen), "-o", output)
        assert done.code in (0, -signal.SIGKILL), done.err
        if done.code == 0:  # it had the time to end
            output.unlink()
            kept = 0
        killed += done.code != 0
        for journal in tmp_path.glob(".killed.fasta.*.journal"):
            lines = journal.read_bytes().count(b"\n")
            assert lines >= kept  # what was finished is never made again
            kept = lines
    done = warm.run(*generate_words(progen), "-o", output)
    assert done.code == 0, done.err
    assert killed >= 1
    assert output.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_torn_last_line_is_taken_off(progen, lexome, tmp_path, monkeypatch):
    output = tmp_path / "new.fasta"
    with monkeypatch.context() as patched:

        def stop(*args: object) -> None:
            raise RuntimeError("stopped here")

        patched.setattr("lexome.generation.generate_file._write", stop)
        assert lexome(*generate_words(progen, 9), "-o", output).code == 1
    (journal,) = tmp_path.glob(".new.fasta.*.journal")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-25])
    done = lexome(*generate_words(progen, 9), "-o", output)
    assert done.code == 0, done.err
    assert "8 sequences stood from an earlier run" in done.err
    assert lexome(*generate_words(progen, 9), "-o", tmp_path / "again.fasta").code == 0
    assert output.read_bytes() == (tmp_path / "again.fasta").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_code_3_and_keeps_what_is_finished(number, progen, warm, tmp_path):
    output = tmp_path / "new.fasta"
    process = warm.start(*generate_words(progen, 5000), "-o", output)
    began = time.monotonic()
    while not any(p.stat().st_size > 3000 for p in tmp_path.glob(".new.fasta.*.journal")):
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    os.kill(process, number)
    done = warm.wait()
    assert done.code == 3
    assert "what is finished is kept" in done.error
    assert not output.exists()
    (journal,) = tmp_path.glob(".new.fasta.*.journal")
    lines = journal.read_bytes().count(b"\n")
    # fewer of the same settings are asked for: they are there already, or go on from there
    done = warm.run(*generate_words(progen, lines // 2), "-o", output)
    assert done.code == 0, done.err
    assert "stood from an earlier run" in done.err
    whole = tmp_path / "whole.fasta"
    assert warm.run(*generate_words(progen, lines // 2), "-o", whole).code == 0
    assert output.read_bytes() == whole.read_bytes()


def test_a_full_disk_costs_one_line_and_the_run_goes_on_when_there_is_space(
    progen, tmp_path_factory, tmp_path
):
    disk = tmp_path_factory.mktemp("disk")
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small disk with")
    if subprocess.run([*SMALL_DISK, str(disk), "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    with warm_start(tmp_path, [*SMALL_DISK, str(disk)]) as small:
        seen = small.sees(disk)
        space = os.statvfs(seen)
        ballast = seen / "ballast"
        ballast.write_bytes(b"x" * (space.f_bavail * space.f_frsize - 40_000))
        words = (*generate_words(progen), "-o", disk / "new.fasta")
        done = small.run(*words)
        assert done.code == 2, done.err
        assert "saw a full disk" in done.error
        assert "bytes free in" in done.error
        ballast.unlink()
        done = small.run(*words)
        assert done.code == 0, done.err
        assert "stood from an earlier run" in done.err
        assert sorted(p.name for p in seen.iterdir()) == ["new.fasta", "new.fasta.meta.json"]
        whole = tmp_path / "whole.fasta"
        assert small.run(*generate_words(progen), "-o", whole).code == 0
        assert (seen / "new.fasta").read_bytes() == whole.read_bytes()


def test_two_runs_do_not_make_one_file(progen, lexome, warm, tmp_path):
    output = tmp_path / "new.fasta"
    process = warm.start(*generate_words(progen, 5000), "-o", output)
    began = time.monotonic()
    while not list(tmp_path.glob(".new.fasta.*.journal")):
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    time.sleep(0.2)
    done = lexome(*generate_words(progen, 5000), "-o", output)
    os.kill(process, signal.SIGKILL)
    warm.wait()
    assert done.code == 2
    assert "another run that is making it" in done.error


def test_scores_come_in_order_with_the_rule_in_the_notes(progen, fasta, lexome, tmp_path):
    output = tmp_path / "scores.csv"
    done = lexome("score", fasta, "-m", progen, "-o", output, "--rule", "progen2", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["rows"] == 40
    table = pl.read_csv(output)
    assert table["id"].to_list() == [f"p{i}" for i in range(40)]
    assert set(table["rule"]) == {"progen2"}
    assert "25 letters" in read_provenance(output)["rule_definition"]
    piped = lexome("score", fasta, "-m", progen, "--rule", "progen2")
    assert piped.out == output.read_text()


def test_a_killed_scoring_finishes_with_the_same_table(progen, fasta, warm, tmp_path):
    words = ("score", fasta, "-m", progen, "--per-position")
    whole, output = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    assert warm.run(*words, "-o", whole, **SMALL_PARTS).code == 0
    for _ in range(4):
        warm.run_and_signal(
            signal.SIGKILL, random.uniform(0.05, 0.5), *words, "-o", output, **SMALL_PARTS
        )
    assert warm.run(*words, "-o", output, **SMALL_PARTS).code == 0
    assert pl.read_parquet(output).equals(pl.read_parquet(whole))


WRONG = [
    (("generate", "--prompt", "MKJ"), "the letter 'J'"),
    (("generate", "--prompt", "M" * 300), "context of 256"),
    (("generate", "-n", "0"), "n: saw 0"),
    (("generate", "--temperature", "-1"), "temperature: saw -1"),
    (("generate", "--top-p", "1.5"), "top_p: saw 1.5"),
    (("generate", "--tag", "ec=1.1.1.1"), "no tag of ProGen2"),
    (("generate", "-o", "new.xyz"), "the ending .xyz"),
    (("generate", "--prompt", "M", "--prompts", "x.fasta"), "one of them"),
    (("generate", "--prompts", "no.fasta"), "no.fasta"),
    (("generate", "--device", "tpu"), "device"),
    (("score", "MKTJ"), "the letter 'J'"),
    (("score", "M" * 300), "context of 256"),
    (("score", "MKT", "--rule", "evo"), "--rule lexome"),
    (("score", "MKT", "--direction", "up"), "saw 'up'"),
    (("score", "MKT", "-o", "x.fasta"), "the ending .fasta"),
]


@pytest.mark.parametrize(("words", "told"), WRONG)
def test_what_is_wrong_costs_one_line(words, told, progen, lexome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = lexome(*words, "-m", progen)
    assert done.code == 2
    assert told in done.error
    assert names(tmp_path) == []


def test_an_encoder_is_asked_for_each_residue_with_it_hidden(lexome, tmp_path):
    done = lexome("score", "MKTAYW", "-m", write_esm2(tmp_path / "esm2"), "--per-position")
    assert done.code == 0
    assert [line.split(",")[2] for line in done.out.splitlines()[1:]] == list("MKTAYW")
    assert "pseudo-log-likelihood: " in done.err


@pytest.mark.parametrize("words", [("generate",), ("score", "MKT", "--rule", "lexome")])
def test_an_encoder_is_refused(words, lexome, tmp_path):
    done = lexome(*words, "-m", write_esm2(tmp_path / "esm2"))
    assert done.code == 2
    assert "an encoder, which sees both sides" in done.error
