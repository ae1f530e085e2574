"""MMseqs2 as it is called here: who is similar, over what, and what is left when it fails."""

import os
import signal
import time
from pathlib import Path

import pytest

from lexome.errors import EnvironmentProblem
from lexome.search import mmseqs
from lexome.search.mmseqs import similar
from tests.programs import need_program
from tests.toy_shards import mutate, proteins
from tests.toys import write_fasta

CAP = 8  # alignments a query in these tests


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Targets by query: a copy, parts, mutants, and a query with more kin than the first look."""
    need_program("mmseqs", "mmseqs2")
    folder = tmp_path_factory.mktemp("mmseqs")
    protein, other, family, *strangers = proteins(60, low=300, high=330)
    queries = {"protein": protein, "other": other, "family": family}
    targets = {"copy": protein, "part": protein[:90], "in_long": "".join(strangers[:2]) + protein}
    targets |= {"half": mutate(protein, 0.4), "quarter": mutate(protein, 0.8)}
    targets |= {f"member{i}": mutate(family, 0.3, i) for i in range(3 * CAP)}
    # a third of either: too little
    targets |= {"third": other[:100] + strangers[2][:200]}
    targets |= {f"stranger{i}": s for i, s in enumerate(strangers)}
    asked = write_fasta(folder / "q.fasta", queries.items())
    against = write_fasta(folder / "t.fasta", targets.items())
    hits: dict[str, set[str]] = {name: set() for name in queries}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmseqs, "ALIGNED", CAP)
        patch.setattr(mmseqs, "num_cores", lambda: 1)
        for hit in similar(asked, against, 0.3, 0.5, folder / "work"):
            assert 0.3 <= hit.identity <= 1
            hits[hit.query].add(hit.target)
    assert not (folder / "work").exists()
    return hits


def test_copies_mutants_and_parts_of_either_are_similar_and_strangers_are_not(found):
    assert found["protein"] == {"copy", "part", "in_long", "half"}


def test_a_third_in_common_is_not_half(found):
    assert found["other"] == set()


def test_a_query_with_more_kin_than_are_aligned_at_first_is_asked_again(found):
    assert found["family"] == {f"member{i}" for i in range(3 * CAP)}


def test_empty_files_have_no_kin(tmp_path):
    empty, full = tmp_path / "empty", write_fasta(tmp_path / "full", [("a", "MKTAYIAK")])
    empty.write_text("")
    assert list(similar(empty, full, 0.3, 0.5, tmp_path / "work")) == []
    assert list(similar(full, empty, 0.3, 0.5, tmp_path / "work")) == []


def put_program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A `mmseqs` that does something else, and a file to search in."""
    program = folder / "mmseqs"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return write_fasta(folder / "a.fasta", [("a", "MKTAYIAK")]), folder / "work"


def test_a_search_that_fails_says_what_the_program_said(tmp_path, monkeypatch):
    fasta, work = put_program(tmp_path, "echo first; echo no space left >&2; exit 3", monkeypatch)
    with pytest.raises(EnvironmentProblem, match="exit code 3: no space left, expected a finished"):
        list(similar(fasta, fasta, 0.3, 0.5, work))
    assert not work.exists()


def test_an_interrupted_search_leaves_no_process_behind(tmp_path, monkeypatch):
    # MMseqs2 runs a shell script that runs MMseqs2: the grandchild must end too
    fasta, work = put_program(tmp_path, f"sleep 60 & echo $! > {tmp_path}/id; wait", monkeypatch)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            list(similar(fasta, fasta, 0.3, 0.5, work))
    finally:
        signal.signal(signal.SIGALRM, before)
    grandchild = int((tmp_path / "id").read_text())
    for _ in range(100):
        if not is_running(grandchild):
            break
        time.sleep(0.02)
    assert not is_running(grandchild)
    assert not work.exists()


def is_running(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
