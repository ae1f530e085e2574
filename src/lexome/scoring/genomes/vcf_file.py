"""Scores every allele of a VCF by a DNA model, a protein model or both; a killed run resumes."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import polars as pl

from lexome import __version__
from lexome.errors import InputError
from lexome.inference.parts import PARTS_ENDING, Kind, check_output, cut_parts, parts_folder
from lexome.io.vcf import (
    ENCODING,
    ERRORS,
    MISSING,
    InfoField,
    VcfRow,
    annotate_header,
    annotate_row,
    escape,
    is_vcf,
    open_vcf,
    write_vcf,
)
from lexome.progress import Progress, show_progress
from lexome.results import columns
from lexome.results.files import json_text, write_text
from lexome.results.tables import provenance_path, read_provenance, write_table
from lexome.scoring.genomes.coordinates import check_coordinates
from lexome.scoring.genomes.vcf_rows import VcfScoring, score_rows, table_schema

PREFIX = "LEXOME_"
PARTS_A_FOLDER = 256


class VcfSummary(NamedTuple):
    """What a run of `score_vcf_file` did."""

    rows: int
    alleles: int
    scored: int  # alleles with a score of the DNA model
    protein_scored: int
    without: int  # alleles that have a reason in place of every score that was asked for
    resumed_rows: int


# Columns that become INFO fields, with their types there.
FIELDS = {
    columns.SCORE: "Float",
    columns.REASON: "String",
    columns.WINDOW_BASES: "Integer",
    columns.NORMALISED: "String",
    columns.GENE: "String",
    columns.TRANSCRIPT: "String",
    columns.CONSEQUENCE: "String",
    columns.PROTEIN_CHANGE: "String",
    columns.OTHER_TRANSCRIPTS: "String",
    columns.PROTEIN_SCORE: "Float",
    columns.PROTEIN_REASON: "String",
}


def score_vcf_file(
    source: Path,
    output: Path,
    scoring: VcfScoring,
    provenance: dict[str, object],
    quiet: bool = False,
) -> VcfSummary:
    """Write a VCF with INFO fields added, or a table with a row an allele, in the input's order.

    Every row comes out; an allele that cannot be scored says why. Rows may be unsorted. The same
    command goes on where a killed one stopped; memory holds some thousand rows at a time, and the
    annotation of genes.

    Args:
        source: a VCF, plain or gzipped; it is read three times, so no pipe.
        output: `.vcf`, `.vcf.gz` (blocked, as bgzip writes it), or a table by its ending.

    Raises:
        InputError: what `open_vcf` refuses; positions that are shifted against the FASTA (see
            `check_coordinates`); an INFO field of ours that is there already.
    """
    if not is_vcf(output):
        check_output(output)
    elif output.is_dir():
        raise InputError(str(output), "a folder", "the name of a file", f"{output}/NAME.vcf")
    if source.exists() and output.exists() and source.samefile(output):
        raise InputError(str(output), "the input itself", "another file", "another `-o`")
    fields = _info_fields(scoring)
    with open_vcf(source, scoring.needs_header) as vcf:
        annotate_header(vcf.header, fields, [])  # refuses fields that are there
        check_coordinates(scoring.genome, vcf.rows, str(source))
    folder = parts_folder(output, scoring.fingerprint())
    with show_progress("Scoring", None, unit="variants", quiet=quiet) as progress:
        paths, summary = _make_parts(source, folder, scoring, progress)
    notes = provenance | scoring.notes() | summary._asdict()
    del notes["resumed_rows"]
    if is_vcf(output):
        _write_annotated(source, output, scoring, paths, fields, notes)
        write_text(provenance_path(output), json_text(notes, indent=2) + "\n")
    else:
        empty = pl.DataFrame(schema=table_schema(scoring))
        write_table(map(pl.read_parquet, paths) if paths else empty, output, notes)
    for left in output.parent.iterdir():  # also what was begun for it with other settings
        if left.name.startswith(f".{output.name}.") and left.name.endswith(PARTS_ENDING):
            rmtree(left)
    return summary


def _make_parts(
    source: Path, folder: Path, scoring: VcfScoring, progress: Progress
) -> tuple[list[Path], VcfSummary]:
    kind = Kind[VcfRow](
        id=lambda row: str(row.number),
        held=lambda row: scoring.window if scoring.pairs else len(row.text),
        work=lambda row: 1,
        content=lambda row: [row.text.encode(ENCODING, ERRORS).decode("latin-1")],
    )
    paths: list[Path] = []
    counts = {"alleles": 0, "scored": 0, "protein_scored": 0, "without": 0}
    rows = resumed = 0
    with open_vcf(source, scoring.needs_header) as vcf:
        for number, part in enumerate(cut_parts(vcf.rows, kind)):
            # Every write looks through its folder: a folder holds a bounded number.
            path = folder / f"{number // PARTS_A_FOLDER:06d}" / f"part-{number:08d}.parquet"
            paths.append(path)
            notes = read_provenance(path) if path.exists() else {}
            progress.advance(len(part.items))
            rows += len(part.items)
            if notes.get("records") == part.digest:
                resumed += len(part.items)
                progress.restart_clock()
            else:
                table = score_rows(scoring, part.items)
                notes = {"records": part.digest, "counts": _count(table)}
                write_table(table, path, notes)
            for name, count in notes["counts"].items():
                counts[name] += count
    return paths, VcfSummary(rows, resumed_rows=resumed, **counts)


def _count(table: pl.DataFrame) -> dict[str, int]:
    scored = table[columns.SCORE].count() if columns.SCORE in table.columns else 0
    protein = table[columns.PROTEIN_SCORE].count() if columns.PROTEIN_SCORE in table.columns else 0
    asked = [name for name in (columns.SCORE, columns.PROTEIN_SCORE) if name in table.columns]
    missing = table.select(pl.all_horizontal(pl.col(asked).is_null()).sum()).item() if asked else 0
    return {
        "alleles": table.height,
        "scored": scored,
        "protein_scored": protein,
        "without": int(missing),
    }


def _write_annotated(
    source: Path,
    output: Path,
    scoring: VcfScoring,
    paths: list[Path],
    fields: list[InfoField],
    notes: dict[str, object],
) -> None:
    """The input's rows again, each with the INFO fields of its alleles."""
    names = [name for name in table_schema(scoring) if name in FIELDS]
    told = ("rule", "model", "protein_rule", "protein_model")
    lines = [f"##{PREFIX}{name.upper()}={notes[name]}" for name in told if notes.get(name)]
    lines.append(f"##{PREFIX}VERSION={__version__}")
    alleles = _alleles(paths, names)
    with open_vcf(source, scoring.needs_header) as vcf, write_vcf(output) as write:
        write(annotate_header(vcf.header, fields, lines))
        for row in vcf.rows:
            number, values = next(alleles)
            assert number == row.number, "the source changed while it was read"
            write(annotate_row(row, _info(names, values)))


