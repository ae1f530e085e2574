"""Tensors that stand in a safetensors file, each mapped by itself.

The library maps a file as a whole, so the memory of all tensors stays until the last is gone.
A model whose weights are brought into another order would then need room for both. Mapped one
by one, each gives its room back as soon as nothing refers to it.
"""

import json
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def map_tensors(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a file whose header the library has found whole and in bounds.

    Raises:
        ValueError: a dtype that torch does not have.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        for name in names:
            entry = header[name]
            if entry["dtype"] not in DTYPES:
                raise ValueError(f"the dtype {entry['dtype']} of {name}")
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            yield name, _map(file, begin, end, DTYPES[entry["dtype"]]).view(entry["shape"])


def _map(file: BinaryIO, begin: int, end: int, dtype: torch.dtype) -> Tensor:
    if begin == end:
        return torch.empty(0, dtype=dtype)
    page = begin - begin % mmap.ALLOCATIONGRANULARITY
    # A copy on write: training changes weights in place, and the file stays as it is.
    mapped = mmap.mmap(file.fileno(), end - page, access=mmap.ACCESS_COPY, offset=page)
    count = (end - begin) // dtype.itemsize
    return torch.frombuffer(mapped, dtype=dtype, count=count, offset=begin - page)
