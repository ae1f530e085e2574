"""Kin by k-mers: found as far as the page says, refused where it would see nothing."""

from pathlib import Path

import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.evaluation import kin
from lexome.evaluation.kin import by_kmers, check_search
from tests.toy_shards import mutate, proteins
from tests.toys import write_fasta


def pairs(folder: Path, queries: list[str], targets: list[str], identity: float = 0.45) -> set:
    """(query, target) by number."""
    asked = write_fasta(folder / "q.fasta", ((f"q{i}", s) for i, s in enumerate(queries)))
    against = write_fasta(folder / "t.fasta", ((f"t{i}", s) for i, s in enumerate(targets)))
    hits = by_kmers(asked, against, identity, 0.5, folder / "work")
    return {(int(hit.query[1:]), int(hit.target[1:])) for hit in hits}


def test_a_copy_a_mutant_and_a_part_are_found_and_strangers_are_not(tmp_path):
    protein, *strangers = proteins(40, low=200, high=260)
    targets = [protein, mutate(protein, 0.3), protein[:80], "G" * 30 + protein, *strangers]
    assert pairs(tmp_path, [protein], targets) == {(0, 0), (0, 1), (0, 2), (0, 3)}


def test_a_part_is_found_from_either_side(tmp_path):
    long = proteins(1, low=500, high=501)[0]
    assert pairs(tmp_path, [long[100:200]], [long]) == {(0, 0)}
    assert pairs(tmp_path, [long], [long[100:200]]) == {(0, 0)}


def test_blocks_of_targets_change_nothing(tmp_path, monkeypatch):
    queries = proteins(8, low=100, high=200)
    targets = [mutate(s, 0.2, i) for i, s in enumerate(queries)] + proteins(8, seed=1)
    whole = pairs(tmp_path, queries, targets)
    assert whole == {(i, i) for i in range(8)}
    monkeypatch.setattr(kin, "BLOCK_RESIDUES", 400)
    assert pairs(tmp_path, queries, targets) == whole


def test_the_identity_is_an_estimate_of_the_true_one(tmp_path):
    protein = proteins(1, low=3000, high=3001)[0]
    copy = mutate(protein, 0.2)
    true = sum(a == b for a, b in zip(protein, copy, strict=True)) / len(protein)
    asked = write_fasta(tmp_path / "q.fasta", [("q", protein)])
    against = write_fasta(tmp_path / "t.fasta", [("t", copy)])
    (hit,) = by_kmers(asked, against, 0.45, 0.5, tmp_path)
    assert hit.identity == pytest.approx(true, abs=0.03)


def test_nothing_is_like_nothing(tmp_path):
    assert pairs(tmp_path, [], proteins(3)) == set()
    assert pairs(tmp_path, proteins(3), []) == set()
    assert pairs(tmp_path, ["MK"], ["MK", "X" * 50]) == set()


def test_an_identity_that_k_mers_cannot_see_is_refused():
    with pytest.raises(InputError, match=r"0\.3, expected at least 0\.45.*mmseqs2"):
        check_search("kmers", 0.3)
    with pytest.raises(InputError, match="mmseqs2"):
        list(by_kmers(Path("q"), Path("t"), 0.3, 0.5, Path("w")))
    check_search("kmers", 0.45)


def test_a_missing_program_is_noticed_before_anything_is_read(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvironmentProblem, match=r"apt-get install mmseqs2.*kmers"):
        check_search("mmseqs2", 0.3)
