"""Adapters: at first they change nothing, they alone learn, and they can be multiplied in."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import lexome
from lexome.architectures.families import build
from lexome.architectures.predictor import HeadConfig, Predictor
from lexome.errors import EnvironmentProblem, InputError
from lexome.layers.kernels import accelerate
from lexome.layers.layout import PackedLayout
from lexome.training import finetune as module
from lexome.training import loop
from lexome.training.adapters import (
    ADAPTERS,
    choose_adapter,
    count_trained,
    merge_adapter,
    merged_copy,
    moving_tensors,
    put_on,
)
from lexome.training.artefact import load_artefact
from lexome.training.finetune import finetune
from lexome.training.predict import describe_adapter
from lexome.training.recipes import choose_recipe
from lexome.training.run_folder import Run
from lexome.training.settings import FinetuneSettings
from tests.shared_data import shared
from tests.toys import outside_name, random_encoder, rich_table
from tests.training.kills import Stopped, assert_same_run, kill_behind_states

SIZES = {"num_layers": 2, "width": 16, "num_heads": 2, "ffn_width": 32}
BARE = {"language_model_head": False, "contact_head": False}
OPTIONS: dict[str, Any] = {
    **{"split": "column:part", "seeds": 2, "epochs": 2, "dtype": "fp32", "batch_size": 16},
    "average": 0.9,
}
# One a kind: what differs between them is what an adapter stands on.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ESM-2": ("encoder", {**SIZES, **BARE}),
    "ESM-1b": ("encoder", {**SIZES, **BARE, "positions": "learned", "embedding_norm": True}),
    "NT v1": ("encoder", {**SIZES, **BARE, "positions": "learned", "eos_id": None}),
    "NT v2": ("encoder", {**SIZES, **BARE, "feed_forward": "swiglu", "token_dropout": False}),
    "BERT": ("bert", {**SIZES, "vocabulary_size": 33, "mask_id": 32, **{"tied_head": True}}),
    "DNABERT-2": (
        "bert",
        {**SIZES, "vocabulary_size": 33, "mask_id": 32}
        | {"positions": "alibi", "feed_forward": "geglu"},
    ),
    "GPT-2": ("decoder", {**SIZES, "vocabulary_size": 33}),
    "ProGen2": (
        "decoder",
        {**SIZES, "vocabulary_size": 33, "positions": "rotary", "interleaved": True}
        | {"parallel": True, "attention_bias": False},
    ),
    "T5": ("t5", {**SIZES, "head_width": 8, "vocabulary_size": 33, "decoder": False}),
}
TOKENS = torch.randint(4, 24, (21,), generator=torch.Generator().manual_seed(3))
LAYOUT = PackedLayout([9, 12])


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a toy."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)


def plain(name: str) -> nn.Module:
    """The network of a name with random weights, without its heads."""
    family, config = NETWORKS[name]
    if family == "bert":
        config = config | {"language_model_head": False}
    torch.manual_seed(0)
    network = build(family, config)
    for parameter in network.parameters():  # biases and scales of 0 and 1 would hide mistakes
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


def adapted(name: str, method: str, **asked: Any) -> Predictor:
    backbone = plain(name)
    adapter = choose_adapter(method, backbone, **asked, without=["language_model_head"])
    torch.manual_seed(1)
    network = Predictor(backbone, HeadConfig(num_outputs=2, dropout=0.0))
    put_on(backbone, adapter)
    return network.eval()


def stir(network: nn.Module) -> None:
    """As training would, give what learns other values."""
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)


PAIRS = [
    (name, method) for name in NETWORKS for method in ADAPTERS if (name, method) != ("T5", "bias")
]


@pytest.mark.parametrize(("name", "method"), PAIRS)
def test_an_adapter_changes_nothing_at_first_and_alone_gets_gradients(name, method):
    base, network = plain(name), adapted(name, method)
    backbone = network.backbone
    assert backbone is not None
    with torch.no_grad():
        torch.testing.assert_close(
            backbone(TOKENS, LAYOUT), base(TOKENS, LAYOUT), rtol=1e-5, atol=1e-6
        )
    before = {k: v.clone() for k, v in network.state_dict().items()}
    stir(network)
    network(TOKENS, LAYOUT).square().sum().backward()
    learning = {k for k, p in network.named_parameters() if p.requires_grad}
    got = {k for k, p in network.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert got <= learning
    # A softmax does not see what is added to all keys of a query alike.
    blind = {k for k in learning if k.endswith("key.bias")}
    assert learning - got <= blind
    assert any(k.startswith("backbone.") for k in learning)
    assert {k for k in learning if not k.startswith("backbone.")} == {
        k for k, _ in network.named_parameters() if not k.startswith("backbone.")
    }
    assert set(moving_tensors(network)) >= learning
    for key, tensor in network.state_dict().items():
        assert key in learning or torch.equal(tensor, before[key]), key


@pytest.mark.parametrize(("name", "method"), PAIRS)
def test_an_adapter_that_was_multiplied_in_gives_the_same_answers(name, method):
    network = adapted(name, method)
    stir(network)
    with torch.no_grad():
        expected = network(TOKENS, LAYOUT)
        merged: Any = merged_copy(network)
        assert [k for k, _ in merged.backbone.named_parameters()] == [
            k for k, _ in plain(name).named_parameters()
        ]
        torch.testing.assert_close(merged(TOKENS, LAYOUT), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(network(TOKENS, LAYOUT), expected)  # a copy was merged
        accelerate(merged.backbone)
        torch.testing.assert_close(merged(TOKENS, LAYOUT), expected, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(adapted(name, method)(TOKENS, LAYOUT), expected, atol=1e-3)


def test_ia3_trains_a_thousandth_of_esm2_35m():
    """Width 480, 12 layers: 12 x (480 + 480 + 1,920) of 33.5 million."""
    config = {"num_layers": 12, "width": 480, "num_heads": 20, "ffn_width": 1920} | BARE
    backbone = build("encoder", config)
    put_on(backbone, choose_adapter("ia3", backbone))
    recipe = choose_recipe("esm2-35m", "ia3")
    head = HeadConfig(num_outputs=1, pooling=recipe.head_pooling, hidden=recipe.head_hidden)
    counts = count_trained(Predictor(backbone, head))
    assert counts.adapter == 12 * (2 * 480 + 1920) == 34_560
    assert counts.adapter / counts.whole == pytest.approx(0.00103, abs=2e-5)
    assert counts.trained == 45_165
    assert counts.trained / counts.whole <= 0.002  # with the head of the recipe, too


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_lora_is_what_peft_makes_of_transformers_esm(esm2):
    """The same matrices put on transformers' EsmModel: the same hidden states."""
    import peft
    from transformers import EsmModel

    theirs = EsmModel.from_pretrained(esm2, add_pooling_layer=False).eval()
    there = {"query": "query", "value": "value"}
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=list(there))
    wrapped = peft.get_peft_model(theirs, config).eval()
    ours = random_encoder()
    adapter = choose_adapter("lora", ours, 4, 8.0, target="query,value")
    put_on(ours, adapter)
    stir(ours)
    inside = dict(wrapped.named_parameters())
    moved = 0
    learning = {n: p for n, p in ours.named_parameters() if p.requires_grad}
    for name, tensor in learning.items():
        layer, _, rest = name.partition(".lora_")
        outside = outside_name(f"{layer}.weight").removesuffix(".weight").removeprefix("esm.")
        inside[f"base_model.model.{outside}.lora_{rest}"].data.copy_(tensor)
        moved += 1
    assert moved == 2 * 2 * 2  # layers, targets, A and B
    with torch.no_grad():
        expected = wrapped(TOKENS[None]).last_hidden_state[0]
        found = ours(TOKENS, PackedLayout([len(TOKENS)]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=5e-5)


def test_a_target_that_does_not_exist_is_refused_with_those_that_do(esm2):
    backbone = plain("ESM-2")
    with pytest.raises(InputError, match=r"on 'gate'.*down, key, output, query, up, value"):
        choose_adapter("lora", backbone, target="query,gate")
    with pytest.raises(InputError, match=r"on 'key', which this model does not have"):
        choose_adapter("ia3", nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(InputError, match="there are none"):
        choose_adapter("bias", plain("T5"))
    with pytest.raises(InputError, match="on 'dense'"):  # of the head, which is left out
        finetune(
            str(esm2),
            rich_table(20),
            "kind",
            output="unused",
            method="lora",
            adapter_target="dense",
        )


def test_targets_can_be_chosen():
    backbone = plain("ESM-2")
    adapter = choose_adapter("lora", backbone, rank=2, alpha=4.0, target="up, down")
    assert adapter.layers == [
        f"blocks.{i}.feed_forward.{n}" for i in (0, 1) for n in ("up", "down")
    ]
    assert (adapter.rank, adapter.alpha) == (2, 4.0)
    only = choose_adapter("bias", backbone, target="query")
    assert only.layers == [f"blocks.{i}.attention.query.bias" for i in (0, 1)]


@pytest.mark.parametrize(
    ("method", "asked", "told"),
    [
        ("ia3", {"adapter_rank": 4}, "adapter_rank: saw 4 with --method ia3"),
        ("full", {"adapter_target": "query"}, "with --method full"),
        ("lora", {"adapter_rank": 0}, "at least one"),
        ("lora", {"adapter_alpha": 0.0}, "above 0"),
        ("dora", {"adapter_dropout": 1.0}, "0 to below 1"),
        ("lora", {"long": "window"}, "window with --method lora"),
        ("prefix", {}, "full or frozen or ia3 or lora or dora or bias"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(method, asked, told):
    recipe = choose_recipe("protein-mini", method if method in ADAPTERS else "full", **asked)
    with pytest.raises(InputError, match=told):
        FinetuneSettings(model="protein-mini", method=method, recipe=recipe)


def test_random_weights_are_not_worth_an_adapter():
    with pytest.raises(InputError, match="lora with new:encoder-small"):
        FinetuneSettings(model="new:encoder-small", method="lora")


def test_without_peft_the_install_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    backbone = plain("ESM-2")
    with pytest.raises(EnvironmentProblem, match=r"pip install 'lexome\[finetune\]'"):
        put_on(backbone, choose_adapter("lora", backbone))
    put_on(backbone, choose_adapter("bias", backbone))  # needs no package


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("method", list(ADAPTERS))
def test_a_run_saves_the_base_once_and_of_each_seed_what_it_learned(method, esm2, tmp_path):
    run = finetune(
        str(esm2), rich_table(60), "kind", output=tmp_path / "run", method=method, **OPTIONS
    )
    assert run.facts["reloaded"] == "identical"
    assert (run.facts["method"], run.facts["model"]["trained"]) == (method, learned(run, 1))
    assert 0 < run.facts["model"]["trained_in_backbone"] < run.facts["model"]["trained"]
    base, source = (
        load_file(run.directory / "base.safetensors"),
        load_file(esm2 / "model.safetensors"),
    )
    assert base.pop("rotary.inv_freq").numel() == 4
    for name, tensor in base.items():
        assert torch.equal(tensor, source[outside_name(name)]), name
    for number in (1, 2):
        names = load_file(run.directory / f"weights-{number}.safetensors")
        assert not any("base_layer" in name for name in names)
    fitted = load_artefact(run.directory)
    assert not torch.equal(*(first_adapter(network) for network in fitted.networks))
    sequences = {f"s{i}": s for i, s in enumerate(rich_table(60)["sequence"][:8])}
    found = lexome.predict(run.directory, sequences)
    assert describe_adapter(run.directory).startswith(f"{method}, {learned(run, 1):,} parameters (")
    for network in fitted.networks:
        assert network.backbone is not None
        merge_adapter(network.backbone)
    merged = np.mean(
        [loop.answers(n, *rows_of(fitted, sequences)) for n in fitted.networks], axis=0
    )
    columns = [c for c in found.columns if c.startswith("probability")]
    np.testing.assert_allclose(found.select(columns).to_numpy(), merged, atol=1e-5)


def rows_of(fitted: Any, sequences: dict[str, str]) -> tuple[Any, ...]:
    from lexome.training.setup import make_examples

    num = len(sequences)
    asked = (fitted.setup, fitted.settings, list(sequences), list(sequences.values()))
    examples = make_examples(*asked, np.zeros(num, np.int64))
    return examples, np.arange(num), fitted.objective, fitted.setup.budget


def learned(run: Run, number: int) -> int:
    """Numbers of a seed's file that are no mean or scale of features."""
    tensors = load_file(run.directory / f"weights-{number}.safetensors")
    apart = ("feature_mean", "feature_scale", "vector_mean", "vector_scale", "inv_freq")
    return sum(t.numel() for name, t in tensors.items() if not name.endswith(apart))


def first_adapter(network: nn.Module) -> torch.Tensor:
    return next(p for n, p in network.named_parameters() if p.requires_grad and "backbone" in n)


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("method", ["ia3", "dora", "bias"])
def test_a_killed_run_goes_on_to_the_same_numbers(method, esm2, monkeypatch, tmp_path):
    def run(where: Path) -> Run:
        return finetune(str(esm2), rich_table(60), "kind", output=where, method=method, **OPTIONS)

    whole = run(tmp_path / "whole")
    states = kill_behind_states(monkeypatch, 2, 3)
    for _ in range(2):
        with pytest.raises(Stopped):
            run(tmp_path / "killed")
    state = load_file(states[0])
    assert not any(
        "base_layer" in name or "embedding" in name for name in state if method != "bias"
    )
    killed = run(tmp_path / "killed")
    assert_same_run(whole, killed)


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("model", ["nt-v2-tiny", "dnabert2-tiny", "gpt2-tiny", "progen2-tiny"])
def test_every_family_runs_from_end_to_end(model, tmp_path):
    table, generator = rich_table(60), np.random.default_rng(0)
    if model in ("nt-v2-tiny", "dnabert2-tiny"):
        bases = ["".join(generator.choice(list("ACGT"), 40)) for _ in range(len(table))]
        table = table.with_columns(pl.Series("sequence", bases))
    directory = str(shared(f"reference/fixtures/{model}"))
    one = OPTIONS | {"seeds": 1, "epochs": 1}
    run = finetune(directory, table, "kind", output=tmp_path / "run", method="dora", **one)
    assert run.facts["reloaded"] == "identical"


def test_a_fitted_estimator_with_an_adapter_survives_pickling(esm2):
    import pickle

    from lexome.training.estimators import SequenceClassifier

    table = rich_table(60)
    recipe = {"batch_size": 16, "adapter_rank": 2}
    model = SequenceClassifier(
        str(esm2), method="lora", seeds=1, epochs=1, dtype="fp32", recipe=recipe
    )
    texts = table["sequence"].to_list()
    model.fit(texts, table["kind"].to_list())
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))


def test_decay_leaves_the_scales_alone():
    network = adapted("ESM-2", "ia3")
    optimizer = loop._make_optimizer(network, choose_recipe("any", "ia3"))
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    scales = [p for name, p in network.named_parameters() if "ia3_l" in name]
    assert len(scales) == 6
    assert all(decays[id(p)] == 0.0 for p in scales)
