"""Trains one network with one seed; killed at any moment, goes on to the same numbers."""

# Letters: N rows, C outputs.
import math
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.architectures.predictor import Predictor
from lexome.devices import is_out_of_memory, mixed_precision
from lexome.layers.kernels import accelerate
from lexome.progress import Progress
from lexome.seeds import derive_seed, numpy_generator
from lexome.tokenizers.interface import Tokenizer
from lexome.training.adapters import merge_adapter, moving_tensors
from lexome.training.budget import TokenBudget, no_room_for_update
from lexome.training.examples import (
    Examples,
    Noise,
    Rows,
    add_noise,
    draw_rows,
    epoch_batches,
    inputs_of,
    make_batch,
    some_inputs,
)
from lexome.training.objectives import Objective, loss_sum, read_outputs
from lexome.training.optimizers import decay_groups
from lexome.training.recipes import TrainRecipe
from lexome.training.resume import (
    fill_optimizer,
    load_state,
    optimizer_tensors,
    save_state,
    under_prefix,
    with_prefix,
)
from lexome.training.schedules import warmup_cosine
from lexome.training.strands import draw_strands, other_strand

SECONDS_BETWEEN_STATES = 20.0


class Job(NamedTuple):
    """Everything that a training needs besides its network and seed."""

    examples: Examples
    train: Rows
    validation: Rows
    objective: Objective
    recipe: TrainRecipe
    tokenizer: Tokenizer
    dtype: str
    judge: Callable[[NDArray[Any]], dict[str, float]]  # validation answers -> metrics
    monitor: str  # the metric that decides which epoch is kept; higher is better
    log: Callable[[dict[str, Any]], None]
    budget: TokenBudget


class Trained(NamedTuple):
    """The weights that were kept, and how training went."""

    weights: dict[str, Tensor]  # without those that stand still beside an adapter
    history: list[dict[str, Any]]  # one entry an epoch
    validation: NDArray[np.float32]  # answers of these weights to the validation rows


class _State:
    """What changes while training; all of it goes into a saved state."""

    def __init__(self, network: Predictor) -> None:
        # What stands still at the start does so to the end: it is in no state and no mean.
        self.learning = [p for p in network.parameters() if p.requires_grad]
        self.moving = sorted(moving_tensors(network))
        self.average = self.copy_of(network)
        self.best: dict[str, Tensor] = {}
        self.answers = torch.empty(0)  # of the best, to the validation rows
        self.best_figure = -math.inf
        self.epoch, self.step_in_epoch, self.step, self.since_best = 0, 0, 0, 0
        self.loss, self.seen, self.seconds = 0.0, 0, 0.0
        self.history: list[dict[str, Any]] = []

    def copy_of(self, network: Predictor) -> dict[str, Tensor]:
        """The network's moving tensors as they are now."""
        tensors = network.state_dict()
        return {name: tensors[name].detach().clone() for name in self.moving}

    def freeze(self, network: Predictor, frozen: bool) -> None:
        """Let the backbone stand still, or learn what it learns in this training."""
        if network.backbone is not None:
            inside = {id(p) for p in network.backbone.parameters()}
            for parameter in self.learning:
                if id(parameter) in inside:
                    parameter.requires_grad_(not frozen)


def fill(network: Predictor, tensors: dict[str, Tensor]) -> None:
    """Put moving tensors into a network; all others stay."""
    unexpected = network.load_state_dict(tensors, strict=False).unexpected_keys
    assert not unexpected, unexpected


def train(network: Predictor, job: Job, seed: int, path: Path, progress: Progress) -> Trained:
    """Train until the planned epochs or until the validation figure stops rising.

    What is kept is the running mean of the weights (Polyak averaging) at the best epoch. The
    order of rows, the noise and dropout are functions of seed and step, so a run that is taken
    up from its state at `path` gives the same numbers as one that was never stopped.
    """
    optimizer = _make_optimizer(network, job.recipe)
    state = _State(network)
    epoch_size = len(_rows_of_epoch(job, seed, 0))
    torch.manual_seed(derive_seed("dropout", seed))
    _take_up(path, network, optimizer, state, job.budget)
    progress.advance((state.epoch * epoch_size) + state.step_in_epoch * job.recipe.batch_size)
    progress.restart_clock()
    saved = began = time.monotonic()
    pause = SECONDS_BETWEEN_STATES  # longer where a state takes long to write
    while state.epoch < job.recipe.epochs and state.since_best < job.recipe.patience:
        state.freeze(network, state.epoch < job.recipe.frozen_epochs)
        batches = epoch_batches(
            _rows_of_epoch(job, seed, state.epoch),
            job.examples.lengths,
            job.recipe.batch_size,
            seed,
            state.epoch,
        )
        network.train()
        while state.step_in_epoch < len(batches):
            rows = batches[state.step_in_epoch]
            _set_rate(optimizer, job.recipe, state.step, len(batches))
            state.loss += _step(network, optimizer, job, rows, seed, state.step)
            _follow(state, network, job.recipe.average)
            state.seen += job.examples.num_judged(rows)
            state.step_in_epoch += 1
            state.step += 1
            progress.advance(len(rows))
            if time.monotonic() - saved > pause:
                state.seconds += time.monotonic() - began
                saved = began = time.monotonic()
                _put_down(path, network, optimizer, state, job.budget)
                pause = max(SECONDS_BETWEEN_STATES, 20 * (time.monotonic() - saved))
                saved = began = time.monotonic()
        state.seconds += time.monotonic() - began
        began = time.monotonic()
        entry = _finish_epoch(network, job, state, seed)
        progress.note(f"epoch {state.epoch}/{job.recipe.epochs}  {_headline(entry)} (val)")
        _put_down(path, network, optimizer, state, job.budget)
        saved = time.monotonic()
    state.freeze(network, False)
    return Trained(state.best, state.history, state.answers.numpy())


