"""ESM-2 in the Hugging Face layout: fixture and live parity, strictness, name rules."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.from_esm import load_esm
from lexome.checkpoints.load import load_checkpoint
from lexome.errors import CheckpointError, EnvironmentProblem, InputError
from lexome.inference.model import load
from tests.shared_data import shared

ATOL, RTOL = 5e-5, 1e-5


@pytest.fixture(scope="module")
def fixture():
    return shared("reference/fixtures/esm2-hf-tiny")


@pytest.fixture(scope="module")
def expected(fixture):
    return json.loads((fixture / "expected.json").read_text()), load_file(
        fixture / "expected.safetensors"
    )


@pytest.fixture
def copy(fixture, tmp_path):
    target = tmp_path / "model"
    shutil.copytree(fixture, target, copy_function=shutil.copy)
    for path in [target, *target.iterdir()]:
        path.chmod(0o755)
    return target


def test_each_sequence_alone_agrees_with_the_published_outputs(fixture, expected):
    facts, tensors = expected
    network = load_esm(fixture).network
    compared = 0
    for i, ids in enumerate(facts["input_ids"]):
        packed = pack([ids])
        with torch.inference_mode():
            out = network.trace(*packed, with_maps=True)
            found = {
                f"single.{i}.logits": network.logits(out.hidden_ND),
                f"single.{i}.attentions": torch.stack([maps[0] for maps in out.maps]),
                **{f"single.{i}.hidden.{k}": layer for k, layer in enumerate(out.layers)},
            }
            if len(ids) > 2:
                found[f"single.{i}.contacts"] = network.contacts(out.maps, [packed.tokens_T])[0]
        for name, value in found.items():
            if name in tensors:
                torch.testing.assert_close(value, tensors[name][0], atol=ATOL, rtol=RTOL)
                compared += 1
    assert compared > 40


def test_the_accelerated_model_agrees_with_the_published_batch(fixture, expected):
    facts, tensors = expected
    model = load(str(fixture))
    rows = [facts["input_ids"][i] for i in facts["batch_rows"]]
    outputs = ["logits", "hidden", "hidden_layers", "attentions", "contacts"]
    for row, result in enumerate(model.run_ids(rows, outputs)):
        n = len(rows[row])
        for name, value in {
            "logits": result.logits,
            f"hidden.{len(result.hidden_layers) - 1}": result.hidden,
            "hidden.0": result.hidden_layers[0],
            "hidden.2": result.hidden_layers[2],
        }.items():
            wanted = tensors[f"batch.{name}"][row, :n].numpy()
            np.testing.assert_allclose(value, wanted, atol=ATOL, rtol=RTOL)
        wanted = tensors["batch.attentions"][row, :, :, :n, :n].numpy()
        np.testing.assert_allclose(result.attentions, wanted, atol=ATOL, rtol=RTOL)
        wanted = tensors["batch.contacts"][row, : n - 2, : n - 2].numpy()
        np.testing.assert_allclose(result.contacts, wanted, atol=ATOL, rtol=RTOL)


def test_packed_padded_and_alone_give_the_same(fixture, expected):
    rows = [ids for ids in expected[0]["input_ids"] if len(ids) > 2]
    network = load_esm(fixture).network
    packed, padded = pack(rows), pad(rows, pad_id=1)
    with torch.inference_mode():
        from_packed = packed.layout.split(network(*packed))
        from_padded = padded.layout.split(network(*padded))
        for ids, a, b in zip(rows, from_packed, from_padded, strict=True):
            alone = network(*pack([ids]))
            limit = 1e-5 * alone.abs().max()
            assert (a - alone).abs().max() <= limit
            assert (b - alone).abs().max() <= limit


@pytest.mark.parametrize("seed", [0, 1])
def test_live_agreement_with_transformers_on_random_models(seed, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    config = transformers.EsmConfig(
        vocab_size=33,
        hidden_size=48,
        num_hidden_layers=2 + seed,
        num_attention_heads=4,
        intermediate_size=96,
        position_embedding_type="rotary",
        token_dropout=True,
        pad_token_id=1,
        mask_token_id=32,
        max_position_embeddings=64,
        layer_norm_eps=1e-5,
        emb_layer_norm_before=False,
        attn_implementation="eager",
    )
    reference = transformers.EsmForMaskedLM(config).eval()
    for parameter in reference.parameters():  # no neutral norm, no zero bias
        torch.nn.init.normal_(parameter, std=0.2)
    reference.save_pretrained(tmp_path)
    from lexome.tokenizers.character import esm_vocabulary

    (tmp_path / "vocab.txt").write_text("\n".join(esm_vocabulary()))
    model = load(str(tmp_path))
    rows = [[0, *torch.randint(4, 24, (n,)).tolist(), 2] for n in (1, 7, 33)]
    rows[1][3] = 32
    results = model.run_ids(rows, ["logits", "hidden_layers", "attentions"])
    for ids, result in zip(rows, results, strict=True):
        with torch.inference_mode():
            wanted = reference(
                torch.tensor([ids]), output_hidden_states=True, output_attentions=True
            )
        pairs = {
            "logits": (result.logits, wanted.logits[0]),
            "layers": (result.hidden_layers, torch.stack(wanted.hidden_states)[:, 0]),
            "attentions": (result.attentions, torch.stack(wanted.attentions)[:, 0]),
        }
        for name, (found, theirs) in pairs.items():
            np.testing.assert_allclose(found, theirs.numpy(), atol=ATOL, rtol=RTOL, err_msg=name)


def test_leftover_tensors_are_named_with_their_reason(fixture):
    unused = load_checkpoint(str(fixture)).card.unused
    assert set(unused) == {"embeddings.position_embeddings.weight", "embeddings.position_ids"}
    assert "rotary" in unused["embeddings.position_embeddings.weight"]


def _change(directory, change):
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("esm.encoder.layer.1.attention.self.key.bias"), "without blocks.1.atten"),
        (lambda t: t.update({"esm.stranger": torch.ones(2)}), "the tensor stranger"),
        (
            lambda t: t.update({"lm_head.dense.weight": torch.ones(3, 3)}),
            r"language_model_head.dense.weight of shape \(3, 3\)",
        ),
        (
            lambda t: t.update(
                {"lm_head.decoder.weight": t["esm.embeddings.word_embeddings.weight"] + 1}
            ),
            "two different tensors",
        ),
        (lambda t: t.pop("lm_head.bias"), "without language_model_head.bias"),
    ],
)
def test_a_missing_extra_or_misshapen_tensor_is_refused_by_name(copy, change, words):
    _change(copy, change)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(str(copy))


def test_the_stored_frequencies_are_used_not_recomputed(copy):
    """ESM-2 keeps frequencies that were rounded to fp16; layers that disagree are refused."""
    plain = load_checkpoint(str(copy)).network.rotary.inv_freq
    assert torch.equal(plain, plain.half().float())

    def change(tensors):
        name = "esm.encoder.layer.1.attention.self.rotary_embeddings.inv_freq"
        tensors[name] = tensors[name] * 2

    _change(copy, change)
    with pytest.raises(CheckpointError, match=r"two different tensors for rotary\.inv_freq"):
        load_checkpoint(str(copy))


def test_a_bare_encoder_file_loads_without_heads_and_says_so(copy):
    def change(tensors):
        for name in list(tensors):
            tensor = tensors.pop(name)
            if name.startswith("esm.") and "contact_head" not in name:
                tensors[name.removeprefix("esm.")] = tensor

    _change(copy, change)
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(settings | {"architectures": ["EsmModel"]}))
    model = load(str(copy))
    assert model.run("MKT", ["hidden"])[0].hidden.shape == (5, 40)
    with pytest.raises(InputError, match="weights without that head"):
        model.run("MKT", ["logits"])


def test_a_language_model_without_its_head_is_refused(copy):
    def change(tensors):
        for name in [n for n in tensors if n.startswith("lm_head")]:
            del tensors[name]

    _change(copy, change)
    with pytest.raises(CheckpointError, match="EsmForMaskedLM"):
        load_checkpoint(str(copy))


def test_half_precision_tensors_are_cast_to_fp32(copy):
    _change(copy, lambda t: t.update({k: v.half() for k, v in t.items() if v.is_floating_point()}))
    network = load_checkpoint(str(copy)).network
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_sharded_weights_with_an_index_give_the_same_model(copy):
    tensors = load_file(copy / "model.safetensors")
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, mine in shards.items():
        save_file({name: tensors[name] for name in mine}, copy / file)
    weight_map = {name: file for file, mine in shards.items() for name in mine}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    whole = load_esm(copy).network.state_dict()
    (copy / "model.safetensors").unlink()
    sharded = load_esm(copy).network.state_dict()
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def test_an_index_that_points_outside_is_refused(copy):
    (copy / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"x": "../../secret.safetensors"}})
    )
    with pytest.raises(CheckpointError, match="outside of the directory"):
        load_checkpoint(str(copy))


@pytest.mark.parametrize(
    ("key", "value", "seen"),
    [
        ("position_embedding_type", "absolute", "the tensor encoder.layer.0.attention"),
        ("model_type", "bert", "position_embedding_type = 'rotary'"),
        ("model_type", "mamba", "model_type 'mamba'"),
        ("hidden_act", "relu", "hidden_act"),
        ("vocab_size", 34, "vocab_size"),
        ("hidden_size", "forty", "hidden_size"),
        ("tie_word_embeddings", False, "tie_word_embeddings"),
    ],
)
def test_a_config_of_another_architecture_is_refused(copy, key, value, seen):
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(settings | {key: value}))
    with pytest.raises(CheckpointError, match=re.escape(seen)):
        load_checkpoint(str(copy))


def test_a_directory_without_weights_names_what_it_holds(copy):
    (copy / "model.safetensors").rename(copy / "tf_model.h5")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors.*tf_model\.h5"):
        load_checkpoint(str(copy))


def test_a_truncated_weights_file_is_one_clear_error(copy):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="broken file"):
        load_checkpoint(str(copy))


def test_a_name_that_is_nothing_lists_what_there_is():
    with pytest.raises(InputError, match="esm2-8m"):
        load_checkpoint("esm2-9m")


def test_offline_a_hub_id_is_looked_up_in_the_cache_only(monkeypatch, tmp_path):
    import socket

    def no_socket(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", no_socket)
    with pytest.raises(EnvironmentProblem, match="nothing in the local cache"):
        load_checkpoint("esm2-8m", offline=True)
