"""Where memory runs out: less at once, and the same numbers as if less had been asked for."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lexome.architectures.predictor import Predictor
from lexome.errors import EnvironmentProblem
from lexome.progress import Progress
from lexome.training import finetune as finetuning
from lexome.training import loop
from lexome.training.budget import TokenBudget
from lexome.training.examples import Examples
from lexome.training.finetune import finetune
from lexome.training.fit import Parts
from lexome.training.loop import Job, answers, train
from lexome.training.objectives import make_objective
from lexome.training.recipes import choose_recipe
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import make_examples, make_network, make_setup
from lexome.training.target import Target
from tests.toys import motif_table

TABLE = motif_table(48, lengths=(12, 40))
TARGET = Target("binary", ("0", "1"), TABLE["label"].to_numpy(), False)
PARTS = Parts(np.arange(0, 32), np.arange(32, 48), np.arange(0))
ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
ON_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"
)


def make_job(model: str, micro_tokens: int) -> tuple[Predictor, Job]:
    """Noise and dropout are on, so that a step that is begun anew could differ."""
    recipe = choose_recipe(model, "full", epochs=2, batch_size=16, micro_tokens=micro_tokens)
    settings = FinetuneSettings(model=model, dtype="fp32", recipe=recipe)
    setup = make_setup(settings)
    examples = make_examples(
        setup, settings, TABLE["id"].to_list(), TABLE["sequence"].to_list(), TARGET.values
    )
    assert recipe.mask > 0
    assert recipe.head_dropout > 0
    job = Job(
        examples=examples,
        train=PARTS.train,
        validation=PARTS.validation,
        objective=make_objective(TARGET, PARTS.train, 0.02, "none", 0.0),
        recipe=recipe,
        tokenizer=setup.tokenizer,
        dtype="fp32",
        judge=lambda found: {"auprc": float(found.mean())},
        monitor="auprc",
        log=lambda entry: None,
        budget=TokenBudget(micro_tokens),
    )
    return make_network(setup, settings, 1, examples, 1), job


def weights_after(model: str, micro_tokens: int, folder: Path) -> tuple[dict[str, Any], Job]:
    network, job = make_job(model, micro_tokens)
    return train(network, job, 1, folder / "state", Progress("", None, "")).weights, job


def fail_at(monkeypatch: pytest.MonkeyPatch, calls: set[int], problem: Exception) -> list[int]:
    """Make some of the network's forward passes run out of memory, counted from 1."""
    plain, seen = Predictor.forward, [0]

    def forward(self: Predictor, *batch: Any) -> Any:
        seen[0] += 1
        if seen[0] in calls:
            torch.rand(3)  # what was drawn before it failed is drawn again
            raise problem
        return plain(self, *batch)

    monkeypatch.setattr(Predictor, "forward", forward)
    return seen


