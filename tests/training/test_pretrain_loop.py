"""Pre-training on one process: the same bits every time, however often it is stopped or killed."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from lexome.errors import InputError
from lexome.inference.model import load
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.pretraining.pretrain import new_network, pretrain
from lexome.training.pretraining.recipe import read_recipe
from tests.toy_pretraining import losses, read_log, unmeasured, write_recipe
from tests.toys import write_fasta

ROOT = Path(__file__).resolve().parents[2]
# Two hundred steps with all that could make them differ: dropout, a running mean, looks between.
LONG = {
    "training.steps": "200",
    "training.token_batch": "200",
    "training.micro_tokens": "150",
    "model.dropout": "0.1",
    "data.heldout": "0.2",
    "data.similarity": "kmers",
    "data.identity": "0.5",
    "watch.validate_every": "60",
}


def long(recipe: Path) -> dict[str, str]:
    """Those settings, with a corpus of their own beside the recipe."""
    return LONG | {"data.corpus": str(recipe.parent / "long")}


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with unmeasured():
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two hundred steps in one go."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert pretrain(recipe, output=output, device="cpu", overrides=long(recipe)).finished
    assert len(losses(output)) == 200
    return output


@pytest.fixture(scope="module")
def short(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty steps."""
    output = tmp_path_factory.mktemp("short") / "run"
    pretrain(recipe, output=output, device="cpu")
    return output


def assert_same_bits(one: Path, other: Path) -> None:
    assert read_log(one) == read_log(other)
    for name in ("model.safetensors", "config.json"):
        assert (one / "model" / name).read_bytes() == (other / "model" / name).read_bytes(), name


