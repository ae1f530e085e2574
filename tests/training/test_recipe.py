"""Recipes: what is read, what is put in its place by `--set`, and what is refused in which words."""

from pathlib import Path

import pytest

from lexome.errors import InputError
from lexome.training.pretraining.recipe import Recipe, read_recipe

SMALL = """
name = "small"
[model]
num_layers = 2
width = 32
num_heads = 4
ffn_width = 64
[training]
steps = 10
token_batch = 1000
"""


def write(folder: Path, text: str = SMALL) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_a_recipe_says_little_and_the_rest_is_esm2s(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path))
    assert (recipe.model.width, recipe.training.steps, recipe.name) == (32, 10, "small")
    objective = recipe.objective
    assert (objective.kind, objective.rate, objective.masked, objective.replaced) == (
        "masked",
        0.15,
        0.8,
        0.1,
    )
    assert (recipe.training.second_moment, recipe.training.warmup) == (0.98, 2000)


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).resolve().parents[2].glob("recipes/*.toml")), ids=lambda p: p.stem
)
def test_every_recipe_that_is_shipped_can_be_read(path: Path) -> None:
    assert read_recipe(path).name == path.stem


def test_what_is_set_is_typed_as_toml_and_else_taken_as_text(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(tmp_path),
        {
            "training.learning_rate": "1e-3",
            "objective.kind": "causal",
            "model.family": "decoder",
            "data.sources": '["a.fasta", "b.fasta"]',
            "watch.tensorboard": "true",
            "name": "other",
        },
    )
    assert recipe.training.learning_rate == 1e-3
    assert recipe.objective.kind == "causal"
    # typed on the command line, a path starts where it is typed
    assert recipe.data.sources == tuple(str(Path.cwd() / name) for name in ("a.fasta", "b.fasta"))
    assert recipe.watch.tensorboard is True
    assert recipe.name == "other"


@pytest.mark.parametrize(
    ("overrides", "where", "seen"),
    [
        ({"training.step": "5"}, "training.step", "5"),
        ({"model.width": "30"}, "model", "30"),
        ({"model.width": "wide"}, "model.width", "'wide'"),
        ({"objective.masked": "0.95"}, "objective", "0.95"),
        ({"objective.rate": "0"}, "objective.rate", "0"),
        ({"training.token_batch": "0"}, "training.token_batch", "0"),
        ({"training.dtype": "fp16"}, "training.dtype", "'fp16'"),
        ({"name.first": "x"}, "--set name.first", "name, which is no table"),
    ],
)
def test_what_a_recipe_cannot_be_is_refused_where_it_stands(
    tmp_path: Path, overrides: dict[str, str], where: str, seen: str
) -> None:
    with pytest.raises(InputError) as found:
        read_recipe(write(tmp_path), overrides)
    assert found.value.where.endswith(where)
    assert seen in found.value.seen


def test_a_missing_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.steps: saw nothing, expected field required"):
        read_recipe(write(tmp_path, SMALL.replace("steps = 10\n", "")))


def test_no_file_and_no_toml_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="saw no such file, expected a recipe"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(InputError, match="expected TOML"):
        read_recipe(write(tmp_path, "name = \n"))


def test_a_run_is_the_same_run_however_it_is_watched_and_wherever_its_data_lie(
    tmp_path: Path,
) -> None:
    path = write(tmp_path)
    same = {"watch.log_every": "1", "data.sources": '["elsewhere.fasta"]'}
    assert read_recipe(path, same).identity() == read_recipe(path).identity()
    for other in ({"seed": "2"}, {"training.clip": "2.0"}, {"model.width": "64"}):
        assert read_recipe(path, other).identity() != read_recipe(path).identity()


def test_a_recipe_comes_back_from_what_a_run_writes_down_of_it(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path))
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
