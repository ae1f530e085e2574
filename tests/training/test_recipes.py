"""Recipes: the values typed after --set, and which model reads what with which."""

import pytest

from lexome.architectures.families import NEW_MODELS
from lexome.errors import InputError
from lexome.training.recipes import choose_recipe, read_values
from lexome.training.settings import FinetuneSettings


def test_values_take_the_type_that_a_recipe_has():
    found = read_values({"learning_rate": "1e-3", "adapter_rank": "4", "long": "crop:5+5"})
    assert found == {"learning_rate": 1e-3, "adapter_rank": 4, "long": "crop:5+5"}
    assert choose_recipe("new:cnn", "full", **found).long == "crop:5+5"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"learning_rat": "1"}, "learning_rate"),
        ({"batch_size": "many"}, "a whole number"),
        ({"both_strands": "perhaps"}, "true or false"),
        ({"mask": "x"}, "a number"),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_remedy(typed, said):
    with pytest.raises(InputError, match=said):
        read_values(typed)


@pytest.mark.parametrize("model", [name for name in NEW_MODELS if ":gpt" not in name])
def test_every_new_model_has_a_recipe_for_proteins_and_for_bases(model):
    protein, dna = (choose_recipe(model, "full", alphabet) for alphabet in ("protein", "dna"))
    assert dna.long == "whole"
    assert not dna.composition
    assert not dna.substitute
    assert FinetuneSettings(model=model, recipe=protein).recipe.epochs > 0


def test_a_pool_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="multiplicative"):
        FinetuneSettings(recipe=choose_recipe("new:cnn", "full", head_pooling="sum"))
