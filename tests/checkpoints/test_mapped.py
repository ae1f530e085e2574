"""Tensors mapped one by one are those that the library reads, and give their room back."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.checkpoints.mapped import DTYPES, map_tensors
from lexome.checkpoints.weight_files import read_tensors
from lexome.errors import CheckpointError


def test_every_dtype_and_shape_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {
        str(dtype): (torch.arange(6).reshape(2, 3) % 2).to(dtype) for dtype in DTYPES.values()
    }
    tensors |= {"empty": torch.empty(0, 4), "one": torch.tensor(3.5), "odd": torch.ones(3).bool()}
    save_file(tensors, path)
    found = dict(map_tensors(path, list(tensors)))
    for name, expected in load_file(path).items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert torch.equal(found[name], expected), name


def test_changing_a_tensor_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(5000)}, path)
    before = path.read_bytes()
    ((_, weight),) = map_tensors(path, ["weight"])
    weight += 1
    assert float(weight.sum()) == 5000
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what is mapped")
def test_a_tensor_gives_its_room_back_when_it_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({name: torch.ones(1 << 20) for name in "ab"}, path)

    def count_mapped() -> int:
        return Path("/proc/self/maps").read_text().count(str(path))

    tensors = dict(map_tensors(path, ["a", "b"]))
    assert count_mapped() == 2
    del tensors["a"]
    assert count_mapped() == 1
    assert float(tensors["b"].sum()) == 1 << 20


def test_a_dtype_that_torch_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(4).to(torch.float8_e5m2)}, path)
    with pytest.raises(CheckpointError, match="the dtype F8_E5M2 of weight"):
        read_tensors(tmp_path)
