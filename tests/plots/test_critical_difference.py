"""The critical-difference diagram: all names and ranks are there, and nothing lies on anything."""

import itertools

import numpy as np
import pytest

from lexome.evaluation.ranks import compare_ranks
from lexome.plots import critical_difference, style

LONG = "nucleotide-transformer-v2-500m-multi-species, frozen"


def drawn(methods, tasks, seed=1, long=False):
    rng = np.random.default_rng(seed)
    names = [f"{LONG} {n}" if long else f"method {n}" for n in range(methods)]
    found = compare_ranks(rng.normal(size=(tasks, methods)) - np.arange(methods) / 4, names)
    figure = critical_difference.draw_critical_difference(
        found.methods,
        found.average_ranks,
        found.test.critical_difference,
        found.cliques,
        found.num_tasks,
    )
    return found, figure


def test_it_names_methods_ranks_tasks_and_the_difference():
    found, figure = drawn(4, 14)
    svg = style.svg_of(figure, "cd", "ranks")

    for name, rank in zip(found.methods, found.average_ranks, strict=True):
        assert name in svg
        assert f"{rank:.2f}" in svg
    assert "14 tasks" in svg
    assert f"critical difference {found.test.critical_difference:.2f}" in svg


@pytest.mark.parametrize(
    ("methods", "tasks"), [(3, 2), (3, 8), (6, 18), (12, 28), (12, 3), (25, 9)]
)
@pytest.mark.parametrize("long", [False, True])
def test_no_text_lies_on_another_or_outside(methods, tasks, long):
    _, figure = drawn(methods, tasks, long=long)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]

    for box in boxes:
        assert box.x0 >= 0
        assert box.x1 <= style.WIDTH
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.height
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_bars_that_share_a_method_stand_on_levels_of_their_own():
    assert critical_difference._stack([(0, 2), (1, 3), (2, 4), (3, 5)]) == [0, 1, 2, 0]


def test_without_a_test_only_the_ranks_are_drawn():
    figure = critical_difference.draw_critical_difference(["a", "b"], [1.5, 1.5])
    assert "critical" not in style.svg_of(figure, "cd")
