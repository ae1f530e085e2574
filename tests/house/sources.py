"""The source files of the package, parsed once for all house tests."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "src" / "lexome"


class Source(NamedTuple):
    """A Python file of the package."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path as messages show it."""
        return str(self.path.relative_to(PROJECT))

    @property
    def room(self) -> str:
        """The room it stands in; for a file at the package's top, the file's own name."""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def sources() -> list[Source]:
    """Every Python file of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20, f"hardly any source under {PACKAGE}"
    return [
        Source(path, text, ast.parse(text))
        for path in files
        for text in [path.read_text(encoding="utf-8")]
    ]
