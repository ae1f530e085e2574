"""Speed of generation beside transformers' `generate`: same weights, same prompts, same run.

    python benchmarks/generation.py [--shapes gpt2 progen2] [--batches 1 8 32] [--rounds 5]

Each contender lives in a process of its own with one thread, and they take turns round by round,
so drift of the machine's speed hits all alike; the best round of each counts, in process CPU time
(prompts are read in it, too). Greedy, 96 new tokens after prompts of 32, no stop token, dynamic
cache. The peer's figure is the better of its fp32 and bf16 at that batch, and so is ours. Random
weights of the shapes of GPT-2 and of ProGen2 (transformers' GPT-J, whose block it is).
Agreement: both read the peer's text (teacher-forced) in fp32; where the most likely token differs,
the margin tells by how little.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

CONTENDERS = ("peer fp32", "peer bf16", "lexome fp32", "lexome bf16")
GOALS = {1: 1.6, 8: 1.6, 32: 1.3}
LAYERS, WIDTH, PROMPT, NEW, SEED = 10, 640, 32, 96, 0
VOCABULARY = {"gpt2": 512, "progen2": 32}


def main() -> None:
    """Print the table of speeds for each shape and batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=list(VOCABULARY), choices=list(VOCABULARY))
    parser.add_argument("--batches", nargs="+", type=int, default=list(GOALS))
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print("| shape | batch | " + " | ".join(CONTENDERS) + " | best / best | goal |")
    print("|---|--:|" + "--:|" * len(CONTENDERS) + "--:|--:|")
    for shape in asked.shapes:
        with_pipes(shape, asked.batches, asked.rounds)


def with_pipes(shape: str, batches: list[int], rounds: int) -> None:
    """Start the contenders of one shape and print its lines."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = {}, []
    for name in CONTENDERS:
        mine, theirs = context.Pipe()
        worker = context.Process(target=serve, args=(name, shape, theirs), daemon=True)
        worker.start()
        assert mine.recv() == "ready"
        pipes[name] = mine
        workers.append(worker)
    for batch in batches:
        best = dict.fromkeys(CONTENDERS, float("inf"))
        for _ in range(rounds + 1):  # the first warms up
            for name, pipe in pipes.items():
                pipe.send(("generate", batch))
                seconds = pipe.recv()
                best[name] = min(best[name], seconds)
        speeds = {name: batch * NEW / seconds for name, seconds in best.items()}
        peer = max(speed for name, speed in speeds.items() if name.startswith("peer"))
        ours = max(speed for name, speed in speeds.items() if name.startswith("lexome"))
        told = " | ".join(f"{speeds[name]:,.0f}" for name in CONTENDERS)
        print(f"| {shape} | {batch} | {told} | {ours / peer:.2f} | {GOALS[batch]} |", flush=True)
    pipes["peer fp32"].send(("text", 8))
    text = pipes["peer fp32"].recv()
    found = {}
    for name in ("peer fp32", "lexome fp32", "lexome bf16"):
        pipes[name].send(("read", text))
        found[name] = pipes[name].recv()
    for name in ("lexome fp32", "lexome bf16"):
        print(agreement(shape, name, found["peer fp32"], found[name]), flush=True)
    for pipe in pipes.values():
        pipe.send(None)
    for worker in workers:
        worker.join()


def agreement(shape: str, name: str, theirs: Any, ours: Any) -> str:
    """How often both find the same token most likely, and by how little they differ elsewhere."""
    first = theirs.argmax(-1)
    same = (first == ours.argmax(-1)).float().mean()
    two = theirs.topk(2).values
    margins = (two[..., 0] - two[..., 1])[first != ours.argmax(-1)]
    apart = f"; margins there at most {margins.max():.2g}" if len(margins) else ""
    error = (theirs - ours).abs().max()
    return (
        f"\n{shape}, {name}: the same token in {same:.2%} of {first.numel()} places{apart}; "
        f"largest difference of a logit {error:.2g}"
    )


def serve(name: str, shape: str, pipe: Connection) -> None:
    """One contender: answers orders until None comes."""
    import torch

    torch.set_num_threads(1)
    kind, dtype = name.split()
    run, read = (make_peer if kind == "peer" else make_ours)(shape, dtype)
    pipe.send("ready")
    while order := pipe.recv():
        what, value = order
        with torch.inference_mode():
            if what == "generate":
                began = time.process_time()
                run(prompts(shape, value))
                pipe.send(time.process_time() - began)
            elif what == "text":
                pipe.send(run(prompts(shape, value)))
            else:
                pipe.send(read(value).float())


def prompts(shape: str, batch: int) -> list[list[int]]:
    """Random prompts, the same for all."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    size = VOCABULARY[shape]
    drawn: list[list[int]] = torch.randint(5, size, (batch, PROMPT), generator=generator).tolist()
    return drawn


