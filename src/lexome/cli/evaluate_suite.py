"""`lexome evaluate gue`, `nt`, `deeploc`: train every contender on every task, and compare."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lexome.cli import options

Models = Annotated[
    list[str],
    typer.Option("--model", "-m", help="new:cnn, protein-mini, ...; may be repeated."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="full, frozen, ia3, lora, dora, bias; may be repeated."),
]
Tasks = Annotated[
    list[str] | None, typer.Option("--tasks", help="A task; may be repeated. Else all at hand.")
]
Folds = Annotated[
    bool, typer.Option("--folds", help="Cross-validate the tasks that name folds, by all of them.")
]
Folder = Annotated[Path, typer.Option("--output", "-o", help="Folder of runs, table and page.")]
Seeds = Annotated[int, typer.Option(help="How many times each is trained.")]
SHOWN = ("task", "model", "estimate", "low", "high", "ensemble", "clean", "verdict", "reason")
OF_FOLDS = ("folds", "sd_over_folds")


def make_verb(suite: str, said: str) -> Callable[..., None]:
    """The verb of a suite of labelled tables."""

    def verb(
        output: Folder,
        model: Models,
        method: Methods = None,
        tasks: Tasks = None,
        folds: Folds = False,
        seeds: Seeds = 3,
        seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
        epochs: Annotated[int | None, typer.Option(help="At most so many passes.")] = None,
        long: Annotated[str | None, typer.Option(help="As finetune has it.")] = None,
        search: Annotated[
            int | None,
            typer.Option(help="Trials of other settings for each pair, judged on validation."),
        ] = None,
        set: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipes': mask=0.1"),
        ] = None,
        data: options.SuiteData = None,
        dtype: Annotated[str, typer.Option(help="auto, fp32 or bf16, in training.")] = "auto",
        device: options.Device = "auto",
        offline: options.Offline = False,
        quiet: options.Quiet = False,
        json: options.Json = False,
    ) -> None:
        from lexome.suites.fine_tuned import by_folds, list_contenders, open_tasks
        from lexome.suites.one_call import hold_folder
        from lexome.training.recipes import read_values

        settings: dict[str, Any] = {"seeds": seeds, "seed": seed, "epochs": epochs, "long": long}
        settings |= {"search": search}
        settings |= {"dtype": dtype, "device": device, "offline": offline}
        settings |= read_values(options.overrides(set))
        settings |= {"quiet": quiet, "command": options.command_line()}
        contenders = list_contenders(model, method or ["full"])
        found = open_tasks(suite, tasks, data)
        if folds:
            found = by_folds(found)
            for task in found:
                if not task.folds:
                    options.say("Folds", f"{task.name} has none: trained on its one split", quiet)
        with hold_folder(output):
            _evaluate(found, contenders, output, settings, quiet, json)

    verb.__doc__ = said
    return verb


def _evaluate(
    tasks: list[Any],
    contenders: list[Any],
    output: Path,
    settings: dict[str, Any],
    quiet: bool,
    json: bool,
) -> None:
    from lexome.reports.suite import write_suite_report
    from lexome.results.files import write_json
    from lexome.results.tables import print_table, write_table
    from lexome.suites.fine_tuned import train_all
    from lexome.suites.shared_folder import read_tasks
    from lexome.suites.standings import tabulate, trace_runs

    suite: str = tasks[0].suite
    facts = read_tasks(suite)["suite"]
    options.say("Suite", f"{facts['title']}: {', '.join(task.name for task in tasks)}", quiet)
    options.say("Models", ", ".join(one.name for one in contenders), quiet)
    trained = []
    for one in train_all(
        tasks, contenders, output, lambda what, text: options.say(what, text, quiet), **settings
    ):
        trained.append(one)
        told = one.reason or _told(one.run)
        options.say("Done" if one.run else "Refused", told, quiet)
        found = tabulate(suite, trained)
        notes = options.provenance(suite=facts, runs=trace_runs(trained))
        write_table(found.table, output / "results.csv", notes)
    ranks = None if found.ranks is None else found.ranks._asdict()
    write_json(output / "means.json", {"means": found.means.to_dicts(), "ranks": ranks})
    page = write_suite_report(output / "report.html", facts, found, options.provenance())
    if json:
        options.answer({"results": found.table.to_dicts(), "means": found.means.to_dicts()}, True)
    else:
        shown = [*SHOWN, *(OF_FOLDS if any(task.folds for task in tasks) else ())]
        print_table(found.table.select(shown), facts["title"], most_rows=found.table.height)
        if found.means.height:
            print_table(found.means, "Means over the tasks that every one of them has")
    if found.ranks is not None:
        options.say("Ranks", found.ranks.reason, quiet)
    options.say("Saved", f"{output / 'results.csv'}: {found.table.height} rows", quiet)
    options.say("Report", str(page), quiet)
    if any(one.run is None for one in trained):
        raise typer.Exit(4)


def _told(run: Any) -> str:
    lines = [text for what, text in options.figure_lines(run.metrics) if what == "Test"]
    return lines[0] if lines else str(run.directory)


gue = make_verb(
    "gue",
    """Genome understanding: promoters, transcription factors, histone marks, splice sites.

    Trains each model on each task whose files are at hand, judges it on the published test part
    with intervals, also without rows that leak, beside k-mers and published figures. Killed at any
    moment, the same command goes on where it stopped.
    """,
)
nt = make_verb(
    "nt",
    """The Nucleotide Transformer's tasks, both sets, never averaged together.

    As `lexome evaluate gue`.
    """,
)
deeploc = make_verb(
    "deeploc",
    """Where in the cell a protein is: DeepLoc 2.0, by partitions without similar proteins.

    As `lexome evaluate gue`, beside the composition of the sequence.
    """,
)
GUE_EXAMPLES = """\b
Examples:
  lexome evaluate gue -m new:cnn -o runs/gue
  lexome evaluate gue -m new:cnn -m new:bpnet -m new:gru --tasks mouse_2 --tasks tf_3 -o runs/gue
  lexome evaluate gue -m new:bpnet -m new:deepstarr --tasks mouse_3 --search 12 -o runs/tuned
  lexome evaluate gue -m ./dnabert2 --method ia3 --method lora --seeds 3 -o runs/gue
"""
NT_EXAMPLES = """\b
Examples:
  lexome evaluate nt -m new:bpnet -m new:deepstarr -o runs/nt
"""
DEEPLOC_EXAMPLES = """\b
Examples:
  lexome evaluate deeploc -m protein-mini --method frozen --method ia3 -o runs/deeploc
  lexome evaluate deeploc -m protein-mini --method frozen --tasks localization --folds -o runs/ten
"""
