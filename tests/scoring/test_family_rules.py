"""Rules of alignments: additive short cuts against whole energies, reasons, the MSA Transformer."""

import numpy as np
import pytest
import torch

import lexome
from lexome.errors import CheckpointError, InputError
from lexome.grammars.profile_search import SearchMode, log_odds_plain
from lexome.io.alignments import read_focus_alignment
from lexome.scoring.alignment_models.family import load_family_model
from lexome.scoring.alignment_models.hmm import profile_of
from lexome.scoring.alignment_models.make import make_family_scorer
from lexome.scoring.alignment_models.msa import make_msa_scorer
from lexome.scoring.alignment_models.potts import energies_plain
from lexome.scoring.mutants.scorer import score_mutants
from lexome.sequence.mutations import AMINO_ACIDS, apply_mutant, parse_mutant
from lexome.training.alignment_models.fit import fit_family_model, read_family
from lexome.training.alignment_models.settings import FamilySettings
from tests.shared_data import shared

PROTEIN = "GGMKTAYIAGG"  # the query is residues 3-9, its I an insertion
RULES = ["site", "hmm", "potts", "vae", "vae+potts"]
QUICK = FamilySettings(steps=15, samples=8)


def write_family(path, rows=60):
    """Columns 1 and 2 are paired: MK, or RD; the last is often a gap."""
    generator = np.random.default_rng(0)
    lines = [">q/3-9\nMKTAYiA\n"]
    for n in range(rows):
        pair = ("MK", "RD")[n % 2]
        rest = "".join(generator.choice(list("TASVYF"), 3))
        lines.append(f">s{n}\n{pair}{rest}{'ac'[: n % 3]}{'-A'[n % 2]}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def alignment(tmp_path_factory):
    return write_family(tmp_path_factory.mktemp("family") / "toy.a3m")


@pytest.fixture(scope="module")
def models(alignment):
    return {rule: fit_family_model(alignment, rule, None, QUICK, quiet=True) for rule in RULES}


def outcomes(scorer, *texts, protein=PROTEIN):
    return score_mutants(scorer, protein, [parse_mutant(text) for text in texts])


@pytest.mark.parametrize("rule", RULES)
def test_rows_that_cannot_be_scored_say_why(models, rule):
    scorer = make_family_scorer(models[rule])
    found = outcomes(scorer, "M3R", "=", "G1A", "I8V", "M3*", "K3A", "M3X", "M3M", "A9G:G10A")
    assert found[0].score is not None
    assert found[1].score == 0 == found[7].score
    assert found[2].reason == "position 1 lies outside the alignment's columns 3-9"
    assert "position 8 lies in none of the alignment's columns" in found[3].reason
    assert found[4].reason == "* in M3* is none of the 20 amino acids"
    assert found[5].reason == "the reference has M at 3, not K"
    assert "X in M3X" in found[6].reason
    assert found[8].reason == "position 10 lies outside the alignment's columns 3-9"
    assert all(one.score is None for one in (*found[2:7], found[8]))


@pytest.mark.parametrize("rule", RULES)
def test_answers_do_not_depend_on_company(models, rule):
    scorer = make_family_scorer(models[rule])
    texts = ["M3R", "K4D", "M3R:K4D", "Y7F"]
    together = [one.score for one in outcomes(scorer, *texts)]
    alone = [outcomes(scorer, text)[0].score for text in texts]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_the_site_rule_by_hand(models):
    """Column 1 has M in 31 rows and R in 30, all alike enough to be weighed: half a count more."""
    model = models["site"]
    log_p = model.tensors["log_frequencies"].numpy()
    m, r = AMINO_ACIDS.index("M"), AMINO_ACIDS.index("R")
    scorer = make_family_scorer(model)
    assert outcomes(scorer, "M3R")[0].score == pytest.approx(log_p[0, r] - log_p[0, m])
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1)
    table = scorer.table(PROTEIN)
    assert table.shape == (len(PROTEIN), 20)
    assert np.isnan(table[[0, 1, 7, 9, 10]]).all()
    assert table[2, m] == 0
    several = outcomes(scorer, "M3R:K4D")[0].score
    assert several == pytest.approx(table[2, r] + table[3, AMINO_ACIDS.index("D")])


def test_the_potts_rule_is_the_difference_of_whole_energies(models):
    model = models["potts"]
    scorer = make_family_scorer(model)
    columns = [2, 3, 4, 5, 6, 8]
    texts = ["M3R", "K4D", "M3R:K4D", "M3A:T5V:A9Y", "M3R:K4D:T5A:A6S:Y7F:A9C"]
    mutated = [PROTEIN] + [apply_mutant(parse_mutant(text), PROTEIN) for text in texts]
    codes = np.array([[AMINO_ACIDS.index(text[c]) for c in columns] for text in mutated])
    energies = energies_plain(model.tensors["fields"], model.tensors["couplings"], codes)
    found = [one.score for one in outcomes(scorer, *texts)]
    np.testing.assert_allclose(found, energies[1:] - energies[0], atol=1e-5)


@pytest.mark.parametrize("rule", ["potts", "vae"])
def test_fitting_and_scoring_leave_the_random_numbers_as_found(alignment, rule):
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    model = fit_family_model(alignment, rule, None, FamilySettings(steps=2, samples=1), quiet=True)
    outcomes(make_family_scorer(model), "M3R")
    assert torch.equal(torch.rand(1), wanted)


