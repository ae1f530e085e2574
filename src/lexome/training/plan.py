"""What a pre-training costs before it is begun: parameters, operations, memory, time."""

from lexome.batches.shards import Corpus
from lexome.training.recipe import Recipe


def flops_per_token(recipe: Recipe, corpus: Corpus) -> float:
    """Multiplications and additions of one training token: forward once, backward twice that.

    Two for each weight of a matrix; in attention 4 x length x width a layer; the head only where
    the loss is taken.
    """
    model = recipe.model
    layer = 4 * model.width**2 + 2 * model.width * model.ffn_width
    mean = corpus.train.residues / max(corpus.train.sequences, 1)
    attention = 4 * min(mean, recipe.training.context) * model.width
    share = recipe.objective.rate if recipe.objective.kind == "masked" else 1.0
    head = 2 * share * (model.width**2 + 33 * model.width)
    return 3 * (model.num_layers * (2 * layer + attention) + head)
