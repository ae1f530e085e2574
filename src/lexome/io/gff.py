"""Reads GFF3 a feature at a time, and puts its coding features together to transcripts."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from lexome.errors import InputError
from lexome.io.streams import Source, empty_file, open_bytes, read_lines
from lexome.sequence.mutations import ONE_LETTER
from lexome.sequence.transcripts import Span, Transcript

CDS, EXON = "CDS", "exon"
GENES = ("gene", "pseudogene", "transposable_element_gene", "protein_coding_gene")
PROTEINS = ("protein", "polypeptide")  # TAIR makes them a second parent of a CDS
_RECODED = re.compile(r"pos:(complement\()?(\d+)\.\.(\d+)\)?,\s*aa:(\w+)")
_GTF = re.compile(r'\w+ "[^"]*";')


class Feature(NamedTuple):
    """A row; `start` and `end` are 0-based and half-open. `phase` is None where it is `.`."""

    line: int
    contig: str
    source: str
    type: str
    start: int
    end: int
    strand: str
    phase: int | None
    attributes: dict[str, str]

    @property
    def parents(self) -> list[str]:
        """The ids of what it is part of."""
        return [unquote(one) for one in self.attributes.get("Parent", "").split(",") if one]

    def attribute(self, name: str) -> str:
        """An attribute's text; empty where there is none."""
        return unquote(self.attributes.get(name, ""))


class _Parts(NamedTuple):
    """What was met of a CDS: its rows, and the transcript or gene above it."""

    rows: list[Feature]
    parent: str


def read_features(source: Source, skip: tuple[str, ...] = ()) -> Iterator[Feature]:
    """Yield the features of a GFF3 file in its order, one in memory; some types may be skipped.

    Raises:
        InputError: GTF, other than nine columns, coordinates that are none (each with the line).
    """
    with open_bytes(source) as stream:
        number = 0
        for number, text in enumerate(read_lines(stream), start=1):
            if text.startswith("##FASTA") or text.startswith(">"):
                return
            if not text.strip() or text.startswith("#"):
                continue
            columns = text.rstrip().split("\t")
            if len(columns) == 9 and columns[2] in skip:
                continue
            yield _parse(columns, f"{stream.where}, line {number}", number)
        if number == 0:
            raise empty_file(stream.where, "GFF3")


def read_transcripts(source: str | Path) -> list[Transcript]:
    """All coding transcripts, in the order of their first CDS row.

    A CDS belongs to each of its parents; where the parent is a gene (bacteria), or there is none,
    each CDS of another id is a transcript by itself. What makes one unusable (a pseudogene, coding
    parts on two strands, phases that do not fit) stands in its `flaw`.

    Raises:
        InputError: as `read_features`; no CDS at all.
    """
    above: dict[str, Feature] = {}
    exons: dict[str, list[Span]] = {}
    parts: dict[tuple[str, str], _Parts] = {}
    for feature in read_features(source, skip=("intron", "region", "transcript_region")):
        if feature.type == EXON:
            for parent in feature.parents:
                exons.setdefault(parent, []).append((feature.start, feature.end))
        elif feature.type == CDS:
            own = feature.attributes.get("ID", "")
            for parent in feature.parents or [""]:
                if not parent and not own:
                    raise InputError(
                        f"{source}, line {feature.line}",
                        "a CDS with neither ID nor Parent",
                        "one of them, to tell which rows make up a protein",
                        "a GFF3 file of Ensembl, NCBI or WormBase, or `gffread`",
                    )
                parts.setdefault((parent, own), _Parts([], parent)).rows.append(feature)
        elif "ID" in feature.attributes:
            above[feature.attribute("ID")] = feature
    if not parts:
        raise InputError(
            str(source), "no CDS", "the coding parts of genes", "the annotation with CDS rows"
        )
    return [_build(one, above, exons) for one in _join(parts, above)]


