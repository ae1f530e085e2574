"""Each published detail of GPT-2's layout and ProGen2, turned the wrong way; and files that lie."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from lexome.architectures import decoder
from lexome.batches.packing import pack
from lexome.checkpoints import from_decoders
from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError
from lexome.inference.model import load
from lexome.layers.layout import PackedLayout
from lexome.layers.rotary import Rotary
from tests.checkpoints.decoders import read_decoder, read_on

GPT2, PROGEN2 = "gpt2-tiny", "progen2-tiny"


def is_off(name, network):
    """Whether the logits of any input are not the published ones."""
    fixture = read_decoder(name)
    for number in range(len(fixture.texts)):
        tokens_T, layout = pack([fixture.ids(number)])
        with torch.inference_mode():
            logits_TV = network.logits(network(tokens_T, layout))
        rows = fixture.tensors[f"input{number}.logit_positions"].long()
        expected = fixture.tensors[f"input{number}.logits"]
        if not torch.allclose(logits_TV[rows], expected, atol=1e-4, rtol=1e-5):
            return True
    return False


def exact_gelu(network):
    for block in network.blocks:
        block.feed_forward.activation = "gelu"


def other_eps(network):
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-3


def no_final_norm(network):
    network.final_norm = torch.nn.Identity()


def exchange(network, first, second):
    for block in network.blocks:
        one, two = getattr(block.attention, first), getattr(block.attention, second)
        setattr(block.attention, first, two)
        setattr(block.attention, second, one)


def transposed_output(network):
    for block in network.blocks:
        block.attention.output.weight.data = block.attention.output.weight.data.t()


def no_biases(network):
    for block in network.blocks:
        block.attention.value.bias.data.zero_()


def next_position(network):
    network.positions.weight.data = network.positions.weight.data.roll(-1, 0)


def other_head(network):
    network.language_model_head.rows = torch.nn.Parameter(network.tokens.weight.data.roll(1, 0))


def no_head_bias(network):
    network.language_model_head.bias = None


def tied_head(network):
    network.language_model_head.rows = None


def half_split(network):
    network.rotary.interleaved = False


def other_base(network):
    network.rotary = Rotary(network.config.turned_width, base=1000.0, interleaved=True)


def whole_head_turned(network):
    width = network.width // network.config.num_heads
    network.rotary = Rotary(width, interleaved=True)


def no_rotation(network):
    network.rotary.inv_freq.zero_()


def one_half_after_the_other(network):
    for block in network.blocks:
        block.feed_forward_norm = block.attention_norm


NETWORKS = {
    "tanh GELU": (GPT2, exact_gelu),
    "epsilon": (GPT2, other_eps),
    "final norm": (GPT2, no_final_norm),
    "q, k, v in order": (GPT2, lambda n: exchange(n, "query", "value")),
    "matrices stand transposed": (GPT2, transposed_output),
    "biases": (GPT2, no_biases),
    "position 0 is row 0": (GPT2, next_position),
    "head tied": (GPT2, other_head),
    "tanh GELU of ProGen2": (PROGEN2, exact_gelu),
    "epsilon of ProGen2": (PROGEN2, other_eps),
    "v before k": (PROGEN2, lambda n: exchange(n, "key", "value")),
    "biases of the head": (PROGEN2, no_head_bias),
    "a head of its own": (PROGEN2, tied_head),
    "interleaved pairs": (PROGEN2, half_split),
    "base 10,000": (PROGEN2, other_base),
    "part of a head turned": (PROGEN2, whole_head_turned),
    "rotation": (PROGEN2, no_rotation),
    "both halves side by side": (PROGEN2, one_half_after_the_other),
}


@pytest.mark.parametrize("detail", NETWORKS)
def test_a_detail_turned_the_wrong_way_is_noticed(detail):
    name, mutate = NETWORKS[detail]
    network = load_path(read_decoder(name).path).network
    assert not is_off(name, network)
    mutate(network)
    assert is_off(name, network)


def without_slabs(tensors, num_heads, where):
    split = {}
    for name, tensor in tensors.items():
        if ".qkv_proj." not in name:
            split[name] = tensor
            continue
        for part, piece in zip(("query", "value", "key"), tensor.chunk(3), strict=True):
            split[name.replace("qkv_proj", part)] = piece
    return split


def test_the_slabs_of_progen2_are_noticed(monkeypatch):
    monkeypatch.setattr(from_decoders, "_split_slabs", without_slabs)
    assert is_off(PROGEN2, load_path(read_decoder(PROGEN2).path).network)


@pytest.mark.parametrize("name", [GPT2, PROGEN2])
def test_looking_ahead_is_noticed(name, monkeypatch):
    network = load_path(read_decoder(name).path).network
    plain = PackedLayout.attend
    monkeypatch.setattr(PackedLayout, "attend", lambda self, q, k, v, causal: plain(self, q, k, v))
    assert is_off(name, network)


@pytest.mark.parametrize("name", [GPT2, PROGEN2])
def test_a_step_that_forgets_where_it_stands_is_noticed(name, monkeypatch):
    fixture = read_decoder(name)
    network, ids = load_path(fixture.path).network, fixture.ids(1)
    right = read_on(network, ids, [20])
    plain = decoder.begin_reading

    def begin_reading(state, num_tokens):
        reading = plain(state, num_tokens)
        return reading._replace(positions_BT=reading.positions_BT + (not reading.is_fresh))

    monkeypatch.setattr(decoder, "begin_reading", begin_reading)
    assert not torch.allclose(read_on(network, ids, [20], capacity=256), right, atol=1e-4)


@pytest.fixture
def copy(tmp_path):
    """A fixture that may be changed."""

    def make(name):
        shutil.copytree(read_decoder(name).path, tmp_path / name)
        for path in [tmp_path / name, *(tmp_path / name).iterdir()]:
            path.chmod(0o755)
        return tmp_path / name

    return make


def change_config(directory, **values):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_tensors(directory, change):
    path = directory / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    path.unlink()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


VARIANTS = {
    "no prefix": lambda t: [t.update({k.removeprefix("transformer."): t.pop(k)}) for k in [*t]],
    "masks beside": lambda t: t.update(
        {
            "transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8),
            "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
        }
    ),
    "half precision kept exact": lambda t: t.update({k: v.double() for k, v in t.items()}),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", [GPT2, PROGEN2])
def test_variants_of_the_files_load(variant, name, copy):
    directory = copy(name)
    change_tensors(directory, VARIANTS[variant])
    assert not is_off(name, load_path(directory).network)


def test_a_second_copy_of_the_embedding_is_the_head(copy):
    directory = copy(GPT2)
    change_tensors(
        directory, lambda t: t.update({"lm_head.weight": t["transformer.wte.weight"].clone()})
    )
    assert not is_off(GPT2, load_path(directory).network)


REFUSED = {
    "a head that is not tied": (
        GPT2,
        lambda d: change_tensors(d, lambda t: t.update({"lm_head.weight": torch.ones(384, 64)})),
        "a tied head in the config",
    ),
    "a tensor too many": (
        GPT2,
        lambda d: change_tensors(d, lambda t: t.update({"transformer.h.0.extra": torch.ones(2)})),
        "the tensor h.0.extra",
    ),
    "a tensor too few": (
        PROGEN2,
        lambda d: change_tensors(d, lambda t: t.pop("lm_head.bias")),
        "weights without language_model_head.bias",
    ),
    "another activation": (GPT2, lambda d: change_config(d, activation_function="relu"), "relu"),
    "scores by layer": (
        GPT2,
        lambda d: change_config(d, scale_attn_by_inverse_layer_idx=True),
        "scale_attn_by_inverse_layer_idx = True",
    ),
    "rows that differ": (PROGEN2, lambda d: change_config(d, vocab_size=31), "vocab_size = 31"),
    "heads without slabs": (PROGEN2, lambda d: change_config(d, n_head=4), "4 heads"),
    "no tokens": (GPT2, lambda d: (d / "tokenizer.json").unlink(), "no tokenizer.json"),
    "more channels than a head has": (PROGEN2, lambda d: change_config(d, rotary_dim=12), "12"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_do_not_fit_are_refused(case, copy):
    name, spoil, said = REFUSED[case]
    directory = copy(name)
    spoil(directory)
    with pytest.raises(CheckpointError, match=said):
        load_path(directory)


def test_more_rows_of_the_embedding_than_of_the_head(copy):
    """As a family derived from ProGen2 has them."""
    directory = copy(PROGEN2)
    change_tensors(
        directory,
        lambda t: t.update(
            {"transformer.wte.weight": torch.cat([t["transformer.wte.weight"], torch.ones(5, 64)])}
        ),
    )
    change_config(directory, vocab_size=37, vocab_size_emb=37)
    network = load_path(directory).network
    assert not is_off(PROGEN2, network)
    assert network.config.head_size == 32


@pytest.mark.parametrize("seed", range(40))
def test_random_models_agree_with_transformers(seed, tmp_path):
    generator = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    heads = draw(1, 4)
    config = GPT2Config(
        n_embd=heads * draw(2, 12),
        n_head=heads,
        n_layer=draw(1, 3),
        n_inner=draw(3, 50) if seed % 2 else None,
        n_positions=64,
        vocab_size=384 + draw(0, 20),
        layer_norm_epsilon=10.0 ** -draw(3, 6),
        tie_word_embeddings=bool(seed % 3),
        attn_implementation="eager",
    )
    peer = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    peer.save_pretrained(tmp_path)
    shutil.copy(read_decoder(GPT2).path / "tokenizer.json", tmp_path)
    model = load(str(tmp_path), device="cpu")
    rows = [[draw(0, 383) for _ in range(draw(1, 60))] for _ in range(3)]
    for ids, found in zip(rows, model.run_ids(rows, ["logits", "attentions"]), strict=True):
        with torch.inference_mode():
            out = peer(torch.tensor([ids]), output_attentions=True)
        torch.testing.assert_close(
            torch.from_numpy(found.logits), out.logits[0], atol=1e-4, rtol=1e-5
        )
        torch.testing.assert_close(
            torch.from_numpy(found.attentions), torch.stack(out.attentions)[:, 0], atol=5e-5, rtol=0
        )
        steps = read_on(model.network, ids, list(range(1, len(ids))))
        torch.testing.assert_close(steps, out.logits[0], atol=1e-4, rtol=1e-5)
