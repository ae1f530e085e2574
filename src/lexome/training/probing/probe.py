"""The probing atlas: how well each layer of a model tells a label, pooled and read in many ways."""

# Letters: N rows.
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch

from lexome import __version__
from lexome.architectures.families import build, settings_of
from lexome.checkpoints.load import Checkpoint, load_checkpoint
from lexome.devices import choose_device
from lexome.errors import InputError
from lexome.evaluation.choice import Choice, choose_best
from lexome.evaluation.dealing import deal_rows
from lexome.evaluation.splits import parse_split
from lexome.inference.model import Model
from lexome.inference.poolings import check_windows, parse_poolings, usual_poolings
from lexome.progress import show_progress
from lexome.reports.probe import write_probe_pictures, write_probe_report
from lexome.results.files import translate_disk_errors, write_json, write_text
from lexome.results.tables import write_table
from lexome.results.types import Estimate
from lexome.seeds import derive_seed, keep_randomness
from lexome.sequence.pairs import are_single
from lexome.training.budget import Announce, say_nothing
from lexome.training.identity import digest_rows
from lexome.training.labelled import LabelledTable, check_lengths, clean_labelled, describe_source
from lexome.training.probing.cells import (
    Place,
    Shelf,
    model_shelf,
    parse_layers,
    plain_shelf,
    probe_shelf,
)
from lexome.training.probing.folds import Folds, make_folds
from lexome.training.probing.heads import Probed, find_heads
from lexome.training.probing.settings import ProbeSettings, Reach, choose_metric
from lexome.training.probing.table import Judgement, atlas_of, describe
from lexome.training.raw_table import Columns, read_raw
from lexome.training.record import describe_environment

MARK, FACTS, UNTRAINED = "vectors_of.json", "probe.json", "untrained"


class Probe(NamedTuple):
    """A finished probe."""

    directory: Path
    report: Path
    atlas: pl.DataFrame  # a row a cell
    facts: dict[str, Any]  # probe.json

    @property
    def best(self) -> dict[str, Any]:
        """The best cell of the model, with its figure as it looks and as it can be believed."""
        found: dict[str, Any] = self.facts["best"]
        return found


