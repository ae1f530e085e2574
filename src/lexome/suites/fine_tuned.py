"""Suites of labelled tables: every contender is trained on every task by the main job."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.checkpoints.weight_files import read_json
from lexome.errors import InputError, LexomeError
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.dealing import deal_groups
from lexome.results.columns import LABEL, PART, SEQUENCE
from lexome.results.files import hash_file, write_json
from lexome.results.tables import read_provenance, write_table
from lexome.suites.deeploc import find_deeploc
from lexome.suites.folds import pool_folds
from lexome.suites.shared_folder import folder_with, read_tasks
from lexome.training.finetune import finetune
from lexome.training.judge_run import judge_run
from lexome.training.run_folder import Run

PARTS = ("train", "validation", "test")
NEW = "new:"
VECTORS = "vectors"
SPLIT_SEED = 1  # of validation parts that a suite does not have


class Task(NamedTuple):
    """One task of a suite, and where its rows are."""

    suite: str
    name: str
    facts: dict[str, Any]  # of tasks/SUITE.toml
    folder: Path  # of its files
    folds: tuple[dict[str, Any], ...] = ()  # train, validation, test of each, where all run

    @property
    def labels(self) -> list[str]:
        """The label's column, or several."""
        asked = self.facts.get("label", LABEL)
        return [asked] if isinstance(asked, str) else list(asked)


class Contender(NamedTuple):
    """A model and how it is trained."""

    model: str
    method: str
    called: str = ""  # where another model's folder has the same name

    @property
    def name(self) -> str:
        """What tables call it: a new model is always trained whole."""
        model = Path(self.model).name if "/" in self.model else self.model
        model = self.called or model
        return model if self.model.startswith(NEW) else f"{model}, {self.method}"

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return self.name.replace(NEW, "new-").replace(", ", "-").replace("/", "-")


class Trained(NamedTuple):
    """What came of one contender on one task: a run, or the reason why there is none."""

    task: Task
    contender: Contender
    run: Run | None
    reason: str
    further: dict[str, dict[str, Any]]  # metrics on further tables, by their name


def open_tasks(suite: str, asked: Sequence[str] | None, data: Path | None) -> list[Task]:
    """The tasks that were asked for, else all whose files are at hand.

    Raises:
        InputError: no such task, one whose files are not at hand, or none at hand at all.
    """
    known = read_tasks(suite)["tasks"]
    for name in asked or ():
        if name not in known:
            raise InputError(f"task {name!r}", "no such task", ", ".join(known), "one of these")
    found = [task for name in asked or known if (task := _find(suite, name, known[name], data))]
    missing = sorted(set(asked or ()) - {task.name for task in found})
    if missing or not found:
        raise InputError(
            f"{suite}: {', '.join(missing) or 'every task'}",
            "no files",
            f"the folders that tasks/{suite}.toml names, in {data or 'a shared folder'}",
            "--data DIR, or LEXOME_SHARED=FOLDER",
        )
    return found


def by_folds(tasks: Sequence[Task]) -> list[Task]:
    """The tasks, those that name folds to be run by all of them.

    Raises:
        InputError: none of them names any.
    """
    if not any("folds" in task.facts for task in tasks):
        known = read_tasks(tasks[0].suite)["tasks"]
        able = [name for name, facts in known.items() if "folds" in facts]
        raise InputError(
            "--folds",
            f"{', '.join(task.name for task in tasks)}, which have one split each",
            f"a task with folds: {', '.join(able) or f'{tasks[0].suite} has none'}",
            f"`--tasks {able[0]}`" if able else "the command without `--folds`",
        )
    return [
        task._replace(
            folds=tuple(task.facts["folds"]), facts=task.facts | task.facts.get("by_folds", {})
        )
        if "folds" in task.facts
        else task
        for task in tasks
    ]


def list_contenders(models: Sequence[str], methods: Sequence[str]) -> list[Contender]:
    """Every model by every method; a new model once, for it has nothing to keep still.

    Models in folders of one name are called by the folder above too: `one/best`, `two/best`.

    Raises:
        InputError: two models that would still have one name.
    """
    pairs = [
        Contender(model, "full" if model.startswith(NEW) else method)
        for model, method in product(models, methods)
    ]
    found = list(dict.fromkeys(pairs))
    slugs = Counter(one.slug for one in found)
    found = [
        one._replace(called="/".join(Path(one.model).parts[-2:])) if slugs[one.slug] > 1 else one
        for one in found
    ]
    first: dict[str, str] = {}
    for one in found:
        if first.setdefault(one.slug, one.model) != one.model:
            raise InputError(
                "--model",
                f"{first[one.slug]} and {one.model}",
                "models whose folders differ in name, or in that of the folder above",
                "a copy or a link of another name",
            )
    return found


def train_all(
    tasks: Sequence[Task],
    contenders: Sequence[Contender],
    output: Path,
    tell: Callable[[str, str], None],
    **settings: Any,
) -> Iterator[Trained]:
    """Train and judge each pair; a pair that stands from an earlier call is read, not trained.

    A model that a task cannot be given to (too long, another alphabet) is told with the reason,
    and the others go on.

    Args:
        tasks, contenders: what to train on what.
        output: tables go to `data`, runs to `runs/TASK/CONTENDER`; of folds, to
            `runs/TASK/CONTENDER-folds/fold-NUMBER`, but for the one that is the task's split.
        tell: called with a word and a sentence before each pair, and before each fold.
        settings: further arguments of `finetune`, the same for all.
    """
    vectors = output / VECTORS  # of a frozen backbone, the same for all folds of a table
    settings |= {"vectors": vectors}
    for task in tasks:
        table = write_table_of(task, output / "data")
        for contender in contenders:
            tell("Task", f"{task.name} by {contender.name}")
            place = output / "runs" / task.name / contender.slug
            try:
                if task.folds:
                    run = _train_folds(task, contender, table, place, tell, settings)
                else:
                    run = _train(task, contender, table, place, settings)
            except InputError as problem:
                yield Trained(task, contender, None, str(problem), {})
                continue
            further = {} if task.folds else _judge_further(task, run)
            yield Trained(task, contender, run, "", further)
    shutil.rmtree(vectors, ignore_errors=True)