@pytest.mark.parametrize("model", ["new:cnn", "new:encoder-small"])
@pytest.mark.parametrize("problem", [ON_GPU, ON_CPU, MemoryError("24 MiB")])
def test_a_step_that_does_not_fit_is_redone_as_if_less_had_been_asked_for(
    model, problem, monkeypatch, tmp_path
):
    """The second micro-batch of the first step fails, when gradients of the first are there."""
    fail_at(monkeypatch, {2}, problem)
    found, job = weights_after(model, 300, tmp_path)
    monkeypatch.undo()
    assert 75 <= job.budget.tokens <= 150
    (tmp_path / "state").unlink()
    expected, _ = weights_after(model, job.budget.tokens, tmp_path)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch, tmp_path):
    fail_at(monkeypatch, {2}, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        weights_after("new:cnn", 300, tmp_path)


@pytest.mark.parametrize("model", ["new:cnn", "new:encoder-small"])
def test_the_noise_of_a_step_is_the_same_however_it_is_cut(model, monkeypatch):
    plain, seen = loop.make_batch, {}

    def make_batch(examples: Examples, rows: Any, tokens: Any) -> Any:
        for row, ids in zip(rows, tokens, strict=True):
            seen[int(row)] = ids.tolist()
        return plain(examples, rows, tokens)

    monkeypatch.setattr(loop, "make_batch", make_batch)
    found = []
    for micro_tokens in (1 << 30, 100, 1):
        network, job = make_job(model, micro_tokens)
        optimizer = loop._make_optimizer(network, job.recipe)
        loop._step(network, optimizer, job, np.arange(16), 1, 5)
        found.append(dict(seen))
        seen.clear()
    assert found[0] == found[1] == found[2]
    assert job.examples.tokens is not None
    assert any(found[0][i] != job.examples.tokens[i].tolist() for i in range(16))


def test_a_sequence_that_does_not_fit_alone_is_named(monkeypatch, tmp_path):
    fail_at(monkeypatch, set(range(1, 99)), ON_GPU)
    with pytest.raises(EnvironmentProblem, match=r"p\d+: saw not enough memory for its \d+ tokens"):
        weights_after("new:cnn", 300, tmp_path)


def test_an_update_that_does_not_fit_is_told_as_such(monkeypatch, tmp_path):
    def step(self: Any) -> None:
        raise ON_GPU

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(
        EnvironmentProblem, match="training: saw not enough memory to change the we"
    ):
        weights_after("new:cnn", 300, tmp_path)


def test_answers_are_those_of_the_budget_that_fitted(monkeypatch):
    network, job = make_job("new:encoder-small", 400)
    rows = np.arange(48)
    seen = fail_at(monkeypatch, {3}, ON_CPU)
    found = answers(network, job.examples, rows, job.objective, job.budget)
    assert seen[0] > 6
    monkeypatch.undo()
    assert job.budget.tokens <= 200
    small = TokenBudget(job.budget.tokens)
    assert np.array_equal(found, answers(network, job.examples, rows, job.objective, small))
    assert network.training  # as it was before


def test_a_run_that_is_taken_up_remembers_what_did_not_fit(monkeypatch, tmp_path):
    fail_at(monkeypatch, {1}, ON_GPU)
    _, job = weights_after("new:cnn", 1 << 30, tmp_path)
    monkeypatch.undo()
    again = weights_after("new:cnn", 1 << 30, tmp_path)[1]  # finished: only its state is read
    assert again.budget.tokens == job.budget.tokens < 1000


def test_a_budget_far_above_any_batch_is_halved_from_what_was_tried():
    told: list[str] = []
    budget = TokenBudget(1 << 30, lambda what, text: told.append(text))
    examples = Examples(None, torch.zeros(128, 2), np.zeros(128), False, 1, "cpu")
    tries: list[int] = []

    def compute() -> int:
        for some in budget.micro_batches(examples, np.arange(128)):
            tries.append(len(some))
            if len(some) > 20:
                raise ON_CPU
        return len(tries)

    assert budget.retry(compute, "cpu") == 3 + 8
    assert tries == [128, 64, 32, *[16] * 8]
    assert len(told) == 1
    assert pickle.loads(pickle.dumps(TokenBudget(5))).tokens == 5


def test_memory_that_runs_out_is_told_once_and_the_run_ends_well(monkeypatch, tmp_path):
    """A device that holds 400 tokens at once; the recipe asks for 32,768."""
    plain, told = Predictor.forward, []

    def forward(self: Any, tokens_N: Any, layout: Any, *others: Any) -> Any:
        if tokens_N.numel() > 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, tokens_N, layout, *others)

    monkeypatch.setattr(Predictor, "forward", forward)
    monkeypatch.setattr(finetuning, "write_finetune_report", lambda folder: None)  # is slow
    run = finetune(
        "new:cnn",
        motif_table(60),
        "label",
        output=tmp_path / "run",
        announce=lambda what, text: told.append(text) if what == "Memory" else None,
        **{"split": "column:part", "seeds": 2, "epochs": 2, "dtype": "fp32", "batch_size": 16},
    )
    assert len(told) == 1
    assert "do not fit: from here on half as many" in told[0]
    assert 100 <= run.facts["tokens_at_once"] <= 400
    assert run.facts["reloaded"] == "identical"
