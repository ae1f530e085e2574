"""Fits of family models: gradients, what they find, repeats, saving, and being killed."""

import numpy as np
import pytest
import torch

from lexome.errors import CheckpointError, EnvironmentProblem, InputError
from lexome.progress import Progress
from lexome.scoring.alignment_models import family as saving
from lexome.scoring.alignment_models.family import load_family_model
from lexome.scoring.alignment_models.make import make_family_scorer
from lexome.scoring.mutants.scorer import score_mutants
from lexome.sequence.mutations import parse_mutant
from lexome.training.alignment_models import potts
from lexome.training.alignment_models.fit import (
    combine_family_models,
    family_folder,
    family_scorer,
    fit_family_model,
)
from lexome.training.alignment_models.pace import pace
from lexome.training.alignment_models.potts import fit_potts, one_hot, pseudo_gradient
from lexome.training.alignment_models.settings import FamilySettings
from lexome.training.alignment_models.vae import fit_vae, hide
from tests.scoring.test_family_rules import PROTEIN, QUICK, RULES, write_family

SOME = ["M3R", "K4D", "M3R:K4D", "A9G"]


@pytest.fixture
def alignment(tmp_path):
    return write_family(tmp_path / "toy.a3m")


def scores(scorer):
    return [one.score for one in score_mutants(scorer, PROTEIN, list(map(parse_mutant, SOME)))]


