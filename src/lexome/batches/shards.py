"""A corpus on disk: immutable shards of tokens, memory-mapped, with an index and a manifest."""

# Letters: B sequences asked for at once, N sequences of a shard.
import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import EnvironmentProblem, InputError
from lexome.results.files import hash_file

MANIFEST = "manifest.json"
FORMAT = 1
PARTS = ("train", "heldout")
REMAKE = "removing that folder: `lexome pretrain` makes the corpus again from its sources"
SPARE_FILES = 256  # open files left to the rest of the process


class Shard(NamedTuple):
    """One pair of files: `NAME.tokens` (uint8, residues end to end, no special tokens) and
    `NAME.index` (int64, little-endian: where each sequence begins, and the end of the last)."""

    name: str
    sequences: int
    residues: int
    sha256_tokens: str
    sha256_index: str


class Part:
    """The shards of one part as if they were one list of sequences.

    The files are mapped: pages that were read count as memory of the process, but the system
    takes them back whenever it wants them, so what the process needs does not grow with them.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        self.shards = list(shards)
        self.firsts = np.cumsum([0, *(shard.sequences for shard in shards)], dtype=np.int64)
        ids, places = np.dtype(np.uint8), np.dtype("<i8")
        self._tokens = [_map(folder / f"{s.name}.tokens", ids, s.residues) for s in shards]
        self._index = [_map(folder / f"{s.name}.index", places, s.sequences + 1) for s in shards]

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return int(self.firsts[-1])

    @property
    def residues(self) -> int:
        """How many residues they have together."""
        return sum(shard.residues for shard in self.shards)

    def lengths(self, numbers_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Residues of some sequences."""
        shards_B, rows_B = self._places(numbers_B)
        out_B = np.empty(len(numbers_B), np.int64)
        for shard in np.unique(shards_B):
            here = shards_B == shard
            index, rows = self._index[shard], rows_B[here]
            out_B[here] = index[rows + 1] - index[rows]
        return out_B

    def shard_arrays(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Each shard as it lies on disk: all residues end to end, and where sequences begin."""
        yield from zip(self._tokens, self._index, strict=True)

    def residues_of(
        self, number: int, start: int = 0, stop: int | None = None
    ) -> NDArray[np.uint8]:
        """The ids of a sequence, or of its residues [start, stop); a view into the file."""
        shard = int(np.searchsorted(self.firsts, number, side="right")) - 1
        index, row = self._index[shard], number - int(self.firsts[shard])
        begin, end = int(index[row]), int(index[row + 1])
        return self._tokens[shard][begin + start : end if stop is None else begin + stop]

    def _places(self, numbers_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        shards_B = np.searchsorted(self.firsts, numbers_B, side="right") - 1
        return shards_B, numbers_B - self.firsts[shards_B]


class Corpus(NamedTuple):
    """What pre-training reads."""

    folder: Path
    manifest: dict[str, Any]
    train: Part
    heldout: Part

    @property
    def heldout_groups(self) -> NDArray[np.int64]:
        """The similarity group of each held-out sequence, for intervals over groups."""
        return np.array(self.manifest["heldout_groups"], np.int64)

    @property
    def fingerprint(self) -> str:
        """A hash of every shard's hash: two corpora with the same one are the same."""
        hashes = [
            s.sha256_tokens + s.sha256_index for p in (self.train, self.heldout) for s in p.shards
        ]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()


def open_corpus(folder: str | Path) -> Corpus:
    """Map a corpus; sizes are checked here, contents by `verify_shards`.

    Raises:
        InputError: no corpus there, of another format, or a file of the wrong size.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(str(folder), f"no {MANIFEST}", "a corpus of token shards", REMAKE)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise InputError(str(path), f"format {manifest['format']}", str(FORMAT), REMAKE)
        parts = [[Shard(**entry) for entry in manifest["parts"][part]] for part in PARTS]
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(
            str(path), "no readable manifest", "what Lexome wrote", REMAKE
        ) from problem
    _allow_files(2 * sum(map(len, parts)) + SPARE_FILES)
    return Corpus(folder, manifest, *(Part(folder, shards) for shards in parts))


def verify_shards(
    corpus: Corpus, rank: int = 0, ranks: int = 1, advance: Callable[[int], None] = lambda n: None
) -> None:
    """Hash every `ranks`-th file from `rank` on and compare it with the manifest.

    Raises:
        InputError: a file that was changed on disk since the corpus was made.
    """
    every = [
        (f"{shard.name}.{ending}", expected)
        for part in (corpus.train, corpus.heldout)
        for shard in part.shards
        for ending, expected in (("tokens", shard.sha256_tokens), ("index", shard.sha256_index))
    ]
    for name, expected in every[rank::ranks]:
        found = hash_file(corpus.folder / name, advance)
        if found != expected:
            raise InputError(
                str(corpus.folder / name),
                f"contents with the hash {found[:12]}",
                f"{expected[:12]}, as when the corpus was made",
                REMAKE,
            )


def write_manifest_parts(parts: Mapping[str, Sequence[Shard]]) -> dict[str, list[dict[str, Any]]]:
    """The shards of each part as the manifest spells them."""
    return {part: [shard._asdict() for shard in parts[part]] for part in PARTS}


def _map(path: Path, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    expected = count * dtype.itemsize
    try:
        seen = path.stat().st_size
        if seen == expected and count:
            # a plain view: slices of np.memmap itself take several times as long
            return np.memmap(path, dtype, mode="r").view(np.ndarray)
    except FileNotFoundError as problem:
        raise InputError(str(path), "no such file", "a shard of the manifest", REMAKE) from problem
    except OSError as problem:
        if problem.errno != errno.EMFILE:
            raise
        raise EnvironmentProblem(
            str(path),
            "no further file that this process may open",
            "two open files a shard",
            "`ulimit -n 65536`, or a corpus with a larger data.shard_residues",
        ) from problem
    if seen != expected:
        raise InputError(str(path), f"{seen:,} bytes", f"{expected:,}, as {MANIFEST} says", REMAKE)
    return np.zeros(0, dtype)


def _allow_files(count: int) -> None:
    """Ask for as many open files as a large corpus needs: a mapped file stays open.

    Most systems give a process 1,024 at first, enough for some 400 shards, and more on request.
    """
    try:
        import resource
    except ImportError:  # not a Unix: no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), hard))
