"""Every "module:name" in a table of the package leads somewhere."""

import ast
import re
from importlib import import_module

from tests.house.sources import sources

ENTRY = re.compile(r"(lexome(?:\.\w+)+):(\w+)")


def test_every_entry_of_a_table_can_be_imported() -> None:
    entries = {
        (match[1], match[2])
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (match := ENTRY.fullmatch(node.value))
    }
    assert ("lexome.io.fasta", "read_fasta") in entries
    for module, name in sorted(entries):
        assert hasattr(import_module(module), name), f"{module} has no {name}"
