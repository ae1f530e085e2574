"""Held-out figures of models whose answers are known, worked out on paper."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lexome.batches.shards import Corpus
from lexome.batches.stream import Stream
from lexome.distributed.ranks import Ranks
from lexome.layers.layout import Layout
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.pretraining import heldout
from lexome.training.pretraining.corpus import make_corpus
from lexome.training.pretraining.heldout import Heldout, as_log, heldout_plan, look
from lexome.training.pretraining.masking import STANDARD
from lexome.training.pretraining.recipe import DataRecipe, ObjectiveRecipe
from lexome.training.pretraining.steps import Plan, make_micro_batch
from tests.toys import write_fasta

TOKENIZER = CharacterTokenizer()
ALONE = Ranks(0, 1, "cpu")
STANDARD_IDS = [TOKENIZER.id_of[letter] for letter in STANDARD]


class Frequencies(nn.Module):
    """Says A with 0.6, C with 0.3 and each other residue with the same small rest, wherever it is asked."""

    def forward(self, inputs_T: Tensor, layout: Layout, positions_C: Tensor) -> Tensor:
        logits_V = torch.full((len(TOKENIZER.vocabulary),), -math.inf)
        logits_V[STANDARD_IDS] = math.log(0.1 / 18)
        logits_V[TOKENIZER.id_of["A"]] = math.log(0.6)
        logits_V[TOKENIZER.id_of["C"]] = math.log(0.3)
        return logits_V.expand(len(positions_C), -1)


class Reader(nn.Module):
    """Repeats what it can read, and knows nothing of what is masked."""

    def forward(self, inputs_T: Tensor, layout: Layout, positions_C: Tensor) -> Tensor:
        logits_CV = torch.full((len(positions_C), len(TOKENIZER.vocabulary)), -1e9)
        logits_CV[:, STANDARD_IDS] = 0.0
        seen_C = inputs_T[positions_C]
        is_read_C = seen_C != TOKENIZER.mask_id
        logits_CV[is_read_C, seen_C[is_read_C]] = 1e9
        return logits_CV


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two hundred proteins of A and C only, without a hold-out."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    letters = ["".join(generator.choice(["A", "C"], 60)) for _ in range(200)]
    write_fasta(folder / "a.fasta", ((f"p{i}", text) for i, text in enumerate(letters)))
    recipe = DataRecipe(sources=("a.fasta",), heldout=0.0)
    return make_corpus(recipe, folder / "corpus", folder, lambda what, text: None, quiet=True)


def plan_of(corpus: Corpus, kind: str = "masked") -> Plan:
    """Looks at what the corpus trains on, as these have no hold-out."""
    objective = ObjectiveRecipe.model_validate({"kind": kind})
    plan = Plan(Stream(corpus.train, 40, 7), TOKENIZER, objective, 1000, 300, 7)
    return heldout_plan(plan, corpus._replace(heldout=corpus.train))


def test_the_loss_is_the_mean_surprise_at_masks_and_the_accuracy_that_of_the_likeliest(
    corpus: Corpus,
) -> None:
    plan = plan_of(corpus)
    windows = plan.stream.windows(0, 200)
    found = look(Frequencies(), plan, windows, "fp32", ALONE)
    micro = make_micro_batch(plan, windows)
    is_masked_C = micro.inputs_T[micro.positions_C] == TOKENIZER.mask_id
    is_a_C = micro.targets_C[is_masked_C] == TOKENIZER.id_of["A"]
    num, num_a = len(is_a_C), int(is_a_C.sum())
    assert 0.10 < num / len(micro.inputs_T) < 0.14, "15 % chosen, four fifths of them masked"
    assert found.count_W.sum() == num
    surprise = -(num_a * math.log(0.6) + (num - num_a) * math.log(0.3)) / num
    assert found.loss == pytest.approx(surprise, abs=1e-6)
    assert found.perplexity == pytest.approx(math.exp(surprise), abs=1e-5)
    assert found.accuracy == pytest.approx(num_a / num)
    by_residue = found.by_residue()
    assert (by_residue["A"], by_residue["C"]) == (1.0, 0.0)
    assert all(math.isnan(by_residue[letter]) for letter in STANDARD if letter not in "AC")


def test_what_can_still_be_read_does_not_flatter_the_perplexity(corpus: Corpus) -> None:
    plan = plan_of(corpus)
    found = look(Reader(), plan, plan.stream.windows(0, 200), "fp32", ALONE)
    assert found.perplexity == pytest.approx(20.0, abs=1e-4)


def test_each_window_has_its_own_sums_however_many_go_through_at_once(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(corpus)
    windows = plan.stream.windows(0, 200)
    whole = look(Frequencies(), plan, windows, "fp32", ALONE)
    monkeypatch.setattr(heldout, "TOKENS", 500)
    parts = look(Frequencies(), plan, windows, "fp32", ALONE)
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    alone = look(Frequencies(), plan, windows.take(slice(17, 18)), "fp32", ALONE)
    assert alone.loss_W == pytest.approx(whole.loss_W[17:18], abs=1e-5)
    assert alone.count_W == whole.count_W[17:18]


def test_what_is_hidden_in_the_hold_out_depends_neither_on_seed_nor_rate_of_the_training(
    corpus: Corpus,
) -> None:
    plan = plan_of(corpus)
    other = Plan(Stream(corpus.train, 40, 8), TOKENIZER, ObjectiveRecipe(rate=0.4), 500, 100, 8)
    other = heldout_plan(other, corpus._replace(heldout=corpus.train))
    one, two = (make_micro_batch(p, p.stream.windows(0, 50)) for p in (plan, other))
    assert torch.equal(one.inputs_T, two.inputs_T)


def test_from_left_to_right_every_token_but_the_last_counts(corpus: Corpus) -> None:
    plan = plan_of(corpus, "causal")
    windows = plan.stream.windows(0, 10)
    found = look(Reader(), plan, windows, "fp32", ALONE)
    assert found.count_W.tolist() == (windows.tokens_W - 1).tolist()


def test_without_a_masked_position_there_is_no_figure_to_fall_over() -> None:
    none = Heldout(np.zeros(3), np.zeros(3), np.zeros(20), np.zeros(20))
    assert (none.loss, none.accuracy) == (0.0, 0.0)


def test_the_log_names_the_figures(corpus: Corpus) -> None:
    plan = plan_of(corpus)
    line = as_log(look(Frequencies(), plan, plan.stream.windows(0, 20), "fp32", ALONE))
    assert line["validation_perplexity"] == pytest.approx(math.exp(line["validation_loss"]))
    assert line["validation_accuracy_by_residue"]["A"] == 1.0
