"""The loop of pre-training: steps, running mean of the weights, states; the same on any ranks."""

# Letters: T tokens end to end, C positions that count in the loss, V vocabulary.
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.architectures.decoder import Decoder
from lexome.architectures.encoder import Encoder
from lexome.architectures.striped_hyena import StripedHyena
from lexome.devices import mixed_precision
from lexome.distributed.parallel import (
    accumulate,
    bare,
    clip_gradients,
    drop_gathered,
    local,
    spread,
)
from lexome.distributed.ranks import Ranks
from lexome.distributed.states import load_state, save_state
from lexome.layers.kernels import compile_bricks
from lexome.layers.layout import Layout
from lexome.seeds import derive_seed
from lexome.training.optimizers import make_optimizers
from lexome.training.pretraining.recipe import Recipe
from lexome.training.pretraining.steps import MicroBatch, StepBatch
from lexome.training.schedules import warmup_cosine

COUNTERS = ("step", "visit", "tokens", "losses_of")  # of a Learner, saved with its tensors


# What can be pre-trained.
Network = Encoder | Decoder | StripedHyena


class LanguageModel(nn.Module):
    """A network asked for its answers at some positions only: the rest need no logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs_T: Tensor, layout: Layout, positions_C: Tensor) -> Tensor:
        """Logits (C, V)."""
        hidden_TD = self.network(inputs_T, layout)
        return self.network.logits(hidden_TD[positions_C])


class Stepped(NamedTuple):
    """What a step measured; tensors, so that nobody waits for a GPU."""

    loss: Tensor  # mean over the positions of all ranks
    norm: Tensor  # of the gradient, before clipping


class Learner:
    """A network with its optimiser and running mean, and where in the stream it stands."""

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        dtype: str,
        ranks: Ranks,
        parallel: str,
    ) -> None:
        self.recipe, self.dtype, self.ranks = recipe, dtype, ranks
        network = network.to(ranks.device)
        if recipe.training.fuse and ranks.device != "cpu":
            compile_bricks(network)
        self.model = spread(LanguageModel(network), parallel, ranks)
        self.optimizers = make_optimizers(self.model, recipe.training, ranks.device)
        self.average: dict[str, Tensor] = {}
        if recipe.training.average:
            self.average = {n: p.detach().clone() for n, p in self.parameters().items()}
        self.step, self.visit, self.tokens = 0, 0, 0
        # Since the last line of the log; part of the state, so that a kill changes no line.
        self.losses, self.losses_of = torch.zeros((), dtype=torch.float64, device=ranks.device), 0

    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained tensors by name, without DDP's prefix."""
        return dict(bare(self.model).named_parameters())

    def take(self, batch: StepBatch) -> Stepped:
        """One update."""
        training = self.recipe.training
        rate = training.learning_rate * warmup_cosine(
            self.step, training.steps, training.warmup, training.final_rate
        )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.model.train()
        total = self._all(sum(len(m.targets_C) * m.weight for m in batch.micro_batches))
        loss = torch.zeros((), device=self.ranks.device)
        for i, micro in enumerate(batch.micro_batches):
            with accumulate(self.model, last=i == len(batch.micro_batches) - 1):
                loss += self._backward(micro, max(total, 1.0))
        norm = clip_gradients(self.model, training.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self._follow()
        self.step += 1
        self.visit = batch.next_visit
        self.tokens += batch.tokens
        stepped = Stepped(self.ranks.total(loss), norm)
        self.losses += stepped.loss
        self.losses_of += 1
        return stepped

    def mean_loss(self) -> float:
        """The mean of the steps since this was last asked for; waits for a GPU."""
        mean = float(self.losses) / max(self.losses_of, 1)
        self.losses.zero_()
        self.losses_of = 0
        return mean

    def _all(self, count: float) -> float:
        if self.ranks.size == 1:
            return count  # without a tensor nobody waits for a GPU
        return float(self.ranks.total(torch.tensor(count, device=self.ranks.device)))

    def _backward(self, micro: MicroBatch, total: float) -> Tensor:
        # Dropout is a function of step and micro-batch, so no generator's state need be kept.
        torch.manual_seed(derive_seed("dropout", self.recipe.seed, self.step, micro.number))
        moved = micro.to(self.ranks.device)
        with mixed_precision(self.ranks.device, self.dtype):
            logits_CV = self.model(
                moved.inputs_T, moved.layout(self.ranks.device), moved.positions_C
            )
        loss = F.cross_entropy(logits_CV.float(), moved.targets_C, reduction="sum") * micro.weight
        # DDP and FSDP give the mean of the ranks' gradients; what is wanted is their sum.
        (loss * (self.ranks.size / total)).backward()  # type: ignore[no-untyped-call]
        return loss.detach() / total

    def _follow(self) -> None:
        """Move the running mean of the weights; early on it follows faster."""
        if not self.average:
            return
        weight = 1 - min(self.recipe.training.average, (1 + self.step) / (10 + self.step))
        new = [local(p.detach()) for p in self.parameters().values()]
        torch._foreach_lerp_([local(t) for t in self.average.values()], new, weight)

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The model with the running mean for weights; the weights come back behind the block."""
        parameters = self.parameters()
        kept = {n: local(p.detach()).clone() for n, p in parameters.items()} if self.average else {}
        with torch.no_grad():
            for name, mean in self.average.items():
                local(parameters[name]).copy_(local(mean))
        try:
            yield self.model
        finally:
            drop_gathered(self.model)
            with torch.no_grad():
                for name, value in kept.items():
                    local(parameters[name]).copy_(value)

    def save(self, folder: Path) -> None:
        """Put the state down in `folder`."""
        save_state(folder, self.step, self.model, self.optimizers, self._extra(), self.ranks)

    def load(self, folder: Path) -> bool:
        """Go on from the state in `folder`; False where there is none."""
        extra = self._extra()
        if not load_state(folder, self.model, self.optimizers, extra, self.ranks):
            return False
        for name in COUNTERS:
            setattr(self, name, int(extra[name]))
        return True

    def _extra(self) -> dict[str, Tensor]:
        numbers = {n: torch.tensor(getattr(self, n)) for n in COUNTERS}
        return (
            numbers | {"losses": self.losses} | {f"average.{n}": t for n, t in self.average.items()}
        )
