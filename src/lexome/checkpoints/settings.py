"""Values of a published config: each is checked before anything is built from it."""

from collections.abc import Mapping
from typing import Any

from lexome.errors import CheckpointError

# What the Hugging Face layouts call the sizes.
SIZES = {
    "num_layers": "num_hidden_layers",
    "width": "hidden_size",
    "num_heads": "num_attention_heads",
    "ffn_width": "intermediate_size",
}


def require(settings: Mapping[str, object], expected: Mapping[str, object], where: str) -> None:
    """Refuse a config that says otherwise; a key that is absent has the published default.

    Raises:
        CheckpointError: naming the key.
    """
    for key, value in expected.items():
        seen = settings.get(key, value)
        if seen != value:
            raise CheckpointError(
                where,
                f"{key} = {seen!r}",
                f"{value!r}, as every published model of this layout has it",
                "a checkpoint of a published layout; nothing else is guessed",
            )


def read_sizes(
    settings: Mapping[str, object], where: str, names: Mapping[str, str] = SIZES, pairs: int = 1
) -> dict[str, Any]:
    """Layers, width, heads and feed-forward width, whole and positive, the heads of equal width.

    Args:
        names: our names to the config's.
        pairs: what the width of a head must be a multiple of; 2 where rotary positions turn pairs.

    Raises:
        CheckpointError: naming the key.
    """
    sizes = {ours: whole(settings, theirs, where) for ours, theirs in names.items()}
    if sizes["width"] % (pairs * sizes["num_heads"]):
        kind = "an equal and even" if pairs == 2 else "an equal"
        raise CheckpointError(
            where,
            f"{names['num_heads']} = {sizes['num_heads']} for {names['width']} = {sizes['width']}",
            f"heads of {kind} width",
            "the published config",
        )
    return sizes


def whole(settings: Mapping[str, object], key: str, where: str, default: int | None = None) -> int:
    """A positive whole number."""
    value = settings.get(key, default)
    if type(value) is not int or value < 1:
        raise CheckpointError(
            where, f"{key} = {value!r}", "a positive whole number", "the published config"
        )
    return value


def read_eps(
    settings: Mapping[str, object], where: str, default: float, key: str = "layer_norm_eps"
) -> float:
    """The norms' epsilon."""
    value = settings.get(key, default)
    if not isinstance(value, float) or not 0 < value < 1:
        raise CheckpointError(where, f"{key} = {value!r}", "a small number", "the published config")
    return value
