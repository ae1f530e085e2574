"""Finds the tables of DeepLoc 2.0 (where in the cell a protein is) and brings them to one layout.

Thumuluri et al. 2022, Nucleic Acids Research 50:W228. The licence of the tables is CC BY-NC-ND:
they are fetched for the user's own use and never passed on.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lexome.errors import InputError, LexomeError
from lexome.io.download import ANSWER_SECONDS, download_file
from lexome.io.download import cache_folder as downloads
from lexome.io.tables import read_table
from lexome.results.files import atomic_path
from lexome.results.types import DeepLocFiles
from lexome.suites.simulated_targeting import simulate_targeting

PUBLIC_HOME = "https://services.healthtech.dtu.dk/services/DeepLoc-2.0/data/"
PUBLIC_NAMES = ("Swissprot_Train_Validation_dataset.csv", "hpa_testset.csv")  # training, HPA
SHARED_NAMES = ("deeploc2_swissprot_train_val.csv.gz", "deeploc2_hpa_test_1717.csv.gz")
SHARED_FOLDER = Path("data", "protein_localization")
NUM_ROWS = (28_303, 1_717)

LABEL = "Mitochondrion"
LOCATIONS = (
    *("Membrane", "Cytoplasm", "Nucleus", "Extracellular", "Cell membrane", "Mitochondrion"),
    *("Plastid", "Endoplasmic reticulum", "Lysosome/Vacuole", "Golgi apparatus", "Peroxisome"),
)
SPELLINGS = {"ACC": ("ACC", "sid"), "Sequence": ("Sequence", "fasta")}  # ours -> those accepted
YES_OR_NO = {"0": "0", "0.0": "0", "false": "0", "1": "1", "1.0": "1", "true": "1"}
PARTITIONS = {f"{i}{ending}": str(i) for i in range(5) for ending in ("", ".0")}

SIMULATED_ROWS, SIMULATED_SEED = 5_000, 0


def find_deeploc(
    data: str | None = None,
    offline: bool = False,
    *,
    home: str = PUBLIC_HOME,
    num_rows: tuple[int, int] = NUM_ROWS,
    cache: Path | None = None,
    answer_seconds: float = ANSWER_SECONDS,
) -> DeepLocFiles:
    """The training table, and the HPA test table where there is one, from the nearest place.

    In this order: `data` (a table, or a folder with both); `$LEXOME_SHARED` or `../shared`; what
    was downloaded earlier; a download from the public home; and a simulated set, for which
    `origin` says that it is one and why. Both tables have the columns ACC, Sequence, Mitochondrion
    and the other locations as 0 and 1; the training table also has Partition. One that is spelled
    otherwise is written anew into the cache folder; nothing else is changed.

    Args:
        data: the user's own choice: what is wrong with it is an error, never passed over.
        offline: open no socket.
        home: folder of the public files, with a "/" at its end.
        num_rows: rows that the downloaded files must have.
        cache: folder for downloads and rewritten tables; else `cache_folder()`.
        answer_seconds: how long to wait for a server.

    Raises:
        InputError: a file that is not there, or whose columns or values are not those of DeepLoc.
    """
    cache = cache or cache_folder()
    if data:
        paths = _given_files(Path(data).expanduser())
        return _files(paths, cache, f"given: {data}", "given")
    for folder in shared_folders():
        if (folder / SHARED_NAMES[0]).is_file():
            return _files(_both(folder, SHARED_NAMES), cache, f"shared folder: {folder}", "shared")
    return _fetched_or_simulated(offline, home, num_rows, cache, answer_seconds)


def cache_folder() -> Path:
    """Where downloads and rewritten tables are kept."""
    return downloads("deeploc")


def shared_folders() -> list[Path]:
    """Where shared data may stand: in `$LEXOME_SHARED`, else beside this folder or the project."""
    asked = os.environ.get("LEXOME_SHARED")
    if asked:
        return [Path(asked) / SHARED_FOLDER]
    roots = [Path.cwd()]
    project = Path(__file__).resolve().parents[3]
    if (project / "pyproject.toml").is_file():  # an editable install; else this is site-packages
        roots.append(project)
    return [root.parent / "shared" / SHARED_FOLDER for root in roots]


def read_deeploc(path: Path, needs_partition: bool) -> tuple[pl.DataFrame, bool]:
    """A table in the one layout, as text, and whether its file already has that layout.

    Raises InputError naming the columns or the value that are not those of DeepLoc.
    """
    raw = pl.concat(read_table(path), how="vertical")
    chosen = _choose_columns(raw.columns, str(path), needs_partition)
    frame = raw.select(pl.col(seen).cast(pl.String).alias(ours) for ours, seen in chosen.items())
    clean = [
        _spell(frame[name], PARTITIONS if name == "Partition" else YES_OR_NO, str(path))
        for name in frame.columns
        if name == "Partition" or name in LOCATIONS
    ]
    tidy = frame.with_columns(clean)
    is_ready = list(chosen) == list(chosen.values()) and tidy.equals(raw.select(tidy.columns))
    return tidy, is_ready


def _given_files(path: Path) -> tuple[Path, Path | None]:
    if path.is_dir():
        endings = ("", ".gz")
        for names in (SHARED_NAMES, *(tuple(n + e for n in PUBLIC_NAMES) for e in endings)):
            if (path / names[0]).is_file():
                return _both(path, names)
        there = ", ".join(sorted(file.name for file in path.iterdir())[:10]) or "nothing"
        raise InputError(
            str(path), there, f"{SHARED_NAMES[0]} or {PUBLIC_NAMES[0]}", "to name the file itself"
        )
    for names in (SHARED_NAMES, PUBLIC_NAMES):
        if path.name == names[0]:
            return _both(path.parent, names)
    return path, None


def _both(folder: Path, names: Sequence[str]) -> tuple[Path, Path | None]:
    hpa = folder / names[1]
    return folder / names[0], hpa if hpa.is_file() else None


def _files(paths: tuple[Path, Path | None], cache: Path, origin: str, kind: str) -> DeepLocFiles:
    train, hpa = paths
    return DeepLocFiles(
        _in_layout(train, cache, needs_partition=True),
        _in_layout(hpa, cache, needs_partition=False) if hpa else None,
        origin,
        kind,
    )


def _in_layout(path: Path, cache: Path, needs_partition: bool) -> Path:
    """The path itself where it has our layout, else that of a copy that has."""
    frame, is_ready = read_deeploc(path, needs_partition)
    if is_ready:
        return path
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    copy = cache / f"{'train' if needs_partition else 'hpa'}_{digest}.csv"
    _write(frame, copy)
    return copy


def _write(frame: pl.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        frame.write_csv(temporary)


def _fetched_or_simulated(
    offline: bool, home: str, num_rows: tuple[int, int], cache: Path, answer_seconds: float
) -> DeepLocFiles:
    found: list[Path | None] = []
    reasons: list[str] = []
    for name, rows, needs_partition in zip(PUBLIC_NAMES, num_rows, (True, False), strict=True):
        path = cache / name
        if _has_rows(path, rows, needs_partition):
            found.append(path)
        elif offline:
            found.append(None)
            reasons.append("no download, as asked")
        else:
            try:
                fetch_table(home + name, path, rows, needs_partition, answer_seconds)
                found.append(path)
            except LexomeError as error:
                found.append(None)
                reasons.append(f"{error.where}: {error.seen}")
        if found[0] is None:
            break
    if found[0] is None:
        return _simulated(cache, reasons[0])
    origin = f"download from {home}, kept in {cache} (CC BY-NC-ND: for your own use)"
    origin += f"; without the HPA test set: {reasons[0]}" if reasons else ""
    return _files((found[0], found[1]), cache, origin, "download")


def fetch_table(
    url: str, path: Path, rows: int, needs_partition: bool, answer_seconds: float = ANSWER_SECONDS
) -> None:
    """Download one table to `path`, where it appears only with the right columns and rows."""

    def check(temporary: Path) -> None:
        try:
            seen = read_deeploc(temporary, needs_partition)[0].height
        except InputError as error:  # the temporary name means nothing to the reader
            where = error.where.replace(str(temporary), url)
            raise InputError(where, error.seen, error.expected, "a file of your own") from error
        if seen != rows:
            raise InputError(url, f"{seen:,} rows", f"{rows:,}", "a file of your own")

    download_file(url, path, answer_seconds=answer_seconds, check=check)


def _has_rows(path: Path, rows: int, needs_partition: bool) -> bool:
    """Whether an earlier download is there and still whole."""
    try:
        return path.is_file() and read_deeploc(path, needs_partition)[0].height == rows
    except LexomeError:
        return False


def _simulated(cache: Path, reason: str) -> DeepLocFiles:
    path = cache / f"simulated_{SIMULATED_ROWS}_{SIMULATED_SEED}.csv"
    _write(simulate_targeting(SIMULATED_ROWS, SIMULATED_SEED), path)
    origin = (
        f"SIMULATED: {SIMULATED_ROWS:,} made-up proteins from a grammar of targeting peptides;"
        " no figure of this run says anything about real ones."
        f" Real data were out of reach: {reason}"
    )
    return DeepLocFiles(path, None, origin, "simulated")


def _choose_columns(columns: Sequence[str], where: str, needs_partition: bool) -> dict[str, str]:
    """Our names of the columns, in the order of the file, and what the file calls them."""
    by_lower = {column.strip().lower(): column for column in columns}
    wanted = {**SPELLINGS, "Kingdom": ("Kingdom",), "Partition": ("Partition",)}
    wanted |= {location: (location,) for location in LOCATIONS}
    chosen = {}
    for ours, spellings in wanted.items():
        seen = next((by_lower[s.lower()] for s in spellings if s.lower() in by_lower), None)
        if seen is not None:
            chosen[ours] = seen
    needed = ["ACC", *(["Partition"] if needs_partition else []), LABEL, "Sequence"]
    if missing := [name for name in needed if name not in chosen]:
        texts = [" or ".join(wanted[name]) for name in missing]
        raise InputError(
            where,
            f"the columns {', '.join(columns[:20])}{', ...' if len(columns) > 20 else ''}",
            f"also {', '.join(texts)}",
            "to rename them, or the files of DeepLoc 2.0 themselves",
        )
    return dict(sorted(chosen.items(), key=lambda item: columns.index(item[1])))


def _spell(values: pl.Series, spellings: dict[str, str], where: str) -> pl.Series:
    """The same values in one spelling; InputError at the first that is none of those known."""
    plain = values.str.strip_chars().str.to_lowercase()
    clean = plain.replace_strict(spellings, default=None, return_dtype=pl.String)
    if clean.null_count():
        row = int(clean.is_null().arg_max() or 0)
        raise InputError(
            f"{where}, column {values.name!r}, row {row + 1}",
            repr(values[row]),
            f"{min(spellings.values())} to {max(spellings.values())}",
            "to mend the row",
        )
    return clean.alias(values.name)
