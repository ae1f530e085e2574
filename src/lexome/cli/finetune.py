"""`lexome finetune`: a table of sequences with labels becomes a tested, saved classifier."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lexome.cli import options
from lexome.cli.split import Gap
from lexome.errors import InputError


def finetune(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="CSV, TSV or Parquet; .gz.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the run.")],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Label column; several times for several labels of 0 and 1."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="new:cnn, new:bpnet, new:lstm, ..., protein-mini, or a model."
        ),
    ] = "new:cnn",
    method: Annotated[
        str,
        typer.Option(
            help="full; frozen: a head on vectors made once (protein-mini's best); "
            "ia3, lora, dora, bias: a few numbers in the model, and a head."
        ),
    ] = "full",
    split: Annotated[
        str,
        typer.Option(
            help="cluster (by similarity group), column:NAME, chromosome:NAME, random, "
            "block:POSITION or block:CHROMOSOME,POSITION."
        ),
    ] = "cluster",
    train: Annotated[str, typer.Option(help="Split column's values to train on: 0,1,2")] = "",
    validation: Annotated[str, typer.Option(help="Values to validate on.")] = "",
    test: Annotated[str, typer.Option(help="Values to test on.")] = "",
    block_size: Annotated[
        int | None, typer.Option(help="Bases of a block of a genome: 1,000,000.")
    ] = None,
    gap: Gap = None,
    task: Annotated[
        str,
        typer.Option(
            help="auto, binary, multiclass, multilabel, regression; multitask or A=binary,"
            "B=regression: columns of several kinds, labels may lack; per-residue: labels with "
            "a letter for each residue."
        ),
    ] = "auto",
    positive: Annotated[str | None, typer.Option(help="Of two classes the one to find.")] = None,
    ignore: Annotated[
        str, typer.Option(help="Letters of residues' labels that say nothing: '-?'.")
    ] = "",
    sequence: Annotated[str | None, typer.Option(help="Sequence column; else guessed.")] = None,
    second: Annotated[
        str | None, typer.Option(help="Second sequence column, where rows are pairs.")
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(help="joint (both in one input) or towers (each alone); else by the model."),
    ] = None,
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="A pair is the same as the swapped pair.")
    ] = False,
    id: Annotated[
        str | None, typer.Option(help="Id column; else guessed; '': row numbers.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many times to train.")] = 3,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
    epochs: Annotated[int | None, typer.Option(help="At most so many passes.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better validation figure.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    head_convolutions: Annotated[
        int | None,
        typer.Option(help="Convolutional blocks of the head; if frozen, over residues' vectors."),
    ] = None,
    adapter_rank: Annotated[int | None, typer.Option(help="Rank of lora and dora: 8.")] = None,
    adapter_alpha: Annotated[
        float | None, typer.Option(help="Their strength is alpha / rank; alpha: 16.")
    ] = None,
    adapter_dropout: Annotated[
        float | None, typer.Option(help="Dropout before lora and dora: 0.")
    ] = None,
    adapter_target: Annotated[
        str | None,
        typer.Option(help="Layers the adapter is put on, as in query,value."),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="How tokens become one vector: queries, mean, additive, multiplicative."),
    ] = None,
    strands: Annotated[
        str | None,
        typer.Option(help="DNA: as-given; both: either in training, the mean of both in answers."),
    ] = None,
    class_weights: Annotated[str | None, typer.Option(help="none or balanced.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="cross-entropy, or focal (rare classes; not calibrated).")
    ] = None,
    focal_gamma: Annotated[
        float | None, typer.Option(help="How much less known rows count: 2; 0 is cross-entropy.")
    ] = None,
    long: Annotated[
        str | None,
        typer.Option(
            help="Long sequences: crop:HEAD+TAIL, whole, refuse; window if frozen or per-residue."
        ),
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(help="So many trials first, for the setting that validates best; one seed."),
    ] = None,
    alphabet: Annotated[
        str, typer.Option(help="What a new model reads: protein, dna, rna; auto: by the letters.")
    ] = "auto",
    unknown: Annotated[
        str, typer.Option(help="Letters outside the alphabet: refuse or map.")
    ] = "refuse",
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's: batch_size=32"),
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, fp32 or bf16, in training.")] = "auto",
    device: options.Device = "auto",
    offline: options.Offline = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Give up the run that OUTPUT holds.")
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Train, test and save a model, with a report; compare it with a plain baseline.

    Similar sequences never stand on both sides of the default split. Killed at any moment, the
    same command goes on to the same numbers.
    """
    from lexome.training.finetune import finetune as run_finetune
    from lexome.training.recipes import read_values

    recipe: dict[str, Any] = {
        "patience": patience,
        "learning_rate": learning_rate,
        "head_convolutions": head_convolutions,
        "head_pooling": pooling,
        "both_strands": None if strands is None else _is_both(strands),
        "class_weights": class_weights,
        "loss": loss,
        "focal_gamma": focal_gamma,
        "adapter_rank": adapter_rank,
        "adapter_alpha": adapter_alpha,
        "adapter_dropout": adapter_dropout,
        "adapter_target": adapter_target,
    }
    typed = read_values(options.overrides(set))
    twice = sorted(key for key in typed if (recipe | {"epochs": epochs, "long": long}).get(key))
    if twice:
        raise InputError(f"--set {twice[0]}", "a flag of its own beside it", "one of both", "one")
    epochs, long = typed.pop("epochs", epochs), typed.pop("long", long)
    run = run_finetune(
        model,
        table,
        label or None,
        output=output,
        sequence=sequence,
        second=second,
        pairs=pairs,
        symmetric=symmetric,
        id=id,
        method=method,
        task=task,
        positive=positive,
        ignore=ignore,
        split=split,
        train=_values(train),
        validation=_values(validation),
        test=_values(test),
        block_size=block_size,
        gap=gap,
        seeds=seeds,
        seed=seed,
        search=search,
        alphabet=alphabet,
        unknown=unknown,
        long=long,
        epochs=epochs,
        dtype=dtype,
        device=device,
        offline=offline,
        overwrite=overwrite,
        quiet=quiet,
        announce=lambda what, text: options.say(what, text, quiet),
        command=options.command_line(),
        **(recipe | typed),
    )
    for what, text in options.figure_lines(run.metrics):
        options.say(what, text, quiet)
    options.say("Verdict", options.verdict(run.metrics), quiet)
    for warning in run.facts["warnings"]:
        options.say("Warning", warning, quiet)
    options.say("Saved", f"{run.directory} (reloaded and compared: identical)", quiet)
    options.say("Report", str(run.report), quiet)
    options.answer({"run": run.directory, "report": run.report, "metrics": run.metrics}, json)


