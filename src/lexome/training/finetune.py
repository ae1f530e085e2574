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
from lexome.errors import InputError, ReloadMismatch
from lexome.evaluation.grouping import BLOCK_SIZE
from lexome.evaluation.pair_leakage import audit_contents
from lexome.evaluation.splits import parse_split
from lexome.reports.finetune import write_finetune_report
from lexome.results.files import translate_disk_errors, write_json
from lexome.seeds import keep_randomness
from lexome.training.adapters import count_trained
from lexome.training.artefact import BASELINE, load_artefact, save_artefact
from lexome.training.budget import Announce, say_nothing
from lexome.training.clean import describe_clean
from lexome.training.determinism import describe_determinism
from lexome.training.fit import Parts, choose, fit_seeds
from lexome.training.fitted import Fitted, answer_each, label_keys, predict_each
from lexome.training.frozen import same_vectors
from lexome.training.identity import fingerprint_of, identify, vectors_name
from lexome.training.judged import Judged, chosen_name, find_judged, list_judged
from lexome.training.labelled import LabelledTable, clean_labelled, describe_source
from lexome.training.objectives import check_loss
from lexome.training.pairs import check_asked, check_content_lengths, suit_pairs
from lexome.training.raw_table import Columns, read_raw
from lexome.training.recipes import choose_recipe, for_task
from lexome.training.record import (
    describe_audit,
    describe_balance,
    describe_environment,
    find_warnings,
    write_audit,
    write_history,
    write_split,
)
from lexome.training.residue_labels import ResidueReading
from lexome.training.run_folder import (
    Run,
    already_done,
    move_into_place,
    open_folder,
    read_run,
    tidy,
)
from lexome.training.search import plan_search, run_search
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import (
    Setup,
    make_examples,
    make_network,
    make_setup,
    settle_alphabet,
    suit_lengths,
)
from lexome.training.splitting import make_parts, settle_blocks
from lexome.training.task_record import describe_tasks, headline_of
from lexome.training.tasks import label_columns
from lexome.training.telling import announce_split, announce_table, describe_model, describe_split
from lexome.training.units import UNITS
from lexome.training.write_results import write_results

COMPARED = 500  # rows at most that a saved model answers once more


