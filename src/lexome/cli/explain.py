"""`lexome explain`: what a model shows of a protein's structure."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options

METHODS = ("contacts",)


def explain(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Sequences; for alignments .a3m, or a directory.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A table: .csv, .parquet, ...")],
    model: Annotated[str, typer.Option("--model", "-m", help="ESM-1b, ESM-2 or MSA Transformer.")],
    method: Annotated[str, typer.Option(help="contacts: which residues touch.")] = "contacts",
    separation: Annotated[
        int, typer.Option(help="Least distance of two residues along the chain.")
    ] = 6,
    depth: options.Depth = None,
    pictures: Annotated[
        Path | None, typer.Option(help="A directory for a picture of each map.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="fp32 (the reference) or bf16.")] = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write the probability that two residues touch, for all pairs, the most probable first."""
    from lexome.errors import InputError
    from lexome.inference.model import load_any
    from lexome.interpretation.contacts import contact_picture, contact_table, find_contacts
    from lexome.results.tables import write_table

    if method not in METHODS:
        raise InputError("method", repr(method), ", ".join(METHODS), "`--method contacts`")
    if separation < 1:
        raise InputError("separation", str(separation), "at least 1", "`--separation 6`")
    loaded = load_any(model, dtype=dtype, device=device, offline=offline)
    card = loaded.card
    options.say("Model", f"{card.name}: {card.parameters:,} parameters, {dtype}", quiet)
    tables, number = [], 0
    for found in find_contacts(loaded, source, depth):
        tables.append(contact_table(found, separation))
        number += 1
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in found.id)
            contact_picture(found, pictures / f"{number:04d}-{safe[:80]}.png", card.name)
    notes = options.provenance(
        model=card.name, sha256=card.sha256, dtype=dtype, method=method, depth=depth, input=source
    )
    write_table(iter(tables), output, notes)
    rows = sum(table.height for table in tables)
    options.say("Saved", f"{output}: {rows:,} pairs of {number} proteins", quiet)
    options.answer({"output": output, "proteins": number, "pairs": rows}, json)


EXAMPLES = """\b
Examples:
  lexome explain proteins.fasta -m models/esm2-8m -o contacts.csv
  lexome explain family.a3m -m models/msa1b --depth 128 -o contacts.csv --pictures maps
"""
