"""Options that several verbs share, spelled once; and how results reach the terminal."""

import json
import shlex
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from lexome import __version__
from lexome.errors import InputError
from lexome.sequence.letter_counts import LetterCounts

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Sequence = Annotated[str | None, typer.Option(help="Sequence column of a table; else guessed.")]
Id = Annotated[
    str | None, typer.Option(help="Id column of a table; else guessed; '' numbers the rows.")
]
Unknown = Annotated[
    str, typer.Option(help="Letters outside the alphabet: refuse, map or reference.")
]
Depth = Annotated[
    int | None,
    typer.Option(help="Rows of an alignment at most; the most different ones are taken."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no announcements.")]
Json = Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stdout.")]
Offline = Annotated[bool, typer.Option("--offline", help="Open no socket.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's: training.steps=9"),
]

Long = Annotated[str, typer.Option(help="Beyond the context: refuse, window or whole.")]
Dtype = Annotated[str, typer.Option(help="fp32 (the reference) or bf16 (faster).")]
SuiteData = Annotated[
    Path | None,
    typer.Option(help="Folder of the suite's files; else found in LEXOME_SHARED or ../shared."),
]
SuiteOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="A table by its ending; else on the terminal alone."),
]


def overrides(texts: list[str] | None) -> dict[str, str]:
    """What `--set` puts in the place of a recipe's values."""
    return dict(_pair(text) for text in texts or [])


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(
            f"--set {text}", "no KEY=VALUE", "table.key=value", "--set training.steps=9"
        )
    return key.strip(), value.strip()


def command_line() -> str:
    """The command as it was typed, for provenance."""
    return shlex.join(["lexome", *sys.argv[1:]])


def provenance(**facts: object) -> dict[str, object]:
    """What made an output: command, version, time, and the facts given."""
    return {
        "command": command_line(),
        "lexome_version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }


def say(what: str, text: str, quiet: bool = False) -> None:
    """One line of what a run is doing, on stderr so that stdout stays clean."""
    if not quiet:
        print(f"{what:<10} {text}", file=sys.stderr, flush=True)


class Changes(Protocol):
    """The part of a summary that tells what was done to the sequences before a model saw them."""

    @property
    def mapped(self) -> dict[str, int]: ...
    @property
    def mapped_rows(self) -> int: ...
    @property
    def cropped(self) -> int: ...
    @property
    def windowed(self) -> int: ...


def say_changes(done: Changes, quiet: bool = False) -> None:
    """Letters mapped, rows cropped, rows windowed: a line each, where there were any."""
    if done.mapped:
        say("Letters", str(LetterCounts(Counter(done.mapped), done.mapped_rows)), quiet)
    if done.cropped:
        say("Cropped", f"{done.cropped:,} sequences to both ends: see residues_used", quiet)
    if done.windowed:
        say("Windows", f"{done.windowed:,} sequences went through in several: see windows", quiet)


def answer(summary: dict[str, Any], as_json: bool) -> None:
    """The summary of a verb as JSON on stdout, where asked for."""
    if as_json:
        print(json.dumps(summary, default=str))


def figure_lines(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The headline of mean, model in use and baseline with their intervals, a line each."""
    models = [
        model
        for model in metrics["models"]
        if model["kind"] in ("mean", "baseline") or model["name"] == metrics["chosen"]
    ]
    return [
        ("Baseline" if m["kind"] == "baseline" else "Test", _figures(m, metrics["headline"]))
        for m in models
    ]


def verdict(metrics: dict[str, Any]) -> str:
    """Whether the model in use is better than the baseline, by the paired difference."""
    headline = metrics["headline"]
    if "." not in headline[0]:
        return _verdict_on(metrics, headline[0])
    return "; ".join(_verdict_on(metrics, key) for key in headline)  # one a task


def _verdict_on(metrics: dict[str, Any], key: str) -> str:
    compared = metrics.get("comparison")
    name = key.replace("_", " ").upper() if len(key) < 6 else key
    if not compared:
        return "not compared: a run of an earlier Lexome"
    alone = str(compared["baseline"]).partition(" + ")[0]  # what it sees
    told = {
        "better": f"better than {alone}",
        "worse": f"worse than {alone}",
        "tie": f"a tie with {alone}",
        "undefined": f"cannot be given: {name} is undefined on these rows",
    }
    found = compared["metrics"][key]
    said = f"{told[found['verdict']]}{_difference(found, name)}"
    seeds = (compared.get("seeds") or {}).get(key)
    if seeds and seeds["verdict"] != found["verdict"]:
        said += f"; the seeds by themselves: {told[seeds['verdict']]}{_difference(seeds, name)}"
    return said


def _difference(found: dict[str, Any], name: str) -> str:
    if found["low"] is None:
        return ""
    ends = f"[{found['low']:+.3f}, {found['high']:+.3f}]"
    return f": {name} {found['difference']:+.3f} {ends}, p = {found['p']:.3g}"


def _figures(model: dict[str, Any], headline: list[str]) -> str:
    part = "test" if "test" in model["parts"] else "validation"
    texts = []
    for key in headline:
        found = model["parts"][part].get(key)
        if not found or found["value"] is None:
            continue
        text = f"{key.replace('_', ' ').upper() if len(key) < 6 else key} {found['value']:.3f}"
        if found["low"] is not None:
            text += f" [{found['low']:.3f}, {found['high']:.3f}]"
        if key == "auprc" and model["parts"][part].get("prevalence"):
            text += f" (prevalence {model['parts'][part]['prevalence']['value']:.2f})"
        texts.append(text)
    if isinstance(model["threshold"], float):
        texts.append(f"threshold {model['threshold']:.3f}")
    return f"{model['name']}: " + "   ".join(texts)
