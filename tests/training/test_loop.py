"""Training one network: the same numbers again, also when it is stopped on the way."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lexome.architectures.predictor import HeadConfig, Predictor
from lexome.errors import InputError
from lexome.progress import Progress
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training import loop
from lexome.training.budget import TokenBudget
from lexome.training.examples import Examples
from lexome.training.fit import Parts, fit_seeds, rows_an_epoch
from lexome.training.fitted import predict_each
from lexome.training.loop import Job, Trained, train
from lexome.training.objectives import make_objective
from lexome.training.recipes import RECIPES, choose_recipe
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import make_examples, make_setup
from lexome.training.target import Target
from tests.toys import motif_table
from tests.training.kills import Stopped

TABLE = motif_table(60, lengths=(12, 20))
TARGET = Target("binary", ("0", "1"), TABLE["label"].to_numpy(), False)
PARTS = Parts(np.arange(0, 40), np.arange(40, 50), np.arange(50, 60))


def settings_for(model: str, **recipe: Any) -> FinetuneSettings:
    chosen = choose_recipe(model, "full", epochs=2, batch_size=16, **recipe)
    return FinetuneSettings(model=model, seeds=1, dtype="fp32", recipe=chosen)


def fit(
    model: str, folder: Path, seed: int = 1, **recipe: Any
) -> tuple[dict[str, torch.Tensor], list[Any]]:
    settings = settings_for(model, **recipe)
    settings = FinetuneSettings(**{**vars(settings), "seed": seed})
    setup = make_setup(settings)
    ids, sequences = TABLE["id"].to_list(), TABLE["sequence"].to_list()
    examples = make_examples(setup, settings, ids, sequences, TARGET.values)
    fitted, history, validation = fit_seeds(settings, setup, examples, TARGET, PARTS, folder)
    said = predict_each(fitted, [ids[i] for i in PARTS.validation], rows_of(PARTS.validation))
    assert np.array_equal(validation, said)  # also where the training was taken up again
    return fitted.networks[0].state_dict(), [
        {k: v for k, v in entry.items() if k != "seconds"} for entry in history
    ]


def rows_of(rows: np.ndarray) -> list[str]:
    return [TABLE["sequence"][int(row)] for row in rows]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


IN_TWO_STAGES = {"frozen_epochs": 1, "backbone_rate": 0.1, "head_convolutions": 2}


@pytest.mark.parametrize(
    ("model", "recipe"),
    [("new:cnn", {}), ("new:encoder-small", {}), ("new:encoder-small", IN_TWO_STAGES)],
    ids=["cnn", "encoder", "two-stages"],
)
def test_stopped_at_any_step_it_goes_on_to_the_very_same_numbers(
    model, recipe, monkeypatch, tmp_path
):
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole, history = fit(model, tmp_path / "whole", **recipe)
    steps: list[int] = []
    plain_step = loop._step

    def step_once(*args: Any) -> float:
        """Do one step and be stopped before the next; every step is tried as the last."""
        if steps and steps[-1] != args[-1] and args[-1] not in steps and "fresh" not in flags:
            flags.add("fresh")
            raise Stopped
        flags.discard("fresh")
        steps.append(args[-1])
        return plain_step(*args)

    flags: set[str] = set()
    monkeypatch.setattr(loop, "_step", step_once)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", -1.0)
    for _ in range(20):
        try:
            again, history_again = fit(model, tmp_path / "stopped", **recipe)
        except Stopped:
            continue
        break
    assert steps == list(range(2 * math.ceil(40 / 16)))  # no step was lost or done twice
    assert equal(whole, again)
    assert history == history_again
    log = (tmp_path / "stopped" / "log.jsonl").read_text().splitlines()
    assert len(log) == 2


def test_a_frozen_backbone_stands_still_until_its_epochs_are_over(monkeypatch, tmp_path):
    """And then learns at its own rate, from a warm-up of its own."""
    seen: list[tuple[float, float, torch.Tensor]] = []
    plain_step = loop._step

    def step(network: Predictor, optimizer: torch.optim.Optimizer, *rest: Any) -> float:
        loss = plain_step(network, optimizer, *rest)
        head, backbone = (optimizer.param_groups[i]["lr"] for i in (0, 2))
        seen.append((head, backbone, network.backbone.embedding.tokens.weight.detach().clone()))
        return loss

    monkeypatch.setattr(loop, "_step", step)
    fit("new:encoder-small", tmp_path, **IN_TWO_STAGES)
    per_epoch = len(seen) // 2
    heads, backbones, weights = zip(*seen, strict=True)
    assert all(torch.equal(weights[0], w) for w in weights[:per_epoch])
    changes = [not torch.equal(a, b) for a, b in pairwise(weights[per_epoch - 1 :])]
    assert all(changes)
    assert backbones == pytest.approx([0.1 * rate for rate in heads])
    assert heads[:per_epoch] == pytest.approx(heads[per_epoch:])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    one, _ = fit("new:cnn", tmp_path / "a")
    assert equal(one, fit("new:cnn", tmp_path / "b")[0])
    assert not equal(one, fit("new:cnn", tmp_path / "c", seed=2)[0])


def feature_job(figures: list[float], **recipe: Any) -> Job:
    """A job on two features, whose validation figures are given."""
    generator = np.random.default_rng(0)
    features = torch.from_numpy(generator.normal(size=(40, 2)).astype(np.float32))
    target = Target(
        "binary", ("0", "1"), (features[:, 0] > features[:, 1]).numpy().astype(np.int64), False
    )
    rows = np.arange(30)
    told = iter(figures)
    plain = {"epochs": len(figures), "batch_size": 10, "micro_tokens": 1 << 30, "patience": 99}
    plain |= {"learning_rate": 0.05, "head_dropout": 0.0}
    chosen = choose_recipe("any", "frozen", **(plain | recipe))
    return Job(
        examples=Examples(None, features, target.values, False, 1, "cpu"),
        train=rows,
        validation=np.arange(30, 40),
        objective=make_objective(target, rows, 0.0, "none", 0.0),
        recipe=chosen,
        tokenizer=CharacterTokenizer(),
        dtype="fp32",
        judge=lambda found: {"loss": 0.0, "auprc": next(told)},
        monitor="auprc",
        log=lambda entry: None,
        budget=TokenBudget(chosen.micro_tokens),
    )


def run(job: Job, folder: Path, seed: int = 1) -> Trained:
    torch.manual_seed(7)
    network = Predictor(None, HeadConfig(num_outputs=1, num_features=2, hidden=4, dropout=0.0))
    return train(network, job, seed, folder / f"state-{seed}", Progress("", None, ""))


def test_training_stops_when_the_figure_stops_rising_and_keeps_the_best_epoch(
    monkeypatch, tmp_path
):
    seen = []
    plain_answers = loop.answers

    def answers(network: Predictor, *args: Any) -> Any:
        seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return plain_answers(network, *args)

    monkeypatch.setattr(loop, "answers", answers)
    figures = [0.5, 0.6, 0.55, 0.6, 0.9, 0.9]  # an equal figure is no better one
    trained = run(feature_job(figures, patience=2), tmp_path)
    assert [entry["epoch"] for entry in trained.history] == [1, 2, 3, 4]
    assert [entry["best"] for entry in trained.history] == [False, True, False, False]
    assert equal(trained.weights, seen[1])
    assert not equal(trained.weights, seen[3])


def test_a_figure_that_is_never_defined_keeps_the_first_epoch_and_ends(tmp_path):
    trained = run(feature_job([math.nan] * 9, patience=3), tmp_path)
    assert [entry["best"] for entry in trained.history] == [True, False, False, False]


def test_small_micro_batches_add_up_to_the_whole_batch(tmp_path):
    """A row of features counts as one token, so a budget of 3 cuts a batch of 10 into 4."""
    for name in "ab":
        (tmp_path / name).mkdir()
    whole = run(feature_job([0.5] * 4), tmp_path / "a")
    pieces = run(feature_job([0.5] * 4, micro_tokens=3), tmp_path / "b")
    for name, tensor in whole.weights.items():
        assert torch.allclose(tensor, pieces.weights[name], atol=1e-6), name


def test_the_loss_falls_on_a_problem_that_can_be_solved(tmp_path):
    trained = run(feature_job([0.5] * 30), tmp_path)
    losses = [entry["train_loss"] for entry in trained.history]
    assert losses[0] > 0.5
    assert losses[-1] < 0.25


def test_the_rate_warms_up_and_falls_along_a_cosine():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "peak": 1.0}], lr=1.0)
    recipe = choose_recipe("any", "frozen", epochs=2, learning_rate=1.0, warmup=0.5)
    rates = []
    for step in range(21):
        loop._set_rate(optimizer, recipe, step, per_epoch=10)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[20] == pytest.approx(0.02)  # at the end of both epochs
    assert rates[12] == pytest.approx(0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * 7 / 15)))


def test_an_epoch_holds_as_many_rows_as_are_drawn():
    positive = np.array([1] * 10 + [0] * 90)
    target = Target("binary", ("0", "1"), positive, False)
    assert rows_an_epoch(target, np.arange(100), 0.25) == 40
    assert rows_an_epoch(target, np.arange(100), 0.0) == 100
    assert rows_an_epoch(target, np.arange(100), 0.05) == 100


@pytest.mark.parametrize("key", RECIPES)
def test_every_recipe_makes_settings(key):
    method = "frozen" if key == "frozen" else "full"
    model = {"full": "esm2-8m", "frozen": "esm2-8m", "new:encoder": "new:encoder-small"}.get(
        key, key
    )
    recipe = choose_recipe(model, method)
    assert recipe == RECIPES[key]
    assert FinetuneSettings(model=model, method=method, recipe=recipe).flat()["recipe.epochs"] >= 1


@pytest.mark.parametrize(
    ("method", "recipe", "words"),
    [
        ("full", {"frozen_epochs": 3}, "3 of 2 epochs"),
        ("full", {"backbone_rate": -0.1}, "-0.1"),
        ("frozen", {"frozen_epochs": 2}, "2 with --method frozen"),
    ],
)
def test_what_a_recipe_cannot_do_is_refused(method, recipe, words):
    long = "crop:5+5" if method == "full" else "window"
    with pytest.raises(InputError, match=words):
        FinetuneSettings(
            model="protein-mini",
            method=method,
            recipe=choose_recipe("any", method, epochs=2, long=long, **recipe),
        )
