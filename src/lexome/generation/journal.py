"""Samples as they end, a line each, on disk: a run that was stopped finds them again."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lexome.errors import EnvironmentProblem
from lexome.generation.plan import Place
from lexome.results.files import lock_now, translate_disk_errors
from lexome.results.types import GeneratedSequence

BLOCK = 1 << 20


class Journal:
    """Lines that are only ever added; of each sample the place in the file is held, not the text.

    A line that a kill or a full disk cut short is the last one, and is taken off again.
    """

    def __init__(self, path: Path, output: Path) -> None:
        self.path, self.output = path, output
        self.means: dict[Place, float] = {}  # of what is there, the mean log-likelihood
        self._starts: dict[Place, int] = {}
        with translate_disk_errors(output):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: what `add` has written is in the system's hands, kill or no kill.
            self._file: IO[bytes] = path.open("a+b", buffering=0)
        if not lock_now(self._file.fileno()):
            self._file.close()
            raise EnvironmentProblem(
                str(output), "another run that is making it", "one run at a time", "another `-o`"
            )
        self._size = self._read_all()

    def __contains__(self, place: Place) -> bool:
        return place in self.means

    def add(self, place: Place, sample: GeneratedSequence) -> None:
        """Write one sample; raises EnvironmentProblem where the disk is full."""
        text = json.dumps([*place, *sample], ensure_ascii=False)
        line = f"{text}\n".encode()
        with translate_disk_errors(self.output):
            written = self._file.write(line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._note(place, sample.mean_log_likelihood, self._size)
        self._size += len(line)

    def read(self, place: Place) -> GeneratedSequence:
        """A sample that is there."""
        self._file.seek(self._starts[place])
        line = bytearray()
        while not line.endswith(b"\n") and b"\n" not in line:
            line += self._file.read(BLOCK)
        return _parse(bytes(line.split(b"\n", 1)[0]))[1]

    def close(self) -> None:
        """Leave it for a later run."""
        self._file.close()

    def remove(self) -> None:
        """Delete it: all is written elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _note(self, place: Place, mean: float, start: int) -> None:
        self.means[place], self._starts[place] = mean, start

    def _read_all(self) -> int:
        """Take note of whole lines and cut off the rest; the size in bytes."""
        end = 0
        for start, line in self._lines():
            try:
                place, sample = _parse(line)
            except (ValueError, TypeError, IndexError):
                break
            self._note(place, sample.mean_log_likelihood, start)
            end = start + len(line) + 1
        self._file.truncate(end)
        return end

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """(start, line) of every line that has its end."""
        self._file.seek(0)
        start, rest = 0, b""
        while block := self._file.read(BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield start, line
                start += len(line) + 1


def _parse(line: bytes) -> tuple[Place, GeneratedSequence]:
    prompt, number, *fields = json.loads(line)
    return Place(prompt, number), GeneratedSequence(*fields)
