"""Both strands of DNA: drawn in training, answered alike, refused where there is one only."""

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.tokenizers.kinds import letter_tokenizer
from lexome.training.artefact import load_artefact
from lexome.training.finetune import finetune
from lexome.training.fitted import predict_mean
from lexome.training.recipes import choose_recipe
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import settle_alphabet
from lexome.training.strands import complement_ids, draw_strands, other_strand

PARTNER = str.maketrans("ACGT", "TGCA")


def turned(sequence: str) -> str:
    return sequence.translate(PARTNER)[::-1]


def sites(num: int = 90) -> pl.DataFrame:
    """Random DNA; a site on either strand makes half of it positive."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(num):
        letters = "".join(generator.choice(list("ACGT"), 40))
        if i % 2:
            site = "TGACGTGG" if i % 4 == 1 else turned("TGACGTGG")
            letters = letters[:16] + site + letters[24:]
        rows.append((letters, i % 2, ("train", "train", "test", "validation")[i // 2 % 4]))
    return pl.DataFrame(rows, ["sequence", "label", "part"], orient="row")


OPTIONS = {"split": "column:part", "seeds": 1, "epochs": 1, "dtype": "fp32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    output = tmp_path_factory.mktemp("strands") / "run"
    return finetune("new:cnn", sites(), "label", output=output, both_strands=True, **OPTIONS)


def test_a_sequence_and_its_reverse_complement_get_one_answer(run):
    fitted = load_artefact(run.directory)
    sequences = sites()["sequence"].to_list()[:20]
    ids = [str(i) for i in range(20)]
    one = predict_mean(fitted, ids, sequences)
    other = predict_mean(fitted, ids, [turned(sequence) for sequence in sequences])
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.ptp(one) > 1e-3  # the answers differ between sequences


def test_the_alphabet_is_told_by_the_letters_and_kept_by_the_run(run):
    assert run.facts["settings"]["alphabet"] == "dna"
    assert load_artefact(run.directory).setup.tokenizer.alphabet.name == "dna"


def test_strands_are_drawn_by_a_coin_and_only_the_order_and_letters_change():
    dna = letter_tokenizer("dna")
    complement = complement_ids(dna)
    ids = np.array(dna.encode("AACGN"), np.uint8)
    drawn = draw_strands([ids] * 200, complement, np.random.default_rng(1))
    texts = {dna.decode(one) for one in drawn}
    assert texts == {"AACGN", "NCGTT"}
    assert 60 < sum(dna.decode(one) == "NCGTT" for one in drawn) < 140
    assert np.array_equal(other_strand(other_strand(ids, complement), complement), ids)


def test_proteins_have_one_strand():
    with pytest.raises(InputError, match="it has two"):
        FinetuneSettings(
            alphabet="protein", recipe=choose_recipe("new:cnn", "full", both_strands=True)
        )
    table = pl.DataFrame({"sequence": ["MKTAYIAK", "MLLWWEDF"], "label": [0, 1]})
    with pytest.raises(InputError, match="DNA: it has two"):
        finetune("new:cnn", table, "label", output="unused", both_strands=True)


def test_a_new_model_of_dna_has_a_recipe_of_its_own():
    plain = FinetuneSettings(model="new:cnn")
    settled = settle_alphabet(plain, ["ACGTTGCA"], epochs=3)
    assert (settled.alphabet, settled.recipe.long, settled.recipe.epochs) == ("dna", "whole", 3)
    assert settle_alphabet(plain, ["ACGUU"]).alphabet == "rna"
    assert settle_alphabet(plain, ["MKTAYIAK"]).recipe == plain.recipe
