"""Answers of a saved run: the same as in training, in any company, streamed or at once."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.architectures.families import new_model
from lexome.architectures.predictor import HeadConfig, Predictor
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.errors import CheckpointError, InputError
from lexome.inference import parts
from lexome.results.tables import read_provenance
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.fitted import decide_labels, truth_labels
from lexome.training.predict import predict, predict_file
from lexome.training.run_folder import Run
from lexome.training.target import Target
from tests.toys import motif_table, random_proteins, write_fasta

PROTEINS = [("long", random_proteins(1, seed=1, low=700, high=900)[0]), ("tiny", "M")] + [
    (f"p{i}", protein) for i, protein in enumerate(random_proteins(20, low=5, high=300))
]


def test_a_run_answers_as_it_did_when_it_was_tested(motif_run):
    written = pl.read_parquet(motif_run.directory / "predictions.parquet").filter(
        pl.col("model") == "ensemble", pl.col("part") == "test"
    )
    rows = motif_table(240).filter(pl.col("part") == "test")
    found = predict(motif_run.directory, rows)
    assert found["id"].to_list() == written["id"].to_list()
    assert found["probability"].to_numpy() == pytest.approx(
        written["probability"].to_numpy(), abs=1e-6
    )
    assert found["prediction"].to_list() == written["prediction"].to_list()


def test_a_sequence_gets_the_same_answer_alone_and_in_company(motif_run):
    together = predict(motif_run.directory, PROTEINS)
    backwards = predict(motif_run.directory, PROTEINS[::-1])
    assert together["id"].to_list() == [name for name, _ in PROTEINS]
    assert together["length"].to_list() == [len(protein) for _, protein in PROTEINS]
    probability = together["probability"].to_numpy()
    assert backwards["probability"].to_numpy()[::-1] == pytest.approx(probability, rel=1e-5)
    alone = [predict(motif_run.directory, [one])["probability"][0] for one in PROTEINS]
    assert np.array(alone) == pytest.approx(probability, rel=1e-5)


@pytest.mark.parametrize("model", ["new:cnn", "new:encoder-small"])
def test_packed_padded_and_alone_give_the_same_outputs(model):
    """PROMISES 5: the largest difference is at most 1e-5 of the sequence's largest output."""
    torch.manual_seed(0)
    head = HeadConfig(num_outputs=5, num_features=3)
    network = Predictor(new_model(model)[1], head).eval()
    with torch.no_grad():  # some start at zero and would hide a mistake
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    tokenizer = CharacterTokenizer()
    tokens = [tokenizer.encode(protein) for _, protein in PROTEINS]
    features = torch.randn(len(tokens), 3)
    with torch.inference_mode():
        packed = network(*pack(tokens), features)
        padded = network(*pad(tokens, tokenizer.pad_id), features)
        alone = torch.cat([network(*pack([t]), features[[i]]) for i, t in enumerate(tokens)])
    assert packed.std(0).min() > 1e-3  # the outputs depend on the sequence
    limit = 1e-5 * alone.abs().amax(1, keepdim=True)
    assert ((packed - alone).abs() <= limit).all()
    assert ((padded - alone).abs() <= limit).all()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_a_file_is_answered_in_parts_as_it_is_at_once(ending, motif_run, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "PART_RECORDS", 5)
    source = write_fasta(tmp_path / "in.fasta", PROTEINS)
    output = tmp_path / f"out.{ending}"
    done = predict_file(motif_run.directory, source, output, {"input": "x"}, quiet=True)
    assert done.rows == len(PROTEINS)
    assert sum(done.calls.values()) == len(PROTEINS)
    readers: dict[str, Any] = {
        "csv": pl.read_csv,
        "tsv": lambda path: pl.read_csv(path, separator="\t"),
        "parquet": pl.read_parquet,
        "jsonl": pl.read_ndjson,
    }
    found, expected = readers[ending](output), predict(motif_run.directory, PROTEINS)
    assert found["id"].to_list() == expected["id"].to_list()
    assert found["probability"].to_numpy() == pytest.approx(
        expected["probability"].to_numpy(), rel=1e-5
    )
    notes = read_provenance(output)
    assert notes["input"] == "x"
    assert notes["threshold"] == motif_run.metrics["models"][-2]["threshold"]


def test_letters_follow_the_policy_of_the_training_unless_another_is_named(motif_run):
    with pytest.raises(InputError, match="sequence_1: saw the letter 'J' at position 3"):
        predict(motif_run.directory, ["MKJ"])
    mapped = predict(motif_run.directory, ["MKJ", "MKX"], unknown="map")
    assert mapped["probability"][0] == pytest.approx(mapped["probability"][1])
    with pytest.raises(InputError, match="unknown: saw 'reference'"):
        predict(motif_run.directory, ["MKT"], unknown="reference")
    with pytest.raises(InputError, match="sequence_2: saw 0 residues"):
        predict(motif_run.directory, ["MKT", ""])


def spoil(run: Run, folder: Path, name: str, value: float) -> Path:
    shutil.copytree(run.directory, folder)
    tensors = load_file(folder / "weights-1.safetensors")
    tensors[name][...] = value
    save_file(tensors, folder / "weights-1.safetensors")
    return folder


def test_an_answer_that_is_no_number_is_an_error_that_names_the_sequence(motif_run, tmp_path):
    folder = spoil(motif_run, tmp_path / "run", "answer.layers.5.bias", float("nan"))
    with pytest.raises(InputError, match="p7: saw a NaN in its answer"):
        predict(folder, [("p7", "MKT")])


def test_the_answer_is_the_mean_over_the_seeds(motif_run, tmp_path):
    """With one network that says 1 to everything, the mean lies halfway between it and the other."""
    folder = spoil(motif_run, tmp_path / "run", "answer.layers.5.bias", 1000.0)
    found = predict(folder, PROTEINS)["probability"].to_numpy()
    (folder / "weights-2.safetensors").replace(folder / "weights-1.safetensors")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_networks": 2', '"num_networks": 1'))
    other = predict(folder, PROTEINS)["probability"].to_numpy()
    assert found == pytest.approx((1 + other) / 2, abs=1e-6)


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="saw no config"):
        predict(tmp_path, ["MKT"])
    with pytest.raises(CheckpointError, match="saw no such directory"):
        predict(tmp_path / "none", ["MKT"])


def test_answers_become_labels_by_the_threshold():
    labels = ("a", "b", "c")
    assert decide_labels("binary", labels[:2], np.array([0.2, 0.4, 0.6]), 0.4) == ["a", "b", "b"]
    found = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    assert decide_labels("multiclass", labels, found, None) == ["b", "a"]
    assert decide_labels("multilabel", labels, found, [0.5, 0.3, 0.3]) == ["b;c", "a;b"]
    assert decide_labels("regression", (), np.array([0.25, 100000.0]), None) == ["0.25", "100000"]
    values = np.array([[0, 1, 1], [0, 0, 0]])
    assert truth_labels(Target("multilabel", labels, values, False)) == ["b;c", ""]
