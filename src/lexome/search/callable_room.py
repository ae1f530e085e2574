"""Makes the room callable, as it has the name of the function that it is known for.

Python puts the room at `lexome.search` when any of its files is imported; `lexome.search(...)`
is to work before and after.
"""

import sys
from types import ModuleType
from typing import Any


class CallableRoom(ModuleType):
    """A package that answers a call."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """As `lexome.search.neighbours.search`."""
        from lexome.search.neighbours import search

        return search(*args, **options)


sys.modules["lexome.search"].__class__ = CallableRoom
