"""The main job: a table of sequences with labels becomes a tested, saved classifier."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lexome import __version__
from lexome.batches.windows import parse_long
from lexome.errors import ReloadMismatch
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.leakage import audit_parts
from lexome.evaluation.splits import SplitSettings, check_parts, parse_split, split_rows
from lexome.reports.finetune import write_finetune_report
from lexome.results.files import translate_disk_errors, write_json
from lexome.results.types import Audit
from lexome.seeds import keep_randomness
from lexome.sequence.alphabet import Alphabet
from lexome.training.adapters import Counts, count_trained
from lexome.training.artefact import BASELINE, load_artefact, save_artefact
from lexome.training.baseline import fit_baseline, predict_baseline, save_baseline
from lexome.training.budget import Announce, say_nothing
from lexome.training.clean import describe_clean
from lexome.training.fit import Parts, choose, fit_seeds, split_part_rows
from lexome.training.fitted import Fitted, answer_each, predict_each, truth_labels
from lexome.training.frozen import same_vectors
from lexome.training.identity import fingerprint_of, identify
from lexome.training.judged import Judged, chosen_name, find_judged, list_judged
from lexome.training.labelled import (
    Columns,
    LabelledTable,
    check_lengths,
    describe_source,
    read_labelled,
)
from lexome.training.record import (
    HEADLINE,
    describe_audit,
    describe_balance,
    describe_environment,
    find_warnings,
    write_audit,
    write_history,
    write_split,
)
from lexome.training.run_folder import (
    Run,
    already_done,
    move_into_place,
    open_folder,
    read_run,
    tidy,
)
from lexome.training.settings import FinetuneSettings, choose_recipe
from lexome.training.setup import Setup, make_examples, make_network, make_setup, suit_lengths
from lexome.training.write_results import write_results

COMPARED = 500  # rows at most that a saved model answers once more


def finetune(
    model: str,
    table: Any,
    label: str | Sequence[str] | None = None,
    *,
    output: str | Path,
    sequence: str | None = None,
    id: str | None = None,
    method: str = "full",
    task: str = "auto",
    positive: str | None = None,
    split: str = "cluster",
    train: Sequence[object] = (),
    validation: Sequence[object] = (),
    test: Sequence[object] = (),
    seeds: int = 3,
    seed: int = 1,
    unknown: str = "refuse",
    long: str | None = None,
    epochs: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    offline: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
    announce: Announce = say_nothing,
    command: str | None = None,
    **recipe: Any,
) -> Run:
    """Train, test and save a model; killed at any moment, the same call goes on where it stopped.

    Args:
        model: `new:cnn` and other new models, a catalogue name, a directory or a hub id.
        table: a path (CSV, TSV, Parquet, .gz) or a frame.
        label: the label's column, or several columns of 0 and 1.
        output: the run's directory; must not hold another run.
        sequence, id: columns; guessed where not given.
        method: full (all weights), frozen (a head on vectors made once), or an adapter and a head:
            ia3, lora, dora, bias.
        split: cluster (default), column:NAME, chromosome:NAME or random.
        train, validation, test: values of the split column for each part.
        seeds: how many times to train, from `seed` on; `predict` averages them.
        unknown: letters outside the alphabet: refuse or map.
        long: refuse, whole, window (frozen only) or crop:HEAD+TAIL.
        recipe: any value of `TrainRecipe`, such as learning_rate.

    Raises:
        InputError: anything in the table, columns or settings that cannot be used.
        ReloadMismatch: the saved run does not predict what the trained one did.
    """
    settings = FinetuneSettings(
        model=model,
        method=method,  # type: ignore[arg-type]
        task=task,
        positive=positive,
        split=split,
        train=tuple(map(str, train)),
        validation=tuple(map(str, validation)),
        test=tuple(map(str, test)),
        seeds=seeds,
        seed=seed,
        unknown=unknown,  # type: ignore[arg-type]
        dtype=dtype,
        device=device,
        offline=offline,
        recipe=choose_recipe(model, method, long=long, epochs=epochs, **recipe),
    )
    began, output = time.monotonic(), Path(output)
    labels = [label] if isinstance(label, str) else label
    splitting = parse_split(settings.split)
    columns = Columns(sequence, labels, id, splitting.column)
    setup = make_setup(settings, announce)
    if long is None:
        settings = suit_lengths(settings, setup)
    alphabet = setup.tokenizer.alphabet
    data = read_labelled(table, columns, alphabet, settings.unknown, settings.task, positive)
    _announce_table(announce, data)
    lengths = check_lengths(data, parse_long(settings.recipe.long), setup)
    if lengths:
        announce("Length", f"{lengths.number:,} sequences {lengths.what}")
    parts = _split(data, splitting, settings, alphabet)
    identity = identify(settings, setup, data, parts)
    finished = already_done(output, identity, overwrite)
    if finished is not None:
        tidy(output)
        announce("Done", f"{output} holds this very run already; nothing was computed")
        return finished
    audit = audit_parts(
        data.sequences,
        _names(parts, len(data.ids)),
        truth_labels(data.target),
        data.ids,
        alphabet=alphabet.kmers,
    )
    _announce_split(announce, splitting, settings, parts, len(data.ids), audit)
    cleaning = [*data.cleaning, *([lengths] if lengths else [])]
    facts: dict[str, Any] = {
        "title": output.name,
        "directory": output.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command or "lexome.finetune(...)",
        "lexome_version": __version__,
        "fingerprint": fingerprint_of(identity),
        "identity": identity,
        "columns": data.columns,
        "task": data.target.task,
        "label_column": ", ".join(labels or [data.columns["label"]]),
        "labels": list(data.target.labels),
        "positive_label": data.target.labels[1] if data.target.task == "binary" else None,
        "split": _describe_split(splitting, settings, parts, len(data.ids)),
        "seeds": settings.all_seeds,
        "method": settings.method,
        "dtype": setup.dtype.choice,
        "device": setup.device.choice,
        "settings": settings.flat(),
        "balance": describe_balance(data.target, parts),
        "cleaning": [{"what": count.what, "count": count.number} for count in cleaning],
        "long_policy": f"{lengths.what} ({lengths.number:,} sequences)"
        if lengths
        else "none was longer",
        "audit": describe_audit(audit),
        "data": describe_source(table) | {"rows": data.num_read},
        "environment": describe_environment(),
    }
    folder = open_folder(output, identity, overwrite)
    chosen = chosen_name(settings.all_seeds)
    with keep_randomness(), translate_disk_errors(folder):
        judged, fitted = _train_and_judge(
            data, parts, settings, setup, folder, quiet, announce, facts
        )
        facts["threads"] = facts["environment"]["threads"]
        notes = {key: facts[key] for key in ("command", "created", "fingerprint", "model")}
        write_results(folder, data, parts, judged, chosen, alphabet.kmers, notes)
        write_split(folder / "split.parquet", data, parts, notes)
        write_audit(folder / "audit.csv", audit, notes)
        facts["clean"] = describe_clean(folder, facts, HEADLINE[data.target.task])
        save_artefact(fitted, folder)
        _compare_reloaded(fitted, folder, data, parts)
        facts["warnings"] = find_warnings(data.target, parts, judged, splitting.kind == "random")
        facts["reloaded"] = "identical"
        facts["tokens_at_once"] = setup.budget.tokens  # fewer than asked for where memory ran out
        facts["seconds"] = round(time.monotonic() - began, 1)
        write_json(folder / "run.json", facts)
        write_finetune_report(folder)
        move_into_place(folder, output)
    return read_run(output)


def _train_and_judge(
    data: LabelledTable,
    parts: Parts,
    settings: FinetuneSettings,
    setup: Setup,
    folder: Path,
    quiet: bool,
    announce: Announce,
    facts: dict[str, Any],
) -> tuple[list[Judged], Fitted]:
    target = data.target
    examples = make_examples(
        setup,
        settings,
        data.ids,
        data.sequences,
        target.values,
        folder / "features.parquet",
        quiet,
        keep=True,
    )
    first = make_network(setup, settings, target.num_outputs, examples, settings.seed)
    standing = setup.card.parameters if setup.card is not None and setup.is_frozen else 0
    counts = count_trained(first, standing)
    facts["model"] = _describe_model(settings, setup, counts)
    announce(
        "Plan",
        f"{settings.model}, {settings.method}, {counts}, "
        f"{setup.dtype.choice} ({setup.dtype.reason}) on {setup.device.choice}",
    )
    fits = fit_seeds(settings, setup, examples, target, parts, folder, quiet)
    fitted, history = fits.fitted, fits.history
    write_history(folder / "history.parquet", history, {"fingerprint": facts["fingerprint"]})
    held_out = np.concatenate([parts.validation, parts.test])
    test_RN = answer_each(fitted, examples, parts.test)
    num = len(parts.validation)
    baseline = fit_baseline(data.sequences, target, parts.train)
    judged = list_judged(
        target.task,
        settings.all_seeds,
        np.concatenate([fits.validation, test_RN], axis=1),
        predict_baseline(baseline, [data.sequences[i] for i in held_out]),
        by_part=lambda found: {"validation": found[:num], "test": found[num:]},
        threshold_of=lambda name, found: choose(target, parts.validation, found[:num]),
    )
    save_baseline(baseline._replace(threshold=judged[-1].threshold), folder / BASELINE)
    chosen = find_judged(judged, chosen_name(settings.all_seeds))
    return judged, fitted._replace(threshold=chosen.threshold)


def _compare_reloaded(fitted: Fitted, folder: Path, data: LabelledTable, parts: Parts) -> None:
    """Load the saved model, compare weights and answers bit for bit, or fail the run."""
    held_out = np.concatenate([parts.validation, parts.test])
    rows = held_out[:: -(-len(held_out) // COMPARED)]
    ids, sequences = [data.ids[i] for i in rows], [data.sequences[i] for i in rows]
    before = predict_each(fitted, ids, sequences)
    again = load_artefact(folder, fitted.setup.device.choice)
    again.setup.budget.tokens = fitted.setup.budget.tokens  # other batches may round otherwise
    if same_vectors(again.setup.backbone, fitted.setup.backbone):
        again.setup.frozen.kept = fitted.setup.frozen.kept
    after = predict_each(again, ids, sequences)
    same_weights = all(
        torch.equal(there, here)
        for one, other in zip(again.networks, fitted.networks, strict=True)
        for there, here in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )
    if not same_weights or not np.array_equal(before, after):
        raise ReloadMismatch(
            str(folder),
            f"predictions that differ by up to {np.abs(before - after).max():.3g}"
            if same_weights
            else "weights that differ",
            "the same bits after saving and loading",
            "to report this: it is our mistake",
        )


def _split(
    data: LabelledTable, splitting: SplitSettings, settings: FinetuneSettings, alphabet: Alphabet
) -> Parts:
    labels = data.target.values
    is_clustered = splitting.kind == "cluster"
    groups = similarity_groups(data.sequences, alphabet.kmers) if is_clustered else None
    names = split_rows(
        splitting,
        labels,
        data.split_values,
        groups,
        settings.train or None,
        settings.validation or None,
        settings.test or None,
        seed=settings.seed,
    )
    labels_to_check = None if data.target.task in ("regression", "multilabel") else labels
    check_parts(names, labels_to_check, ("train", "validation", "test"))
    return split_part_rows(names)


def _names(parts: Parts, num_rows: int) -> NDArray[np.str_]:
    names = np.full(num_rows, "unused", dtype="<U10")
    for part in parts._fields:
        names[getattr(parts, part)] = part
    return names


def _describe_split(
    splitting: SplitSettings, settings: FinetuneSettings, parts: Parts, num_rows: int
) -> dict[str, Any]:
    sizes = {part: len(getattr(parts, part)) for part in parts._fields}
    unused = num_rows - sum(sizes.values())
    if unused:
        sizes["unused"] = unused
    if splitting.column is not None:
        lists = (settings.train, settings.validation, settings.test)
        named = zip(parts._fields, lists, strict=True)
        text = ", ".join(f"{part} {' '.join(values)}" for part, values in named if values)
    else:
        text = {"cluster": "70/10/20 by similarity group", "random": "70/10/20 at random"}.get(
            splitting.kind, ""
        )
    return {
        "spelling": str(splitting),
        "description": text,
        "random": splitting.kind == "random",
        "parts": sizes,
    }


def _describe_model(settings: FinetuneSettings, setup: Setup, counts: Counts) -> dict[str, Any]:
    card = setup.card
    return {
        "name": settings.model,
        "family": card.family if card else setup.family,
        "parameters": counts.trained if card is None or not setup.keeps_base else card.parameters,
        "trained": counts.trained,
        "trained_in_backbone": counts.adapter,
        "trained_share": counts.trained / counts.whole,
        "revision": card.revision if card else None,
        "hash": card.sha256 if card else None,
        "licence": card.licence if card else "Apache-2.0 (trained here)",
    }


def _announce_table(announce: Announce, data: LabelledTable) -> None:
    target = data.target
    columns = ", ".join(
        f"{role} = {name}{' (guessed)' if role in data.guessed else ''}"
        for role, name in data.columns.items()
    )
    kind: str = target.task
    if target.task == "binary":
        kind += f", positive {target.labels[1]!r}, {target.values.mean():.1%} of the rows"
    elif target.labels:
        kind += f", {len(target.labels)} labels"
    if target.guessed:
        kind += "; guessed"
    announce("Reading", f"{data.where}: {data.num_read:,} rows; {columns} ({kind})")
    counted = [f"{count.number:,} {count.what}" for count in data.cleaning if count.number]
    announce("Cleaning", "; ".join(counted) or "nothing to clean")


def _announce_split(
    announce: Announce,
    splitting: SplitSettings,
    settings: FinetuneSettings,
    parts: Parts,
    num_rows: int,
    audit: Audit,
) -> None:
    described = _describe_split(splitting, settings, parts, num_rows)
    sizes = ", ".join(f"{part} {size:,}" for part, size in described["parts"].items())
    announce("Split", f"{splitting} ({described['description']}): {sizes}")
    exact = sum(overlap.exact for overlap in audit.overlaps)
    near = sum(overlap.near for overlap in audit.overlaps)
    announce(
        "Audit",
        f"{exact:,} exact and {near:,} near copies (>= {audit.similarity:.0%}) across parts"
        + (", listed in audit.csv" if exact + near else ""),
    )
