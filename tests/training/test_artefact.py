"""One directory holds everything that answering needs, and nothing else is needed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.errors import CheckpointError
from lexome.training.artefact import load_artefact, save_artefact, weights_name
from lexome.training.finetune import finetune
from lexome.training.fitted import predict_each
from tests.toys import random_proteins, rich_table, write_esm2

PROTEINS = random_proteins(12, low=5, high=200)
IDS = [f"p{i}" for i in range(len(PROTEINS))]
OPTIONS = {"split": "column:part", "seeds": 1, "epochs": 1}


@pytest.fixture
def copy(motif_run, tmp_path: Path) -> Path:
    shutil.copytree(motif_run.directory, tmp_path / "run")
    return tmp_path / "run"


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_saving_what_was_loaded_gives_the_same_files_and_the_same_answers(copy, tmp_path):
    fitted = load_artefact(copy)
    (tmp_path / "again").mkdir()
    save_artefact(fitted, tmp_path / "again")
    for name in ("config.json", weights_name(0), weights_name(1)):
        assert (tmp_path / "again" / name).read_bytes() == (copy / name).read_bytes(), name
    again = load_artefact(tmp_path / "again")
    assert again.threshold == fitted.threshold
    assert again.settings == fitted.settings
    assert np.array_equal(predict_each(fitted, IDS, PROTEINS), predict_each(again, IDS, PROTEINS))


def test_a_run_may_be_moved_and_needs_nothing_of_what_it_was_made_from(monkeypatch, tmp_path):
    """A frozen run holds its base; the model that it was made from may be gone."""
    model = write_esm2(tmp_path / "model")
    run = finetune(
        str(model), rich_table(40), "has_w", method="frozen", output=tmp_path / "run", **OPTIONS
    )
    before = predict_each(load_artefact(run.directory), IDS, PROTEINS)
    shutil.rmtree(model)
    run.directory.rename(tmp_path / "elsewhere")
    fitted = load_artefact(tmp_path / "elsewhere")
    assert fitted.setup.card is not None
    assert fitted.setup.card.sha256 == run.facts["model"]["hash"]
    assert np.array_equal(predict_each(fitted, IDS, PROTEINS), before)


def test_every_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        run = finetune("new:cnn", rich_table(40), "has_w", output=tmp_path / "run", **OPTIONS)
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in run.directory.iterdir()}
    assert set(modes.values()) == {"0o640"}, modes


def test_a_tensor_that_is_missing_extra_or_misshapen_is_refused(copy):
    path = copy / weights_name(0)
    whole = load_file(path)
    name = "answer.layers.2.weight"
    for tensors, said in (
        ({k: v for k, v in whole.items() if k != name}, name),
        (whole | {"stray": torch.zeros(1)}, "stray"),
        (whole | {name: torch.zeros(3, 3)}, name),
    ):
        save_file(tensors, path)
        with pytest.raises(CheckpointError, match="expected the tensors of config") as caught:
            load_artefact(copy)
        assert said in str(caught.value)
        assert str(path) in str(caught.value)


def test_a_network_that_is_missing_is_named(copy):
    (copy / weights_name(1)).unlink()
    with pytest.raises(CheckpointError, match="saw no weights-2"):
        load_artefact(copy)


def test_another_format_is_refused(copy):
    change(copy / "config.json", format="lexome-run 2")
    with pytest.raises(CheckpointError, match="saw format 'lexome-run 2', expected 'lexome-run 1'"):
        load_artefact(copy)


def test_the_threshold_and_labels_are_those_of_the_run(motif_run):
    fitted = load_artefact(motif_run.directory)
    entry = next(m for m in motif_run.metrics["models"] if m["name"] == "ensemble")
    assert fitted.threshold == entry["threshold"]
    assert fitted.labels == ("0", "1")
    assert (fitted.task, len(fitted.networks)) == ("binary", 2)
