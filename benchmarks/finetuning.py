"""Fine-tuning beside transformers' Trainer with peft: same weights, proteins, batches, epochs.

    python benchmarks/finetuning.py [--shape 12x480x20] [--proteins 48] [--batch 8] [--threads 0]
    python benchmarks/finetuning.py --weights protein-mini [--proteins 1024]

Contenders take turns, each in a fresh process, on a binary label. Both sides put the adapter on
the same layers with the same rank and peak rate. The peer runs in fp32 and in bf16 over fp32
weights, its batches in random order (its default) and grouped by length (its best). Speed is all
tokens of all epochs (padding not counted) by the time from the first step's begin to the last
one's end, the vectors of a frozen backbone among it: of the wall, or, on one thread, of the
processor. Nobody judges while training.

Without `--weights`: a random ESM-2 and drawn proteins, speed alone. With them: DeepLoc's
mitochondrion from the shared data, partitions 0-2 to train on, partition 4 to judge by AUROC (not
used for anything else), and the difference to ours with DeLong's interval. All see the first 80
and the last 32 residues, and have the same head (a linear layer on the mean over tokens), so that
the training alone is compared.
Prints the table, and writes it to finetuning.txt. Needs the `dev` extra.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from esm_trainer import SEED, VOCABULARY, esm_config, trainer_arguments  # beside this file

from lexome.devices import num_cores, wait_politely

ORDERS = {"default": "random", "grouped": "group_by_length"}
METHODS = ("full", "lora", "ia3", "frozen")
EPOCHS = {"full": 2, "lora": 2, "ia3": 2, "frozen": 10}
RATES = {"full": 1e-4, "lora": 1e-3, "ia3": 3e-3, "frozen": 1e-3}
DTYPES = ("fp32", "bf16")
SAME_HEAD: dict[str, Any] = {"head_pooling": "mean", "head_hidden": 0, "head_dropout": 0.0}
TABLE = Path(os.environ.get("TABLE", Path(__file__).with_suffix(".txt")))
JUDGED = 1024


def main() -> None:
    """Print the table, a line as soon as a contender is done."""
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="12x480x20", help="LAYERSxWIDTHxHEADS")
    parser.add_argument("--weights", default="", help="a model of ESM-2's layout; else random")
    parser.add_argument("--proteins", type=int, default=48)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=0, help="of all methods; else 2, frozen 10")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), help="of the peer's batches")
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), help="of the peer")
    parser.add_argument("--limit", type=int, default=7200, help="seconds of a process")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    threads = asked.threads or num_cores()
    if asked.worker:
        import torch

        torch.set_num_threads(threads)
        name, method, order, dtype, folder = asked.worker
        epochs = asked.epochs or EPOCHS[method]
        work = train_lexome if name == "lexome" else train_peer
        print(json.dumps(work(method, Path(folder), asked.batch, epochs, dtype, order)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rows = draw_proteins(asked.proteins) if not asked.weights else read_deeploc(asked.proteins)
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        write_model(folder / "model", asked.shape, asked.weights)
        lines = head_lines(asked, threads, rows)
        print("\n".join(lines), flush=True)
        for method in asked.methods:
            lines += compare(asked, threads, method, made, rows)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def head_lines(asked: argparse.Namespace, threads: int, rows: dict[str, Any]) -> list[str]:
    """What was measured where, and the head of the table."""
    import peft
    import torch
    import transformers

    tokens = count_tokens(rows["train"])
    told = (
        f"random ESM-2 of shape {asked.shape}; {len(rows['train'])} drawn proteins (log-normal, "
        "median 300, sigma 0.65, cut to 30-1022)"
        if not asked.weights
        else f"{asked.weights}; {len(rows['train'])} proteins of DeepLoc, {len(rows['test'])} to "
        "judge by"
    )
    return [
        f"{threads} of {num_cores()} cores, load {os.getloadavg()[0]:.1f} when begun, "
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"peft {peft.__version__}; {told}; {asked.batch} a step, {tokens:,} tokens an epoch; "
        f"seconds of the {'processor' if threads == 1 else 'wall'}\n",
        "| method | contender | trained | tokens/s | lexome is faster by | AUROC | ours less it |",
        "|---|---|--:|--:|--:|--:|---|",
    ]


def compare(
    asked: argparse.Namespace, threads: int, method: str, made: str, rows: dict[str, Any]
) -> list[str]:
    """Train every contender by one method: a line each."""
    from lexome.evaluation.delong import delong_test

    tokens = count_tokens(rows["train"]) * (asked.epochs or EPOCHS[method])
    lines: list[str] = []
    ours: dict[str, Any] = {}
    contenders = [("lexome", "", dtype) for dtype in ours_in(method)]
    contenders += [("peer", order, dtype) for order, dtype in product(asked.orders, asked.dtypes)]
    for name, order, dtype in contenders:
        command = [sys.executable, __file__, "--worker", name, method, order, dtype, made]
        command += ["--batch", str(asked.batch), "--threads", str(threads)]
        command += ["--epochs", str(asked.epochs)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, timeout=asked.limit
        )
        found = json.loads(done.stdout.splitlines()[-1])
        found["speed"] = tokens / found["seconds"]
        ours = ours or found
        ratio = area = gap = ""
        if name == "peer":
            ratio = f"{ours['speed'] / found['speed']:.2f} x"
        if found["answers"]:
            pair = delong_test(rows["truth"], ours["answers"], found["answers"])
            area = f"{pair.second:.3f}"
            gap = f"{pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]" if ratio else ""
        who = " ".join(word for word in (name, order, dtype) if word)
        facts = (method, who, f"{found['trained']:,}", f"{found['speed']:,.0f}", ratio, area, gap)
        lines.append(f"| {' | '.join(facts)} |")
        print(lines[-1], flush=True)
    return lines


def ours_in(method: str) -> tuple[str, ...]:
    """What we train in: bf16; one vector a sequence is made in fp32 unless bf16 is asked for."""
    return ("bf16", "fp32") if method == "frozen" else ("bf16",)


def clock() -> float:
    """Seconds of wall time; of the processor on one thread, which other work does not change."""
    import torch

    return time.process_time() if torch.get_num_threads() == 1 else time.monotonic()


def count_tokens(sequences: list[str]) -> int:
    """Tokens of sequences, special ones among them."""
    return sum(len(sequence) + 2 for sequence in sequences)


def draw_proteins(num: int) -> dict[str, Any]:
    """Random proteins of the lengths that proteins have, labels of 0 and 1 in turns."""
    generator = np.random.default_rng(SEED)
    lengths = np.exp(generator.normal(np.log(300), 0.65, num)).astype(int).clip(30, 1022)
    drawn = ["".join(generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), n)) for n in lengths]
    return {"train": drawn, "labels": [i % 2 for i in range(num)], "test": [], "truth": []}


def read_deeploc(num: int) -> dict[str, Any]:
    """Proteins of the shared data: as many of either class to train on, others to judge by."""
    import polars as pl

    from lexome.suites.deeploc import find_deeploc

    table = pl.read_csv(find_deeploc().train, infer_schema=False).sample(
        fraction=1, shuffle=True, seed=SEED
    )
    known = table.filter(pl.col("Partition").is_in(["0", "1", "2"]))
    halves = [known.filter(pl.col("Mitochondrion") == label).head(num // 2) for label in "01"]
    train = pl.concat(halves).sample(fraction=1, shuffle=True, seed=SEED)
    test = table.filter(pl.col("Partition") == "4").head(JUDGED)
    found: dict[str, Any] = {}
    for part, label, rows in (("train", "labels", train), ("test", "truth", test)):
        found[part] = [s if len(s) <= 112 else s[:80] + s[-32:] for s in rows["Sequence"]]
        found[label] = [int(one) for one in rows["Mitochondrion"]]
    return found


def write_model(folder: Path, shape: str, weights: str) -> None:
    """An ESM-2 in its published layout, which both sides load."""
    import torch

    if weights:
        from lexome.checkpoints.convert import convert_model

        convert_model(weights, folder)
    else:
        from transformers import EsmForMaskedLM

        torch.manual_seed(SEED)
        EsmForMaskedLM(esm_config(shape)).save_pretrained(folder)
    (folder / "vocab.txt").write_text(VOCABULARY.read_text(encoding="utf-8"), encoding="utf-8")


def train_peer(
    method: str, folder: Path, batch: int, epochs: int, dtype: str, order: str
) -> dict[str, Any]:
    """Seconds, numbers trained and answers of the Trainer."""
    import peft
    import torch
    from transformers import (
        DataCollatorWithPadding,
        EsmForSequenceClassification,
        EsmTokenizer,
        Trainer,
        TrainerCallback,
    )

    logging.disable(logging.WARNING)
    torch.manual_seed(SEED)
    tokenizer = EsmTokenizer(str(folder / "model/vocab.txt"))
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    model: Any = EsmForSequenceClassification.from_pretrained(folder / "model", num_labels=2)
    if rows["test"]:
        model.classifier = head = mean_head(model.config.hidden_size)

        def see_tokens(_: Any, args: Any, kwargs: Any) -> None:
            for one in model.modules():  # peft trains a copy of the head
                if type(one) is type(head):
                    one.is_token = kwargs["attention_mask"]

        model.register_forward_pre_hook(see_tokens, with_kwargs=True)
    if method == "frozen":
        model.esm.requires_grad_(False)
    elif method != "full":
        model = peft.get_peft_model(model, adapter_of(method))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            ends.append(clock())

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(clock())

    def dataset(sequences: list[str], labels: list[int]) -> list[dict[str, Any]]:
        pairs = zip(sequences, labels, strict=True)
        return [{**tokenizer(sequence), "labels": label} for sequence, label in pairs]

    with tempfile.TemporaryDirectory() as output:
        arguments = trainer_arguments(
            output,
            batch,
            ORDERS[order],
            bf16=dtype == "bf16",
            num_train_epochs=epochs,
            learning_rate=RATES[method],
        )
        trainer = Trainer(
            model,
            arguments,
            DataCollatorWithPadding(tokenizer),
            train_dataset=dataset(rows["train"], rows["labels"]),
            callbacks=[Clock()],
        )
        trainer.train()
    answers: list[float] = []
    model.eval()
    # Not by `predict`, which groups by length here, too, and answers in that order.
    for start in range(0, len(rows["test"]), batch):
        few = tokenizer(rows["test"][start : start + batch], return_tensors="pt", padding=True)
        with torch.no_grad():
            logits = model(**few).logits
        answers += (logits[:, 1] - logits[:, 0]).tolist()
    return {"seconds": ends[-1] - ends[0], "trained": trained, "answers": answers}


def mean_head(width: int) -> Any:
    """Our head in the place of the peer's: a linear layer on the mean over tokens."""
    import torch
    from torch import nn

    class MeanHead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.out_proj = nn.LayerNorm(width), nn.Linear(width, 2)
            self.is_token: Any = None  # (S, L), set before each call

        def forward(self, x_SLD: torch.Tensor, **_: Any) -> torch.Tensor:
            weight_SL1 = self.is_token[..., None].to(x_SLD.dtype)
            mean_SD = (x_SLD * weight_SL1).sum(1) / weight_SL1.sum(1)
            out: torch.Tensor = self.out_proj(self.norm(mean_SD))
            return out

    return MeanHead()


