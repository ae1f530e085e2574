"""The atlas and the course of a search: what is written in them, odd tables do not break them."""

import numpy as np
import polars as pl
import pytest

from lexome.plots import style
from lexome.plots.atlas import draw_atlas
from lexome.plots.search import draw_search


def atlas(
    layers: int, heads: tuple[str, ...] = ("linear", "knn"), low: float = 0.5
) -> pl.DataFrame:
    rows = [
        (
            "m",
            layer,
            pooling,
            head,
            low + 0.4 * (layer + 1) / layers,
            layer == 1 and head == heads[0],
        )
        for layer in range(layers)
        for pooling in ("mean",)
        for head in heads
    ]
    rows += [("composition", None, "composition", head, 0.625, False) for head in heads]
    names = ["model", "layer", "pooling", "head", "value", "chosen"]
    return pl.DataFrame(rows, names, orient="row")


def test_the_atlas_writes_each_value_and_rings_one_cell() -> None:
    figure = draw_atlas(atlas(4), "m", "AUROC")
    svg = style.svg_of(figure, "a")
    for words in (
        ".600",
        ".900",
        ".625",
        "nearest neighbours",
        "composition",
        "AUROC",
        "best cell",
    ):
        assert words in svg
    rings = [p for axes in figure.axes[2:] for p in axes.patches if p.get_width() == 1]
    assert [(ring.get_x(), ring.get_y()) for ring in rings] == [(0, 1)]


@pytest.mark.parametrize("table", [atlas(1), atlas(60), atlas(3, ("mlp",)), atlas(2, low=np.nan)])
def test_odd_atlases_are_drawn(table: pl.DataFrame) -> None:
    assert "<svg" in style.svg_of(draw_atlas(table, "m", "Spearman"), "a")


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("names", [("a",), ("a", "b", "c", "d", "e", "f", "g")])
def test_a_search_is_drawn_with_a_panel_a_value(count: int, names: tuple[str, ...]) -> None:
    table = pl.DataFrame(
        {
            "trial": list(range(count)),
            "value": [0.5 + 0.1 * i for i in range(count)],
            "state": ["complete"] + ["pruned"] * (count - 1),
            "best": [True] + [False] * (count - 1),
        }
        | {f"setting_{name}": [10.0**i for i in range(count)] for name in names}
    )
    figure = draw_search(table, "AUPRC")
    assert len(figure.axes) == 1 + len(names)
    svg = style.svg_of(figure, "s")
    assert ("pruned" in svg) == (count > 1)