def write_table_of(task: Task, folder: Path) -> Path:
    """One table of a task's parts, with the column `part`; DeepLoc's own where it is that.

    A share of the training part becomes the validation part where a task has none.

    Raises:
        InputError: the folder holds a table of that name which was made of other files.
    """
    if "table" in task.facts:
        return task.folder
    path, share = folder / f"{task.name}.csv", task.facts["validation"]
    sources = {f.name: hash_file(f) for f in sorted(task.folder.glob("*.csv.gz"))}
    if path.is_file():
        _check_sources(path, task, sources)
        return path
    frames = []
    for part in PARTS:
        names = task.facts[part] if isinstance(task.facts[part], list) else []
        for name in names:
            frame = pl.read_csv(task.folder / f"{name}.csv.gz").select(SEQUENCE, *task.labels)
            frames.append(frame.with_columns(pl.lit(part).alias(PART)))
    whole = pl.concat(frames)
    if not isinstance(share, list):
        is_train = (whole[PART] == "train").to_numpy()
        known = whole.filter(pl.Series(is_train))
        groups = similarity_groups(known[SEQUENCE].to_list(), "dna", largest=1.0)
        shares = np.array([1 - share, share])
        dealt = deal_groups(groups, known[task.labels[0]].to_numpy(), shares, SPLIT_SEED)
        parts = whole[PART].to_numpy().astype(object)
        parts[is_train.nonzero()[0][dealt == 1]] = "validation"
        whole = whole.with_columns(pl.Series(PART, parts.tolist()))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(whole, path, {"task": task.name, "suite": task.suite, "files": sources})
    return path


def _check_sources(path: Path, task: Task, sources: dict[str, str]) -> None:
    """That a table was made of the files that the task has now."""
    made_of = read_provenance(path)["files"]
    parts = [task.facts[part] for part in PARTS if isinstance(task.facts[part], list)]
    files = [f"{name}.csv.gz" for names in parts for name in names]
    changed = [name for name in files if made_of.get(name) != sources.get(name)]
    if changed:
        raise InputError(
            str(path),
            f"a table made of other files than {', '.join(changed)} in {task.folder}",
            "the same files as in the call before",
            "another --output, or the --data of that call",
        )


def _train_folds(
    task: Task,
    contender: Contender,
    table: Path,
    place: Path,
    tell: Callable[[str, str], None],
    settings: dict[str, Any],
) -> Run:
    """Every fold by a run of its own; what they found together."""
    runs, folder = [], place.with_name(f"{place.name}-folds")
    for number, fold in enumerate(task.folds, start=1):
        tell("Fold", f"{number} of {len(task.folds)}")
        is_split = all(fold[part] == task.facts[part] for part in PARTS)
        one = task._replace(facts=task.facts | fold)
        where = place if is_split else folder / f"fold-{number}"  # trained once for both uses
        runs.append(_train(one, contender, table, where, settings))
    return pool_folds(runs, table, task.labels, folder)


def _train(
    task: Task, contender: Contender, table: Path, place: Path, settings: dict[str, Any]
) -> Run:
    facts = task.facts
    column = facts.get("split", PART)
    given = {part: facts[part] for part in PARTS} if "split" in facts else {p: [p] for p in PARTS}
    both = facts.get("strands") == "both" and contender.model.startswith(NEW)
    try:
        return finetune(
            contender.model,
            table,
            task.labels,
            output=place,
            method=contender.method,
            task=facts["kind"],
            split=f"column:{column}",
            both_strands=True if both else None,
            **(given | settings),
        )
    except LexomeError as problem:
        if isinstance(problem, InputError):
            raise
        raise InputError(place.name, str(problem), "a run", "the same command again") from problem


def _judge_further(task: Task, run: Run) -> dict[str, dict[str, Any]]:
    """The run on tables of another source, where a task names them; kept beside the run."""
    found: dict[str, dict[str, Any]] = {}
    for name, file in task.facts.get("further", {}).items():
        table = task.folder.parent / file
        if not table.is_file():
            continue  # told by the lack of its row
        kept, digest = run.directory / f"further-{name}.json", hash_file(table)
        known: dict[str, Any] = read_json(kept) if kept.is_file() else {}
        if known.get("file") != digest:  # of another table, or from before this was written down
            known = {"file": digest, "metrics": judge_run(run.directory, str(table), task.labels)}
            write_json(kept, known)
        found[name] = known["metrics"]
    return found


def _find(suite: str, name: str, facts: dict[str, Any], data: Path | None) -> Task | None:
    if "table" in facts:  # DeepLoc, which has a finder of its own
        return Task(suite, name, facts, find_deeploc(str(data) if data else None).train)
    if "folder" not in facts:
        return None
    inside, folder = read_tasks(suite)["suite"]["folder"], facts["folder"]
    names = [one for part in PARTS if isinstance(facts[part], list) for one in facts[part]]
    root = folder_with(data, inside, [f"{folder}/{one}.csv.gz" for one in names])
    return Task(suite, name, facts, root / folder) if root else None
