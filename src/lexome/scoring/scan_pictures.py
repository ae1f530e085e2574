"""Draws the table of a scan: heat maps and the report, from the file that was written."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from lexome.errors import InputError
from lexome.io.tables import read_table
from lexome.reports.scan import write_scan_picture, write_scan_report
from lexome.results import columns
from lexome.results.tables import read_provenance

ENDINGS = (".svg", ".png", ".pdf")
MOST_DRAWN = 12  # sequences in one report
MOST_CELLS = 80_000  # some 4,000 residues: beyond, a page is too heavy for a browser


class Drawn(NamedTuple):
    """Which files were made, and of how many sequences."""

    pictures: list[Path]
    report: Path | None
    sequences: int
    first: pl.DataFrame | None  # the table of the first one


def draw_scans(output: Path, picture: Path | None = None) -> Drawn:
    """Draw the first sequences of a saved scan beside its table.

    One sequence gives `<output>.svg` (or `picture`), several `<output>-1.svg` and so on; all of
    them stand in `<output>.html`. What is not drawn is told by the numbers returned.
    """
    stem = output.with_name(output.name.removesuffix(".gz")).with_suffix("")
    scans, notes = _first_scans(output), read_provenance(output)
    if not scans:
        return Drawn([], None, 0, None)
    ending = picture.suffix if picture else ".svg"
    base = picture.with_suffix("") if picture else stem
    targets = [base.with_name(f"{base.name}{ending}")]
    if len(scans) > 1:
        targets = [base.with_name(f"{base.name}-{i}{ending}") for i in range(1, len(scans) + 1)]
    made = [write_scan_picture(t, scan, notes) for t, scan in zip(targets, scans, strict=True)]
    report = write_scan_report(stem.with_name(f"{stem.name}.html"), scans, notes)
    return Drawn(made, report, len(scans), scans[0])


def check_picture(picture: Path | None) -> None:
    """Refuse before the work a picture that could not be written after it.

    Raises:
        InputError: an ending of no picture.
    """
    if picture is not None and picture.suffix.lower() not in ENDINGS:
        raise InputError(
            str(picture),
            f"the ending {picture.suffix!r}",
            " or ".join(ENDINGS),
            "`--picture map.svg`",
        )


def _first_scans(output: Path) -> list[pl.DataFrame]:
    """The tables of the first sequences, read no further than they reach."""
    kinds = {columns.POSITION: pl.Int64, columns.SCORE: pl.Float64}
    found: dict[str, list[pl.DataFrame]] = {}
    cells = 0
    for batch in read_table(output):
        typed = batch.with_columns(
            pl.col(name).replace("", None).cast(kind) if batch[name].dtype == pl.String else name
            for name, kind in kinds.items()
        )
        for part in typed.partition_by(columns.ID, maintain_order=True):
            found.setdefault(str(part[columns.ID][0]), []).append(part)
        cells += batch.height
        if len(found) > MOST_DRAWN or cells > MOST_CELLS:
            break
    whole = [pl.concat(parts) for parts in found.values()]
    drawn, total = list[pl.DataFrame](), 0
    for scan in whole[:MOST_DRAWN]:
        total += scan.height
        if total > MOST_CELLS:
            break
        drawn.append(scan)
    return drawn
