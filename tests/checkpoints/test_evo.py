"""Evo-1 against what its reference computed: at once, in parts, step by step, in any company."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError
from lexome.inference.model import load
from tests.checkpoints.causal import EVO, compute, is_off, read_causal, relative

PREFILL = 40


@pytest.fixture(params=EVO)
def name(request):
    return request.param


@pytest.fixture
def network(name):
    return load_path(read_causal(name).path).network


def ids_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(list(b"ACGT"))[torch.randint(4, (count,), generator=generator)]


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_every_input_agrees_with_the_published_outputs(name, form):
    fixture, compared = read_causal(name), 0
    model = load_path(fixture.path) if form == "plain" else load(str(fixture.path), device="cpu")
    for one in fixture.inputs:
        found = compute(model.network, one)
        for key in found.keys() & one.expected.keys():
            if key == "argmax":
                assert torch.equal(found[key], one.expected[key])
            else:
                atol = 1e-4 if key == "logits_float64_oracle" else one.atol
                torch.testing.assert_close(
                    found[key], one.expected[key], atol=atol, rtol=1e-5, msg=key
                )
            compared += 1
    assert compared >= 18


def test_texts_become_bytes(name):
    fixture = read_causal(name)
    tokenizer = load_path(fixture.path).tokenizer
    for one in fixture.inputs:
        assert tokenizer.encode(one.text, "reference") == one.ids


@torch.inference_mode()
def test_the_states_and_steps_are_the_published_ones(name, network):
    told = {k.removeprefix("recurrent."): v for k, v in read_causal(name).others.items()}
    ids_1T = told["ids"][None]
    state = network.start(1, ids_1T.shape[1])
    hidden = network.extend(ids_1T[:, :PREFILL], state)
    close = {"atol": 2e-4, "rtol": 1e-5}
    torch.testing.assert_close(network.logits(hidden)[0, -1], told["prefill_last_logits"], **close)
    for i, layer in enumerate(state.layers):
        if "fir" in layer:
            after = told[f"block{i}.fir_state_after_prefill"]
            torch.testing.assert_close(layer["fir"][0], after, **close)
            check_iir(layer, told, f"block{i}.iir_state_after_prefill")
        else:
            both = torch.stack([layer["keys"][0, :PREFILL], layer["values"][0, :PREFILL]], 1)
            torch.testing.assert_close(both, told[f"block{i}.kv_after_prefill"], **close)
    for step, expected in enumerate(told["step_logits"]):
        at = PREFILL + step
        logits = network.logits(network.extend(ids_1T[:, at : at + 1], state))[0, 0]
        torch.testing.assert_close(logits, expected, **close)
    for i, layer in enumerate(state.layers):
        if "iir" in layer:
            check_iir(layer, told, f"block{i}.iir_state_final")


def check_iir(layer, told, key):
    expected = torch.complex(told[f"{key}_re"], told[f"{key}_im"])
    torch.testing.assert_close(layer["iir"][0], expected, atol=2e-4, rtol=1e-5)


@torch.inference_mode()
def test_greedy_generation_is_the_published_one(name, network):
    told = read_causal(name).others
    for kind in ("single", "batch"):
        prompts = told[f"greedy.{kind}.prompt_ids"]
        state = network.start(len(prompts), 128)
        hidden, made = network.extend(prompts, state), []
        for _ in range(32):
            made.append(network.logits(hidden[:, -1]).argmax(-1))
            hidden = network.extend(made[-1][:, None], state)
        assert torch.equal(torch.stack(made, 1), told[f"greedy.{kind}.new_ids"])


@torch.inference_mode()
@pytest.mark.parametrize("prompt", [1, 2, 3, 63, 64, 65, 128, 200, 600])
def test_a_prompt_and_steps_equal_the_whole(network, prompt):
    ids_T = ids_of(prompt + 4)
    whole = network(*pack([ids_T.tolist()]))
    state = network.start(1, len(ids_T))
    parts = [network.extend(ids_T[None, :prompt], state)]
    parts += [network.extend(ids_T[None, i : i + 1], state) for i in range(prompt, prompt + 4)]
    assert relative(torch.cat(parts, 1)[0], whole) < 2e-5
    assert state.lengths_B.tolist() == [prompt + 4]


@torch.inference_mode()
@pytest.mark.parametrize("seed", range(6))
def test_any_partition_equals_the_whole(network, seed):
    generator = torch.Generator().manual_seed(seed)
    ids_T = ids_of(600, seed)
    cuts = torch.randint(1, 600, (1 + seed,), generator=generator).unique().tolist()
    whole = network(*pack([ids_T.tolist()]))
    state = network.start(1, 600)
    parts = [
        network.extend(ids_T[None, a:b], state)
        for a, b in zip([0, *cuts], [*cuts, 600], strict=True)
    ]
    assert relative(torch.cat(parts, 1)[0], whole) < 2e-5


@torch.inference_mode()
def test_packed_padded_and_alone_are_the_same(network):
    rows = [ids_of(n, n).tolist() for n in (1, 2, 65, 300, 64)]
    packed, padded = pack(rows), pad(rows, 1)
    in_pack = packed.layout.split(network(*packed))
    in_rows = padded.layout.split(network(*padded))
    for ids, a, b in zip(rows, in_pack, in_rows, strict=True):
        alone = network(*pack([ids]))
        assert relative(a, alone) < 1e-5
        assert relative(b, alone) < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("others", [1, 2, 7])
def test_rows_know_nothing_of_each_other(name, others):
    network = load(str(read_causal(name).path), device="cpu").network
    own = ids_of(30)
    made = []
    for company in (1, others):
        state = network.start(1 + company, 128)
        single = network.start(1, 128)
        network.extend(own[None], single)
        state.put(0, single)
        for row in range(1, 1 + company):
            other = network.start(1, 128)
            network.extend(ids_of(5 * row + 10 * company, row)[None], other)
            state.put(row, other)
        hidden = []
        for step in range(5):
            tokens = torch.full((1 + company, 1), 65 + step)
            tokens[1:] = 84
            hidden.append(network.extend(tokens, state)[0])
        made.append(torch.cat(hidden))
    assert torch.equal(*made)


@torch.inference_mode()
def test_a_state_that_is_full_says_so(network):
    state = network.start(1, 4)
    network.extend(ids_of(4)[None], state)
    with pytest.raises(ValueError, match="room for 4"):
        network.extend(ids_of(1)[None], state)


@torch.inference_mode()
def test_poles_and_angles_stay_in_fp32_when_the_rest_is_bf16(name):
    fixture = read_causal(name)
    half = load(str(fixture.path), dtype="bf16", device="cpu").network
    whole = load_path(fixture.path).network
    for (key, a), (_, b) in zip(filters(half), filters(whole), strict=True):
        assert a.dtype == torch.float32, key
        assert torch.equal(a, b)
    for one in fixture.inputs[:2]:
        published = (
            one.expected["logits_bf16_run"].float()
            if "logits_bf16_run" in one.expected
            else one.expected["logits"]
        )
        assert (compute(half, one)["logits"].float() - published).abs().max() < 0.7


def filters(network):
    return [
        (key, tensor)
        for key, tensor in network.state_dict().items()
        if key.endswith(("poles", "residues")) and "long_filter" in key
    ]


# ---------------------------------------------------------------- loading


@pytest.fixture
def copy(tmp_path):
    target = tmp_path / "evo"
    shutil.copytree(read_causal(EVO[0]).path, target, copy_function=shutil.copy)
    for path in [target, *target.iterdir()]:
        path.chmod(0o755)
    return target


def rewrite(directory, change):
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def test_every_tensor_is_used_or_has_a_reason(network, name):
    loaded = load_path(read_causal(name).path)
    assert len(loaded.accounting.used) > 50
    (unused,) = loaded.accounting.unused.items()
    assert unused[0].endswith("inv_freq")
    assert "fp32" in unused[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("backbone.blocks.1.filter.poles"), "without"),
        (lambda t: t.pop("backbone.blocks.0.mlp.l2.weight"), "l1.weight"),
        (lambda t: t.update({"backbone.blocks.0.filter.h": torch.zeros(2)}), "filter.h"),
        (lambda t: t.update({"backbone.norm.scale": torch.ones(65)}), "of shape"),
        (
            lambda t: t.update(
                {"backbone.blocks.0.filter.poles": t["backbone.blocks.0.filter.poles"].bfloat16()}
            ),
            "bfloat16",
        ),
        (lambda t: t.update({"backbone.unembed.weight": torch.zeros(512, 64)}), "two different"),
        (lambda t: t.update({"norm.scale": torch.ones(64)}), "prefix"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(copy, change, message):
    rewrite(copy, change)
    with pytest.raises(CheckpointError, match=message):
        load_path(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mlp_activation", "silu"),
        ("mlp_activation", None),
        ("hyena_filter_groups", 64),
        ("short_filter_length", 4),
        ("attn_layer_idxs", [1]),
        ("num_attention_heads", 3),
        ("num_filters", 32),
        ("smeared_gqa", True),
        ("hyena_layer_idxs", "all"),
        ("eps", -1),
    ],
)
def test_settings_of_another_model_are_refused_by_name(copy, key, value):
    settings = json.loads((copy / "config.json").read_text())
    settings[key] = value
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=key):
        load_path(copy)


def test_shards_a_second_matrix_and_no_prefix_are_the_same_model(copy):
    fixture = read_causal(EVO[0])
    tensors = load_file(copy / "model.safetensors")
    tensors["backbone.unembed.weight"] = tensors["backbone.embedding_layer.weight"].clone()
    tensors = {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}
    files = {n: f"model-{i % 3 + 1:05d}-of-00003.safetensors" for i, n in enumerate(tensors)}
    for file in set(files.values()):
        save_file({n: t for n, t in tensors.items() if files[n] == file}, copy / file)
    (copy / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": files}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    loaded = load_path(copy)
    assert "unembed.weight" in loaded.accounting.used
    assert not is_off(loaded.network, fixture, most_tokens=64)


def test_a_model_without_attention_and_one_with_a_head_of_its_own(tmp_path, copy):
    settings = json.loads((copy / "config.json").read_text())
    settings |= {"attn_layer_idxs": [], "hyena_layer_idxs": [0, 1], "num_layers": 2}
    settings |= {"tie_embeddings": False, "inner_mlp_size": None, "inner_size_multiple_of": 16}
    (copy / "config.json").write_text(json.dumps(settings))

    def change(tensors):
        for name in list(tensors):
            if ".blocks.2." in name or ".blocks.3." in name:
                del tensors[name]
        tensors["backbone.unembed.weight"] = torch.randn(512, 64)

    rewrite(copy, change)
    network = load_path(copy).network
    assert network.config.inner_width == 176
    assert network.config.positions == "none"
    hidden = network(*pack([[65, 67, 71]]))
    own = load_file(copy / "model.safetensors")["backbone.unembed.weight"]
    torch.testing.assert_close(network.logits(hidden), hidden @ own.T)
