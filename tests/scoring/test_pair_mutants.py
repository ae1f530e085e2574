"""Rules for pairs asked about mutants: equal windows, the same numbers as by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lexome
from lexome.errors import InputError
from lexome.scoring.mutants.by_pairs import as_mutant_scorer, cut_pair
from lexome.scoring.mutants.rules import make_mutant_scorer
from lexome.scoring.mutants.scorer import score_mutants
from lexome.scoring.pairs.pair import PairScorer
from lexome.scoring.pseudo_likelihood import pseudo_log_likelihoods
from lexome.scoring.scan import scan
from lexome.sequence.mutations import apply_mutant, fill_in, find_mutant, parse_mutant
from tests.checkpoints.decoders import read_decoder
from tests.checkpoints.families import read_fixture
from tests.toys import random_proteins

PROTEIN = random_proteins(1, seed=5, low=30, high=31)[0]
proteins = st.text("ACDE", min_size=1, max_size=14)


@given(proteins, proteins, st.integers(1, 20))
def test_windows_are_equally_long_parts_of_both(reference, mutated, limit):
    mutant = find_mutant(reference, mutated)
    found = cut_pair(mutant, reference, limit)
    if isinstance(found, str):
        return
    assert len(found.ref) == len(found.alt) == min(len(reference), len(mutated), limit)
    assert found.ref in reference
    assert found.alt in mutated
    if found.ref != found.alt:
        assert found.ref[: found.start] == found.alt[: found.start]
        assert found.ref[found.start] != found.alt[found.start]


@given(proteins, st.integers(0, 13), st.integers(1, 20))
def test_a_substitution_lies_in_the_middle_of_its_window(reference, place, limit):
    place = place % len(reference)
    changed = reference[:place] + "W" + reference[place + 1 :]
    found = cut_pair(find_mutant(reference, changed), reference, limit)
    size = min(limit, len(reference))
    start = min(max(place - size // 2, 0), len(reference) - size)
    assert abs(found.start - (place - start)) <= 1
    assert found.alt[found.start] == "W"


def test_what_is_cut_off_lies_far_from_the_change():
    early = cut_pair(fill_in(parse_mutant("K2del"), "MKTAYIAK"), "MKTAYIAK", 100)
    assert (early.ref, early.alt) == ("MKTAYIA", "MTAYIAK")
    late = cut_pair(fill_in(parse_mutant("A7del"), "MKTAYIAK"), "MKTAYIAK", 100)
    assert (late.ref, late.alt) == ("KTAYIAK", "MKTAYIK")


def test_reasons_come_from_the_rule_and_from_the_mutant():
    counts = []

    def compute(pairs):
        counts.append(len(pairs))
        return ["too odd" if "W" in pair.alt else float(pair.start) for pair in pairs]

    scorer = as_mutant_scorer(PairScorer("toy", "toy", (), compute), lambda length: 4)
    texts = ["K2A", "K2W", "K2*", "M1A:K8A", "WT", "K2="]
    found = score_mutants(scorer, "MKTAYIAK", [parse_mutant(t) for t in texts])
    assert counts == [2]
    assert found[0].score == 1.0
    assert [o.reason for o in found[1:]] == [
        *("too odd", "K2*: a stop is no amino acid"),
        "M1A:K8A: changes further apart than a window of 4 residues",
        *("", "K2K: synonymous, the sequence stays as it is"),
    ]


@pytest.mark.parametrize("rule", ["pseudo-log-likelihood", "pseudo-log-likelihood-one-pass"])
def test_pseudo_likelihoods_of_mutants_are_differences_of_their_sums(esm2, rule):
    model = lexome.load(str(esm2), device="cpu")
    mutants = [fill_in(parse_mutant(t), PROTEIN) for t in (f"{PROTEIN[4]}5W", f"{PROTEIN[2]}3del")]
    found = score_mutants(make_mutant_scorer(model, rule), PROTEIN, mutants)
    changed = [apply_mutant(m, PROTEIN) for m in mutants]
    texts = [PROTEIN, changed[0], PROTEIN[:-1], changed[1]]
    sums = [values.sum() for values in pseudo_log_likelihoods(model, texts, "one-pass" in rule)]
    expected = [sums[1] - sums[0], sums[3] - sums[2]]
    assert [o.score for o in found] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rule", ["cosine", "l1", "l2", "dot"])
def test_distances_of_mutants_are_those_of_their_embeddings(esm2, rule):
    model = lexome.load(str(esm2), device="cpu")
    mutant = parse_mutant(f"{PROTEIN[4]}5W")
    (found,) = score_mutants(make_mutant_scorer(model, rule), PROTEIN, [mutant])
    a, b = lexome.embed(model, [PROTEIN, apply_mutant(mutant, PROTEIN)]).vectors.astype(np.float64)
    expected = {
        "cosine": a @ b / np.linalg.norm(a) / np.linalg.norm(b),
        "l1": -np.abs(a - b).sum(),
        "l2": -np.linalg.norm(a - b),
        "dot": a @ b,
    }[rule]
    assert found.score == pytest.approx(expected, rel=1e-4)


def test_a_decoder_scores_mutants_by_its_own_rule_alone_and_in_a_scan():
    model = lexome.load(str(read_decoder("progen2-tiny").path), device="cpu")
    texts = [f"{PROTEIN[4]}5W", f"{PROTEIN[4]}5del"]
    mutants = [fill_in(parse_mutant(t), PROTEIN) for t in texts]
    found = score_mutants(make_mutant_scorer(model), PROTEIN, mutants)
    whole = lexome.score(model, [PROTEIN, *(apply_mutant(m, PROTEIN) for m in mutants)])
    sums = whole["log_likelihood"].to_list()
    assert [o.score for o in found] == pytest.approx([s - sums[0] for s in sums[1:]], abs=1e-3)
    table = scan(model, PROTEIN[:6])
    assert table["rule"].unique().to_list() == ["log-likelihood-difference"]
    scores = dict(
        zip((table["position"].cast(str) + table["alt"]).to_list(), table["score"], strict=True)
    )
    first = PROTEIN[:6]
    pair = lexome.score(model, [first, first[:2] + "W" + first[3:]])["log_likelihood"]
    assert scores["3W"] == pytest.approx(pair[1] - pair[0], abs=1e-3)
    with pytest.raises(InputError, match="causal"):
        make_mutant_scorer(model, "wt-marginal")


@pytest.mark.parametrize(
    ("name", "rule"), [("nt-v1-tiny", "masked-marginal"), ("dnabert-tiny", "masked-marginal")]
)
def test_dna_is_scanned_base_by_base(name, rule):
    model = lexome.load(str(read_fixture(name).path), device="cpu")
    sequence = "ACGTTGCAACGGTACGTTAGCATTCGA"
    table = scan(model, sequence, positions="10-12")
    assert table.height == 9
    assert table["rule"].unique().to_list() == [rule]
    assert table["score"].null_count() == 0
    foreign = scan(model, "ACGTNGCAACGGTACGTTAGC", positions="5-6")
    assert foreign.filter(foreign["position"] == 5)["score"].null_count() == 4
