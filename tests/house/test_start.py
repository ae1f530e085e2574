"""Importing lexome, and `lexome --help`, load nothing heavy and say nothing."""

import subprocess
import sys

HEAVY = {"torch", "sklearn", "scipy", "transformers", "polars", "pyarrow", "matplotlib", "pandas"}
LOADED = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_importing_lexome_is_silent_and_loads_only_the_standard_library() -> None:
    done = run_python(f"import lexome\n{LOADED}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    loaded = set(done.stderr.split())
    assert "lexome" in loaded
    assert not loaded & (HEAVY | {"numpy", "typer", "rich", "pydantic"})


def test_every_name_of_the_front_can_be_used() -> None:
    done = run_python("import lexome\nfor name in lexome.__all__: getattr(lexome, name)")
    assert done.returncode == 0, done.stderr


def run_help(*verb: str) -> subprocess.CompletedProcess[str]:
    return run_python(
        "import sys, atexit\n"
        f"atexit.register(lambda: exec({LOADED!r}))\n"
        f"sys.argv = ['lexome', *{list(verb)!r}, '--help']\n"
        "from lexome.cli.main import main\n"
        "main()"
    )


def test_help_loads_nothing_heavy() -> None:
    done = run_help()
    assert done.returncode == 0, done.stderr
    assert "Usage: lexome" in done.stdout
    loaded = set(done.stderr.split())
    assert "lexome" in loaded
    assert not loaded & HEAVY, f"--help loads {loaded & HEAVY}"


def test_the_help_of_every_verb_loads_nothing_heavy_and_ends_with_examples() -> None:
    from lexome.cli.main import app

    verbs = [str(command.name) for command in app.registered_commands]
    assert {"doctor", "embed", "finetune", "predict"} <= set(verbs)
    for verb in verbs:
        done = run_help(verb)
        assert done.returncode == 0, done.stderr
        assert not set(done.stderr.split()) & HEAVY, f"{verb} --help"
        assert f"lexome {verb}" in done.stdout.split("Options:")[-1], (
            f"{verb}: no examples at the end"
        )


def test_loading_weights_does_not_load_the_compiler() -> None:
    done = run_python(
        "import sys, lexome\n"
        "model = lexome.load('protein-mini', device='cpu', offline=True)\n"
        "model.run('MKV')\n"
        "print('torch._dynamo' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