EXAMPLES = """\b
Examples:
  lexome finetune proteins.csv --label Mitochondrion -o runs/mito
  lexome finetune proteins.csv --label Mitochondrion -o runs/mito \\
      --split column:Partition --train 0,1,2 --validation 3 --test 4
  lexome finetune proteins.csv --label Mitochondrion -o runs/focal \\
      --loss focal --focal-gamma 2 --class-weights balanced
  lexome finetune proteins.csv --label Mitochondrion -m protein-mini --method ia3 -o runs/ia3
  lexome finetune proteins.csv --label Mitochondrion --search 30 -o runs/searched
  lexome finetune sites.csv --label bound -m new:bpnet --strands both -o runs/sites
  lexome finetune peaks.csv --label open --split block:chrom,start --block-size 500000 -o runs/peaks
  lexome finetune sites.csv --label bound -m new:gru --pooling multiplicative -o runs/gru
  lexome finetune structures.csv --label structure --task per-residue --ignore '-?' -o runs/ss
  lexome finetune proteins.csv --label Mitochondrion --label pI --task multitask -o runs/several
  lexome finetune antibodies.csv --sequence heavy --second light --label binds -o runs/antibodies
"""


def _values(text: str) -> list[str]:
    return [value.strip() for value in text.split(",") if value.strip()]


def _is_both(strands: str) -> bool:
    if strands not in ("as-given", "both"):
        raise InputError("--strands", repr(strands), "as-given or both", "`--strands both`")
    return strands == "both"
