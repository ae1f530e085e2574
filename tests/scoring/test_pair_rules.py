"""Rules for pairs of windows against the plainest way to the same number, and by hand."""

import math

import numpy as np
import pytest
import torch

import lexome
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.scoring.pairs.pair import Pair
from lexome.scoring.pairs.rules import PAIR_RULES, make_pair_scorer
from lexome.scoring.pseudo_likelihood import pseudo_log_likelihoods
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.single_bases import HyenaTokenizer
from tests.shared_data import shared
from tests.toy_masked import copycat
from tests.toy_models import Independent, NextBase, toy_model
from tests.toys import AMINO_ACIDS

DNA = "ACGTTGCAGATTACAGGCATCGATTTGCAACGT"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
DECODERS = ["evo1-8k-tiny", "hyenadna-hf-tiny"]
ENCODERS = ["nt-v1-tiny", "nt-v2-tiny", "dnabert-tiny", "dnabert2-tiny"]


def fixture(name: str) -> Model:
    return lexome.load(str(shared(f"reference/fixtures/{name}")), device="cpu")


def turn(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def change(*places: int, window: str = DNA) -> Pair:
    letters = list(window)
    for place in places:
        letters[place] = OTHER[letters[place]]
    return Pair(f"at {places}", window, "".join(letters), min(places))


PAIRS = [change(3), change(16), change(32), change(12, 13), change(7, 20)]
# A base more and another less: the windows stay equally long.
SHIFTED = Pair("inserted", DNA, DNA[:14] + "GG" + DNA[14:-2], 14)


def views(pair: Pair, k: int = 1) -> list[tuple[str, str]]:
    """The windows as each strand and phase shows them, written down apart from the package."""
    found = []
    for ref, alt in ((pair.ref, pair.alt), (turn(pair.ref), turn(pair.alt))):
        first = [a == b for a, b in zip(ref, alt, strict=True)].index(False)
        found += [(ref[cut:], alt[cut:]) for cut in range(k) if cut <= first]
    return found


def phases(model: Model) -> int:
    return 6 if "nt-" in model.card.name else 1


@pytest.mark.parametrize("name", DECODERS)
def test_likelihoods_differ_as_two_scores_on_both_strands(name):
    model = fixture(name)
    pairs = [*PAIRS, SHIFTED]
    texts = [text for pair in pairs for text in (pair.ref, pair.alt)]
    table = lexome.score(model, texts, direction="both")["log_likelihood"].to_list()
    expected = [alt - ref for ref, alt in zip(table[::2], table[1::2], strict=True)]
    scorer = make_pair_scorer(model)
    assert scorer.rule == "log-likelihood-difference"
    assert scorer.compute(pairs) == pytest.approx(expected, abs=1e-4)
    forward = make_pair_scorer(model, strands="forward").compute(pairs)
    backward = make_pair_scorer(model, strands="reverse").compute(pairs)
    assert (np.array(forward) + backward) / 2 == pytest.approx(expected, abs=1e-4)


def test_a_family_may_be_read_by_its_published_rule():
    model = fixture("evo1-8k-tiny")
    scorer = make_pair_scorer(model, likelihood="evo")
    assert "evo" in scorer.fingerprint
    own = make_pair_scorer(model).compute(PAIRS)
    assert scorer.compute(PAIRS) == pytest.approx(own, abs=1e-4)  # the two rules agree on bases


@pytest.mark.parametrize("name", ENCODERS)
def test_pseudo_likelihoods_differ_as_two_sums_over_strands_and_phases(name):
    model = fixture(name)
    for pair in (PAIRS[1], SHIFTED):
        seen = views(pair, phases(model))
        sums = [
            [float(x.sum()) for x in pseudo_log_likelihoods(model, side)]
            for side in zip(*seen, strict=True)
        ]
        expected = np.mean(np.array(sums[1]) - sums[0])
        found = make_pair_scorer(model, "pseudo-log-likelihood").compute([pair])
        assert found == pytest.approx([expected], abs=1e-4)


@pytest.mark.parametrize("name", ["nt-v1-tiny", "dnabert2-tiny"])
def test_so_do_the_estimates_of_one_pass(name):
    model = fixture(name)
    expected = []
    for pair in PAIRS:
        seen = views(pair, phases(model))
        ref, alt = (
            [x.sum() for x in pseudo_log_likelihoods(model, side, one_pass=True)]
            for side in zip(*seen, strict=True)
        )
        expected.append(np.mean(np.array(alt) - ref))
    found = make_pair_scorer(model, "pseudo-log-likelihood-one-pass").compute(PAIRS)
    assert found == pytest.approx(expected, abs=1e-3)


def marginal(model: Model, ref: str, alt: str) -> float:
    """A window at a time, a token at a time, a k-mer at a time."""
    tokenizer = model.tokenizer
    changed = [i for i, (a, b) in enumerate(zip(ref, alt, strict=True)) if a != b]
    ids, spans = tokenizer.encode(ref), tokenizer.spans(ref)
    over = {i: [t for t, (a, b) in enumerate(spans) if a <= i < b] for i in changed}
    for covering in over.values():
        for t in covering:
            ids[t] = tokenizer.mask_id
    p = torch.from_numpy(model.run_ids([ids])[0].logits).double().softmax(-1)
    total = 0.0
    for i, covering in over.items():
        ratios = []
        for t in covering:
            start, end = spans[t]
            like = [
                token
                for token in tokenizer.vocabulary
                if len(token) == end - start and set(token) <= set("ACGT")
            ]
            of = {
                letter: sum(p[t, tokenizer.id_of[x]] for x in like if x[i - start] == letter)
                for letter in (ref[i], alt[i])
            }
            ratios.append(math.log(of[alt[i]]) - math.log(of[ref[i]]))
        total += float(np.mean(ratios))
    return total


@pytest.mark.parametrize("name", ["nt-v1-tiny", "nt-v2-tiny", "dnabert-tiny"])
def test_masked_marginals_sum_over_the_kmers_that_agree(name):
    model = fixture(name)
    expected = [
        np.mean([marginal(model, *view) for view in views(pair, phases(model))]) for pair in PAIRS
    ]
    scorer = make_pair_scorer(model)
    assert scorer.rule == "masked-marginal"
    assert scorer.compute(PAIRS) == pytest.approx(expected, abs=1e-4)


def test_a_change_at_the_windows_start_is_seen_in_the_phases_that_hold_it():
    model = fixture("nt-v1-tiny")
    pair = change(0)
    forward = make_pair_scorer(model, strands="forward").compute([pair])
    assert forward == pytest.approx([marginal(model, pair.ref, pair.alt)], abs=1e-4)


@pytest.mark.parametrize("name", ["nt-v1-tiny", "dnabert-tiny", "hyenadna-hf-tiny"])
def test_distances_are_those_of_the_embedded_windows(name):
    model = fixture(name)
    for kind, compare in {
        "cosine": lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b)),
        "l1": lambda a, b: -np.abs(a - b).sum(),
        "l2": lambda a, b: -np.sqrt(((a - b) ** 2).sum()),
        "dot": lambda a, b: a @ b,
    }.items():
        expected = []
        for pair in PAIRS:
            vectors = [
                lexome.embed(model, [f"{x}" for x in side]).vectors.astype(np.float64)
                for side in zip(*views(pair, phases(model)), strict=True)
            ]
            expected.append(np.mean([compare(a, b) for a, b in zip(*vectors, strict=True)]))
        assert make_pair_scorer(model, kind).compute(PAIRS) == pytest.approx(expected, rel=1e-4)


