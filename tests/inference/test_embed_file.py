"""Files of vectors: what stands in them, and how they were made."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet
import pytest

from lexome.errors import InputError
from lexome.inference import parts
from lexome.inference.embed import Recipe, embed, embed_residues
from lexome.inference.embed_file import embed_file
from lexome.results.tables import read_provenance
from tests.toys import random_proteins, write_fasta

PROTEINS = [(f"p{i} a protein", protein) for i, protein in enumerate(random_proteins(30))]
IDS = [name.split()[0] for name, _ in PROTEINS]


@pytest.fixture
def fasta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(parts, "PART_RECORDS", 7)
    return write_fasta(tmp_path / "in.fasta", PROTEINS)


def test_the_file_holds_what_embed_gives(fasta, model, tmp_path):
    output = tmp_path / "v.parquet"
    done = embed_file(model, fasta, output, Recipe(), {"input": "in.fasta"}, quiet=True)
    assert (done.rows, done.resumed_rows, done.windowed, done.mapped) == (30, 0, 0, {})
    assert done.residues == sum(len(protein) for _, protein in PROTEINS)
    table = pl.read_parquet(output)
    assert table.columns == ["id", "length", "residues_used", "windows", "vector"]
    assert table["id"].to_list() == IDS
    assert table["length"].to_list() == [len(protein) for _, protein in PROTEINS]
    assert table["vector"].dtype == pl.Array(pl.Float32, 32)
    expected = embed(model, fasta).vectors
    assert table["vector"].to_numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_vectors_of_half_the_size_are_the_same_rounded(fasta, model, tmp_path):
    output = tmp_path / "v.parquet"
    embed_file(model, fasta, output, Recipe(), {}, "float16", quiet=True)
    schema = pyarrow.parquet.read_schema(output)
    assert str(schema.field("vector").type) == "fixed_size_list<element: halffloat>[32]" or (
        schema.field("vector").type.list_size == 32
        and str(schema.field("vector").type.value_type) == "halffloat"
    )
    found = pl.read_parquet(output)["vector"].to_numpy().astype(np.float32)
    assert found == pytest.approx(embed(model, fasta).vectors, rel=1e-3, abs=1e-3)


def test_residues_are_a_list_of_vectors_a_row(fasta, model, tmp_path):
    output = tmp_path / "v.parquet"
    embed_file(model, fasta, output, Recipe(pooling="none"), {}, quiet=True)
    table = pl.read_parquet(output)
    assert table["vector"].dtype == pl.List(pl.Array(pl.Float32, 32))
    assert table["vector"].list.len().to_list() == [len(protein) for _, protein in PROTEINS]
    expected = embed_residues(model, fasta).matrices
    for row, matrix in zip(table["vector"], expected, strict=True):
        assert row.to_numpy() == pytest.approx(matrix, rel=1e-5, abs=1e-5)


def test_how_it_was_made_stands_in_the_file_and_beside_it(fasta, model, tmp_path):
    output = tmp_path / "v.parquet"
    embed_file(model, fasta, output, Recipe(layer=1), {"model": "toy"}, quiet=True)
    notes = read_provenance(output)
    assert notes["model"] == "toy"
    assert notes["recipe"] == {
        **{"pooling": "mean", "layer": 1, "unknown": "refuse", "long": "refuse"}
    }
    output.with_name("v.parquet.meta.json").unlink()
    assert read_provenance(output) == notes


def test_windows_and_mapped_letters_are_counted_over_all_parts(narrow, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "PART_RECORDS", 2)
    source = [("a", "A" * 30), ("b", "J" * 31), ("c", "MKt"), ("d", "C" * 100), ("e", "MJ")]
    path = write_fasta(tmp_path / "in.fasta", source)
    recipe = Recipe(long="window", unknown="map")
    done = embed_file(narrow, path, tmp_path / "v.parquet", recipe, {}, quiet=True)
    assert done.mapped == {"J": 32, "t": 1}
    assert (done.mapped_rows, done.windowed, done.cropped) == (3, 2, 0)
    table = pl.read_parquet(tmp_path / "v.parquet")
    assert table["windows"].to_list() == [1, 2, 1, 6, 1]
    assert read_provenance(tmp_path / "v.parquet")["mapped"] == {"J": 32, "t": 1}


def test_a_crop_stands_on_its_row(narrow, tmp_path):
    path = write_fasta(tmp_path / "in.fasta", [("a", "A" * 12), ("b", "C" * 40), ("c", "D" * 13)])
    output = tmp_path / "v.parquet"
    done = embed_file(narrow, path, output, Recipe(long="crop:8+4"), {}, quiet=True)
    assert (done.cropped, done.windowed, done.residues) == (2, 0, 36)
    table = pl.read_parquet(output).select("length", "residues_used", "windows")
    assert table.rows() == [(12, 12, 1), (40, 12, 1), (13, 12, 1)]


def test_an_id_that_stands_twice_is_refused_before_any_work(fasta, model, tmp_path, monkeypatch):
    path = write_fasta(tmp_path / "bad.fasta", [*PROTEINS, ("p3 again", "MKT")])
    monkeypatch.setattr("lexome.inference.embed_file.embed_records", None)
    with pytest.raises(
        InputError, match=r"bad\.fasta, record 31: saw the id 'p3', which record 4 h"
    ):
        embed_file(model, path, tmp_path / "v.parquet", Recipe(), {}, quiet=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.fasta", "in.fasta"]


def test_a_stream_with_a_repeated_id_leaves_what_stood_at_the_output(fasta, model, tmp_path):
    output = tmp_path / "v.parquet"
    output.write_bytes(b"older")
    named = [(name.split()[0], protein) for name, protein in PROTEINS]
    stream = iter([*named, ("p3", "MKT")])
    with pytest.raises(InputError, match="source, item 31: saw the id 'p3', which item 4 has too"):
        embed_file(model, stream, output, Recipe(), {}, quiet=True)
    assert output.read_bytes() == b"older"


def test_a_mistake_in_the_last_record_shows_before_any_work(fasta, model, tmp_path, monkeypatch):
    path = write_fasta(tmp_path / "bad.fasta", [*PROTEINS, ("last", "MK1")])
    monkeypatch.setattr("lexome.inference.embed_file.embed_records", None)
    with pytest.raises(InputError, match="last: saw the letter '1' at position 3"):
        embed_file(model, path, tmp_path / "v.parquet", Recipe(), {}, quiet=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.fasta", "in.fasta"]


def test_a_source_that_can_be_read_once_is_read_once(model, tmp_path):
    output = tmp_path / "v.parquet"
    done = embed_file(model, iter(PROTEINS), output, Recipe(), {}, quiet=True)
    assert done.rows == 30
    assert pl.read_parquet(output)["length"].to_list() == [len(p) for _, p in PROTEINS]


@pytest.mark.parametrize(
    ("output", "vector_type", "said"),
    [
        ("v.csv", "float32", "saw the ending '.csv', expected .parquet"),
        ("v.parquet", "int8", "vectors: saw 'int8'"),
        ("folder.parquet", "float32", "saw a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_first(output, vector_type, said, fasta, model, tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match=said):
        embed_file(model, fasta, tmp_path / output, Recipe(), {}, vector_type, quiet=True)
