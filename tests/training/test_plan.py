"""What a recipe costs: counted from the network itself, worked out on paper, or measured."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lexome.batches.stream import Windows, split_evenly
from lexome.devices import mixed_precision
from lexome.layers.layout import PackedLayout
from lexome.training.pretraining import plan as planning
from lexome.training.pretraining.loop import LanguageModel
from lexome.training.pretraining.machines import (
    H200,
    NETWORK,
    Machine,
    flops_of_token,
    num_micro_batches,
    step_of,
)
from lexome.training.pretraining.plan import (
    ends_bytes,
    flops_per_token,
    forecast,
    layer_bytes,
    memory_of,
    num_parameters,
    plan_recipe,
)
from lexome.training.pretraining.pretrain import new_network
from lexome.training.pretraining.recipe import Recipe, parse_recipe, read_recipe
from tests.toy_pretraining import write_recipe
from tests.toy_shards import proteins, write_corpus

RECIPES = sorted(Path(__file__).resolve().parents[2].glob("recipes/*.toml"))
LENGTHS = [24, 24, 24, 24]  # of sequences, in tokens
MEAN_LENGTH = 471  # of the proteins that the H200 was measured with


def recipe(
    shape: tuple[int, int, int],
    token_batch: int = 96,
    micro_tokens: int = 96,
    dropout: float = 0.0,
    optimizer: str = "adamw",
) -> Recipe:
    num_layers, width, num_heads = shape
    return parse_recipe(
        {
            "name": "x",
            "model": {
                "num_layers": num_layers,
                "width": width,
                "num_heads": num_heads,
                "ffn_width": 4 * width,
                "dropout": dropout,
            },
            "objective": {"rate": 0.25},
            "training": {
                "steps": 1000,
                "token_batch": token_batch,
                "micro_tokens": micro_tokens,
                "optimizer": optimizer,
                "average": 0.99,
            },
        }
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_parameters_are_those_of_the_network(path: Path) -> None:
    found = read_recipe(path)
    with torch.device("meta"):
        network = new_network(found)
    assert num_parameters(found) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "published", "maps"),
    [("8m", 7_512_474, 120), ("35m", 33_501_394, 240), ("150m", 148_140_154, 600)],
)
def test_esm2s_recipes_have_the_published_sizes(name: str, published: int, maps: int) -> None:
    """The published models also have a contact head: a weight a map, and a bias."""
    path = next(path for path in RECIPES if path.stem == f"esm2-{name}")
    assert num_parameters(read_recipe(path)) == published - maps - 1


def run_forward(model: LanguageModel, dtype: str) -> None:
    """A micro-batch through a network, a quarter of the positions asked for."""
    tokens_T = torch.randint(4, 24, (sum(LENGTHS),))
    positions_C = torch.arange(0, sum(LENGTHS), 4)
    with mixed_precision("cpu", dtype):
        model(tokens_T, PackedLayout(LENGTHS), positions_C)


def kept_bytes(found: Recipe, dtype: str) -> int:
    """What autograd keeps of a forward pass, parameters not counted."""
    model = LanguageModel(new_network(found)).train()
    trained = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in trained:
            kept[storage.data_ptr()] = storage  # held, so that its place is not given away
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run_forward(model, dtype)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_bytes_of_a_layer_are_those_that_autograd_keeps(dtype: str, dropout: float) -> None:
    one, three = (recipe((layers, 64, 4), dropout=dropout) for layers in (1, 3))
    found = (kept_bytes(three, dtype) - kept_bytes(one, dtype)) / 2
    copies = 2 * 12 * 64**2 if dtype == "bf16" else 0  # of the layer's matrices
    assert found == copies + sum(LENGTHS) * layer_bytes(one, dtype, LENGTHS[0])


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_the_bytes_outside_the_layers_are_nearly_those_that_autograd_keeps(dtype: str) -> None:
    found = recipe((1, 64, 4))
    copies = memory_of(found, dtype, LENGTHS[0]).copies
    kept = kept_bytes(found, dtype) - copies - sum(LENGTHS) * layer_bytes(found, dtype, LENGTHS[0])
    # the loss keeps logits once more than this forward pass without it
    assert kept / sum(LENGTHS) == pytest.approx(ends_bytes(found, dtype, 0.25), rel=0.15)


def test_the_operations_are_those_that_torch_counts() -> None:
    found = recipe((2, 64, 4))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run_forward(LanguageModel(new_network(found)), "fp32")
    counted = dict(counter.get_flop_counts()["Global"])
    products = sum(n for operation, n in counted.items() if "attention" not in str(operation))
    attention = 2 * 4 * 24 * 64 * sum(LENGTHS)
    assert 3 * (products + attention) == pytest.approx(
        sum(LENGTHS) * flops_of_token(found, LENGTHS[0]), rel=1e-6
    )


def test_narrow_heads_cost_as_much_as_the_narrowest_that_the_kernel_knows() -> None:
    wide, narrow = recipe((2, 320, 10)), recipe((2, 320, 20))
    assert flops_of_token(wide, 400) == flops_of_token(narrow, 400)
    attention = 3 * 2 * 4 * 400 * 320
    assert flops_of_token(narrow, 400, 32) == flops_of_token(wide, 400, 32) + attention


def test_muon_keeps_one_number_of_a_matrix_where_adamw_keeps_two() -> None:
    adamw, muon = (
        memory_of(recipe((2, 64, 4), optimizer=o), "bf16", 24) for o in ("adamw", "muon")
    )
    count = num_parameters(recipe((2, 64, 4)))
    assert adamw.optimizer == 8 * count
    assert adamw.optimizer - muon.optimizer == 4 * 2 * 12 * 64**2
    assert (adamw.weights, adamw.gradients, adamw.average) == (4 * count,) * 3
    assert adamw.total == sum(adamw)


@pytest.mark.parametrize(
    ("token_batch", "micro_tokens"),
    [(65_536, 65_536), (131_072, 32_768), (2_000_000, 65_536), (2_000_000, 5_000)],
)
def test_micro_batches_are_foretold_as_the_stream_cuts_them(
    token_batch: int, micro_tokens: int
) -> None:
    generator = np.random.default_rng(0)
    lengths_W = np.exp(generator.normal(np.log(300), 0.65, token_batch // 250))
    lengths_W = lengths_W.clip(30, 1022).astype(np.int64)
    lengths_W = lengths_W[np.cumsum(lengths_W + 2) <= token_batch]
    zeros_W = np.zeros_like(lengths_W)
    windows = Windows(zeros_W, zeros_W, lengths_W, lengths_W, zeros_W)
    cut = len(split_evenly(windows, micro_tokens))
    assert num_micro_batches(token_batch, micro_tokens, 1024) == pytest.approx(cut, rel=0.05)


def test_a_step_on_paper() -> None:
    """Half the ceiling at width 64: 5 micro-batches of 19.2 tokens, 3 rounds on 2 devices."""
    found = recipe((2, 64, 4), token_batch=96, micro_tokens=40)  # half full: windows are longer
    work = flops_of_token(found, 24)
    machine = Machine("x", 1, 2 * work, 1.0, 64, 0, 0.5, 0.0, (32, 96), (10, 50))
    alone = step_of(found, 24, 1000, machine)
    assert alone.seconds == pytest.approx(5 * (0.5 + 19.2))
    assert (alone.busy, alone.sharing) == (1, 0.0)
    pair = step_of(found, 24, 1000, machine, devices=2)
    assert pair.seconds == pytest.approx(3 * (0.5 + 19.2), rel=1e-6)
    told = forecast(found, 24, machine)
    assert told.tokens_per_second == pytest.approx(96 / 98.5)
    assert told.hours == pytest.approx(1000 * 98.5 / 3600)
    assert told.hours_per_billion == pytest.approx(1e9 * 98.5 / 96 / 3600)
    assert told.basis == "interpolated"
    assert forecast(found, 24, machine, 2).basis == "extrapolated"


def test_devices_beyond_the_micro_batches_of_a_step_have_nothing_to_share() -> None:
    path = next(path for path in RECIPES if path.stem == "esm2-150m")
    found = read_recipe(path)
    told = {n: forecast(found, 300, H200, n) for n in (1, 8, 64, 512)}
    assert {n: f.busy for n, f in told.items()} == {1: 1, 8: 8, 64: 31, 512: 31}
    assert told[512].tokens_per_second < told[64].tokens_per_second
    smaller = read_recipe(path, {"training.micro_tokens": "33000"})
    assert forecast(smaller, 300, H200, 64).tokens_per_second > told[64].tokens_per_second
    gradients = 4 * num_parameters(found)
    sharing = step_of(found, 300, num_parameters(found), H200, 512).sharing
    assert sharing == pytest.approx(2 * 511 / 512 * gradients / NETWORK)


# million tokens a second; docs/scaling.md says which of them the model of speed was fitted to
@pytest.mark.parametrize(
    ("shape", "micro_tokens", "optimizer", "measured"),
    [
        ((6, 320, 10), 65_536, "adamw", 2.28),
        ((6, 320, 10), 131_072, "adamw", 2.55),
        ((6, 320, 10), 65_536, "muon", 1.36),
        ((30, 640, 20), 65_536, "adamw", 0.27),
        ((10, 256, 8), 131_072, "adamw", 2.0),
    ],
)
def test_what_was_measured_on_an_h200_is_predicted_within_15_percent(
    shape: tuple[int, int, int], micro_tokens: int, optimizer: str, measured: float
) -> None:
    found = recipe(shape, micro_tokens, micro_tokens, dropout=0.1, optimizer=optimizer)
    told = forecast(found, MEAN_LENGTH, H200)
    assert told.tokens_per_second / 1e6 == pytest.approx(measured, rel=0.15)
    assert told.basis == "interpolated"


def test_a_plan_takes_the_length_from_the_corpus_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "product_ceiling", lambda device, dtype: 1e11)
    path = write_recipe(tmp_path)
    assumed = plan_recipe(path)
    assert (assumed.mean_length, assumed.is_assumed) == (planning.MEAN_LENGTH, True)
    corpus = write_corpus(tmp_path / "corpus", proteins(20))
    known = plan_recipe(path)
    assert known.mean_length == corpus.train.residues / 20
    assert not known.is_assumed
    assert known.flops_per_token == flops_per_token(read_recipe(path), corpus)
    assert known.flops_per_token < assumed.flops_per_token
    assert [f.devices for f in known.forecasts[1:]] == [1, 8, 64, 512]
    assert known.forecasts[0].machine.startswith(f"{torch.get_num_threads()} CPU core")
