"""Writes and reads profiles as HMMER 3 text files, so that either program can use the other's."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lexome.errors import InputError
from lexome.grammars.profile_hmm import BACKGROUND, DD, ProfileHmm
from lexome.io.streams import open_bytes, read_lines
from lexome.results.files import write_text
from lexome.sequence.family_rows import Floats
from lexome.sequence.mutations import AMINO_ACIDS

HEADER = "m->m m->i m->d i->m i->i d->m d->d"


def write_hmmer(profile: ProfileHmm, path: Path) -> None:
    """The profile as HMMER3/f text, without E-values: to search, HMMER wants STATS lines."""
    lines = [
        "HMMER3/f [Lexome]",
        f"NAME  {profile.name.split()[0] if profile.name.split() else 'profile'}",
        f"LENG  {profile.length}",
        "ALPH  amino",
        "RF    no",
        "MM    no",
        "CONS  yes",
        "CS    no",
        "MAP   no",
        "HMM     " + " ".join(AMINO_ACIDS),
        "        " + HEADER,
        "  COMPO " + _spell(BACKGROUND / BACKGROUND.sum()),
        "        " + _spell(profile.insert_MA[0]),
        "        " + _spell(profile.transitions[0]),
    ]
    for k in range(1, profile.length + 1):
        letters = profile.match_MA[k - 1]
        lines.append(f"  {k} {_spell(letters)} - {_consensus(letters)} - - -")
        lines.append("        " + _spell(profile.insert_MA[k]))
        lines.append("        " + _spell(profile.transitions[k]))
    write_text(path, "\n".join([*lines, "//", ""]))


def read_hmmer(path: Path) -> ProfileHmm:
    """The first profile of a HMMER 3 text file of proteins.

    Raises:
        InputError: no such file, another format, or one that ends too early.
    """
    with open_bytes(path) as stream:
        lines = enumerate(read_lines(stream), start=1)
        try:
            return _read(lines, str(path))
        except (StopIteration, RuntimeError) as problem:
            raise InputError(
                str(path), "a profile that ends too early", "`//` at its end", "copying it again"
            ) from problem


def _read(lines: Iterator[tuple[int, str]], where: str) -> ProfileHmm:
    number, first = next(lines)
    if not first.startswith("HMMER3/"):
        raise InputError(
            f"{where}, line {number}", repr(first[:40]), "HMMER3/...", "`hmmconvert` to HMMER 3"
        )
    name, length = "", 0
    for number, line in lines:
        word, _, rest = line.partition(" ")
        if word == "NAME":
            name = rest.strip()
        elif word == "LENG" and rest.strip().isdigit():
            length = int(rest)
        elif word == "ALPH" and rest.strip().lower() != "amino":
            raise InputError(
                f"{where}, line {number}", rest.strip(), "ALPH amino", "a profile of proteins"
            )
        elif word == "HMM":
            break
    if length < 1:
        raise InputError(where, "no LENG", "how many match states there are", "a whole file")
    next(lines)  # the names of the arrows
    number, line = next(lines)
    if line.split()[0] == "COMPO":
        number, line = next(lines)
    inserts = [_values(line.split(), len(AMINO_ACIDS), where, number)]
    arrows = [_take(lines, 7, where)]
    matches = []
    for k in range(1, length + 1):
        number, line = next(lines)
        words = line.split()
        if not words or words[0] != str(k):
            seen = repr(" ".join(words[:2]))
            raise InputError(f"{where}, line {number}", seen, f"node {k}", "a whole file")
        matches.append(_values(words[1:], len(AMINO_ACIDS), where, number))
        inserts.append(_take(lines, len(AMINO_ACIDS), where))
        arrows.append(_take(lines, 7, where))
    transitions = np.array(arrows)
    transitions[[0, -1], DD] = 0.0
    return ProfileHmm(name, np.array(matches), np.array(inserts), transitions)


def _take(lines: Iterator[tuple[int, str]], num: int, where: str) -> Floats:
    number, line = next(lines)
    return _values(line.split(), num, where, number)


def _values(words: list[str], num: int, where: str, number: int) -> Floats:
    try:
        found = [0.0 if word == "*" else math.exp(-float(word)) for word in words[:num]]
    except ValueError:
        found = []
    if len(found) < num:
        raise InputError(
            f"{where}, line {number}", " ".join(words)[:60], f"{num} numbers", "a whole file"
        )
    return np.array(found)


def _consensus(letters_A: Floats) -> str:
    """The likeliest letter; a capital where it is sure, as HMMER writes it."""
    best = int(letters_A.argmax())
    return AMINO_ACIDS[best] if letters_A[best] >= 0.5 else AMINO_ACIDS[best].lower()


def _spell(probabilities: Floats) -> str:
    return " ".join(f"{-math.log(p):.5f}" if p > 0 else "*" for p in probabilities)