def probe(
    model: str,
    table: Any,
    label: str | Sequence[str] | None = None,
    *,
    output: str | Path,
    sequence: str | None = None,
    id: str | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    announce: Announce = say_nothing,
    command: str | None = None,
    **settings: Any,
) -> Probe:
    """Probe every layer of a model; killed at any moment, the same call goes on where it stopped.

    Args:
        model: a catalogue name, a directory or a hub id.
        table: a path (CSV, TSV, Parquet, .gz) or a frame.
        label: the label's column, or several columns of 0 and 1.
        output: a directory; vectors of the same model and rows that it holds are used again.
        sequence, id: columns; guessed where not given.
        overwrite: give up what another probe left there.
        settings: any value of `ProbeSettings`: layers (numbers; negative ones from the end),
            poolings (mean, max, cls, last, or several joined by +), heads (linear, knn, mlp),
            split (cluster, random, column:NAME), clusters (auto, mmseqs2, kmers), folds, or
            train, validation and test (values of the split column), metric, task, positive,
            rows, seed, unknown, long, dtype, device, offline, control (the same architecture
            with random weights beside it).

    Raises:
        InputError: anything in the table, columns or settings that cannot be used.
    """
    asked = ProbeSettings(model=model, **{k: _plain(v) for k, v in settings.items()})
    began, output = time.monotonic(), Path(output)
    splitting = parse_split(asked.split)
    heads = find_heads(asked.heads)
    labels = [label] if isinstance(label, str) else label
    checkpoint = load_checkpoint(asked.model, asked.offline)
    loaded = _ready(checkpoint, asked)
    alphabet = loaded.tokenizer.alphabet
    raw = read_raw(table, Columns(sequence, labels, id, splitting.columns))
    data = clean_labelled(raw, alphabet, asked.unknown, asked.task, asked.positive)
    num_clean = len(data.ids)
    data = take_rows(data, asked.rows, asked.seed)
    reach = Reach(loaded)
    policy = reach.policy(asked.long)
    lengths = check_lengths(data, policy, reach)
    layers = parse_layers(loaded, asked.layers)
    poolings = parse_poolings(
        usual_poolings(loaded.network, str(policy)) if asked.poolings is None else asked.poolings
    )
    check_windows(poolings, str(policy))
    metric = choose_metric(asked.metric, data.target.task)
    lists = (asked.train, asked.validation, asked.test)
    folds = make_folds(
        data, splitting, asked.folds, lists, alphabet.kmers, asked.seed, asked.clusters
    )
    _announce(
        announce, data, num_clean, folds, lengths and f"{lengths.number:,} sequences {lengths.what}"
    )
    made_of: dict[str, object] = {
        "model": loaded.card.sha256,
        "dtype": asked.dtype,
        "long": str(policy),
        "rows": digest_rows(data),
    }
    _open(output, made_of, overwrite)
    shelves: list[Shelf] = []
    with translate_disk_errors(output), keep_randomness():
        models = {loaded.card.name: loaded}
        if asked.control:
            models[UNTRAINED] = _untrained(checkpoint, asked)
        for name, one in models.items():
            facts = made_of | ({"untrained": asked.seed} if name == UNTRAINED else {})
            assert are_single(data.sequences)
            total = sum(len(sequence) for sequence in data.sequences)
            with show_progress("Embedding", total, quiet=quiet) as progress:
                shelf = model_shelf(
                    one, name, data.ids, data.sequences, layers, poolings, str(policy),
                    output / "vectors", facts, progress,
                )  # fmt: skip
            shelves.append(shelf)
        assert are_single(data.sequences)
        shelves.insert(1, plain_shelf(data.sequences, alphabet.kmers == "dna"))
        found: dict[Place, Probed] = {}
        total = sum(len(s.layers) * len(s.poolings) for s in shelves) * len(heads)
        with show_progress("Probing", total, unit="cells", quiet=quiet) as progress:
            for shelf in shelves:
                found |= probe_shelf(
                    shelf, heads, data.target, folds.turns, metric, asked.seed,
                    output / "cells", progress,
                )  # fmt: skip
        judged = judge(found, data, folds, metric, asked.seed)
        atlas = atlas_of(found, judged, folds, metric)
        facts = describe(
            found, judged, folds, data, metric, heads,
            title=output.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command or "lexome.probe(...)",
            lexome_version=__version__,
            label_column=", ".join(labels or [data.columns["label"]]),
            model={
                "name": loaded.card.name, "family": loaded.card.family,
                "parameters": loaded.card.parameters, "revision": loaded.card.revision,
                "hash": loaded.card.sha256, "licence": loaded.card.licence,
                "device": loaded.device, "dtype": loaded.dtype,
            },
            settings=asked.flat() | {"long": str(policy), "layers": layers, "metric": metric},
            source=describe_source(table) | {"rows": data.num_read, "used": len(data.ids)},
            environment=describe_environment(),
            seconds=round(time.monotonic() - began, 1),
        )  # fmt: skip
        notes = {key: facts[key] for key in ("command", "created", "model", "settings", "data")}
        write_table(atlas, output / "atlas.csv", notes)
        write_probe_pictures(output, atlas, facts)
        write_probe_report(output, atlas, facts)
        write_json(output / FACTS, facts)
    saved = json.loads((output / FACTS).read_text(encoding="utf-8"))
    return Probe(output, output / "report.html", atlas, saved)


def judge(
    found: Mapping[Place, Probed], data: LabelledTable, folds: Folds, metric: str, seed: int
) -> dict[str, Judgement]:
    """For each model, composition among them: the choice of its best cell, and what it is worth.

    With folds the choice is corrected by the bootstrap; with parts it is made on the validation
    rows, and the chosen cell judged on the test rows, which decided nothing.
    """
    target, judged = data.target, {}
    for model in dict.fromkeys(place.model for place in found):
        places = [place for place in found if place.model == model]
        rows = folds.chosen_on

        def figures(places: Sequence[Place], rows: Any) -> Choice:
            answers = [found[place].answers[rows] for place in places]
            groups = folds.group_N[rows]
            return choose_best(target.kind, target.values[rows], answers, metric, groups, seed)

        choice = figures(places, rows)
        best = places[choice.best]
        believed: Estimate = choice.corrected
        if len(folds.test):
            believed = figures([best], folds.test).each[0]
        judged[model] = Judgement(places, best, choice, believed)
    return judged