def finetune(
    model: str,
    table: Any,
    label: str | Sequence[str] | None = None,
    *,
    output: str | Path,
    sequence: str | None = None,
    second: str | None = None,
    id: str | None = None,
    method: str = "full",
    task: str = "auto",
    positive: str | None = None,
    ignore: str = "",
    split: str = "cluster",
    train: Sequence[object] = (),
    validation: Sequence[object] = (),
    test: Sequence[object] = (),
    block_size: int | None = None,
    gap: int | None = None,
    seeds: int = 3,
    seed: int = 1,
    search: int | None = None,
    alphabet: str = "auto",
    pairs: str | None = None,
    symmetric: bool = False,
    unknown: str = "refuse",
    long: str | None = None,
    epochs: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    offline: bool = False,
    overwrite: bool = False,
    vectors: str | Path | None = None,
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
        second: the column of the second sequence, where rows are pairs.
        method: full (all weights), frozen (a head on vectors made once), or an adapter and a head:
            ia3, lora, dora, bias.
        task: auto, binary, multiclass, multilabel, regression, or per-residue: labels are texts as
            long as their sequences, and every residue is answered.
        positive: of two classes the one to find.
        ignore: letters of residues' labels that are neither learned nor judged, such as "-?".
        split: cluster (default), column:NAME, chromosome:NAME, random, block:POSITION or
            block:CHROMOSOME,POSITION.
        train, validation, test: values of the split column for each part.
        block_size, gap: of blocks, in bases, as `lexome.split` has them: 1,000,000, and the longest
            sequence.
        seeds: how many times to train, from `seed` on; `predict` averages them.
        search: so many trials first, for the setting that validates best; values that are given
            here stay as they are.
        alphabet: what a new model reads: protein, dna, rna, or auto, told by the letters.
        pairs: joint (both in one input) or towers (each by itself); as suits the model.
        symmetric: whether a pair is the same as the swapped pair.
        unknown: letters outside the alphabet: refuse or map.
        long: refuse, whole, window (frozen or per-residue) or crop:HEAD+TAIL.
        vectors: a folder that keeps what a frozen backbone makes, for the next run of the same rows
            and weights, one run at a time; else they go when the run ends.
        recipe: any value of `TrainRecipe`, such as learning_rate.

    Raises:
        InputError: anything in the table, columns or settings that cannot be used.
        ReloadMismatch: the saved run does not predict what the trained one did.
    """
    asked = for_task(task, {"long": long, "epochs": epochs} | recipe)
    splitting = parse_split(split, with_blocks=True)
    if splitting.kind == "block" and block_size is None:
        block_size = BLOCK_SIZE
    settings = FinetuneSettings(
        model=model,
        method=method,  # type: ignore[arg-type]
        task=task,
        positive=positive,
        ignore=ignore,
        split=split,
        train=tuple(map(str, train)),
        validation=tuple(map(str, validation)),
        test=tuple(map(str, test)),
        block_size=block_size,
        gap=gap,
        seeds=seeds,
        seed=seed,
        alphabet=alphabet,
        unknown=unknown,  # type: ignore[arg-type]
        pairs=check_asked(second, pairs, symmetric),
        symmetric=symmetric,
        dtype=dtype,
        device=device,
        offline=offline,
        recipe=choose_recipe(model, method, **asked),
    )
    began, output = time.monotonic(), Path(output)
    labels = label_columns([label] if isinstance(label, str) else label, settings.task)
    columns = Columns(sequence, labels, id, splitting.columns, second, symmetric, block_size)
    raw = read_raw(table, columns)
    settings = settle_alphabet(settings, raw.sequences, **asked)
    setup = make_setup(settings, announce)
    settings = suit_pairs(settings, setup)
    if long is None:
        settings = suit_lengths(settings, setup)
    given = {name for name, value in asked.items() if value is not None}
    plan = plan_search(search, settings, setup, given)
    letters = setup.tokenizer.alphabet
    residues = ResidueReading(ignore) if settings.answers_residues else None
    data = clean_labelled(raw, letters, settings.unknown, settings.task, positive, residues)
    kinds = {one.task for one in data.target.subs or (data.target,)}
    if positive is not None and "binary" not in kinds:
        seen = f"{positive!r} for {data.target.task}"
        raise InputError("positive", seen, "a task of two classes", "without `--positive`")
    alone = "regression" if kinds == {"regression"} else data.target.task
    check_loss(alone, settings.recipe.loss, settings.recipe.class_weights)
    announce_table(announce, data)
    lengths = check_content_lengths(data, settings, setup)
    if lengths:
        announce("Length", f"{lengths.number:,} sequences {lengths.what}")
    settings = settle_blocks(settings, data)
    parts = make_parts(data, splitting, settings, letters)
    identity = identify(settings, setup, data, parts) | ({"search": plan.spelled} if plan else {})
    finished = already_done(output, identity, overwrite)
    if finished is not None:
        tidy(output)
        announce("Done", f"{output} holds this very run already; nothing was computed")
        return finished
    audit = audit_contents(
        data.sequences,
        _names(parts, len(data.ids)),
        label_keys(data.target),
        data.ids,
        alphabet=letters.kmers,
    )
    announce_split(announce, splitting, settings, parts, len(data.ids), audit)
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
        "unit": data.target.unit,
        "tasks": describe_tasks(data.target),
        "ignore": settings.ignore,
        "positive_label": data.target.labels[1] if data.target.task == "binary" else None,
        "split": describe_split(splitting, settings, parts, len(data.ids)),
        "pairs": settings.pairs + ", symmetric" * settings.symmetric if settings.pairs else None,
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
        if plan:
            found = run_search(plan, settings, setup, data, parts, folder, announce, quiet)
            settings, setup = found.settings, found.setup
            facts |= {"settings": settings.flat(), "search": found.facts}
        kept = folder / "features.parquet"
        if vectors is not None and setup.is_frozen:
            kept = Path(vectors) / f"{vectors_name(identity, setup)}.parquet"
            kept.parent.mkdir(parents=True, exist_ok=True)
        judged, fitted = _train_and_judge(
            data, parts, settings, setup, folder, kept, quiet, announce, facts
        )
        facts["threads"] = facts["environment"]["threads"]
        notes = {key: facts[key] for key in ("command", "created", "fingerprint", "model")}
        headline = headline_of(data.target)
        compared = write_results(folder, data, parts, judged, chosen, letters.kmers, notes)
        write_split(folder / "split.parquet", data, parts, notes)
        write_audit(folder / "audit.csv", audit, notes)
        facts["clean"] = describe_clean(folder, facts, headline)
        save_artefact(fitted, folder)
        _compare_reloaded(fitted, folder, data, parts)
        by_chance, drawn = splitting.kind == "random", compared["drawn"]
        facts["warnings"] = find_warnings(
            data.target, parts, judged, by_chance, settings.recipe, drawn
        )
        facts["reloaded"] = "identical"
        facts["tokens_at_once"] = setup.budget.tokens  # fewer than asked for where memory ran out
        facts["determinism"] = describe_determinism(setup, facts["threads"])
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
    vectors: Path,
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
        vectors,
        quiet,
        keep=True,
    )
    first = make_network(setup, settings, target.num_outputs, examples, settings.seed)
    standing = setup.card.parameters if setup.card is not None and setup.is_frozen else 0
    counts = count_trained(first, standing)
    facts["model"] = describe_model(settings, setup, counts)
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
    num, unit = target.num_answers(parts.validation), UNITS[target.unit]
    plain, rows = unit.plain(setup.tokenizer.alphabet), (parts.train, parts.validation)
    baseline = plain.fit(data.sequences, target, *rows, settings.symmetric)
    judged = list_judged(
        settings.all_seeds,
        np.concatenate([fits.validation, test_RN], axis=1),
        plain.predict(baseline, [data.sequences[i] for i in held_out]),
        by_part=lambda found: {"validation": found[:num], "test": found[num:]},
        threshold_of=lambda name, found: choose(target, parts.validation, found[:num]),
        plain_name=plain.name(target.task),
    )
    plain.save(baseline._replace(threshold=judged[-1].threshold), folder / BASELINE)
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


def _names(parts: Parts, num_rows: int) -> NDArray[np.str_]:
    names = np.full(num_rows, "unused", dtype="<U10")
    for part in parts._fields:
        names[getattr(parts, part)] = part
    return names
