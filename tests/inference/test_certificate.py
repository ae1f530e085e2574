"""`verify`: a certificate for each family, and none for a model that is not what it says."""

import pytest
import torch

from lexome.inference import certificate
from lexome.inference.certificate import certify
from lexome.inference.references import Answer, Reference
from tests.checkpoints.causal import EVO, HYENA, read_causal
from tests.checkpoints.families import FAMILIES, read_fixture
from tests.shared_data import shared

WITH_REFERENCE = {
    "esm2-hf-tiny": "transformers",
    "esm1b-fair-tiny": "fair-esm",
    "nt-v1-tiny": "transformers",
    "dnabert-tiny": "transformers",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gets_its_certificate(name):
    found = certify(str(read_fixture(name).path))
    assert found.passed
    outputs = {check.output for check in found.checks}
    assert {"hidden", "logits", "hidden_layers", "attentions"} <= outputs
    if name in WITH_REFERENCE:
        package = WITH_REFERENCE[name]
        pytest.importorskip("esm" if package == "fair-esm" else package)
        assert found.reference.startswith(package)
        assert any(check.against == found.reference for check in found.checks)
    if name.startswith(("nt-v2", "dnabert2")):
        assert "never run" in found.reference


@pytest.mark.parametrize("name", [*EVO, *HYENA])
def test_causal_models_get_theirs(name):
    found = certify(str(read_causal(name).path))
    assert found.passed
    outputs = {check.output for check in found.checks}
    assert {"hidden", "logits", "hidden_layers"} <= outputs
    assert ("attentions" in outputs) == (name in EVO)
    assert "our tests hold it to outputs" in found.reference


def test_alignments_too():
    pytest.importorskip("esm")
    found = certify(str(shared("reference/fixtures/msa1b-fair-tiny")))
    assert found.passed
    outputs = {"logits", "hidden_layers", "row_attentions", "column_attentions", "contacts"}
    for against, names in {
        "traced": {"hidden"},
        "the plain form": outputs | {"hidden"},
        found.reference: outputs,
    }.items():
        assert {c.output for c in found.checks if c.against == against} == names
    assert all(0 <= c.error <= c.allowed for c in found.checks)
    # two ways of computing, or nothing was compared
    assert any(c.error > 0 for c in found.checks if c.against == "the plain form")


@pytest.mark.parametrize("place", ["final_norm", "blocks.0.feed_forward_norm"])
def test_a_wrong_kernel_for_alignments_is_found(monkeypatch, place):
    from lexome.inference import alignments

    def spoil(network):
        network = honest(network)
        network.get_submodule(place).weight.data[0] += 1e-1
        return network

    honest = alignments.accelerate
    monkeypatch.setattr(alignments, "accelerate", spoil)
    found = certify(str(shared("reference/fixtures/msa1b-fair-tiny")))
    broken = {c.output for c in found.checks if c.against == "the plain form" and not c.passed}
    assert {"hidden", "logits", "hidden_layers"} <= broken
    assert all(c.passed for c in found.checks if c.against == "traced")
    assert not found.passed


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_a_difference_is_found_and_named(esm2, monkeypatch, wrong):
    pytest.importorskip("transformers")
    honest = certificate.find_reference

    def shifted(layout, path):
        answer = honest(layout, path)

        def run(ids):
            found = answer.reference.run(ids)
            found["logits"] = found["logits"].clone()
            found["logits"][-1, -1] += wrong
            return found

        return Answer(Reference("a liar", run), "")

    monkeypatch.setattr(certificate, "find_reference", shifted)
    found = certify(str(esm2))
    assert not found.passed
    broken = [check for check in found.checks if not check.passed]
    assert [(check.output, check.against) for check in broken] == [("logits", "a liar")]


def test_a_wrong_kernel_is_found(esm2, monkeypatch):
    from lexome.inference import model

    def spoil(network):
        network = honest(network)
        network.final_norm.weight.data[0] += 1e-2
        return network

    honest = model.accelerate
    monkeypatch.setattr(model, "accelerate", spoil)
    found = certify(str(esm2))
    assert any(c.against == "the plain form" and not c.passed for c in found.checks)
    assert torch.isfinite(torch.tensor([c.error for c in found.checks])).all()
