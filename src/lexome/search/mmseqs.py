"""Which sequences of one file are similar to those of another, or to each other, by MMseqs2."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lexome.devices import num_cores
from lexome.errors import EnvironmentProblem
from lexome.io.fasta import read_fasta

# The most sensitive search, and alignments that chance alone would give kept too: what decides is
# identity and coverage.
OPTIONS = ["-s", "7.5", "-e", "10", "--alignment-mode", "3", "-v", "1"]
COLUMNS = "query,target,fident,qcov,tcov"
# A query is aligned with its best targets by an ungapped score: so many at the least, or one in so
# many of a large file. Chance takes the places of remote kin: of 76,199 proteins 1,000 gave 863 of
# the pairs of 150 queries, 4,000 all of the 865 that 30,000 give. A query for which half of the
# aligned ones or more prove similar may have further kin, and is asked again.
ALIGNED, ONE_IN = 4000, 75
WIDER = 10  # so many times as many


class Hit(NamedTuple):
    """A query and a target that are similar."""

    query: str
    target: str
    identity: float  # equal residues as a share of the alignment


def find_mmseqs() -> str:
    """The program's path.

    Raises:
        EnvironmentProblem: it is not installed.
    """
    found = shutil.which("mmseqs")
    if found is None:
        raise EnvironmentProblem(
            "similarity search",
            "no `mmseqs` on the PATH",
            "MMseqs2",
            "`apt-get install mmseqs2` or `conda install -c bioconda mmseqs2`; without it, "
            'similarity = "kmers" with identity = 0.45 sees close kin',
        )
    return found


def mmseqs_version() -> str:
    """What `mmseqs version` says."""
    done = subprocess.run([find_mmseqs(), "version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def similar(
    queries: Path, targets: Path, identity: float, coverage: float, folder: Path
) -> Iterator[Hit]:
    """Pairs with at least `identity` over at least `coverage` of either of the two.

    Files are FASTA, names one plain word each (MMseqs2 shortens `sp|P12345|NAME`). Pairs that as
    many targets would show ten times by chance (E > 10) are left out: of short proteins many
    align somewhere. A query with very many kin is searched for again, wider, and gives its pairs
    a second time. `folder` holds MMseqs2's own files, which take some times the size of both, and
    is removed.

    Raises:
        EnvironmentProblem: no MMseqs2, or a search that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        aligned = max(ALIGNED, _count(targets) // ONE_IN)
        while queries.stat().st_size and targets.stat().st_size:
            hits: Counter[str] = Counter()
            for hit in _search(queries, targets, identity, coverage, aligned, folder):
                hits[hit.query] += 1
                yield hit
            full = {query for query, number in hits.items() if number >= aligned // 2}
            if not full:
                return
            queries, aligned = _some_of(queries, full, folder / "again.fasta"), aligned * WIDER
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cluster(fasta: Path, identity: float, coverage: float, folder: Path) -> Iterator[list[str]]:
    """Names of the members of each cluster of proteins, every name of the file in one of them.

    `mmseqs easy-cluster` with connected components: whoever aligns to a member at `identity`,
    over `coverage` of both, joins its cluster, as far as MMseqs2's own cascade looks. Proteins
    only: of the reverse complements of 50 random DNA sequences it joined 5.

    Raises:
        EnvironmentProblem: no MMseqs2, or a run that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        made = Path(own) / "made"
        command = [find_mmseqs(), "easy-cluster", str(fasta), str(made), str(Path(own) / "work")]
        command += ["--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "0"]
        command += ["--cluster-mode", "1", "--dbtype", "1", "-v", "1"]
        _run([*command, "--threads", str(num_cores())], folder)
        members: dict[str, list[str]] = {}
        with Path(f"{made}_cluster.tsv").open(encoding="utf-8") as lines:
            for line in lines:
                head, member = line.rstrip("\n").split("\t")
                members.setdefault(head, []).append(member)
    yield from members.values()


def bit_scores(
    queries: Path, targets: Path, folder: Path, highest_e: float = 1000.0
) -> Iterator[tuple[str, str, float]]:
    """Query, target and bits of each pair that the most sensitive search aligns.

    A query and a target may come several times. Up to `highest_e` such pairs a query stand by
    chance: kin of very low similarity are among them. `folder` is as in `similar`.

    Raises:
        EnvironmentProblem: no MMseqs2, or a search that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        table = folder / "bits.tsv"
        command = [find_mmseqs(), "easy-search", str(queries), str(targets), str(table)]
        command += [str(folder / "work"), "-s", "7.5", "-e", str(highest_e), "-v", "1"]
        command += ["--max-seqs", str(max(ALIGNED, _count(targets) // ONE_IN))]
        command += ["--threads", str(num_cores()), "--format-output", "query,target,bits"]
        _run(command, folder)
        with table.open(encoding="utf-8") as lines:
            for line in lines:
                query, target, bits = line.rstrip("\n").split("\t")
                yield query, target, float(bits)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _search(
    queries: Path, targets: Path, identity: float, coverage: float, aligned: int, folder: Path
) -> Iterator[Hit]:
    # A folder of its own: MMseqs2 goes on for a while where its caller was killed.
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        table = Path(own) / "hits.tsv"
        command = [find_mmseqs(), "easy-search", str(queries), str(targets), str(table)]
        command += [str(Path(own) / "work"), *OPTIONS, "--max-seqs", str(aligned)]
        command += ["--min-seq-id", str(identity), "--threads", str(num_cores())]
        _run([*command, "--format-output", COLUMNS], folder)
        with table.open(encoding="utf-8") as lines:
            for line in lines:
                query, target, found, of_query, of_target = line.rstrip("\n").split("\t")
                if float(found) >= identity and max(float(of_query), float(of_target)) >= coverage:
                    yield Hit(query, target, float(found))


def _run(command: list[str], folder: Path) -> None:
    """Run MMseqs2 to its end; it starts programs of its own, which end with it or with us."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate()
        except BaseException:  # Ctrl-C and SIGTERM too
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        last = told.strip().splitlines()[-1:] or ["no message"]
        raise EnvironmentProblem(
            f"mmseqs {command[1]}",
            f"exit code {process.returncode}: {last[0][:200]}",
            "a finished search",
            f"more free disk in {folder}, more memory, or `{' '.join(command)}` by hand",
        )


def _count(fasta: Path) -> int:
    """How many records a file has."""
    with fasta.open("rb") as lines:
        return sum(line.startswith(b">") for line in lines)


def _some_of(fasta: Path, names: set[str], path: Path) -> Path:
    """The records of those names, in a file of their own."""
    kept = [record for record in read_fasta(fasta) if record.id in names]
    path.write_text("".join(f">{record.name}\n{record.sequence}\n" for record in kept))
    return path
