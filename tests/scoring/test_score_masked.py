"""`lexome.score` by encoders: the sums of pseudo-log-likelihoods, and every refusal in words."""

import math

import numpy as np
import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.results.tables import read_provenance
from lexome.scoring.pseudo_likelihood import MASKED_RULES, pseudo_log_likelihoods
from lexome.scoring.score import make_scorer
from lexome.scoring.score_file import score_file
from lexome.scoring.scorers import Scoring
from lexome.tokenizers.character import CharacterTokenizer
from tests.checkpoints.decoders import read_decoder
from tests.shared_data import shared
from tests.toy_models import Independent, toy_model
from tests.toys import random_proteins, write_fasta

PROTEINS = random_proteins(5, seed=7, low=8, high=40)
DNA = ["ACGTTGCAGATTACAGGCATCGATTTGC", "GATTACAGATTACA"]


@pytest.fixture(scope="module")
def model(esm2) -> Model:
    return lexome.load(str(esm2), device="cpu")


def fixture(name: str) -> Model:
    return lexome.load(str(shared(f"reference/fixtures/{name}")), device="cpu")


@pytest.mark.parametrize("rule", list(MASKED_RULES))
def test_a_row_is_the_sum_of_its_residues(model, rule):
    values = pseudo_log_likelihoods(model, PROTEINS, one_pass="one-pass" in rule)
    table = lexome.score(model, PROTEINS, rule=rule)
    assert table["rule"].unique().to_list() == [rule]
    assert table["tokens_scored"].to_list() == [len(protein) for protein in PROTEINS]
    assert table["log_likelihood"].to_list() == pytest.approx([v.sum() for v in values], abs=1e-4)
    expected = [math.exp(-v.mean()) for v in values]  # the pseudo-perplexity
    assert table["perplexity"].to_list() == pytest.approx(expected, rel=1e-5)


def test_the_exact_rule_is_the_default(model):
    assert lexome.score(model, PROTEINS[:1])["rule"][0] == "pseudo-log-likelihood"


def test_positions_name_their_residues_and_add_up(model):
    table = lexome.score(model, PROTEINS[:2], per_position=True)
    assert "".join(table["token"]) == "".join(PROTEINS[:2])
    expected = np.concatenate(pseudo_log_likelihoods(model, PROTEINS[:2]))
    assert table["log_likelihood"].to_list() == pytest.approx(expected.tolist(), abs=1e-5)
    assert table["position"].to_list() == [i + 1 for p in PROTEINS[:2] for i in range(len(p))]


@pytest.mark.parametrize("name", ["nt-v1-tiny", "dnabert-tiny", "dnabert2-tiny"])
def test_of_longer_tokens_positions_are_those_of_their_first_letter(name):
    model = fixture(name)
    table = lexome.score(model, DNA[:1], per_position=True)
    assert "".join(table["token"]) == DNA[0]
    for token, position in zip(table["token"], table["position"], strict=True):
        assert DNA[0][position - 1 :].startswith(token)
    total = lexome.score(model, DNA[:1])["log_likelihood"][0]
    assert table["log_likelihood"].sum() == pytest.approx(total, abs=1e-4)


def test_dna_is_scored_on_either_strand_or_both():
    model = fixture("nt-v1-tiny")
    turned = [text[::-1].translate(str.maketrans("ACGT", "TGCA")) for text in DNA]
    forward = lexome.score(model, DNA)["log_likelihood"]
    reverse = lexome.score(model, turned)["log_likelihood"]
    back = lexome.score(model, DNA, direction="reverse")["log_likelihood"]
    assert back.to_list() == pytest.approx(reverse.to_list(), abs=1e-5)
    both = lexome.score(model, DNA, direction="both")["log_likelihood"]
    assert both.to_list() == pytest.approx(((forward + reverse) / 2).to_list(), abs=1e-5)


def test_a_coin_for_each_residue_has_the_perplexity_of_its_sides():
    tokenizer = CharacterTokenizer()
    model = toy_model(Independent(dict.fromkeys("ACDE", 0.25), tokenizer), tokenizer)
    table = lexome.score(model, ["ACDEACDE"])
    assert table["perplexity"][0] == pytest.approx(4, abs=1e-4)
    bits = lexome.score(model, ["ACDEACDE"], base="2")["mean_log_likelihood"][0]
    assert bits == pytest.approx(-2, abs=1e-5)


def test_a_file_gives_the_table_with_its_rule(model, tmp_path):
    source = write_fasta(tmp_path / "in.fasta", ((f"p{i}", p) for i, p in enumerate(PROTEINS)))
    scorer = make_scorer(model, Scoring(unknown="map"))
    done = score_file(scorer, str(source), tmp_path / "out.parquet", {}, quiet=True)
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table.drop("id").equals(lexome.score(model, PROTEINS).drop("id"))
    assert done.tokens == sum(map(len, PROTEINS))
    notes = read_provenance(tmp_path / "out.parquet")
    assert notes["rule"] == "pseudo-log-likelihood"
    assert "Salazar" in notes["rule_definition"]


def test_letters_are_mapped_where_asked(model):
    with pytest.raises(InputError, match="the letter 'k' at position 2"):
        lexome.score(model, ["MkT"])
    mapped = lexome.score(model, ["MkT"], unknown="map").drop("id")
    assert mapped.equals(lexome.score(model, ["MKT"]).drop("id"))


def test_what_makes_no_sense_is_refused(model):
    progen = lexome.load(str(read_decoder("progen2-tiny").path), device="cpu")
    for asked, settings, words in (
        (progen, {"rule": "pseudo-log-likelihood"}, "a causal model"),
        (fixture("t5-ankh-tiny"), {"rule": "pseudo-log-likelihood"}, "an encoder-decoder"),
        (model, {"rule": "progen2"}, "an encoder, which sees both sides"),
        (model, {"rule": "surprise"}, "no rule of an encoder"),
        (model, {"direction": "reverse"}, "an encoder of protein"),
        (model, {"tag": "ec=1.1.1.1"}, "a causal model"),
        (fixture("dnabert-tiny"), {"rule": "pseudo-log-likelihood-one-pass"}, "overlapping"),
    ):
        with pytest.raises(InputError) as problem:
            lexome.score(asked, ["MKT"], **settings)
        assert words in str(problem.value)
    with pytest.raises(InputError, match="per position"):
        lexome.score(fixture("nt-v1-tiny"), DNA, direction="both", per_position=True)
    with pytest.raises(InputError, match="sequence_2: saw no token to score"):
        lexome.score(model, ["MKT", ""])
    with pytest.raises(InputError, match="at most the context"):
        lexome.score(model, ["M" * 1100])
    assert lexome.score(model, ["M" * 1100], rule="pseudo-log-likelihood-one-pass", long="whole")[
        "tokens_scored"
    ].to_list() == [1100]