def test_equal_windows_are_as_alike_as_can_be():
    model = fixture("nt-v1-tiny")
    same = Pair("same", DNA, DNA, len(DNA))
    expected = {"cosine": 1, "l1": 0, "l2": 0, "masked-marginal": 0, "pseudo-log-likelihood": 0}
    for rule, value in expected.items():
        assert make_pair_scorer(model, rule).compute([same]) == pytest.approx([value], abs=1e-6)
    assert make_pair_scorer(fixture("evo1-8k-tiny")).compute([same]) == [0.0]


def test_residues_that_do_not_know_of_one_another_score_their_own_frequency():
    tokenizer = CharacterTokenizer()
    p = {letter: (i + 1) / 210 for i, letter in enumerate(AMINO_ACIDS)}
    model = toy_model(Independent(p, tokenizer), tokenizer)
    pair = Pair("two", "MKTAY", "MRTAW", 1)
    expected = math.log(p["R"] / p["K"] * p["W"] / p["Y"])
    for rule in ("masked-marginal", "pseudo-log-likelihood", "pseudo-log-likelihood-one-pass"):
        assert make_pair_scorer(model, rule).compute([pair]) == pytest.approx([expected], abs=1e-4)
    with pytest.raises(InputError, match="none of DNA"):
        make_pair_scorer(model, strands="both")


