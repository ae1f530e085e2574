"""A step's share for each rank: together they are the step of one, cut in whatever way."""

import pytest
import torch

from lexome.batches.stream import Stream
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.pretraining.corpus import make_corpus
from lexome.training.pretraining.recipe import DataRecipe, ObjectiveRecipe
from lexome.training.pretraining.steps import MicroBatch, Plan, make_step, steps_from
from tests.toys import random_proteins, write_fasta


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("corpus")
    proteins = random_proteins(60, low=20, high=150)
    write_fasta(folder / "a.fasta", ((f"p{i}", p) for i, p in enumerate(proteins)))
    recipe = DataRecipe(sources=("a.fasta",), heldout=0.0, shortest=10)
    corpus = make_corpus(recipe, folder / "corpus", folder, lambda what, text: None, quiet=True)
    return Plan(Stream(corpus.train, 100, 1), CharacterTokenizer(), ObjectiveRecipe(), 1200, 250, 1)


def windows_of(micro_batches: list[MicroBatch]) -> list[tuple[bytes, bytes]]:
    """The input and, at its places, the targets of each window that counts."""
    found = []
    for micro in micro_batches:
        targets_T = torch.full_like(micro.inputs_T, 255)
        targets_T[micro.positions_C] = micro.targets_C
        for one, other in zip(
            micro.inputs_T.split(micro.lengths), targets_T.split(micro.lengths), strict=True
        ):
            if micro.weight:
                found.append((one.numpy().tobytes(), other.numpy().tobytes()))
    return found


@pytest.mark.parametrize("micro_tokens", [100, 400, 10_000])
def test_the_size_of_micro_batches_changes_neither_windows_nor_what_is_hidden(
    plan: Plan, micro_tokens: int
) -> None:
    one, other = make_step(plan, 37), make_step(plan._replace(micro_tokens=micro_tokens), 37)
    assert len(one.micro_batches) != len(other.micro_batches)
    assert windows_of(one.micro_batches) == windows_of(other.micro_batches)
    assert one[:3] == other[:3]


@pytest.mark.parametrize("ranks", [2, 3, 4, 9])
def test_the_shares_of_all_ranks_are_the_step_of_one(plan: Plan, ranks: int) -> None:
    whole = make_step(plan, 37)
    shares = [make_step(plan._replace(rank=rank, ranks=ranks), 37) for rank in range(ranks)]
    assert all(share[:3] == whole[:3] for share in shares)
    rounds = {len(share.micro_batches) for share in shares}
    assert rounds == {-(-len(whole.micro_batches) // ranks)}, (
        "sharded weights need all ranks at once"
    )
    everything = sorted((m for s in shares for m in s.micro_batches), key=lambda m: m.number)
    assert windows_of(everything) == windows_of(whole.micro_batches)
    companions = [m for m in everything if not m.weight]
    assert len(companions) == rounds.pop() * ranks - len(whole.micro_batches)


def test_some_step_splits_unevenly_over_two_ranks(plan: Plan) -> None:
    assert any(len(make_step(plan, visit).micro_batches) % 2 for visit in range(0, 60, 10))


def test_steps_follow_each_other_through_the_stream_from_anywhere(plan: Plan) -> None:
    all_of_them = list(steps_from(plan, 0, 0, 6))
    assert all(s.tokens <= plan.token_batch for s in all_of_them)
    assert sum(s.sequences for s in all_of_them) == all_of_them[-1].next_visit
    later = list(steps_from(plan, 4, all_of_them[3].next_visit, 6))
    assert [windows_of(s.micro_batches) for s in later] == [
        windows_of(s.micro_batches) for s in all_of_them[4:]
    ]
    assert list(steps_from(plan, 6, 0, 6)) == []


def test_a_batch_that_cannot_be_made_is_an_error_not_a_wait(plan: Plan) -> None:
    with pytest.raises(ZeroDivisionError):
        list(steps_from(plan._replace(micro_tokens=0), 0, 0, 2))
