"""Pseudo-log-likelihoods against the loop that anyone would write, and worked out by hand."""

import math

import numpy as np
import pytest
import torch

import lexome
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.scoring.pseudo_likelihood import pseudo_log_likelihoods
from lexome.tokenizers.character import CharacterTokenizer
from tests.checkpoints.decoders import read_decoder
from tests.shared_data import shared
from tests.toy_models import Independent, toy_model
from tests.toys import AMINO_ACIDS, random_proteins

P = {letter: (i + 1) / 210 for i, letter in enumerate(AMINO_ACIDS)}
DNA = "ACGTTGCAGATTACAGGCATCGATTTGC"


def fixture(name: str) -> Model:
    return lexome.load(str(shared(f"reference/fixtures/{name}")), device="cpu")


def log_p(model: Model, ids: list[int]) -> torch.Tensor:
    """(T, V) by the plain door, a sequence at a time."""
    return torch.from_numpy(model.run_ids([ids])[0].logits).double().log_softmax(-1)


def one_mask_at_a_time(model: Model, sequence: str) -> list[float]:
    """The loop that anyone would write: the slow plain twin."""
    ids = model.tokenizer.encode(sequence)
    found = []
    for place in range(len(ids))[model.tokenizer.inner]:
        masked = list(ids)
        masked[place] = model.tokenizer.mask_id
        found.append(float(log_p(model, masked)[place, ids[place]]))
    return found


@pytest.mark.parametrize("name", ["esm2-hf-tiny", "esm1b-hf-tiny", "esm1v-hf-tiny", "bert-tiny"])
def test_every_residue_scores_as_the_loop_over_masks_says(name):
    model = fixture(name)
    proteins = random_proteins(5, seed=1, low=5, high=30)
    found = pseudo_log_likelihoods(model, proteins)
    for protein, values in zip(proteins, found, strict=True):
        assert values.dtype == np.float64
        assert values.shape == (len(protein),)
        assert values == pytest.approx(one_mask_at_a_time(model, protein), abs=1e-4)


@pytest.mark.parametrize("name", ["nt-v1-tiny", "nt-v2-tiny", "dnabert2-tiny"])
def test_of_longer_tokens_every_token_is_a_value(name):
    model = fixture(name)
    found = pseudo_log_likelihoods(model, [DNA, DNA[5:]])
    for sequence, values in zip((DNA, DNA[5:]), found, strict=True):
        expected = one_mask_at_a_time(model, sequence)
        assert values == pytest.approx(expected, abs=1e-4)
        assert len(values) == len(model.tokenizer.encode(sequence)) - model.tokenizer.num_specials


def test_a_base_of_overlapping_kmers_is_hidden_in_all_that_cover_it():
    model = fixture("dnabert-tiny")
    tokenizer = model.tokenizer
    k, ids = tokenizer.k, tokenizer.encode(DNA)
    found = pseudo_log_likelihoods(model, [DNA])[0]
    assert len(found) == len(DNA)
    for i, value in enumerate(found):
        covering = [t for t in range(len(DNA) - k + 1) if t <= i < t + k]
        masked = list(ids)
        for t in covering:
            masked[t + 1] = tokenizer.mask_id
        table = log_p(model, masked)
        estimates = []
        for t in covering:
            agree = [
                id
                for kmer, id in tokenizer.id_of.items()
                if set(kmer) <= set("ACGT") and kmer[i - t] == DNA[i]
            ]
            estimates.append(float(table[t + 1, agree].logsumexp(-1)))
        assert value == pytest.approx(np.mean(estimates), abs=1e-4)


def test_asked_positions_are_those_of_the_whole_answer(esm2):
    model = lexome.load(str(esm2), device="cpu")
    proteins = random_proteins(3, seed=2)
    whole = pseudo_log_likelihoods(model, proteins)
    asked = [[0, 7, 3], [], [len(proteins[2]) - 1]]
    found = pseudo_log_likelihoods(model, proteins, positions=asked)
    for values, some, places in zip(whole, found, asked, strict=True):
        assert some == pytest.approx(values[places], abs=1e-5)
    once = pseudo_log_likelihoods(model, proteins, one_pass=True)
    found = pseudo_log_likelihoods(model, proteins, one_pass=True, positions=asked)
    for values, some, places in zip(once, found, asked, strict=True):
        assert some == pytest.approx(values[places], abs=1e-5)
    model = fixture("dnabert-tiny")
    whole = pseudo_log_likelihoods(model, [DNA])
    some = pseudo_log_likelihoods(model, [DNA], positions=[[4, 0]])
    assert some[0] == pytest.approx(whole[0][[4, 0]], abs=1e-5)


