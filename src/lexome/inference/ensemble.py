"""Several models of one vocabulary that answer together, as the five of ESM-1v do."""

# Letters: M models, T tokens of one sequence (special tokens counted), V vocabulary.
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from lexome.checkpoints.catalogue import members_of
from lexome.errors import InputError
from lexome.inference.model import Model, load
from lexome.sequence.alphabet import UnknownPolicy

FloatArray = NDArray[np.float32]


class EnsembleOutput(NamedTuple):
    """What the models say of one sequence together."""

    id: str
    ids: list[int]  # tokens, special ones among them
    log_probabilities: FloatArray  # (T, V), nats: the mean over the models
    spread: FloatArray  # (T, V): their standard deviation, 0 where all agree


class Ensemble:
    """Models that are asked the same and whose log-probabilities are averaged.

    So every score that is a sum of log-probabilities, or of their differences, is the mean of the
    models' own scores: how ESM-1v is published to be used.
    Source: facebookresearch/esm examples/variant-prediction.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        if not models:
            raise InputError("ensemble", "no model", "one or more", "`lexome.load_ensemble`")
        first = models[0].tokenizer
        for model in models[1:]:
            if model.tokenizer.settings() != first.settings():
                raise InputError(
                    f"model {model.card.name}",
                    "another vocabulary",
                    f"that of {models[0].card.name}, for one answer of all",
                    "models of one family",
                )
        self.models, self.tokenizer = tuple(models), first

    def __repr__(self) -> str:
        return f"<lexome ensemble of {', '.join(model.card.name for model in self.models)}>"

    def run(
        self, source: Any, unknown: UnknownPolicy = "refuse", long: str = "refuse"
    ) -> list[EnsembleOutput]:
        """One result a sequence, in input order; see `Model.run`."""
        found = [model.run(source, ("logits",), unknown, long) for model in self.models]
        return [self._join(outputs) for outputs in zip(*found, strict=True)]

    def run_ids(self, ids: Sequence[Sequence[int]]) -> list[EnsembleOutput]:
        """The same from token ids, taken as they are given."""
        found = [model.run_ids(ids, ("logits",)) for model in self.models]
        return [self._join(outputs) for outputs in zip(*found, strict=True)]

    def _join(self, outputs: Sequence[Any]) -> EnsembleOutput:
        all_MTV = np.stack([log_softmax(one.logits.astype(np.float64), -1) for one in outputs])
        mean_TV, spread_TV = all_MTV.mean(0), all_MTV.std(0)
        first = outputs[0]
        return EnsembleOutput(
            first.id, first.ids, mean_TV.astype(np.float32), spread_TV.astype(np.float32)
        )


def load_ensemble(
    names: str | Sequence[str],
    dtype: str = "fp32",
    device: str = "auto",
    offline: bool = False,
) -> Ensemble:
    """Models that answer together: `"esm1v"`, or names, directories or hub ids of one family.

    Raises:
        InputError: models whose vocabularies differ.
    """
    wanted = members_of(names) if isinstance(names, str) else list(names)
    return Ensemble([load(name, dtype, device, offline) for name in wanted])


def load_together(
    name: str, dtype: str = "fp32", device: str = "auto", offline: bool = False
) -> Model | Ensemble:
    """One model, or an ensemble: of the catalogue (`esm1v`), or names with commas between."""
    members = [one for part in name.split(",") for one in members_of(part.strip())]
    if len(members) == 1:
        return load(members[0], dtype, device, offline)
    return load_ensemble(members, dtype, device, offline)


def describe(loaded: Model | Ensemble) -> dict[str, object]:
    """What of a model, or of each of several, goes into the provenance of an output."""
    models = loaded.models if isinstance(loaded, Ensemble) else (loaded,)
    cards = [model.card for model in models]

    def told(values: Sequence[object]) -> object:
        return values[0] if len(values) == 1 else list(values)

    return {
        "model": ", ".join(card.name for card in cards),
        "source": told([card.source for card in cards]),
        "revision": told([card.revision for card in cards]),
        "sha256": told([card.sha256 for card in cards]),
        "licence": told([card.licence for card in cards]),
        "parameters": sum(card.parameters for card in cards),
        "dtype": models[0].dtype,
        "device": models[0].device,
    }
