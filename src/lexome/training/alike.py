"""Labels of one column that are written in several ways, written alike before copies are judged."""

import re
from collections.abc import Hashable, Sequence

from lexome.training.target import cut_labels, is_missing, is_whole, read_numbers, spell

WHOLE = re.compile(r"[+-]?\d+\.0+")


def write_alike(cells: Sequence[object], kind: str) -> list[object]:
    """The cells of a label column, those that mean the same written the same.

    Numbers are the same by value, several labels in a cell in any order: the shortest spelling is
    taken. Whole numbers are the same class with and without a decimal point. A column in which
    nothing is written in two ways stays as it is.

    Args:
        cells: as the table has them.
        kind: auto, binary, multiclass, multilabel or regression.

    >>> write_alike(["0", "1.0", "0.0", "01", None], "auto")
    ['0', '1', '0', '01', None]
    >>> write_alike(["x;y", "y;x", "x"], "multilabel")
    ['x;y', 'x;y', 'x']
    """
    texts = ["" if is_missing(cell) else spell(cell) for cell in cells]
    distinct = sorted(set(texts) - {""}, key=lambda text: (len(text), text))
    keys = _keys(distinct, kind)
    if len(set(keys)) == len(keys):
        return list(cells)
    first: dict[Hashable, str] = {}
    for text, key in zip(distinct, keys, strict=True):
        first.setdefault(key, key if isinstance(key, str) else text)
    chosen = {text: first[key] for text, key in zip(distinct, keys, strict=True)}
    return [
        cell if chosen.get(text, text) == text else chosen[text]
        for cell, text in zip(cells, texts, strict=True)
    ]


def _keys(texts: Sequence[str], kind: str) -> Sequence[Hashable]:
    """What each text means; the texts differ."""
    if kind == "multilabel":
        return [tuple(sorted(found)) for found in cut_labels(texts)]
    numbers = read_numbers(texts)
    if numbers is not None and (kind == "regression" or (kind == "auto" and not is_whole(numbers))):
        return list(map(float, numbers))
    return [text.partition(".")[0] if WHOLE.fullmatch(text) else text for text in texts]
