"""Files of `torch.save`, read by an unpickler that can make tensors and nothing else.

A pickle is a program. This one may only call what stands in `_KNOWN`: what makes tensors, plain
dicts, and namespaces that become dicts. Every other class that it names is never imported: an
inert placeholder takes its place and is named in the result. Both formats are read, the zip files
of today and what torch wrote before 1.6; tensors lie in the mapped file until they are used.
"""

import errno
import io
import mmap
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from lexome.errors import CheckpointError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how the older format begins
MOST_PICKLE = 256 << 20  # bytes; a checkpoint of 15 billion parameters has less than one million
_HEADER = 30  # bytes of a zip entry before its name


class TorchFile(NamedTuple):
    """What a file holds."""

    content: Any  # dicts, lists, numbers, texts and tensors
    placeholders: tuple[str, ...]  # classes that it names and that were not made


class Placeholder:
    """Stands for an object of a class that is not read."""

    def __new__(cls, *args: object, **kwargs: object) -> "Placeholder":
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None: ...
    def __setstate__(self, state: object) -> None: ...
    def __setitem__(self, key: object, value: object) -> None: ...
    def append(self, value: object) -> None: ...
    def extend(self, values: object) -> None: ...
    def add(self, value: object) -> None: ...


def is_torch_file(path: Path) -> bool:
    """Whether a file begins like one of `torch.save`."""
    with path.open("rb") as file:
        start = file.read(4)
    return start == b"PK\x03\x04" or start[:1] == b"\x80"


def read_torch_file(path: Path) -> TorchFile:
    """The content of a file that `torch.save` wrote; nothing in it can run.

    Raises:
        CheckpointError: no such file, a broken one, or one that asks for more than tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        return _read_old(path)
    except CheckpointError:
        raise
    except FileNotFoundError:
        _refuse(path, "no such file")
    except OSError as problem:
        if problem.errno != errno.EINVAL:  # a place in the file that cannot be
            raise
        _refuse(path, f"a broken file ({problem})")
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, ValueError, KeyError,
        IndexError, TypeError, AttributeError, OverflowError, RuntimeError, RecursionError,
        zlib.error,
    ) as problem:  # fmt: skip
        # Whatever a hostile or cut-off pickle makes the unpickler stumble over.
        _refuse(path, f"a broken file ({type(problem).__name__}: {str(problem)[:120]})")


class _Storage(NamedTuple):
    """A run of numbers in the file; `at` is None while the older format is surveyed."""

    dtype: torch.dtype
    size: int
    at: int | None
    data: mmap.mmap


class _Sized(NamedTuple):
    """A storage class by the type of its numbers."""

    dtype: torch.dtype


class _Call:
    """A function that a pickle may call; made anew each time, so that none can be changed."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


class _Dict(dict[Any, Any]):
    """An ordered dict; what torch hangs on it beside its items is left out."""

    def __setstate__(self, state: object) -> None: ...


