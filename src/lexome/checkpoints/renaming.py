"""Published tensor names to ours by a table of rules, with every tensor accounted for."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from lexome.errors import CheckpointError


class Rule(NamedTuple):
    """`{i}` stands for a layer's number on both sides."""

    published: str
    ours: str


class Unused(NamedTuple):
    """A published tensor that the model does not need, and why."""

    published: str
    reason: str


class Accounting(NamedTuple):
    """What became of the tensors of a file."""

    used: dict[str, str]  # published name -> our name
    unused: dict[str, str]  # published name -> reason


def rename(
    tensors: Mapping[str, Tensor], rules: Sequence[Rule], unused: Sequence[Unused], where: str
) -> tuple[dict[str, Tensor], Accounting]:
    """Our names for the tensors of a file.

    Raises:
        CheckpointError: a tensor that no rule knows, or two that become the same one with
            different values.
    """
    patterns = [(_pattern(rule.published), rule.ours) for rule in rules]
    renamed: dict[str, Tensor] = {}
    accounting = Accounting({}, {})
    for name, tensor in tensors.items():
        ours = next((_fill(o, m) for p, o in patterns if (m := p.fullmatch(name))), None)
        reason = next((u.reason for u in unused if _pattern(u.published).fullmatch(name)), None)
        if ours is None and reason is None:
            raise CheckpointError(
                where,
                f"the tensor {name} {tuple(tensor.shape)}, which this architecture does not have",
                "only tensors of the published layout",
                "a checkpoint of the architecture that config.json names",
            )
        if ours is None:
            accounting.unused[name] = str(reason)
            continue
        earlier = renamed.get(ours)
        if earlier is not None and not (
            earlier.shape == tensor.shape and bool((earlier == tensor).all())
        ):
            raise CheckpointError(
                where,
                f"two different tensors for {ours}, one of them {name}",
                "one value for each parameter",
                "the published weights",
            )
        renamed[ours] = tensor
        accounting.used[name] = ours
    return renamed, accounting


def fill(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put tensors into a network, as fp32: none missing, none left over, every shape checked."""
    expected = network.state_dict()
    missing, extra = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or extra:
        kind, names = ("without", missing) if missing else ("with the unknown", extra)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise CheckpointError(
            where,
            f"weights {kind} {names[0]}{more}",
            f"exactly the {len(expected)} tensors of the architecture",
            "the whole checkpoint; nothing is left at random values",
        )
    for name, parameter in expected.items():
        if parameter.shape != tensors[name].shape:
            raise CheckpointError(
                where,
                f"{name} of shape {tuple(tensors[name].shape)}",
                f"{tuple(parameter.shape)} as config.json says",
                "the config.json and the weights of one and the same model",
            )
    network.load_state_dict({n: _whole(t) for n, t in tensors.items()}, assign=True)


def _whole(tensor: Tensor) -> Tensor:
    """In fp32, end to end, and where numbers of its size may lie."""
    tensor = tensor.float().contiguous()
    return tensor.clone() if tensor.data_ptr() % tensor.itemsize else tensor


def note_placeholders(placeholders: Sequence[str]) -> tuple[str, ...]:
    """What a load report says of classes that a torch file names."""
    return tuple(f"{name} in the file: not read, never imported" for name in placeholders)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)"))


def _fill(template: str, match: re.Match[str]) -> str:
    return template.replace("{i}", match.groupdict().get("i") or "")
