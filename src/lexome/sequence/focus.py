"""The columns of an alignment that are its query's, and where in the protein they stand."""

# Letters: R rows, C focus columns.
import re
from collections.abc import Sequence
from typing import NamedTuple

from lexome.errors import InputError

RANGE = re.compile(r"/(\d+)-(\d+)$")
GAP = "-"


class Focus(NamedTuple):
    """The query's upper-case residues: the focus columns of DeepSequence and EVcouplings.

    `offsets` are the places (from 0) of the columns' residues in `query`, which holds every
    residue of the query, those of its own insertions too. `first` is the number that the first of
    them has in the whole protein, as a name such as `BLAT_ECOLX/24-286` tells; None where the name
    tells nothing.
    """

    name: str
    query: str
    first: int | None
    offsets: tuple[int, ...]

    @property
    def letters(self) -> str:
        """The query's residue of each column (C,)."""
        return "".join(self.query[i] for i in self.offsets)


class FocusAlignment(NamedTuple):
    """Rows in the focus columns: capitals and `-` stand in columns, lower case is inserted."""

    focus: Focus
    ids: list[str]
    rows: list[str]  # the first is the query


def focus_on_query(name: str, ids: Sequence[str], rows: Sequence[str]) -> FocusAlignment:
    """Rows as A3M or A2M spell them, in the columns in which the query has a residue.

    A column in which the query has a gap becomes an insertion of the rows that have a residue
    there. Rows must be equally wide but for insertions (`read_with_insertions` sees to that).

    Raises:
        InputError: a query without a capital letter, or a range in its name that is not as long.

    >>> made = focus_on_query("x", ["q/5-8", "s"], ["AcD-F", "-.DEF"])
    >>> made.rows, made.focus.offsets, made.focus.first, made.focus.letters
    (['AcDF', '-DeF'], (0, 2, 3), 5, 'ADF')
    """
    query = rows[0].replace(".", "")
    if not any(letter.isupper() for letter in query):
        seen = "a query in lower case" if query.strip(GAP) else "a query without residues"
        raise InputError(
            f"{name} ({ids[0]})",
            seen,
            "capitals in the columns to be modelled (lower case is insertions)",
            "writing the query's residues as capitals",
        )
    residues = query.replace(GAP, "")
    offsets = tuple(i for i, letter in enumerate(residues) if letter.isupper())
    kept = [letter != GAP for letter in query if not letter.islower()]
    plain = [row.replace(".", "") for row in rows]
    if not all(kept):
        plain = [_demote(row, kept) for row in plain]
    first = find_first(name, ids[0], len(residues))
    return FocusAlignment(Focus(ids[0], residues.upper(), first, offsets), list(ids), plain)


def find_first(name: str, id: str, length: int) -> int | None:
    """The number of the query's first residue, of a name that ends in `/first-last`.

    Raises:
        InputError: a range of another length than the query.
    """
    found = RANGE.search(id)
    if not found:
        return None
    first, last = int(found[1]), int(found[2])
    if last - first + 1 != length:
        raise InputError(
            f"{name} ({id})",
            f"{length:,} residues",
            f"{last - first + 1:,}, as its range {first}-{last} says",
            f"the name {id[: found.start()]}/{first}-{first + length - 1}, if {first} is right",
        )
    return first


def place_query(focus: Focus, protein: str) -> int:
    """Where in the protein (from 0) the query's first residue stands.

    Without a number in the query's name it is looked for, and must stand there just once.

    Raises:
        InputError: the query is not there, with the number that would fit.
    """
    at = focus.first - 1 if focus.first is not None else protein.find(focus.query)
    end = at + len(focus.query)
    if at >= 0 and protein[at:end] == focus.query:
        if focus.first is None and protein.find(focus.query, at + 1) >= 0:
            raise InputError(
                focus.name,
                "a query that stands in the protein more than once",
                "its range in its name",
                f"a name such as {focus.name}/{at + 1}-{end}",
            )
        return at
    best, agree = fit_query(focus.query, protein)
    whole = len(focus.query)
    seen = f"a query of {whole:,} residues that is not in the protein"
    if focus.first is not None:
        seen += f" at {focus.first}"
    if 2 * agree < whole:
        raise InputError(
            focus.name, seen, "the protein or a part of it", "the protein that it was made for"
        )
    where = f"{best + 1}-{best + whole}"
    if agree == whole:
        renamed = RANGE.sub("", focus.name)
        remedy = f"the name {renamed}/{where} for the query"
        raise InputError(focus.name, seen, f"it at {where}, where all of it agrees", remedy)
    wrong = next(i for i in range(whole) if protein[best + i : best + i + 1] != focus.query[i])
    there = protein[best + wrong : best + wrong + 1] or "nothing"
    raise InputError(
        focus.name,
        f"{seen}: at {where} {agree:,} of them agree, but residue {best + wrong + 1} is "
        f"{there} and the query has {focus.query[wrong]}",
        "the same residues in both",
        "the protein that the alignment was made for",
    )


def fit_query(query: str, protein: str) -> tuple[int, int]:
    """Where (from 0; may hang over an end) most residues agree without gaps, and how many do.

    >>> fit_query("KTA", "MKTAY")
    (1, 3)
    """
    best, most = 0, -1
    for at in range(1 - len(query), len(protein)):
        low, high = max(at, 0), min(at + len(query), len(protein))
        pairs = zip(query[low - at : high - at], protein[low:high], strict=True)
        agree = sum(a == b for a, b in pairs)
        if agree > most or (agree == most and abs(at) < abs(best)):
            best, most = at, agree
    return best, most


def _demote(row: str, kept: Sequence[bool]) -> str:
    """The row with its residues in columns that are not kept as insertions."""
    made, column = [], 0
    for letter in row:
        if letter.islower():
            made.append(letter)
            continue
        if kept[column]:
            made.append(letter)
        elif letter != GAP:
            made.append(letter.lower())
        column += 1
    return "".join(made)
