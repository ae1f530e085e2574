"""HyenaDNA against what its reference computed, from both published layouts."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError, InputError
from lexome.inference.model import load
from tests.checkpoints.causal import HYENA, compute, is_off, read_causal, relative

FILTER = "hyena.backbone.layers.1.mixer.filter_fn."


@pytest.fixture(params=HYENA)
def name(request):
    return request.param


@pytest.fixture
def network(name):
    return load_path(read_causal(name).path).network


def ids_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(7, 12, (count,), generator=generator)


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_every_input_agrees_with_the_published_outputs(name, form):
    fixture, compared = read_causal(name), 0
    model = load_path(fixture.path) if form == "plain" else load(str(fixture.path), device="cpu")
    for one in fixture.inputs:
        found = compute(model.network, one)
        for key in found.keys() & one.expected.keys():
            torch.testing.assert_close(found[key], one.expected[key], atol=2e-4, rtol=1e-5, msg=key)
            compared += 1
    assert compared >= 11


def test_the_filters_are_the_published_ones(name, network):
    told = read_causal(name).others
    for i, block in enumerate(network.blocks):
        torch.testing.assert_close(
            block.mixer.long_filter(64).T, told[f"filter.block{i}.k_first64"], atol=1e-6, rtol=1e-6
        )


def test_texts_become_the_published_ids(name):
    fixture = read_causal(name)
    tokenizer = load_path(fixture.path).tokenizer
    for one in fixture.inputs:
        assert tokenizer.encode(one.text, "reference")[:-1] == one.ids


@torch.inference_mode()
def test_greedy_generation_is_the_published_one(name, network):
    told = read_causal(name).others
    for kind in ("single", "batch"):
        prompts = told[f"greedy.{kind}.prompt_ids"]
        state = network.start(len(prompts), 64)
        hidden, made = network.extend(prompts, state), []
        for _ in range(32):
            made.append(network.logits(hidden[:, -1]).argmax(-1))
            hidden = network.extend(made[-1][:, None], state)
        assert torch.equal(torch.stack(made, 1), told[f"greedy.{kind}.new_ids"])


@torch.inference_mode()
@pytest.mark.parametrize("cuts", [[1], [64], [100, 101, 150], [199]])
def test_any_partition_equals_the_whole(network, cuts):
    ids_T = ids_of(200)
    whole = network(*pack([ids_T.tolist()]))
    state = network.start(1, 200)
    parts = [
        network.extend(ids_T[None, a:b], state)
        for a, b in zip([0, *cuts], [*cuts, 200], strict=True)
    ]
    assert relative(torch.cat(parts, 1)[0], whole) < 2e-5
    assert state.lengths_B.tolist() == [200]


@torch.inference_mode()
def test_packed_padded_and_alone_are_the_same(network):
    rows = [ids_of(n, n).tolist() for n in (1, 2, 65, 200, 64)]
    packed, padded = pack(rows), pad(rows, 4)
    in_pack = packed.layout.split(network(*packed))
    in_rows = padded.layout.split(network(*padded))
    for ids, a, b in zip(rows, in_pack, in_rows, strict=True):
        alone = network(*pack([ids]))
        assert relative(a, alone) < 1e-5
        assert relative(b, alone) < 1e-5


@torch.inference_mode()
def test_rows_know_nothing_of_each_other(name):
    network = load(str(read_causal(name).path), device="cpu").network
    made = []
    for company in (1, 5):
        state = network.start(1 + company, 128)
        for row in range(1 + company):
            single = network.start(1, 128)
            network.extend(ids_of(30 if row == 0 else 7 * row + company, row)[None], single)
            state.put(row, single)
        tokens = torch.full((1 + company, 1), 9)
        made.append(torch.cat([network.extend(tokens, state)[0] for _ in range(4)]))
    assert torch.equal(*made)


def test_beyond_the_filters_is_refused(name, network):
    context = network.config.context
    assert len(network(*pack([[7] * context]))) == context
    with pytest.raises(InputError, match=f"at most {context:,}"):
        network(*pack([[7] * (context + 1)]))
    model = load(str(read_causal(name).path), device="cpu")
    with pytest.raises(InputError, match="residues"):
        model.run("A" * context)  # and [SEP]
    with pytest.raises(InputError, match="convolves"):
        model.run("ACGT", ["attentions"])


def test_filters_stay_in_fp32_when_the_rest_is_bf16(name):
    half = load(str(read_causal(name).path), dtype="bf16", device="cpu").network
    whole = load_path(read_causal(name).path).network
    for a, b in zip(half.blocks, whole.blocks, strict=True):
        assert torch.equal(a.mixer.long_filter(100), b.mixer.long_filter(100))
    ids = ids_of(100).tolist()
    with torch.inference_mode():
        x, y = (n(*pack([ids])).float() for n in (half, whole))
    assert torch.nn.functional.cosine_similarity(x, y).min() > 0.99


# ---------------------------------------------------------------- loading


@pytest.fixture
def copy(tmp_path):
    def make(name):
        target = tmp_path / name
        shutil.copytree(read_causal(name).path, target, copy_function=shutil.copy)
        for path in [target, *target.iterdir()]:
            path.chmod(0o755)
        return target

    return make


def rewrite(directory, change):
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def test_every_tensor_is_used(name):
    loaded = load_path(read_causal(name).path)
    assert not loaded.accounting.unused
    assert len(loaded.accounting.used) > 40


@pytest.mark.parametrize("kept", [(1,), (3,), (5,), (1, 5), (1, 3, 5)])
def test_any_copies_of_the_shared_frequencies_will_do(copy, kept):
    path = copy(HYENA[0])

    def change(tensors):
        for name in [n for n in tensors if n.endswith(".1.freq")]:
            freq = tensors.pop(name)
            for i in kept:
                tensors[name.replace(".1.freq", f".{i}.freq")] = freq.clone()

    rewrite(path, change)
    assert not is_off(load_path(path).network, read_causal(HYENA[0]), most_tokens=60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(f"{FILTER}implicit_filter.1.freq"), "without"),
        (lambda t: t.pop(f"{FILTER}pos_emb.z"), "without"),
        (lambda t: t.update({f"{FILTER}implicit_filter.3.freq": torch.ones(1, 16)}), "different"),
        (lambda t: t.update({f"{FILTER}implicit_filter.8.weight": torch.ones(1)}), "filter.8"),
        (lambda t: t.update({"hyena.backbone.ln_f.bias": torch.ones(47)}), "of shape"),
        (lambda t: t.update({"backbone.ln_f.bias": torch.ones(48)}), "twice"),
        (lambda t: t.pop("lm_head.weight"), "without"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(copy, change, message):
    path = copy(HYENA[0])
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message):
        load_path(path)


@pytest.mark.parametrize(
    ("which", "key", "value"),
    [
        (0, "hyena_order", 3),
        (0, "short_filter_order", 4),
        (0, "use_bias", False),
        (0, "max_seq_len", None),
        (0, "layer_norm_epsilon", 0),
        (0, "vocab_size", 11),
        (1, "order", 3),
        (1, "modulate", False),
    ],
)
def test_settings_of_another_model_are_refused_by_name(copy, which, key, value):
    path = copy(HYENA[which])
    settings = json.loads((path / "config.json").read_text())
    (settings["layer"] if which else settings)[key] = value
    (path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=key):
        load_path(path)


def test_a_training_checkpoint_is_read_without_running_it(copy):
    path = copy(HYENA[1])
    state = torch.load(path / "weights.ckpt", weights_only=False)["state_dict"]
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "made_by": Landmine()}
    torch.save({"state_dict": state, "optimizer_states": [optimizer]}, path / "weights.ckpt")
    loaded = load_path(path)
    assert not is_off(loaded.network, read_causal(HYENA[1]), most_tokens=60)
    assert any("Landmine" in note or "explode" in note for note in loaded.notes)


def explode():
    raise AssertionError("a pickle ran")


class Landmine:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return explode, ()
