"""The flags of every verb stand in cli_flags.txt, so that no one changes them by accident.

After a change that is meant: LEXOME_WRITE_FLAGS=1 python -m pytest tests/house/test_flags.py
"""

import os
from pathlib import Path

import typer

SNAPSHOT = Path(__file__).with_name("cli_flags.txt")


def describe(command: object, path: str) -> list[str]:
    """A line for each argument and option of a command, and of those below it."""
    lines = []
    for parameter in getattr(command, "params", []):
        flags = [*parameter.opts, *parameter.secondary_opts]
        if "--help" in flags:
            continue
        kind = getattr(parameter, "param_type_name", "")
        name = "/".join(sorted(flags, key=len, reverse=True)) if kind == "option" else "argument"
        shown = parameter.name.upper() if kind == "argument" else ""
        is_plain = parameter.default is None or callable(parameter.default)
        default = "" if is_plain else f" = {parameter.default}"
        marks = [mark for mark in ("required", "multiple") if getattr(parameter, mark, False)]
        lines.append(" ".join([path, name, shown, *marks]).replace("  ", " ").rstrip() + default)
    lines.sort()
    for name, below in sorted(getattr(command, "commands", {}).items()):
        lines += describe(below, f"{path} {name}")
    return lines


def test_the_flags_are_those_of_the_snapshot() -> None:
    from lexome.cli.main import app

    lines = describe(typer.main.get_command(app), "lexome")
    assert len(lines) > 10
    if os.environ.get("LEXOME_WRITE_FLAGS"):
        SNAPSHOT.write_text("\n".join(lines) + "\n")
    before, now = set(SNAPSHOT.read_text(encoding="utf-8").splitlines()), set(lines)
    assert before == now, "\n".join(
        ["the flags have changed (to accept: see this file's first lines)"]
        + [f"- {line}" for line in sorted(before - now)]
        + [f"+ {line}" for line in sorted(now - before)]
    )
