"""Pairs of sequences from end to end: joint and towers, in one order and in both."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from lexome.batches.windows import parse_long
from lexome.checkpoints.load import load_checkpoint
from lexome.errors import InputError
from lexome.inference import embed_file as embedding
from lexome.layers.pairs import answer_pairs
from lexome.sequence.pairs import Pair
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training import finetune as module
from lexome.training import frozen
from lexome.training.artefact import load_artefact
from lexome.training.examples import Noise, add_noise, second_segment
from lexome.training.finetune import finetune
from lexome.training.fitted import predict_each, predict_mean
from lexome.training.judge_run import judge_run
from lexome.training.pair_inputs import encode_contents
from lexome.training.predict import predict, predict_file
from lexome.training.run_folder import Run
from tests.shared_data import shared
from tests.toy_pairs import pair_table

QUICK: dict[str, Any] = {
    **{"sequence": "heavy", "second": "light", "split": "column:part", "seeds": 1, "epochs": 2},
    **{"dtype": "fp32", "batch_size": 16, "average": 0.9},
}


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = QUICK | {"epochs": 12, "symmetric": True, "seeds": 2, "mask": 0.0, "substitute": 0.0}
    output = tmp_path_factory.mktemp("runs") / "towers"
    return finetune("new:cnn", pair_table(240), "label", output=output, **options)


def swapped(table: pl.DataFrame) -> pl.DataFrame:
    return table.rename({"heavy": "light", "light": "heavy"})


def contents(table: pl.DataFrame) -> tuple[list[str], list[Pair]]:
    pairs = [Pair(*row) for row in table.select("heavy", "light").iter_rows()]
    return table["id"].to_list(), pairs


def test_towers_learn_what_depends_on_both_sequences(towers):
    assert towers.facts["pairs"] == "towers, symmetric"
    assert towers.figure("auroc") > 0.9
    assert towers.facts["columns"] == {
        **{"sequence": "heavy", "second": "light", "id": "id", "label": "label"}
    }
    report = towers.report.read_text()
    assert "heavy and light: towers, symmetric" in report
    assert "new.csv" in report


def test_a_symmetric_run_gives_the_swapped_pair_the_same_bits(towers):
    fitted = load_artefact(towers.directory)
    ids, pairs = contents(pair_table(30, seed=5))
    there = predict_each(fitted, ids, pairs)
    back = predict_each(fitted, ids, [Pair(second, first) for first, second in pairs])
    assert np.array_equal(there, back)
    assert np.ptp(there) > 0.1
    # of the head itself too, before pairs are put in one order
    network, generator = fitted.networks[0], torch.Generator().manual_seed(0)
    width = (network.pool.width if network.pool else 0) + network.config.num_features
    both_ND = torch.randn(8, width, generator=generator)
    back_ND = both_ND.view(4, 2, -1).flip(1).reshape(8, -1)
    with torch.no_grad():
        one, other = (answer_pairs(network.answer, x, "symmetric") for x in (both_ND, back_ND))
    assert torch.equal(one, other)


def test_a_pair_gets_the_same_answer_alone_and_in_company(towers):
    fitted = load_artefact(towers.directory)
    ids, pairs = contents(pair_table(24, seed=6))
    together = predict_mean(fitted, ids, pairs)
    alone = [predict_mean(fitted, [id], [pair])[0] for id, pair in zip(ids, pairs, strict=True)]
    assert np.array(alone) == pytest.approx(together, rel=1e-5)


def test_predict_finds_both_columns_by_the_names_that_the_run_has_kept(towers, tmp_path):
    table = pair_table(240).filter(pl.col("part") == "test")
    written = pl.read_parquet(towers.directory / "predictions.parquet").filter(
        pl.col("model") == "ensemble", pl.col("part") == "test"
    )
    found = predict(towers.directory, table)
    assert found.columns == [
        *("id", "length", "residues_used", "second_length", "second_residues_used"),
        *("probability_label", "threshold", "prediction"),
    ]
    assert found["second_length"].to_list() == table["light"].str.len_chars().to_list()
    assert found["probability_label"].to_numpy() == pytest.approx(
        written["probability"].to_numpy(), rel=1e-5, abs=1e-6
    )
    other = table.rename({"heavy": "one", "light": "two"})
    again = predict(towers.directory, other, sequence="one", second="two")
    assert again.equals(found)
    table.write_csv(tmp_path / "in.csv")
    done = predict_file(
        towers.directory, tmp_path / "in.csv", tmp_path / "o.parquet", {}, quiet=True
    )
    assert done.rows == 48
    assert pl.read_parquet(tmp_path / "o.parquet").equals(found)
    with pytest.raises(InputError, match="no column 'heavy'"):
        predict(towers.directory, other)
    with pytest.raises(InputError, match="both sequences of each pair"):
        predict(towers.directory, ["MKTAYIAKQR"])


def test_a_run_of_pairs_is_judged_on_another_table(towers):
    judged = judge_run(towers.directory, pair_table(60, seed=9), "label")
    assert judged["rows"]["judged"] == 60
    model = next(m for m in judged["models"] if m["name"] == "ensemble")
    assert model["parts"]["test"]["auroc"]["value"] > 0.8
    assert model["parts"]["test"]["brier"]["low"] < model["parts"]["test"]["brier"]["high"]


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize(
    ("method", "pairs", "symmetric"),
    [
        ("full", "joint", False),
        ("full", "joint", True),
        ("full", "towers", False),
        ("lora", "joint", True),
        ("dora", "towers", True),
        ("ia3", "joint", False),
        ("bias", "towers", False),
        ("frozen", "towers", True),
        ("frozen, residues", "towers", False),
    ],
)
def test_every_method_takes_pairs(method, pairs, symmetric, esm2, tmp_path):
    options = QUICK | {"pairs": pairs, "symmetric": symmetric, "method": method.split(",")[0]}
    if "residues" in method:
        options["head_convolutions"] = 2
    table = pair_table(60)
    run = finetune(str(esm2), table, "label", output=tmp_path / "run", **options)
    assert run.facts["reloaded"] == "identical"
    found = predict(run.directory, table)
    if symmetric:
        assert predict(run.directory, swapped(table))["probability_label"].equals(
            found["probability_label"]
        )


@pytest.mark.usefixtures("without_report")
def test_new_models_take_a_joint_input(tmp_path):
    for model in ("new:cnn", "new:encoder-small"):
        options = QUICK | {"pairs": "joint", "epochs": 1}
        run = finetune(model, pair_table(60), "label", output=tmp_path / model[4:], **options)
        assert run.facts["pairs"] == "joint"


@pytest.mark.usefixtures("without_report")
def test_a_frozen_model_reads_each_distinct_sequence_once(esm2, monkeypatch, tmp_path):
    made: list[str] = []
    plain = embedding.embed_records

    def embed_records(model: Any, records: Any, *args: Any) -> Any:
        made.extend(record.sequence for record in records)
        return plain(model, records, *args)

    for way in (embedding, frozen):
        monkeypatch.setattr(way, "embed_records", embed_records)
    table = pair_table(60, shared=20)
    options = QUICK | {"method": "frozen", "seeds": 2}
    finetune(str(esm2), table, "label", output=tmp_path / "run", **options)
    assert sorted(made) == sorted({*table["heavy"], *table["light"]})


def test_a_joint_input_is_the_familys_own():
    """`<cls>` A `<eos>` B `<eos>`; BERT's ids and types are those of its own tokenizer."""
    tokenizer = CharacterTokenizer()
    pair, whole = Pair("MKT", "GAV"), parse_long("whole")
    (found,) = encode_contents([pair], ["a"], whole, tokenizer, None)
    letters = [tokenizer.id_of[x] for x in ("<cls>", *"MKT", "<eos>", *"GAV", "<eos>")]
    assert found.tolist() == letters
    noisy = add_noise([found], Noise(0.99, 0.0), tokenizer, np.random.default_rng(0))[0]
    assert noisy[[0, 4, 8]].tolist() == found[[0, 4, 8]].tolist()
    bert = load_checkpoint(str(shared("reference/fixtures/dnabert2-tiny"))).tokenizer
    dna = Pair("ACGTAGCATCGGATCTATCTATCGACACTTGG", "GGGATTTACCAT")
    (found,) = encode_contents([dna], ["a"], whole, bert, None)
    ids, types = bert.encode_pair(*dna)
    assert found.tolist() == ids
    assert second_segment(found, bert.eos_id).tolist() == types