def test_a_run_that_is_stopped_and_gone_on_with_has_the_same_bits(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    for step in (1, 61, 130):
        stopped = pretrain(
            recipe, output=output, device="cpu", overrides=long(recipe), stop_step=step
        )
        assert not stopped.finished
        assert len(losses(output)) == step
    assert not pretrain(
        recipe, output=output, device="cpu", overrides=long(recipe), minutes=0
    ).finished
    assert pretrain(recipe, output=output, device="cpu", overrides=long(recipe)).finished
    assert_same_bits(whole, output)
    # A finished run is only put together again.
    assert pretrain(recipe, output=output, device="cpu", overrides=long(recipe)).finished
    assert read_log(output)[:-1] == read_log(whole)


KILLING = """
import json, os, random, signal, sys, time
from pathlib import Path
from lexome.inference.model import load
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.pretraining.pretrain import pretrain
from tests.toy_pretraining import unmeasured

recipe, output, overrides = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
kills, seconds = 0, 0.5
while True:
    child = os.fork()
    if not child:
        with unmeasured():
            pretrain(recipe, output=output, device="cpu", overrides=overrides)
        os._exit(0)
    if kills < 6:
        time.sleep(random.uniform(0.1, seconds))
        os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        break
    kills, seconds = kills + 1, seconds + 0.1
print(kills)
"""


def test_a_run_that_is_killed_at_random_moments_has_the_same_bits(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    import json

    # Saving all the time, so that many kills come in the middle of it.
    overrides = json.dumps(long(recipe) | {"watch.save_seconds": "0.02"})
    done = subprocess.run(
        [sys.executable, "-c", KILLING, recipe, tmp_path / "run", overrides],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, done.stdout
    assert_same_bits(whole, tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").glob("state-*")) == ["state-000000200"]


@pytest.mark.parametrize("micro_tokens", [100, 600])
def test_accumulation_over_other_micro_batches_gives_the_same_losses(
    recipe: Path, short: Path, tmp_path: Path, micro_tokens: int
) -> None:
    overrides = {"training.micro_tokens": str(micro_tokens)}
    pretrain(recipe, output=tmp_path / "run", device="cpu", overrides=overrides)
    assert losses(tmp_path / "run") == pytest.approx(losses(short), abs=1e-5)


def test_an_untrained_network_is_as_unsure_as_its_vocabulary_is_large_and_then_learns(
    short: Path,
) -> None:
    found = losses(short)
    assert found[0] == pytest.approx(math.log(33), abs=0.1)
    assert min(found[-3:]) < found[0] - 0.2


def test_the_same_loop_learns_to_go_on_from_left_to_right(recipe: Path, tmp_path: Path) -> None:
    overrides = {"objective.kind": "causal", "model.family": "decoder", "training.steps": "5"}
    pretrain(recipe, output=tmp_path / "run", device="cpu", overrides=overrides)
    found = losses(tmp_path / "run")
    assert found[0] == pytest.approx(math.log(33), abs=0.1)
    assert found[-1] < found[0]
    model = load(str(tmp_path / "run" / "model"), device="cpu")
    assert model.card.layout == "gpt2"
    cls, eos = model.tokenizer.cls_id, model.tokenizer.eos_id
    ids = [cls, *model.tokenizer.encode("MKTAYIAKQR"), eos]
    assert ids == CharacterTokenizer().encode("MKTAYIAKQR")
    assert model.run_ids([ids])[0].logits.shape == (len(ids), 33)


HYENA = {
    "data.alphabet": "dna",
    "data.sources": '["bases.fasta"]',
    "data.corpus": "bases",
    "model.family": "striped-hyena",
    "model.attention_layers": "[1]",
    "model.num_layers": "2",
    "objective.kind": "causal",
    "training.steps": "6",
    "training.weight_decay": "0.0",
}


def test_a_striped_hyena_learns_dna_and_is_saved_as_evo_is(recipe: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    bases = ["".join(generator.choice(list("ACGT"), 150)) for _ in range(20)]
    write_fasta(recipe.parent / "bases.fasta", ((f"b{i}", b) for i, b in enumerate(bases)))
    overrides = HYENA | {
        key: str([str(recipe.parent / "bases.fasta")]) if key == "data.sources" else value
        for key, value in HYENA.items()
    }
    pretrain(recipe, output=tmp_path / "run", device="cpu", overrides=overrides)
    found = losses(tmp_path / "run")
    assert found[0] == pytest.approx(math.log(512), abs=0.2)
    assert found[-1] < found[0] - 0.1
    model = load(str(tmp_path / "run" / "model"), device="cpu")
    assert model.card.layout == "evo-1"
    assert model.tokenizer.encode("ACGT") == [65, 67, 71, 84]
    # what the trained network computes, with its constrained poles
    trained = new_network(read_recipe(recipe, overrides))
    state = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert any(name.endswith("filter.poles") for name in state)
    poles = state["backbone.blocks.0.filter.poles"]
    assert poles.shape == (16, 8, 1, 2)
    assert float(poles.square().sum(-1).max()) < 1
    assert sum(p.numel() for p in trained.parameters()) == model.card.parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.alphabet": "protein"}, "striped-hyena reads dna"),
        ({"training.optimizer": "muon"}, "muon knows no matrices of striped-hyena"),
        ({"data.heldout": "0.1"}, "nothing is held out of it"),
        ({"model.attention_layers": "[2]"}, "of 2 layers"),
        ({"objective.kind": "masked"}, "does not go with model.family 'striped-hyena'"),
    ],
)
def test_recipes_that_cannot_be_are_refused(
    recipe: Path, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        pretrain(recipe, output=tmp_path / "run", overrides=HYENA | changes)


def test_an_encoder_does_not_learn_from_left_to_right(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not go with model\.family 'encoder'"):
        pretrain(recipe, output=tmp_path / "run", overrides={"objective.kind": "causal"})


def test_what_is_saved_is_the_running_mean_of_the_weights(recipe: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    models = []
    for average in ("0.0", "0.9999"):
        output = tmp_path / average
        overrides = {"training.average": average, "training.steps": "1", "training.warmup": "0"}
        pretrain(recipe, output=output, device="cpu", overrides=overrides)
        models.append(load_file(output / "model" / "model.safetensors"))
    # Where the mean begins: behind one step it stands (1 + 0) / (10 + 0) = 1/10 at where it was
    # and 9/10 at the new weights. AdamW's first step is the rate for every weight that has a slope.
    last, mean = (m["esm.encoder.layer.0.attention.self.query.bias"] for m in models)
    assert last.abs().max() == pytest.approx(5e-3, rel=1e-3)
    assert mean == pytest.approx(last * 0.9, abs=1e-6)


def test_a_directory_that_holds_another_run_is_refused(recipe: Path, short: Path) -> None:
    with pytest.raises(InputError, match=r"recipe\.training\.clip = 1\.0 there, 2\.0 here"):
        pretrain(recipe, output=short, device="cpu", overrides={"training.clip": "2.0"})
