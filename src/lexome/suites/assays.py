"""Deep mutational scans on disk, in ProteinGym's layout: which there are, and their rows."""

# Letters: N rows.
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.io.fasta import read_fasta
from lexome.io.streams import open_bytes
from lexome.io.tables import read_table
from lexome.results.files import hash_file
from lexome.sequence.mutations import Mutant, parse_mutant

ENDINGS = (".csv.gz", ".csv", ".parquet")
MUTANT, TRUTH, TRUTH_BIN = "mutant", "DMS_score", "DMS_score_bin"


class Assay(NamedTuple):
    """One scan: where it lies and what ProteinGym says of it."""

    name: str  # of the file
    path: Path
    dms_id: str  # ProteinGym's
    uniprot: str
    category: str  # of function
    published_rows: int  # of ProteinGym's own file
    wild_type: str
    column: str  # of the mutants
    shift: int  # is added to the positions
    cutoff: float | None  # a row is positive from here on; None: from the median on
    missing: tuple[float, ...]  # values that stand for none
    note: str


class AssayRows(NamedTuple):
    """The rows of an assay that hold a measurement, in the order of the file."""

    mutants: list[str]
    truth: NDArray[np.float64]  # (N,) higher is fitter
    is_positive: NDArray[np.int64]  # (N,)
    sites: NDArray[np.int64] | None  # (N,) the position, where all are single substitutions


def find_assays(
    folder: Path, tasks: Mapping[str, Any], asked: Sequence[str] | None = None
) -> list[Assay]:
    """The assays of a folder in the order of their names, or those asked for.

    Raises:
        InputError: no reference file, no assay, or one asked for that is not there.
    """
    suite = tasks["suite"]
    reference = read_reference(folder, suite["reference"])
    own = read_wild_types(folder / suite["wild_types"])
    found = []
    for path in sorted(folder.iterdir()):
        ending = next((e for e in ENDINGS if path.name.endswith(e)), "")
        name = path.name.removesuffix(ending)
        extra = tasks.get("assays", {}).get(name, {})
        facts = reference.get(extra.get("dms_id", name))
        if not ending or facts is None or path.name in suite["reference"]:
            continue
        of_file = own.get(name, facts["target_seq"])
        is_whole = "shift" in extra or "mutants" in extra
        cutoff = extra.get("cutoff", facts["DMS_binarization_cutoff"])
        found.append(
            Assay(
                name,
                path,
                facts["DMS_id"],
                facts["UniProt_ID"],
                facts["coarse_selection_type"],
                int(facts["DMS_total_number_mutants"]),
                facts["target_seq"] if is_whole else of_file,
                extra.get("mutants", MUTANT),
                extra.get("shift", 0),
                None if cutoff == "median" else float(cutoff),
                tuple(suite["missing"]),
                extra.get("note", ""),
            )
        )
    if not found:
        raise InputError(
            str(folder), "no assay of ProteinGym", "files such as BLAT_ECOLX_Stiffler_2015.csv",
            "--data with the folder of the assays",
        )  # fmt: skip
    return _choose(found, asked, folder)


def _choose(found: list[Assay], asked: Sequence[str] | None, folder: Path) -> list[Assay]:
    by_name = {assay.dms_id: assay for assay in found} | {assay.name: assay for assay in found}
    if missing := [name for name in asked or [] if name not in by_name]:
        near = get_close_matches(missing[0], by_name, n=1, cutoff=0.3) or sorted(by_name)[:1]
        raise InputError(
            "--assays", missing[0], f"one of the {len(found)} in {folder}", f"--assays {near[0]}"
        )
    return found if asked is None else [by_name[name] for name in dict.fromkeys(asked)]


def read_reference(folder: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """ProteinGym's reference file, as text, by assay."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise InputError(
            str(folder), "no reference file", " or ".join(names), "ProteinGym's, put beside them"
        )
    rows = pl.concat(read_table(path)).to_dicts()
    return {str(row["DMS_id"]): row for row in rows}


def read_wild_types(path: Path) -> dict[str, str]:
    """Wild types by the first word of their header; none where there is no such file."""
    if not path.is_file():
        return {}
    with open_bytes(path) as stream:
        return {record.name.split()[0]: record.sequence for record in read_fasta(stream)}


def read_assay(assay: Assay) -> AssayRows:
    """The rows of an assay.

    Its own classes (DMS_score_bin) are taken where the file has them; else a measurement is
    positive from the cut-off on.

    Raises:
        InputError: a column that lacks, or fewer than two rows.
    """
    table = pl.concat(read_table(assay.path), how="vertical_relaxed")
    where = str(assay.path)
    for column in (assay.column, TRUTH):
        if column not in table.columns:
            raise InputError(
                where, f"the columns {', '.join(table.columns[:12])}", f"also {column!r}",
                "ProteinGym's own file",
            )  # fmt: skip
    truth = table[TRUTH].cast(pl.Float64, strict=False)
    is_there = truth.is_finite().fill_null(False) & ~truth.is_in(assay.missing).fill_null(False)
    table, truth = table.filter(is_there), truth.filter(is_there)
    if table.height < 2:
        raise InputError(where, f"{table.height} measured rows", "at least two", "another file")
    truth_N = truth.to_numpy()
    if TRUTH_BIN in table.columns:
        yes_N = table[TRUTH_BIN].cast(pl.Float64, strict=False).fill_null(0).to_numpy() > 0
    else:
        yes_N = truth_N >= (np.median(truth_N) if assay.cutoff is None else assay.cutoff)
    mutants = table[assay.column].cast(pl.String).fill_null("").to_list()
    if assay.shift:
        mutants = [shift_text(text, assay.shift) for text in mutants]
    return AssayRows(mutants, truth_N, yes_N.astype(np.int64), _sites(mutants))


def shift_text(text: str, offset: int) -> str:
    """A mutant with `offset` added to its positions; a text that is none stays.

    >>> shift_text("V39A:D40C", 226)
    'V265A:D266C'
    """
    try:
        mutant: Mutant = parse_mutant(text)
    except InputError:
        return text
    return str(mutant.shift(offset))


def _sites(mutants: Sequence[str]) -> NDArray[np.int64] | None:
    frame = pl.DataFrame({"text": pl.Series(mutants, dtype=pl.String)})
    found = frame["text"].str.extract(r"^[A-Z]([0-9]+)[A-Z]$", 1).cast(pl.Int64, strict=False)
    return None if found.null_count() else found.to_numpy()


def fingerprint_of(assay: Assay) -> list[str]:
    """All of an assay that its figures depend on, the file's own hash among it."""
    return [hash_file(assay.path), *(str(field) for field in assay[2:])]
