"""Every family written in its layout and read again: bit for bit, and by its reference package."""

import pytest
import torch
from safetensors.torch import load_file

from lexome.checkpoints.convert import convert_model
from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError, InputError
from lexome.inference.certificate import certify
from tests.checkpoints.decoders import read_decoder
from tests.checkpoints.families import FAMILIES, read_fixture
from tests.commands import call_main


def published(path):
    if (path / "model.safetensors").exists():
        return load_file(path / "model.safetensors")
    return torch.load(path / "pytorch_model.bin", weights_only=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_survives_its_layout_bit_for_bit(name, tmp_path):
    fixture = read_fixture(name)
    before = load_path(fixture.path)
    done = convert_model(str(fixture.path), tmp_path / "out")
    after = load_path(done.path)
    assert after.layout == before.layout.replace("fair-", "")
    assert after.tokenizer.vocabulary == before.tokenizer.vocabulary
    ours, again = before.network.state_dict(), after.network.state_dict()
    assert ours.keys() == again.keys()
    assert all(torch.equal(ours[key], again[key]) for key in ours)
    if "fair" not in name:  # also by the names and numbers of the published file
        original, written = published(fixture.path), published(tmp_path / "out")
        used = before.accounting.used
        prefixed = {
            key.split(".", 1)[1] if key.startswith(("esm.", "bert.")) else key: key
            for key in original
        }
        kept = {prefixed[key] for key in used if key in prefixed}
        assert len(kept) > 20
        for key in kept - {"lm_head.decoder.weight", "cls.predictions.decoder.weight"}:
            if key in written:
                assert torch.equal(original[key].float(), written[key].float()), key


DECODERS = ["gpt2-tiny", "progen2-tiny", "progen2-official-tiny", "evo1-8k-tiny", "evo1-131k-tiny"]


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_decoder_survives_its_layout_bit_for_bit(name, dtype, tmp_path):
    fixture = read_decoder(name)
    before = load_path(fixture.path)
    done = convert_model(str(fixture.path), tmp_path / "out", dtype=dtype)
    after = load_path(done.path)
    assert after.layout == before.layout
    assert after.tokenizer.settings() == before.tokenizer.settings()
    assert after.network.config == before.network.config
    original, written = published(fixture.path), published(tmp_path / "out")
    compared = 0
    for key in before.accounting.used:
        name = next((n for n in original if n == key or n.endswith(f".{key}")), None)
        if name in original and name in written:
            stays = name.endswith(("poles", "residues"))
            asked = original[name] if stays else original[name].to(getattr(torch, FORMATS[dtype]))
            assert torch.equal(asked.float(), written[name].float()), name
            assert not stays or written[name].dtype == torch.float32
            compared += 1
    assert compared > 15


FORMATS = {"fp32": "float32", "bf16": "bfloat16"}


@pytest.mark.parametrize("name", ["esm2-hf-tiny", "esm1b-hf-tiny", "esm1v-hf-tiny"])
def test_there_and_back_through_fair_esms_files(name, tmp_path):
    fixture = read_fixture(name)
    before = load_path(fixture.path).network.state_dict()
    there = convert_model(str(fixture.path), tmp_path / "fair", to="fair")
    assert there.path.suffix == ".pt"
    assert there.became == f"fair-{there.layout}"
    back = convert_model(str(there.path), tmp_path / "hf")
    after = load_path(back.path).network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    pytest.importorskip("esm")
    found = certify(str(there.path))
    assert found.passed
    assert found.reference.startswith("fair-esm")


@pytest.mark.parametrize("name", ["esm1b-fair-tiny", "nt-v1-tiny", "dnabert-tiny", "bert-tiny"])
def test_transformers_reads_what_was_written(name, tmp_path):
    pytest.importorskip("transformers")
    done = convert_model(str(read_fixture(name).path), tmp_path / "out")
    found = certify(str(done.path))
    assert found.passed
    assert found.reference.startswith("transformers")


def test_half_precision_is_what_was_asked_for_and_no_more(tmp_path):
    path = read_fixture("esm2-hf-tiny").path
    done = convert_model(str(path), tmp_path / "half", dtype="fp16")
    whole, half = (load_path(p).network.state_dict() for p in (path, done.path))
    for key in whole:
        wanted = whole[key] if key.endswith("inv_freq") else whole[key].half().float()
        assert torch.equal(half[key], wanted)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    msa = str(read_fixture("esm2-hf-tiny").path.parent / "msa1b-fair-tiny")
    with pytest.raises(InputError, match="hf for fair-msa"):
        convert_model(msa, tmp_path / "msa")
    with pytest.raises(InputError, match="fair for nt-v1"):
        convert_model(str(read_fixture("nt-v1-tiny").path), tmp_path / "nt", to="fair")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="something there already"):
        convert_model(str(read_fixture("esm2-hf-tiny").path), tmp_path / "there")
    from lexome.checkpoints import into_files

    honest = into_files.published_name
    monkeypatch.setattr(
        into_files,
        "published_name",
        lambda ours, rules: (
            honest(ours, rules).replace("self.key", "self.value_")
            if "self.key" in honest(ours, rules)
            else honest(ours, rules)
        ),
    )
    with pytest.raises(CheckpointError, match="value_"):
        convert_model(str(read_fixture("esm2-hf-tiny").path), tmp_path / "wrong")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there"]


def test_the_command_line(tmp_path, capsys, monkeypatch, esm2):
    done = call_main(capsys, monkeypatch, "convert", esm2, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "read again: identical" in done.err
