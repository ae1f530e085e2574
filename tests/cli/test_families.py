"""The main job and vectors with a tiny checkpoint of every family, through the command line."""

import random

import polars as pl
import pytest

from tests.checkpoints.families import read_fixture
from tests.commands import call_main

WORDS = {
    "protein": list("ACDEFGHIKLMNPQRSTVWY"),
    "dna": list("ACGT"),
    "text": ["gene ", "dna ", "rna ", "binding ", "protein "],
}
FAMILIES = {
    "esm2-hf-tiny": "protein",
    "esm1b-fair-tiny": "protein",
    "esm1v-hf-tiny": "protein",
    "nt-v1-tiny": "dna",
    "nt-v2-tiny": "dna",
    "dnabert-tiny": "dna",
    "dnabert2-tiny": "dna",
    "bert-tiny": "text",
}


@pytest.fixture
def table(tmp_path):
    def write(kind):
        generator, rows = random.Random(1), ["id,sequence,label,part"]
        for i in range(60):
            words = generator.choices(
                WORDS[kind], k=generator.randint(8, 14 if kind == "text" else 26)
            )
            if i % 2:
                words[:4] = [WORDS[kind][0]] * 4
            part = "train" if i < 36 else "validation" if i < 48 else "test"
            rows.append(f"s{i},{''.join(words).strip()},{i % 2},{part}")
        path = tmp_path / f"{kind}.csv"
        path.write_text("\n".join(rows) + "\n")
        return path

    return write


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_embeds_and_does_the_main_job(name, table, tmp_path, capsys, monkeypatch):
    def run(*args):
        done = call_main(capsys, monkeypatch, *args, "--quiet")
        assert done.code == 0, done.err
        return done

    model, data = read_fixture(name).path, table(FAMILIES[name])
    whole, pieces = tmp_path / "v.parquet", tmp_path / "r.parquet"
    run("embed", data, "-m", model, "-o", whole)
    run("embed", data, "-m", model, "--per-residue", "-o", pieces)
    pooled, single = pl.read_parquet(whole), pl.read_parquet(pieces)
    assert pooled.height == single.height == 60
    sequences = pl.read_csv(data)["sequence"].to_list()
    for i in (0, 7):
        vectors = single["vector"][i].to_numpy()
        assert abs(vectors.mean(0) - pooled["vector"][i].to_numpy()).max() < 1e-5
        if "token_starts" in single.columns:  # spans cover the sequence, in order
            starts, ends = single["token_starts"][i].to_list(), single["token_ends"][i].to_list()
            assert len(starts) == len(vectors)
            assert starts[0] == 0
            assert ends[-1] == len(sequences[i])
            assert starts == sorted(starts)
        else:
            assert len(vectors) == len(sequences[i])
    split = ["--split", "column:part", "--train", "train", "--validation", "validation"]
    for method in ("full", "frozen"):
        out = tmp_path / method
        run(
            "finetune", data, "-m", model, "--label", "label", "--method", method, *split,
            "--test", "test", "--seeds", "1", "--epochs", "1", "-o", out,
        )  # fmt: skip
        run("predict", out, data, "-o", tmp_path / f"{method}.csv")
        assert pl.read_csv(tmp_path / f"{method}.csv", comment_prefix="#").height == 60
        assert (out / "report.html").exists()


@pytest.mark.parametrize("name", ["nt-v2-tiny", "dnabert-tiny", "dnabert2-tiny"])
def test_long_dna_is_refused_in_tokens_or_read_in_windows(name, tmp_path, capsys, monkeypatch):
    model = read_fixture(name).path
    path, out = tmp_path / "long.fasta", tmp_path / "v.parquet"
    generator = random.Random(2)
    path.write_text(">a\n" + "".join(generator.choices("ACGT", k=3_000)) + "\n")
    done = call_main(capsys, monkeypatch, "embed", path, "-m", model, "-o", out)
    assert "tokens, expected at most" in done.error
    done = call_main(capsys, monkeypatch, "embed", path, "-m", model, "--long", "window", "-o", out)
    assert done.code == 0, done.err
    row = pl.read_parquet(out).row(0, named=True)
    assert row["windows"] > 1
    assert row["residues_used"] == 3_000
    done = call_main(
        capsys, monkeypatch, "embed", path, "-m", model, "--long", "crop:20+10", "-o", out
    )
    assert pl.read_parquet(out).row(0, named=True)["residues_used"] == 30


def test_protein_letters_are_refused_by_a_dna_model(tmp_path, capsys, monkeypatch):
    path = tmp_path / "p.fasta"
    path.write_text(">a\nMKTAYIAK\n")
    model = read_fixture("nt-v1-tiny").path
    done = call_main(capsys, monkeypatch, "embed", path, "-m", model, "-o", tmp_path / "v.parquet")
    assert "the letter 'M' at position 1" in done.error


def test_nothing_runs_beyond_the_last_learned_position(tmp_path, capsys, monkeypatch):
    import lexome
    from lexome.errors import InputError

    fixture = read_fixture("esm1b-hf-tiny").path
    model = lexome.load(str(fixture), device="cpu")
    with pytest.raises(InputError, match="33 tokens, expected at most 32"):
        model.run(["A" * 31], long="whole")
    with pytest.raises(InputError, match="31 residues, expected at most 30"):
        lexome.embed(model, ["A" * 31], long="whole")
    assert lexome.embed(model, ["A" * 31], long="window").windows == [2]
    table = tmp_path / "t.csv"
    table.write_text("sequence,label\nMKT,0\nMKV,1\n")
    done = call_main(
        capsys, monkeypatch, "finetune", table, "-m", fixture, "--label", "label", "--long",
        "whole", "-o", tmp_path / "run",
    )  # fmt: skip
    assert "whole with esm1b-hf-tiny, which learned 32 positions" in done.error
