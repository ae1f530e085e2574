"""Files are short, say what they are for, have telling names, and the map of them is true."""

import ast
import re

import pytest

from tests.house.sources import PACKAGE, PROJECT, sources

MOST_LINES = 400
BANNED = {"utils", "util", "common", "core", "misc", "helpers", "helper", "base"}
PATH_IN_TEXT = re.compile(r"`([\w./*-]+/[\w./*-]*|[\w-]+\.(?:md|toml|txt|py)|Makefile)`")


def test_no_file_is_longer_than_one_can_hold_in_mind() -> None:
    long = {s.name: n for s in sources() if (n := s.text.count("\n")) > MOST_LINES}
    assert not long, f"split these at {MOST_LINES} lines: {long}"


def test_no_room_or_file_has_a_name_that_says_nothing() -> None:
    places = [*PACKAGE.rglob("*"), *(PROJECT / "tests").rglob("*")]
    found = [p for p in places if p.stem.removeprefix("test_").lower() in BANNED]
    assert not found, [str(place.relative_to(PROJECT)) for place in found]


def test_every_file_opens_with_a_sentence_on_what_it_is_for() -> None:
    silent = [s.name for s in sources() if not (ast.get_docstring(s.tree) or "").strip()]
    assert not silent, silent


def test_every_public_function_and_class_has_a_docstring() -> None:
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    bare = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in sources()
        for node in source.tree.body
        if isinstance(node, definitions)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare, "\n".join(bare)


def test_nothing_is_left_for_later_in_a_comment() -> None:
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    found = [
        f"{source.name}:{number}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), start=1)
        if mark.search(line)
    ]
    assert not found, found


def test_a_package_folder_holds_a_docstring_and_imports_only() -> None:
    allowed = ast.Expr | ast.Import | ast.ImportFrom | ast.Assign
    logic = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        if source.path.name == "__init__.py" and source.path.parent != PACKAGE
        for node in source.tree.body
        if not isinstance(node, allowed)
    ]
    assert not logic, logic


@pytest.mark.parametrize("page", ["MAP.md", "CONTRIBUTING.md"])
def test_every_path_that_the_page_names_exists(page: str) -> None:
    named = set(PATH_IN_TEXT.findall((PROJECT / page).read_text(encoding="utf-8")))
    assert len(named) > 10, "the page names hardly a path: is the pattern still right?"
    roots = (PROJECT, PACKAGE)
    # demo/, runs/ and .venv/ are made by the commands of the Makefile
    lost = {
        path
        for path in named
        if not any(list(root.glob(path.rstrip("/"))) for root in roots)
        and path.split("/")[0] not in ("demo", "runs", ".venv")
    }
    assert not lost, f"{page} names what is not there: {sorted(lost)}"


def test_every_room_is_on_the_map() -> None:
    text = (PROJECT / "MAP.md").read_text(encoding="utf-8")
    rooms = {source.room for source in sources() if source.path.parent != PACKAGE}
    missing = {room for room in rooms if f"{room}/" not in text}
    assert not missing, f"MAP.md does not mention {sorted(missing)}"
