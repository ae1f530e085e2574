"""Vectors of a frozen backbone that are kept serve other parts and labels of the same rows."""

import polars as pl
import pytest

from lexome.inference import embed_file as by_vectors
from lexome.training import finetune as module
from lexome.training import residue_vectors as by_residues
from lexome.training.finetune import finetune
from tests.toy_pairs import pair_table
from tests.toys import motif_table

QUICK = {"seeds": 1, "epochs": 1, "device": "cpu", "method": "frozen"}


@pytest.fixture
def made(monkeypatch):
    """Numbers of sequences that were embedded, and no report."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)
    found = []
    for way in (by_vectors, by_residues):
        plain = way.embed_records

        def embed_records(model, records, *args, plain=plain):
            records = list(records)
            found.append(len(records))
            return plain(model, records, *args)

        monkeypatch.setattr(way, "embed_records", embed_records)
    return found


@pytest.mark.parametrize("convolutions", [0, 1])
def test_another_split_of_the_same_rows_reads_them_and_finds_the_same(
    made, esm2, tmp_path, convolutions
):
    table = motif_table(60, seed=3)
    options = {**QUICK, "head_convolutions": convolutions, "split": "column:part"}
    turned = {"train": ["test"], "validation": ["validation"], "test": ["train"]}
    kept = {"vectors": tmp_path / "vectors"}
    first = finetune(str(esm2), table, "label", output=tmp_path / "a", **options, **kept)
    assert made.count(60) == 1  # besides what judging and comparing ask for
    both = [
        finetune(str(esm2), table, "label", output=tmp_path / name, **options, **turned, **given)
        for name, given in (("kept", kept), ("alone", {}))
    ]
    assert made.count(60) == 2  # by the run that was given no folder
    assert len(list((tmp_path / "vectors").glob("*.npy" if convolutions else "*.parquet"))) == 1
    answers = [pl.read_parquet(run.directory / "predictions.parquet") for run in both]
    assert answers[0].equals(answers[1])
    assert not answers[0].equals(pl.read_parquet(first.directory / "predictions.parquet"))


def test_other_rows_and_other_lengths_have_vectors_of_their_own(made, esm2, tmp_path):
    table, folder = motif_table(60, seed=3), tmp_path / "vectors"
    for name, rows, long in (
        ("a", table, "window"),
        ("b", table, "crop:9+9"),
        ("c", table[:50], "window"),
    ):
        finetune(str(esm2), rows, "label", output=tmp_path / name, vectors=folder,
                 long=long, split="column:part", **QUICK)  # fmt: skip
    assert len(list(folder.glob("*.parquet"))) == 3


@pytest.mark.parametrize("convolutions", [0, 1])
def test_pairs_in_one_order_and_as_they_are_do_not_share_vectors(
    made, esm2, tmp_path, convolutions
):
    options = {**QUICK, "head_convolutions": convolutions, "split": "column:part"}
    options |= {"sequence": "heavy", "second": "light"}
    table, kept = pair_table(60), {"vectors": tmp_path / "vectors"}
    finetune(str(esm2), table, "label", output=tmp_path / "plain", **options, **kept)
    both = [
        finetune(str(esm2), table, "label", output=tmp_path / n, symmetric=True, **options, **given)
        for n, given in (("kept", kept), ("alone", {}))
    ]
    answers = [pl.read_parquet(run.directory / "predictions.parquet") for run in both]
    assert answers[0].equals(answers[1])


def test_only_a_frozen_model_keeps_vectors(made, tmp_path):
    folder = tmp_path / "vectors"
    options = {"seeds": 1, "epochs": 1, "device": "cpu", "split": "column:part"}
    finetune("new:cnn", motif_table(60), "label", output=tmp_path / "a", vectors=folder, **options)
    assert not folder.exists()
