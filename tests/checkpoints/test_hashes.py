"""A remembered hash is of the file as it is, or it is made anew."""

import hashlib
import os
from pathlib import Path

import pytest

from lexome.checkpoints import hashes
from lexome.checkpoints.hashes import hash_unchanged, hash_weights


def digest(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read; any is large and settled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "LARGE_BYTES", 0)
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 0)
    seen: list[Path] = []
    plain = hashes.hash_file

    def hash_file(path: Path) -> str:
        seen.append(path)
        return plain(path)

    monkeypatch.setattr(hashes, "hash_file", hash_file)
    return seen


def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"abc")
    assert [hash_unchanged(path) for _ in range(3)] == [digest(b"abc")] * 3
    assert read == [path]


def test_a_change_that_hides_in_size_and_time_is_noticed(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"abc")
    hash_unchanged(path)
    before = path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert hash_unchanged(path) == digest(b"abd")
    assert len(read) == 2


def test_another_file_put_in_its_place_is_noticed(tmp_path: Path, read: list[Path]) -> None:
    path, other = tmp_path / "model.safetensors", tmp_path / "other"
    path.write_bytes(b"abc")
    hash_unchanged(path)
    other.write_bytes(b"abd")
    other.replace(path)
    assert hash_unchanged(path) == digest(b"abd")
    assert len(read) == 2


def test_a_file_just_written_is_not_taken_as_settled(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 60)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"abc")
    hash_unchanged(path)
    hash_unchanged(path)
    assert len(read) == 2


def test_a_broken_note_or_a_home_that_cannot_be_written_only_costs_time(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"abc")
    hash_unchanged(path)
    (note,) = (tmp_path / "cache").rglob("*.json")
    note.write_text("{")
    assert hash_unchanged(path) == digest(b"abc")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert hash_unchanged(path) == digest(b"abc")
    assert len(read) == 3


def test_several_files_have_a_hash_of_their_hashes(tmp_path: Path, read: list[Path]) -> None:
    paths = [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    for path in paths:
        path.write_bytes(path.name.encode())
    one_by_one = [digest(path.name.encode()) for path in paths]
    assert hash_weights(paths[:1]) == one_by_one[0]
    assert hash_weights(paths) == digest("".join(one_by_one).encode())