def answers(
    network: Predictor, examples: Examples, rows: Rows, objective: Objective, budget: TokenBudget
) -> NDArray[np.float32]:
    """Probabilities or values for some rows, in fp32, in their order."""
    network = _fast_copy(network)
    by_length = np.argsort(examples.lengths[rows], kind="stable")
    ordered = rows[by_length]

    def compute() -> Tensor:
        parts = []
        for some in budget.micro_batches(examples, ordered):
            parts.append(_read_rows(network, examples, ordered[some]))
        return torch.cat(parts)

    with torch.inference_mode():
        found = read_outputs(objective, budget.retry(compute, examples.device))
    return examples.in_order(found, rows, by_length)


def _read_rows(network: Predictor, examples: Examples, rows: Rows) -> Tensor:
    """Outputs of some rows, (N, C); of both strands their mean."""
    inputs = inputs_of(examples, rows)
    outputs_NC: Tensor = network(*make_batch(examples, rows, inputs)).float()
    if examples.complement is not None and inputs is not None:
        turned = [other_strand(ids_L, examples.complement) for ids_L in inputs]
        outputs_NC = (outputs_NC + network(*make_batch(examples, rows, turned)).float()) / 2
    return outputs_NC.cpu()


def _fast_copy(network: Predictor) -> Predictor:
    """The same network for forward passes alone, its backbone's bricks in their fast forms."""
    copy = deepcopy(network).eval()
    if copy.backbone is not None:
        merge_adapter(copy.backbone)  # the fast forms read the weights, not the adapter's layers
        accelerate(copy.backbone)
    return copy


def _step(
    network: Predictor,
    optimizer: torch.optim.Optimizer,
    job: Job,
    rows: Rows,
    seed: int,
    step: int,
) -> float:
    """One update from a batch, computed in micro-batches that fit into memory.

    Where they do not, it is begun anew with smaller ones, the same noise and the same dropout.
    """
    noisy = inputs_of(job.examples, rows)
    if noisy is not None and job.examples.complement is not None:
        generator = numpy_generator("strands", seed, step)
        noisy = draw_strands(noisy, job.examples.complement, generator)
    if noisy is not None:  # drawn for the whole batch, however it is cut afterwards
        noise = Noise(job.recipe.mask, job.recipe.substitute)
        noisy = add_noise(noisy, noise, job.tokenizer, numpy_generator("noise", seed, step))
    random = _random_state(network)
    whole = max(job.examples.num_judged(rows), 1)

    def add_up() -> float:
        _restore_random_state(network, random)
        optimizer.zero_grad()
        total = 0.0
        for some in job.budget.micro_batches(job.examples, rows):
            inputs = None if noisy is None else some_inputs(job.examples, noisy, some)
            with mixed_precision(job.examples.device, job.dtype):
                outputs_SC = network(*make_batch(job.examples, rows[some], inputs))
            loss = loss_sum(job.objective, *job.examples.judged(outputs_SC, rows[some]))
            (loss / whole).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    total = job.budget.retry(add_up, job.examples.device)
    try:
        torch.nn.utils.clip_grad_norm_(network.parameters(), job.recipe.clip)
        optimizer.step()
    except RuntimeError as problem:
        if is_out_of_memory(problem):
            raise no_room_for_update(problem) from problem
        raise
    return total


def _make_optimizer(network: Predictor, recipe: TrainRecipe) -> torch.optim.Optimizer:
    backbone = {id(p) for p in network.backbone.parameters()} if network.backbone else set()
    # IA3's scales change nothing at 1; decay would take them, and the backbone's channels, to 0.
    around_one = {id(p) for name, p in network.named_parameters() if ".ia3_l." in name}
    groups = []
    for is_backbone, share in ((False, 1.0), (True, recipe.backbone_rate)):
        some = [p for p in network.parameters() if (id(p) in backbone) == is_backbone]
        rate = recipe.learning_rate * share
        scales = [p for p in some if id(p) in around_one]
        others = [p for p in some if id(p) not in around_one]
        found = decay_groups(others, recipe.weight_decay)
        for group in found + ([{"params": scales, "weight_decay": 0.0}] if scales else []):
            groups.append(group | {"lr": rate, "peak": rate})
    return torch.optim.AdamW(groups, betas=(0.9, recipe.second_moment))


