"""Reads Stockholm alignments, in one block or in many, as Pfam and HMMER write them."""

from pathlib import Path

from lexome.errors import InputError
from lexome.io.streams import open_bytes, read_lines


def read_stockholm(path: Path) -> tuple[list[str], list[str]]:
    """The names and the rows of the one alignment of a file, in order, letters as written.

    Markup (`#=GF`, `#=GC`, `#=GS`, `#=GR`) is passed over. Rows are checked for equal width by
    `sequence.alignment.check_alignment`.

    Raises:
        InputError: no header, a line that is none, no `//`, or a second alignment.
    """
    chunks: dict[str, list[str]] = {}
    is_open, is_done = False, False
    with open_bytes(path) as stream:
        for number, line in enumerate(read_lines(stream), start=1):
            text = line.strip()
            where = f"{path}, line {number}"
            if not text:
                continue
            if not is_open:
                if is_done:
                    seen, expected = "a second alignment", "one alignment a file"
                    raise InputError(where, seen, expected, "writing each to a file of its own")
                if not text.startswith("# STOCKHOLM"):
                    seen, expected = repr(text[:40]), "the line `# STOCKHOLM 1.0`"
                    raise InputError(where, seen, expected, "the ending of its real format")
                is_open = True
            elif text == "//":
                is_open, is_done = False, True
            elif not text.startswith("#"):
                parts = text.split()
                if len(parts) != 2:
                    seen, expected = repr(text[:40]), "a name and its row of letters"
                    raise InputError(where, seen, expected, "one row a line, without spaces in it")
                chunks.setdefault(parts[0], []).append(parts[1])
    if not is_done:
        raise InputError(
            str(path), "no `//` at the end", "a whole Stockholm file", "copying it again"
        )
    return list(chunks), ["".join(parts) for parts in chunks.values()]
