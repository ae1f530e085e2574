"""Options that several verbs share, spelled once; and how results reach the terminal."""

import json
import shlex
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from lexome import __version__

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Unknown = Annotated[
    str, typer.Option(help="Letters outside the alphabet: refuse, map or reference.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no announcements.")]
Json = Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stdout.")]
Offline = Annotated[bool, typer.Option("--offline", help="Open no socket.")]


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


def answer(summary: dict[str, Any], as_json: bool) -> None:
    """The summary of a verb as JSON on stdout, where asked for."""
    if as_json:
        print(json.dumps(summary, default=str))
