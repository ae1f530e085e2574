"""Each published detail of the MSA Transformer, turned the wrong way: a reference must notice."""

import pytest
import torch
from safetensors.torch import load_file

from lexome.architectures import msa
from lexome.architectures.msa import MsaBlock
from lexome.checkpoints import from_msa
from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError, InputError
from lexome.inference.model import load_alignment_model
from lexome.inference.references import find_reference
from lexome.tokenizers.character import CharacterTokenizer
from tests.checkpoints.families import ATOL, RTOL
from tests.checkpoints.mutated import (
    is_off,
    no_head_bias,
    no_head_dense,
    no_head_norm,
    other_eps,
    tanh_gelu,
    tanh_gelu_in_the_head,
)
from tests.shared_data import shared

KEYS = ("single.0", "single.1", "single.2", "masked.0")


@pytest.fixture(scope="module")
def path():
    return shared("reference/fixtures/msa1b-fair-tiny")


@pytest.fixture(scope="module")
def tensors(path):
    return load_file(path / "expected.safetensors")


def outputs_of(network, tokens_RC):
    with torch.inference_mode():
        out = network.trace(tokens_RC)
        return {
            "logits": network.logits(out.hidden_RCD),
            "row_attentions": torch.stack(out.row_maps),
            "col_attentions": torch.stack(out.column_maps),
            "contacts": network.contacts(out.row_maps),
            **{f"hidden.{k}": layer for k, layer in enumerate(out.layers)},
        }


def any_is_off(network, tensors, only=None):
    for key in KEYS:
        found = outputs_of(network, tensors[f"{key}.tokens"][0])
        names = [only] if only else list(found)
        if is_off({n: found[n] for n in names}, {n: tensors[f"{key}.{n}"][0] for n in names}):
            return True
    return False


def attentions_as_named_on_disk(network):
    for block in network.blocks:
        rows, columns = block.row_attention, block.column_attention
        block.row_attention, block.column_attention = columns, rows


def norms_as_named_on_disk(network):
    for block in network.blocks:
        block.row_norm, block.column_norm = block.column_norm, block.row_norm


def feed_forward_norm_exchanged(network):
    for block in network.blocks:
        one, other = block.column_norm, block.feed_forward_norm
        block.column_norm, block.feed_forward_norm = other, one


def depth_forgotten(network):
    """As if not divided by the root of the number of rows, 4 in the first alignment."""
    for block in network.blocks:
        block.row_attention.query.weight.data *= 2
        block.row_attention.query.bias.data *= 2


def wrong_scale_of_columns(network):
    for block in network.blocks:
        block.column_attention.query.weight.data *= 1.01


def key_and_value_exchanged(network):
    for block in network.blocks:
        for attention in (block.row_attention, block.column_attention):
            attention.key, attention.value = attention.value, attention.key


def query_and_key_exchanged(network):
    for block in network.blocks:
        for attention in (block.row_attention, block.column_attention):
            attention.query, attention.key = attention.key, attention.query


def row_vectors_forgotten(network):
    network.rows.data.zero_()


def next_row_vector(network):
    network.rows.data = network.rows.roll(-1, 0)


def next_position(network):
    network.positions.weight.data = network.positions.weight.roll(-1, 0)


def no_embedding_norm(network):
    network.embedding_norm = torch.nn.Identity()


def no_final_norm(network):
    network.final_norm = torch.nn.Identity()


def rescaled_as_for_token_dropout(network):
    network.tokens.register_forward_hook(lambda module, given, out: 0.88 * out)


def mask_row_zeroed(network):
    network.tokens.weight.data[32] = 0


def untied_head(network):
    rows = network.tokens.weight.roll(1, 0)
    network.language_model_head.rows = torch.nn.Parameter(rows)


@pytest.mark.parametrize(
    "mutate",
    [
        attentions_as_named_on_disk,
        norms_as_named_on_disk,
        feed_forward_norm_exchanged,
        depth_forgotten,
        wrong_scale_of_columns,
        key_and_value_exchanged,
        query_and_key_exchanged,
        row_vectors_forgotten,
        next_row_vector,
        next_position,
        no_embedding_norm,
        no_final_norm,
        rescaled_as_for_token_dropout,
        mask_row_zeroed,
        tanh_gelu,
        tanh_gelu_in_the_head,
        other_eps,
        untied_head,
        no_head_dense,
        no_head_norm,
        no_head_bias,
    ],
)
def test_the_fixture_notices(mutate, path, tensors):
    network = load_path(path).network
    assert not any_is_off(network, tensors)
    mutate(network)
    assert any_is_off(network, tensors)


