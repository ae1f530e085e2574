"""The picture of a pre-training: the curve as given, and a readable label for every level."""

from lexome.plots.pretraining import draw_pretraining

CURVE = [(1e6, 18.0), (2e6, 16.0), (4e6, 15.0)]


def test_the_curve_is_the_one_given_on_a_logarithmic_axis() -> None:
    axes = draw_pretraining(CURVE, {}, "perplexity").axes[0]
    line = axes.lines[0]
    assert list(zip(*line.get_data(), strict=True)) == CURVE
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") == "Perplexity"


def test_levels_that_read_the_same_share_a_label() -> None:
    axes = draw_pretraining(CURVE, {"a": 17.61, "b": 17.62, "c": 18.2}, "perplexity").axes[0]
    assert [text.get_text() for text in axes.texts] == ["a, b  17.6", "c  18.2", "15.00"]
