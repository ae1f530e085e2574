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
from lexome.training import frozen
from lexome.training.artefact import load_artefact
from lexome.training.finetune import finetune
from lexome.training.fitted import decide_labels, predict_mean, truth_labels
from lexome.training.judge_run import judge_run
from lexome.training.predict import predict, predict_file
from lexome.training.run_folder import Run
from lexome.training.target import Target
from tests.toys import motif_table, random_proteins, rich_table, write_fasta

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
    assert found["probability_label"].to_numpy() == pytest.approx(
        written["probability"].to_numpy(), rel=1e-5, abs=1e-6
    )
    assert found["prediction"].to_list() == written["prediction"].to_list()


def test_a_sequence_gets_the_same_answer_alone_and_in_company(motif_run):
    fitted = load_artefact(motif_run.directory)  # its answers are not rounded
    names, proteins = [[*column] for column in zip(*PROTEINS, strict=True)]
    together = predict_mean(fitted, names, proteins)
    backwards = predict_mean(fitted, names[::-1], proteins[::-1])
    assert backwards[::-1] == pytest.approx(together, rel=1e-5)
    alone = [predict_mean(fitted, [name], [protein])[0] for name, protein in PROTEINS]
    assert np.array(alone) == pytest.approx(together, rel=1e-5)
    found = predict(motif_run.directory, PROTEINS)
    assert found["id"].to_list() == names
    assert found["length"].to_list() == list(map(len, proteins))
    assert found["probability_label"].to_list() == [float(f"{value:.6g}") for value in together]


def test_an_answer_can_be_read_by_itself(motif_run, tmp_path):
    """The label is 0 or 1 in a column called "label": that is what the probability is of."""
    source = write_fasta(tmp_path / "in.fasta", motif_table(240)["id", "sequence"].rows())
    done = predict_file(motif_run.directory, source, tmp_path / "answers.csv", {}, quiet=True)
    lines = [line.split(",") for line in (tmp_path / "answers.csv").read_text().splitlines()]
    assert lines[0][-3:] == ["probability_label", "threshold", "prediction"]
    for *_, probability, threshold, called in lines[1:]:
        digits = probability.partition("e")[0].replace(".", "").lstrip("0")
        assert len(digits) <= 6
        assert threshold == f"{motif_run.metrics['models'][-2]['threshold']:.6g}"
        assert called == str(int(float(probability) >= float(threshold)))
    assert set(done.calls) == {"label", "not label"}
    assert done.calls["label"] == sum(line[-1] == "1" for line in lines)


def test_a_frozen_run_builds_its_model_once_for_all_parts(esm2, monkeypatch, tmp_path):
    options = {"split": "column:part", "seeds": 1, "epochs": 1, "method": "frozen"}
    run = finetune(str(esm2), rich_table(40), "kind", output=tmp_path / "run", **options)
    built: list[str] = []
    plain = frozen.Model

    def build(*args: Any) -> Any:
        built.append("model")
        return plain(*args)

    monkeypatch.setattr(frozen, "Model", build)
    monkeypatch.setattr(parts, "PART_RECORDS", 5)
    source = write_fasta(tmp_path / "in.fasta", PROTEINS[1:])
    done = predict_file(run.directory, source, tmp_path / "out.csv", {}, quiet=True)
    assert done.rows == 21
    assert built == ["model"]


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
    assert found["probability_label"].to_numpy() == pytest.approx(
        expected["probability_label"].to_numpy(), rel=1e-5
    )
    notes = read_provenance(output)
    assert notes["input"] == "x"
    assert notes["threshold"] == motif_run.metrics["models"][-2]["threshold"]


