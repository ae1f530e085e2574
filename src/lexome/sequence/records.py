"""One named sequence, exactly as its source wrote it."""

from typing import NamedTuple


class Record(NamedTuple):
    """One named sequence. `name` is the whole header; `id` is its first word.

    >>> Record("sp|P12345|AATM mitochondrial", "MALLHSARVL").id
    'sp|P12345|AATM'
    """

    name: str
    sequence: str

    @property
    def id(self) -> str:
        """First word of the name: what tables and results are keyed by."""
        return self.name.split(None, 1)[0] if self.name.strip() else ""
