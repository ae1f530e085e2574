"""`lexome models`, `fetch`, `verify`: what there is, getting it, and whether it is real."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexome.cli import options

if TYPE_CHECKING:
    from lexome.checkpoints.catalogue import Entry

Name = Annotated[str, typer.Argument(metavar="NAME", help="A catalogue name.")]
Revision = Annotated[str | None, typer.Option(help="A branch, tag or commit of the hub.")]


def models(
    show: Annotated[
        str | None, typer.Argument(metavar="[show", help="`show` for one model.")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME]", help="Which one.")] = None,
    json: options.Json = False,
) -> None:
    """List the published models that are known by name; `models show NAME` tells all of one.

    What no source at hand states is shown as unknown.
    """
    from lexome.checkpoints.catalogue import catalogue, ensembles, find_entry, members_of
    from lexome.errors import InputError

    if show is None:
        _print_all(json)
        return
    if show != "show" or name is None:
        seen = f"`models {show}`" + (f" {name}" if name else "")
        near = show if show in catalogue() or show in ensembles() else "NAME"
        raise InputError("models", seen, "`models` or `models show NAME`", f"`models show {near}`")
    if name in ensembles() and json:
        options.answer({"name": name, "members": members_of(name)}, True)
        return
    if name in ensembles():
        print(f"{name}: {', '.join(members_of(name))} together; each is like the first\n")
    _print_one(members_of(name)[0], find_entry(members_of(name)[0]), json)


def fetch(
    name: Name,
    revision: Revision = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Download a model to this machine's cache; later runs need no network.

    HF_ENDPOINT names a mirror, HF_HOME another cache. A broken-off download goes on where it
    stopped. The hashes of the weights are held from the first download on.
    """
    from lexome.checkpoints.catalogue import members_of
    from lexome.checkpoints.hashes import hash_weights
    from lexome.checkpoints.layouts import model_files
    from lexome.checkpoints.load import find_source

    for member in members_of(name):
        found = find_source(member, offline=False, revision=revision)
        digest = hash_weights(model_files(found.path))
        options.say("Fetched", f"{found.name}, revision {found.revision}", quiet)
        options.say("Directory", str(found.path), quiet)
        options.say("SHA-256", digest, quiet)
        facts = {"name": found.name, "path": found.path, "revision": found.revision}
        options.answer(facts | {"sha256": digest}, json)


