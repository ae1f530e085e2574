"""Remote homology among SCOPe domains: who finds the kin of a domain that alignment barely sees.

The task: Söding & Remmert 2011, Curr Opin Struct Biol 21:404; as a test of language models: Rives
et al. 2021, PNAS 118:e2016239118, table 2. The protocol is `tasks/homology.toml`.
"""

# Letters: Q queries of a block, N domains, D width.
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.retrieval import (
    Retrieved,
    difference_interval,
    judge_query,
    mean_intervals,
)
from lexome.inference.embed import Recipe
from lexome.inference.embed_file import embed_file
from lexome.inference.model import Model
from lexome.io.fasta import read_fasta
from lexome.progress import Progress
from lexome.results import columns
from lexome.results.tables import read_provenance
from lexome.search.mmseqs import bit_scores
from lexome.search.vectors import VectorFile
from lexome.suites.shared_folder import find_folder, read_tasks

FloatArray = NDArray[np.float32]
Ints = NDArray[np.int64]
Nearness = Callable[[int, int], FloatArray]  # rows [start, end) against all: higher is nearer
CODE = re.compile(r"([a-l])\.(\d+)\.(\d+)\.(\d+)")
QUERIES_AT_ONCE = 512
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
METRICS = (columns.HIT_10, columns.AUC)
SCHEMA = {
    columns.LEVEL: pl.String,
    columns.MODEL: pl.String,
    columns.COUNT: pl.Int64,
    **{f"{p}{m}": pl.Float64 for m in METRICS for p in ("", "low_", "high_")},
    columns.COMPARABLE: pl.String,
    columns.NOTE: pl.String,
}


class Domains(NamedTuple):
    """Domains with what SCOPe says of each."""

    ids: list[str]
    sequences: list[str]  # in capitals
    groups_N5: Ints  # column k numbers what the first k parts of the code are: 1 class ... 4 family
    alike_N: Ints  # the group of folds that may be kin all the same; -1 for none


class Judged(NamedTuple):
    """The figures of each query of one method, by level."""

    name: str
    levels: dict[str, Retrieved]


def open_homology(data: Path | None = None) -> Domains:
    """Read the suite's domains, or those of another FASTA file of that name.

    Raises:
        InputError: no file, or a domain without a SCOPe code as second word of its name.
    """
    suite = read_tasks("homology")["suite"]
    folder = find_folder(data, suite["folder"], suite["table"], "homology")
    return read_domains(folder / suite["table"])


def read_domains(path: Path) -> Domains:
    """Domains of the classes that the protocol keeps."""
    protocol = read_tasks("homology")["protocol"]
    ids, sequences, codes = [], [], []
    for record in read_fasta(path):
        words = record.name.split()
        code = CODE.fullmatch(words[1]) if len(words) > 1 else None
        if code is None:
            raise InputError(
                f"{path}, domain {record.id}",
                f"the name {record.name[:60]!r}",
                "a SCOPe code as its second word, such as a.1.1.1",
                "the file of ASTRAL",
            )
        if code[1] in protocol["classes_kept"]:
            ids.append(record.id)
            sequences.append(record.sequence.upper())
            codes.append(code[0].split("."))
    if not ids:
        raise InputError(str(path), "no domain of the classes kept", "some", "the file of ASTRAL")
    columns_N = [_numbered([".".join(code[:k]) for code in codes]) for k in range(5)]
    alike = {fold: i for i, folds in enumerate(protocol["alike"]) for fold in folds}
    alike_N = np.array([alike.get(".".join(code[:2]), -1) for code in codes], np.int64)
    return Domains(ids, sequences, np.stack(columns_N, axis=1), alike_N)


def embed_domains(
    domains: Domains,
    model: Model,
    saved: Path | None,
    provenance: dict[str, object],
    quiet: bool = False,
) -> FloatArray:
    """The model's vectors of all domains: mean over residues of the last layer.

    Args:
        saved: a Parquet file that is read where it is there, and else made; killed, it resumes.

    Raises:
        InputError: the file is of another model, another recipe or other domains.
    """
    recipe = Recipe(unknown="map", long="whole")
    with tempfile.TemporaryDirectory() as folder:
        path = saved or Path(folder) / "domains.parquet"
        if not path.exists():
            records = list(zip(domains.ids, domains.sequences, strict=True))
            embed_file(model, records, path, recipe, provenance, quiet=quiet)
        notes = read_provenance(path)
        vectors = VectorFile(path)
        names = vectors.ids(range(vectors.count))
        held: dict[str, object] = {"ids": [names[row] for row in range(vectors.count)]}
        held |= {"sha256": notes.get("sha256")}
        held |= {"recipe": notes.get("recipe"), "dtype": notes.get("dtype")}
        asked: dict[str, object] = {"ids": domains.ids, "sha256": model.card.sha256}
        asked |= {"recipe": asdict(recipe), "dtype": model.dtype}
        if other := [name for name in asked if held[name] != asked[name]]:
            raise InputError(
                str(path),
                f"embeddings with another {' and '.join(other)}",
                f"those of these {len(domains.ids):,} domains by {model.card.name}",
                "another name, under which they are made",
            )
        return np.concatenate([block_ND for _, block_ND in vectors.blocks()])


def by_vectors(vectors_ND: FloatArray) -> Nearness:
    """Cosine of vectors."""
    unit_ND = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
    return lambda start, end: unit_ND[start:end] @ unit_ND.T


