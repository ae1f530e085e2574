"""The main job on real proteins: is this protein mitochondrial? Demo and figures.

python benchmarks/mitochondrion.py demo -o demo            # one seed, some minutes
python benchmarks/mitochondrion.py figures -o runs/mitochondrion # three seeds, the README's table
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import lexome
from lexome.devices import wait_politely
from lexome.suites.deeploc import DeepLocFiles, find_deeploc
from lexome.training.run_folder import Run

LABEL = "Mitochondrion"
METRICS = ("auroc", "auprc", "mcc")
# What issue and literature hold against us; shown beside the measured figures.
GOALS = {
    ("partition 4", "baseline"): "0.842 / 0.403 / 0.42",
    ("partition 4", "model"): ">= 0.92 / - / >= 0.62",
    ("HPA", "baseline"): "0.760 / 0.306 / 0.33",
    ("HPA", "model"): "- / - / >= 0.50",
}


def main() -> None:
    """Run the job and print where its report is, or the table of figures."""
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["demo", "figures"])
    parser.add_argument("--data", help="the DeepLoc table, or the directory of both tables")
    parser.add_argument("--offline", action="store_true", help="do not try to download")
    parser.add_argument("-m", "--model", default="protein-mini")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    began = time.monotonic()
    files = find_deeploc(asked.data, offline=asked.offline)
    tell("Data", files.origin)
    seeds = 1 if asked.what == "demo" else 3
    run = train(files, asked.model, seeds, asked.output)
    judged = {"partition 4": run.metrics}
    if files.hpa is not None:
        from lexome.training.judge_run import judge_run

        judged["HPA"] = judge_run(run.directory, str(files.hpa), LABEL)
    print(table(judged, with_goals=files.kind != "simulated"))
    minutes = (time.monotonic() - began) / 60
    tell("Time", f"{minutes:.1f} min for {seeds} seed{'s' if seeds > 1 else ''}")
    tell("Report", str(run.report.resolve()))
    tell("Next", f".venv/bin/lexome predict {run.directory} YOUR.fasta -o answers.csv")


def train(
    files: DeepLocFiles, model: str, seeds: int, output: Path, epochs: int | None = None
) -> Run:
    """Train on partitions 0-2, validate on 3, test on 4; loaded weights stand still."""
    return lexome.finetune(
        model,
        str(files.train),
        LABEL,
        method="full" if model.startswith("new:") else "frozen",
        output=output,
        split="column:Partition",
        train=[0, 1, 2],
        validation=[3],
        test=[4],
        seeds=seeds,
        epochs=epochs,
        quiet=False,
        overwrite=True,
        announce=tell,
        command=" ".join(["python", *sys.argv]),
    )


def table(judged: dict[str, dict[str, Any]], with_goals: bool) -> str:
    """AUROC, AUPRC and MCC with 95 % intervals over similarity groups, as Markdown."""
    lines = ["", "| test set | model | AUROC | AUPRC | MCC | goal (AUROC / AUPRC / MCC) |"]
    lines.append("|---|---|---|---|---|---|")
    for where, metrics in judged.items():
        for model in metrics["models"]:
            figures = [cell(model["parts"]["test"][name]) for name in METRICS]
            role = {"mean": "model", "baseline": "baseline"}.get(model["kind"], "")
            goal = GOALS.get((where, role), "") if with_goals else ""
            lines.append(f"| {where} | {model['name']} | {' | '.join(figures)} | {goal} |")
    return "\n".join([*lines, ""])


def cell(estimate: dict[str, float | None]) -> str:
    """A figure with its interval."""
    if estimate["value"] is None:
        return "undefined"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def tell(what: str, text: str) -> None:
    """One line of what is going on."""
    print(f"{what:<10} {text}", flush=True)


if __name__ == "__main__":
    main()