def columns_before_rows(patch):
    rows, columns = MsaBlock._rows, MsaBlock._columns

    def forward(self, x_RCD, maps):
        x_RCD = x_RCD + columns(self, self.column_norm(x_RCD), maps)
        x_RCD = x_RCD + rows(self, self.row_norm(x_RCD), maps)
        return x_RCD + self.feed_forward(self.feed_forward_norm(x_RCD))

    patch.setattr(MsaBlock, "forward", forward)


def side_by_side(patch):
    """Columns of what came in, where the model takes them of what the rows made."""

    def forward(self, x_RCD, maps):
        by_row = self._rows(self.row_norm(x_RCD), maps)
        x_RCD = x_RCD + by_row + self._columns(self.column_norm(x_RCD), maps)
        return x_RCD + self.feed_forward(self.feed_forward_norm(x_RCD))

    patch.setattr(MsaBlock, "forward", forward)


def a_map_for_every_row(patch):
    honest = MsaBlock._rows

    def rows(self, x_RCD, maps):
        honest(self, x_RCD, maps)
        return torch.cat([honest(self, row[None], None) for row in x_RCD])

    patch.setattr(MsaBlock, "_rows", rows)


def scores_of_the_query_alone(patch):
    honest = MsaBlock._rows

    def rows(self, x_RCD, maps):
        honest(self, x_RCD[:1], maps)
        value_RCHd = self.row_attention.project(x_RCD, None)[2]
        context = torch.einsum("hqk,rkhd->rqhd", maps[0][-1], value_RCHd)
        return self.row_attention.output(context.flatten(-2))

    patch.setattr(MsaBlock, "_rows", rows)


@pytest.mark.parametrize(
    "mutate",
    [columns_before_rows, side_by_side, a_map_for_every_row, scores_of_the_query_alone],
)
def test_the_fixture_notices_the_code(mutate, path, tensors, monkeypatch):
    network = load_path(path).network
    assert not any_is_off(network, tensors, "logits")
    mutate(monkeypatch)
    assert any_is_off(network, tensors, "logits")


def no_correction(patch):
    patch.setattr(msa, "remove_average_product", lambda maps: maps)


def no_symmetry(patch):
    honest = msa.remove_average_product
    patch.setattr(msa, "remove_average_product", lambda maps: honest(maps.triu()))


def window_with_cls(patch):
    honest = torch.cat
    patch.setattr(torch, "cat", lambda maps: honest(maps).roll((1, 1), (1, 2)))


def last_column_taken_for_an_end(patch):
    """As for ESM, whose alphabet appends `<eos>`: one column too few, here with what it adds up."""
    honest = msa.remove_average_product

    def remove(maps_MLL):
        maps_MLL[:, -1], maps_MLL[:, :, -1] = 0, 0
        return honest(maps_MLL)

    patch.setattr(msa, "remove_average_product", remove)


def no_sigmoid(patch):
    patch.setattr(torch, "sigmoid", lambda logits: logits)


@pytest.mark.parametrize(
    "mutate",
    [no_correction, no_symmetry, window_with_cls, last_column_taken_for_an_end, no_sigmoid],
)
def test_contacts_notice(mutate, path, tensors, monkeypatch):
    network = load_path(path).network
    with torch.inference_mode():
        maps = network.trace(tensors["single.0.tokens"][0]).row_maps
        wanted = tensors["single.0.contacts"][0]
        torch.testing.assert_close(network.contacts(maps), wanted, atol=ATOL, rtol=RTOL)
        mutate(monkeypatch)
        assert is_off({"contacts": network.contacts(maps)}, {"contacts": wanted})