def _set_rate(
    optimizer: torch.optim.Optimizer, recipe: TrainRecipe, step: int, per_epoch: int
) -> None:
    """Linear warm-up, then a cosine down to 2 %: over the frozen epochs, and anew over the rest."""
    frozen = recipe.frozen_epochs * per_epoch
    begin, end = (0, frozen) if step < frozen else (frozen, recipe.epochs * per_epoch)
    warm = max(recipe.warmup * per_epoch, 1)
    factor = warmup_cosine(step - begin, end - begin, warm, final=0.02)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def _follow(state: _State, network: Predictor, decay: float) -> None:
    """Move the running mean of the weights; early on it follows faster."""
    weight = 1 - min(decay, (2 + state.step) / (11 + state.step))
    with torch.no_grad():
        tensors = network.state_dict()
        for name, mean in state.average.items():
            if mean.is_floating_point():
                mean.lerp_(tensors[name], weight)


def _finish_epoch(network: Predictor, job: Job, state: _State, seed: int) -> dict[str, Any]:
    raw = state.copy_of(network)
    fill(network, state.average)
    metrics: dict[str, float] = {}
    found = np.empty(0, np.float32)
    if len(job.validation):
        found = answers(network, job.examples, job.validation, job.objective, job.budget)
        metrics = job.judge(found)
    fill(network, raw)
    figure = metrics.get(job.monitor, math.nan)
    # Without validation rows there is nothing to choose by: the last epoch is kept.
    is_best = bool(figure > state.best_figure) or not state.best or not len(job.validation)
    state.epoch += 1
    entry: dict[str, Any] = {
        "seed": seed,
        "epoch": state.epoch,
        "step": state.step,
        "train_loss": state.loss / max(state.seen, 1),
        "seconds": round(state.seconds, 1),
        "best": is_best,
        **metrics,
    }
    if is_best:
        for earlier in state.history:
            earlier["best"] = False
        state.best = {k: v.clone() for k, v in state.average.items()}
        state.answers = torch.from_numpy(found)
        state.best_figure = figure if figure == figure else -math.inf
        state.since_best = 0
    else:
        state.since_best += 1
    state.history.append(entry)
    state.step_in_epoch, state.loss, state.seen = 0, 0.0, 0
    job.log(entry)
    return entry


def _headline(entry: dict[str, Any]) -> str:
    names = ("auroc", "macro_auroc", "spearman", "loss", "train_loss")
    name = next(n for n in names if n in entry)
    return f"{name.removeprefix('macro_').upper()} {entry[name]:.3f}"


def _rows_of_epoch(job: Job, seed: int, epoch: int) -> Rows:
    if job.objective.task != "binary" or not job.recipe.positive_share:
        return job.train
    positive = job.examples.targets[job.train] == 1
    return draw_rows(job.train, positive, job.recipe.positive_share, seed, epoch)


def device_of(network: Predictor) -> torch.device:
    """Where a network's weights lie."""
    return next(network.parameters()).device


def _random_state(network: Predictor) -> dict[str, Tensor]:
    """Where the generators of dropout stand."""
    found = {"random": torch.get_rng_state()}
    device = device_of(network)
    if device.type == "cuda":
        found["random_cuda"] = torch.cuda.get_rng_state(device)
    return found


def _restore_random_state(network: Predictor, tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors["random"])
    device = device_of(network)
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random_cuda"], device)


def _put_down(
    path: Path,
    network: Predictor,
    optimizer: torch.optim.Optimizer,
    state: _State,
    budget: TokenBudget,
) -> None:
    tensors = (
        with_prefix("network", state.copy_of(network))
        | with_prefix("average", state.average)
        | with_prefix("best", state.best)
        | {"answers": state.answers}
        | optimizer_tensors(optimizer)
        | _random_state(network)
    )
    tensors_of = ("average", "best", "answers", "learning", "moving")
    simple = {k: v for k, v in vars(state).items() if k not in tensors_of}
    save_state(path, tensors, {"state": simple, "tokens_at_once": budget.tokens})


def _take_up(
    path: Path,
    network: Predictor,
    optimizer: torch.optim.Optimizer,
    state: _State,
    budget: TokenBudget,
) -> None:
    found = load_state(path)
    if found is None:
        return
    tensors, facts = found
    fill(network, under_prefix("network", tensors))
    device = device_of(network)
    state.average = {k: t.to(device) for k, t in under_prefix("average", tensors).items()}
    state.best = {k: t.to(device) for k, t in under_prefix("best", tensors).items()}
    state.answers = tensors["answers"]
    fill_optimizer(optimizer, tensors)
    _restore_random_state(network, tensors)
    for name, value in facts["state"].items():
        setattr(state, name, value)
    # What did not fit before would not fit again, or would, and round otherwise.
    budget.tokens = min(budget.tokens, facts["tokens_at_once"])
