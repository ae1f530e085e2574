"""`lexome plan`: the table, its JSON, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lexome.training.pretraining import plan as planning
from tests.commands import Finished
from tests.toy_pretraining import write_recipe

Lexome = Callable[..., Finished]


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "product_ceiling", lambda device, dtype: 1e11)


def test_plan_prints_a_line_a_machine(lexome: Lexome, tmp_path: Path) -> None:
    done = lexome("plan", write_recipe(tmp_path))
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "machine,busy,tokens_per_s,hours_per_1e9,hours,basis"
    assert [line.split(",")[0] for line in lines[2:]] == [f"{n} H200" for n in (1, 8, 64, 512)]
    assert "CPU core" in lines[1]
    assert [line.split()[0] for line in done.err.splitlines()] == [
        "Model",
        "Work",
        "Length",
        "Memory",
    ]
    assert lexome("plan", write_recipe(tmp_path), "--quiet").err == ""


def test_plan_tells_all_of_it_as_json_with_what_is_set(lexome: Lexome, tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    plain = json.loads(lexome("plan", path, "--json").out)
    wider = json.loads(lexome("plan", path, "--set", "model.width=32", "--json").out)
    assert wider["parameters"] > plain["parameters"] == planning.plan_recipe(path).parameters
    memory = plain["memory"]
    assert memory["total"] == sum(n for part, n in memory.items() if part != "total")
    assert plain["forecasts"][1]["machine"] == "1 H200"
    assert plain["tokens"] == 20 * 600


def test_plan_refuses_what_it_cannot_read(lexome: Lexome, tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    for words, said in (
        ((tmp_path / "none.toml",), "saw no such file"),
        ((path, "--set", "steps"), "saw no KEY=VALUE"),
        ((path, "--set", "training.steps=0"), "training.steps: saw 0"),
    ):
        done = lexome("plan", *words)
        assert (done.code, done.out) == (2, "")
        assert said in done.error
