"""Sequence files become a corpus of token shards: cleaned, without copies, with a hold-out."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lexome.batches.shard_writer import ShardWriter, Spool
from lexome.batches.shards import (
    FORMAT,
    MANIFEST,
    PARTS,
    Corpus,
    Shard,
    open_corpus,
    write_manifest_parts,
)
from lexome.errors import EnvironmentProblem, InputError
from lexome.evaluation.kin import check_search
from lexome.results.files import translate_disk_errors, write_json
from lexome.tokenizers.kinds import new_tokenizer
from lexome.training.budget import Announce
from lexome.training.pretraining.kinship import Bucket, Kin, find_kin
from lexome.training.pretraining.recipe import DataRecipe
from lexome.training.pretraining.spooling import Making, residues_at_most, spool_sources

WORK = ".unfinished"


def make_corpus(
    recipe: DataRecipe, folder: Path, base: Path, announce: Announce, quiet: bool = False
) -> Corpus:
    """The corpus at `folder`: found there, or made from the recipe's sources.

    Memory is bounded by one shard and by the held-out and excluded sequences, whatever the
    corpus. Killed, the same call goes on behind the last source that was read whole, or the last
    shard that was searched for kin; the manifest is written last, so a corpus is whole or none.

    Args:
        recipe: the table `data` of a recipe.
        folder: where the shards are, or will be.
        base: the folder that the recipe's paths start from.
        announce: told what is found, in lines of (what, text).
        quiet: no progress bar.

    Raises:
        InputError: a source that is missing, empty or holds letters that cannot be mapped; a
            corpus at `folder` that was made otherwise.
        EnvironmentProblem: no MMseqs2, a full disk, or another process that makes the same.
    """
    if (folder / MANIFEST).exists():
        return _open_same(recipe, folder, base)
    if not recipe.sources:
        raise InputError(
            str(folder),
            "no corpus, and no data.sources to make it from",
            "one of them",
            "`--set data.sources='[\"proteins.fasta\"]'`",
        )
    sources = [_find(base / text) for text in recipe.sources]
    exclude = [_find(base / text) for text in recipe.exclude]
    if recipe.heldout or exclude:
        check_search(recipe.similarity, recipe.identity)
    work = folder / WORK
    with translate_disk_errors(folder), _sole_maker(work):
        if (folder / MANIFEST).exists():  # another process was quicker
            return _open_same(recipe, folder, base)
        residues = sum(map(residues_at_most, sources))
        buckets = max(round(residues / recipe.shard_residues), 1)
        making = Making(
            recipe,
            sources,
            exclude,
            _identity(recipe, [*sources, *exclude]),
            Spool(work / "spool", buckets),
            new_tokenizer(recipe.alphabet),
            announce,
            quiet,
        )
        counted = spool_sources(making, work / "read.json")
        kin = find_kin(making, work / "similar")
        manifest = _write_shards(folder, kin, counted)
        write_json(folder / MANIFEST, manifest)
        shutil.rmtree(work, ignore_errors=True)
    for line in describe(manifest):
        announce("Corpus", line)
    return open_corpus(folder)


def describe(manifest: dict[str, Any]) -> list[str]:
    """What a corpus holds, and what was left out and why."""
    counts = manifest["counts"]
    train, heldout = (
        [sum(s[key] for s in manifest["parts"][part]) for key in ("sequences", "residues")]
        for part in PARTS
    )
    left_out = ", ".join(f"{n:,} {what}" for what, n in counts.items() if what != "read" and n)
    return [
        f"{counts['read']:,} records read; left out: {left_out or 'none'}",
        f"train {train[0]:,} sequences, {train[1]:,} residues; "
        f"held out {heldout[0]:,} sequences, {heldout[1]:,} residues",
    ]


def _write_shards(folder: Path, kin: Kin, sources: list[dict[str, Any]]) -> dict[str, Any]:
    """The shards of both parts; returns the manifest.

    A bucket gives a shard to train on; what is held out is little, and makes one shard.
    """
    making, train = kin.making, []
    _remove_shards(folder)
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update(source["counts"])
    heldout, groups, heldout_sources = ShardWriter(folder / "heldout-00000"), [], []
    for number in range(making.spool.buckets):
        bucket = kin.bucket(number)
        counts.update(_count(bucket))
        writer = ShardWriter(folder / f"train-{number:05d}")
        excluded, seeds = bucket.excluded_N, bucket.seeds_N
        writer.add(making.spool, number, bucket.found, ~(excluded | seeds | bucket.kin_N))
        train.append(writer.close())
        heldout.add(making.spool, number, bucket.found, seeds & ~excluded)
        kept = (~excluded[seeds]).tolist()
        groups += [g for g, is_kept in zip(bucket.groups, kept, strict=True) if is_kept]
        heldout_sources += bucket.found.rows["source"][seeds & ~excluded].tolist()
    parts = {"train": train, "heldout": [heldout.close()]}
    _check_some(making, train)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return {
        "format": FORMAT,
        "identity": making.identity,
        "settings": making.recipe.model_dump(exclude={"corpus"}),
        "sources": sources,
        "excluded_queries": kin.excluded_queries,
        "counts": dict(counts),
        "heldout_groups": [numbers[group] for group in groups],
        "heldout_sources": heldout_sources,
        "parts": write_manifest_parts(parts),
    }


def _count(bucket: Bucket) -> dict[str, int]:
    """Sequences left out of a bucket by reason; each counts once."""
    return {
        "copies": bucket.found.copies,
        "like an excluded one": int(bucket.excluded_N.sum()),
        "like a held-out one": int(np.sum(bucket.kin_N & ~bucket.excluded_N)),
    }


def _check_some(making: Making, train: list[Shard]) -> None:
    if not sum(shard.sequences for shard in train):
        raise InputError(
            ", ".join(map(str, making.sources)),
            "nothing left to train on",
            "some sequences",
            "other sources, or a smaller data.shortest, data.heldout or data.exclude",
        )


def _remove_shards(folder: Path) -> None:
    """What an unfinished making of other settings has left must not lie beside a corpus."""
    for part in PARTS:
        for path in folder.glob(f"{part}-[0-9]*.*"):
            path.unlink()


@contextmanager
def _sole_maker(work: Path) -> Iterator[None]:
    """Let no two processes write the same corpus; the lock falls with the process."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not a Unix
            pass
        except BlockingIOError as problem:
            raise EnvironmentProblem(
                str(work.parent),
                "another process that is making this corpus",
                "to be the only one",
                "the same command when that one has finished, or another data.corpus",
            ) from problem
        yield


