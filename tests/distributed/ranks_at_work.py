"""What the tests under `torchrun` start: each rank does the pre-trainings of a JSON file in turn."""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint import filesystem

from lexome.distributed import ranks
from lexome.training.pretraining.loop import Learner
from lexome.training.pretraining.pretrain import pretrain
from tests.toy_pretraining import unmeasured


def main(path: str) -> None:
    """Every job of the file that was not done before a restart."""
    rank = int(os.environ["RANK"])
    done = Path(f"{path}.done-by-{rank}")
    first = int(done.read_text()) if done.exists() else 0
    ranks.PATIENCE = ranks.LONG_PATIENCE = timedelta(seconds=60)  # a test that hangs should end
    restarts = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    jobs = json.loads(Path(path).read_text(encoding="utf-8"))
    for number, job in list(enumerate(jobs))[first:]:
        # The processes meet anew for each job, as they do behind a restart.
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(100 * number + restarts)
        with unmeasured():
            run(rank, **job)
        done.write_text(str(number + 1))


def run(
    rank: int,
    *,
    kill_at: int | None = None,
    fail_save: int | None = None,
    fails: str | None = None,
    **options: Any,
) -> None:
    """One pre-training; `kill_at` ends the last rank for good behind a step, once."""
    output = Path(options["output"])
    take, save = Learner.take, Learner.save
    if kill_at is not None and rank == int(os.environ["WORLD_SIZE"]) - 1:
        Learner.take = die_behind(take, kill_at, output / "killed")  # type: ignore[method-assign]
    if fail_save == rank:
        Learner.save = fail_within(save)  # type: ignore[method-assign]
    try:
        pretrain(**options)
    except Exception as problem:
        if fails is None:
            raise
        Path(f"{fails}.{rank}").write_text(f"{type(problem).__name__}: {problem}")
    finally:
        Learner.take, Learner.save = take, save  # type: ignore[method-assign]


def die_behind(take: Any, step: int, mark: Path) -> Any:
    """A step that the process does not outlive, unless it died there before."""

    def take_or_die(learner: Any, batch: Any) -> Any:
        if learner.step == step and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return take(learner, batch)

    return take_or_die


def fail_within(save: Any) -> Any:
    """One rank's disk is full when it writes its part."""

    def full(*args: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    def save_or_fail(learner: Any, folder: Path) -> None:
        kept, filesystem._write_item = filesystem._write_item, full
        try:
            save(learner, folder)
        finally:
            filesystem._write_item = kept

    return save_or_fail


if __name__ == "__main__":
    main(sys.argv[1])
