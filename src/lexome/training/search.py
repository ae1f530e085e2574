"""A search for the setting that validates best: trials of one seed that never see the test rows.

The tree-structured Parzen estimator of Bergstra et al. 2011 (NeurIPS 24) as optuna has it, with
pruning by the median of earlier trials at the same epoch. The draws of a trial are a function of
the run's seed and of how many trials are finished, so a killed search goes on to the same ones.
"""

# Letters: N rows.
import math
import shutil
import time
import warnings
from collections.abc import Collection
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import EnvironmentProblem, InputError
from lexome.results import columns
from lexome.results.tables import write_table
from lexome.seeds import derive_seed
from lexome.training.budget import Announce
from lexome.training.examples import Examples
from lexome.training.fit import MONITORS, Parts, fit_seeds
from lexome.training.labelled import LabelledTable
from lexome.training.residue_labels import ResidueLabels
from lexome.training.search_space import Space, Values, make_space, suggest, with_values
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup, make_examples
from lexome.training.target import Target
from lexome.training.tasks import join_tasks

FOLDER, JOURNAL = ".search", "trials.log"
WARM_TRIALS, WARM_EPOCHS = 4, 1  # that nothing is pruned in
WORST = -1.0  # in place of an undefined figure: below every AUPRC and correlation


class Search(NamedTuple):
    """What is to be searched, checked before any work."""

    num_trials: int
    space: Space

    @property
    def spelled(self) -> str:
        """What makes it the same search."""
        ranges = ", ".join(f"{name} {tuple(one)}" for name, one in self.space.ranges.items())
        return f"{self.num_trials} trials over {ranges}"


class Searched(NamedTuple):
    """The best setting, and how it was found."""

    settings: FinetuneSettings
    setup: Setup
    facts: dict[str, Any]


def plan_search(
    count: int | None, settings: FinetuneSettings, setup: Setup, given: Collection[str]
) -> Search | None:
    """The search that is asked for; None for none.

    Raises:
        InputError: no trials, or nothing that they could change.
        EnvironmentProblem: optuna is not installed.
    """
    if count is None:
        return None
    if count < 1:
        raise InputError("--search", str(count), "at least one trial", "`--search 30`")
    search = Search(count, make_space(settings, setup, given))
    _import_optuna()
    return search


def run_search(
    search: Search,
    settings: FinetuneSettings,
    setup: Setup,
    data: LabelledTable,
    parts: Parts,
    folder: Path,
    announce: Announce,
    quiet: bool = True,
) -> Searched:
    """Try settings on the training rows, judge each on the validation rows, take the best.

    Trials are given the rows of these two parts and no others. The recipe's own setting is the
    first. Finished trials stand in a journal within `folder`, and are not made again; all of them
    are written to search.parquet.
    """
    optuna = _import_optuna()
    work = folder / FOLDER
    work.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([parts.train, parts.validation])
    num = len(parts.train)
    none = np.empty(0, np.int64)
    inner = Parts(np.arange(num), np.arange(num, len(rows)), none)
    target = take_target(data.target, rows)
    ids, sequences = [data.ids[i] for i in rows], [data.sequences[i] for i in rows]
    monitor = MONITORS[target.task]
    study = _open_study(work / JOURNAL)
    examples: Examples | None = None
    while (number := len(_finished(study))) < search.num_trials:
        if examples is None:  # vectors of a frozen backbone serve all trials
            cache = work / "features.parquet"
            examples = make_examples(setup, settings, ids, sequences, target.values, cache, quiet)
        seed = derive_seed("search", settings.seed, number) % 2**31
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = optuna.samplers.TPESampler(seed=seed)
        if not number:
            study.enqueue_trial(search.space.own)
        trial = study.ask()
        values = suggest(trial, search.space)
        state = _try(
            study, trial, *with_values(settings, setup, values), examples, target, inner, work,
            monitor,
        )  # fmt: skip
        best = study.best_trial
        said = ", ".join(f"{name} {value:g}" for name, value in values.items())
        announce(
            "Search",
            f"{number + 1}/{search.num_trials}  {monitor} "
            f"{_figure(study.trials[trial.number]):.4f} {state}  (best {best.value:.4f})  {said}",
        )
    table = tabulate(_finished(study), search.space, study.best_trial.number)
    facts: dict[str, Any] = {
        "monitor": monitor,
        "method": f"TPE, median pruning (optuna {optuna.__version__})",
    }
    write_table(table, folder / "search.parquet", facts)
    best_row = table.filter(columns.BEST).row(0, named=True)
    chosen: Values = _values(study.best_trial, search.space)
    facts |= {
        "trials": table.height,
        "pruned": int((table[columns.STATE] == "pruned").sum()),
        "best_trial": best_row[columns.TRIAL],
        "value": best_row[columns.VALUE],
        "own_value": table[columns.VALUE][0],
        "values": chosen,
        "ranges": {name: one._asdict() for name, one in search.space.ranges.items()},
    }
    announce("Search", f"best of {table.height}: {monitor} {best_row[columns.VALUE]:.4f}")
    return Searched(*with_values(settings, setup, chosen), facts)


