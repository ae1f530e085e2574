"""Files of torch.save: what torch itself reads from them, and nothing that runs."""

import argparse
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexome.checkpoints.torch_files import Placeholder, TorchFile, is_torch_file, read_torch_file
from lexome.errors import CheckpointError

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


def contents():
    """Tensors of every kind, one storage seen twice, and what training leaves beside them."""
    base = torch.arange(60, dtype=torch.float32).reshape(5, 12)
    state = OrderedDict(whole=base, part=base[1:3, 2:9], turned=base.t(), one=torch.tensor(7.0))
    state["none"] = torch.zeros(0, 3)
    state |= {str(d): (torch.arange(9) % 2).to(d) for d in DTYPES}
    state["parameter"] = torch.nn.Parameter(torch.ones(3))
    return {"model": state, "args": argparse.Namespace(layers=3, arch="x"), "step": 12, "l": [1.5]}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_same_is_read_as_torch_reads(tmp_path, zipped):
    path = tmp_path / "a.pt"
    saved = contents()
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert is_torch_file(path)
    found, placeholders = read_torch_file(path)
    assert placeholders == ()
    assert found["args"] == {"layers": 3, "arch": "x"}
    assert (found["step"], found["l"]) == (12, [1.5])
    assert list(found["model"]) == list(saved["model"])
    for name, tensor in saved["model"].items():
        assert found["model"][name].dtype == tensor.dtype
        assert torch.equal(found["model"][name], tensor), name
    assert found["model"]["whole"].data_ptr() == found["model"]["turned"].data_ptr()


def test_what_is_read_can_be_changed_without_changing_the_file(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"x": torch.ones(4)}, path)
    before = path.read_bytes()
    read_torch_file(path).content["x"].mul_(3)
    assert path.read_bytes() == before


class Runs:
    """What a hostile file would do."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, zipped):
    import os

    marker = tmp_path / "ran"
    for call, *args in (
        (os.system, f"touch {marker}"),
        (eval, f"open({str(marker)!r}, 'w')"),
        (exec, f"open({str(marker)!r}, 'w')"),
        (open, str(marker), "w"),
        (getattr, argparse.Namespace(), "x"),
        (__import__, "os"),
    ):
        path = tmp_path / "hostile.pt"
        torch.save(
            {"model": {"x": torch.ones(2)}, "bad": Runs(call, *args)},
            path,
            _use_new_zipfile_serialization=zipped,
        )
        found = read_torch_file(path)
        assert isinstance(found.content["bad"], Placeholder)
        assert any(call.__name__ in name for name in found.placeholders)
        assert torch.equal(found.content["model"]["x"], torch.ones(2))
        assert not marker.exists()


def test_classes_are_named_and_not_imported(tmp_path):
    import sys

    package = tmp_path / "never_imported_module.py"
    package.write_text("raise SystemExit('imported')\n")
    pickled = b"\x80\x02cnever_imported_module\nThing\n)R."
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/version", "3\n")
    sys.path.insert(0, str(tmp_path))
    try:
        found = read_torch_file(path)
    finally:
        sys.path.remove(str(tmp_path))
    assert found.placeholders == ("never_imported_module.Thing",)


def zipped_pickle(path, pickled, storages=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for key, data in storages:
            archive.writestr(f"a/data/{key}", data)
    return path


class Storage:
    """Stands for a storage while a pickle is forged."""

    def __init__(self, count):
        self.count = count


def forged(count, offset, size, stride):
    """A pickle whose tensor looks at its storage as it likes."""

    class Forger(pickle.Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, Storage):
                return ("storage", torch.FloatStorage, "0", "cpu", obj.count)
            return None

    storage = Storage(count)

    class Forged:
        def __reduce__(self):
            rebuild = torch._utils._rebuild_tensor_v2
            return rebuild, (storage, offset, size, stride, False, OrderedDict())

    file = io.BytesIO()
    Forger(file, protocol=2).dump({"x": Forged()})
    return file.getvalue()


@pytest.mark.parametrize(
    ("count", "offset", "size", "stride"),
    [
        (4, 0, (5,), (1,)),
        (4, 1, (4,), (1,)),
        (4, 0, (2, 3), (2, 1)),
        (4, -1, (2,), (1,)),
        (4, 0, (2,), (-1,)),
        (4, 0, (2,), (1, 1)),
        (1 << 40, 0, (1 << 40,), (1,)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, count, offset, size, stride):
    path = zipped_pickle(tmp_path / "a.pt", forged(count, offset, size, stride), [("0", bytes(16))])
    with pytest.raises(CheckpointError, match="broken file"):
        read_torch_file(path)


def test_a_pickle_that_asks_for_endless_memory_is_refused(tmp_path):
    huge = b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b"."
    with pytest.raises(CheckpointError, match="impossible number"):
        read_torch_file(zipped_pickle(tmp_path / "a.pt", huge))


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "a.pt"
    for content, seen in (
        (b"", "broken file"),
        (b"hello", "broken file"),
        (pickle.dumps({"a": 1}), "no file of torch.save"),
        (b"PK\x03\x04" + bytes(40), "broken file"),
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=seen) as caught:
            read_torch_file(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="no such file"):
        read_torch_file(tmp_path / "absent.pt")


def saved_bytes(zipped):
    file = io.BytesIO()
    torch.save(
        {"model": {"x": torch.ones(3, 2), "y": torch.arange(3)}, "args": argparse.Namespace(a=1)},
        file,
        _use_new_zipfile_serialization=zipped,
    )
    return file.getvalue()


WHOLE = {zipped: saved_bytes(zipped) for zipped in (True, False)}


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.data())
def test_broken_bytes_never_end_in_anything_but_one_clear_error(tmp_path_factory, zipped, data):
    whole = bytearray(WHOLE[zipped])
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole)))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(whole) - 1))
            whole[at] = data.draw(st.integers(0, 255))
    path = Path(tmp_path_factory.getbasetemp()) / "broken.pt"
    path.write_bytes(bytes(whole))
    try:
        found = read_torch_file(path)
    except CheckpointError as refused:
        found = refused
    # Where what was hit did not matter to the reader, it has read the file.
    assert isinstance(found, TorchFile) or "\n" not in str(found)
