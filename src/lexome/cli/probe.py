"""`lexome probe`: which layer, pooling and head of a model tell a label best, and by how much."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options
from lexome.cli.split import Clusters


def probe(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="CSV, TSV or Parquet; .gz.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the probe.")],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Label column; several times for several labels of 0 and 1."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Catalogue name, directory or hub id.")
    ] = "protein-mini",
    layers: Annotated[
        str, typer.Option(help="0,3,-1: some layers; 0 the embeddings, -1 the last. Else all.")
    ] = "",
    poolings: Annotated[
        str,
        typer.Option(help="mean, max, cls, last, or joined: mean+max. Else all that suit."),
    ] = "",
    heads: Annotated[str, typer.Option(help="linear, knn, mlp.")] = "linear,knn,mlp",
    split: Annotated[
        str, typer.Option(help="cluster (by similarity group), random, or column:NAME.")
    ] = "cluster",
    clusters: Clusters = "auto",
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    train: Annotated[
        str, typer.Option(help="Instead of folds: split column's values to train on.")
    ] = "",
    validation: Annotated[str, typer.Option(help="Values by which the cell is chosen.")] = "",
    test: Annotated[str, typer.Option(help="Values that judge the chosen cell.")] = "",
    metric: Annotated[
        str | None, typer.Option(help="What is compared: auroc, auprc, mcc, spearman, ...")
    ] = None,
    task: Annotated[
        str, typer.Option(help="auto, binary, multiclass, multilabel or regression.")
    ] = "auto",
    positive: Annotated[str | None, typer.Option(help="Of two classes the one to find.")] = None,
    rows: Annotated[
        int | None, typer.Option(help="So many rows, drawn with each class's share.")
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Beside it the same architecture, random weights.")
    ] = False,
    sequence: options.Sequence = None,
    id: options.Id = None,
    long: Annotated[
        str | None,
        typer.Option(
            help="Long sequences: crop:HEAD+TAIL (both ends, as many as fit, unless given), "
            "window, whole or refuse."
        ),
    ] = None,
    unknown: Annotated[
        str, typer.Option(help="Letters outside the alphabet: refuse or map.")
    ] = "refuse",
    seed: Annotated[int, typer.Option(help="Of folds, heads and resamples.")] = 0,
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Give up another probe that OUTPUT holds.")
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Train small heads on every layer and pooling of a model, cross-validated; draw the atlas.

    The best of many cells looks better than it is: its figure is shown beside one that is
    corrected for the choice, and beside composition. Vectors are made once and kept.
    """
    from lexome.reports.probe import compared, sentence
    from lexome.results.tables import print_table
    from lexome.training.probing.probe import probe as run_probe

    done = run_probe(
        model,
        table,
        label or None,
        output=output,
        sequence=sequence,
        id=id,
        overwrite=overwrite,
        quiet=quiet,
        announce=lambda what, text: options.say(what, text, quiet),
        command=options.command_line(),
        layers=_numbers(layers),
        poolings=_names(poolings),
        heads=_names(heads) or (),
        split=split,
        clusters=clusters,
        folds=folds,
        train=_names(train) or (),
        validation=_names(validation) or (),
        test=_names(test) or (),
        metric=metric,
        task=task,
        positive=positive,
        rows=rows,
        control=control,
        long=long,
        unknown=unknown,
        seed=seed,
        dtype=dtype,
        device=device,
        offline=offline,
    )
    if not json:
        columns = ["model", "layer", "pooling", "head", "metric", "value", "low", "high", "chosen"]
        print_table(done.atlas.select(columns), "Every cell, the best first")
    options.say("Best", sentence(done.facts), quiet)
    options.say("Beside", compared(done.facts), quiet)
    options.say("Saved", f"{output}: atlas.csv, atlas.svg, atlas.png, probe.json", quiet)
    options.say("Report", str(done.report), quiet)
    kept = {key: done.facts[key] for key in ("metric", "cells", "best", "beside", "split")}
    options.answer({"output": output, "report": done.report} | kept, json)


EXAMPLES = """\b
Examples:
  lexome probe proteins.csv --label Mitochondrion -m protein-mini -o probes/mito
  lexome probe proteins.csv --label Mitochondrion --layers 0,3,-1 --heads linear -o probes/mito
  lexome probe proteins.csv --label Mitochondrion -o probes/mito \\
      --split column:Partition --train 0,1,2 --validation 3 --test 4
"""


def _names(text: str) -> tuple[str, ...] | None:
    return tuple(value.strip() for value in text.split(",") if value.strip()) or None


def _numbers(text: str) -> tuple[int, ...] | None:
    from lexome.errors import InputError

    try:
        return tuple(int(value) for value in _names(text) or ()) or None
    except ValueError:
        raise InputError("--layers", repr(text), "numbers with commas", "--layers 0,3,-1") from None
