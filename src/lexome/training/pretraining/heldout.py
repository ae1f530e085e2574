"""How well a model fills in proteins that it has never seen the like of."""

# Letters: W windows, C hidden positions, V vocabulary.
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from lexome.batches.shards import Corpus
from lexome.batches.stream import Stream, Windows, split_evenly
from lexome.devices import mixed_precision
from lexome.distributed.ranks import Ranks
from lexome.training.pretraining.masking import STANDARD
from lexome.training.pretraining.recipe import ObjectiveRecipe
from lexome.training.pretraining.steps import Plan, make_micro_batch

TOKENS = 16_384  # that go through at once
HELDOUT_SEED = 0  # the same residues are hidden for every run


class Heldout(NamedTuple):
    """Sums over held-out windows.

    Only positions that the model sees as `<mask>` count. With the 80/10/10 mixture a tenth of the
    chosen residues stay readable and another tenth are replaced: a mean over all of them flatters.
    """

    loss_W: NDArray[np.float64]  # of each window, summed over its masked positions
    count_W: NDArray[np.float64]
    hits: NDArray[np.float64]  # (20,) masked residues named right, by residue
    seen: NDArray[np.float64]  # (20,)

    @property
    def loss(self) -> float:
        """Mean cross-entropy at `<mask>`, in nats."""
        return float(self.loss_W.sum() / max(self.count_W.sum(), 1))

    @property
    def perplexity(self) -> float:
        """exp of it."""
        return math.exp(self.loss)

    @property
    def accuracy(self) -> float:
        """Share of masked residues named right."""
        return float(self.hits.sum() / max(self.seen.sum(), 1))

    def by_residue(self) -> dict[str, float]:
        """The same for each of the twenty."""
        pairs = zip(STANDARD, self.hits, self.seen, strict=True)
        return {letter: float(hit / n) if n else math.nan for letter, hit, n in pairs}


def heldout_plan(plan: Plan, corpus: Corpus) -> Plan:
    """What is looked at: the held-out part, 15 % chosen as ESM-2 does, whatever the training hides.

    So figures of different recipes, and of published models, can be compared.
    """
    stream = Stream(corpus.heldout, plan.stream.context, HELDOUT_SEED)
    objective = ObjectiveRecipe(kind=plan.objective.kind)
    return plan._replace(stream=stream, objective=objective, seed=HELDOUT_SEED)


def look(model: nn.Module, plan: Plan, windows: Windows, dtype: str, ranks: Ranks) -> Heldout:
    """Measure on windows of the held-out part; what is hidden is the same every time."""
    model.eval()
    runs = split_evenly(windows, TOKENS)
    firsts = np.cumsum([0, *(len(run.numbers_W) for run in runs)])
    sums = torch.zeros(2, len(windows.numbers_W), dtype=torch.float64, device=ranks.device)
    residues = torch.zeros(
        2, len(plan.tokenizer.vocabulary), dtype=torch.float64, device=ranks.device
    )
    for number in range(ranks.rank, -(-len(runs) // ranks.size) * ranks.size, ranks.size):
        run = number % len(runs)
        micro = make_micro_batch(plan, runs[run]).to(ranks.device)
        with torch.no_grad(), mixed_precision(ranks.device, dtype):
            logits_CV = model(micro.inputs_T, micro.layout(ranks.device), micro.positions_C).float()
        if number >= len(runs):
            continue
        counts_C = _counts(micro.inputs_T[micro.positions_C], plan).double()
        loss_C = F.cross_entropy(logits_CV, micro.targets_C, reduction="none").double() * counts_C
        window_C = micro.layout(ranks.device).sequence_T[micro.positions_C] + int(firsts[run])
        sums[0].index_add_(0, window_C, loss_C)
        sums[1].index_add_(0, window_C, counts_C)
        hit_C = (logits_CV.argmax(-1) == micro.targets_C).double() * counts_C
        residues[0].index_add_(0, micro.targets_C, hit_C)
        residues[1].index_add_(0, micro.targets_C, counts_C)
    ranks.total(sums)
    ranks.total(residues)
    standard = [plan.tokenizer.id_of[letter] for letter in STANDARD]
    model.train()
    return Heldout(*sums.cpu().numpy(), *residues[:, standard].cpu().numpy())


def _counts(inputs_C: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Which positions count: the masked ones, or all where the model goes on from left to right."""
    if plan.objective.kind == "causal":
        return torch.ones_like(inputs_C, dtype=torch.bool)
    return inputs_C == plan.tokenizer.mask_id


def as_log(found: Heldout) -> dict[str, Any]:
    """The line of a log."""
    return {
        "validation_loss": found.loss,
        "validation_perplexity": found.perplexity,
        "validation_accuracy": found.accuracy,
        "validation_accuracy_by_residue": {k: round(v, 4) for k, v in found.by_residue().items()},
    }
