"""Vectors, the main job and the certificate of small T5 models, through the command line."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from lexome.inference.model import load
from tests.checkpoints.t5_models import LETTERS, make_t5, prost_tokens, write_t5
from tests.commands import call_main
from tests.toys import motif_table

transformers = pytest.importorskip("transformers")
transformers.logging.disable_progress_bar()


def write_kind(folder, kind):
    """A directory as that of a published model, small."""
    if kind == "prostt5":
        write_t5(folder, make_t5(3, vocabulary_size=150))
        (folder / "added_tokens.json").write_text(json.dumps(prost_tokens()))
    elif kind == "ankh":
        more = {"head": "own", "feed_forward": "gated-gelu_new", "num_buckets": 64}
        write_t5(folder, make_t5(4, scaled_head=False, **more))
    elif kind == "encoder":
        write_t5(folder, make_t5(5, decoder=False))
    else:
        write_t5(folder, make_t5(6))
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*args):
        done = call_main(capsys, monkeypatch, *args)
        assert done.code == 0, done.err
        return done

    return call


@pytest.mark.parametrize("kind", ["prott5", "prostt5", "ankh", "encoder"])
def test_a_model_embeds_and_does_the_main_job(kind, tmp_path, run):
    model, data = write_kind(tmp_path / kind, kind), tmp_path / "t.csv"
    motif_table(60).write_csv(data)
    whole, pieces = tmp_path / "v.parquet", tmp_path / "r.parquet"
    run("embed", data, "-m", model, "-o", whole, "--quiet")
    run("embed", data, "-m", model, "--per-residue", "-o", pieces, "--quiet")
    pooled, single = pl.read_parquet(whole), pl.read_parquet(pieces)
    sequences = pl.read_csv(data)["sequence"].to_list()
    kind_of = transformers.T5EncoderModel
    reference = kind_of.from_pretrained(model).eval()
    for i in (0, 7):
        vectors = single["vector"][i].to_numpy()
        assert len(vectors) == len(sequences[i])
        assert abs(vectors.mean(0) - pooled["vector"][i].to_numpy()).max() < 1e-5
        ids = [149] * (kind == "prostt5") + [LETTERS.index(a) + 3 for a in sequences[i]] + [1]
        with torch.inference_mode():
            rows = reference(torch.tensor([ids])).last_hidden_state[0]
        mean = rows[int(kind == "prostt5") : -1].mean(0).numpy()
        np.testing.assert_allclose(pooled["vector"][i].to_numpy(), mean, atol=1e-4)
    split = ["--split", "column:part", "--train", "train", "--validation", "validation"]
    for method in ("frozen", "full"):
        out = tmp_path / method
        run(
            "finetune", data, "-m", model, "--label", "label", "--method", method, *split,
            "--test", "test", "--seeds", "1", "--epochs", "1", "-o", out, "--quiet",
        )  # fmt: skip
        run("predict", out, data, "-o", tmp_path / f"{method}.csv", "--quiet")
        assert pl.read_csv(tmp_path / f"{method}.csv", comment_prefix="#").height == 60


@pytest.mark.parametrize("kind", ["prott5", "prostt5", "ankh", "encoder"])
def test_the_certificate_holds_ours_to_transformers(kind, tmp_path, run):
    done = run("verify", write_kind(tmp_path / kind, kind), "--json")
    found = json.loads(done.out)
    assert found["passed"]
    assert found["reference"].startswith("transformers")
    against = {check["output"] for check in found["checks"] if "transformers" in check["against"]}
    decoder = set() if kind == "encoder" else {"decoder_logits"}
    assert against == {"hidden_layers", "attentions"} | decoder


def test_the_certificate_is_broken_by_another_models_weights(tmp_path, capsys, monkeypatch):
    from lexome.inference import certificate

    plain = certificate.find_reference
    model, other = write_kind(tmp_path / "a", "prott5"), write_t5(tmp_path / "b", make_t5(9))
    monkeypatch.setattr(certificate, "find_reference", lambda layout, path: plain(layout, other))
    done = call_main(capsys, monkeypatch, "verify", model)
    assert done.code == 2
    assert "differing by" in done.error


def test_a_directory_without_tokens_verifies_and_refuses_letters(
    tmp_path, run, capsys, monkeypatch
):
    model = write_t5(tmp_path / "m", pieces=False)
    assert json.loads(run("verify", model, "--json").out)["passed"]
    data = tmp_path / "p.fasta"
    data.write_text(">a\nMKTAYIAK\n")
    for args in (
        ("embed", data, "-m", model, "-o", tmp_path / "v.parquet"),
        ("embed", data, "-m", model, "--unknown", "reference", "-o", tmp_path / "v.parquet"),
    ):
        done = call_main(capsys, monkeypatch, *args)
        assert "no tokenizer, expected tokenizer.json or spiece.model" in done.error
    table = tmp_path / "t.csv"
    motif_table(60).write_csv(table)
    done = call_main(
        capsys, monkeypatch, "finetune", table, "-m", model, "--label", "label", "-o", tmp_path / "run"
    )  # fmt: skip
    assert "no tokenizer" in done.error
    hidden = load(str(model)).run_ids([[5, 6, 1]], ["hidden"])[0].hidden
    assert hidden.shape == (3, 24)


def test_rare_letters_and_long_proteins(tmp_path, run, capsys, monkeypatch):
    model, data, out = (
        write_kind(tmp_path / "m", "prott5"),
        tmp_path / "p.fasta",
        tmp_path / "v.parquet",
    )
    data.write_text(">a\nMKTUYIAK\n")
    done = call_main(capsys, monkeypatch, "embed", data, "-m", model, "-o", out)
    assert "the letter 'U' at position 4" in done.error
    for policy in ("map", "reference"):
        done = run("embed", data, "-m", model, "--unknown", policy, "-o", out, "--json")
        assert json.loads(done.out)["mapped"] == {"U": 1}
    data.write_text(">a\n" + "MKTAYIAKQR" * 60 + "\n")
    done = call_main(capsys, monkeypatch, "embed", data, "-m", model, "-o", out)
    assert "600 residues, expected at most 511" in done.error
    for policy, windows in (("whole", 1), ("window", 2), ("crop:20+10", 1)):
        run("embed", data, "-m", model, "--long", policy, "-o", out, "--quiet")
        assert pl.read_parquet(out)["windows"].to_list() == [windows]


def test_what_needs_a_causal_model_is_refused(tmp_path, capsys, monkeypatch):
    model, data = write_kind(tmp_path / "m", "prott5"), tmp_path / "p.fasta"
    data.write_text(">a\nMKTAYIAK\n")
    alone = write_kind(tmp_path / "e", "encoder")
    asked = ("score", data, "-m", alone, "-o", tmp_path / "out.csv", "--quiet")
    done = call_main(capsys, monkeypatch, *asked)
    assert "saw weights of an encoder alone" in done.error
    done = call_main(capsys, monkeypatch, "explain", data, "-m", model, "-o", tmp_path / "c.csv")
    assert "a model with contacts" in done.error


def test_hidden_residues_and_noise_keep_specials(tmp_path):
    from lexome.seeds import numpy_generator
    from lexome.training.examples import Noise, add_noise

    model = load(str(write_kind(tmp_path / "m", "prostt5")))
    ids = np.array(model.tokenizer.encode("MKTAYIAK" * 20), np.uint8)
    noise = Noise(mask=0.3, substitute=0.3)
    changed = add_noise([ids], noise, model.tokenizer, numpy_generator("noise", 0, 0))[0]
    assert (changed[0], changed[-1]) == (149, 1)
    assert (changed == model.tokenizer.mask_id).mean() > 0.2
    kept = changed[changed != model.tokenizer.mask_id]
    assert (kept != ids[changed != model.tokenizer.mask_id]).sum() > 0
    assert set(kept[1:-1].tolist()) <= set(range(3, 28))
    hidden = model.run(["MK<extra_id_0>T"], ["hidden"])[0]
    assert hidden.ids == [149, 19, 14, 127, 11, 1]