def test_the_sum_of_two_rules_is_that_of_their_z_scores(models):
    scorers = {rule: make_family_scorer(models[rule]) for rule in ("vae", "potts", "vae+potts")}
    texts = [
        f"{PROTEIN[p - 1]}{p}{a}"
        for p in (3, 4, 5, 6, 7, 9)
        for a in AMINO_ACIDS
        if a != PROTEIN[p - 1]
    ]
    found = {
        rule: np.array([one.score for one in outcomes(scorer, *texts)])
        for rule, scorer in scorers.items()
    }
    z = sum((found[rule] - found[rule].mean()) / found[rule].std() for rule in ("vae", "potts"))
    np.testing.assert_allclose(found["vae+potts"] - found["vae+potts"].mean(), z, atol=1e-4)
    double = ["M3R:K4D"]
    wanted = sum(
        outcomes(scorers[rule], *double)[0].score / found[rule].std() for rule in ("vae", "potts")
    )
    assert outcomes(scorers["vae+potts"], *double)[0].score == pytest.approx(wanted, rel=1e-4)


def test_the_hmm_scores_changes_of_length_as_its_slow_twin_does(models):
    model = models["hmm"]
    scorer = make_family_scorer(model)
    texts = ["M3R", "M3R:K4D", "T5del", "A6_Y7insWW", "K4_T5delinsG", "I8del", "M3_A9del", "G1del"]
    found = outcomes(scorer, *texts)
    profile = profile_of(model)

    def plain(text):
        codes = [AMINO_ACIDS.index(letter) for letter in text]
        return log_odds_plain(profile, SearchMode(), codes, len("MKTAYIA"))

    for text, one in zip(texts[:6], found, strict=False):
        query = apply_mutant(parse_mutant(text).shift(-2), "MKTAYIA")
        assert one.score == pytest.approx(plain(query) - plain("MKTAYIA"), abs=1e-8), text
    assert "leaves nothing" in found[6].reason
    assert "reaches outside the alignment's columns 3-9" in found[7].reason
    others = make_family_scorer(models["potts"])
    assert outcomes(others, "T5del")[0].reason == (
        "the rule potts scores substitutions only, not T5del (the rule hmm does)"
    )


def test_another_protein_is_refused_with_the_place_that_fits(models):
    scorer = make_family_scorer(models["site"])
    with pytest.raises(InputError, match=r"at 3, expected it at 2-8, where all of it agrees"):
        outcomes(scorer, "M2R", protein=PROTEIN[1:])


def test_what_is_no_family_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such directory"):
        load_family_model(tmp_path / "nothing")
    (tmp_path / "x").mkdir()
    with pytest.raises(CheckpointError, match=r"no family\.json"):
        load_family_model(tmp_path / "x")
    (tmp_path / "x" / "family.json").write_text("{}")
    with pytest.raises(CheckpointError, match="a damaged model"):
        load_family_model(tmp_path / "x")


@pytest.fixture(scope="module")
def transformer():
    path = shared("reference/fixtures/msa1b-fair-tiny")
    return lexome.load_alignment_model(str(path), device="cpu")


def test_masked_marginals_are_those_of_fair_esm(transformer, alignment):
    """fair-esm's own network and batch converter on the same rows, the query masked at a column."""
    esm = pytest.importorskip("esm")
    name = "esm_msa1b_t2_tiny"
    folder = shared("reference/fixtures/msa1b-fair-tiny")
    files = (folder / f"{name}{end}.pt" for end in ("", "-contact-regression"))
    parts = (torch.load(file, weights_only=False) for file in files)  # ours, made by a script
    reference, alphabet = esm.pretrained.load_model_and_alphabet_core(name, *parts)
    reference.eval()
    aligned = read_focus_alignment(alignment)
    scorer = make_msa_scorer(transformer, aligned, depth=12)
    rows = scorer.fingerprint[3][0]
    assert len(rows) == 12
    _, _, tokens = alphabet.get_batch_converter()([[(str(i), row) for i, row in enumerate(rows)]])
    texts, wanted = ["K4D", "A9G"], []
    for column, ref, alt in ((1, "K", "D"), (5, "A", "G")):
        masked = tokens.clone()
        masked[0, 0, column + 1] = alphabet.mask_idx
        with torch.inference_mode():
            log_p = reference(masked)["logits"][0, 0, column + 1].log_softmax(-1)
        wanted.append(float(log_p[alphabet.get_idx(alt)] - log_p[alphabet.get_idx(ref)]))
    found = [one.score for one in outcomes(scorer, *texts, "K4D:A9G")]
    np.testing.assert_allclose(found, [*wanted, sum(wanted)], atol=1e-4)
    table = scorer.table(PROTEIN)
    assert table[3, AMINO_ACIDS.index("D")] == pytest.approx(found[0])
    assert np.isnan(table[0]).all()


def test_rows_are_drawn_by_their_weights_and_seeds_are_averaged(transformer, alignment):
    aligned = read_focus_alignment(alignment)
    weights = np.ones(len(aligned.rows))
    one, two, both = (
        make_msa_scorer(transformer, aligned, 8, seeds, weights) for seeds in ((0,), (1,), (0, 1))
    )
    rows = one.fingerprint[3][0]
    assert rows[0] == "MKTAYA"
    assert rows != two.fingerprint[3][0]
    found = [outcomes(scorer, "K4D")[0].score for scorer in (one, two, both)]
    assert found[0] != found[1]
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, abs=1e-6)
    assert "outside" in outcomes(one, "G1A")[0].reason


def test_a_real_family_is_read_with_the_columns_that_deepsequence_models():
    family = read_family(shared("data/msa/ENVZ_ECOLI_extreme_filtered.a2m.gz"), FamilySettings())
    assert family.rows.codes_RC.shape == (2472, 60)
    assert family.aligned.focus.first == 1
    blat = read_focus_alignment(shared("data/msa/BLAT_ECOLX.a2m.gz"))
    assert (blat.focus.first, len(blat.focus.offsets)) == (24, 253)
    assert blat.focus.query[blat.focus.offsets[0]] == blat.focus.letters[0] == "V"
