"""Strips of truth and prediction: what is drawn, what is left blank, what is cut."""

from lexome.plots import style
from lexome.plots.residue_strips import LONGEST_LINE, MOST_LINES, Strip, draw_strips


def texts(*strips, ignore=""):
    figure = draw_strips(strips, ["C", "H"], ["coil", "helix"], "C", ignore)
    return figure, style.svg_of(figure, "s")


def test_misses_get_a_dot_and_ignored_residues_get_nothing():
    figure, svg = texts(Strip("a", "MKTA", "-HHC", "HHCC"), ignore="-")
    axes = figure.axes[0]
    assert axes.lines[0].get_xdata().tolist() == [2.5]
    widths = [patch.get_paths()[0].get_extents().width for patch in axes.collections]
    # truth: HH, C; prediction: HH, CC
    assert [round(width + 0.08) for width in widths] == [2, 1, 2, 2]
    for words in ("2 of 3 right", "coil", "helix", ">truth<", ">predicted<"):
        assert words in svg


def test_long_sequences_are_cut_into_lines_and_the_rest_is_told():
    length = LONGEST_LINE * (MOST_LINES + 1)
    figure, svg = texts(Strip("long", "M" * length, "H" * length, "H" * length))
    assert len(figure.axes) == MOST_LINES
    assert f"the first {LONGEST_LINE * MOST_LINES} of {length} residues" in svg
    assert str(LONGEST_LINE * MOST_LINES) in svg


def test_each_label_has_a_colour_of_its_own_and_the_commonest_none():
    labels = list("ABCDEFG")
    strip = Strip("a", "M" * 7, "ABCDEFG", "ABCDEFG")
    figure = draw_strips([strip], labels, labels, "D", "")
    colours = [tuple(patch.get_facecolor()[0]) for patch in figure.axes[0].collections[:7]]
    assert len(set(colours)) == 7
