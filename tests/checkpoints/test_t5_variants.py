"""T5 files as they may lie: copies of the embedding, two heads, an encoder alone; what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError
from lexome.inference.model import load
from tests.checkpoints.t5_models import make_t5, published, write_t5


def change(folder, tensors=None, drop=(), **told):
    """Tensors put in or taken out, config values changed (None takes the key out)."""
    path, config = folder / "model.safetensors", folder / "config.json"
    whole = load_file(path)
    kept = {k: v for k, v in whole.items() if not k.startswith(tuple(drop)) or not drop}
    path.unlink()
    save_file(kept | (tensors or {}), path)
    settings = json.loads(config.read_text()) | told
    config.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    return folder


@pytest.fixture
def tied(tmp_path):
    return write_t5(tmp_path / "tied")


@pytest.fixture
def untied(tmp_path):
    return write_t5(tmp_path / "untied", make_t5(1, head="own", feed_forward="gated-gelu_new"))


def same(folder, network):
    found = load_path(folder)
    ours, wanted = found.network.state_dict(), network.state_dict()
    return ours.keys() == wanted.keys() and all(torch.equal(ours[k], wanted[k]) for k in wanted)


def test_what_was_written_is_read(tied, untied):
    assert same(tied, make_t5())
    assert same(untied, make_t5(1, head="own", feed_forward="gated-gelu_new"))
    assert load_path(tied).layout == "prott5"
    assert load_path(untied).layout == "ankh"
    assert load_path(untied).network.config.feed_forward == "gated-gelu_new"
    assert load_path(
        change(untied, feed_forward_proj="gated-gelu")
    ).network.config.feed_forward == ("gated-gelu_new")


def test_copies_of_the_embedding_must_be_copies(tied):
    rows = load_file(tied / "model.safetensors")["shared.weight"]
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    change(tied, {name: rows.clone() for name in copies})
    assert same(tied, make_t5())
    for name in copies:
        change(tied, {name: rows + 1})
        with pytest.raises(CheckpointError, match=r"two different tensors for embedding\.weight"):
            load_path(tied)
        change(tied, {name: rows.clone()})
    # one copy alone is enough
    change(tied, drop=("shared.", "decoder.embed_tokens."))
    assert same(tied, make_t5())


def test_a_head_that_differs_is_used_whatever_the_flag_says(tied):
    rows = load_file(tied / "model.safetensors")["shared.weight"]
    change(tied, {"lm_head.weight": rows.clone()})
    found = load_path(tied)
    assert found.network.config.head == "tied"
    assert "the embedding's" in found.accounting.unused["lm_head.weight"]
    change(tied, {"lm_head.weight": rows.flip(0)})
    found = load_path(tied)
    assert found.network.config.head == "own"
    assert torch.equal(found.network.decoder.head.rows, rows.flip(0))
    assert found.network.config.scaled_head  # the flag still says how it is scaled


@pytest.mark.parametrize(
    ("told", "scaled"),
    [
        ({}, True),
        ({"tie_word_embeddings": None}, True),
        ({"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False),
        ({"tie_word_embeddings": False, "scale_decoder_outputs": True}, True),
    ],
)
def test_the_scale_of_the_head(tied, told, scaled):
    rows = load_file(tied / "model.safetensors")["shared.weight"]
    config = load_path(change(tied, {"lm_head.weight": rows.flip(0)}, **told)).network.config
    assert config.scaled_head == scaled


def test_a_lost_head_or_a_lost_decoder_is_noticed(untied, tied):
    change(untied, drop=("lm_head.",))
    with pytest.raises(CheckpointError, match=r"no lm_head\.weight"):
        load_path(untied)
    change(untied, architectures=["T5Model"])
    assert load_path(untied).network.config.head == "none"
    change(tied, drop=("decoder.",))
    for name in ("T5ForConditionalGeneration", "T5WithLMHeadModel"):
        with pytest.raises(CheckpointError, match="no decoder in the weights"):
            load_path(change(tied, architectures=[name]))
    assert load_path(change(tied, architectures=["T5EncoderModel"])).network.decoder is None


def test_an_encoder_alone_in_fp16_and_as_a_pickle(tmp_path):
    network = make_t5(decoder=False)
    folder = write_t5(tmp_path / "half", network, tie_word_embeddings=None)
    tensors = {k: v.half() for k, v in published(network).items()}
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    found = load_path(folder)
    assert all(v.dtype == torch.float32 for v in found.network.state_dict().values())
    for name, tensor in published(found.network).items():
        assert torch.equal(tensor, tensors[name].float())
    # config.json of the published one speaks of a decoder that is not there
    assert json.loads((folder / "config.json").read_text())["num_decoder_layers"] == 2
    assert load(str(folder)).run("MKT", ["hidden"])[0].hidden.shape == (4, 24)


def test_the_leftover_of_early_versions_is_known(tied):
    place = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    change(tied, {place: torch.zeros(32, 3)})
    assert "leftover" in load_path(tied).accounting.unused[place]


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"d_kv": 8}, "of shape"),
        ({"num_heads": 6, "d_kv": 8}, "relative.table.weight of shape"),
        ({"num_layers": 1}, "unknown encoder.blocks.1"),
        ({"num_layers": 3}, "without encoder.blocks.2"),
        ({"num_decoder_layers": 1}, "unknown decoder.blocks.1"),
        ({"num_decoder_layers": 0}, "num_decoder_layers = 0"),
        ({"d_model": "24"}, "d_model = '24'"),
        ({"vocab_size": 100}, "of shape"),
        ({"vocab_size": None}, "vocab_size = None"),
        ({"feed_forward_proj": "gated-relu"}, "of shape|feed_forward"),
        ({"feed_forward_proj": "gated-swish"}, "feed_forward_proj = 'gated-swish'"),
        ({"feed_forward_proj": "gelu-gated"}, "feed_forward_proj = 'gelu-gated'"),
        ({"dense_act_fn": "gelu"}, "dense_act_fn = 'gelu'"),
        ({"is_gated_act": True}, "is_gated_act = True"),
        ({"is_decoder": True}, "is_decoder = True"),
        ({"relative_attention_num_buckets": 2}, "2 buckets"),
        ({"relative_attention_num_buckets": 64}, "of shape"),
        ({"relative_attention_max_distance": 16}, "16, expected at least 4"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon = 0"),
        ({"pad_token_id": -1}, "pad_token_id = -1"),
        ({"pad_token_id": 3}, "<pad> elsewhere"),
        ({"eos_token_id": 2}, "</s> elsewhere"),
        ({"decoder_start_token_id": 500}, "decoder_start_token_id = 500"),
        ({"scale_decoder_outputs": "yes"}, "scale_decoder_outputs = 'yes'"),
        ({"n_positions": 0}, "n_positions = 0"),
    ],
)
def test_configs_that_do_not_fit_are_refused(tied, told, match):
    with pytest.raises(CheckpointError, match=match):
        load_path(change(tied, **told))


def test_tensors_that_do_not_fit_are_refused(tied, untied):
    with pytest.raises(CheckpointError, match=r"the tensor odd\.weight"):
        load_path(change(tied, {"odd.weight": torch.zeros(1)}))
    place = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
    change(tied, {place: torch.zeros(32, 3)}, drop=("odd",))
    with pytest.raises(CheckpointError, match="which this architecture does not have"):
        load_path(tied)
    with pytest.raises(CheckpointError, match="wi_0 without a wi_1"):
        load_path(change(untied, drop=("decoder.block.1.layer.2.DenseReluDense.wi_1",)))


def test_two_stacks_of_different_depth(tmp_path):
    network = make_t5(2, num_layers=3, decoder_layers=1)
    assert same(write_t5(tmp_path / "deep", network), network)
    shallow = make_t5(2, num_layers=2, decoder_layers=2)
    folder = write_t5(tmp_path / "same", shallow, num_decoder_layers=None)
    assert same(folder, shallow)  # as deep as the encoder, where nothing is said
