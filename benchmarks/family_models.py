"""Fits every rule of alignments to two families and judges it on their assays, as it is fitted too.

Run `python benchmarks/family_models.py [--threads 2] [--families BLAT ENVZ] [--rules site ...]`;
the last tables are in family_models.txt, the curves in docs/pictures/family_models.png. Needs the
alignments and assays of shared/. What was measured is kept in family_models.json, so that rules can
be run one by one, and is measured anew for the families and rules that are asked for.
"""

import argparse
import gzip
import json
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from scipy.stats import rankdata

from lexome.evaluation.uncertainty import draw_weights, interval
from lexome.io.fasta import read_fasta
from lexome.plots import style
from lexome.scoring.alignment_models.family import FamilyModel, hash_tensors, load_family_model
from lexome.scoring.alignment_models.make import FAMILY_RULES, make_family_scorer
from lexome.scoring.mutants.scorer import MutantScorer, score_mutants
from lexome.sequence.mutations import Mutant, parse_mutant
from lexome.training.alignment_models.fit import (
    combine_family_models,
    fit_family_model,
    identify,
    read_family,
)
from lexome.training.alignment_models.settings import FamilySettings
from lexome.training.alignment_models.vae import vae_config

SHARED = Path(os.environ.get("LEXOME_SHARED") or Path(__file__).resolve().parents[2] / "shared")
FAMILIES = {
    "BLAT": ("BLAT_ECOLX.a2m.gz", "BLAT_ECOLX_Stiffler_2015"),
    "ENVZ": ("ENVZ_ECOLI_extreme_filtered.a2m.gz", "ENVZ_ECOLI_Ghose_2023"),
}
WATCHED = {"potts": 20, "vae": 300}  # steps between two points of a curve
FEW_SAMPLES = 20  # of the autoencoder's bound, for points of a curve


class Assay(NamedTuple):
    """Mutants of a protein and what was measured of each."""

    protein: str
    mutants: list[Mutant]
    measured: np.ndarray


def read_assay(name: str) -> Assay:
    """One assay of shared/data/dms."""
    folder = SHARED / "data" / "dms"
    proteins = {r.id: r.sequence for r in read_fasta(folder / "wildtype_sequences.fasta")}
    table = pl.read_csv(gzip.decompress((folder / f"{name}.csv.gz").read_bytes()))
    mutants = [parse_mutant(text) for text in table["mutant"]]
    return Assay(proteins[name], mutants, table["DMS_score"].to_numpy())


def judge(scorer: MutantScorer, assay: Assay) -> tuple[int, float, float, float]:
    """Rows that have a score, and Spearman over them with its 95 % bootstrap interval."""
    outcomes = score_mutants(scorer, assay.protein, assay.mutants)
    kept = [i for i, one in enumerate(outcomes) if one.score is not None]
    scores = np.array([outcomes[i].score for i in kept])
    measured = assay.measured[kept]
    value = float(np.corrcoef(rankdata(scores), rankdata(measured))[0, 1])
    draws = []
    for block in draw_weights(len(kept), None, 0, 1000):
        for weights in block:
            drawn = np.repeat(np.arange(len(kept)), weights.astype(int))
            ranks = rankdata(scores[drawn]), rankdata(measured[drawn])
            draws.append(np.corrcoef(*ranks)[0, 1])
    found = interval(value, np.array(draws))
    return len(kept), found.value, found.low, found.high


def measure(family: str, rule: str, keep: Path, settings: FamilySettings) -> dict:
    """One row of the table, and the points of its curve."""
    alignment = SHARED / "data" / "msa" / FAMILIES[family][0]
    assay = read_assay(FAMILIES[family][1])
    points: list[tuple[int, float, float, float]] = []
    lost = [0.0, 0.0]  # wall and processor seconds that watching took
    if rule == "vae+potts":
        models = [load_family_model(keep / f"{family}-{part}") for part in ("vae", "potts")]
        model = combine_family_models(*models)
        busy, seconds = float("nan"), model.facts["fit_seconds"]
    else:
        ready = read_family(alignment, settings)
        identity = identify(rule, settings, ready.sha256)
        identity["network"] = json.loads(json.dumps(vars(vae_config(ready.rows.codes_RC))))
        began, worked = time.monotonic(), time.process_time()

        def watch(step: int, tensors) -> None:
            if step % WATCHED[rule]:
                return
            at, used = time.monotonic(), time.process_time()
            made = tensors()
            few = identity["settings"] | {"samples": FEW_SAMPLES}
            now = FamilyModel(
                rule,
                ready.aligned.focus,
                ready.rows.columns,
                made,
                identity | {"settings": few},
                {"tensors_sha256": hash_tensors(made)},
            )
            outcomes = score_mutants(make_family_scorer(now), assay.protein, assay.mutants)
            kept = [i for i, one in enumerate(outcomes) if one.score is not None]
            ranks = rankdata([outcomes[i].score for i in kept]), rankdata(assay.measured[kept])
            value = float(np.corrcoef(*ranks)[0, 1])
            points.append((step, at - began - lost[0], used - worked - lost[1], value))
            print(f"  {family} {rule} step {step}: {points[-1][1]:.0f} s, {value:.3f}", flush=True)
            lost[0] += time.monotonic() - at
            lost[1] += time.process_time() - used

        place = keep / f"{family}-{rule}"
        shutil.rmtree(place, ignore_errors=True)
        model = fit_family_model(alignment, rule, place, settings, quiet=True, watch=watch)
        seconds, busy = time.monotonic() - began - lost[0], time.process_time() - worked - lost[1]
    at = time.monotonic()
    rows, value, low, high = judge(make_family_scorer(model), assay)
    return {
        "rows": rows,
        "of": len(assay.mutants),
        "spearman": value,
        "low": low,
        "high": high,
        "fit_seconds": seconds,
        "fit_processor_seconds": busy,
        "score_seconds": time.monotonic() - at,
        "steps": model.facts["fit"].get("steps"),
        "effective_rows": model.facts["effective_rows"],
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "curve": points,
    }


