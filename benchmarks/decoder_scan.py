"""Speed of scanning a protein's single mutants by a decoder, beside transformers in the same run.

    python -m benchmarks.decoder_scan [--shapes progen2 gpt2] [--rounds 5] [--positions 8]

49 M parameters, random weights of the shapes of ProGen2 (transformers' GPT-J, whose block it is)
and GPT-2, a protein of 286 residues behind one start token. Each round scores all 19 mutants of
positions that are spread evenly over the protein, other ones every round; both sides the same.
transformers reads every mutant whole, in batches of the size at which it was fastest in a first
round (8, 19 and 38 tried), without padding, in fp32 and in bf16; ours is `read_branches`, which
reads only what follows the change. Each contender lives in a process of its own with one thread
and they take turns; counted is process CPU time. The ratio is that of a round, its median is told
and its range. Agreement: the same scores by both in fp32, and by ours in bf16.
"""

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.generation import VOCABULARY, build_ours, build_peer

CONTENDERS = ("peer fp32", "peer bf16", "lexome fp32", "lexome bf16")
LENGTH, ALTERNATIVES, SEED, GOAL = 286, 19, 0, 2.0
BATCHES = (8, 19, 38)


def main() -> None:
    """Print the table of speeds for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["progen2", "gpt2"], choices=VOCABULARY)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--positions", type=int, default=8, help="a round")
    asked = parser.parse_args()
    print("mutants/s, medians of the rounds; ratios to transformers' bf16 in the same round\n")
    print("| shape | " + " | ".join(CONTENDERS) + " | fp32 / bf16 | bf16 / bf16 | goal |")
    print("|---|" + "--:|" * 7)
    for shape in asked.shapes:
        with_pipes(shape, asked.rounds, asked.positions)


def with_pipes(shape: str, rounds: int, positions: int) -> None:
    """Start the contenders of one shape and print its line."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name in CONTENDERS:
        mine, theirs = context.Pipe()
        context.Process(target=serve, args=(name, shape, theirs), daemon=True).start()
        assert mine.recv() == "ready"
        pipes[name] = mine
    batch = dict.fromkeys(CONTENDERS, BATCHES[0])
    for name in CONTENDERS:
        if name.startswith("peer"):
            batch[name] = min(BATCHES, key=lambda b: order(pipes[name], [LENGTH // 2], b)[0])
        else:
            order(pipes[name], [LENGTH // 2], 0)
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    errors: dict[str, float] = {"lexome fp32": 0.0, "lexome bf16": 0.0, "peer bf16": 0.0}
    for number in range(rounds):
        step = LENGTH / positions
        shift = (number + 0.5) / rounds
        asked = [int((i + shift) * step) for i in range(positions)]
        found = {}
        for name in CONTENDERS:
            taken, found[name] = order(pipes[name], asked, batch[name])
            seconds[name].append(taken)
        for name in errors:
            pairs = zip(found["peer fp32"], found[name], strict=True)
            errors[name] = max(errors[name], *(abs(a - b) for a, b in pairs))
    many = positions * ALTERNATIVES
    speeds = " | ".join(f"{many / statistics.median(seconds[n]):.2f}" for n in CONTENDERS)
    told = []
    for name in ("lexome fp32", "lexome bf16"):
        ratios = [b / a for a, b in zip(seconds[name], seconds["peer bf16"], strict=True)]
        told.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    print(f"| {shape} | {speeds} | {told[0]} | {told[1]} | {GOAL} |", flush=True)
    print(
        f"\n{shape}: {rounds} rounds of {many} mutants; transformers in batches of "
        f"{batch['peer fp32']} (fp32) and {batch['peer bf16']} (bf16); largest difference of a "
        f"score to transformers' fp32: {errors['lexome fp32']:.2g} (ours, fp32), "
        f"{errors['lexome bf16']:.2g} (ours, bf16), {errors['peer bf16']:.2g} (its own bf16)\n",
        flush=True,
    )
    for pipe in pipes.values():
        pipe.send(None)


def order(pipe: Connection, positions: list[int], batch: int) -> tuple[float, list[float]]:
    """Have a contender score all mutants of some positions: CPU seconds, scores."""
    pipe.send((positions, batch))
    answer: tuple[float, list[float]] = pipe.recv()
    return answer


def serve(name: str, shape: str, pipe: Connection) -> None:
    """One contender: answers orders until None comes."""
    import torch

    torch.set_num_threads(1)
    kind, dtype = name.split()
    scan = (make_peer if kind == "peer" else make_ours)(shape, dtype)
    reference = protein(shape)
    pipe.send("ready")
    while asked := pipe.recv():
        positions, batch = asked
        mutants = [one for place in positions for one in mutate(reference, place)]
        began = time.process_time()
        with torch.inference_mode():
            scores = scan(reference, mutants, batch)
        pipe.send((time.process_time() - began, scores))


def protein(shape: str) -> list[int]:
    """A start token and random residues, 20 of the vocabulary."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    drawn: list[int] = torch.randint(5, 25, (LENGTH,), generator=generator).tolist()
    return [3, *drawn]


def mutate(reference: list[int], place: int) -> list[list[int]]:
    """All 19 others at a residue, counted from 0."""
    at = place + 1
    others = [token for token in range(5, 25) if token != reference[at]]
    return [[*reference[:at], token, *reference[at + 1 :]] for token in others]


def make_peer(shape: str, dtype: str) -> Any:
    """Differences of log-likelihoods, each mutant read whole, in batches."""
    import torch

    model = build_peer(shape)
    if dtype == "bf16":
        model = model.bfloat16()

    def read(texts: list[list[int]]) -> Any:
        tokens = torch.tensor(texts)
        logits = model(tokens, use_cache=False).logits[:, :-1].float()
        log_p = logits.log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
        return log_p.double().sum(1)

    def scan(reference: list[int], mutants: list[list[int]], batch: int) -> list[float]:
        own = read([reference])[0]
        starts = range(0, len(mutants), batch)
        found = torch.cat([read(mutants[i : i + batch]) for i in starts]) - own
        scores: list[float] = found.tolist()
        return scores

    return scan


def make_ours(shape: str, dtype: str) -> Any:
    """The same by what every mutant's scoring calls."""
    from types import SimpleNamespace

    from lexome.devices import torch_dtype
    from lexome.layers.kernels import accelerate
    from lexome.scoring.likelihood import Reading
    from lexome.scoring.mutants.branches import read_branches

    network = accelerate(build_ours(shape).to(torch_dtype(dtype)).eval())
    model: Any = SimpleNamespace(network=network, device="cpu", most_tokens=1024)

    def scan(reference: list[int], mutants: list[list[int]], batch: int) -> list[float]:
        texts = [Reading("mutant", tuple(one), 1, len(one)) for one in (reference, *mutants)]
        return read_branches(model, texts[0], texts[1:])

    return scan


if __name__ == "__main__":
    main()
