"""A head on a frozen backbone's vectors, one a residue: made once, the same after a kill."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import lexome
from lexome.training import finetune as module
from lexome.training import fitted, residue_vectors
from lexome.training.examples import Noise, add_noise
from lexome.training.finetune import finetune
from lexome.training.fit import Parts, fit_seeds
from lexome.training.recipes import choose_recipe
from lexome.training.residue_vectors import make_residue_vectors
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import make_examples, make_setup
from lexome.training.target import Target
from tests.toys import motif_table, rich_table

SEQUENCES = ["MKTAYIAKQR", "MLSRAVCGTSRQLAPALGYLGSRQ", "MKV", "MSTNPKPQRKTKRNT"]
IDS = ["a", "b", "c", "d"]
OPTIONS: dict[str, Any] = {
    "method": "frozen",
    "split": "column:part",
    "seeds": 2,
    "epochs": 2,
    "head_convolutions": 2,
    "batch_size": 16,
    "long": "crop:14+6",
    "dtype": "fp32",
}


class Killed(BaseException):
    pass


def used(head: int, tail: int) -> list[int]:
    return [min(len(s), head + tail) for s in SEQUENCES]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_vectors_are_those_of_embed(esm2, dtype):
    model = lexome.load(str(esm2), device="cpu", dtype=dtype)
    made = make_residue_vectors(model, "crop:8+4", IDS, SEQUENCES, used(8, 4))
    assert made.lengths.tolist() == [10, 12, 3, 12]
    asked = pl.DataFrame({"id": IDS, "sequence": SEQUENCES})
    found = lexome.embed_residues(model, asked, long="crop:8+4")
    for row in range(4):
        expected = found.matrices[row]
        np.testing.assert_allclose(made.one(row), expected, rtol=2e-3, atol=1e-3)


def test_a_killed_making_goes_on_where_it_was(esm2, monkeypatch, tmp_path):
    model = lexome.load(str(esm2), device="cpu", dtype="fp32")
    path = tmp_path / "vectors.npy"
    whole = make_residue_vectors(model, "whole", IDS, SEQUENCES, used(99, 0))
    seen: list[str] = []
    plain = residue_vectors.embed_records

    def embed_records(model: Any, records: Any, recipe: Any) -> Any:
        for number, row in enumerate(plain(model, records, recipe)):
            if not seen_before and number == 3:
                raise Killed
            seen.append(row.id)
            yield row

    monkeypatch.setattr(residue_vectors, "embed_records", embed_records)
    monkeypatch.setattr(residue_vectors, "ROWS_BETWEEN_MARKS", 2)
    seen_before: list[str] = []
    with pytest.raises(Killed):
        make_residue_vectors(model, "whole", IDS, SEQUENCES, used(99, 0), path)
    seen_before = list(seen)
    again = make_residue_vectors(model, "whole", IDS, SEQUENCES, used(99, 0), path)
    assert seen == ["a", "b", "c", "c", "d"]  # two rows were marked as whole
    np.testing.assert_allclose(again.values_TD, whole.values_TD, rtol=2e-3, atol=1e-3)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "weights-1.safetensors")


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_run_on_them_saves_a_head_and_a_base_and_predicts_as_it_was_judged(
    esm2, dtype, monkeypatch, tmp_path
):
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)
    monkeypatch.setattr(fitted, "AT_ONCE", 7)  # so that predicting goes by in several runs
    table = rich_table(80)
    options = OPTIONS | {"dtype": dtype}
    run = finetune(str(esm2), table, "kind", output=tmp_path / "run", **options)
    names = weights(run.directory)
    assert any(name.startswith("convolutions.blocks.1.") for name in names)
    assert not any(name.startswith("backbone") for name in names)
    assert (run.directory / "base.safetensors").exists()
    assert not list(run.directory.glob("*features*"))
    assert run.facts["dtype"] == dtype
    judged = pl.read_parquet(run.directory / "predictions.parquet").filter(
        pl.col("model") == run.metrics["chosen"], pl.col("part") == "test"
    )
    said = lexome.predict(run.directory, table.filter(pl.col("part") == "test"))
    both = judged.join(said, on="id", suffix="_again")
    assert len(both) == len(judged) > 0
    shared_columns = [c for c in said.columns if c.startswith("probability")]
    assert shared_columns
    for column in shared_columns:
        np.testing.assert_allclose(both[column], both[f"{column}_again"], atol=2e-3)


def test_hiding_makes_zeros_of_some_vectors():
    vectors = [np.ones((200, 3), np.float16), np.ones((50, 3), np.float16)]
    noisy = add_noise(vectors, Noise(0.2, 0.0), None, np.random.default_rng(0))
    rows = np.concatenate(noisy)
    hidden = (rows == 0).all(1)
    assert 0.1 < hidden.mean() < 0.3
    assert (rows[~hidden] == 1).all()
    assert [x.shape for x in noisy] == [(200, 3), (50, 3)]


def test_it_finds_a_motif_that_the_mean_of_vectors_hides(monkeypatch, tmp_path):
    """What the convolutions are for: the order of residues."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)
    options = OPTIONS | {"epochs": 12, "seeds": 1, "long": "whole", "mask": 0.0, "average": 0.9}
    options |= {"composition": False, "patience": 12, "head_dropout": 0.1}
    run = finetune("protein-mini", motif_table(400), "label", output=tmp_path / "run", **options)
    assert run.figure("auroc") > 0.9


def test_vectors_are_standardised_by_those_of_the_training_rows(esm2, tmp_path):
    """Mean 0 and deviation 1 a channel; what is validated on has no part in it."""
    table = motif_table(40)
    settings = FinetuneSettings(
        model=str(esm2),
        method="frozen",
        seeds=1,
        dtype="fp32",
        recipe=choose_recipe("any", "frozen", epochs=1, head_convolutions=1, long="whole"),
    )
    setup = make_setup(settings)
    target = Target("binary", ("0", "1"), table["label"].to_numpy(), False)
    ids, sequences = table["id"].to_list(), table["sequence"].to_list()
    examples = make_examples(setup, settings, ids, sequences, target.values)
    parts = Parts(np.arange(25), np.arange(25, 40), np.arange(0))
    network = fit_seeds(settings, setup, examples, target, parts, tmp_path).fitted.networks[0]
    seen = np.concatenate([examples.vectors.one(row) for row in range(25)]).astype(np.float32)
    scaled = (torch.from_numpy(seen) - network.vector_mean) / network.vector_scale
    torch.testing.assert_close(scaled.mean(0), torch.zeros(seen.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(seen.shape[1]), atol=1e-3, rtol=0)


def test_a_mark_without_its_vectors_is_not_believed(esm2, tmp_path):
    """Vectors that are not made yet would be read as zeros."""
    path = tmp_path / "vectors.npy"
    path.with_suffix(".rows").write_text("2")
    model = lexome.load(str(esm2))
    sequences = ["MKTAYIAKQR", "GAVLGAVL"]

    def broken(*_):
        raise KeyboardInterrupt
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residue_vectors, "embed_records", broken)
        with pytest.raises(KeyboardInterrupt):
            residue_vectors.make_residue_vectors(
                model, "whole", ["a", "b"], sequences, [10, 8], path
            )
    found = residue_vectors.make_residue_vectors(
        model, "whole", ["a", "b"], sequences, [10, 8], path
    )
    assert all(np.abs(np.asarray(row, np.float32)).max() > 0 for row in found.values_TD)
