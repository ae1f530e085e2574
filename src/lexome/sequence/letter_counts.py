"""Letters that an explicit policy replaced, counted over many rows, in the one wording."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_LISTED = 8


@dataclass
class LetterCounts:
    """Which letters were replaced, how often, and in how many rows.

    >>> counts = LetterCounts()
    >>> counts.add({"J": 2, "t": 1})
    >>> counts.add({})
    >>> str(counts)
    '3 letters mapped in 1 rows (J 2, t 1)'
    """

    letters: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(self, replaced: Mapping[str, int]) -> None:
        """Count the letters replaced in one row; none, and the row does not count."""
        self.letters.update(replaced)
        self.rows += bool(replaced)

    @property
    def total(self) -> int:
        """How many letters were replaced, of all kinds."""
        return sum(self.letters.values())

    @property
    def what(self) -> str:
        """The words that follow the number of letters."""
        listed = [f"{letter} {n:,}" for letter, n in self.letters.most_common(MOST_LISTED)]
        more = ["..."] if len(self.letters) > MOST_LISTED else []
        return f"letters mapped in {self.rows:,} rows ({', '.join(listed + more)})"

    def __str__(self) -> str:
        return f"{self.total:,} {self.what}" if self.letters else ""
