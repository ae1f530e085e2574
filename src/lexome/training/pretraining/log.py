"""What a pre-training writes down while it runs: JSON lines, and TensorBoard where asked for."""

import json
import time
from pathlib import Path
from typing import Any

from lexome.errors import InputError
from lexome.results.files import json_text, translate_disk_errors, write_text


class Clock:
    """Speed since the last line of the log; what was not training is left out."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.seconds, self.tokens, self.began = 0.0, 0, time.monotonic()

    def pause(self) -> None:
        """Stop counting seconds."""
        self.seconds += time.monotonic() - self.began

    def go_on(self) -> None:
        """Count again."""
        self.began = time.monotonic()

    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / max(self.seconds + time.monotonic() - self.began, 1e-9)


class Log:
    """JSON lines; what was written behind the step that a run resumes from is taken back."""

    def __init__(self, path: Path, step: int, writes: bool, tensorboard: bool) -> None:
        self.path, self.writes = path, writes
        self.board: Any = None
        if not writes:
            return
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= step]
        write_text(path, "".join(line + "\n" for line in kept))
        if tensorboard:
            self.board = _board(path.parent)

    def write(self, entry: dict[str, Any]) -> None:
        """One line."""
        if not self.writes:
            return
        with translate_disk_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json_text(entry) + "\n")
        if self.board is not None:
            for key, value in entry.items():
                if isinstance(value, float):
                    self.board.add_scalar(key, value, entry["step"])

    def close(self) -> None:
        """Let go of the board."""
        if self.board is not None:
            self.board.close()


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError):  # a line that a kill cut short
        return 1 << 62


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as problem:
        raise InputError(
            "watch.tensorboard",
            "no tensorboard installed",
            "the extra `track`",
            "`pip install 'lexome[track]'`, or tensorboard = false",
        ) from problem
    return SummaryWriter(str(folder / "tensorboard"))
