"""`lexome search`: the nearest neighbours of sequences among embeddings."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def search(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY", help="Sequences (a file, or one), or embeddings (Parquet)."
        ),
    ],
    embeddings: Annotated[
        Path, typer.Option("--in", help="Where to search: a .parquet of `lexome embed`.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A table by its ending; else on the terminal."),
    ] = None,
    top: Annotated[int, typer.Option(help="Nearest rows of each query.")] = 10,
    metric: Annotated[str, typer.Option(help="cosine or euclidean.")] = "cosine",
    index: Annotated[
        str, typer.Option(help="exact, or approximate: a graph kept beside the embeddings.")
    ] = "exact",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="For sequences; else the one the embeddings name."),
    ] = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Find the nearest rows of embeddings: query_id, rank, id, and cosine or distance.

    Sequences are embedded as the embeddings were, by the same model; another model is refused.
    """
    import tempfile

    import polars as pl

    from lexome.results.tables import print_table
    from lexome.search.neighbours import query_model, search_file

    loaded = query_model(query, embeddings, model, device, offline)
    if loaded is not None:
        card = loaded.card
        options.say("Model", f"{card.name}: {loaded.dtype} on {loaded.device}", quiet)
    notes = options.provenance(query=query, embeddings=embeddings)
    with tempfile.TemporaryDirectory() as folder:
        path = output or Path(folder) / "hits.parquet"
        done = search_file(
            query, embeddings, path, notes, top, metric, index, loaded, quiet or not output
        )
        if done.same_model is None:
            options.say(
                "Unchecked", "no notes tell whether both are embeddings of one model", quiet
            )
        if output is None and not json:
            print_table(pl.read_parquet(path))
    told = f"{done.queries:,} queries among {done.rows:,} rows: {done.hits:,} hits"
    options.say("Saved" if output else "Found", f"{output}: {told}" if output else told, quiet)
    options.answer(done._asdict() | {"output": output}, json)


EXAMPLES = """\b
Examples:
  lexome embed proteins.fasta -m protein-mini -o vectors.parquet
  lexome search new.fasta --in vectors.parquet --top 5 -o hits.csv
  lexome search vectors.parquet --in vectors.parquet --index approximate -o hits.parquet
"""
