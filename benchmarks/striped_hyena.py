"""StripedHyena beside PyPI's stripedhyena 0.2.2: the same random weights, one thread, fp32.

    pip install --no-deps stripedhyena==0.2.2 einops==0.8.2
    python benchmarks/striped_hyena.py [--rounds 3]

Without its dependencies, because it asks for flash-attn, which cannot be installed without CUDA.

19.4 million parameters, 6 layers of width 512, no attention layers. Time
is CPU time, in turns within one process, the smallest of the rounds; the peak of memory is that of
a process of its own, above what it held before the forward pass. Prints the table and writes it
to striped_hyena.txt.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

SIZES = {"hidden_size": 512, "num_attention_heads": 8, "num_layers": 6, "state_size": 8}
INNER, VOCABULARY, SEED = 1376, 512, 0
FORWARD, PREFILL, FAR, PROMPT, STEPS = (1024, 4096, 16384), 4096, 65536, 128, 32
TABLE = Path(__file__).with_suffix(".txt")
Run = Callable[[], object]
NOTE = """
Generation reads 78 MB of weights a step. oneDNN's products of few rows read them at 12 GB/s for 2
rows, 17 to 18 for 4 to 6, 13 for 8 (54 billion operations a second: the products, not the memory,
are the limit there). Slower or no faster, and left out: F.linear, MKL with transposed weights (18
GB/s for one row, 7 to 9 for 8), OpenBLAS (20 to 23 GB/s for one row, but a second copy of the
weights, and other bits than in company), 1x1 convolutions, embedding_bag. One row is filled to 4.
"""


def main() -> None:
    """Print the table, or, asked so by itself, the peak of one forward pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", choices=("ours", "peer"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        if asked.peak:
            print(json.dumps(measure_peak(asked.peak)))
            return
        lines = []
        for line in measure(asked.rounds):
            print(line, flush=True)
            lines.append(line)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(rounds: int) -> Any:
    """The table's lines."""
    peer, ours = make_peer(), make_ours(make_peer())
    peer_half, ours_half = make_peer(), make_ours(make_peer(), torch.bfloat16)
    peer_half.to_bfloat16_except_poles_residues()
    agree = (peer(draw(1, 300))[0] - ours.logits(forward(ours, draw(1, 300)))).abs().max()
    yield f"logits of 300 tokens differ by {float(agree):.1e} at most; {rounds} rounds, one thread"
    yield ""
    yield "| what | tokens/s, peer | tokens/s, lexome | x peer | goal |"
    yield "|---|--:|--:|--:|---|"
    rate = {}
    for length in FORWARD:
        ids = draw(1, length)
        a, b = compare(partial(peer, ids), partial(score, ours, ids), rounds)
        rate[length] = length / b
        yield row(f"forward, {length:,} tokens", length / a, length / b, "3")
    ids = draw(1, PREFILL)
    a, b = compare(lambda: prefill_peer(peer, ids), lambda: prefill(ours, ids), rounds)
    yield row(f"prefill, {PREFILL:,} tokens", PREFILL / a, PREFILL / b, "-")
    share = rate[PREFILL] * b / PREFILL
    for rows, goal in ((1, "2"), (8, "3")):
        theirs, mine = steps_peer(peer, rows), steps(ours, rows)
        a, b = compare(theirs, mine, 2 * rounds)
        yield row(f"generation, batch {rows}", rows * STEPS / a, rows * STEPS / b, goal)
        half, mine = steps_peer(peer_half, rows), steps(ours_half, rows)
        c, b = compare(half, mine, 2 * rounds)
        what = f"generation, batch {rows}, bf16 beside its better"
        yield row(what, rows * STEPS / min(a, c), rows * STEPS / b, goal)
    far = FAR / best(lambda: forward(ours, draw(1, FAR)), 1)
    yield ""
    yield f"prefill of {PREFILL:,} tokens: {share:.2f} x our forward (goal: 1.3 at most)"
    growth = f"{rate[4096] / far:.2f} x the time per token of 4,096 (goal: 1.5 at most)"
    yield f"forward of {FAR:,} tokens: {far:,.0f} tokens/s, {growth}"
    yield ""
    yield "With attention in one layer of the six, CPU seconds of a forward pass:"
    yield ""
    yield "| tokens | without | with | share of attention |"
    yield "|--:|--:|--:|--:|"
    attending = make_attending()
    for length in (4096, 16384, FAR):
        ids = draw(1, length)
        a, b = compare(
            lambda ids=ids: forward(ours, ids), lambda ids=ids: forward(attending, ids), 1
        )
        yield f"| {length:,} | {a:.1f} | {b:.1f} | {max(1 - a / b, 0):.0%} |"
    yield ""
    peaks = {name: ask_peak(name) for name in ("peer", "ours")}
    yield (
        f"peak above the start, forward of {FORWARD[-1]:,} tokens: peer {peaks['peer']:,.0f} MB, "
        f"lexome {peaks['ours']:,.0f} MB, {peaks['ours'] / peaks['peer']:.2f} x (goal: 0.5 at most)"
    )
    yield NOTE.rstrip()


def row(what: str, theirs: float, mine: float, goal: str) -> str:
    """A line of the table."""
    return f"| {what} | {theirs:,.0f} | {mine:,.0f} | {mine / theirs:.2f} | {goal} |"


