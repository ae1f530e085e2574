"""`lexome.find_neighbours` and the verb: sequences and embeddings asked about, and what is refused."""

import json

import numpy as np
import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.results.tables import read_provenance, write_table
from tests.toys import write_esm2, write_fasta

SEQUENCES = {"a": "MKTAYIAKQR", "b": "GAVLGAVLGG", "c": "MKTAYIAKQR", "d": "WWPPHHCCMM"}


@pytest.fixture
def embedded(lexome_command, esm2, tmp_path):
    """Embeddings as `lexome embed` writes them."""
    fasta = write_fasta(tmp_path / "in.fasta", SEQUENCES.items())
    done = lexome_command("embed", fasta, "-m", esm2, "-o", tmp_path / "v.parquet", "--quiet")
    assert done.code == 0, done.err
    return tmp_path / "v.parquet"


@pytest.fixture
def lexome_command(capsys, monkeypatch):
    from tests.commands import call_main

    return lambda *args: call_main(capsys, monkeypatch, *args)


def test_a_sequence_finds_its_copies_first_in_input_order(embedded):
    for index in ("exact", "approximate"):
        hits = lexome.find_neighbours("MKTAYIAKQR", embedded, top=3, index=index)
        assert hits.columns == ["query_id", "rank", "id", "cosine"]
        assert hits["id"].to_list()[:2] == ["a", "c"]
        assert hits["cosine"].to_list()[:2] == pytest.approx([1, 1])
        assert hits["rank"].to_list() == [1, 2, 3]


def test_the_verb_writes_what_the_function_gives(lexome_command, embedded, tmp_path):
    output = tmp_path / "hits.parquet"
    words = ("search", embedded, "--in", embedded, "--metric", "euclidean", "--top", 9)
    done = lexome_command(*words, "-o", output, "--json", "--quiet")
    assert done.code == 0, done.err
    assert json.loads(done.out)["same_model"] is True
    table = pl.read_parquet(output)
    assert table.equals(lexome.find_neighbours(embedded, embedded, 9, "euclidean"))
    assert table.height == 16
    assert table["distance"][0] == 0
    assert read_provenance(output)["metric"] == "euclidean"
    shown = lexome_command("search", "MKTAYIAKQR", "--in", embedded, "--top", 1)
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[0] == "query_id,rank,id,cosine"
    assert shown.out.splitlines()[1].startswith("sequence_1,1,a,")


def test_what_embed_gives_can_be_searched_in_memory(esm2):
    vectors = lexome.embed(lexome.load(str(esm2)), SEQUENCES)
    hits = lexome.find_neighbours(vectors, vectors, top=2)
    assert hits.filter(pl.col("query_id") == "c")["id"].to_list() == ["a", "c"]
    approximate = lexome.find_neighbours(vectors, vectors, top=2, index="approximate")
    assert approximate.equals(hits)


def test_another_model_is_refused(embedded, tmp_path):
    other = write_esm2(tmp_path / "other", seed=5)
    with pytest.raises(InputError, match=r"saw embeddings of esm2-toy.*-m with the model"):
        lexome.find_neighbours("MKT", embedded, model=str(other))
    notes = read_provenance(embedded)
    foreign = tmp_path / "foreign.parquet"
    write_table(pl.read_parquet(embedded), foreign, notes | {"sha256": "0" * 64})
    with pytest.raises(InputError, match="saw vectors of sha256 0000"):
        lexome.find_neighbours(foreign, embedded)
    write_table(pl.read_parquet(embedded), foreign, {})
    assert (
        lexome.find_neighbours(foreign, embedded).height == 16
    )  # the verb says that it is unchecked
    with pytest.raises(InputError, match="no model in its notes"):
        lexome.find_neighbours("MKT", foreign)


def test_files_that_hold_no_vectors_are_refused(embedded, tmp_path, lexome_command):
    table = pl.DataFrame({"id": ["a"], "length": [3]})
    write_table(table, tmp_path / "no.parquet", {})
    with pytest.raises(InputError, match=r"saw the columns id.*one vector a row"):
        lexome.find_neighbours("MKT", tmp_path / "no.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(InputError, match="damaged"):
        lexome.find_neighbours("MKT", tmp_path / "bad.parquet")
    width = pl.DataFrame({"id": ["a"], "vector": pl.Series(np.ones((1, 3), np.float32))})
    write_table(width, tmp_path / "narrow.parquet", {})
    with pytest.raises(InputError, match="the width of the query, 3"):
        lexome.find_neighbours(tmp_path / "narrow.parquet", embedded)
    done = lexome_command("search", "MKT", "--in", tmp_path / "absent.parquet")
    assert done.code == 2
    assert "no such file" in done.error
    done = lexome_command("search", "MKT", "--in", embedded, "--index", "magic", "-o", "x.csv")
    assert done.code == 2
    assert "exact or approximate" in done.error
