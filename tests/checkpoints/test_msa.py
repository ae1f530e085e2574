"""The MSA Transformer against what fair-esm computed; and where it differs on purpose."""

import pytest
import torch
from safetensors.torch import load_file

from lexome.checkpoints.layouts import load_path
from tests.checkpoints.families import ATOL, RTOL
from tests.shared_data import shared


@pytest.fixture(scope="module")
def path():
    return shared("reference/fixtures/msa1b-fair-tiny")


@pytest.fixture(scope="module")
def tensors(path):
    return load_file(path / "expected.safetensors")


@pytest.mark.parametrize("key", ["single.0", "single.1", "single.2", "masked.0"])
def test_an_alignment_agrees_with_the_published_outputs(path, tensors, key):
    network = load_path(path).network
    with torch.inference_mode():
        out = network.trace(tensors[f"{key}.tokens"][0])
        found = {
            "logits": network.logits(out.hidden_RCD),
            "row_attentions": torch.stack(out.row_maps),
            "col_attentions": torch.stack(out.column_maps),
            "contacts": network.contacts(out.row_maps),
            **{f"hidden.{k}": layer for k, layer in enumerate(out.layers)},
        }
    for name, value in found.items():
        wanted = tensors[f"{key}.{name}"][0]
        torch.testing.assert_close(value, wanted, atol=ATOL, rtol=RTOL, msg=name)


@pytest.mark.parametrize("key", ["single.0", "single.1", "single.2", "masked.0"])
def test_without_maps_the_answer_is_the_same(path, tensors, key):
    network = load_path(path).network
    with torch.inference_mode():
        found = network(tensors[f"{key}.tokens"][0])
    wanted = tensors[f"{key}.hidden.2"][0]
    torch.testing.assert_close(found, wanted, atol=ATOL, rtol=RTOL)


def test_an_alignment_does_not_feel_a_deeper_neighbour(path, tensors):
    """In the reference it does: row 1 of the batch, of two rows, is scaled as if it had four."""
    network = load_path(path).network
    tokens = tensors["batch.tokens"][1]
    depth, columns = (tokens != 1).any(1).sum(), (tokens != 1).any(0).sum()
    with torch.inference_mode():
        own = network.logits(network(tokens[:depth, :columns]))
    in_company = tensors["batch.logits"][1, :depth, :columns]
    assert (own - in_company).abs().max() > 1
    torch.testing.assert_close(own, tensors["single.1.logits"][0], atol=ATOL, rtol=RTOL)
