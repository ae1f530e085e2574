"""The engine: samples in any company, exact distributions, stops, limits and beams."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from lexome.generation.beams import search_beams
from lexome.generation.engine import CONTEXT, LENGTH, STOP, Engine, Request, limit_new
from lexome.generation.sampler import Sampler
from lexome.generation.settings import Sampling
from lexome.inference.causal import continue_greedily
from tests.toy_causal import Chain, Counter, exact_next

PROMPTS = [(1,), (2, 3, 4), (5, 1, 2, 6, 7)]


def run(network, requests, max_rows=8, seed=1, stops=(0,), **settings):
    engine = Engine(network, Sampler(Sampling(**settings), stops), seed, max_rows=max_rows)
    made = engine.run(requests, capacity=max(len(r.prompt) + r.most_new for r in requests))
    return sorted(made, key=lambda f: (f.request.prompt, f.request.number))


def requests_for(prompts, n, most_new=20):
    return [Request(i, prompt, most_new) for prompt in prompts for i in range(1, n + 1)]


@pytest.mark.parametrize("max_rows", [1, 2, 3, 16, 64])
def test_a_sample_is_the_same_whatever_runs_beside_it(max_rows):
    network = Counter()
    wanted = requests_for(PROMPTS, 7)
    together = run(network, wanted, max_rows, stops=(3,), temperature=0.9, top_p=0.95)
    assert len(together) == 21
    assert len({f.reason for f in together}) == 2  # some stop, some reach the limit
    alone = [
        answer
        for one in wanted
        for answer in run(network, [one], stops=(3,), temperature=0.9, top_p=0.95)
    ]
    assert sorted(alone, key=lambda f: (f.request.prompt, f.request.number)) == together
    backwards = run(network, wanted[::-1], max_rows, stops=(3,), temperature=0.9, top_p=0.95)
    assert backwards == together


def test_another_seed_number_or_prompt_is_another_sample():
    network = Chain()
    first = run(network, requests_for([(1,)], 20), stops=())
    other_seed = run(network, requests_for([(1,)], 20), seed=2, stops=())
    assert len({tuple(f.ids) for f in [*first, *other_seed]}) == 40


def test_greedy_is_the_plain_twin():
    network = Counter()
    made = run(network, requests_for(PROMPTS, 1), stops=(), temperature=0)
    assert [f.ids for f in made] == continue_greedily(network, PROMPTS, 20)


def test_the_first_two_tokens_have_the_chains_exact_distribution():
    network = Chain(vocabulary_size=5, seed=4)
    num = 8000
    made = run(network, requests_for([(1,)], num, most_new=2), max_rows=256, stops=(), seed=11)
    pairs = np.bincount([5 * f.ids[0] + f.ids[1] for f in made], minlength=25)
    first = exact_next(network, 1)
    exact = np.array([first[a] * exact_next(network, a)[b] for a in range(5) for b in range(5)])
    large = exact * num >= 5
    counts = np.append(pairs[large], pairs[~large].sum())
    expected = np.append(exact[large], exact[~large].sum()) * num
    assert chisquare(counts, expected).pvalue > 0.01


def test_likelihoods_are_those_of_a_pass_over_the_whole():
    network = Counter()
    for found in run(network, requests_for(PROMPTS, 3), temperature=0.7, top_k=5):
        whole = torch.tensor([[*found.request.prompt, *found.ids]])
        state = network.start(1, whole.shape[1])
        log_p = network.logits(network.extend(whole, state)[0]).log_softmax(-1)
        start = len(found.request.prompt)
        exact = [float(log_p[start + i - 1, token]) for i, token in enumerate(found.ids)]
        assert found.log_probs == pytest.approx(exact, abs=1e-5)


def test_a_sequence_ends_at_a_stop_token_or_its_limit_and_says_which():
    made = run(Chain(seed=2), requests_for([(1,)], 50, most_new=6))
    assert {f.reason for f in made} == {STOP, LENGTH}
    for found in made:
        assert (found.ids[-1] == 0) == (found.reason == STOP)
        assert 0 not in found.ids[:-1]
        assert found.reason == STOP or len(found.ids) == 6
    assert limit_new(60, 10, 64) == (4, CONTEXT)


def test_no_stop_comes_before_the_fewest_tokens_wanted():
    network = Chain(seed=2)
    sampler = Sampler(Sampling(), stops=(0,), min_new=5)
    made = list(Engine(network, sampler, 1).run(requests_for([(1,)], 40, most_new=9), 10))
    assert min(len(f.ids) for f in made) >= 6
    assert any(f.reason == STOP for f in made)


def test_a_prompt_is_read_once_for_all_its_samples(monkeypatch):
    network, read = Counter(), []
    extend = network.extend
    monkeypatch.setattr(
        network, "extend", lambda t, s: (read.append(tuple(t.shape)), extend(t, s))[1]
    )
    run(network, requests_for(PROMPTS, 30), max_rows=4)
    assert [shape for shape in read if shape[0] == 1] == [(1, len(p)) for p in PROMPTS]
    assert {shape[0] for shape in read} <= {1, 2, 3, 4}


def test_rows_are_few_where_memory_is_short(monkeypatch):
    network, started = Counter(), []
    start = network.start
    monkeypatch.setattr(network, "start", lambda r, c: (started.append(r), start(r, c))[1])
    monkeypatch.setattr("lexome.generation.engine.free_memory", lambda device: 5 * 64 * 16 * 2)
    run(network, requests_for([(1,)], 30), max_rows=16)
    assert max(started) == 5


def all_ends(chain, prompt, most_new, stop):
    """Every sequence that a chain can make, with its log-likelihood."""
    for length in range(1, most_new + 1):
        for ids in itertools.product(range(chain.config.vocabulary_size), repeat=length):
            if stop in ids[:-1] or (ids[-1] != stop and length < most_new):
                continue
            last, total = prompt[-1], 0.0
            for token in ids:
                total += np.log(exact_next(chain, last)[token])
                last = token
            yield total, list(ids)


@pytest.mark.parametrize("seed", range(4))
def test_wide_beams_find_the_most_likely_of_all_sequences(seed):
    chain = Chain(vocabulary_size=4, seed=seed)
    exact = sorted(all_ends(chain, (1,), 4, 0), reverse=True)[:5]
    found = search_beams(chain, Request(1, (1,), 4), Sampler(Sampling(), stops=(0,)), 300)[:5]
    assert [f.ids for f in found] == [ids for _, ids in exact]
    assert [sum(f.log_probs) for f in found] == pytest.approx(
        [total for total, _ in exact], abs=1e-5
    )


def test_one_beam_is_greedy():
    network = Counter()
    found = search_beams(network, Request(1, (2, 3, 4), 20), Sampler(Sampling()), 1)
    assert [f.ids for f in found] == continue_greedily(network, [(2, 3, 4)], 20)
