"""Settings of scoring made ready for a model, and what is found by them."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from lexome.errors import InputError
from lexome.inference.dialects import Dialect
from lexome.inference.model import Model
from lexome.scoring.likelihood import FloatArray, Reading
from lexome.scoring.pseudo_likelihood import MASKED_RULES
from lexome.scoring.rules import DIRECTIONS, find_rule
from lexome.sequence.alphabet import UNKNOWN_POLICIES, UnknownPolicy
from lexome.sequence.records import Record

BASES = {"e": 1.0, "2": 1 / math.log(2)}  # of the logarithm -> factor from natural ones
DEFINITIONS = {
    "log_likelihood": "sum of log p over the tokens scored; logarithm to the base named here",
    "mean_log_likelihood": "log_likelihood / tokens_scored",
    "perplexity": "base ** -mean_log_likelihood: the same number in every base; per token, which "
    "is a residue only where the model has a token a residue; of an encoder the pseudo-perplexity",
}


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How scores are made; recorded with every output."""

    rule: str | None = None  # the model's default: "lexome", of encoders "pseudo-log-likelihood"
    direction: str | None = None  # forward, reverse or both; the rule's own
    base: str = "e"  # of the logarithms: e (nats) or 2 (bits)
    unknown: UnknownPolicy = "refuse"
    long: str = "refuse"  # beyond the context: refuse, or read it "whole"
    tag: str | None = None  # a condition of the family, such as ec=1.1.1.21
    per_position: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("base", self.base, tuple(BASES)),
            ("unknown", self.unknown, UNKNOWN_POLICIES),
            ("long", self.long, ("refuse", "whole")),
        ):
            if value not in known:
                raise InputError(name, repr(value), " or ".join(known), f"`--{name} {known[0]}`")


class Scorer(NamedTuple):
    """The settings made ready for one model."""

    model: Model
    dialect: Dialect
    settings: Scoring
    name: str  # of the rule
    against: tuple[bool, ...]  # of each reading, whether it goes against the direction

    @property
    def fills_in(self) -> bool:
        """Whether an encoder is asked for hidden residues."""
        return self.name in MASKED_RULES

    @property
    def definition(self) -> str:
        """The rule in words."""
        if self.fills_in:
            return MASKED_RULES[self.name].definition
        return find_rule(self.name, self.dialect)[1].definition

    def notes(self) -> dict[str, object]:
        """What makes the numbers, for the output."""
        return {
            "rule": self.name,
            "rule_definition": self.definition,
            "direction": "both" if len(self.against) > 1 else DIRECTIONS[self.against[0]],
            "base": "2 (bits)" if self.settings.base == "2" else "e (nats)",
            "definitions": DEFINITIONS,
            "tag": self.settings.tag,
        }


class Scored(NamedTuple):
    """What was found of one record."""

    record: Record
    reading: Reading  # the first, or only, one
    log_probs: list[FloatArray]  # of each reading, in nats; of an encoder pseudo-likelihoods
    length: int
