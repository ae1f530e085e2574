"""`lexome`: finds the verb, and turns every error into one line and an exit code."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from lexome import __version__
from lexome.cli import (
    audit,
    calibrate,
    compare,
    convert,
    doctor,
    embed,
    evaluate,
    explain,
    fewshot,
    finetune,
    generate,
    models,
    plan,
    predict,
    pretrain,
    scan,
    score,
    search,
    split,
    variants,
)
from lexome.devices import wait_politely
from lexome.errors import Interrupted, LexomeError

app = typer.Typer(
    name="lexome",
    help="Language models of DNA, RNA and proteins: exact, fast, never silently wrong.",
    epilog="Start with: lexome doctor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
VERBS: dict[
    str, tuple[Callable[..., None], str]
] = {  # one line a verb: its function and the examples that end its help
    "audit": (audit.audit, audit.EXAMPLES),
    "calibrate": (calibrate.calibrate, calibrate.EXAMPLES),
    "compare": (compare.compare, compare.EXAMPLES),
    "convert": (convert.convert, convert.EXAMPLES),
    "doctor": (doctor.doctor, doctor.EXAMPLES),
    "embed": (embed.embed, embed.EXAMPLES),
    "explain": (explain.explain, explain.EXAMPLES),
    "fetch": (models.fetch, models.FETCH_EXAMPLES),
    "fewshot": (fewshot.fewshot, fewshot.EXAMPLES),
    "finetune": (finetune.finetune, finetune.EXAMPLES),
    "generate": (generate.generate, generate.EXAMPLES),
    "models": (models.models, models.EXAMPLES),
    "plan": (plan.plan, plan.EXAMPLES),
    "predict": (predict.predict, predict.EXAMPLES),
    "pretrain": (pretrain.pretrain, pretrain.EXAMPLES),
    "scan": (scan.scan, scan.EXAMPLES),
    "score": (score.score, score.EXAMPLES),
    "search": (search.search, search.EXAMPLES),
    "split": (split.split, split.EXAMPLES),
    "variants": (variants.variants, variants.EXAMPLES),
    "verify": (models.verify, models.VERIFY_EXAMPLES),
}
for name, (function, examples) in VERBS.items():
    app.command(name=name, epilog=examples)(function)
app.add_typer(evaluate.app, name="evaluate")  # `lexome evaluate SUITE`: a function a suite


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Language models of DNA, RNA and proteins: exact, fast, never silently wrong."""
    if version:
        print(f"lexome {__version__}")
        raise typer.Exit
    if debug:
        os.environ["LEXOME_DEBUG"] = "1"


_arrived: list[str] = []  # names of the signals that came


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 our fault, 2 the input's or the machine's, 3 stopped by a signal, 4 done
    but some rows carry a reason instead of a result, or an audit found leaks.
    """
    wait_politely()
    _arrived.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        code = int(app(standalone_mode=False) or 0)  # an Exit inside comes back as its code
    except typer.Exit as stop:
        code = stop.exit_code
    except typer.Abort:
        code = 3
    except BaseException as problem:
        code = _code_of(problem)
    sys.stderr.flush()
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    _arrived.append(signal.Signals(number).name)
    raise Interrupted(_arrived[-1])


def _code_of(problem: BaseException) -> int:
    """Say what went wrong and give the exit code for it."""
    if _arrived:
        # Raised within compiled code (torch, numpy), it may come out as an error of theirs.
        return _report(Interrupted(_arrived[-1]), Interrupted.exit_code)
    if isinstance(problem, LexomeError):
        return _report(problem, problem.exit_code)
    if not isinstance(problem, Exception):
        raise problem
    show = getattr(problem, "show", None)  # click's own usage errors know how to print themselves
    if show is not None:
        show()
        return int(getattr(problem, "exit_code", 2))
    from lexome.errors import EnvironmentProblem
    from lexome.results.files import translate_disk_errors

    try:
        with translate_disk_errors(Path.cwd()):
            raise problem
    except EnvironmentProblem as known:
        return _report(known, 2)
    except Exception:
        return _report(problem, 2 if isinstance(problem, OSError) else 1)


def _report(problem: BaseException, code: int) -> int:
    if os.environ.get("LEXOME_DEBUG"):
        import traceback

        traceback.print_exception(problem)
    kind = (
        ""
        if isinstance(problem, LexomeError | Interrupted | OSError)
        else f"{type(problem).__name__}: "
    )
    text = " ".join(str(problem).split()) or type(problem).__name__
    if code == 1 and kind:
        text += " (our fault; `lexome --debug ...` shows where)"
    print(f"error: {kind}{text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
