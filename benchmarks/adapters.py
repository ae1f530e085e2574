"""Training an adapter beside transformers' Trainer with peft: same weights, proteins and batches.

    python benchmarks/adapters.py [--shape 12x480x20] [--proteins 96] [--batch 8] [--threads 0]

Contenders take turns, each in a fresh process: a binary label on a random ESM-2 (35M by default),
the adapter on the same layers with the same rank, bf16 over fp32 weights. Each trains two epochs
of the same proteins without judging; a contender's figure is all tokens of the second epoch
(padding not counted) by its time: of the wall, or, on one thread, of the processor.
A process that takes longer than `--limit` seconds ends it all. Prints the table, and writes it to
adapters.txt. Needs the `dev` extra.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lexome.devices import num_cores, wait_politely

PEERS = {"peer default": "random", "peer grouped by length": "group_by_length"}
METHODS = ("lora", "ia3")
SEED, EPOCHS = 0, 2
TABLE = Path(os.environ.get("TABLE", Path(__file__).with_suffix(".txt")))
VOCABULARY = Path(__file__).parents[1] / "src/lexome/weights/protein-mini/vocab.txt"


def main() -> None:
    """Print the table, a line as soon as a contender is done."""
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="12x480x20", help="LAYERSxWIDTHxHEADS")
    parser.add_argument("--proteins", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--limit", type=int, default=3600, help="seconds of a process")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    threads = asked.threads or num_cores()
    if asked.worker:
        import torch

        torch.set_num_threads(threads)
        name, method, folder = asked.worker
        work = train_lexome if name == "lexome" else train_peer
        print(json.dumps(work(method, Path(folder), asked.batch, PEERS.get(name, ""))))
        return
    import peft
    import torch
    import transformers

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_model(folder / "model", asked.shape)
        sequences = draw_proteins(asked.proteins)
        (folder / "proteins.txt").write_text("\n".join(sequences), encoding="utf-8")
        tokens = sum(len(s) + 2 for s in sequences)
        lines = [
            f"{threads} of {num_cores()} cores, load {os.getloadavg()[0]:.1f} when begun, "
            f"torch {torch.__version__}, transformers {transformers.__version__}, "
            f"peft {peft.__version__}; ESM-2 of shape {asked.shape}; {len(sequences)} proteins "
            f"(log-normal, median 300, sigma 0.65, cut to 30-1022), {asked.batch} a step, "
            f"{tokens:,} tokens an epoch; bf16; seconds of the "
            f"{'processor' if threads == 1 else 'wall'}\n",
            "| method | contender | tokens/s | lexome is faster by |",
            "|---|---|--:|--:|",
        ]
        print("\n".join(lines), flush=True)
        for method in asked.methods:
            speeds = {}
            for name in ("lexome", *PEERS):
                command = [sys.executable, __file__, "--worker", name, method, made]
                command += ["--batch", str(asked.batch), "--threads", str(threads)]
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, text=True, check=True, timeout=asked.limit
                )
                speeds[name] = tokens / json.loads(done.stdout.splitlines()[-1])
                ratio = f"{speeds['lexome'] / speeds[name]:.2f} x" if name in PEERS else ""
                lines.append(f"| {method} | {name} | {speeds[name]:,.0f} | {ratio} |")
                print(lines[-1], flush=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def clock() -> float:
    """Seconds of wall time; of the processor on one thread, which other work does not change."""
    import torch

    return time.process_time() if torch.get_num_threads() == 1 else time.monotonic()


def draw_proteins(num: int) -> list[str]:
    """Random proteins of the lengths that proteins have."""
    generator = np.random.default_rng(SEED)
    lengths = np.exp(generator.normal(np.log(300), 0.65, num)).astype(int).clip(30, 1022)
    return ["".join(generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), n)) for n in lengths]


def write_model(folder: Path, shape: str) -> None:
    """A random ESM-2 in its published layout, which both sides load."""
    import torch
    from transformers import EsmConfig, EsmForMaskedLM

    torch.manual_seed(SEED)
    layers, width, heads = map(int, shape.split("x"))
    config = EsmConfig(
        vocab_size=33,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        mask_token_id=32,
        pad_token_id=1,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    EsmForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text(VOCABULARY.read_text(encoding="utf-8"), encoding="utf-8")


def read_rows(folder: Path) -> tuple[list[str], np.ndarray]:
    """The proteins, and a label of 0 and 1 in turns."""
    sequences = (folder / "proteins.txt").read_text(encoding="utf-8").splitlines()
    return sequences, np.arange(len(sequences)) % 2


def train_peer(method: str, folder: Path, batch: int, order: str) -> float:
    """Seconds of the second epoch of the Trainer."""
    import peft
    import torch
    from transformers import (
        DataCollatorWithPadding,
        EsmForSequenceClassification,
        EsmTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    logging.disable(logging.WARNING)
    torch.manual_seed(SEED)
    tokenizer = EsmTokenizer(str(folder / "model/vocab.txt"))
    model = EsmForSequenceClassification.from_pretrained(folder / "model", num_labels=2)
    if method == "lora":
        layers = ["query", "key", "value", "attention.output.dense"]
        config: Any = peft.LoraConfig(r=8, lora_alpha=16, target_modules=layers)
    else:
        hidden = r".*layer\.\d+\.output\.dense"
        layers = rf"{hidden}|.*attention\.self\.(key|value)"
        config = peft.IA3Config(target_modules=layers, feedforward_modules=hidden)
    config.modules_to_save = ["classifier"]
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(clock())

    sequences, labels = read_rows(folder)
    data = [
        {**tokenizer(s), "labels": int(label)} for s, label in zip(sequences, labels, strict=True)
    ]
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output_dir=output,
            use_cpu=True,
            bf16=True,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=batch,
            train_sampling_strategy=order,
            learning_rate=1e-3,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            seed=SEED,
        )
        collator = DataCollatorWithPadding(tokenizer)
        wrapped = peft.get_peft_model(model, config)
        Trainer(wrapped, arguments, collator, train_dataset=data, callbacks=[Clock()]).train()
    return ends[-1] - ends[len(ends) // EPOCHS - 1]


def train_lexome(method: str, folder: Path, batch: int, _: str) -> float:
    """Seconds of the second epoch of `lexome finetune`'s loop."""
    from lexome.progress import Progress
    from lexome.training.loop import Job, train
    from lexome.training.objectives import make_objective
    from lexome.training.recipes import choose_recipe
    from lexome.training.settings import FinetuneSettings
    from lexome.training.setup import make_examples, make_network, make_setup
    from lexome.training.target import Target

    asked = {"batch_size": batch, "epochs": EPOCHS, "long": "whole", "positive_share": 0.0}
    settings = FinetuneSettings(
        model=str(folder / "model"),
        method=method,  # type: ignore[arg-type]
        dtype="bf16",
        recipe=choose_recipe("esm2-35m", method, **asked),
    )
    setup = make_setup(settings)
    sequences, labels = read_rows(folder)
    ids = [str(i) for i in range(len(sequences))]
    examples = make_examples(setup, settings, ids, sequences, labels)
    rows = np.arange(len(sequences))
    ends: list[float] = []

    class Clock(Progress):
        def advance(self, *args: Any, **kwargs: Any) -> None:
            ends.append(clock())

    job = Job(
        examples=examples,
        train=rows,
        validation=rows[:0],
        objective=make_objective(
            Target("binary", ("0", "1"), labels, False), rows, 0.0, "none", 0.0
        ),
        recipe=settings.recipe,
        tokenizer=setup.tokenizer,
        dtype=setup.dtype.choice,
        judge=lambda found: {},
        monitor="auprc",
        log=lambda entry: None,
        budget=setup.budget,
    )
    network = make_network(setup, settings, 1, examples, SEED)
    train(network, job, SEED, folder / f"state-{method}.safetensors", Clock("", None, "sequences"))
    steps = ends[-(EPOCHS * -(-len(rows) // batch)) :]
    return steps[-1] - steps[len(steps) // EPOCHS - 1]


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
