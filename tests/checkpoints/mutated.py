"""Turns published details the wrong way: in a network that is loaded, or in the code before.

A mutation of the network takes it; a mutation of the code takes pytest's `monkeypatch`.
"""

import torch

from lexome.architectures import encoder
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.layers.feed_forward import FeedForward, GatedFeedForward
from tests.checkpoints.families import ATOL, RTOL, read_fixture
from tests.checkpoints.test_fixtures import outputs_of


def is_off(found, expected):
    """Whether any output that both have is another one."""
    return any(
        value.shape != expected[name].shape
        or not torch.allclose(value, expected[name], atol=ATOL, rtol=RTOL)
        for name, value in found.items()
        if name in expected
    )


class Bench:
    """A fixture's padded batch, run by our code as that is now."""

    def __init__(self, name, lay="packed"):
        self.fixture, self.lay = read_fixture(name), lay
        self.network = self.loaded = None
        self.load()

    def load(self):
        """Read the checkpoint (again)."""
        self.loaded = load_path(self.fixture.path)
        self.network = self.loaded.network

    def run(self):
        """Ours and the published outputs of every sequence."""
        cases = self.fixture.batch
        ids, rows = [case.ids for case in cases], [case.types for case in cases]
        is_packed = self.lay == "packed"
        tokens, layout = pack(ids) if is_packed else pad(ids, self.loaded.tokenizer.pad_id)
        types = None
        if rows[0] is not None:
            types = (pack(rows) if is_packed else pad(rows, 0))[0]
        found = outputs_of(self.loaded, tokens, layout, types)
        return [(own, case.expected) for own, case in zip(found, cases, strict=True)]

    def is_off(self):
        """Whether any output of any sequence is not the published one."""
        return any(is_off(*pair) for pair in self.run())


def fixture_notices(name, mutate, lay="packed"):
    """Whether the outputs were the published ones, and are no longer."""
    bench = Bench(name, lay)
    before = bench.is_off()
    mutate(bench.network)
    return not before and bench.is_off()


def fixture_notices_code(name, mutate, patch, lay="packed"):
    """The same of a mutation that stands in the code when the checkpoint is read."""
    bench = Bench(name, lay)
    before = bench.is_off()
    mutate(patch)
    bench.load()
    return not before and bench.is_off()


def cost(name, mutate):
    """The largest error of a logit."""
    bench = Bench(name)
    mutate(bench.network)
    return max((ours["logits"] - wanted["logits"]).abs().max() for ours, wanted in bench.run())


def each(network, kind):
    """All bricks of a kind."""
    return [module for module in network.modules() if isinstance(module, kind)]


# What several families have.


def tanh_gelu(network):
    for module in each(network, FeedForward | GatedFeedForward):
        module.activation = "gelu_new"


def tanh_gelu_in_the_head(network):
    network.language_model_head.activation = "gelu_new"


def other_eps(network):
    for module in each(network, torch.nn.LayerNorm):
        module.eps = 1e-5 if module.eps < 1e-9 else 1e-12


def next_position(network):
    network.embedding.positions.weight.data = network.embedding.positions.weight.roll(-1, 0)


def previous_position(network):
    network.embedding.first_position -= 1


def no_embedding_norm(network):
    network.embedding.norm = None


def tied_head(network):
    network.language_model_head.rows = None


def untied_head(network):
    rows = network.embedding.tokens.weight.roll(1, 0)
    network.language_model_head.rows = torch.nn.Parameter(rows)


def head_bias_twice(network):
    network.language_model_head.bias.data *= 2


def no_head_bias(network):
    network.language_model_head.bias.data.zero_()


def no_head_dense(network):
    network.language_model_head.dense = torch.nn.Identity()


def no_head_norm(network):
    network.language_model_head.norm = torch.nn.Identity()


def head_norm_before_the_activation(network):
    head = network.language_model_head
    head.dense, head.norm = torch.nn.Sequential(head.dense, head.norm), torch.nn.Identity()


def halves_exchanged(network):
    for module in each(network, GatedFeedForward):
        module.up.weight.data = torch.cat(module.up.weight.chunk(2)[::-1])


def other_gate(network):
    for module in each(network, GatedFeedForward):
        module.activation = "silu" if module.activation == "gelu" else "gelu"


def key_and_value_exchanged(network):
    for block in network.blocks:
        attention = block.attention
        attention.key, attention.value = attention.value, attention.key


def query_and_key_exchanged(network):
    for block in network.blocks:
        attention = block.attention
        attention.query, attention.key = attention.key, attention.query


def norms_exchanged(network):
    for block in network.blocks:
        one, other = block.attention_norm, block.feed_forward_norm
        block.attention_norm, block.feed_forward_norm = other, one


def no_attention_biases(network):
    for block in network.blocks:
        for linear in each(block.attention, torch.nn.Linear):
            linear.bias.data.zero_()


def no_way_down_bias(network):
    for block in network.blocks:
        block.feed_forward.down.bias.data.zero_()


def wrong_query_scale(network):
    for block in network.blocks:
        block.attention.query.weight.data *= 1.01


def geometric_slopes(network):
    count = network.config.num_heads
    slopes = torch.tensor([2 ** (-8 * i / count) for i in range(1, count + 1)])
    network._slopes[torch.device("cpu")] = slopes


def layers_without_the_embeddings(network):
    honest = network.trace

    def trace(*args, **more):
        out = honest(*args, **more)
        return encoder.EncoderOutput(out.hidden_ND, out.layers[1:], out.maps)

    network.trace = trace
