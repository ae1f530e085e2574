"""Opening files: plain, gzipped, from a pipe; and what cannot be read."""

import gzip
import io
import os
import pickle
import subprocess
import sys

import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.io.streams import open_bytes, suggest_paths


def test_a_gzip_file_is_told_by_its_bytes_not_by_its_name(tmp_path):
    path = tmp_path / "plain_name.txt"
    # two members one after another, as bgzip writes them
    path.write_bytes(gzip.compress(b"first ", mtime=0) + gzip.compress(b"second", mtime=0))
    with open_bytes(path) as stream:
        assert stream.read() == b"first second"


def test_an_open_stream_is_read_from_where_it_stands_and_left_open():
    source = io.BytesIO(b"skipped rest")
    source.read(8)
    with open_bytes(source) as stream:
        assert stream.read() == b"rest"
    assert not source.closed


@pytest.mark.parametrize("cut", [1, 20, 5_000])
def test_a_truncated_gzip_file_is_refused(tmp_path, cut):
    path = tmp_path / "cut.fasta.gz"
    whole = gzip.compress(os.urandom(300_000).hex().encode())
    path.write_bytes(whole[:-cut])
    with pytest.raises(InputError, match=r"cut.fasta.gz: saw a gzip file that ends in the middle"):
        open_bytes(path).read()


def test_a_damaged_gzip_file_is_refused(tmp_path):
    path = tmp_path / "bad.gz"
    whole = bytearray(gzip.compress(b"MKTAYIAKQR" * 100, mtime=0))
    whole[-6] ^= 0xFF  # the check sum
    path.write_bytes(whole)
    with pytest.raises(InputError, match="saw a damaged gzip file"):
        open_bytes(path)


def test_a_missing_file_is_named_with_its_nearest_neighbour(tmp_path):
    (tmp_path / "proteins.fasta").write_text(">a\nMK\n")
    with pytest.raises(InputError) as caught:
        open_bytes(tmp_path / "protein.fasta")
    assert caught.value.seen == "no such file"
    assert caught.value.remedy == f"`{tmp_path / 'proteins.fasta'}`"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_missing_file_like_no_other_is_told_what_there_is_to_read(tmp_path):
    for name in ("b.csv", "a.fasta", "notes.txt", ".hidden.csv", "c.fa.gz"):
        (tmp_path / name).write_text("x")
    for folder in ("folder.fa", "model"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    missing = tmp_path / "proteins.parquet"
    read = [f"`{tmp_path / name}`" for name in ("a.fasta", "b.csv", "c.fa.gz")]
    assert suggest_paths(missing) == ", ".join(read)
    (tmp_path / "d.tsv").write_text("x")
    assert suggest_paths(missing) == f"{', '.join(read)}, or one of 1 more in `{tmp_path}`"
    assert suggest_paths(missing, models=True) == f"`{tmp_path / 'model'}`"
    assert suggest_paths(tmp_path / "modle", models=True) == f"`{tmp_path / 'model'}`"


def test_a_missing_file_where_nothing_can_be_read_is_a_matter_of_spelling(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for missing in (tmp_path / "proteins.fasta", tmp_path / "no" / "proteins.fasta"):
        assert suggest_paths(missing) == "the spelling of the path"
        with pytest.raises(InputError, match="Try the spelling of the path"):
            open_bytes(missing)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="saw a folder, expected a file"):
        open_bytes(tmp_path)


def test_a_forbidden_file_is_the_environments_fault(tmp_path):
    path = tmp_path / "secret.fasta"
    path.write_text(">a\nMK\n")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything; nobody may not
    try:
        with pytest.raises(EnvironmentProblem, match="saw no permission"):
            open_bytes(path)
    finally:
        os.seteuid(user)


def test_a_failing_disk_is_the_environments_fault():
    class Failing(io.RawIOBase):
        name = "/mnt/old/disk.fasta"

        def read(self, size=-1):
            raise PermissionError(13, "Permission denied")

    with pytest.raises(EnvironmentProblem, match=r"/mnt/old/disk.fasta: saw no permission"):
        open_bytes(Failing())


@pytest.mark.parametrize(
    ("start", "seen"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\xff\xfeM\x00K\x00", "UTF-16"),
        (b"BZh91AY", "bzip2"),
        (gzip.compress(b"PK\x03\x04rest", mtime=0), "a zip archive"),
    ],
)
def test_archives_and_other_encodings_are_named(start, seen):
    with pytest.raises(InputError, match=seen):
        open_bytes(io.BytesIO(start))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_as_a_file_plain_or_gzipped(pack):
    code = (
        "from lexome.io.sources import read_records\nprint([tuple(r) for r in read_records('-')])"
    )
    data = pack(b">a\nMK\n>b\nLV\n")
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[('a', 'MK'), ('b', 'LV')]"
