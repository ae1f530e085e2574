"""Each step from attention maps to contacts, turned the wrong way: a reference must notice."""

import pytest
import torch

from lexome.architectures import encoder
from lexome.checkpoints.layouts import load_path
from lexome.inference.references import find_reference
from lexome.layers import heads
from lexome.layers.heads import ContactHead
from lexome.layers.layout import PackedLayout
from tests.checkpoints.families import ATOL, RTOL, read_fixture
from tests.checkpoints.mutated import Bench


def contacts_are_off(bench):
    return any(
        not torch.allclose(ours["contacts"], wanted["contacts"], atol=ATOL, rtol=RTOL)
        for ours, wanted in bench.run()
        if "contacts" in ours
    )


def no_correction(patch):
    patch.setattr(heads, "remove_average_product", lambda maps: maps)


def no_symmetry(patch):
    honest = heads.remove_average_product
    patch.setattr(heads, "remove_average_product", lambda maps: honest(maps.triu()))


def corrected_over_all_maps(patch):
    honest = heads.remove_average_product

    def remove(maps_MLL):
        mean_MLL = maps_MLL.mean(0, keepdim=True).expand_as(maps_MLL)
        return maps_MLL - (mean_MLL - honest(mean_MLL))

    patch.setattr(heads, "remove_average_product", remove)


def mean_of_both_ways(patch):
    """x + x^T is no mean: the regression was trained on the sum."""
    honest = heads.remove_average_product
    patch.setattr(heads, "remove_average_product", lambda maps: honest(maps / 2))


def heads_before_layers(patch):
    patch.setattr(
        encoder, "stack_maps", lambda layers: torch.stack(layers).transpose(0, 1).flatten(0, 1)
    )


def window_with_cls(patch):
    """Rows and columns from `<cls>` on: the last residue falls out in place of `<cls>`."""
    honest = ContactHead.forward
    patch.setattr(
        ContactHead,
        "forward",
        lambda self, maps, tokens, eos: honest(
            self, maps.roll((1, 1), (1, 2)), tokens.roll(1), eos
        ),
    )


def no_sigmoid(patch):
    patch.setattr(torch, "sigmoid", lambda logits: logits)


def no_bias(patch):
    honest = ContactHead.forward

    def forward(self, maps, tokens, eos):
        self.regression.bias.data.zero_()
        return honest(self, maps, tokens, eos)

    patch.setattr(ContactHead, "forward", forward)


STEPS = [
    no_correction,
    no_symmetry,
    corrected_over_all_maps,
    mean_of_both_ways,
    heads_before_layers,
    window_with_cls,
    no_sigmoid,
    no_bias,
]


@pytest.mark.parametrize("name", ["esm2-fair-tiny", "esm2-hf-tiny", "esm1b-fair-tiny"])
@pytest.mark.parametrize("mutate", STEPS)
def test_contacts_notice(name, mutate, monkeypatch):
    bench = Bench(name)
    assert not contacts_are_off(bench)
    mutate(monkeypatch)
    assert contacts_are_off(bench)


def test_one_residue_touches_itself_as_the_bias_says():
    """Its correction leaves nothing: a fixture's `G`, and no other map."""
    bench = Bench("esm2-fair-tiny")
    ours, wanted = next(pair for pair in bench.run() if len(pair[0]["logits"]) == 3)
    bias = bench.network.contact_head.regression.bias
    assert ours["contacts"].item() == pytest.approx(torch.sigmoid(bias).item(), abs=1e-6)
    assert wanted["contacts"].item() == pytest.approx(torch.sigmoid(bias).item(), abs=1e-6)


def test_every_end_is_left_out_of_the_sums_as_fair_esm_does():
    """Of a lone sequence the window cuts `<eos>` off anyway; one between two proteins it does not."""
    pytest.importorskip("esm")
    path = read_fixture("esm2-fair-tiny").path
    loaded = load_path(path)
    ids = [0, 20, 15, 11, 2, 7, 10, 16, 9, 2]
    with torch.inference_mode():
        wanted = find_reference(loaded.layout, path).reference.run(ids)["contacts"]
        tokens_T = torch.tensor(ids)
        out = loaded.network.trace(tokens_T, PackedLayout([len(ids)]), with_maps=True)
        found = loaded.network.contacts(out.maps, [tokens_T])[0]
        object.__setattr__(loaded.network.config, "eos_id", 99)
        mutated = loaded.network.contacts(out.maps, [tokens_T])[0]
    torch.testing.assert_close(found, wanted, atol=ATOL, rtol=RTOL)
    assert not torch.allclose(mutated, wanted, atol=ATOL, rtol=RTOL)
