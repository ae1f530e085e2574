"""The same weights in other clothes: sharded, without prefix, in fp16, beside an optimiser, old."""

import argparse
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.checkpoints.layouts import load_path, model_files
from lexome.errors import CheckpointError
from tests.checkpoints.families import read_fixture


@pytest.fixture
def copy(tmp_path):
    def make(name):
        target = tmp_path / name
        shutil.copytree(read_fixture(name).path, target, copy_function=shutil.copy)
        for path in [target, *target.iterdir()]:
            path.chmod(0o755)
        return target

    return make


def weights_of(path):
    return load_path(path).network.state_dict()


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def tensors_in(directory):
    if (directory / "model.safetensors").exists():
        return load_file(directory / "model.safetensors")
    return torch.load(directory / "pytorch_model.bin", weights_only=True)


def write_shards(directory, kind):
    """Three shards and their index instead of one file."""
    tensors = tensors_in(directory)
    stem, end = kind.split(".")
    files, shards = {}, {}
    for i, (name, tensor) in enumerate(tensors.items()):
        file = f"{stem}-{i % 3 + 1:05d}-of-00003.{end}"
        files[name] = file
        shards.setdefault(file, {})[name] = tensor.contiguous()
    for file, content in shards.items():
        if end == "safetensors":
            save_file(content, directory / file)
        else:
            torch.save(content, directory / file)
    for one in ("model.safetensors", "pytorch_model.bin"):
        (directory / one).unlink(missing_ok=True)
    index = {"metadata": {}, "weight_map": files}
    (directory / f"{kind}.index.json").write_text(json.dumps(index))


HF = ["esm2-hf-tiny", "esm1b-hf-tiny", "nt-v1-tiny", "nt-v2-tiny", "dnabert-tiny", "bert-tiny"]


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("name", HF)
def test_shards_with_an_index_load_alike(copy, name, kind):
    whole = weights_of(read_fixture(name).path)
    directory = copy(name)
    write_shards(directory, kind)
    assert same(weights_of(directory), whole)
    assert len(model_files(directory)) == 3
    model_files(directory)[1].unlink()
    with pytest.raises(CheckpointError, match=r"no .*00002-of-00003"):
        load_path(directory)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", HF)
def test_a_bin_of_either_format_loads_like_safetensors(copy, name, zipped):
    whole = weights_of(read_fixture(name).path)
    directory = copy(name)
    tensors = tensors_in(directory)
    for one in ("model.safetensors", "pytorch_model.bin"):
        (directory / one).unlink(missing_ok=True)
    torch.save(tensors, directory / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert same(weights_of(directory), whole)


@pytest.mark.parametrize("name", ["esm2-hf-tiny", "esm1b-hf-tiny", "nt-v2-tiny"])
def test_a_base_models_file_without_prefix_and_head_loads(copy, name):
    whole = weights_of(read_fixture(name).path)
    directory = copy(name)
    bare = {
        k.removeprefix("esm."): v
        for k, v in tensors_in(directory).items()
        if not k.startswith("lm_head.")
    }
    save_file(bare, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match="no lm_head tensor"):
        load_path(directory)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"architectures": ["EsmModel"]}))
    found = weights_of(directory)
    assert all(torch.equal(found[k], whole[k]) for k in found)
    assert not any("language_model_head" in k for k in found)


@pytest.mark.parametrize("name", HF)
def test_fp16_tensors_become_fp32(copy, name):
    directory = copy(name)
    tensors = {
        k: v.half() if v.is_floating_point() else v for k, v in tensors_in(directory).items()
    }
    (directory / "pytorch_model.bin").unlink(missing_ok=True)
    save_file({k: v.clone() for k, v in tensors.items()}, directory / "model.safetensors")
    whole, found = weights_of(read_fixture(name).path), weights_of(directory)
    assert all(v.dtype == torch.float32 for v in found.values())
    assert all(torch.equal(found[k], whole[k].half().float()) for k in found)


FAIR = ["esm2-fair-tiny", "esm1b-fair-tiny", "esm1v-fair-tiny", "msa1b-fair-tiny"]


def fair_file(directory):
    return next(p for p in directory.glob("*.pt") if "regression" not in p.name)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", FAIR)
def test_a_fair_file_of_either_format_with_an_optimiser_beside_it(copy, name, zipped):
    whole = weights_of(read_fixture(name).path)
    directory = copy(name)
    path = fair_file(directory)
    content = torch.load(path, weights_only=False)
    content["last_optimizer_state"] = {
        "state": {i: {"exp_avg": torch.ones(500), "step": 3} for i in range(3)},
        "groups": [argparse.Namespace(lr=1e-3)],
    }
    content["extra_state"] = {"epoch": 7}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = load_path(directory)
    assert same(loaded.network.state_dict(), whole)
    notes = " ".join(loaded.notes)
    assert "last_optimizer_state in the file: not needed" in notes
    assert same(weights_of(path), whole)  # the file itself is a model too


@pytest.mark.parametrize("zipped", [True, False])
def test_a_head_stored_by_itself_keeps_its_mask_row_as_the_reference_does(copy, zipped):
    directory = copy("esm1b-fair-tiny")
    path = fair_file(directory)
    content = torch.load(path, weights_only=False)
    content["model"]["encoder.lm_head.weight"] = content["model"]["encoder.lm_head.weight"].clone()
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert weights_of(directory)["embedding.tokens.weight"][32].any()
    content["model"]["encoder.lm_head.weight"][3] += 1
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"two different tensors for embedding\.tokens"):
        load_path(directory)


@pytest.mark.parametrize("name", [*HF, *FAIR])
def test_one_tensor_more_or_less_is_refused_by_name(copy, name):
    directory = copy(name)
    if name in FAIR:
        path = fair_file(directory)
        content = torch.load(path, weights_only=False)

        def write(tensors):
            torch.save(content | {"model": tensors}, path)

        tensors, victim = content["model"], "encoder.sentence_encoder.emb_layer_norm_after.bias"
    else:
        tensors = tensors_in(directory)
        (directory / "pytorch_model.bin").unlink(missing_ok=True)

        def write(tensors):
            save_file({k: v.clone() for k, v in tensors.items()}, directory / "model.safetensors")

        victim = next(k for k in tensors if k.endswith("layer.1.output.dense.weight"))
    write({**tensors, "encoder.surprise.weight": torch.ones(2)})
    with pytest.raises(CheckpointError, match="surprise"):
        load_path(directory)
    write({k: v for k, v in tensors.items() if k != victim})
    with pytest.raises(CheckpointError, match="saw weights without"):
        load_path(directory)
    write(tensors | {victim: torch.ones(3)})
    with pytest.raises(CheckpointError, match=r"of shape \(3,\)"):
        load_path(directory)


def test_two_models_in_a_directory_are_not_guessed_between(copy):
    directory = copy("esm1v-fair-tiny")
    path = fair_file(directory)
    shutil.copy(path, path.with_name("esm1v_t2_tiny_2.pt"))
    with pytest.raises(CheckpointError, match="2 files of models"):
        load_path(directory)
    assert load_path(path).layout == "fair-esm1v"


def test_a_vocabulary_with_eos_and_no_row_for_it_is_refused(copy):
    directory = copy("nt-v1-tiny")
    config = json.loads((directory / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(Exception, match="'<eos>' as token 4105 and 4,105 rows"):
        load_path(directory)
    directory = copy("nt-v2-tiny")
    config = json.loads((directory / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_path(directory).tokenizer.encode("ACGTAC")[-1] == 4