class _Namespace(dict[str, Any]):
    """argparse.Namespace as plain data."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.update(state)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view into a storage, after a check that it stays within."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.size:
        raise pickle.UnpicklingError("a tensor that reaches beyond its storage")
    if 0 in size:
        return torch.empty(tuple(size), dtype=storage.dtype)
    if storage.at is None:
        return torch.empty(tuple(size), dtype=storage.dtype, device="meta")
    # The older format does not align its numbers; whoever computes with them copies them first.
    start, count = storage.at + offset * storage.dtype.itemsize, last - offset + 1
    flat = torch.frombuffer(storage.data, dtype=storage.dtype, count=count, offset=start)
    return flat.as_strided(tuple(size), tuple(stride))


def _text_as_bytes(text: str, encoding: str = "latin1") -> bytes:
    return text.encode(encoding if encoding in ("latin1", "ascii", "utf-8") else "latin1")


_KNOWN: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *rest: data,
    "torch.Size": tuple,
    "_codecs.encode": _text_as_bytes,
    "collections.OrderedDict": _Dict,
    "argparse.Namespace": _Namespace,
    "torch.storage.UntypedStorage": _Sized(torch.uint8),
    **{
        f"torch.{name}Storage": _Sized(dtype)
        for name, dtype in {
            "Float": torch.float32,
            "Double": torch.float64,
            "Half": torch.float16,
            "BFloat16": torch.bfloat16,
            "Long": torch.int64,
            "Int": torch.int32,
            "Short": torch.int16,
            "Char": torch.int8,
            "Byte": torch.uint8,
            "Bool": torch.bool,
        }.items()
    },
}


class _Unpickler(pickle.Unpickler):
    """Makes what `_KNOWN` lists; anything else becomes a placeholder."""

    def __init__(self, file: Any, storage: Callable[[_Sized, str, int], _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.storage, self.placeholders = storage, {}  # type: ignore[var-annotated]

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        found = _KNOWN.get(full)
        if found is None:
            made = type("Placeholder", (Placeholder,), {"stands_for": full})
            return self.placeholders.setdefault(full, made)
        return found if isinstance(found, type | _Sized) else _Call(found)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, sized, key, _, count, *view = pid
        if kind != "storage" or not isinstance(sized, _Sized) or type(count) is not int:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        if count < 0 or view not in ([], [None]):
            raise pickle.UnpicklingError("a view of a storage, as torch wrote before 0.4")
        return self.storage(sized, str(key), count)


def _read_zip(path: Path) -> TorchFile:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        names = {entry.filename: entry for entry in archive.infolist()}
        root = next((n[: -len("data.pkl")] for n in names if n.endswith("/data.pkl")), None)
        if root is None:
            _refuse(path, "a zip file without data.pkl")
        if names[f"{root}data.pkl"].file_size > MOST_PICKLE:
            _refuse(path, f"a pickle of more than {MOST_PICKLE >> 20} MB")
        order = names.get(f"{root}byteorder")
        if order is not None and archive.read(order)[:8] != b"little":
            _refuse(path, "numbers with their highest byte first")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

        def storage(sized: _Sized, key: str, count: int) -> _Storage:
            entry = names[f"{root}data/{key}"]
            at = _begin(data, entry)
            wrong_size = entry.file_size != count * sized.dtype.itemsize
            if entry.compress_type or wrong_size or at + entry.file_size > len(data):
                raise pickle.UnpicklingError(f"the storage {key} is packed or of another size")
            return _Storage(sized.dtype, count, at, data)

        pickled = io.BytesIO(archive.read(f"{root}data.pkl"))
        return _load(pickled, storage)


def _begin(data: mmap.mmap, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a zip entry begin."""
    at = entry.header_offset
    name, extra = struct.unpack("<HH", data[at + 26 : at + _HEADER])
    return int(at + _HEADER + name + extra)


def _read_old(path: Path) -> TorchFile:
    """Five pickles, the fourth of them the object, then the numbers of each storage."""
    with path.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
    surveyed: dict[str, _Storage] = {}

    def survey(sized: _Sized, key: str, count: int) -> _Storage:
        return surveyed.setdefault(key, _Storage(sized.dtype, count, None, data))

    if _load(data, survey).content != MAGIC or _load(data, survey).content != PROTOCOL:
        _refuse(path, "no file of torch.save")
    if not _load(data, survey).content.get("little_endian", False):
        _refuse(path, "numbers with their highest byte first")
    start = data.tell()
    _load(data, survey)
    keys, at = _load(data, survey).content, data.tell()
    placed: dict[str, _Storage] = {}
    for key in map(str, keys):
        count = struct.unpack("<q", data[at : at + 8])[0]
        found = surveyed[key]
        size = found.size * found.dtype.itemsize
        if count != found.size or at + 8 + size > len(data):
            raise pickle.UnpicklingError(f"the storage {key} is cut off or of another size")
        placed[key] = found._replace(at=at + 8)
        at += 8 + size
    data.seek(start)
    return _load(data, lambda sized, key, count: placed[key])


def _load(file: Any, storage: Callable[[_Sized, str, int], _Storage]) -> TorchFile:
    """One pickle, looked through before it is read.

    `file` lies in memory or is mapped: it gives no more than there is, whatever it is asked for.
    """
    start = file.tell()
    number = 0
    for number, (code, value, _) in enumerate(pickletools.genops(file), 1):
        # The reader makes room for every number up to the one that it is told to remember.
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(value or 0) > number:
            raise pickle.UnpicklingError("an object remembered under an impossible number")
    if file.tell() - start > MOST_PICKLE:
        raise pickle.UnpicklingError(f"a pickle of more than {MOST_PICKLE >> 20} MB")
    file.seek(start)
    unpickler = _Unpickler(file, storage)
    content = unpickler.load()
    return TorchFile(content, tuple(sorted(unpickler.placeholders)))


def _refuse(path: Path, seen: str) -> NoReturn:
    raise CheckpointError(
        str(path), seen, "tensors as torch.save writes them", "a fresh download of the file"
    ) from None
