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


class RowRecord(Record):
    """A record whose name is an id as it stands: a row of a table, a pair given in Python.

    >>> RowRecord("sample 1", "MKT").id
    'sample 1'
    """

    __slots__ = ()

    @property
    def id(self) -> str:
        """The whole name."""
        return self.name
