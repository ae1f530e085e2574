"""Each published detail of T5, turned the wrong way: a fixture, or a live model, must notice."""

import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lexome.architectures.t5 import T5
from lexome.batches.packing import pack
from lexome.checkpoints.layouts import load_path
from lexome.layers import relative
from lexome.layers.heads import TokenScores
from lexome.layers.unscaled_attention import CrossAttention, UnscaledAttention
from tests.checkpoints.test_t5_fixtures import FIXTURES, sources
from tests.shared_data import shared

transformers = pytest.importorskip("transformers")
BOTH = tuple(FIXTURES)
PROT, ANKH = BOTH


def read(name):
    path = shared(f"reference/fixtures/{name}")
    return load_path(path).network, load_file(path / "expected.safetensors")


@torch.inference_mode()
def is_off(network, expected, atol):
    """Whether the encoder's rows or the decoder's scores are others than the published ones."""
    tokens, layout = pack(sources(expected))
    hidden = network.encode(tokens, layout)
    for i, own in enumerate(layout.split(hidden)):
        wanted = expected[f"input{i}.encoder_last_hidden"]
        if (own[expected[f"input{i}.encoder_positions"].long()] - wanted).abs().max() > atol:
            return True
    state = network.start_from(hidden, layout, 20)
    scores = network.logits(network.extend(expected["batch.decoder_input_ids"], state))
    return bool((scores - expected["batch.logits"]).abs().max() > atol)


def attentions(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def scale(kind):
    def mutate(network):
        for attention in attentions(network, kind):
            attention.query.weight.data *= network.config.head_width**-0.5

    return mutate


def key_and_value_exchanged(kind):
    def mutate(network):
        for attention in attentions(network, kind):
            attention.key, attention.value = attention.value, attention.key

    return mutate


def heads_by_width(network):
    """Rows read as if the width of a head were the slow axis."""
    for attention in attentions(network, UnscaledAttention):
        rows = attention.query.weight.data
        shape = (network.config.head_width, network.config.num_heads, -1)
        attention.query.weight.data = rows.view(shape).transpose(0, 1).flatten(0, 1).contiguous()


def without_bias(stack):
    def mutate(network):
        getattr(network, stack).relative.table.weight.data.zero_()

    return mutate


def tables_exchanged(network):
    ours, theirs = network.encoder.relative, network.decoder.relative
    ours.table, theirs.table = theirs.table, ours.table


def encoder_looks_one_way(network):
    """The decoder's rule of buckets, without its mask."""
    plain, table = relative.relative_buckets, network.encoder.relative.table

    def forward(queries, keys):
        distance = torch.arange(1 - keys, queries)
        buckets = plain(distance, table.num_embeddings, network.config.max_distance, False)
        return table(buckets).T.contiguous()

    network.encoder.relative.forward = forward


def decoder_buckets_both_ways(network):
    plain, own = relative.relative_buckets, network.decoder.relative

    def forward(queries, keys):
        distance = torch.arange(1 - keys, queries)
        buckets = plain(distance, own.table.num_embeddings, own.max_distance, True)
        added = own.table(buckets).T.contiguous()
        return added.masked_fill(distance > 0, -math.inf)

    own.forward = forward


def upper_half_behind(network):
    table = network.encoder.relative.table
    table.weight.data = torch.cat(tuple(reversed(table.weight.data.chunk(2))))


def query_minus_key(network):
    own = network.encoder.relative
    plain = own.forward
    own.forward = lambda queries, keys: plain(queries, keys).flip(-1)


def other_distance(network):
    for stack in (network.encoder, network.decoder):
        stack.relative.max_distance = 256


def decoder_sees_ahead(network):
    plain = network.decoder.relative.forward
    network.decoder.relative.forward = lambda q, k: plain(q, k).nan_to_num(neginf=0.0)


def next_distance(network):
    """Every key of the decoder one place off."""
    own = network.decoder.relative
    plain = own.forward
    own.forward = lambda queries, keys: plain(queries, keys).roll(1, dims=1)


def bias_where_the_source_is_attended_to(network):
    for block in network.decoder.blocks:
        project = block.cross.project_source

        def shifted(source, project=project):
            key, value = project(source)
            return key + 0.3 * torch.arange(len(source))[:, None, None] / len(source), value

        block.cross.project_source = shifted


def bias_in_the_first_layer_only(network):
    """As where it is thought to be that layer's own."""
    for block in list(network.encoder.blocks)[1:]:
        plain = block.forward
        block.forward = lambda x, layout, added, maps=None, plain=plain: plain(
            x, layout, torch.zeros_like(added), maps
        )


def with_mean(network):
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.RMSNorm):
            made = nn.LayerNorm(network.width, eps=1e-6, bias=False)
            made.weight = module.weight
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, made)


