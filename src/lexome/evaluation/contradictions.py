"""Whether the labels of two rows contradict each other."""

# Letters: N rows, K labels of a row.
from collections.abc import Hashable, Iterable
from decimal import Decimal, InvalidOperation

import numpy as np
from numpy.typing import ArrayLike

Known = tuple[Hashable, ...]  # the labels of a row; None is unknown


def comparable_labels(labels: ArrayLike) -> list[Known]:
    """The labels of each row as they are compared: as numbers where all of them are numbers.

    Args:
        labels: (N,) or (N, K). None and NaN are unknown; empty text is a label like any other, for
            a row may have none of several classes.

    >>> comparable_labels(["1", "1.0", None])
    [(Decimal('1'),), (Decimal('1.0'),), (None,)]
    >>> comparable_labels(["1", "nucleus "])
    [('1',), ('nucleus',)]
    """
    table_NK = np.asarray(labels)
    texts = [[_text(cell) for cell in row] for row in table_NK.reshape(len(table_NK), -1).tolist()]
    try:
        # Exact numbers, since the labels of residues may be long rows of digits.
        return [tuple(None if text is None else Decimal(text) for text in row) for row in texts]
    except InvalidOperation:
        return [tuple(row) for row in texts]


def agree(one: Known, other: Known) -> bool | None:
    """Whether two rows have the same labels; None where what is known of both is no answer.

    >>> agree((1, None), (1, 0)), agree((1, None), (0, 0)), agree((1, 0), (1, 0))
    (None, False, True)
    """
    known = [a is not None and b is not None for a, b in zip(one, other, strict=True)]
    if any(both and a != b for both, a, b in zip(known, one, other, strict=True)):
        return False
    return True if all(known) else None


def is_contradicted(one: Known, others: Iterable[Known]) -> bool:
    """Whether any of the others has another label."""
    return any(agree(one, other) is False for other in others)


def _text(cell: object) -> str | None:
    return None if cell is None or cell != cell else str(cell).strip()
