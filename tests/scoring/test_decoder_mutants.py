"""Mutants by causal models against two scores of whole sequences, and worked out by hand."""

import math

import pytest

import lexome
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.scoring.mutants.by_likelihood import make_decoder_scorer
from lexome.scoring.mutants.scorer import score_mutants
from lexome.sequence.mutations import apply_mutant, parse_mutant
from lexome.tokenizers.single_bases import HyenaTokenizer
from tests.checkpoints.decoders import read_decoder
from tests.toy_models import NextBase, toy_model
from tests.toys import AMINO_ACIDS, random_proteins

PROTEIN = random_proteins(1, seed=6, low=40, high=41)[0]
MANY = ["=", "{0}1W", "{4}5C:{9}10D", "{6}7del", "{6}7_{8}9del", "{6}7_{7}8insWWC", "{39}40del"]


@pytest.fixture(scope="module")
def progen() -> Model:
    return lexome.load(str(read_decoder("progen2-tiny").path), device="cpu")


def twice(model: Model, sequence: str, texts: list[str], direction: str) -> list[float]:
    """The slow plain twin: the difference of two scores of `lexome score`."""
    mutated = [apply_mutant(parse_mutant(text), sequence) for text in texts]
    rows = lexome.score(model, [sequence, *mutated], direction=direction)["log_likelihood"]
    return [x - rows[0] for x in rows[1:]]


@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
def test_every_single_mutant_is_the_difference_of_two_scores(progen, direction):
    texts = [f"{a}{i}{b}" for i, a in enumerate(PROTEIN, start=1) for b in AMINO_ACIDS]
    scorer = make_decoder_scorer(progen, direction)
    outcomes = score_mutants(scorer, PROTEIN, [parse_mutant(text) for text in texts])
    expected = twice(progen, PROTEIN, texts, direction)
    assert [one.score for one in outcomes] == pytest.approx(expected, abs=1e-4)
    assert direction in scorer.fingerprint


@pytest.mark.parametrize("name", ["progen2-tiny", "gpt2-tiny"])
def test_so_are_several_changes_insertions_and_deletions(name):
    model = lexome.load(str(read_decoder(name).path), device="cpu")
    texts = [text.format(*PROTEIN) for text in MANY]
    outcomes = score_mutants(make_decoder_scorer(model), PROTEIN, [*map(parse_mutant, texts)])
    expected = twice(model, PROTEIN, texts, "forward")
    assert [one.score for one in outcomes] == pytest.approx(expected, abs=2e-4)
    assert outcomes[0].score == 0


@pytest.mark.parametrize("name", ["evo1-8k-tiny", "hyenadna-hf-tiny"])
def test_bases_are_scored_on_both_strands(name):
    model = lexome.load(str(read_decoder(name).path), device="cpu")
    texts, dna = ["G1A", "A2C", "T3del", "C4_G5insTT", "C10T"], "GATCGATTACATTAGC"
    outcomes = score_mutants(make_decoder_scorer(model, "both"), dna, [*map(parse_mutant, texts)])
    expected = twice(model, dna, texts, "both")
    assert [one.score for one in outcomes] == pytest.approx(expected, abs=1e-4)


def test_a_chain_is_worked_out_on_paper():
    tokenizer = HyenaTokenizer()
    model = toy_model(NextBase(0.7, "ACGT", tokenizer), tokenizer)
    outcomes = score_mutants(make_decoder_scorer(model), "AAAA", [parse_mutant("A3C")])
    assert outcomes[0].score == pytest.approx(2 * math.log(0.1 / 0.7), abs=1e-5)


def test_a_published_likelihood_may_be_the_one_that_is_compared(progen):
    texts = [text.format(*PROTEIN) for text in MANY]
    mutated = [apply_mutant(parse_mutant(text), PROTEIN) for text in texts]
    rows = lexome.score(progen, [PROTEIN, *mutated], rule="progen2")["log_likelihood"]
    scorer = make_decoder_scorer(progen, likelihood="progen2")
    assert scorer.fingerprint[-2:] == ("both", "progen2")  # the published one reads both ways
    outcomes = score_mutants(scorer, PROTEIN, [parse_mutant(text) for text in texts])
    expected = [x - rows[0] for x in rows[1:]]
    assert [one.score for one in outcomes] == pytest.approx(expected, abs=2e-4)


def test_a_few_at_a_time_score_the_same(progen, monkeypatch):
    mutants = [parse_mutant(f"{a}{i}W") for i, a in enumerate(PROTEIN, start=1)][::-1]
    scorer = make_decoder_scorer(progen)
    expected = [one.score for one in score_mutants(scorer, PROTEIN, mutants)]
    monkeypatch.setattr("lexome.scoring.mutants.by_likelihood.MUTANTS_AT_ONCE", 7)
    found = [one.score for one in score_mutants(scorer, PROTEIN, mutants)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_scored_keeps_its_row_and_says_why(progen):
    texts = ["{4}5*", "{4}5X", "{4}5_{5}6insB", "{4}5{4}", "A300C"]
    mutants = [parse_mutant(text.format(*PROTEIN)) for text in texts]
    reasons = [one.reason for one in score_mutants(make_decoder_scorer(progen), PROTEIN, mutants)]
    assert "'*'" in reasons[0]
    assert "stands for several residues" in reasons[1]
    assert "stands for several residues" in reasons[2]
    assert reasons[3] == ""
    assert "outside" in reasons[4]
    long = "MKTAYIAKQR" * 300
    outcomes = score_mutants(make_decoder_scorer(progen), long, [parse_mutant("M1A")])
    assert "beyond the model's context" in outcomes[0].reason


def test_the_company_of_a_mutant_changes_nothing(progen):
    mutants = [parse_mutant(t.format(*PROTEIN)) for t in ("{3}4W", "{30}31W", "{3}4C:{9}10D")]
    scorer = make_decoder_scorer(progen, "both")
    together = [one.score for one in score_mutants(scorer, PROTEIN, mutants)]
    alone = [score_mutants(scorer, PROTEIN, [mutant])[0].score for mutant in mutants]
    assert together == pytest.approx(alone, abs=1e-5)


def test_models_that_do_not_read_so_are_refused(esm2, progen):
    with pytest.raises(InputError, match="encoder"):
        make_decoder_scorer(lexome.load(str(esm2), device="cpu"))
    with pytest.raises(InputError, match="direction"):
        make_decoder_scorer(progen, "backwards")
    gpt2 = lexome.load(str(read_decoder("gpt2-tiny").path), device="cpu")
    with pytest.raises(InputError, match="reads one way"):
        make_decoder_scorer(gpt2, "both")
