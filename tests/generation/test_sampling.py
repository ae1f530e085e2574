"""Each filter against transformers' own, and draws against the exact distribution."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from lexome.generation.draws import pick, sample_key, uniforms
from lexome.generation.sampler import Sampler
from lexome.generation.sampling import (
    forbid_repeated_ngrams,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
    penalize_repetition,
)
from lexome.generation.settings import Sampling

NO_IDS = torch.zeros(6, 0, dtype=torch.long)


def random_logits(rows: int = 6, size: int = 50, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("k", [1, 2, 7, 49, 50, 80])
def test_top_k_is_that_of_transformers(k):
    assert torch.equal(keep_top_k(random_logits(), k), TopKLogitsWarper(k)(NO_IDS, random_logits()))


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9, 0.95, 0.999])
def test_top_p_min_p_and_typical_are_those_of_transformers(p):
    logits_BV = random_logits()
    assert torch.equal(keep_top_p(logits_BV, p), TopPLogitsWarper(p)(NO_IDS, logits_BV))
    assert torch.equal(keep_min_p(logits_BV, p), MinPLogitsWarper(p)(NO_IDS, logits_BV))
    assert torch.equal(keep_typical(logits_BV, p), TypicalLogitsWarper(p)(NO_IDS, logits_BV))


@pytest.mark.parametrize("seed", range(4))
def test_repetition_controls_are_those_of_transformers(seed):
    generator = torch.Generator().manual_seed(seed)
    seen_BT = torch.randint(0, 5, (6, 20), generator=generator)
    logits_BV = random_logits(size=9, seed=seed)
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(seen_BT, logits_BV.clone())
    ours = [
        penalize_repetition(row, seen, 1.3)
        for row, seen in zip(logits_BV, seen_BT.tolist(), strict=True)
    ]
    assert torch.equal(torch.stack(ours), theirs)
    for size in (1, 2, 3):
        theirs = NoRepeatNGramLogitsProcessor(size)(seen_BT, logits_BV.clone())
        ours = [
            forbid_repeated_ngrams(row, seen, size)
            for row, seen in zip(logits_BV, seen_BT.tolist(), strict=True)
        ]
        assert torch.equal(torch.stack(ours), theirs), size


def test_the_published_order_gives_the_distribution_of_transformers_order():
    """Top-k before or after the temperature leaves the same tokens with the same odds."""
    logits_BV = random_logits()
    theirs = TemperatureLogitsWarper(0.6)(NO_IDS, logits_BV)
    theirs = TopKLogitsWarper(12)(NO_IDS, theirs)
    theirs = TopPLogitsWarper(0.9)(NO_IDS, theirs)
    theirs = MinPLogitsWarper(0.05)(NO_IDS, theirs)
    theirs = TypicalLogitsWarper(0.95)(NO_IDS, theirs)
    settings = Sampling(temperature=0.6, top_k=12, top_p=0.9, min_p=0.05, typical_p=0.95)
    ours = Sampler(settings).filter(logits_BV, [[]] * 6, [[]] * 6)
    assert torch.allclose(ours.softmax(-1), theirs.softmax(-1), atol=1e-6)


def test_the_published_order_is_that_of_evo():
    """Top-k, then the temperature, then the nucleus among the survivors, worked out by hand."""
    logits_V = torch.tensor([[3.0, 2.0, 1.0, 0.0, -1.0]])
    ours = Sampler(Sampling(temperature=2.0, top_k=3, top_p=0.7)).filter(logits_V, [[]], [[]])
    # survivors 3, 2, 1 at temperature 2: 0.506, 0.307, 0.186; from below, 0.186 <= 0.3 is dropped
    expected = torch.tensor([1.5, 1.0, float("-inf"), float("-inf"), float("-inf")])
    assert torch.equal(ours[0], expected)


def test_with_the_temperature_last_a_high_one_does_not_let_the_tail_in():
    logits_V = torch.tensor([[4.0, 2.0, 0.0]])
    settings = {"temperature": 10.0, "top_p": 0.85}
    first = Sampler(Sampling(**settings)).filter(logits_V, [[]], [[]])
    last = Sampler(Sampling(**settings, order="temperature-last")).filter(logits_V, [[]], [[]])
    assert torch.isfinite(first).sum() == 3
    assert torch.isfinite(last).sum() == 1


def test_draws_have_the_exact_distribution():
    logits_V = random_logits(1, 12, seed=3)
    num = 40_000
    keys = [sample_key(7, number, [1, 2]) for number in range(num)]
    drawn, _ = Sampler(Sampling()).draw(logits_V.expand(num, -1), keys, [[]] * num, [[]] * num)
    expected = logits_V[0].double().softmax(-1).numpy() * num
    assert chisquare(np.bincount(drawn, minlength=12), expected).pvalue > 0.01


def test_draws_at_the_positions_of_one_sample_are_independent():
    """Pairs of neighbouring draws fall evenly into a 10 x 10 grid."""
    numbers = uniforms([sample_key(3, 1, [])] * 100_000, range(100_000))
    cells = np.floor(numbers * 10).astype(int)
    counts = np.bincount(cells[:-1] * 10 + cells[1:], minlength=100)
    assert chisquare(counts).pvalue > 0.01
    neighbours = uniforms([sample_key(3, number, []) for number in range(50_000)], [0] * 50_000)
    assert chisquare(np.bincount((neighbours * 50).astype(int), minlength=50)).pvalue > 0.01


def test_a_token_without_probability_is_never_drawn():
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]] * 4)
    numbers = np.array([0.0, 0.4999999, 0.5, np.nextafter(1.0, 0.0)])
    assert pick(probabilities, numbers).tolist() == [1, 1, 3, 3]


def test_filtered_draws_have_the_filtered_distribution():
    logits_V = random_logits(1, 12, seed=5) / 3
    sampler = Sampler(Sampling(temperature=0.8, top_k=6, top_p=0.9))
    num = 20_000
    keys = [sample_key(1, number, []) for number in range(num)]
    drawn, log_probs = sampler.draw(logits_V.expand(num, -1), keys, [[]] * num, [[]] * num)
    exact = sampler.filter(logits_V, [[]], [[]])[0].double().softmax(-1).numpy()
    counts = np.bincount(drawn, minlength=12)
    assert (counts[exact == 0] == 0).all()
    possible = exact > 0
    assert chisquare(counts[possible], exact[possible] * num).pvalue > 0.01
    # whatever is filtered, the likelihood told is the whole model's
    assert log_probs[0] == pytest.approx(float(logits_V[0].log_softmax(-1)[drawn[0]]))


def test_a_row_is_drawn_the_same_in_any_company():
    logits_BV = random_logits(37, 33, seed=8)
    sampler = Sampler(Sampling(temperature=0.9, top_p=0.9, repetition_penalty=1.2))
    keys = list(range(37))
    new = [[i % 5, 3] for i in range(37)]
    together = sampler.draw(logits_BV, keys, new, [[1]] * 37)
    for i in range(37):
        alone = sampler.draw(logits_BV[i : i + 1], keys[i : i + 1], new[i : i + 1], [[1]])
        assert (alone[0][0], alone[1][0]) == (together[0][i], together[1][i])
