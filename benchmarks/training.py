"""Training speed beside transformers' Trainer: same shape, proteins and tokens a step, same run.

    python benchmarks/training.py [--shapes 6x320x20] [--steps 8] [--rounds 3]

Contenders take turns, each in a fresh process on all cores: masked language modelling in bf16
over fp32 weights with AdamW, from random weights. The peer is `EsmForMaskedLM` in its `Trainer`,
with batches in random order (its default), or grouped by length (its best). Tokens are
those of the input, padding not counted; a contender's figure is its median step over all rounds,
each round's first steps left out. The share of the machine's matrix product is by the operations
that the tokens need. Prints the table, and writes it to training.txt. Needs the `dev` extra.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from esm_trainer import SEED, VOCABULARY, esm_config, trainer_arguments  # beside this file
from scaling import PROTEINS, recipe_of, write_corpus  # beside this file

from lexome.devices import num_cores, product_ceiling, wait_politely

CONTENDERS = {"peer default": "random", "peer grouped by length": "group_by_length", "lexome": ""}
GOALS = {"peer default": 2.0, "peer grouped by length": 1.2}
SEQUENCES, WARM = 16, 2
TABLE = Path(__file__).with_suffix(".txt")


class Step(NamedTuple):
    """A step that counts."""

    speed: float  # tokens a second
    ceiling: float  # operations a second of a matrix product, just before its training


def main() -> None:
    """Print the table, a line as soon as a shape is done."""
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["6x320x20"], help="LAYERSxWIDTHxHEADS")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        name, folder = asked.worker
        work = train_lexome if name == "lexome" else train_peer
        print(json.dumps(work(asked.shapes[0], asked.steps, Path(folder), CONTENDERS[name])))
        return
    import torch
    import transformers

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, "proteins")
        write_corpus(folder, 0.65)
        lengths = np.array([len(tokens) for tokens in read_tokens(folder)])
        lines = [
            f"{num_cores()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, "
            f"transformers {transformers.__version__}; {PROTEINS} proteins (log-normal, median "
            f"300, sigma 0.65, cut to 30-1022), {SEQUENCES} a step, "
            f"{SEQUENCES * lengths.mean():,.0f} tokens on average; bf16\n",
            "| shape | contender | tokens/s | share of ceiling | lexome is faster by | goal |",
            "|---|---|--:|--:|--:|--:|",
        ]
        print("\n".join(lines), flush=True)
        for shape in asked.shapes:
            found: dict[str, list[Step]] = {name: [] for name in CONTENDERS}
            for _ in range(asked.rounds):
                for name, steps in found.items():
                    steps += run_worker(name, shape, asked.steps, folder)
            lines += table(shape, found, lengths)
            print("\n".join(lines[-len(CONTENDERS) :]), flush=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_tokens(folder: Path) -> list[list[int]]:
    """Token ids of the proteins, special ones among them."""
    from lexome.io.fasta import read_fasta
    from lexome.tokenizers.character import CharacterTokenizer

    tokenizer = CharacterTokenizer()
    return [tokenizer.encode(r.sequence) for r in read_fasta(folder / "proteins.fasta")]


def run_worker(name: str, shape: str, steps: int, folder: Path) -> list[Step]:
    """The steps that count, of a training in a process of its own."""
    ceiling = product_ceiling("cpu", "bf16")
    command = [sys.executable, __file__, "--worker", name, str(folder)]
    command += ["--shapes", shape, "--steps", str(steps + WARM)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    timed = json.loads(done.stdout.splitlines()[-1])
    return [Step(tokens / seconds, ceiling) for seconds, tokens in timed[WARM:]]


def table(shape: str, found: dict[str, list[Step]], lengths: np.ndarray) -> list[str]:
    """A line a contender."""
    from lexome.training.pretraining.machines import flops_of_token

    # A token attends to as many as its protein has.
    work = flops_of_token(recipe_of(shape), float((lengths**2).sum() / lengths.sum()))
    speeds = {name: statistics.median(s.speed for s in steps) for name, steps in found.items()}
    lines = []
    for name, steps in found.items():
        share = statistics.median(work * step.speed / step.ceiling for step in steps)
        ratio = f"{speeds['lexome'] / speeds[name]:.2f} x" if name in GOALS else ""
        goal = f"{GOALS[name]:g} x" if name in GOALS and shape == "6x320x20" else ""
        lines.append(f"| {shape} | {name} | {speeds[name]:,.0f} | {share:.0%} | {ratio} | {goal} |")
    return lines


def train_peer(shape: str, steps: int, folder: Path, order: str) -> list[tuple[float, int]]:
    """Seconds and tokens of each step of the Trainer."""
    import torch
    from transformers import (
        DataCollatorForLanguageModeling,
        EsmForMaskedLM,
        EsmTokenizer,
        Trainer,
        TrainerCallback,
    )

    logging.disable(logging.WARNING)
    torch.manual_seed(SEED)
    tokenizer = EsmTokenizer(str(VOCABULARY))
    model = EsmForMaskedLM(esm_config(shape))
    timed: list[tuple[float, int]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            timed.append((time.monotonic() - self.began, seen.pop(0)))

    seen: list[int] = []

    class Counting(DataCollatorForLanguageModeling):
        def __call__(self, features: Any, return_tensors: Any = None) -> Any:
            batch = super().__call__(features, return_tensors)
            seen.append(int(batch["attention_mask"].sum()))
            return batch

    with tempfile.TemporaryDirectory() as output:
        arguments = trainer_arguments(
            output, SEQUENCES, order, bf16=True, max_steps=steps, learning_rate=1e-4
        )
        data = [{"input_ids": tokens} for tokens in read_tokens(folder)]
        Trainer(
            model, arguments, Counting(tokenizer), train_dataset=data, callbacks=[Clock()]
        ).train()
    return timed


def train_lexome(shape: str, steps: int, folder: Path, _: str) -> list[tuple[float, int]]:
    """Seconds and tokens of each step of `lexome pretrain`."""
    from lexome.batches.shards import open_corpus
    from lexome.batches.stream import Stream
    from lexome.distributed.ranks import Ranks
    from lexome.tokenizers.character import CharacterTokenizer
    from lexome.training.pretraining.loop import Learner
    from lexome.training.pretraining.pretrain import new_network
    from lexome.training.pretraining.steps import Plan, make_step

    recipe, corpus = recipe_of(shape), open_corpus(folder / "corpus")
    stream = Stream(corpus.train, recipe.training.context, SEED)
    mean = corpus.train.residues / corpus.train.sequences + 2
    batch = round(SEQUENCES * mean)
    plan = Plan(stream, CharacterTokenizer(), recipe.objective, batch, batch, SEED)
    learner = Learner(new_network(recipe), recipe, "bf16", Ranks(0, 1, "cpu"), "ddp")
    timed = []
    for _number in range(steps):
        began = time.monotonic()
        step = make_step(plan, learner.visit)
        learner.take(step)
        timed.append((time.monotonic() - began, step.tokens))
    return timed


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