def _parse(columns: list[str], where: str, line: int) -> Feature:
    if len(columns) != 9:
        raise InputError(
            where, f"{len(columns)} columns", "the nine of GFF3, with tabs between", "that line"
        )
    contig, source, kind, start, end, _, strand, phase, text = columns
    if _GTF.match(text):
        raise InputError(
            where, 'GTF (attributes such as gene_id "x";)', "GFF3", "`gffread -o OUT.gff3 IN.gtf`"
        )
    if not (start.isdigit() and end.isdigit() and 1 <= int(start) <= int(end)):
        raise InputError(
            where, f"the coordinates {start!r} and {end!r}", "1 <= start <= end", "that line"
        )
    if phase not in (".", "0", "1", "2"):
        raise InputError(where, f"the phase {phase!r}", "0, 1, 2 or .", "that line")
    attributes = {}
    for pair in text.split(";"):
        key, equals, value = pair.partition("=")
        if equals:
            attributes[key.strip()] = value.strip()
    number = None if phase == "." else int(phase)
    return Feature(
        line, unquote(contig), source, kind, int(start) - 1, int(end), strand, number, attributes
    )


def _join(parts: dict[tuple[str, str], _Parts], above: dict[str, Feature]) -> list[_Parts]:
    """CDS of one transcript together, also where each of its rows has an id of its own."""
    joined: dict[tuple[str, str], _Parts] = {}
    for (parent, own), one in parts.items():
        found = above.get(parent)
        if found is not None and found.type in PROTEINS:
            continue
        is_transcript = found is not None and found.type not in GENES
        if is_transcript and (parent, "") in joined:
            rows = joined[parent, ""].rows
            if not _overlap(rows, one.rows):
                rows.extend(one.rows)
                continue
        key = (parent, "") if is_transcript and (parent, "") not in joined else (parent, own)
        joined[key] = _Parts(list(one.rows), parent)
    return list(joined.values())


def _overlap(some: list[Feature], others: list[Feature]) -> bool:
    return any(a.start < b.end and b.start < a.end for a in some for b in others)


def _build(parts: _Parts, above: dict[str, Feature], exons: dict[str, list[Span]]) -> Transcript:
    rows = sorted(parts.rows, key=lambda row: (row.start, row.end))
    first = rows[0] if rows[0].strand != "-" else rows[-1]
    parent = above.get(parts.parent)
    is_transcript = parent is not None and parent.type not in GENES
    if is_transcript and parent is not None:
        name = parent.attribute("Name") or parent.attribute("ID")
    else:
        name = first.attribute("Name") or first.attribute("locus_tag") or first.attribute("ID")
    cds = tuple((row.start, row.end) for row in rows)
    code = first.attribute("transl_table")
    recoded = _RECODED.findall(first.attribute("transl_except"))
    return Transcript(
        name or parts.parent,
        _find_gene(first, parts.parent, above),
        first.contig,
        first.strand,
        tuple(sorted(exons.get(parts.parent, []))) or cds,
        cds,
        first.phase or 0,
        int(code) if code.isdigit() else None,
        tuple((int(start) - 1, ONE_LETTER[aa]) for _, start, _, aa in recoded if aa in ONE_LETTER),
        _find_flaw(rows, first, parent),
    )


def _find_gene(row: Feature, parent: str, above: dict[str, Feature]) -> str:
    """The name of what stands at the top."""
    seen: set[str] = set()
    found = above.get(parent)
    while found is not None and found.parents and found.parents[0] not in seen:
        seen.update(found.parents)
        higher = above.get(found.parents[0])
        if higher is None:
            break
        found = higher
    if found is None or found.type not in GENES:
        return row.attribute("gene") or (found.attribute("Name") if found else "") or parent
    return found.attribute("Name") or found.attribute("ID")


def _find_flaw(rows: list[Feature], first: Feature, parent: Feature | None) -> str:
    if len({(row.contig, row.strand) for row in rows}) > 1:
        return "its coding parts lie on several strands or contigs"
    if first.strand not in ("+", "-"):
        return "its strand is not told"
    if first.attribute("pseudo") == "true" or "pseudo" in (parent.type if parent else ""):
        return "it is a pseudogene"
    if any(row.phase is None for row in rows):
        return "a coding part has no phase"
    slips = any(b.start < a.end for a, b in pairwise(rows))
    length = -(first.phase or 0)
    for row in rows if first.strand == "+" else reversed(rows):
        if row is not first and row.phase != -length % 3 and not slips:
            return f"the phase of its coding part at {row.start + 1:,} does not fit those before"
        length += row.end - row.start
    return ""
