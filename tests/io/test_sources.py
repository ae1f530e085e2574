"""Sources: records from paths, sequences, lists and frames, and nothing guessed quietly."""

import gzip
import io

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.io.sources import is_path, read_records
from lexome.sequence.records import Record

TWO = [Record("a", "MKT"), Record("b", "LV")]
FASTA = b">a\nMKT\n>b\nLV\n"
TEXTS = {
    "p.fasta": FASTA,
    "p.fq": b"@a\nMKT\n+\nIII\n@b\nLV\n+\nII\n",
    "p.csv": b"sequence,id\nMKT,a\nLV,b\n",
    "p.tsv": b"id\tseq\na\tMKT\nb\tLV\n",
    "p.gb": b"LOCUS       a  3 aa\nORIGIN\n 1 mkt\n//\nLOCUS       b  2 aa\nORIGIN\n 1 lv\n//\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("has_ending", [True, False])
def test_each_text_format_gives_the_same_records(tmp_path, name, pack, has_ending):
    gz = ".gz" if pack is gzip.compress else ""
    path = tmp_path / (name + gz if has_ending else "input")
    path.write_bytes(pack(TEXTS[name]))
    assert list(read_records(path)) == TWO
    assert list(read_records(str(path))) == TWO
    assert list(read_records(io.BytesIO(pack(TEXTS[name])))) == TWO


def test_a_parquet_file_is_read_by_path_and_from_memory(tmp_path):
    path = tmp_path / "p.parquet"
    pl.DataFrame(TWO, schema=["id", "sequence"], orient="row").write_parquet(path)
    assert list(read_records(path)) == TWO
    assert list(read_records(io.BytesIO(path.read_bytes()))) == TWO


FRAME = {"ACC": ["a", "b"], "Sequence": ["MKT", "LV"], "Partition": [0, 1]}


@pytest.mark.parametrize(
    "source",
    [
        TWO,
        tuple(TWO),
        iter(TWO),
        [("a", "MKT"), ["b", "LV"]],
        {"a": "MKT", "b": "LV"},
        pl.DataFrame(FRAME),
        pl.LazyFrame(FRAME),
        pl.DataFrame(FRAME).to_arrow(),
        pd.DataFrame(FRAME),
        pd.DataFrame(FRAME, index=[7, 3]),
    ],
    ids=lambda source: type(source).__name__,
)
def test_python_values_give_the_same_records(source):
    assert list(read_records(source)) == TWO


@pytest.mark.parametrize(
    "source",
    [
        ["MKT", "LV"],
        (letters for letters in ("MKT", "LV")),
        np.array(["MKT", "LV"]),
        pl.Series(["MKT", "LV"]),
        pd.Series(["MKT", "LV"], index=[5, 2]),
    ],
    ids=lambda source: type(source).__name__,
)
def test_nameless_sequences_are_numbered_from_1(source):
    assert list(read_records(source)) == [Record("sequence_1", "MKT"), Record("sequence_2", "LV")]


@pytest.mark.parametrize(
    "text", ["MKT", "mkt", "MK*", "A-C.G", "..mk..lv", "MK.LV", "MK<mask>T", "A" * 100_000]
)
def test_a_text_of_letters_is_a_sequence(text):
    assert list(read_records(text)) == [Record("sequence_1", text)]


def test_a_text_of_letters_that_is_a_file_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "GATTACA").write_bytes(FASTA)
    assert list(read_records("GATTACA")) == TWO


@pytest.mark.parametrize(
    "text", ["GATTACA.fa", "GATTACA.csv.gz", "data/GATTACA", "GATTACA.fsta", "-"]
)
def test_an_ending_or_a_separator_makes_a_path(text):
    assert is_path(text)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "saw an empty text"),
        ("MK T", "neither a file nor a sequence"),
        ("MK1T", "neither a file nor a sequence"),
        ("missing.fasta", "missing.fasta: saw no such file"),
        ("missing.f4", "missing.f4: saw no such file"),
        (3, "a value of type int"),
        (b"MKT", "a value of type bytes"),
        ([], "saw no sequences"),
        (["MKT", "more.fasta"], "item 2 of the source: saw 'more.fasta', which looks like a file"),
        (["MKT", None], "item 2 of the source: saw 'None' of type NoneType"),
        (["MKT", float("nan")], "item 2 of the source: saw 'nan' of type float"),
        ([("a", "MKT", "x")], "item 1 of the source"),
    ],
)
def test_what_holds_no_sequences_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        list(read_records(source))


def test_a_list_is_read_only_as_far_as_it_is_asked_for():
    def endless():
        while True:
            yield "MKT"

    records = read_records(endless())
    assert [next(records).name for _ in range(3)] == ["sequence_1", "sequence_2", "sequence_3"]


def test_columns_are_taken_as_asked():
    frame = pl.DataFrame({"sequence": ["AA"], "mutant": ["CC"], "code": ["x"]})
    assert list(read_records(frame, sequence="mutant", id="code")) == [Record("x", "CC")]


def test_ids_of_tables_and_pairs_keep_their_spaces():
    """A FASTA header ends its id at the first space; a table's id is the whole cell."""
    assert [r.id for r in read_records([("my protein 1", "MKT")])] == ["my protein 1"]
    frame = pl.DataFrame({"id": ["sample 1", "sample 2"], "sequence": [" MKT", "GAV "]})
    found = list(read_records(frame))
    assert [(r.id, r.sequence) for r in found] == [("sample 1", "MKT"), ("sample 2", "GAV")]
    assert [r.id for r in read_records([Record("a b", "MKT")])] == ["a"]


def test_a_genbank_file_gives_its_proteins_where_proteins_are_wanted(tmp_path):
    text = """LOCUS       TOY                       12 bp    DNA
FEATURES             Location/Qualifiers
     CDS             1..12
                     /protein_id="P1"
                     /translation="MKT"
ORIGIN
        1 atgaaaacat aa
//
"""
    path = tmp_path / "toy.gb"
    path.write_text(text)
    assert [(r.id, r.sequence) for r in read_records(path, proteins=True)] == [("P1", "MKT")]
    assert [r.sequence for r in read_records(path)] == ["ATGAAAACATAA"]
