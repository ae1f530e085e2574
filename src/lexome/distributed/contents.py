"""The table of contents of a saved state: read without trusting it, compared with what is asked."""

import io
import pickle
import zipfile
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader, _StorageInfo
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from lexome.errors import CheckpointError

# DCP keeps the table as a pickle. This is all that it may name: records and types of tensors.
NAMES = {
    "torch.distributed.checkpoint.metadata": {
        "Metadata", "MetadataIndex", "StorageMeta", "TensorStorageMetadata",
        "ChunkStorageMetadata", "TensorProperties", "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch": {"Size", "float32", "float64", "bfloat16", "float16", "int64", "int32", "bool"},
    "torch.serialization": {"_get_layout"},  # looks a name up in torch's table of layouts
    "pathlib": {"Path", "PosixPath", "WindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "WindowsPath"},
}  # fmt: skip


class CheckedReader(FileSystemReader):
    """DCP's reader, given a table of contents that was checked: it unpickles nothing itself."""

    def __init__(self, path: Path, contents: Metadata) -> None:
        super().__init__(path)
        self.contents = contents

    def read_metadata(self) -> Metadata:
        """The checked one. Without further arguments, DCP looks for no other where this fails."""
        return self.contents


def read_contents(path: Path) -> Metadata:
    """The table of contents at `path`; nothing but records of tensors is constructed.

    Raises:
        CheckpointError: a missing or damaged file, one that names a foreign class or function, or
            one that points to files elsewhere.
    """
    try:
        with path.open("rb") as file:
            contents = _Unpickler(file, path).load()
        if not isinstance(contents, Metadata):
            raise TypeError(f"a {type(contents).__name__}")
        strangers = _strangers(contents)
    except CheckpointError:
        raise
    except Exception as problem:  # damaged bytes may lead to any error at all
        text = " ".join(str(problem).split())[:200]
        raise CheckpointError(
            str(path),
            f"no readable table of contents ({type(problem).__name__}: {text})",
            "what Lexome wrote there",
            "a copy of that folder, or another output",
        ) from problem
    if strangers:
        raise CheckpointError(
            str(path), strangers[0], "tensors in files beside it", "states that Lexome wrote"
        )
    return contents


def check_same(path: Path, contents: Metadata, asked: dict[str, Any]) -> None:
    """Compare names, shapes and types of tensors with nested tables of them.

    Raises:
        CheckpointError: the first one that differs, by its name.
    """
    wanted = {name: (tuple(t.shape), t.dtype) for name, t in flatten(asked).items()}
    there = {
        name: (tuple(entry.size), entry.properties.dtype)
        for name, entry in contents.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    for name in {**wanted, **there}:
        if wanted.get(name) != there.get(name):
            raise CheckpointError(
                f"{path}, {name}",
                _describe(there.get(name)),
                _describe(wanted.get(name)),
                "the recipe that the run was begun with, or another output",
            )


def check_sums(path: Path, contents: Metadata, rank: int, ranks: int) -> None:
    """Every `ranks`-th tensor from `rank` on is as it was written, by the sums beside its bytes.

    DCP writes each tensor as a zip file of its own but does not look at these sums.

    Raises:
        CheckpointError: a file that is missing, cut short or changed.
    """
    for place in list(contents.storage_data.values())[rank::ranks]:
        where = path / place.relative_path
        try:
            with where.open("rb") as file:
                file.seek(place.offset)
                with zipfile.ZipFile(io.BytesIO(file.read(place.length))) as tensor:
                    broken = tensor.testzip()
        except Exception as problem:  # damaged bytes may lead to any error at all
            broken = f"{type(problem).__name__}: {problem}"
        if broken is not None:
            raise CheckpointError(
                str(where),
                f"damaged tensors ({broken})",
                "what Lexome wrote there",
                "a copy of that folder, or another output",
            )


class _Unpickler(pickle.Unpickler):
    """Constructs what NAMES holds, and nothing else."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _member  # how Python 3.11.0 to 3.11.3 pickle a member of an enum
        if name in NAMES.get(module, ()):
            return super().find_class(module, name)
        raise CheckpointError(
            str(self.path),
            f"{module}.{name}, which loading would call",
            "records of tensors only",
            "states that Lexome wrote",
        )


def _member(kind: Any, name: str) -> Enum:
    """A member of an enum, and nothing else that `getattr` could fetch."""
    if not (isinstance(kind, type) and issubclass(kind, Enum)) or name not in kind.__members__:
        raise pickle.UnpicklingError(f"getattr of {kind!r}")
    return kind[name]


def _strangers(contents: Metadata) -> list[str]:
    """Entries that are no tensors, and files that do not lie beside the table."""
    entries, places = contents.state_dict_metadata, contents.storage_data
    found = [f"{n}, which is no tensor" for n, e in entries.items() if not _is_tensor(e)]
    found += [
        f"a tensor in {place!r}"
        for place in places.values()
        if not isinstance(place, _StorageInfo)
        or Path(place.relative_path).name != place.relative_path
        or place.transform_descriptors
    ]
    return found if entries else ["no tensors"]


def _is_tensor(entry: object) -> bool:
    return isinstance(entry, TensorStorageMetadata) and isinstance(entry.size, torch.Size)


def flatten(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, names joined by dots as DCP joins them."""
    out: dict[str, Any] = {}
    for key, value in tables.items():
        out |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return out


def _describe(found: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    if found is None:
        return "no such tensor"
    shape, dtype = found
    return f"{' x '.join(map(str, shape)) or 'one number'} ({str(dtype).removeprefix('torch.')})"