def test_residues_that_do_not_know_of_one_another_score_their_own_frequency():
    tokenizer = CharacterTokenizer()
    model = toy_model(Independent(P, tokenizer), tokenizer)
    expected = [math.log(P[letter]) for letter in "MKTAYW"]
    exact = pseudo_log_likelihoods(model, ["MKTAYW"])[0]
    assert exact == pytest.approx(expected, abs=1e-6)
    once = pseudo_log_likelihoods(model, ["MKTAYW"], one_pass=True)[0]
    # A model that follows BERT's recipe perfectly gives itself away: the estimate is exact.
    assert once == pytest.approx(expected, abs=1e-5)


def test_one_pass_is_bayes_rule_on_the_unmasked_logits(esm2):
    model = lexome.load(str(esm2), device="cpu")
    protein = random_proteins(1, seed=3)[0]
    ids = model.tokenizer.encode(protein)
    q = log_p(model, ids).exp().gather(1, torch.tensor(ids)[:, None])[1:-1, 0].numpy()
    odds = q / (1 - q) / 21
    found = pseudo_log_likelihoods(model, [protein], one_pass=True)[0]
    assert found == pytest.approx(np.log(odds / (1 + odds)), abs=1e-4)


def test_answers_do_not_depend_on_the_company_or_the_batches(esm2, monkeypatch):
    model = lexome.load(str(esm2), device="cpu")
    proteins = random_proteins(4, seed=4)
    together = pseudo_log_likelihoods(model, proteins)
    monkeypatch.setattr("lexome.inference.runner.CPU_BATCH_TOKENS", 150)
    monkeypatch.setattr("lexome.scoring.masked.LOGITS_AT_ONCE", 33 * 2)
    for protein, values in zip(proteins, together, strict=True):
        assert pseudo_log_likelihoods(model, [protein])[0] == pytest.approx(values, abs=1e-5)


def test_batches_that_do_not_fit_are_halved(esm2, monkeypatch):
    model = lexome.load(str(esm2), device="cpu")
    protein = random_proteins(1, seed=5)[0]
    expected = pseudo_log_likelihoods(model, [protein])[0]
    forward = model.network.forward

    def tight(tokens_T, layout):
        if len(layout.lengths) > 3:
            raise MemoryError
        return forward(tokens_T, layout)

    monkeypatch.setattr(model.network, "forward", tight)
    assert pseudo_log_likelihoods(model, [protein])[0] == pytest.approx(expected, abs=1e-5)


def test_who_cannot_fill_in_is_refused(esm2):
    progen = lexome.load(str(read_decoder("progen2-tiny").path), device="cpu")
    with pytest.raises(InputError, match="causal"):
        pseudo_log_likelihoods(progen, ["MKT"])
    with pytest.raises(InputError, match="encoder-decoder"):
        pseudo_log_likelihoods(fixture("t5-ankh-tiny"), ["MKT"])
    model = lexome.load(str(esm2), device="cpu")
    with pytest.raises(InputError, match="position 3"):
        pseudo_log_likelihoods(model, ["MKT"], positions=[[3]])
    with pytest.raises(InputError, match="no token"):
        pseudo_log_likelihoods(model, [""])
    with pytest.raises(InputError, match="letter 'J'"):
        pseudo_log_likelihoods(model, ["MJ"])
    assert pseudo_log_likelihoods(model, ["MJ"], unknown="map")[0].shape == (2,)
    with pytest.raises(InputError, match="at most"):
        pseudo_log_likelihoods(model, ["M" * 1100])
    with pytest.raises(InputError, match="overlapping"):
        pseudo_log_likelihoods(fixture("dnabert-tiny"), [DNA], one_pass=True)
    with pytest.raises(InputError, match="a token a residue"):
        pseudo_log_likelihoods(fixture("nt-v1-tiny"), [DNA], positions=[[1]])