def test_a_chain_is_worked_out_on_paper_on_both_strands():
    """AAAC -> AACC: a stay more at the end, one less before, read from either end."""
    tokenizer = HyenaTokenizer()
    model = toy_model(NextBase(0.7, "ACGT", tokenizer), tokenizer)
    pairs = [Pair("swap", "AAAC", "AACC", 2), Pair("break", "AAAA", "AAAC", 3)]
    expected = [0, math.log(0.1 / 0.7)]
    assert make_pair_scorer(model).compute(pairs) == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_scored_keeps_its_place_and_says_why():
    bad = [
        Pair("short", "ACGT", "ACG", 3),
        Pair("letter", DNA, DNA[:-1] + "R", 32),
        Pair("unknown", DNA, DNA[:-1] + "N", 32),
        Pair("empty", "", "", 0),
        change(4),
        SHIFTED,
        Pair("long", DNA * 400, DNA * 400, 9),
    ]
    for name, wanted in {
        "nt-v1-tiny": ["equal length", "'R'", "no single", "empty", "", "come or go", "context"],
        "dnabert-tiny": ["equal length", "'R'", "'N'", "empty", "", "come or go", "context"],
    }.items():
        found = make_pair_scorer(fixture(name)).compute(bad)
        for answer, part in zip(found, wanted, strict=True):
            assert isinstance(answer, str) == bool(part)
            assert part in str(answer)
    found = make_pair_scorer(fixture("hyenadna-hf-tiny")).compute([Pair("one", "A", "C", 0)])
    assert "too short" in found[0]


def test_the_company_of_a_pair_changes_nothing(monkeypatch):
    for name in ("nt-v1-tiny", "dnabert-tiny", "evo1-8k-tiny"):
        scorer = make_pair_scorer(fixture(name))
        together = scorer.compute(PAIRS)
        alone = [scorer.compute([pair])[0] for pair in PAIRS]
        monkeypatch.setattr("lexome.scoring.pairs.views.PAIRS_AT_ONCE", 2)
        assert alone == pytest.approx(together, abs=1e-5)
        assert scorer.compute(PAIRS) == pytest.approx(together, abs=1e-5)


def test_rules_are_for_the_models_that_have_them(esm2):
    evo, dnabert2 = fixture("evo1-8k-tiny"), fixture("dnabert2-tiny")
    with pytest.raises(InputError, match="no such rule"):
        make_pair_scorer(evo, "blosum")
    with pytest.raises(InputError, match="causal model"):
        make_pair_scorer(evo, "masked-marginal")
    with pytest.raises(InputError, match="encoder"):
        make_pair_scorer(dnabert2, "log-likelihood-difference")
    with pytest.raises(InputError, match="letters or k-mers"):
        make_pair_scorer(dnabert2, "masked-marginal")
    with pytest.raises(InputError, match="do not overlap"):
        make_pair_scorer(fixture("dnabert-tiny"), "pseudo-log-likelihood-one-pass")
    with pytest.raises(InputError, match="strands"):
        make_pair_scorer(evo, strands="sideways")
    with pytest.raises(InputError, match="likelihood"):
        make_pair_scorer(dnabert2, "cosine", likelihood="evo")
    assert make_pair_scorer(dnabert2).rule == "pseudo-log-likelihood"
    for name, rule in PAIR_RULES.items():
        assert "ource" in rule.definition, name


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("cosine", 0.5 / math.sqrt(0.5 * 0.625)),
        ("dot", 0.5),
        ("l1", -0.5),
        ("l2", -math.sqrt(0.125)),
    ],
)
def test_distances_are_worked_out_on_paper(rule, expected):
    """The toy's mean vector is the composition: (A 1/2, C 1/2) becomes (A 3/4, C 1/4)."""
    scorer = make_pair_scorer(copycat(), rule)
    found = scorer.compute([Pair("C2A", "ACCA", "AACA", 1)])
    assert found == pytest.approx([expected], abs=1e-6)
