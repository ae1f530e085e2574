"""Published files on this machine: fetched once, their hashes held from then on."""

import json
import re
from pathlib import Path
from typing import Any

from lexome.checkpoints.catalogue import Entry, held_name, pinned_revision
from lexome.checkpoints.hashes import hash_unchanged
from lexome.errors import CheckpointError, EnvironmentProblem, InputError
from lexome.io.download import cache_folder, download_file
from lexome.results.files import write_json

# What a model directory may hold that we read; nothing else is fetched from a hub.
WANTED = [
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
]
SAFE = ["*.safetensors", "*.safetensors.index.json"]
TORCH = ["pytorch_model*.bin", "pytorch_model.bin.index.json", "weights.ckpt"]
MOST_BYTES, WHOLE_SECONDS = 64 << 30, 24 * 3600.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(hub_id: str, offline: bool, revision: str | None) -> Path:
    """The local snapshot of a hub repository; honours HF_ENDPOINT and HF_HOME.

    A broken-off download goes on where it stopped. Files whose hashes were held before are
    compared with them. With `offline`, only the cache is looked at and no socket is opened.
    Where the catalogue names a revision, that one is fetched unless another is asked for.

    Raises:
        InputError: no valid hub id.
        EnvironmentProblem: no answer, no such repository or revision, or not in the cache.
        CheckpointError: a file that is not what its hash says, or no longer what it was.
    """
    pinned = pinned_revision(hub_id)
    known_as = held_name(hub_id, pinned)
    held = read_held(known_as)
    directory = _download(hub_id, offline, revision or held.get("revision") or pinned)
    # Of another revision than the pinned one nothing is held: it was asked for by name.
    if (not offline or held) and (held or revision in (None, pinned) or pinned is None):
        hold(known_as, directory.name, directory, held)
    return directory


def _download(hub_id: str, offline: bool, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    def get(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                hub_id, revision=revision, allow_patterns=patterns, local_files_only=offline
            )
        )

    try:
        directory = get([*WANTED, *SAFE])
        if not any(directory.glob("*.safetensors")):  # only then the larger risk and download
            directory = get([*WANTED, *TORCH])
        return directory
    except HFValidationError as problem:
        raise InputError(
            f"model {hub_id!r}", "no valid hub id", "owner/name", "the spelling of the hub id"
        ) from problem
    except LocalEntryNotFoundError as problem:
        raise EnvironmentProblem(
            f"model {hub_id}",
            "nothing in the local cache" + ("" if offline else " and no answer from the hub"),
            "the model's files",
            "a machine with network, HF_ENDPOINT for a mirror, or `--model DIRECTORY`",
        ) from problem
    except (HfHubHTTPError, OSError) as problem:
        first_line = str(problem).strip().splitlines()[0] if str(problem).strip() else "no answer"
        raise EnvironmentProblem(
            f"model {hub_id}", first_line[:200], "the hub's files", "the spelling of the hub id"
        ) from problem


def fetch_file(name: str, entry: Entry, offline: bool) -> Path:
    """The files of a checkpoint of fair-esm, which lies at plain addresses."""
    assert entry.url is not None
    folder = cache_folder("models") / name
    urls = [url for url in (entry.url, entry.contacts_url) if url]
    paths = [folder / url.rsplit("/", 1)[-1] for url in urls]
    for url, path in zip(urls, paths, strict=True):
        if path.is_file():
            continue
        if offline:
            raise EnvironmentProblem(
                f"model {name}",
                "nothing in the local cache",
                path.name,
                f"a machine with network, or `--model DIRECTORY` with {path.name} in it",
            )
        folder.mkdir(parents=True, exist_ok=True)
        download_file(url, path, most_bytes=MOST_BYTES, whole_seconds=WHOLE_SECONDS)
    hold(name, "url", folder, read_held(name))
    return paths[0]


def hold(name: str, revision: str, directory: Path, held: dict[str, Any]) -> None:
    """Compare the weight files with their hashes, and hold those that are new.

    Of a revision other than the held one nothing is held: it was asked for by name.

    Raises:
        CheckpointError: a file that differs from its hash.
    """
    is_other = held.get("revision") not in (None, revision)
    known: dict[str, Any] = {} if is_other else dict(held.get("files", {}))
    for path in sorted(directory.iterdir()):
        if path.suffix not in (".safetensors", ".bin", ".pt", ".ckpt"):
            continue
        size, stamp = path.stat().st_size, path.stat().st_mtime_ns
        before = known.get(path.name)
        if before and (before["size"], before["stamp"]) == (size, stamp):
            continue  # as it was when it was hashed
        found = hash_unchanged(path)  # the loader asks for it again
        # The hub names a large file after its hash.
        stored = path.resolve().name
        told = stored if _SHA256.fullmatch(stored) else None
        for expected, where in ((told, "the hub"), (before and before["sha256"], "the first time")):
            if expected and found != expected:
                raise CheckpointError(
                    str(path),
                    f"a file with the hash {found[:12]}...",
                    f"{expected[:12]}..., as {where} said",
                    f"to delete {path.resolve()} and fetch it again",
                )
        known[path.name] = {"sha256": found, "size": size, "stamp": stamp}
    if not is_other and known != held.get("files"):
        held_path(name).parent.mkdir(parents=True, exist_ok=True)
        write_json(held_path(name), {"revision": revision, "files": known})


def read_held(name: str) -> dict[str, Any]:
    """The revision and the hashes that are held of a model; empty before its first download."""
    path = held_path(name)
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def held_path(name: str) -> Path:
    """Where the hashes of a model are kept."""
    return cache_folder("hashes") / f"{name.replace('/', '--')}.json"
