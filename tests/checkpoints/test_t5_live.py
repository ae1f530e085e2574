"""Random small T5 models, built by transformers and read by ours: both stacks, every switch."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lexome.batches.packing import pack
from lexome.checkpoints.layouts import load_path
from lexome.inference.model import load

transformers = pytest.importorskip("transformers")
transformers.logging.disable_progress_bar()

LIVE = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PLAIN = {"dropout_rate": 0.0, "attn_implementation": "eager"}
KINDS = ["relu", "gelu", "silu", "gelu_new", "gated-gelu", "gated-silu", "gated-relu"]


@st.composite
def configs(draw):
    """A config of transformers; heads together are rarely as wide as the model."""
    buckets = draw(st.sampled_from([4, 8, 32, 64]))
    return {
        "vocab_size": draw(st.integers(10, 40)),
        "d_model": draw(st.integers(4, 24)),
        "d_kv": draw(st.integers(1, 9)),
        "d_ff": draw(st.integers(1, 40)),
        "num_layers": draw(st.integers(1, 3)),
        "num_decoder_layers": draw(st.integers(1, 3)),
        "num_heads": draw(st.integers(1, 4)),
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": draw(st.integers(buckets // 2 + 1, 130)),
        "layer_norm_epsilon": draw(st.sampled_from([1e-6, 1e-3, 0.1])),
        "feed_forward_proj": draw(st.sampled_from(KINDS)),
    }


@pytest.fixture
def folder(tmp_path_factory):
    def make():
        return tmp_path_factory.mktemp("live")

    return make


def make_reference(config, seed, own_head):
    """Random numbers of a lively size; a head of its own where asked for."""
    made = transformers.T5Config(**config, **PLAIN, decoder_start_token_id=0)
    reference = transformers.T5ForConditionalGeneration(made).eval()
    if own_head:
        rows = torch.empty(config["vocab_size"], config["d_model"])
        reference.lm_head.weight = torch.nn.Parameter(rows)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return reference


def save(reference, path, style, **changes):
    """As transformers 5 writes it, or as published files are: all names, old keys."""
    reference.save_pretrained(path)
    told = json.loads((path / "config.json").read_text())
    tensors = {k: v.clone() for k, v in reference.state_dict().items()}
    if style == "new":
        tensors = {k: v for k, v in tensors.items() if "embed_tokens" not in k}
    else:
        for name in ("scale_decoder_outputs", "dense_act_fn", "is_gated_act"):
            told.pop(name, None)
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(told | changes))


def close(ours, theirs):
    bound = 5e-5 + 1e-5 * float(theirs.abs().max())
    torch.testing.assert_close(ours, theirs, atol=bound, rtol=0)


def check_encoder(path, reference, rows):
    model = load(str(path))
    found = model.run_ids(rows, ["hidden", "hidden_layers", "attentions"])
    for ids, one in zip(rows, found, strict=True):
        with torch.inference_mode():
            wanted = reference(
                torch.tensor([ids]), output_hidden_states=True, output_attentions=True
            )
        close(torch.from_numpy(one.hidden), wanted.last_hidden_state[0])
        layers = torch.stack(wanted.hidden_states)[:, 0]
        close(torch.from_numpy(one.hidden_layers), layers)
        maps = torch.stack(wanted.attentions)[:, 0]
        close(torch.from_numpy(one.attentions), maps)
    return model


@LIVE
@given(
    config=configs(),
    seed=st.integers(0, 999),
    own_head=st.booleans(),
    scaled=st.booleans(),
    style=st.sampled_from(["new", "old"]),
)
def test_t5_of_transformers(config, seed, own_head, scaled, style, folder):
    reference, path = make_reference(config, seed, own_head), folder()
    reference.config.scale_decoder_outputs = scaled
    changes = {} if style == "new" else {"tie_word_embeddings": scaled}
    save(reference, path, style, **changes)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randint(2, config["vocab_size"], shape, generator=generator)

    rows = [[*draw(n).tolist(), 1] for n in (1, 9, 45)]
    target = draw(3, 12)
    target[:, 0] = 0
    model = check_encoder(path, reference.encoder, rows)
    plain = load_path(path).network
    assert plain.config.head == ("own" if own_head else "tied")
    assert plain.config.scaled_head == scaled
    for network in (plain, model.network):
        with torch.inference_mode():
            tokens, layout = pack(rows)
            state = network.start_from(network.encode(tokens, layout), layout, 12)
            steps = torch.split(target[: len(rows)], [5, 1, 6], dim=1)
            hidden = torch.cat([network.extend(step, state) for step in steps], dim=1)
            scores = network.logits(hidden)
            for i, ids in enumerate(rows):
                wanted = reference(
                    input_ids=torch.tensor([ids]), decoder_input_ids=target[i : i + 1]
                )
                close(scores[i], wanted.logits[0])


@LIVE
@given(config=configs(), seed=st.integers(0, 999), half=st.booleans(), old=st.booleans())
def test_an_encoder_alone_also_in_fp16_and_as_a_pickle(config, seed, half, old, folder):
    made = transformers.T5Config(**config, **PLAIN)
    reference, path = transformers.T5EncoderModel(made).eval(), folder()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.normal_(0, 0.4, generator=generator)
            if half:
                parameter.copy_(parameter.half().float())
    reference.save_pretrained(path)
    if half or old:
        tensors = load_file(path / "model.safetensors")
        tensors = {k: v.half() if half else v for k, v in tensors.items()}
        (path / "model.safetensors").unlink()
        if old:
            torch.save(tensors, path / "pytorch_model.bin")
        else:
            save_file(tensors, path / "model.safetensors")
    rows = [[*range(2, 10), 1], [3, 1]]
    model = check_encoder(path, reference, rows)
    assert model.network.decoder is None
    assert next(model.network.embedding.parameters()).dtype == torch.float32


def test_greedy_text_is_the_one_of_transformers_generate(folder):
    config = {
        "vocab_size": 30,
        "d_model": 20,
        "d_kv": 8,
        "d_ff": 30,
        "num_layers": 2,
        "num_heads": 3,
    }
    reference, path = make_reference(config, 5, own_head=False), folder()
    save(reference, path, "new")
    network = load(str(path)).network
    ids = [[4, 9, 12, 25, 7, 1], [8, 3, 1]]
    with torch.inference_mode():
        tokens, layout = pack(ids)
        state = network.start_from(network.encode(tokens, layout), layout, 20)
        last, found = torch.zeros(2, 1, dtype=torch.long), []
        for _ in range(16):
            last = network.logits(network.extend(last, state)).argmax(-1)
            found.append(last)
        for row, one in zip(torch.cat(found, 1).tolist(), ids, strict=True):
            options = {"do_sample": False, "max_new_tokens": 16, "eos_token_id": None}
            wanted = reference.generate(torch.tensor([one]), **options)
            assert row == wanted[0, 1:].tolist()