def compare(theirs: Run, mine: Run, rounds: int) -> tuple[float, float]:
    """The smallest CPU seconds of both, in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, found in zip((theirs, mine), seconds, strict=True):
            found.append(best(run, 1))
    return min(seconds[0]), min(seconds[1])


def best(run: Run, rounds: int) -> float:
    """The smallest CPU seconds of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found)


def draw(rows: int, length: int) -> torch.Tensor:
    """Bases as bytes."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.tensor(list(b"ACGT"))[torch.randint(4, (rows, length), generator=generator)]


def make_peer() -> Any:
    """Its model in fp32, with poles that trained models could have."""
    from stripedhyena.model import StripedHyena
    from stripedhyena.utils import dotdict

    settings = dotdict(
        **SIZES, inner_mlp_size=INNER, vocab_size=VOCABULARY, num_filters=512, eps=1e-6,
        attn_layer_idxs=[], hyena_layer_idxs=list(range(6)), hyena_filter_groups=1,
        short_filter_length=3, short_filter_bias=True, mlp_activation="gelu", tie_embeddings=True,
        params_dtype=torch.float32, mlp_dtype=torch.float32, hyena_block_dtype=torch.float32,
        use_flashfft=False, use_flash_attn=False, column_split_hyena=True, final_norm=True,
        make_vocab_size_divisible_by=8, model_parallel_size=1, max_seqlen=FAR, prefill_style="fft",
    )  # fmt: skip
    torch.manual_seed(SEED)
    model = StripedHyena(settings).float()
    for name, tensor in model.state_dict().items():
        if name.endswith(".poles"):
            radius = 0.5 + 0.4999 * torch.rand(tensor.shape[:-1])
            angle = torch.pi * torch.rand(tensor.shape[:-1])
            tensor.copy_(torch.view_as_real(torch.polar(radius, angle)))
        elif name.endswith((".residues", ".D", "embedding_layer.weight")):
            tensor.normal_(std=0.2)
    return model.eval()


def make_ours(peer: Any, dtype: torch.dtype = torch.float32) -> Any:
    """Ours with the peer's weights, in the form that commands run."""
    from lexome.architectures.striped_hyena import StripedHyena, StripedHyenaConfig
    from lexome.checkpoints.from_evo import RULES, to_bricks
    from lexome.checkpoints.renaming import fill, rename
    from lexome.layers.kernels import accelerate
    from lexome.layers.precision import cast

    config = StripedHyenaConfig(
        num_layers=6, width=512, num_heads=8, inner_width=INNER, context=FAR
    )
    network = StripedHyena(config)
    state = {n: t for n, t in peer.state_dict().items() if not n.startswith("unembed.")}
    fill(network, rename(to_bricks(state, "the peer"), RULES, [], "the peer")[0], "the peer")
    return accelerate(cast(network.eval(), "cpu", dtype))


def make_attending() -> Any:
    """The same shape with an attention layer, random."""
    from lexome.architectures.striped_hyena import StripedHyena, StripedHyenaConfig
    from lexome.layers.kernels import accelerate

    torch.manual_seed(SEED)
    config = StripedHyenaConfig(
        num_layers=6, width=512, num_heads=8, inner_width=INNER, context=FAR, attention_layers=(3,)
    )
    network = StripedHyena(config)
    network.initialize()
    return accelerate(network.eval())


def forward(ours: Any, ids: torch.Tensor) -> torch.Tensor:
    """Hidden states of one sequence."""
    from lexome.layers.layout import PackedLayout

    hidden: torch.Tensor = ours(ids[0], PackedLayout([ids.shape[1]]))
    return hidden


def score(ours: Any, ids: torch.Tensor) -> torch.Tensor:
    """Logits of one sequence, which the peer's forward computes too."""
    scores: torch.Tensor = ours.logits(forward(ours, ids))
    return scores


def prefill(ours: Any, ids: torch.Tensor) -> Any:
    """The state behind a prompt, and the logits of its tokens as the peer has them."""
    state = ours.start(len(ids), ids.shape[1] + 2 * STEPS)
    ours.logits(ours.extend(ids, state))
    return state


def prefill_peer(peer: Any, ids: torch.Tensor) -> Any:
    """The same."""
    known = peer.initialize_inference_params()
    peer(ids, inference_params_dict=known)
    return known


def steps(ours: Any, rows: int) -> Run:
    """Tokens behind a prompt, one at a time."""
    state = ours.start(rows, FAR)
    ours.extend(draw(rows, PROMPT), state)
    token = draw(rows, 1)

    def run() -> None:
        for _ in range(STEPS):
            ours.logits(ours.extend(token, state))

    return run


def steps_peer(peer: Any, rows: int) -> Run:
    """The same."""
    known = prefill_peer(peer, draw(rows, PROMPT))
    token = draw(rows, 1)

    def run() -> None:
        for _ in range(STEPS):
            peer(token, inference_params_dict=known)

    return run


def ask_peak(name: str) -> float:
    """The peak in a process of its own."""
    command = [sys.executable, __file__, "--peak", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def measure_peak(name: str) -> float:
    """MB that a forward pass takes on top of the loaded model."""
    model: Any = make_peer()
    if name == "ours":
        model = make_ours(model)
    ids = draw(1, FORWARD[-1])
    run = (lambda x: score(model, x)) if name == "ours" else model
    run(ids[:, :64])  # what is made once
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = read_memory("VmRSS")
    run(ids)
    return read_memory("VmHWM") - before


def read_memory(kind: str) -> float:
    """MB of this process, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


if __name__ == "__main__":
    main()
