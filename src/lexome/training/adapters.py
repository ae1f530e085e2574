"""Adapters: a few new numbers beside a backbone's own, put on from outside before training.

Source: Liu et al. 2022 (IA3), Hu et al. 2021 (LoRA), Liu et al. 2024 (DoRA), Ben Zaken et al. 2022
(BitFit); the first three are those of `peft`.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, NamedTuple

from torch import Tensor, nn

from lexome.errors import EnvironmentProblem, InputError

HIDDEN = "down"  # what reads the feed-forward's hidden channels: IA3 scales what comes in


class Kind(NamedTuple):
    """What a method changes where nothing else is asked for."""

    targets: tuple[str, ...]  # layers by the last part of their name; empty: wherever there is one
    rank: int | None  # None: the method has no rank, and no alpha
    alpha: float | None
    definition: str


ADAPTERS = {
    "ia3": Kind(
        ("key", "value", HIDDEN), None, None, "scales keys, values and the feed-forward's hidden"
    ),
    "lora": Kind(
        ("query", "key", "value", "output"), 8, 16.0, "adds alpha / rank x B A to each matrix"
    ),
    "dora": Kind(
        ("query", "key", "value", "output"), 8, 16.0, "LoRA, the length of each row by itself"
    ),
    "bias": Kind((), None, None, "trains the biases that are there"),
}


class Adapter(NamedTuple):
    """An adapter of a certain network; plain values, as they stand in a run's config.json."""

    method: str
    layers: list[str]  # whole names of linears, or of biases
    rank: int | None
    alpha: float | None
    dropout: float


class Counts(NamedTuple):
    """How many numbers a training changes."""

    adapter: int  # in the backbone
    head: int
    whole: int  # all parameters, those that stand still among them

    @property
    def trained(self) -> int:
        """Adapter and head."""
        return self.adapter + self.head

    def __str__(self) -> str:
        return (
            f"{self.trained:,} trained parameters ({self.adapter:,} in the backbone, "
            f"{self.trained / self.whole:.2%} of all)"
        )


def choose_adapter(
    method: str,
    backbone: nn.Module,
    rank: int | None = None,
    alpha: float | None = None,
    dropout: float = 0.0,
    target: str = "",
    without: Iterable[str] = (),
) -> Adapter:
    """The adapter of a method for a network, every layer by its name.

    Args:
        method: a key of `ADAPTERS`.
        rank, alpha, dropout: of LoRA and DoRA; the table's where not given.
        target: layers by the last part of their name, as in "query,value"; the table's if empty.
        without: parts of the network that will not be there, such as its heads.

    Raises:
        InputError: a target that the network does not have; the message says which there are.
    """
    kind = ADAPTERS[method]
    targets = tuple(name.strip() for name in target.split(",") if name.strip()) or kind.targets
    there = _biases(backbone) if method == "bias" else _linears(backbone)
    skipped = tuple(f"{name}." for name in without)
    there = {layer: name for layer, name in there.items() if not layer.startswith(skipped)}
    names = sorted({name for name in there.values() if not name.isdigit()})
    lacking = [name for name in targets if name not in names]
    if lacking or not there:
        what = "biases" if method == "bias" else "linear layers"
        raise InputError(
            "adapter_target",
            f"{method} on {lacking[0] if lacking else 'biases'!r}, which this model does not have",
            f"its {what}: {', '.join(names) or 'there are none'}",
            f"`--adapter-target {','.join(names[:2])}`" if names else "`--method full`",
        )
    layers = [layer for layer, name in there.items() if not targets or name in targets]
    if kind.rank is None:
        return Adapter(method, layers, None, None, 0.0)
    return Adapter(method, layers, rank or kind.rank, alpha or kind.alpha, dropout)


def put_on(backbone: nn.Module, adapter: Adapter) -> None:
    """Put an adapter on a plain network; from then on only the adapter learns.

    LoRA and DoRA draw from torch's generator. At first, no output changes.
    """
    if adapter.method == "bias":
        taken = set(adapter.layers)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in taken)
        return
    peft = _import_peft()
    if adapter.method == "ia3":
        hidden = [layer for layer in adapter.layers if _last(layer) == HIDDEN]
        config = peft.IA3Config(target_modules=adapter.layers, feedforward_modules=hidden)
    else:
        config = peft.LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout,
            target_modules=adapter.layers,
            use_dora=adapter.method == "dora",
        )
    peft.inject_adapter_in_model(config, backbone)


def merge_adapter(network: nn.Module) -> None:
    """Multiply an adapter into the weights that it stands beside: a plain network again.

    The answers are those of before but for rounding. Nothing happens where there is no adapter.
    """
    for name, module in list(network.named_modules()):
        if isinstance(getattr(module, "base_layer", None), nn.Module):
            adapted: Any = module
            adapted.merge()
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, adapted.base_layer)
    for part in network.modules():
        if hasattr(part, "peft_config"):
            del part.peft_config


def merged_copy(network: nn.Module) -> nn.Module:
    """A plain network with the adapter in its weights; `network` stays as it is."""
    copy = deepcopy(network)
    merge_adapter(copy)
    return copy


def moving_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network without the parameters that stand still."""
    still = {name for name, p in network.named_parameters() if not p.requires_grad}
    return {name: t for name, t in network.state_dict().items() if name not in still}


def count_trained(network: nn.Module, base: int = 0) -> Counts:
    """Parameters that learn; `base` of a backbone that stands outside are counted as standing."""
    learning = {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}
    whole = base + sum(p.numel() for p in network.parameters())
    adapter = sum(n for name, n in learning.items() if name.startswith("backbone."))
    return Counts(adapter, sum(learning.values()) - adapter, whole)


def _linears(network: nn.Module) -> dict[str, str]:
    modules = network.named_modules()
    return {name: _last(name) for name, m in modules if isinstance(m, nn.Linear)}


def _biases(network: nn.Module) -> dict[str, str]:
    """Names of biases, and of the layers that they belong to."""
    names = (name for name, _ in network.named_parameters() if _last(name) == "bias")
    return {name: _last(name.removesuffix(".bias")) for name in names}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _import_peft() -> Any:
    """`peft`, which takes seconds to import, and so only where an adapter is put on."""
    try:
        import peft
    except ImportError as problem:
        raise EnvironmentProblem(
            "method", "no peft", "peft, which holds the adapters", "pip install 'lexome[finetune]'"
        ) from problem
    return peft