def build_peer(shape: str) -> Any:
    """transformers' model with random weights, the same in every process."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, GPTJConfig, GPTJForCausalLM

    torch.manual_seed(SEED)
    sizes = {"n_layer": LAYERS, "n_embd": WIDTH, "n_positions": 1024}
    common = sizes | {"vocab_size": VOCABULARY[shape], "bos_token_id": None, "eos_token_id": None}
    if shape == "gpt2":
        model: Any = GPT2LMHeadModel(GPT2Config(n_head=10, **common))
    else:
        model = GPTJForCausalLM(
            GPTJConfig(n_head=16, rotary_dim=20, tie_word_embeddings=False, **common)
        )
    with torch.no_grad():  # livelier than at birth, so that the most likely token is clear
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


def make_peer(shape: str, dtype: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """transformers' generate, and its logits of a text."""
    import torch

    model = build_peer(shape)
    if dtype == "bf16":
        model = model.bfloat16()

    def run(ids: list[list[int]]) -> Any:
        tokens = torch.tensor(ids)
        return model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=NEW,
            min_new_tokens=NEW,
            do_sample=False,
            pad_token_id=0,
        )

    return run, lambda text: model(text).logits


def make_ours(shape: str, dtype: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The engine, and the network's logits of a text."""
    import torch

    from lexome.batches.packing import pack
    from lexome.devices import torch_dtype
    from lexome.generation.engine import Engine, Request
    from lexome.generation.sampler import Sampler
    from lexome.generation.settings import Sampling
    from lexome.layers.kernels import accelerate

    network = build_ours(shape)
    network = accelerate(network.to(torch_dtype(dtype)).eval())

    def run(ids: list[list[int]]) -> Any:
        engine = Engine(network, Sampler(Sampling(temperature=0.0)), SEED)
        requests = [Request(i, tuple(one), NEW) for i, one in enumerate(ids)]
        return list(engine.run(requests, PROMPT + NEW))

    def read(text: Any) -> Any:
        packed = pack(text.tolist())
        logits = network.logits(network(*packed))
        return torch.stack(packed.layout.split(logits))

    return run, read


def build_ours(shape: str) -> Any:
    """Our network with the peer's weights."""
    from lexome.architectures.decoder import Decoder, DecoderConfig

    sizes: dict[str, Any] = {
        "num_layers": LAYERS,
        "width": WIDTH,
        "ffn_width": 4 * WIDTH,
        "vocabulary_size": VOCABULARY[shape],
    }
    theirs = build_peer(shape).state_dict()
    if shape == "gpt2":
        network = Decoder(DecoderConfig(num_heads=10, **sizes))
    else:
        config = DecoderConfig(
            num_heads=16,
            positions="rotary",
            turned_width=20,
            interleaved=True,
            parallel=True,
            attention_bias=False,
            tied_head=False,
            head_bias=True,
            **sizes,
        )
        network = Decoder(config)
    tensors = {}
    for name in network.state_dict():
        tensors[name] = find_tensor(name, shape, theirs)
    network.load_state_dict(tensors, strict=True)
    return network


def find_tensor(name: str, shape: str, theirs: dict[str, Any]) -> Any:
    """The peer's tensor for one of our names."""
    outside = {
        "tokens.weight": "transformer.wte.weight",
        "positions.weight": "transformer.wpe.weight",
        "final_norm.weight": "transformer.ln_f.weight",
        "final_norm.bias": "transformer.ln_f.bias",
        "language_model_head.rows": "lm_head.weight",
        "language_model_head.bias": "lm_head.bias",
    }
    if name in outside:
        return theirs[outside[name]]
    if name == "rotary.inv_freq":
        import torch

        return 10_000.0 ** -(torch.arange(0, 20, 2) / 20)
    _, layer, rest = name.split(".", 2)
    place = f"transformer.h.{layer}."
    brick, kind = rest.rsplit(".", 1)
    if shape == "gpt2":
        parts = {"attention.query": 0, "attention.key": 1, "attention.value": 2}
        if brick in parts:
            whole = theirs[f"{place}attn.c_attn.{kind}"]  # laid the other way round than a Linear
            found = (whole.t() if kind == "weight" else whole).chunk(3)[parts[brick]]
            return found.contiguous()
        bricks = {
            "attention.output": "attn.c_proj",
            "feed_forward.up": "mlp.c_fc",
            "feed_forward.down": "mlp.c_proj",
        }
        if brick in bricks:
            whole = theirs[f"{place}{bricks[brick]}.{kind}"]
            return whole.t().contiguous() if kind == "weight" else whole
        norms = {"attention_norm": "ln_1", "feed_forward_norm": "ln_2"}
        return theirs[f"{place}{norms[brick]}.{kind}"]
    bricks = {
        "attention_norm": "ln_1",
        "attention.query": "attn.q_proj",
        "attention.key": "attn.k_proj",
        "attention.value": "attn.v_proj",
        "attention.output": "attn.out_proj",
        "feed_forward.up": "mlp.fc_in",
        "feed_forward.down": "mlp.fc_out",
    }
    return theirs[f"{place}{bricks[brick]}.{kind}"]


if __name__ == "__main__":
    main()