def _open_same(recipe: DataRecipe, folder: Path, base: Path) -> Corpus:
    """The corpus that is there, if it is the one that the recipe asks for.

    The sources may be gone (a corpus is copied to where it is trained on); those that are there
    must have the size that they had.
    """
    corpus = open_corpus(folder)
    if recipe.sources:
        paths = [base / text for text in (*recipe.sources, *recipe.exclude)]
        found, asked = dict(corpus.manifest["identity"]), _identity(recipe, paths)
        found["files"] = [
            [name, size if path.is_file() else None]
            for path, (name, size) in zip(paths, found["files"], strict=False)
        ] + found["files"][len(paths) :]
        differing = next((key for key in asked if found.get(key) != asked[key]), None)
        if differing is not None:
            raise InputError(
                str(folder),
                f"a corpus made with {differing} = {found.get(differing)}",
                str(asked[differing]),
                "another data.corpus, or removing that folder",
            )
    shutil.rmtree(folder / WORK, ignore_errors=True)  # a kill behind the manifest has left it
    return corpus


def _identity(recipe: DataRecipe, files: list[Path]) -> dict[str, Any]:
    """What decides the shards, as far as can be told without reading the sources."""
    settings = recipe.model_dump(mode="json", exclude={"corpus", "sources", "exclude"})
    sizes = [[path.name, path.stat().st_size if path.is_file() else None] for path in files]
    return settings | {"files": sizes}


def _find(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            str(path), "no such file", "a file of sequences", "mending the paths in the recipe"
        )
    return path