def test_a_crop_shares_the_room_between_both_sequences():
    tokenizer = CharacterTokenizer()
    pair = Pair("A" * 50 + "C" * 50, "G" * 8)
    (found,) = encode_contents([pair], ["a"], parse_long("crop:10+10"), tokenizer, 1022)
    text = tokenizer.decode(found)
    assert text == "A" * 6 + "C" * 6 + "G" * 8
    (found,) = encode_contents([pair], ["a"], parse_long("crop:511+511"), tokenizer, 22)
    assert len(found) == 22 + tokenizer.num_specials  # with the sign between: the whole context


BAD = {
    "no such column": ({"second": "lihgt"}, "no column 'lihgt'"),
    "the first again": ({"second": "heavy"}, "as first and as second sequence"),
    "no second": ({"second": None, "pairs": "towers"}, "without a second sequence column"),
    "no second, symmetric": ({"second": None, "symmetric": True}, "`--second COLUMN`"),
    "no such way": ({"pairs": "apart"}, "expected auto or joint or towers"),
    "too long": ({"pairs": "joint", "long": "refuse"}, "both sequences and the sign between"),
    "frozen joint": ({"pairs": "joint", "method": "frozen"}, "makes a vector of each sequence"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pairs_cost_one_clear_error(name, esm2, tmp_path):
    changed, said = BAD[name]
    table = pair_table(40)
    if name == "too long":
        table[3, "heavy"], table[3, "light"] = "M" * 600, "A" * 600
    with pytest.raises(InputError) as problem:
        finetune(str(esm2), table, "label", output=tmp_path / "run", **(QUICK | changed))
    assert said in str(problem.value)
    assert not (tmp_path / "run").exists()


def test_an_empty_second_sequence_is_named(tmp_path):
    table = pair_table(40)
    table[3, "light"] = None
    with pytest.raises(InputError, match=r"row 4 \(p3\), column 'light': saw no sequence"):
        finetune("new:cnn", table, "label", output=tmp_path / "run", **QUICK)


def test_a_model_without_a_separator_reads_towers(tmp_path: Path):
    model = str(shared("reference/fixtures/progen2-tiny"))
    with pytest.raises(InputError, match="end with no separator"):
        finetune(model, pair_table(40), "label", output=tmp_path / "r", **QUICK, pairs="joint")


@pytest.mark.usefixtures("without_report")
def test_symmetric_pairs_are_repeats_and_conflicts_in_either_order(tmp_path):
    table = pair_table(60)
    extra = swapped(table[:4]).with_columns(
        pl.Series("id", [f"x{i}" for i in range(4)]),
        pl.Series("label", [*table["label"][:2], *(1 - table["label"][2:4])]),
    )
    both = pl.concat([table, extra.select(table.columns)])
    for symmetric, repeats, conflicts in ((True, 2, 4), (False, 0, 0)):
        options = QUICK | {"symmetric": symmetric, "epochs": 1}
        run = finetune("new:cnn", both, "label", output=tmp_path / f"{symmetric}", **options)
        counts = {line["what"].split(" (")[0]: line["count"] for line in run.facts["cleaning"]}
        assert counts["repeated rows merged"] == repeats
        assert counts["rows with conflicting labels dropped"] == conflicts