def no_final_norm(stack):
    def mutate(network):
        getattr(network, stack).final_norm = nn.Identity()

    return mutate


def other_activation(kind):
    def mutate(network):
        for module in network.modules():
            if hasattr(module, "activation"):
                module.activation = kind

    return mutate


def gate_and_lift_exchanged(network):
    for block in network.encoder.blocks:
        up = block.feed_forward.up
        up.weight.data = torch.cat(tuple(reversed(up.weight.data.chunk(2))))


def head(**changes):
    def mutate(network):
        config = network.config
        object.__setattr__(network, "config", type(config)(**{**vars(config), **changes}))

    return mutate


def tied_head(network):
    network.decoder.head.rows = None


def head_of_another(network):
    network.decoder.head = TokenScores(network.width, network.config.vocabulary_size, False, False)
    nn.init.normal_(network.decoder.head.rows)


def source_without_its_norm(network):
    network.encoder.final_norm.weight.data += 0.1


CASES = [
    *((name, scale(kind)) for name in BOTH for kind in (UnscaledAttention, CrossAttention)),
    *(
        (name, key_and_value_exchanged(kind))
        for name in BOTH
        for kind in (UnscaledAttention, CrossAttention)
    ),
    *((name, without_bias(stack)) for name in BOTH for stack in ("encoder", "decoder")),
    *((name, no_final_norm(stack)) for name in BOTH for stack in ("encoder", "decoder")),
    *(
        (name, mutate)
        for name in BOTH
        for mutate in (
            heads_by_width,
            tables_exchanged,
            encoder_looks_one_way,
            decoder_buckets_both_ways,
            upper_half_behind,
            query_minus_key,
            other_distance,
            decoder_sees_ahead,
            next_distance,
            bias_where_the_source_is_attended_to,
            bias_in_the_first_layer_only,
            with_mean,
            head_of_another,
            source_without_its_norm,
        )
    ),
    (PROT, other_activation("gelu")),
    (PROT, other_activation("gelu_new")),
    (PROT, head(scaled_head=False)),
    (ANKH, other_activation("gelu")),
    (ANKH, other_activation("silu")),
    (ANKH, gate_and_lift_exchanged),
    (ANKH, head(scaled_head=True)),
    (ANKH, tied_head),
]


@pytest.mark.parametrize(("name", "mutate"), CASES)
def test_the_fixture_notices(name, mutate):
    network, expected = read(name)
    assert not is_off(network, expected, FIXTURES[name])
    mutate(network)
    assert is_off(network, expected, FIXTURES[name])


def test_a_wrongly_tied_head_costs_much():
    """The facts: about 25 in the logits of Ankh's fixture."""
    network, expected = read(ANKH)
    tied_head(network)
    with torch.inference_mode():
        tokens, layout = pack(sources(expected))
        state = network.start_from(network.encode(tokens, layout), layout, 20)
        scores = network.logits(network.extend(expected["batch.decoder_input_ids"], state))
    assert (scores - expected["batch.logits"]).abs().max() > 20


class EpsOutside(nn.RMSNorm):
    """The epsilon beside the root instead of in it."""

    def forward(self, x):
        return self.weight * x / (x.square().mean(-1, keepdim=True).sqrt() + self.eps)


def test_where_the_epsilon_stands_shows_beside_a_large_one(tmp_path):
    """Of 1e-6 the fixtures cannot tell: a live model with 0.1 can."""
    config = transformers.T5Config(
        vocab_size=20, d_model=8, d_kv=4, d_ff=9, num_layers=2, num_heads=2,
        layer_norm_epsilon=0.1, dropout_rate=0.0,
    )  # fmt: skip
    reference = transformers.T5EncoderModel(config).eval()
    reference.save_pretrained(tmp_path)
    network, ids = load_path(tmp_path).network, [4, 9, 12, 1]
    with torch.inference_mode():
        wanted = reference(torch.tensor([ids])).last_hidden_state[0]
        torch.testing.assert_close(network(*pack([ids])), wanted, atol=1e-5, rtol=1e-5)
        for name, module in list(network.named_modules()):
            if isinstance(module, nn.RMSNorm):
                made = EpsOutside(8, eps=0.1)
                made.weight = module.weight
                parent, _, last = name.rpartition(".")
                setattr(network.get_submodule(parent), last, made)
        assert isinstance(network, T5)
        assert (network(*pack([ids])) - wanted).abs().max() > 1e-3