def test_letters_follow_the_policy_of_the_training_unless_another_is_named(motif_run):
    with pytest.raises(InputError, match="sequence_1: saw the letter 'J' at position 3"):
        predict(motif_run.directory, ["MKJ"])
    with pytest.warns(UserWarning, match=r"source: 1 letters mapped in 1 rows \(J 1\)"):
        mapped = predict(motif_run.directory, ["MKJ", "MKX"], unknown="map")
    assert mapped["probability_label"][0] == pytest.approx(mapped["probability_label"][1])
    with pytest.raises(InputError, match="unknown: saw 'reference'"):
        predict(motif_run.directory, ["MKT"], unknown="reference")
    with pytest.raises(InputError, match="sequence_2: saw 0 residues"):
        predict(motif_run.directory, ["MKT", ""])


def test_an_id_that_stands_twice_is_refused(motif_run, tmp_path):
    twice = [("a", "MKT"), ("b", "MKT"), ("a", "GAV")]
    with pytest.raises(InputError, match="source, item 3: saw the id 'a', which item 1 has too"):
        predict(motif_run.directory, twice)
    with pytest.raises(InputError, match="source, item 3: saw the id 'a', which item 1 has too"):
        predict_file(motif_run.directory, twice, tmp_path / "out.csv", {}, quiet=True)
    assert not list(tmp_path.iterdir())
    assert predict(motif_run.directory, ["MKT", "MKT"]).height == 2


def test_a_cropped_row_says_how_much_of_it_was_used(motif_run, tmp_path):
    """`new:cnn` sees the first 160 and the last 96 residues."""
    found = predict(motif_run.directory, [("a", "M" * 256), ("b", "M" * 257), ("c", "M")])
    assert found["length"].to_list() == [256, 257, 1]
    assert found["residues_used"].to_list() == [256, 256, 1]
    assert "windows" not in found.columns
    source = write_fasta(tmp_path / "in.fasta", [("a", "M" * 256), ("b", "M" * 257)])
    done = predict_file(motif_run.directory, source, tmp_path / "out.csv", {}, quiet=True)
    assert (done.cropped, done.windowed) == (1, 0)


def test_a_run_with_windows_says_how_many_and_takes_ids_with_spaces(esm2, tmp_path):
    """Windows of 1,022 residues begin every 511: 2,000 residues need three."""
    table = rich_table(40).with_columns(id="sample " + pl.col("id").str.slice(1))
    options = {"split": "column:part", "seeds": 1, "epochs": 1, "method": "frozen"}
    run = finetune(str(esm2), table, "kind", output=tmp_path / "run", long="window", **options)
    source = {"a": "M" * 1022, "a b": "MW" * 1000}
    found = predict(run.directory, source)
    assert found["id"].to_list() == ["a", "a b"]
    assert found["residues_used"].to_list() == found["length"].to_list() == [1022, 2000]
    assert found["windows"].to_list() == [1, 3]
    done = predict_file(run.directory, source, tmp_path / "out.csv", {}, quiet=True)
    assert (done.cropped, done.windowed) == (0, 1)


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
    found = predict(folder, PROTEINS)["probability_label"].to_numpy()
    (folder / "weights-2.safetensors").replace(folder / "weights-1.safetensors")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_networks": 2', '"num_networks": 1'))
    other = predict(folder, PROTEINS)["probability_label"].to_numpy()
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


def test_a_run_is_judged_by_its_own_column_where_a_table_has_a_better_known_name(tmp_path):
    table = motif_table(60, seed=3)
    both = table.rename({"sequence": "trimmed"}).with_columns(
        sequence=pl.Series(random_proteins(table.height, seed=9))
    )
    run = finetune(
        "new:cnn", both, "label", output=tmp_path / "run", sequence="trimmed", split="column:part",
        seeds=1, epochs=2, dtype="fp32", batch_size=16, average=0.9,
    )  # fmt: skip
    test = both.filter(pl.col("part") == "test")
    own = judge_run(run.directory, test, "label")
    assert own["columns"]["sequence"] == "trimmed"
    asked = judge_run(run.directory, test, "label", sequence="trimmed")
    assert own["models"] == asked["models"]
    with pytest.raises(InputError, match="unknown"):
        judge_run(run.directory, test, "label", unknown="foo")