def test_the_gradient_of_the_pseudo_likelihood_is_that_of_its_plain_form():
    """The plain form: every column's softmax over its fields and its pairs, gaps left out."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 21, (9, 4), generator=generator)
    fields = torch.randn(4, 20, generator=generator, requires_grad=True)
    pairs = torch.randn(4, 4, 20, 20, generator=generator, requires_grad=True)
    total = torch.zeros(())
    for row in codes.tolist():
        for c, letter in enumerate(row):
            if letter == 20:
                continue
            logits = fields[c]
            for d, other in enumerate(row):
                if d != c and other < 20:
                    block = pairs[c, d][:, other] if c < d else pairs[d, c][other]
                    logits = logits + block
            total = total - logits.log_softmax(0)[letter] / len(codes)
    total.backward()
    full = torch.zeros(4, 20, 4, 20)
    wanted = torch.zeros(4, 20, 4, 20)
    for c in range(4):
        for d in range(c + 1, 4):
            full[c, :, d], full[d, :, c] = pairs[c, d].detach(), pairs[c, d].detach().T
            wanted[c, :, d], wanted[d, :, c] = pairs.grad[c, d], pairs.grad[c, d].T
    loss, of_fields, of_couplings = pseudo_gradient(
        codes, fields.detach().flatten(), full.view(80, 80), torch.float32
    )
    assert loss == pytest.approx(float(total.detach()), rel=1e-5)
    torch.testing.assert_close(of_fields.view(4, 20), fields.grad)
    torch.testing.assert_close(of_couplings.view(4, 20, 4, 20), wanted)


def test_paired_columns_are_found_by_the_couplings():
    """Rows are AC or DE in equal shares: one change breaks the pair, both keep it."""
    codes = np.array([[0, 1], [2, 3]] * 400, np.int8)
    made = fit_potts(codes, np.ones(800), FamilySettings(steps=200), Progress("", 1, ""))
    couplings = made.tensors["couplings"].view(2, 20, 2, 20)
    assert couplings[0, 0, 1, 1] > 0.5
    assert couplings[0, 0, 1, 3] < -0.5
    torch.testing.assert_close(couplings[0, :, 1], couplings[1, :, 0].T)
    assert not couplings[[0, 1], :, [0, 1]].any()


def test_the_autoencoder_finds_two_clans():
    """Its bound on a row of either clan is near log 1/2, far below for a mixture of them."""
    codes = np.array([[0, 1, 4, 5, 6, 7], [2, 3, 8, 9, 10, 11]] * 300, np.int8)
    made = fit_vae(
        codes, np.ones(600), FamilySettings(steps=400, dtype="fp32"), Progress("", 1, "")
    )
    from lexome.scoring.alignment_models.vae import family_bounds

    rows = np.array([codes[0], codes[1], [0, 1, 4, 9, 10, 11]])
    clan, other, mixed = family_bounds(made.network, rows, 50)
    assert clan == pytest.approx(other, abs=1.0)
    assert -3.0 < clan < 0
    assert mixed < clan - 3


@pytest.mark.parametrize("rule", RULES)
def test_saved_is_as_good_as_fitted_and_a_second_fit_is_the_same(alignment, tmp_path, rule):
    place = tmp_path / "model"
    model = fit_family_model(alignment, rule, place, QUICK, quiet=True)
    assert sorted(p.name for p in place.iterdir()) == ["family.json", "model.safetensors"]
    wanted = scores(make_family_scorer(model))
    loaded = load_family_model(place)
    assert scores(make_family_scorer(loaded)) == wanted
    assert loaded.fingerprint() == model.fingerprint()
    again = fit_family_model(alignment, rule, None, QUICK, quiet=True)
    assert scores(make_family_scorer(again)) == wanted
    assert scores(family_scorer(alignment, rule, place, quiet=True)) == wanted
    assert scores(family_scorer(None, rule, place, quiet=True)) == wanted
    facts = model.facts
    assert (facts["rows"], facts["columns"], facts["query"]) == (61, 6, "q/3-9")


def test_a_model_is_fitted_once_and_then_used(alignment, tmp_path, monkeypatch):
    place = family_folder(tmp_path / "out.csv", alignment, "potts", QUICK)
    assert place.name.startswith("out.csv.family-potts-")
    assert place != family_folder(tmp_path / "out.csv", alignment, "potts")
    first = scores(family_scorer(alignment, "potts", place, QUICK, quiet=True))
    monkeypatch.setattr("lexome.training.alignment_models.fit.read_family", None)
    assert scores(family_scorer(alignment, "potts", place, QUICK, quiet=True)) == first
    assert fit_family_model(alignment, "potts", place, QUICK, quiet=True).rule == "potts"


def test_a_model_of_something_else_is_refused(alignment, tmp_path):
    place = tmp_path / "model"
    fit_family_model(alignment, "site", place, QUICK, quiet=True)
    other = write_family(tmp_path / "other.a3m", rows=50)
    with pytest.raises(InputError, match="a model of the rule site, expected potts"):
        family_scorer(alignment, "potts", place, QUICK)
    with pytest.raises(InputError, match="a model of the alignment with SHA-256"):
        family_scorer(other, "site", place)
    with pytest.raises(InputError, match=r"fitted with theta 0\.2, expected theta 0\.1"):
        family_scorer(alignment, "site", place, FamilySettings(theta=0.1, steps=15, samples=8))
    with pytest.raises(InputError, match="no such rule of alignments"):
        family_scorer(alignment, "dca")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    with pytest.raises(InputError, match="a directory that is not empty"):
        fit_family_model(alignment, "site", tmp_path / "full")


def test_a_killed_fit_leaves_nothing_and_the_next_one_works(alignment, tmp_path, monkeypatch):
    place = tmp_path / "model"

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_family_model(alignment, "potts", place, QUICK, quiet=True, watch=stop)
    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            fit_family_model(alignment, "site", place, QUICK, quiet=True)
    assert list(tmp_path.iterdir()) == [alignment]
    (tmp_path / ".model.unfinished").mkdir()  # what SIGKILL leaves
    (tmp_path / ".model.unfinished" / "model.safetensors").write_text("half")
    fit_family_model(alignment, "site", place, QUICK, quiet=True)
    assert load_family_model(place).rule == "site"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "toy.a3m"]


def test_weights_that_were_changed_are_refused(alignment, tmp_path):
    for name in ("a", "b"):
        settings = FamilySettings(theta=0.2 if name == "a" else 0.5)
        fit_family_model(alignment, "site", tmp_path / name, settings, quiet=True)
    (tmp_path / "a" / "model.safetensors").write_bytes(
        (tmp_path / "b" / "model.safetensors").read_bytes()
    )
    with pytest.raises(CheckpointError, match="that are not those of"):
        load_family_model(tmp_path / "a")


def test_two_fits_combined_are_the_fit_of_both(alignment):
    parts = [
        fit_family_model(alignment, rule, None, QUICK, quiet=True) for rule in ("vae", "potts")
    ]
    both = fit_family_model(alignment, "vae+potts", None, QUICK, quiet=True)
    combined = combine_family_models(*parts)
    assert combined.fingerprint() == both.fingerprint()
    with pytest.raises(InputError, match="a model of the rule potts, expected vae"):
        combine_family_models(parts[1], parts[1])


def test_a_fit_ends_with_its_time(alignment):
    rates = list(pace(FamilySettings(steps=4), 100, Progress("", 1, ""), 1.0))
    assert rates == [1.0, 0.75, 0.5, 0.25]
    model = fit_family_model(alignment, "potts", None, FamilySettings(seconds=0.3), quiet=True)
    assert model.facts["fit"]["steps"] > 0
    with pytest.raises(InputError, match="seconds: saw -1"):
        FamilySettings(seconds=-1)


def test_a_family_too_wide_for_the_memory_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(potts, "free_memory", lambda device: 10**9)
    codes = np.zeros((3, 400), np.int8)
    with pytest.raises(
        EnvironmentProblem, match=r"saw 1\.0 GB of free memory, expected about 2\.0 GB"
    ):
        fit_potts(codes, np.ones(3), FamilySettings(), Progress("", 1, ""))


def test_hidden_letters_are_whole_and_the_others_are_scaled():
    x = one_hot(torch.randint(0, 20, (50, 30), generator=torch.Generator().manual_seed(0)))
    seen = hide(x, 0.25, torch.Generator().manual_seed(1)).view(50, 30, 20).sum(-1)
    assert seen.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float((seen == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert hide(x, 0.0, torch.Generator()) is x
