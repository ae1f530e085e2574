"""How far a long run is: a bar on a terminal, one line a minute in a log, nothing when quiet."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Counts work done; `advance` and `note` are all that a caller needs."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0.0
        self.began = time.monotonic()

    def advance(self, amount: float) -> None:
        """Count `amount` more units as done."""
        self.done += amount

    def note(self, text: str) -> None:
        """Show a short text beside the bar, such as the last validation figure."""

    def restart_clock(self) -> None:
        """Leave out of the speed what an earlier, killed run had done."""
        self.began, self.skipped = time.monotonic(), self.done

    skipped = 0.0

    def rate(self) -> float:
        """Units a second since the clock started."""
        return (self.done - self.skipped) / max(time.monotonic() - self.began, 1e-9)

    def seconds_left(self) -> float | None:
        """Time left at the present speed, or None where no total is known."""
        if self.total is None or self.done <= self.skipped:
            return None
        return max(self.total - self.done, 0) / self.rate()


class LineProgress(Progress):
    """One line a minute on stderr."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        super().__init__(label, total, unit)
        self.text, self.last = "", time.monotonic()

    def advance(self, amount: float) -> None:
        super().advance(amount)
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            left = self.seconds_left()
            share = f"{self.done / self.total:4.0%}  " if self.total else ""
            rest = f"  {clock(left)} left" if left is not None else ""
            print(
                f"{self.label}  {share}{short(self.rate())} {self.unit}/s  {self.text}{rest}",
                file=sys.stderr,
                flush=True,
            )

    def note(self, text: str) -> None:
        self.text = text


class BarProgress(Progress):
    """A bar on a terminal."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__(label, total, unit)
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[speed]}  {task.fields[note]}  {task.fields[left]}"),
            transient=True,
        )
        self.task = self.bar.add_task(label, total=total, speed="", note="", left="")

    def advance(self, amount: float) -> None:
        super().advance(amount)
        left = self.seconds_left()
        self.bar.update(
            self.task,
            completed=self.done,
            speed=f"{short(self.rate())} {self.unit}/s",
            left=f"{clock(left)} left" if left is not None else "",
        )

    def note(self, text: str) -> None:
        self.bar.update(self.task, note=text)


@contextmanager
def show_progress(
    label: str, total: float | None = None, unit: str = "residues", quiet: bool = False
) -> Iterator[Progress]:
    """A counter for a long run, shown as the place where stderr goes allows."""
    if quiet:
        yield Progress(label, total, unit)
    elif not sys.stderr.isatty():
        yield LineProgress(label, total, unit)
    else:
        bar = BarProgress(label, total, unit)
        with bar.bar:
            yield bar


def short(number: float) -> str:
    """A number in three figures or so.

    >>> short(41234), short(87.25), short(3_200_000)
    ('41k', '87', '3.2M')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes.

    >>> clock(130), clock(7260)
    ('02:10', '2 h 01 min')
    """
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    return f"{int(seconds // 60):02d}:{int(seconds % 60):02d}"