def verify(
    name: Annotated[
        str, typer.Argument(metavar="MODEL", help="Catalogue name, directory, .pt file or hub id.")
    ],
    revision: Revision = None,
    against: Annotated[
        Path | None, typer.Option(help="A table of mutants with published scores of the model.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Its column of scores; else found by the model's name.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Rule of these scores; else told by the column's ending.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Difference allowed to a published score, in nats.")
    ] = 1e-3,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Load a model strictly and print its certificate: every tensor, and the error of each output.

    Outputs are held to each other (alone, packed, padded; fast and plain form) and to those of the
    package that published the model, where it is installed. With --against, the mutants of a table
    are scored too and held to the published scores.
    """
    from lexome.checkpoints.catalogue import members_of
    from lexome.errors import InputError

    if against is None and (column or rule):
        raise InputError(
            "lexome verify", "--column or --rule", "--against with it", "--against FILE"
        )
    for member in members_of(name):
        _verify_one(member, revision, offline, quiet, json)
        if against is not None:
            loaded = (member, revision, offline)
            _verify_scores(loaded, against, column, rule, tolerance, quiet, json)


def _verify_scores(
    loaded: tuple[str, str | None, bool],
    against: Path,
    column: str | None,
    rule: str | None,
    tolerance: float,
    quiet: bool,
    json: bool,
) -> None:
    from lexome.errors import CheckpointError
    from lexome.evaluation.parity import check_published
    from lexome.inference.model import load

    name, revision, offline = loaded
    model = load(name, device="cpu", offline=offline, revision=revision)
    found = check_published(model, against, column, rule, tolerance)
    options.say("Against", f"{against}, column {found.column}, by {found.rule}, fp32", quiet)
    told = f"{found.rows:,} mutants: largest difference {found.error:.3g} (at {found.worst})"
    told += f", median {found.median_error:.2g}, Spearman {found.spearman:.6f}"
    options.say("Scores", told, quiet)
    options.answer({"model": name} | found._asdict() | {"passed": found.passed}, json)
    if not found.passed:
        raise CheckpointError(
            name,
            f"scores of {found.rows:,} mutants differing by up to {found.error:.3g}, "
            f"{found.missing:,} without one",
            f"at most {tolerance:g} from the published ones",
            "the weights and the rule that they were published for",
        )
    options.say("Verified", f"all within {tolerance:g} of the published scores", quiet)


def _verify_one(name: str, revision: str | None, offline: bool, quiet: bool, json: bool) -> None:
    import polars as pl

    from lexome.errors import CheckpointError
    from lexome.inference.certificate import certify
    from lexome.results import columns
    from lexome.results.tables import print_table

    found = certify(name, offline, revision)
    card = found.card
    options.say("Model", f"{card.name}: {card.layout}, {card.parameters:,} parameters", quiet)
    options.say("SHA-256", card.sha256, quiet)
    used, unused = found.accounting
    options.say("Tensors", f"{len(used)} used, {len(unused)} known and not needed", quiet)
    for tensor, reason in unused.items():
        options.say("", f"{tensor}: {reason}", quiet)
    for note in card.notes:
        options.say("Note", note, quiet)
    options.say("Reference", found.reference, quiet)
    if json:
        checks = [check._asdict() for check in found.checks]
        facts = {"model": card.name, "sha256": card.sha256, "reference": found.reference}
        options.answer(facts | {"checks": checks, "passed": found.passed}, True)
    else:
        rows = [
            {
                columns.OUTPUT: check.output,
                columns.AGAINST: check.against,
                columns.ERROR: float(f"{check.error:.2g}"),
                columns.ALLOWED: float(f"{check.allowed:.2g}"),
                columns.PASSED: "yes" if check.passed else "NO",
            }
            for check in found.checks
        ]
        print_table(pl.DataFrame(rows), "largest difference, fp32")
    if not found.passed:
        worst = next(check for check in found.checks if not check.passed)
        raise CheckpointError(
            card.name,
            f"{worst.output} differing by {worst.error:.2g} from {worst.against}",
            f"at most {worst.allowed:.2g}",
            "a fresh download, or a report of this: it must not be",
        )
    options.say("Verified", f"{len(found.checks)} checks held", quiet)


def _print_all(json: bool) -> None:
    import polars as pl

    from lexome.checkpoints.catalogue import catalogue
    from lexome.results import columns
    from lexome.results.tables import print_table

    rows = [
        {
            columns.MODEL: name,
            columns.LAYOUT: entry.layout,
            columns.ALPHABET: entry.alphabet,
            columns.PARAMETERS: entry.parameters,
            columns.CONTEXT: entry.context,
            columns.LICENCE: entry.licence,
            columns.SOURCE: entry.source,
        }
        for name, entry in catalogue().items()
    ]
    if json:
        options.answer({str(row[columns.MODEL]): row for row in rows}, True)
        return
    title = "`lexome models show NAME` tells more"
    print_table(pl.DataFrame(rows), title, most_rows=len(rows))


def _print_one(name: str, entry: "Entry", json: bool) -> None:
    from dataclasses import asdict

    from lexome.checkpoints.hub import read_held
    from lexome.inference.estimate import estimate

    held = read_held(entry.known_as or name)
    cost = estimate(entry)
    facts = asdict(entry) | {"recipe": entry.recipe, "held": held, "estimate": cost._asdict()}
    if json:
        options.answer({"name": name} | facts, True)
        return
    lines = {
        "model": name,
        "layout": entry.layout,
        "shape": f"{entry.layers} layers, width {entry.width}, {entry.heads} heads, "
        f"feed-forward {entry.ffn_width:,}",
        "parameters": f"{entry.parameters:,}",
        "alphabet": f"{entry.alphabet}, {entry.vocabulary:,} tokens",
        "context": f"{entry.context:,} tokens, special ones among them",
        "vectors": entry.recipe,
        "source": entry.source,
        "licence": f"weights {entry.licence}, published code {entry.code_licence}",
        "revision": str(
            held.get("revision", entry.revision or "fetched on first use, and held from then on")
        ),
        "memory here": f"about {cost.memory / 1e9:.1f} GB in fp32, "
        f"{cost.memory_bf16 / 1e9:.1f} in bf16",
        "speed here": f"about {cost.tokens_per_second:,.0f} tokens a second in {cost.dtype}, "
        f"{cost.seconds_per_thousand:,.0f} s for 1,000 sequences of {cost.length} tokens",
    }
    width = max(map(len, lines))
    for what, text in lines.items():
        print(f"{what:<{width}}  {text}")


EXAMPLES = """\b
Examples:
  lexome models
  lexome models show protein-mini
"""
FETCH_EXAMPLES = """\b
Examples:
  lexome fetch esm2-8m
  HF_ENDPOINT=https://mirror.example lexome fetch nt-v2-50m-multi
"""
VERIFY_EXAMPLES = """\b
Examples:
  lexome verify protein-mini
  lexome verify models/esm2-8m --json
  lexome verify esm1v-1 --against BLAT_ECOLX_Stiffler_2015.csv
"""