def _alleles(paths: list[Path], names: list[str]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """(number of the row, values of each of its alleles), over all parts."""
    for path in paths:
        table = pl.read_parquet(path, columns=[columns.ROW, *names])
        for number, rows in groupby(table.iter_rows(), key=lambda row: row[0]):
            yield int(number), [row[1:] for row in rows]


def _info(names: list[str], alleles: list[tuple[Any, ...]]) -> str:
    """The fields of a row, a value an allele; a field that has none at all is left out."""
    fields = []
    for i, name in enumerate(names):
        values = [one[i] for one in alleles]
        if any(value not in (None, "") for value in values):
            fields.append(f"{PREFIX}{name.upper()}={','.join(map(_value, values))}")
    return ";".join(fields)


def _value(value: object) -> str:
    if value is None or value == "":
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else escape(str(value))


def _info_fields(scoring: VcfScoring) -> list[InfoField]:
    fields = []
    for name in table_schema(scoring):
        if name in FIELDS:
            meaning = columns.find_meaning(name) or ""
            if name == columns.SCORE and scoring.pairs is not None:
                meaning = f"{scoring.pairs.rule}: {scoring.pairs.definition}"
            if name == columns.PROTEIN_SCORE and scoring.mutants is not None:
                meaning = f"{scoring.mutants.rule}: {scoring.mutants.definition}"
            # A row without an alternate allele has a reason too, and no value an allele.
            number = "." if name in (columns.REASON, columns.PROTEIN_REASON) else "A"
            fields.append(InfoField(f"{PREFIX}{name.upper()}", number, FIELDS[name], meaning))
    return fields
