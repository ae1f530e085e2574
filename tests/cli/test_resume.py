"""Commands that are really killed, at any moment: the same command goes on to the same result."""

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lexome.training.run_folder import unfinished_folder
from tests.commands import Finished, WarmStart, start_process
from tests.shared_data import shared
from tests.toys import random_proteins, write_fasta

EVERY_STEP = {"training__loop__SECONDS_BETWEEN_STATES": 0.0}
SMALL_PARTS = {"inference__parts__PART_RECORDS": 4}
NUM_RECORDS = 60
MSA = "reference/fixtures/msa1b-fair-tiny"


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proteins = random_proteins(NUM_RECORDS, low=200, high=400)
    path = tmp_path_factory.mktemp("data") / "proteins.fasta"
    return write_fasta(path, ((f"p{i}", protein) for i, protein in enumerate(proteins)))


@pytest.fixture(scope="module")
def alignments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of alignments, as many as there are proteins."""
    folder, generator = tmp_path_factory.mktemp("alignments"), random.Random(5)
    for number in range(NUM_RECORDS):
        length = generator.randint(5, 15)
        rows = ["".join(generator.choices("ACDEFGHIKLMNPQRSTVWY-", k=length)) for _ in range(200)]
        records = ((f"row{i}", row) for i, row in enumerate(rows))
        write_fasta(folder / f"p{number:02d}.a3m", records)
    return folder


def kill_until_done(
    warm: WarmStart, seconds: float, times: int, *args: object, **patches: Any
) -> tuple[Finished, int]:
    """Kill a command at random moments, then let it finish; how often it really was killed.

    The moments come later from time to time, up to `seconds`, so that all stages are hit.
    """
    killed = 0
    for latest in np.linspace(seconds / times, seconds, times):
        delay = random.uniform(0, latest)
        done = warm.run_and_signal(signal.SIGKILL, delay, *args, **patches)
        assert done.code in (0, -signal.SIGKILL), done.err
        killed += done.code != 0
    return warm.run(*args, **patches), killed


def parts_of(output: Path) -> list[Path]:
    """The parts of a table that stand beside it while it is made."""
    return list(output.parent.glob(f".{output.name}.*.parts/part-*.parquet"))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait closely for something that a command does."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 60
        time.sleep(0.001)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_fine_tuning_ends_with_the_same_weights_metrics_and_predictions(
    table, run, warm, tmp_path
):
    command = ("finetune", table, "-o", tmp_path / "killed", "--seeds", 2, "--epochs", 2)
    done, killed = kill_until_done(warm, 2.5, 5, *command, "--dtype", "fp32", **EVERY_STEP)
    assert done.code == 0, done.err
    assert killed >= 1
    assert names(tmp_path) == ["killed"]
    again = tmp_path / "killed"
    assert names(again) == names(run)
    for name in ("weights-1.safetensors", "weights-2.safetensors", "metrics.json", "config.json"):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name
    for name in ("predictions.parquet", "split.parquet"):
        assert pl.read_parquet(again / name).equals(pl.read_parquet(run / name)), name
    history = [pl.read_parquet(f / "history.parquet").drop("seconds") for f in (again, run)]
    assert history[0].equals(history[1], null_equal=True)
    assert len((again / "log.jsonl").read_text().splitlines()) == 4  # two seeds, two epochs


def test_a_fine_tuning_killed_late_does_not_begin_from_the_start(table, warm, tmp_path):
    output = tmp_path / "run"
    command = ("finetune", table, "-o", output, "--seeds", 2, "--epochs", 2, "--dtype", "fp32")
    state = unfinished_folder(output) / "state-1.safetensors"
    process = warm.start(*command, **EVERY_STEP)
    wait_until(lambda: (unfinished_folder(output) / "state-2.safetensors").exists())
    os.kill(process, signal.SIGKILL)
    assert warm.wait().code == -signal.SIGKILL
    before = state.stat().st_mtime_ns
    # killed again once the second seed has got further, the first seed's state was left alone
    second = unfinished_folder(output) / "state-2.safetensors"
    at = second.stat().st_mtime_ns
    process = warm.start(*command, **EVERY_STEP)
    wait_until(lambda: second.stat().st_mtime_ns != at)
    os.kill(process, signal.SIGKILL)
    assert warm.wait().code == -signal.SIGKILL
    assert state.stat().st_mtime_ns == before


def test_a_killed_frozen_run_makes_its_vectors_once_and_leaves_no_trace(
    table, esm2, warm, tmp_path
):
    command = ("finetune", table, "-m", esm2, "--method", "frozen", "--seeds", 1, "--epochs", 2)
    whole = warm.run(*command, "-o", tmp_path / "whole")
    assert whole.code == 0, whole.err
    output = tmp_path / "killed"
    done, _ = kill_until_done(warm, 1.5, 3, *command, "-o", output, **EVERY_STEP, **SMALL_PARTS)
    assert done.code == 0, done.err
    assert names(tmp_path) == ["killed", "whole"]
    assert names(output) == names(tmp_path / "whole")
    for name in ("weights-1.safetensors", "metrics.json"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("verb", ["embed", "predict", "embed alignments"])
def test_a_killed_stream_finishes_with_the_same_table_and_keeps_its_parts(
    verb, fasta, alignments, esm2, run, warm, tmp_path
):
    command: tuple[object, ...] = ("embed", fasta, "-m", esm2)
    if verb == "predict":
        command = ("predict", run, fasta)
    elif verb == "embed alignments":
        command = ("embed", alignments, "-m", shared(MSA), "--depth", 150)
    whole, output = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    assert warm.run(*command, "-o", whole, **SMALL_PARTS).code == 0
    num_parts = 0
    for _ in range(6):
        seconds = random.uniform(0.05, 0.6)
        warm.run_and_signal(signal.SIGKILL, seconds, *command, "-o", output, **SMALL_PARTS)
        before, num_parts = num_parts, len(parts_of(output))
        if output.exists():
            break  # it was quicker than the signal; what is left of the parts was being removed
        assert num_parts >= before  # what was done is not undone
    done = warm.run(*command, "-o", output, **SMALL_PARTS)
    assert done.code == 0, done.err
    resumed = re.search(r"Resumed +(\d+) rows", done.err)
    assert (int(resumed[1]) if resumed else 0) == 4 * num_parts
    assert pl.read_parquet(output).equals(pl.read_parquet(whole))
    assert pl.read_parquet(output).height == NUM_RECORDS
    notes = [f"{name}.parquet.meta.json" for name in ("killed", "whole")]
    assert names(tmp_path) == sorted(["killed.parquet", "whole.parquet", *notes])


@pytest.mark.parametrize("of", ["sequences", "alignments"])
def test_a_stream_killed_halfway_redoes_no_part_that_stands(
    of, fasta, alignments, esm2, warm, tmp_path
):
    output = tmp_path / "v.parquet"
    source, model = (fasta, esm2) if of == "sequences" else (alignments, shared(MSA))
    command = ("embed", source, "-m", model, "-o", output)
    process = warm.start(*command, **SMALL_PARTS)
    wait_until(lambda: len(parts_of(output)) >= 5)
    os.kill(process, signal.SIGKILL)
    assert warm.wait().code == -signal.SIGKILL
    written = {p: p.stat().st_mtime_ns for p in parts_of(output)}
    process = warm.start(*command, **SMALL_PARTS)
    wait_until(lambda: len(parts_of(output)) >= len(written) + 3)
    os.kill(process, signal.SIGKILL)
    assert warm.wait().code == -signal.SIGKILL
    assert {p: p.stat().st_mtime_ns for p in written} == written


def test_changed_input_is_answered_anew_and_not_from_the_parts_of_the_old(
    fasta, esm2, warm, tmp_path
):
    copy, output = tmp_path / "in.fasta", tmp_path / "v.parquet"
    copy.write_text(fasta.read_text())
    process = warm.start("embed", copy, "-m", esm2, "-o", output, **SMALL_PARTS)
    wait_until(lambda: len(parts_of(output)) >= 5)
    os.kill(process, signal.SIGKILL)
    warm.wait()
    lines = fasta.read_text().splitlines()
    lines[1] = "MKTAYIAKQR"
    copy.write_text("\n".join(lines))
    done = warm.run("embed", copy, "-m", esm2, "-o", output, **SMALL_PARTS)
    assert done.code == 0, done.err
    assert (
        warm.run("embed", copy, "-m", esm2, "-o", tmp_path / "w.parquet", **SMALL_PARTS).code == 0
    )
    assert pl.read_parquet(output).equals(pl.read_parquet(tmp_path / "w.parquet"))
    assert pl.read_parquet(output)["length"][0] == 10


def test_a_changed_alignment_or_setting_is_answered_anew(alignments, warm, tmp_path):
    copy, output = tmp_path / "in", tmp_path / "v.parquet"
    shutil.copytree(alignments, copy)
    command = ("embed", copy, "-m", shared(MSA), "-o", output)

    def kill_after_five_parts() -> None:
        process = warm.start(*command, **SMALL_PARTS)
        wait_until(lambda: len(parts_of(output)) >= 5)
        os.kill(process, signal.SIGKILL)
        assert warm.wait().code == -signal.SIGKILL

    kill_after_five_parts()
    (copy / "p00.a3m").write_text(">q\nMKTAYI\n>s\nMK-AYI\n")
    done = warm.run(*command, **SMALL_PARTS)
    assert done.code == 0, done.err
    resumed = re.search(r"Resumed +(\d+) rows", done.err)
    assert resumed is not None  # the other parts stood
    assert pl.read_parquet(output).row(0)[:4] == ("p00", 6, 2, 2)
    fresh = (*command[:-1], tmp_path / "w.parquet")
    assert warm.run(*fresh, **SMALL_PARTS).code == 0
    assert pl.read_parquet(output).equals(pl.read_parquet(fresh[-1]))
    output.unlink()
    kill_after_five_parts()
    done = warm.run(*command, "--layer", 1, **SMALL_PARTS)
    assert done.code == 0, done.err
    assert "Resumed" not in done.err
    assert not parts_of(output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_command_says_so_and_exits_with_3(number, table, warm, tmp_path):
    output = tmp_path / "run"
    command = ("finetune", table, "-o", output, "--seeds", 2, "--epochs", 99)
    for _ in range(3):
        done = warm.run_and_signal(number, random.uniform(0.1, 1.5), *command, "--patience", 99)
        assert done.code == 3, done.err
        assert number.name in done.error
        assert "the same command again" in done.error
    assert not output.exists()


def test_a_command_stopped_while_it_starts_exits_with_3(table, tmp_path):
    process = start_process("finetune", table, "-o", tmp_path / "run")
    with process:
        caught = 1 << (signal.SIGTERM - 1)
        status = Path(f"/proc/{process.pid}/status")
        while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & caught:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 2))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert Finished(process.returncode, out, err).error.startswith("error: lexome: saw SIGTERM")
    assert process.returncode == 3
    assert not (tmp_path / "run").exists()


def test_a_signal_that_other_code_turns_into_an_error_of_its_own_is_still_a_signal(
    lexome, monkeypatch
):
    """Seen from torch: what is raised while C code runs may come out as "could not determine"."""

    def swallow(*args: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException:
            raise ValueError("could not determine the shape") from None

    monkeypatch.setattr("lexome.training.predict.predict_at_once", swallow)
    done = lexome("predict", "run", "MKT")
    assert done.code == 3
    assert "saw SIGTERM" in done.error
