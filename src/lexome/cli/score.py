"""`lexome score`: how likely a model finds sequences."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def score(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="FASTA, FASTQ, GenBank, CSV, TSV, Parquet; .gz; -.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Catalogue name, directory or hub id.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A table by its ending; else on the terminal, CSV in a pipe."
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="lexome, plain, evo, progen2, progen2-cross-entropy; of encoders "
            "pseudo-log-likelihood or pseudo-log-likelihood-one-pass; else the first that fits."
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(help="forward, reverse (C to N; other strand) or both; else the rule's."),
    ] = None,
    base: Annotated[str, typer.Option(help="Of the logarithms: e (nats) or 2 (bits).")] = "e",
    per_position: Annotated[
        bool, typer.Option("--per-position", help="One row a token instead of one a sequence.")
    ] = False,
    tag: Annotated[
        str | None, typer.Option(help="A condition of the family, such as ec=1.1.1.21.")
    ] = None,
    long: Annotated[str, typer.Option(help="Beyond the context: refuse or whole.")] = "refuse",
    unknown: options.Unknown = "refuse",
    dtype: options.Dtype = "fp32",
    sequence: options.Sequence = None,
    id: options.Id = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write log-likelihood and perplexity of each sequence, in input order.

    By a causal model; or by an encoder, which is asked for each token with it hidden.

    The rule is written out in the output's notes. Killed at any moment, the same command goes on
    where it stopped.
    """
    from lexome.inference.model import load
    from lexome.inference.parts import check_output
    from lexome.io.sources import read_records
    from lexome.io.unique_ids import find_place, refuse_repeats
    from lexome.results.tables import print_table
    from lexome.scoring.score import make_scorer, score_records, score_table
    from lexome.scoring.score_file import score_file
    from lexome.scoring.scorers import Scoring

    settings = Scoring(
        rule=rule,
        direction=direction,
        base=base,
        unknown=unknown,  # type: ignore[arg-type]
        long=long,
        tag=tag,
        per_position=per_position,
    )
    if output is not None:
        check_output(output)
    loaded = load(model, dtype=dtype, device=device, offline=offline)
    card = loaded.card
    options.say(
        "Model",
        f"{card.name}: {card.parameters:,} parameters, {dtype} on {loaded.device}",
        quiet,
    )
    scorer = make_scorer(loaded, settings)
    options.say("Rule", f"{scorer.name}: {scorer.definition}", quiet)
    if output is None:
        proteins = loaded.tokenizer.alphabet.is_protein
        records = refuse_repeats(read_records(source, sequence, id, proteins), find_place(source))
        print_table(score_table(scorer, score_records(scorer, records)))
        return
    notes = options.provenance(
        model=card.name,
        source=card.source,
        revision=card.revision,
        sha256=card.sha256,
        licence=card.licence,
        dtype=dtype,
        device=loaded.device,
        input=source,
    )
    done = score_file(scorer, source, output, notes, quiet, sequence, id)
    if done.resumed_rows:
        options.say("Resumed", f"{done.resumed_rows:,} rows stood from an earlier run", quiet)
    if done.mapped:
        options.say("Letters", f"mapped in {done.mapped_rows:,} rows: {done.mapped}", quiet)
    mean = done.mean_log_likelihood
    told = f", {mean:.4f} nats a token" if mean is not None else ""
    options.say("Saved", f"{output}: {done.rows:,} rows, {done.tokens:,} tokens{told}", quiet)
    options.answer(done._asdict() | {"output": output}, json)


EXAMPLES = """\b
Examples:
  lexome score proteins.fasta -m models/progen2-small -o scores.csv
  lexome score MKTAYIAKQRQISFVKSHFSRQ -m protein-mini --per-position
  lexome score MKTAYIAKQRQISFVKSHFSRQ -m models/progen2-small --rule progen2 --base 2
"""
