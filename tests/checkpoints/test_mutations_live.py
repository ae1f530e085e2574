"""Published details that no fixture shows: the reference packages themselves must notice."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from lexome.checkpoints import from_bert, from_esm, from_fair
from lexome.checkpoints.catalogue import catalogue
from lexome.checkpoints.layouts import load_path
from lexome.errors import InputError
from lexome.inference.model import load
from lexome.inference.references import find_reference
from lexome.layers import feed_forward
from tests.checkpoints.families import ATOL, RTOL, read_fixture

pytest.importorskip("transformers")
pytest.importorskip("esm")


@pytest.fixture
def copy(tmp_path):
    def make(name):
        target = tmp_path / name
        target.mkdir()
        for path in read_fixture(name).path.iterdir():
            shutil.copyfile(path, target / path.name)
        return target

    return make


def reference_notices(path, ids, mutate, patch):
    """Whether logits were the reference's, and are no longer."""
    file = from_fair.find_fair(path) or path
    with torch.inference_mode():
        wanted = find_reference(load_path(path).layout, file).reference.run(ids)["logits"]

    def is_off():
        found = torch.from_numpy(load(str(path)).run_ids([ids])[0].logits)
        return not torch.allclose(found, wanted, atol=ATOL, rtol=RTOL)

    before = is_off()
    mutate(patch)
    return not before and is_off()


def test_a_head_of_its_own_brings_the_mask_row_back(copy, monkeypatch):
    """fair-esm zeroes the row, then copies a head that is stored by itself over it."""
    directory = copy("esm1b-fair-tiny")
    file = directory / "esm1b_t2_tiny.pt"
    content = torch.load(file, weights_only=False)
    content["model"]["encoder.lm_head.weight"] = content["model"]["encoder.lm_head.weight"].clone()
    torch.save(content, file)

    def zeroed_all_the_same(patch):
        def zero(tensors):
            for name in ("encoder.sentence_encoder.embed_tokens.weight", "encoder.lm_head.weight"):
                tensors[name] = tensors[name].index_fill(0, torch.tensor(32), 0)

        patch.setattr(from_fair, "_zero_mask_row", zero)

    assert reference_notices(directory, [0, 5, 32, 6, 2], zeroed_all_the_same, monkeypatch)


def test_frequencies_that_a_file_leaves_out_are_those_of_transformers(copy, monkeypatch):
    directory = copy("esm2-hf-tiny")
    tensors = load_file(directory / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "inv_freq" not in name}
    save_file(kept, directory / "model.safetensors")

    def rounded_all_the_same(patch):
        """As the published files have them."""
        honest = from_esm._published_inv_freq
        patch.setattr(from_esm, "_published_inv_freq", lambda config: honest(config).half())

    assert reference_notices(directory, [0, *range(4, 24), 2], rounded_all_the_same, monkeypatch)


def test_the_activation_that_a_config_names_is_taken(copy, monkeypatch):
    directory = copy("bert-tiny")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu_new"}))

    def exact_all_the_same(patch):
        patch.setitem(feed_forward.ACTIVATIONS, "gelu_new", F.gelu)

    assert reference_notices(directory, [2, 20, 30, 40, 3], exact_all_the_same, monkeypatch)


def test_norms_take_the_epsilon_that_a_config_names(copy, monkeypatch):
    directory = copy("bert-tiny")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))

    def default_all_the_same(patch):
        patch.setattr(from_bert, "read_eps", lambda *_: 1e-12)

    assert reference_notices(directory, [2, 20, 30, 40, 3], default_all_the_same, monkeypatch)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("esm1b-fair-tiny", 32),  # max_positions
        ("esm1v-fair-tiny", 32),
        ("esm1b-hf-tiny", 32),  # max_position_embeddings less the two rows that fairseq skips
        ("esm1v-hf-tiny", 32),
        ("nt-v1-tiny", 32),
        ("dnabert-tiny", 40),  # max_position_embeddings
        ("bert-tiny", 40),
    ],
)
def test_tokens_end_where_the_references_positions_end(name, limit):
    path = read_fixture(name).path
    loaded, model = load_path(path), load(str(path))
    reference = find_reference(loaded.layout, from_fair.find_fair(path) or path).reference
    assert loaded.network.config.context == limit
    with torch.inference_mode():
        wanted = reference.run([20] * limit)["logits"]
        with pytest.raises((ValueError, IndexError, RuntimeError)):
            reference.run([20] * (limit + 1))
    found = torch.from_numpy(model.run_ids([[20] * limit])[0].logits)
    torch.testing.assert_close(found, wanted, atol=ATOL, rtol=RTOL)
    with pytest.raises(InputError, match=f"{limit + 1} tokens"):
        model.run_ids([[20] * (limit + 1)])


@pytest.mark.parametrize("name", ["esm1b-fair-tiny", "esm2-hf-tiny"])
def test_residues_are_the_context_less_its_two_special_tokens(name):
    model = load(str(read_fixture(name).path))
    most = model.card.context - 2
    assert len(model.run("A" * most)[0].ids) == model.card.context
    with pytest.raises(InputError, match=f"{most + 1:,} residues"):
        model.run("A" * (most + 1))


@pytest.mark.parametrize("name", ["nt-v1-tiny", "nt-v2-tiny"])
def test_the_context_of_nucleotides_is_their_tokenizers(name):
    loaded = load_path(read_fixture(name).path)
    told = json.loads((read_fixture(name).path / "tokenizer_config.json").read_text())
    assert loaded.network.config.context == told["model_max_length"]


def test_published_proteins_have_room_for_1022_residues():
    for name, entry in catalogue().items():
        if entry.layout in ("esm1b", "esm1v", "esm2"):
            assert entry.context == 1024, name
