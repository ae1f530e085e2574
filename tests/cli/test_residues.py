"""Labels of residues through the command line, with models of letters, k-mers and BPE."""

import random

import polars as pl
import pytest

from tests.checkpoints.families import read_fixture
from tests.toy_residues import residue_table


@pytest.fixture(scope="module")
def proteins(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "proteins.csv"
    residue_table(40).write_csv(path)
    return path


def test_a_table_of_states_becomes_a_run_that_predicts_and_is_judged(proteins, lexome, tmp_path):
    output, split = tmp_path / "run", ("--split", "column:part")
    done = lexome(
        "finetune", proteins, "--label", "states", "--task", "per-residue", "--ignore", "-?",
        *split, "--seeds", 2, "--epochs", 2, "--dtype", "fp32", "-o", output,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "(per-residue, multiclass, 3 labels)" in done.err
    assert "letters around" in done.err
    assert "composition" not in done.err

    answers = tmp_path / "answers.parquet"
    done = lexome("predict", output, proteins, "-o", answers)
    assert done.code == 0, done.err
    found, told = pl.read_parquet(answers), pl.read_csv(proteins, infer_schema=False)
    assert [len(text) for text in found["prediction"]] == found["length"].to_list()
    assert found["length"].to_list() == told["sequence"].str.len_chars().to_list()
    assert [len(p) for p in found["probability_H"]] == found["length"].to_list()

    texts = tmp_path / "answers.csv"
    assert lexome("predict", output, proteins, "-o", texts).code == 0
    table = pl.read_csv(texts, infer_schema=False)
    numbers = [list(map(float, cell.split())) for cell in table["probability_H"]]
    assert numbers == found["probability_H"].to_list()
    piped = lexome("predict", output, proteins, "--quiet")
    assert piped.code == 0, piped.err
    assert piped.out == texts.read_text()

    done = lexome("predict", output, proteins, "--label", "states")
    assert done.code == 0, done.err
    assert "Baseline   letters around" in done.out


@pytest.mark.parametrize("name", ["nt-v1-tiny", "nt-v2-tiny", "dnabert-tiny", "dnabert2-tiny"])
@pytest.mark.parametrize("method", ["full", "frozen"])
def test_every_base_is_answered_by_the_token_over_it(name, method, lexome, tmp_path):
    """Of DNA whose third letter of each codon-like stretch is marked, beyond the context too."""
    generator, rows = random.Random(1), ["id,sequence,label,part"]
    for i in range(30):
        sequence = "".join(generator.choices("ACGT", k=generator.randint(20, 90)))
        label = "".join("1" if letter == "A" else "0" for letter in sequence)
        part = "train" if i < 18 else "validation" if i < 24 else "test"
        rows.append(f"s{i},{sequence},{label},{part}")
    data = tmp_path / "dna.csv"
    data.write_text("\n".join(rows) + "\n")
    model, output = read_fixture(name).path, tmp_path / "run"
    done = lexome(
        "finetune", data, "-m", model, "--label", "label", "--task", "per-residue",
        "--method", method, "--split", "column:part", "--seeds", 1, "--epochs", 1, "-o", output,
    )  # fmt: skip
    assert done.code == 0, done.err
    answers = tmp_path / "a.parquet"
    assert lexome("predict", output, data, "-o", answers).code == 0
    found = pl.read_parquet(answers)
    assert [len(text) for text in found["prediction"]] == found["length"].to_list()
    # letters that share a token are told apart by their place in it
    values = pl.read_parquet(output / "predictions.parquet")["probability"].to_list()
    assert all(len(set(row)) > len(row) / 2 for row in values)


def test_bad_labels_of_residues_get_one_line_each(proteins, lexome, tmp_path):
    def refused(*args):
        done = lexome(
            "finetune", proteins, "-o", tmp_path / "r", "--task", "per-residue", *args, "--quiet"
        )
        assert done.code == 2, done.err
        assert not (tmp_path / "r").exists()
        return done.error

    assert "row 1 (row_1)" in refused("--label", "id")
    assert "a label of 2 letters" in refused("--label", "id")
    assert "--ignore hides" in refused("--label", "states", "--ignore", "HEC-")
    assert "crop:9+9" in refused("--label", "states", "--long", "crop:9+9")