def take_rows(data: LabelledTable, rows: int | None, seed: int) -> LabelledTable:
    """So many rows at most, drawn at random with the same share of each class, in their order."""
    num = len(data.ids)
    if rows is None or rows >= num:
        return data
    shares = np.array([rows / num, 1 - rows / num])
    kept = np.flatnonzero(deal_rows(data.target.values, shares, seed) == 0)
    values = data.target.values[kept]
    return data._replace(
        rows=data.rows[kept],
        ids=[data.ids[i] for i in kept],
        sequences=[data.sequences[i] for i in kept.tolist()],
        target=data.target._replace(values=values),
        split_values=None if data.split_values is None else [data.split_values[i] for i in kept],
    )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _ready(checkpoint: Checkpoint, asked: ProbeSettings) -> Model:
    card = checkpoint.card
    if card.family == "msa":
        raise InputError(
            f"model {asked.model!r}", "a model of alignments",
            "one of single sequences, for a table of them", "`--model protein-mini`",
        )  # fmt: skip
    device = choose_device(asked.device).choice
    # Read before the network is put to work: faster bricks take the places of its own.
    network = build(card.family, settings_of(checkpoint.network))
    network.load_state_dict(checkpoint.network.state_dict(), assign=True)
    return Model(network, checkpoint.tokenizer, card, device, asked.dtype)


def _untrained(checkpoint: Checkpoint, asked: ProbeSettings) -> Model:
    """The same architecture with random weights."""
    card = checkpoint.card
    torch.manual_seed(derive_seed("untrained", asked.seed))
    network = build(card.family, settings_of(checkpoint.network))
    initialize = getattr(network, "initialize", None)
    if callable(initialize):
        initialize()
    device = choose_device(asked.device).choice
    return Model(network, checkpoint.tokenizer, card, device, asked.dtype)


def _open(output: Path, made_of: dict[str, object], overwrite: bool) -> None:
    """Refuse a place that holds something else; mark it as this probe's."""
    mark = output / MARK
    with translate_disk_errors(output):
        if mark.exists():
            if json.loads(mark.read_text(encoding="utf-8")) == made_of:
                return
            if not overwrite:
                raise InputError(
                    str(output), "a probe of another model, other rows or other lengths",
                    "a new directory, or a probe of the same", "another `-o`, or `--overwrite`",
                )  # fmt: skip
            shutil.rmtree(output)
        elif output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise InputError(
                str(output), "files that are no probe of Lexome", "a new directory", "another `-o`"
            )
        output.mkdir(parents=True, exist_ok=True)
        write_text(mark, json.dumps(made_of))


def _announce(
    announce: Announce, data: LabelledTable, num_clean: int, folds: Folds, long: str | None
) -> None:
    used = "" if num_clean == len(data.ids) else f", {len(data.ids):,} of {num_clean:,} clean ones"
    announce("Reading", f"{data.where}: {data.num_read:,} rows{used} ({data.target.task})")
    counted = [f"{count.number:,} {count.what}" for count in data.cleaning if count.number]
    announce("Cleaning", "; ".join(counted) or "nothing to clean")
    if long:
        announce("Length", long)
    groups = len(np.unique(folds.group_N))
    announce("Groups", f"{groups:,} of similar sequences, by {folds.how}")
    if len(folds.test):
        sizes = f"train {len(folds.turns[0].train):,}, validation {len(folds.chosen_on):,}"
        announce("Split", f"{sizes}, test {len(folds.test):,}")
    else:
        sizes = ", ".join(f"{len(turn.judged):,}" for turn in folds.turns)
        announce("Split", f"{len(folds.turns)} folds of {sizes} rows")