def take_target(target: Target, rows: NDArray[np.int64]) -> Target:
    """The labels of some rows alone."""
    if target.subs:
        subs = [_take_known(sub, rows) for sub in target.subs]
        return join_tasks(target.labels, subs)
    if target.residues is None:
        return target._replace(values=target.values[rows])
    bounds_N1 = np.concatenate([[0], np.cumsum(target.residues.lengths[rows])])
    residues = ResidueLabels([target.residues.texts[i] for i in rows], bounds_N1)
    return target._replace(values=target.values[target.residues.places(rows)], residues=residues)


def _take_known(target: Target, rows: NDArray[np.int64]) -> Target:
    """Some rows of one task of several, with which of them have a label."""
    known = None if target.known is None else target.known[rows]
    return target._replace(values=target.values[rows], known=known)


def tabulate(trials: list[Any], space: Space, best: int) -> pl.DataFrame:
    """A row a finished trial, in the order in which they were made."""
    rows = [
        {
            columns.TRIAL: number,
            columns.VALUE: _figure(trial),
            columns.STATE: trial.state.name.lower(),
            columns.EPOCH: len(trial.intermediate_values),
            columns.TRIAL_SECONDS: float(trial.user_attrs["seconds"]),
            columns.BEST: trial.number == best,
            **{f"setting_{name}": value for name, value in _values(trial, space).items()},
        }
        for number, trial in enumerate(trials)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _try(
    study: Any, trial: Any, settings: FinetuneSettings, setup: Setup, examples: Examples,
    target: Target, parts: Parts, work: Path, monitor: str,
) -> str:  # fmt: skip
    """Train once; what was left of a killed trial is not taken up, for it lacks its reports."""
    optuna = _import_optuna()
    folder = work / "trial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    best, began = WORST, time.monotonic()

    def watch(entry: dict[str, Any]) -> None:
        nonlocal best
        figure = float(entry.get(monitor, math.nan))
        best = max(best, figure if math.isfinite(figure) else WORST)
        trial.report(best, entry["epoch"])
        if entry["epoch"] < settings.recipe.epochs and trial.should_prune():
            raise optuna.TrialPruned

    state = "complete"
    try:
        one = replace(settings, seeds=1)
        fit_seeds(one, setup, examples, target, parts, folder, True, watch)
    except optuna.TrialPruned:
        state = "pruned"
    trial.set_user_attr("seconds", round(time.monotonic() - began, 2))
    if state == "pruned":
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, best)
    shutil.rmtree(folder, ignore_errors=True)
    return state


def _open_study(path: Path) -> Any:
    """The study of a journal, without what a kill left half done."""
    optuna = _import_optuna()
    if path.exists():  # a line that was being written is no line
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rfind(b"\n") + 1])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        storage = optuna.storages.JournalStorage(backend)
        pruner = optuna.pruners.MedianPruner(WARM_TRIALS, WARM_EPOCHS + 1)
        study = optuna.create_study(
            storage=storage, study_name="search", direction="maximize", load_if_exists=True,
            pruner=pruner,
        )  # fmt: skip
    states = optuna.trial.TrialState
    for left in study.get_trials(deepcopy=False, states=(states.RUNNING, states.WAITING)):
        storage.set_trial_state_values(left._trial_id, states.FAIL)
    return study


def _finished(study: Any) -> list[Any]:
    states = _import_optuna().trial.TrialState
    found: list[Any] = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
    return found


def _figure(trial: Any) -> float:
    """The best figure that a trial reached; of a pruned one, until then."""
    return float(max(trial.intermediate_values.values()))


def _values(trial: Any, space: Space) -> Values:
    """The values of a finished trial, as `suggest` gave them."""
    return {
        name: int(trial.params[name])
        if one.kind == "choice"
        else float(f"{trial.params[name]:.4g}")
        for name, one in space.ranges.items()
    }


def _import_optuna() -> Any:
    """optuna, which takes a second to import, and so only where there is a search."""
    try:
        import_module("optuna.storages.journal")
        return import_module("optuna")
    except ImportError as error:
        raise EnvironmentProblem(
            "--search",
            "no package `optuna`",
            "the extra `finetune`",
            "`pip install 'lexome[finetune]'`, or no `--search`",
        ) from error
