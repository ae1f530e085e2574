"""A room imports only from lower floors: HOUSE's "Doors", held for every way to write an import."""

import ast
import re
from pathlib import Path

import pytest

from tests.house.sources import PACKAGE, Source, sources

FLOORS = [
    ["errors"],
    ["devices", "seeds", "progress", "weights"],
    ["sequence"],
    ["results"],
    ["io", "tokenizers", "layers", "plots"],
    ["reports", "batches", "grammars"],
    ["architectures"],
    ["checkpoints"],
    ["distributed"],
    ["inference"],
    ["scoring", "generation", "interpretation", "search"],
    ["evaluation"],
    ["training"],
    ["suites"],
    ["cli", "web"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FRONT = "__init__"  # hands out names of all rooms, each imported when it is first asked for
FREE = {"__version__"}  # names of the front that any room may read
NAMED = re.compile(
    r"lexome\.([a-z_]+)[a-z_.]*(?::\w+)?"
)  # in a table: "lexome.io.fasta:read_fasta"


def imported_rooms(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, room) of everything that a file takes from the package; "." for a relative import."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                found.append((node.lineno, "."))
            elif node.module == "lexome":
                rooms = [alias.name for alias in node.names if alias.name not in FREE]
                found += [(node.lineno, room) for room in rooms]
            elif node.module and node.module.startswith("lexome."):
                found.append((node.lineno, node.module.split(".")[1]))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "lexome":
                    found.append((node.lineno, parts[1] if len(parts) > 1 else FRONT))
        elif isinstance(node, ast.Constant) and (match := NAMED.fullmatch(str(node.value))):
            found.append((node.lineno, match[1]))
    return found


def broken_doors(source: Source) -> list[str]:
    """What a file imports that does not lie below it."""
    if source.room == FRONT:
        return []
    messages = []
    for line, room in imported_rooms(source.tree):
        if room == ".":
            messages.append(f"{source.name}:{line}: a relative import; write it from lexome on")
        elif room not in FLOOR:
            messages.append(f"{source.name}:{line}: imports {room!r}, which is on no floor")
        elif room != source.room and FLOOR[room] >= FLOOR.get(source.room, -1):
            messages.append(f"{source.name}:{line}: {source.room} imports {room}, not below it")
    return messages


def test_every_import_goes_down() -> None:
    broken = [message for source in sources() for message in broken_doors(source)]
    assert not broken, "\n".join(broken)


def test_every_room_and_every_file_at_the_top_has_a_floor() -> None:
    rooms = {source.room for source in sources()} - {FRONT, "__main__"}
    assert rooms <= set(FLOOR), f"give {rooms - set(FLOOR)} a floor in HOUSE and in FLOORS"


@pytest.mark.parametrize(
    ("room", "code", "is_broken"),
    [
        ("io", "from lexome.errors import InputError", False),
        ("io", "from lexome.io.streams import open_bytes", False),
        ("io", "from lexome.training.loop import fit", True),
        ("io", "from lexome import training", True),
        ("io", "from lexome import __version__", False),
        ("io", "import lexome.training.loop as loop", True),
        ("io", "import lexome", True),
        ("io", "from lexome.layers.rotary import Rotary", True),  # sideways
        ("io", "from . import fasta", True),
        ("io", "from ..errors import InputError", True),
        ("io", "def f():\n    from lexome.web.app import serve", True),
        ("io", "READERS = {'a': 'lexome.training.loop:fit'}", True),
        ("io", "READERS = {'a': 'lexome.io.fasta:read_fasta'}", False),
        ("io", "import lexomes.training", False),
        ("errors", "from lexome.seeds import derive_seed", True),
        ("seeds", "from lexome.errors import InputError", False),
        ("cli", "from lexome.attic import old", True),
        ("__init__", "from lexome.training.finetune import finetune", False),
    ],
)
def test_the_rule_sees_every_way_to_write_an_import(room: str, code: str, is_broken: bool) -> None:
    path = PACKAGE / (f"{room}.py" if room in ("errors", "seeds", FRONT) else Path(room, "x.py"))
    assert bool(broken_doors(Source(path, code, ast.parse(code)))) == is_broken
