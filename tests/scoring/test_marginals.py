"""Marginals: on paper, against the references, against brute force, alone and in company."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

import lexome
from lexome.errors import InputError
from lexome.inference.ensemble import Ensemble
from lexome.inference.model import Model
from lexome.scoring.mutants.rules import PROTEIN_RULES, make_mutant_scorer
from lexome.scoring.mutants.scorer import score_mutants
from lexome.sequence.mutations import AMINO_ACIDS, Edit, Mutant, apply_mutant, parse_mutant
from tests.toy_masked import LOG_3, LOG_9, copycat
from tests.toys import random_proteins, write_esm2

RULES = ("wt-marginal", "masked-marginal", "masked-marginal-joint", "mutant-marginal")
PROTEIN = random_proteins(1, seed=5, low=40, high=41)[0]


def scores(
    model: Model | Ensemble, rule: str, sequence: str, texts: list[str], long: str = "refuse"
):
    found = score_mutants(
        make_mutant_scorer(model, rule, long), sequence, [parse_mutant(t) for t in texts]
    )
    return [outcome.score for outcome in found]


def some_mutants(sequence: str, num: int, seed: int = 0, changes: int = 3) -> list[str]:
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(num):
        places = sorted(generator.choice(len(sequence), generator.integers(1, changes + 1), False))
        alts = generator.choice(list(AMINO_ACIDS), len(places))
        pairs = [(p, a) for p, a in zip(places, alts, strict=True) if sequence[p] != a]
        texts.append(":".join(f"{sequence[p]}{p + 1}{a}" for p, a in pairs) or "WT")
    return texts


def test_every_rule_is_worked_out_on_paper():
    """See Copycat: at a mask A 0.75, C 0.25; a residue seen 0.9, A 0.1."""
    cases = {
        "wt-marginal": [-LOG_9, -2 * LOG_9],  # log 0.1 - log 0.9
        "masked-marginal": [LOG_3, 2 * LOG_3],  # log 0.75 - log 0.25
        "masked-marginal-joint": [LOG_3, 2 * LOG_3],
    }
    for rule, expected in cases.items():
        assert scores(copycat(), rule, "ACCA", ["C2A", "C2A:C3A"]) == pytest.approx(expected)
    # The mutant seen as it is: C has 0.9 where it stands, A 0.1.
    assert scores(copycat(), "mutant-marginal", "ACAA", ["A1C"]) == pytest.approx([LOG_9])


def test_the_model_is_asked_once_each():
    model = copycat()
    for rule, texts, readings in (
        ("wt-marginal", ["C2A", "C3A", "C2A:C3A"], 1),
        ("masked-marginal", ["C2A", "C2G", "C3A", "C2A:C3A"], 2),
        ("masked-marginal-joint", ["C2A", "C2G", "C2A:C3A", "C2G:C3G"], 2),
        ("mutant-marginal", ["C2A", "C2A", "C3A"], 2),
    ):
        model.network.readings = 0
        scorer = make_mutant_scorer(model, rule)
        for _ in range(2):
            score_mutants(scorer, "ACCA", [parse_mutant(t) for t in texts])
        once_more = 1 if rule in RULES[:2] else 2  # additive rules remember the reference
        assert model.network.readings == readings * once_more, rule


@pytest.mark.parametrize("rule", RULES)
def test_scores_are_those_of_brute_force(esm2, rule):
    model = lexome.load(str(esm2), device="cpu")
    texts = some_mutants(PROTEIN, 12)
    expected = [brute_force(model, rule, PROTEIN, parse_mutant(text)) for text in texts]
    assert scores(model, rule, PROTEIN, texts) == pytest.approx(expected, abs=2e-5)
    assert [scores(model, rule, PROTEIN, [t])[0] for t in texts] == pytest.approx(
        expected, abs=2e-5
    )


def brute_force(model: Model, rule: str, sequence: str, mutant: Mutant) -> float:
    """One plain run of the model for every change."""
    total = 0.0
    for edit in mutant.edits:
        place = edit.position - 1
        seen = list(sequence)
        if rule == "masked-marginal":
            seen[place] = "<mask>"
        if rule == "masked-marginal-joint":
            for other in mutant.edits:
                seen[other.position - 1] = "<mask>"
        if rule == "mutant-marginal":
            seen = list(apply_mutant(mutant, sequence))
        row = log_softmax(model.run("".join(seen))[0].logits[1 + place].astype(np.float64))
        codes = model.tokenizer.id_of
        total += row[codes[edit.alt]] - row[codes[edit.ref]]
    return total


def test_marginals_are_those_of_fair_esms_script(esm2, tmp_path):
    """The two published strategies, computed with transformers as the script does with fair-esm."""
    transformers = pytest.importorskip("transformers")
    reference = transformers.EsmForMaskedLM.from_pretrained(str(esm2)).eval()
    model = lexome.load(str(esm2), device="cpu")
    tokens = torch.tensor([model.tokenizer.encode(PROTEIN)])
    mutants = [
        Mutant((Edit(PROTEIN[p], p + 1, a),)) for p in (0, 7, 39) for a in "ACDW" if a != PROTEIN[p]
    ]
    with torch.no_grad():
        seen = torch.log_softmax(reference(tokens).logits, -1)[0]
        hidden = {}
        for place in {m.edits[0].position for m in mutants}:
            masked = tokens.clone()
            masked[0, place] = 32
            hidden[place] = torch.log_softmax(reference(masked).logits, -1)[0, place]
    codes = model.tokenizer.id_of
    for rule, rows in (("wt-marginal", seen), ("masked-marginal", hidden)):
        expected = [
            float(rows[e.position][codes[e.alt]] - rows[e.position][codes[e.ref]])
            for e in (m.edits[0] for m in mutants)
        ]
        found = [o.score for o in score_mutants(make_mutant_scorer(model, rule), PROTEIN, mutants)]
        assert found == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("rule", ["wt-marginal", "masked-marginal"])
def test_the_table_of_an_additive_rule_holds_its_scores(esm2, rule):
    model = lexome.load(str(esm2), device="cpu")
    scorer = make_mutant_scorer(model, rule)
    sequence = PROTEIN[:20] + "X" + PROTEIN[21:]
    table = scorer.table(sequence)
    assert table.shape == (40, 20)
    assert np.isnan(table[20]).all()
    assert not np.isnan(np.delete(table, 20, 0)).any()
    assert all(table[i, AMINO_ACIDS.index(a)] == 0 for i, a in enumerate(sequence) if a != "X")
    texts = some_mutants(PROTEIN[:20], 10)
    expected = [
        sum(table[e.position - 1, AMINO_ACIDS.index(e.alt)] for e in parse_mutant(t).edits)
        for t in texts
    ]
    assert scores(model, rule, sequence, texts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_long_proteins_go_in_windows_only_when_asked(esm2, rule):
    model = lexome.load(str(esm2), device="cpu")
    texts = some_mutants(PROTEIN, 8, changes=1)
    whole = scores(model, rule, PROTEIN, texts)
    model.card = model.card._replace(context=26)  # 24 residues
    with pytest.raises(InputError, match=r"at most 24.*--long window"):
        scores(model, rule, PROTEIN, texts)
    assert scores(model, rule, PROTEIN, texts, "whole") == pytest.approx(whole, abs=1e-6)
    found = scores(model, rule, PROTEIN, texts, "window")
    # By hand: the window in whose middle the position stands, moved inwards at the ends.
    expected = []
    for text in texts:
        mutant = parse_mutant(text)
        if not mutant.edits:
            expected.append(0.0)
            continue
        place = mutant.edits[0].position - 1
        if rule == "wt-marginal":  # windows 0-24, 12-36 and 16-40, borders between their middles
            start = 0 if place < 18 else 12 if place < 26 else 16
        else:
            start = min(max(place - 12, 0), 16)
        part = Mutant((mutant.edits[0]._replace(position=place - start + 1),))
        expected.append(brute_force(model, rule, PROTEIN[start : start + 24], part))
    assert found == pytest.approx(expected, abs=2e-5)


def test_changes_wider_apart_than_a_window_are_told(esm2):
    model = lexome.load(str(esm2), device="cpu")
    model.card = model.card._replace(context=26)
    far = f"{PROTEIN[0]}1W:{PROTEIN[39]}40W"
    for rule in RULES[2:]:
        scorer = make_mutant_scorer(model, rule, "window")
        (found,) = score_mutants(scorer, PROTEIN, [parse_mutant(far)])
        assert found.score is None
        assert "further apart than a window of 24" in found.reason


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A1*", "a stop is no amino acid"),
        ("A1X", "X is none of the 20"),
        ("A1A", "synonymous"),
        ("A1del", "only substitutions"),
        ("C1A", "the reference has A at 1, not C"),
        ("A9C", "position 9 lies outside"),
    ],
)
def test_what_cannot_be_scored_has_a_reason(rule, text, words):
    found = score_mutants(
        make_mutant_scorer(copycat(), rule), "ACCA", [parse_mutant(t) for t in ("C2A", text)]
    )
    assert found[0].score is not None
    assert found[1].score is None
    assert words in found[1].reason


@pytest.mark.parametrize("rule", RULES)
def test_the_wild_type_scores_nothing(rule):
    assert scores(copycat(), rule, "ACCA", ["WT"]) == [0.0]


def test_an_ensemble_scores_the_mean_of_its_members(esm2, tmp_path):
    other = str(write_esm2(tmp_path / "other", seed=1))
    texts = some_mutants(PROTEIN, 6)
    for rule in RULES:
        alone = [
            scores(lexome.load(n, device="cpu"), rule, PROTEIN, texts) for n in (str(esm2), other)
        ]
        together = scores(
            lexome.load_ensemble([str(esm2), other], device="cpu"), rule, PROTEIN, texts
        )
        assert together == pytest.approx(np.mean(alone, axis=0).tolist(), abs=1e-6)
    scorer = make_mutant_scorer(
        lexome.load_ensemble([str(esm2), other], device="cpu"), "wt-marginal"
    )
    assert scorer.table(PROTEIN).shape == (40, 20)
    assert scorer.definition.startswith("Mean over 2 models")


def test_an_unknown_rule_is_refused_with_those_there_are(esm2):
    with pytest.raises(InputError, match="masked-marginal-joint"):
        make_mutant_scorer(lexome.load(str(esm2), device="cpu"), "marginal")


def test_every_definition_says_its_sign_and_its_source():
    for name, rule in PROTEIN_RULES.items():
        assert "igher" in rule.definition, name
        assert "Source" in rule.definition, name
