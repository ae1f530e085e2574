"""Scores of encoder-decoders: the decoder writes its own source again."""

import numpy as np
import polars as pl
import pytest
import torch

import lexome
from lexome.errors import InputError
from lexome.inference.model import load
from tests.checkpoints.t5_models import make_t5, write_t5
from tests.commands import run_process
from tests.shared_data import shared

transformers = pytest.importorskip("transformers")
NAMES = ("t5-prott5-tiny", "t5-ankh-tiny")


def reconstruct(path, source):
    """log p of each token but the last, by transformers."""
    peer = transformers.T5ForConditionalGeneration.from_pretrained(path).eval()
    begun = torch.tensor([[0, *source[:-2]]])
    with torch.inference_mode():
        logits = peer(input_ids=torch.tensor([source]), decoder_input_ids=begun).logits[0]
    targets = torch.tensor(source[:-1])
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_a_reconstruction_is_as_likely_as_transformers_finds_it(name):
    path = shared(f"reference/fixtures/{name}")
    ids = [5, 9, 30, 17, 8]
    model = load(str(path), device="cpu")
    given = pl.DataFrame({"id": ["a"], "sequence": [",".join(map(str, ids))]})
    table = lexome.score(model, given, per_position=True)
    expected = reconstruct(path, [*ids, 1])
    np.testing.assert_allclose(table["log_likelihood"].to_numpy(), expected, atol=2e-4)
    whole = lexome.score(model, given)
    assert whole["tokens_scored"].item() == 5
    assert whole["log_likelihood"].item() == pytest.approx(float(expected.sum()), abs=1e-3)


def test_residues_are_scored_and_rows_stay_as_they_are_alone(tmp_path):
    write_t5(tmp_path, make_t5(6))
    model = load(str(tmp_path), device="cpu")
    proteins = ["MKTAYIAK", "GAVLIMFWP", "MK"]
    together = lexome.score(model, proteins)["log_likelihood"].to_list()
    alone = [lexome.score(model, one)["log_likelihood"].item() for one in proteins]
    assert together == alone
    with pytest.raises(InputError, match="an encoder-decoder"):
        lexome.score(model, proteins, rule="plain")
    with pytest.raises(InputError, match="reads one way"):
        lexome.score(model, proteins, direction="reverse")


def test_the_command_takes_ids_where_there_is_no_tokenizer(tmp_path):
    table = tmp_path / "ids.csv"
    pl.DataFrame({"id": ["a", "b"], "sequence": ["5,6,7,8", "9,10,11"]}).write_csv(table)
    path = shared("reference/fixtures/t5-prott5-tiny")
    done = run_process("score", table, "-m", path, "-o", tmp_path / "scores.csv")
    assert done.code == 0, done.err
    assert pl.read_csv(tmp_path / "scores.csv")["tokens_scored"].to_list() == [4, 3]
    assert "reconstruction" in (tmp_path / "scores.csv.meta.json").read_text()
