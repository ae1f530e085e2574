"""What a generation costs, told before it is begun."""

import json

import pytest

from lexome.errors import InputError
from lexome.generation.cost import plan_generation
from lexome.inference.model import load
from tests.checkpoints.decoders import read_decoder
from tests.commands import run_process


@pytest.fixture(scope="module")
def progen2():
    return load(str(read_decoder("progen2-tiny").path), device="cpu")


def test_memory_is_what_the_state_holds(progen2):
    cost = plan_generation(progen2, length=100, n=5, max_new=92)
    # 3 layers, keys and values, 5 rows, 192 tokens (a multiple of 64), width 64, fp32
    assert cost.cache == 3 * 2 * 5 * 192 * 64 * 4
    assert (cost.rows, cost.capacity, cost.fixed) == (5, 192, 0)
    assert cost.weights == 4 * progen2.card.parameters
    assert cost.memory == cost.weights + cost.cache + cost.working
    assert cost.tokens_per_second > 0
    assert cost.seconds > 0


def test_only_attention_grows_with_the_length():
    evo = load(str(read_decoder("evo1-8k-tiny").path), device="cpu")
    short, long = (plan_generation(evo, length=8, n=2, max_new=new) for new in (56, 1016))
    assert short.fixed == long.fixed > 0
    assert long.cache == 16 * short.cache > 0


def test_rows_are_bounded(progen2):
    assert plan_generation(progen2, length=8, n=100, max_new=8, max_rows=4).rows == 4
    assert plan_generation(progen2, length=8, n=1, max_new=8).rows == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"length": 0}, "length: saw 0"),
        ({"length": 5, "n": 0}, "n: saw 0"),
        ({"length": 600, "max_new": 100}, "at most the context of 640"),
    ],
)
def test_what_cannot_be_is_refused(asked, said):
    gpt2 = load(str(read_decoder("gpt2-tiny").path), device="cpu")
    with pytest.raises(InputError, match=said):
        plan_generation(gpt2, **asked)


def test_the_command_says_it():
    path = str(read_decoder("progen2-tiny").path)
    asked = ("plan", "generate", "-m", path, "--length", "10", "-n", "3", "--max-new", "54")
    done = run_process(*asked)
    assert done.code == 0, done.err
    assert "3 sequences of 10 + 54 tokens, 3 at a time" in done.err
    told = json.loads(run_process(*asked, "--json").out)
    assert told["cache"] == 3 * 2 * 3 * 64 * 64 * 4
    assert run_process("plan", "generate").code == 2