def adapter_of(method: str) -> Any:
    """What peft puts where we do."""
    import peft

    if method == "lora":
        layers = ["query", "key", "value", "attention.output.dense"]
        config: Any = peft.LoraConfig(r=8, lora_alpha=16, target_modules=layers)
    else:
        hidden = r".*layer\.\d+\.output\.dense"
        named = rf"{hidden}|.*attention\.self\.(key|value)"
        config = peft.IA3Config(target_modules=named, feedforward_modules=hidden)
    config.modules_to_save = ["classifier"]
    return config


def train_lexome(
    method: str, folder: Path, batch: int, epochs: int, dtype: str, _: str
) -> dict[str, Any]:
    """Seconds, numbers trained and answers of `lexome finetune`'s loop."""
    from lexome.progress import Progress
    from lexome.training.loop import Job, answers, fill, train
    from lexome.training.objectives import make_objective
    from lexome.training.recipes import choose_recipe
    from lexome.training.settings import FinetuneSettings
    from lexome.training.setup import make_examples, make_network, make_setup
    from lexome.training.target import Target

    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    recipe = choose_recipe(
        "esm2-35m",
        method,
        batch_size=batch,
        epochs=epochs,
        long="whole",
        positive_share=0.0,
        learning_rate=RATES[method],
        **(SAME_HEAD if rows["test"] else {}),
    )
    settings = FinetuneSettings(
        model=str(folder / "model"), method=method, dtype=dtype, recipe=recipe
    )
    setup = make_setup(settings)
    sequences = rows["train"] + rows["test"]
    labels = np.array(rows["labels"] + rows["truth"])
    known = np.arange(len(rows["train"]))
    judged = np.arange(len(known), len(sequences))
    ids = [str(i) for i in range(len(sequences))]
    began = clock()
    examples = make_examples(setup, settings, ids[: len(known)], rows["train"], labels[known])
    first = clock() - began  # the vectors of a frozen backbone; else the tokens alone
    objective = make_objective(Target("binary", ("0", "1"), labels, False), known, 0.0, "none", 0.0)
    network = make_network(setup, settings, 1, examples, SEED)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    job = Job(
        examples=examples,
        train=known,
        validation=known[:0],
        objective=objective,
        recipe=settings.recipe,
        tokenizer=setup.tokenizer,
        dtype=setup.dtype.choice,
        judge=lambda found: {},
        monitor="auprc",
        log=lambda entry: None,
        budget=setup.budget,
    )
    began = clock()
    done = train(network, job, SEED, folder / f"state-{method}.safetensors", Progress("", None, ""))
    seconds = first + clock() - began
    found: list[float] = []
    if len(judged):
        fill(network, done.weights)
        test = [ids[i] for i in judged]
        others = make_examples(setup, settings, test, rows["test"], labels[judged])
        rows_N = np.arange(len(judged))
        found = answers(network, others, rows_N, objective, setup.budget).ravel().tolist()
    return {"seconds": seconds, "trained": trained, "answers": found}


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