def by_kmers(sequences: Sequence[str], k: int) -> Nearness:
    """Cosine of the counts of overlapping k-mers; those with another letter are not counted.

    >>> near = by_kmers(["AAC", "AAAA", "WW"], 2)(0, 3)
    >>> [f"{value:.3f}" for value in near[0]]
    ['1.000', '0.707', '0.000']
    """
    code = np.full(256, -1)
    code[np.frombuffer(LETTERS.encode(), np.uint8)] = np.arange(len(LETTERS))
    rows, places = [], []
    for row, sequence in enumerate(sequences):
        letters = code[np.frombuffer(sequence.encode("ascii"), np.uint8)]
        if len(letters) < k:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(letters, k)
        whole = windows[(windows >= 0).all(axis=1)]
        places.append(whole @ (len(LETTERS) ** np.arange(k)))
        rows.append(np.full(len(whole), row))
    shape = (len(sequences), len(LETTERS) ** k)
    row_P, place_P = np.concatenate(rows), np.concatenate(places)
    ones_P = np.ones(len(row_P), np.float32)
    counts = scipy.sparse.csr_matrix((ones_P, (row_P, place_P)), shape)
    counts.sum_duplicates()
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    scale = scipy.sparse.diags(1 / np.maximum(lengths, 1e-12))
    unit = (scale @ counts).astype(np.float32).tocsr()
    turned = unit.T.tocsr()
    return lambda start, end: (unit[start:end] @ turned).toarray()


def by_mmseqs(domains: Domains) -> Nearness:
    """Bits of the best alignment of the most sensitive MMseqs2 search; 0 for pairs not aligned.

    Raises:
        EnvironmentProblem: no MMseqs2 on this machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "domains.fasta"
        pairs = enumerate(domains.sequences)
        fasta.write_text("".join(f">{number}\n{sequence}\n" for number, sequence in pairs))
        found = list(bit_scores(fasta, fasta, Path(folder) / "work"))
    size = (len(domains.ids), len(domains.ids))
    row_P: Ints = np.array([int(query) for query, _, _ in found], np.int64)
    target_P = np.array([int(other) for _, other, _ in found], np.int64)
    score_P = np.array([bits for _, _, bits in found], np.float32)
    order = np.lexsort(
        (-score_P, target_P, row_P)
    )  # of several alignments of a pair the best one counts
    row_P, target_P, score_P = row_P[order], target_P[order], score_P[order]
    is_first = np.r_[True, (np.diff(row_P) != 0) | (np.diff(target_P) != 0)][: len(row_P)]
    bits = scipy.sparse.csr_matrix((score_P[is_first], (row_P[is_first], target_P[is_first])), size)
    return lambda start, end: bits[start:end].toarray()


def judge_method(
    domains: Domains, name: str, nearness: Nearness, progress: Progress | None = None
) -> Judged:
    """Hit-10 and AUC of every domain as a query, at each level of the protocol."""
    levels = read_tasks("homology")["levels"]
    count = len(domains.ids)
    figures = {level: np.full((2, count), np.nan) for level in levels}
    for start in range(0, count, QUERIES_AT_ONCE):
        end = min(start + QUERIES_AT_ONCE, count)
        for row, near_N in enumerate(nearness(start, end), start):
            for level, (positive_N, negative_N) in _asked(domains, row, levels):
                figures[level][:, row] = judge_query(near_N, positive_N, negative_N)
        if progress is not None:
            progress.advance(end - start)
    return Judged(name, {level: Retrieved(*values) for level, values in figures.items()})


def _asked(
    domains: Domains, row: int, levels: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]]:
    """By level the positives and the negatives of a query; all others are left out."""
    same_N5 = domains.groups_N5 == domains.groups_N5[row]
    negative_N = ~same_N5[:, 2]
    if domains.alike_N[row] >= 0:
        negative_N &= domains.alike_N != domains.alike_N[row]
    for level, rule in levels.items():
        yield level, (same_N5[:, rule["shared"]] & ~same_N5[:, rule["left_out"]], negative_N)


def tabulate(domains: Domains, judged: Sequence[Judged], ours: str | None = None) -> pl.DataFrame:
    """A row a level and method with intervals, then the published rows, marked not comparable.

    Intervals draw whole superfamilies (at the level of superfamilies) or folds. A baseline's note
    tells by how much the AUC of `ours` is above it, over the same draws.
    """
    tasks = read_tasks("homology")
    rows: list[tuple[object, ...]] = []
    for level, rule in tasks["levels"].items():
        groups = domains.groups_N5[:, rule["group"]]
        mine = next((j.levels[level] for j in judged if j.name == ours), None)
        for one in judged:
            figures = one.levels[level]
            means = mean_intervals(figures, groups)
            note = ""
            if mine is not None and one.name != ours:
                off = difference_interval(mine.auc_Q, figures.auc_Q, groups)
                told = f"AUC of {ours} is higher by {off.value:.3f} [{off.low:.3f}, {off.high:.3f}]"
                note = "" if np.isnan(off.value) else told
            count = int((~np.isnan(figures.auc_Q)).sum())
            rows.append((level, one.name, count, *means["hit_10"], *means["auc"], "", note))
        for name, values in tasks["published"].items():
            if isinstance(values, dict):
                hit, auc = values[level]["hit_10"], values[level]["auc"]
                note = f"{tasks['published']['source']}"
                rows.append((level, name, None, hit, None, None, auc, None, None, "no", note))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _numbered(values: Sequence[str]) -> Ints:
    return np.unique(np.array(values), return_inverse=True)[1].astype(np.int64)
