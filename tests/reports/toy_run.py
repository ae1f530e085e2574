"""Synthetic run directories, as `lexome finetune` writes them: seeded, for each of the four tasks.

Try it: `python tests/reports/toy_run.py binary /tmp/toy` writes the run and its report.
"""

# Letters: S sequences, C labels.
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import metrics as oracle

from lexome.training.beside_baseline import compare_with_baseline
from lexome.training.fit import Parts
from lexome.training.judged import Judged
from lexome.training.target import Target

PARTS = {"train": 1500, "validation": 500, "test": 700}
LOCATIONS = [
    "Cytoplasm", "Nucleus", "Extracellular", "Cell membrane", "Mitochondrion", "Plastid",
    "Endoplasmic reticulum", "Golgi apparatus",
]  # fmt: skip
SEEDS = [1, 2, 3]
Floats = NDArray[np.float64]


def write_toy_run(
    folder: Path, task: str = "binary", seed: int = 0, parts: dict[str, int] | None = None
) -> Path:
    """Write run.json, metrics.json, predictions.parquet, history.parquet and audit.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    sizes = parts or PARTS
    labels = {"binary": ["0", "1"], "regression": []}.get(task, LOCATIONS)
    tables, models, judged = [], [], []
    truth = {part: _truth(task, size, generator) for part, size in sizes.items()}
    for name, kind, skill in (
        *((f"seed {seed}", "seed", 1.35) for seed in SEEDS),
        ("mean", "mean", 1.35),
        ("ensemble", "ensemble", 1.5),
        ("baseline", "baseline", 0.4),
    ):
        scores = {part: _score(task, values, skill, generator) for part, values in truth.items()}
        model: dict[str, Any] = {"name": name, "kind": kind, "threshold": None, "parts": {}}
        if task == "binary":
            model["threshold"] = 0.41
        elif task == "multilabel":
            model["threshold"] = dict.fromkeys(labels, 0.4)
        for part in ("validation", "test"):
            measured, by_label = _measure(task, truth[part], scores[part], labels)
            model["parts"][part] = measured
            if by_label:
                model.setdefault("per_label", {})[part] = by_label
        models.append(model)
        limit = [0.4] * len(labels) if task == "multilabel" else model["threshold"]
        judged += [Judged(name, kind, scores, limit)] * (kind != "mean")
        if name in {"ensemble", "baseline"}:
            start = sizes["train"]
            for part in ("validation", "test"):
                tables.append(_table(task, name, part, start, truth[part], scores[part], labels))
                start += sizes[part]
    headline = {
        "binary": ["auroc", "auprc", "mcc"],
        "multiclass": ["macro_auroc", "mcc", "accuracy"],
        "multilabel": ["macro_auroc", "macro_f1", "exact_match"],
        "regression": ["spearman", "r2", "rmse"],
    }[task]
    numbered = Parts(*(np.arange(sizes[part]) for part in Parts._fields))
    target = Target(task, tuple(labels), truth["test"], False)
    groups = {"test": np.arange(sizes["test"]) // 2}
    found = {"models": models, "chosen": "ensemble", "headline": headline}
    compared = compare_with_baseline(target, numbered, judged, "ensemble", groups)
    _write(folder / "metrics.json", {**found, "comparison": compared})
    pl.concat(tables).write_parquet(folder / "predictions.parquet")
    _history(headline, generator).write_parquet(folder / "history.parquet")
    _audit().write_csv(folder / "audit.csv")
    _write(folder / "run.json", _facts(task, labels, sizes, truth))
    return folder


def change(folder: Path, file: str, **entries: Any) -> None:
    """Replace entries of run.json or metrics.json."""
    found = json.loads((folder / file).read_text())
    _write(folder / file, {**found, **entries})


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))


def _truth(task: str, size: int, generator: np.random.Generator) -> Any:
    """Class numbers (S,), a 0/1 matrix (S, C), or values (S,)."""
    if task == "binary":
        return (generator.random(size) < 0.12).astype(int)
    shares = 0.72 ** np.arange(len(LOCATIONS))
    if task == "multiclass":
        return generator.choice(len(LOCATIONS), size, p=shares / shares.sum())
    if task == "multilabel":
        return (generator.random((size, len(LOCATIONS))) < 0.45 * shares + 0.03).astype(int)
    return generator.gamma(6, 8, size) + 12


def _score(task: str, truth: Any, skill: float, generator: np.random.Generator) -> Floats:
    """Probabilities (S,) or (S, C), or predicted values (S,); more skill, less noise."""
    if task == "regression":
        noise = generator.normal(0, 30 / skill, truth.shape)
        return 24 + 0.6 * (truth + noise - 12)
    target = np.eye(len(LOCATIONS))[truth] if task == "multiclass" else truth
    logits = skill * 1.7 * target + generator.normal(0, 1.3, target.shape)
    if task == "multiclass":
        powers = np.exp(logits)
        return powers / powers.sum(axis=1, keepdims=True)
    return 1 / (1 + np.exp(2.6 - logits))


def _estimate(value: float, size: int) -> dict[str, float | None]:
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if abs(value) > 1:
        return {"value": value, "low": 0.94 * value, "high": 1.05 * value}
    half = 1.4 * np.sqrt((abs(value) + 0.01) * (1.01 - abs(value)) / size)
    low, high = value - half, value + half * 0.9
    return {
        "value": value,
        "low": float(max(low, -1 if value < 0 else 0)),
        "high": float(min(high, 1)),
    }


def _measure(task: str, truth: Any, score: Floats, labels: list[str]) -> tuple[Any, Any]:
    """The metrics of one model on one part, and those of each label."""
    size = len(truth)
    if task == "regression":
        found = {
            "spearman": float(
                np.corrcoef(truth.argsort().argsort(), score.argsort().argsort())[0, 1]
            ),
            "pearson": float(np.corrcoef(truth, score)[0, 1]),
            "r2": float(oracle.r2_score(truth, score)),
            "rmse": float(np.sqrt(np.mean((truth - score) ** 2))),
            "mae": float(np.mean(abs(truth - score))),
        }
        return {key: _estimate(value, size) for key, value in found.items()}, {}
    if task == "binary":
        return {key: _estimate(v, size) for key, v in _binary(truth, score, 0.41).items()}, {}
    hits = np.eye(len(labels))[truth] if task == "multiclass" else truth
    by_label = {}
    for number, label in enumerate(labels):
        column = _binary(hits[:, number], score[:, number], 0.4)
        kept = (
            ("auroc", "auprc", "mcc", "f1") if task == "multilabel" else ("auroc", "f1", "recall")
        )
        near = max(4, hits[:, number].sum() * 4)
        by_label[label] = {key: _estimate(column[key], int(near)) for key in kept}
    macro = {
        f"macro_{key}": float(np.mean([by_label[label][key]["value"] for label in labels]))
        for key in ("auroc", "f1")
    }
    if task == "multiclass":
        said = score.argmax(axis=1)
        macro |= {
            "mcc": float(oracle.matthews_corrcoef(truth, said)),
            "accuracy": float(np.mean(truth == said)),
            "balanced_accuracy": float(oracle.balanced_accuracy_score(truth, said)),
            "ece": 0.0312,
        }
    else:
        macro["exact_match"] = float(np.mean(((score >= 0.4) == truth).all(axis=1)))
        macro["hamming"] = float(np.mean((score >= 0.4) != truth))
    return {key: _estimate(value, size) for key, value in macro.items()}, by_label


def _binary(truth: Any, score: Floats, threshold: float) -> dict[str, float]:
    said = score >= threshold
    return {
        "auroc": float(oracle.roc_auc_score(truth, score)),
        "auprc": float(oracle.average_precision_score(truth, score)),
        "mcc": float(oracle.matthews_corrcoef(truth, said)),
        "accuracy": float(np.mean(truth == said)),
        "balanced_accuracy": float(oracle.balanced_accuracy_score(truth, said)),
        "f1": float(oracle.f1_score(truth, said)),
        "precision": float(oracle.precision_score(truth, said, zero_division=0)),
        "recall": float(oracle.recall_score(truth, said)),
        "brier": float(np.mean((score - truth) ** 2)),
        "ece": 0.0213,
        "prevalence": float(np.mean(truth)),
    }


def _table(
    task: str, model: str, part: str, start: int, truth: Any, score: Floats, labels: list[str]
) -> pl.DataFrame:
    size = len(truth)
    table: dict[str, Any] = {
        "model": [model] * size,
        "row": np.arange(start, start + size),
        "id": [
            f"sp|P{number:05d}|PROT{number % 97}_HUMAN" for number in range(start, start + size)
        ],
        "part": [part] * size,
        "length": 60 + (np.arange(start, start + size) * 7919) % 1900,
    }
    if task == "regression":
        return pl.DataFrame(
            {**table, "label": [repr(float(v)) for v in truth], "value": score, "prediction": score}
        )
    if task == "binary":
        table |= {"label": [str(v) for v in truth], "probability": score}
        return pl.DataFrame({**table, "prediction": [str(int(v >= 0.41)) for v in score]})
    if task == "multiclass":
        true, said = ([labels[n] for n in numbers] for numbers in (truth, score.argmax(axis=1)))
    else:
        true, said = (
            [";".join(labels[n] for n in np.flatnonzero(row)) for row in rows]
            for rows in (truth, score >= 0.4)
        )
    columns = {f"probability_{label}": score[:, n] for n, label in enumerate(labels)}
    return pl.DataFrame({**table, "label": true, **columns, "prediction": said})


def _history(headline: list[str], generator: np.random.Generator) -> pl.DataFrame:
    rows = []
    for seed in SEEDS:
        best = 4 + seed
        for epoch in range(1, best + 4):
            wobble = generator.normal(0, 0.008, 4)
            fall = float(np.exp(-epoch / 3.5))
            late = 0.006 * max(0, epoch - best) ** 1.3
            rows += [
                {"seed": seed, "epoch": epoch, "step": epoch * 60, "part": "train",
                 "loss": 0.12 + 0.34 * fall + wobble[0], "best": False},
                {"seed": seed, "epoch": epoch, "step": epoch * 60, "part": "validation",
                 "loss": 0.2 + 0.25 * fall + late + wobble[1], "best": epoch == best,
                 **{key: 0.9 - 0.3 * fall - late + float(w) - 0.1 * n
                    for n, (key, w) in enumerate(zip(headline, wobble[1:], strict=True))}},
            ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _audit() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "part_a": ["train"] * 4,
            "id_a": ["sp|Q9Y2C4|EXOG_HUMAN", "P12345", "A0A0B4J2D5", "O00499-2"],
            "part_b": ["test", "test", "validation", "test"],
            "id_b": ["sp|Q8C163|EXOG_MOUSE", "P12346", "A0A0B4J2D6", "O00499-7"],
            "similarity": [0.943, 0.9275, 0.981, 0.902],
            "same_label": [True, True, False, True],
        }
    )


def _facts(task: str, labels: list[str], sizes: dict[str, int], truth: Any) -> dict[str, Any]:
    column = {"binary": "Mitochondrion", "regression": "Melting point (°C)"}.get(task, "Location")
    facts: dict[str, Any] = {
        "title": {
            "binary": "mito", "multiclass": "Where in the cell", "multilabel": "All its places",
            "regression": "Meltome",
        }[task],
        "created": "2026-07-14T09:30:12+00:00",
        "command": f"lexome finetune proteins.csv --label '{column}' --split column:Partition "
        "--train 0,1,2 --validation 3 --test 4 --model new:cnn --seeds 1,2,3 -o runs/mito",
        "lexome_version": "0.1.0",
        "model": {"name": "new:cnn", "family": "cnn", "parameters": 212345, "revision": None,
                  "hash": "sha256:3f1c9a52", "licence": "Apache-2.0"},
        "method": "full",
        "task": task,
        "label_column": column,
        "labels": labels,
        "positive_label": "1" if task == "binary" else None,
        "split": {"spelling": "column:Partition", "random": False, "parts": sizes,
                  "description": "train 0 1 2, validation 3, test 4"},
        "seeds": SEEDS,
        "dtype": "fp32", "device": "cpu", "threads": 2,
        "settings": {"epochs": 12, "patience": 3, "learning_rate": 0.001, "batch_tokens": 16384,
                     "class_weights": "balanced", "crop": [160, 96], "warmup": 0.1,
                     "train_backbone": True},
        "cleaning": [{"what": "empty sequences dropped", "count": 12},
                     {"what": "duplicates merged", "count": 3},
                     {"what": "duplicates with conflicting labels dropped", "count": 0},
                     {"what": "letters mapped to X (in 18 sequences: B, U)", "count": 41}],
        "long_policy": "first 160 + last 96 residues kept (14,201 sequences were longer)",
        "audit": {"exact": {"train-validation": 0, "train-test": 0, "validation-test": 0},
                  "near": {"train-validation": 1, "train-test": 3, "validation-test": 0},
                  "similarity": 0.9, "file": "audit.csv"},
        "data": {"path": "proteins.csv", "sha256": "9b" * 32, "rows": sum(sizes.values()) + 15},
        "environment": {"python": "3.11.9", "torch": "2.13.0", "platform": "Linux x86_64"},
        "warnings": [],
        "seconds": 512.3,
    }  # fmt: skip
    if task == "binary":
        facts["balance"] = {
            part: {"0": int((v == 0).sum()), "1": int(v.sum())} for part, v in truth.items()
        }
    elif task == "regression":
        edges = np.linspace(0, 140, 29)
        facts["balance"] = {
            part: {"edges": edges.tolist(), "counts": np.histogram(v, edges)[0].tolist()}
            for part, v in truth.items()
        }
    return facts


if __name__ == "__main__":
    from lexome.reports.finetune import write_finetune_report

    print(write_finetune_report(write_toy_run(Path(sys.argv[2]), sys.argv[1])))