def print_tables(found: dict) -> str:
    """The tables as text."""
    lines = []
    for family, rules in found.items():
        first = next(iter(rules.values()))
        lines += [
            f"{family}: {FAMILIES[family][1]} by {FAMILIES[family][0]}; {first['rows']:,} of "
            f"{first['of']:,} mutants lie in focus columns; Neff {first['effective_rows']:,.0f}",
            "rule        Spearman [95 % interval]    steps   fit s  processor s  threads  load",
        ]
        for rule in [rule for rule in FAMILY_RULES if rule in rules]:
            one = rules[rule]
            lines.append(
                f"{rule:<11} {one['spearman']:.3f} [{one['low']:.3f}, {one['high']:.3f}]     "
                f"{one['steps'] or '-':>7} {one['fit_seconds']:>7.0f} "
                f"{one['fit_processor_seconds']:>12.0f} {one['threads']:>8} {one['load']:>5.1f}"
            )
        for rule in ("potts", "vae"):
            if points := rules.get(rule, {}).get("curve"):
                spelled = "  ".join(f"{s}:{value:.3f}" for s, _, _, value in points)
                lines.append(f"{rule} as it is fitted (step:Spearman)  {spelled}")
        lines.append("")
    return "\n".join(lines)


def draw_curves(found: dict, path: Path) -> None:
    """Spearman against the processor time of the fit, a panel a family."""
    with style.look():
        figure = style.new_figure(height=300)
        style.pad(figure)
        for axes, (family, rules) in zip(
            figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
        ):
            for rule, colour in (("potts", style.BLUE), ("vae", style.ORANGE)):
                points = rules.get(rule, {}).get("curve") or []
                x, y = [point[2] for point in points], [point[3] for point in points]
                axes.plot(x, y, color=colour, label=rule)
                style.dot(axes, x[-1:], y[-1:], colour)
            for rule, colour in (("site", style.BASELINE), ("vae+potts", style.GREEN)):
                if rule in rules:
                    axes.axhline(rules[rule]["spearman"], color=colour, ls="--", lw=1.2, label=rule)
            style.grid(axes, "y")
            middle = np.mean([one["spearman"] for one in rules.values()])
            axes.set_ylim(middle - 0.1, middle + 0.1)  # the same span in every panel
            axes.set_xlim(0)
            axes.set_title(FAMILIES[family][1])
            axes.set_xlabel("processor seconds of the fit")
            axes.set_ylabel("Spearman")
        style.legend(figure)
        figure.savefig(path, dpi=144, facecolor=style.PAPER, bbox_inches="tight", pad_inches=0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--rules", nargs="*", default=list(FAMILY_RULES))
    parser.add_argument("--draw", action="store_true", help="measure nothing, print and draw")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/family_models"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store = Path(__file__).with_suffix(".json")
    for family in [] if options.draw else options.families:
        for rule in options.rules:
            one = measure(family, rule, options.keep, FamilySettings())
            found = json.loads(store.read_text()) if store.exists() else {}
            found.setdefault(family, {})[rule] = one
            store.write_text(json.dumps(found, indent=1) + "\n")
            print(family, rule, {k: v for k, v in one.items() if k != "curve"}, flush=True)
    text = print_tables(json.loads(store.read_text()))
    print(text)
    Path(__file__).with_suffix(".txt").write_text(text)
    pictures = Path(__file__).resolve().parents[1] / "docs" / "pictures"
    draw_curves(json.loads(store.read_text()), pictures / "family_models.png")


if __name__ == "__main__":
    main()
