"""What a search of hyper-parameters may change: one table, for each method the values it has."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from lexome.errors import InputError
from lexome.training.adapters import choose_adapter
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import HEADS, Setup

Values = dict[str, float | int]


class Range(NamedTuple):
    """Where a value is looked for: between two ends, or among some choices."""

    kind: str  # log, even, or choice
    low: float = 0.0
    high: float = 0.0
    choices: tuple[int, ...] = ()
    times_own: bool = False  # ends, or choices in tenths, are multiples of the recipe's value


RANGES = {
    "learning_rate": Range("log", 0.2, 5.0, times_own=True),
    "weight_decay": Range("log", 1e-4, 0.3),
    "batch_size": Range("choice", choices=(5, 10, 20), times_own=True),
    "head_dropout": Range("even", 0.0, 0.6),
    "head_hidden": Range("choice", choices=(32, 64, 128, 256)),
    "backbone_rate": Range("log", 0.03, 1.0),
    "adapter_rank": Range("choice", choices=(2, 4, 8, 16, 32)),
    "adapter_alpha": Range("log", 4.0, 64.0),
    "adapter_dropout": Range("even", 0.0, 0.3),
}
OF_ALL = ("learning_rate", "weight_decay", "batch_size", "head_dropout", "head_hidden")
OF_RANK = ("adapter_rank", "adapter_alpha", "adapter_dropout")
SEARCHED = {
    "full": (*OF_ALL, "backbone_rate"),  # the last only where there is a trained backbone
    "frozen": OF_ALL,
    "ia3": OF_ALL,
    "bias": OF_ALL,
    "lora": (*OF_ALL, *OF_RANK),
    "dora": (*OF_ALL, *OF_RANK),
}


class Space(NamedTuple):
    """The ranges of one run, and the recipe's own values, which are tried first."""

    ranges: dict[str, Range]
    own: Values


def make_space(settings: FinetuneSettings, setup: Setup, given: Collection[str]) -> Space:
    """The ranges for a method, around the recipe's values; what is `given` is not searched.

    Raises:
        InputError: nothing is left.
    """
    names = [name for name in SEARCHED[settings.method] if name not in given]
    if setup.backbone is None:
        names = [name for name in names if name != "backbone_rate"]
    if not names:
        raise InputError(
            "--search",
            "a value given for everything that it could change",
            f"some of {', '.join(SEARCHED[settings.method])} to be left open",
            "fewer flags, or no `--search`",
        )
    own = {name: _own(name, settings, setup) for name in names}
    return Space({name: _around(RANGES[name], own[name]) for name in names}, own)


def with_values(
    settings: FinetuneSettings, setup: Setup, values: Values
) -> tuple[FinetuneSettings, Setup]:
    """The same run with other values; an adapter is chosen anew."""
    recipe = replace(settings.recipe, **values)  # type: ignore[arg-type]
    changed = replace(settings, recipe=recipe)
    if setup.adapter is None or setup.backbone is None:
        return changed, setup
    asked = (recipe.adapter_rank, recipe.adapter_alpha, recipe.adapter_dropout)
    network, target = setup.backbone.network, recipe.adapter_target
    adapter = choose_adapter(settings.method, network, *asked, target, HEADS)
    return changed, setup._replace(adapter=adapter)


def suggest(trial: Any, space: Space) -> Values:
    """The values that a trial is to be made with, rounded to four figures."""
    found: Values = {}
    for name, one in space.ranges.items():
        if one.kind == "choice":
            found[name] = int(trial.suggest_categorical(name, list(one.choices)))
        else:
            value = trial.suggest_float(name, one.low, one.high, log=one.kind == "log")
            found[name] = float(f"{value:.4g}")
    return found


def _own(name: str, settings: FinetuneSettings, setup: Setup) -> float | int:
    """The value that a run has without a search; of an adapter's None its method's."""
    value = getattr(settings.recipe, name)
    if value is None and setup.adapter is not None:
        value = getattr(setup.adapter, name.removeprefix("adapter_"))
    assert value is not None, name
    found: float | int = value
    return found


def _around(one: Range, own: float | int) -> Range:
    """The range with its ends as numbers, the own value within."""
    if one.kind == "choice":
        choices = one.choices
        if one.times_own:
            choices = tuple(max(1, round(own * tenths / 10)) for tenths in one.choices)
        return one._replace(choices=tuple(sorted({*choices, int(own)})), times_own=False)
    scale = own if one.times_own else 1.0
    low, high = min(one.low * scale, own), max(one.high * scale, own)
    return one._replace(low=low, high=high, times_own=False)
