"""`lexome evaluate homology`: remote homology among SCOPe domains."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexome.cli import options

if TYPE_CHECKING:
    from lexome.suites.homology import Domains, Nearness


def homology(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Catalogue name, directory or hub id.")
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Its embeddings of the domains (Parquet): used, or kept there."),
    ] = None,
    data: options.SuiteData = None,
    output: options.SuiteOutput = None,
    mmseqs: Annotated[bool, typer.Option(help="Put MMseqs2 beside.")] = True,
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Rank all domains by nearness to each: Hit-10 and AUC of remote kin, with intervals.

    Kin are of the same superfamily but another family, or of the same fold but another superfamily.
    Beside the model: k-mers, MMseqs2, and published figures, which are not comparable.
    """
    import polars as pl

    from lexome.progress import show_progress
    from lexome.results.tables import print_table, write_table
    from lexome.suites import homology as suite
    from lexome.suites.shared_folder import read_tasks

    domains = suite.open_homology(data)
    protocol = read_tasks("homology")["protocol"]
    options.say("Domains", f"{len(domains.ids):,} in {len(set(domains.groups_N5[:, 3])):,} "
                f"superfamilies; {protocol['classes']}", quiet)  # fmt: skip
    options.say("Negatives", protocol["negatives"], quiet)
    methods, facts = _of_model(domains, model, embeddings, (dtype, device, offline, quiet))
    ours = next(iter(methods), None)
    methods |= {f"{k}-mers": suite.by_kmers(domains.sequences, k) for k in (1, 2, 3)}
    if mmseqs:
        options.say("MMseqs2", "all domains against all", quiet)
        methods["MMseqs2"] = suite.by_mmseqs(domains)
    judged = []
    with show_progress("Judging", len(methods) * len(domains.ids), "queries", quiet) as progress:
        for name, nearness in methods.items():
            judged.append(suite.judge_method(domains, name, nearness, progress))
    table = suite.tabulate(domains, judged, ours)
    if output is not None:
        notes = options.provenance(protocol=read_tasks("homology")["protocol"], **facts)
        write_table(table, output, notes)
    if json:
        options.answer({"rows": table.to_dicts()}, True)
    else:
        print_table(table.with_columns(pl.col(pl.Float64).round(3)), most_rows=len(table))
    if output is not None:
        options.say("Saved", f"{output}: {table.height:,} rows", quiet)


def _of_model(
    domains: "Domains",
    model: str | None,
    embeddings: Path | None,
    loading: tuple[str, str, bool, bool],
) -> tuple[dict[str, "Nearness"], dict[str, object]]:
    """The model's nearness by its name, and what the output's notes say of it."""
    if model is None:
        return {}, {}
    from lexome.inference.model import load
    from lexome.suites.homology import by_vectors, embed_domains

    dtype, device, offline, quiet = loading
    loaded = load(model, dtype, device, offline)
    card = loaded.card
    options.say("Model", f"{card.name}: {card.parameters:,} parameters, {dtype}", quiet)
    facts: dict[str, object] = {"model": card.name, "source": card.source, "sha256": card.sha256}
    notes = options.provenance(**facts, dtype=dtype, device=loaded.device)
    vectors_ND = embed_domains(domains, loaded, embeddings, notes, quiet)
    facts |= {"dtype": dtype, "recipe": "mean over residues, last layer, cosine"}
    return {card.name: by_vectors(vectors_ND)}, facts


EXAMPLES = """\b
Examples:
  lexome evaluate homology -m protein-mini --embeddings scope.parquet -o homology.csv
  lexome evaluate homology --no-mmseqs
"""