def test_an_alignment_scaled_by_its_batchs_depth_is_the_published_batchs(path, tensors):
    """Two rows beside an alignment of four: what the reference's batch does, and we do not."""
    network = load_path(path).network
    for block in network.blocks:
        block.row_attention.query.weight.data *= (2 / 4) ** 0.5
        block.row_attention.query.bias.data *= (2 / 4) ** 0.5
    tokens_RC = tensors["single.1.tokens"][0]
    rows, columns = tokens_RC.shape
    logits = outputs_of(network, tokens_RC)["logits"]
    in_company = tensors["batch.logits"][1, :rows, :columns]
    torch.testing.assert_close(logits, in_company, atol=ATOL, rtol=RTOL)
    assert (logits - tensors["single.1.logits"][0]).abs().max() > 1


ROWS = ["MKTV-RQX.", "MRTVA-QEC", "-KSIARQ-C", "MKTV---EC"]


def an_end_behind_every_row(patch):
    honest = CharacterTokenizer.encode
    patch.setattr(CharacterTokenizer, "encode", lambda *args: [*honest(*args), 2])


def gap_and_dot_exchanged(patch):
    honest = CharacterTokenizer.encode
    other = str.maketrans(".-", "-.")
    patch.setattr(
        CharacterTokenizer, "encode", lambda self, row, *more: honest(self, row.translate(other))
    )


def gaps_taken_for_unknown(patch):
    honest = CharacterTokenizer.encode
    patch.setattr(
        CharacterTokenizer,
        "encode",
        lambda self, row, *more: honest(self, row.replace("-", "X")),
    )


@pytest.mark.parametrize(
    "mutate", [an_end_behind_every_row, gap_and_dot_exchanged, gaps_taken_for_unknown]
)
def test_the_tokens_of_an_alignment_notice(mutate, path, tensors, monkeypatch):
    model, wanted = load_alignment_model(str(path)), tensors["single.0.tokens"][0].tolist()
    assert model.run(ROWS)[0].ids == wanted
    mutate(monkeypatch)
    assert model.run(ROWS)[0].ids != wanted


def test_columns_end_where_the_reference_ends(path):
    pytest.importorskip("esm")
    model = load_alignment_model(str(path))
    reference, limit = find_reference("fair-msa", path).reference, model.card.context
    with torch.inference_mode():
        reference.run([[0] + [5] * (limit - 1)])
        with pytest.raises(ValueError, match="above maximum"):
            reference.run([[0] + [5] * limit])
    assert model.run(["A" * (limit - 1)])[0].logits.shape == (1, limit, 33)
    with pytest.raises(InputError, match=f"{limit} columns"):
        model.run(["A" * limit])


def test_padding_in_an_alignment_is_refused(path):
    with pytest.raises(InputError, match=r"row 2: saw padding \(id 1\) as token 3"):
        load_alignment_model(str(path)).run_ids([[0, 5, 6], [0, 5, 1]])


def test_row_vectors_of_the_first_release_are_one_number_wide(tmp_path, monkeypatch):
    """The last size is read from the file; the norm behind takes the number away again."""
    esm = pytest.importorskip("esm")
    from tests.checkpoints.test_live import namespace, save_fair, shake, stripped

    size = {"layers": 1, "heads": 2, "width": 8, "ffn": 32, "seed": 7}
    told = {"arch": "msa_transformer", "embed_positions_msa": True}
    args = stripped(size, **told, embed_positions_msa_dim=1)
    alphabet = esm.data.Alphabet.from_architecture("msa_transformer")
    reference = esm.model.msa_transformer.MSATransformer(args, alphabet)
    state = dict(shake(reference, 7).state_dict())
    assert state["msa_position_embedding"].shape == (1, 1024, 1, 1)
    file = save_fair(tmp_path, "esm_msa1_toy", {"args": namespace(size, **told)}, state, True)
    tokens_RC = torch.tensor([[0, 5, 30, 7], [0, 9, 11, 29]])
    network = load_path(file).network
    with torch.inference_mode():
        wanted = reference(tokens_RC[None])["logits"][0]
        found = network.logits(network(tokens_RC))
    torch.testing.assert_close(found, wanted, atol=ATOL, rtol=RTOL)

    def of_full_width(**sizes):
        return msa.MsaConfig(**(sizes | {"row_width": None}))

    monkeypatch.setattr(from_msa, "MsaConfig", of_full_width)
    with pytest.raises(CheckpointError, match=r"rows of shape \(1024, 1\)"):
        load_path(file)
