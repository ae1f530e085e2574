"""`lexome embed`: vectors of sequences, to Parquet."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def embed(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="FASTA, FASTQ, GenBank, CSV, TSV, Parquet; .gz; -.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet file.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Catalogue name, directory or hub id.")
    ],
    pooling: Annotated[str, typer.Option(help="mean or max over residues, or cls.")] = "mean",
    layer: Annotated[
        int, typer.Option(help="0 the embeddings, -1 the last after the final norm.")
    ] = -1,
    per_residue: Annotated[
        bool, typer.Option("--per-residue", help="One vector a residue instead of one a sequence.")
    ] = False,
    vectors: Annotated[str, typer.Option(help="float32 or float16 on disk.")] = "float32",
    long: Annotated[
        str, typer.Option(help="Beyond the context: refuse, whole, window or crop:HEAD+TAIL.")
    ] = "refuse",
    unknown: options.Unknown = "refuse",
    depth: options.Depth = None,
    dtype: options.Dtype = "fp32",
    sequence: options.Sequence = None,
    id: options.Id = None,
    device: options.Device = "auto",
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens a batch; memory grows with it.")
    ] = None,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write one vector a sequence (or one a residue), in input order, in bounded memory.

    Killed at any moment, the same command goes on where it stopped.
    """
    from lexome.inference.alignments import AlignmentModel
    from lexome.inference.embed import Recipe
    from lexome.inference.embed_alignments import embed_alignment_files
    from lexome.inference.embed_file import embed_file
    from lexome.inference.model import load_any

    recipe = Recipe(
        pooling="none" if per_residue else pooling,  # type: ignore[arg-type]
        layer=layer,
        unknown=unknown,  # type: ignore[arg-type]
        long=long,
    )
    loaded = load_any(model, dtype=dtype, device=device, offline=offline)
    card = loaded.card
    options.say(
        "Model",
        f"{card.name}: {card.parameters:,} parameters, {dtype} on {loaded.device}",
        quiet,
    )
    notes = options.provenance(
        model=card.name,
        source=card.source,
        revision=card.revision,
        sha256=card.sha256,
        licence=card.licence,
        unused_tensors=dict(card.unused),
        dtype=dtype,
        device=loaded.device,
        input=source,
    )
    if isinstance(loaded, AlignmentModel):
        tally = embed_alignment_files(
            loaded, source, output, recipe.pooling, layer, depth, notes, vectors, quiet
        )
        _say_resumed(tally.resumed_rows, quiet)
        options.say(
            "Saved", f"{output}: {tally.rows:,} alignments, width {loaded.network.width}", quiet
        )
        facts = {"rows": tally.rows, "resumed_rows": tally.resumed_rows}
        options.answer({"output": output} | facts, json)
        return
    done = embed_file(
        loaded, source, output, recipe, notes, vectors, max_tokens, quiet, sequence, id
    )
    _say_resumed(done.resumed_rows, quiet)
    options.say_changes(done, quiet)
    options.say(
        "Saved",
        f"{output}: {done.rows:,} rows, {done.residues:,} residues, "
        f"width {loaded.network.width}, {recipe.pooling if not per_residue else 'per residue'}",
        quiet,
    )
    options.answer(done._asdict() | {"output": output}, json)


def _say_resumed(rows: int, quiet: bool) -> None:
    if rows:
        options.say("Resumed", f"{rows:,} rows stood from an earlier run", quiet)


EXAMPLES = """\b
Examples:
  lexome embed proteins.fasta -m models/esm2-8m -o vectors.parquet
  lexome embed proteins.csv -m esm2-35m --long window --dtype bf16 -o vectors.parquet
"""
