"""Pictures look the same every time, stand beside others in a page, and leave no trace behind."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import matplotlib
import numpy as np
import pytest

from lexome.plots import style
from tests.plots.colours import seen_by, separation


def draw(label: str = "curve", name: str = "one") -> str:
    with style.look():
        figure = style.new_figure(300, 200)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], marker="o", color=style.BLUE, label=label)
        style.legend(figure)
    return style.svg_of(figure, name, "A title")


def test_the_same_picture_gives_the_same_bytes():
    assert draw() == draw()


def test_every_id_starts_with_the_name_and_every_reference_is_met():
    svg = draw(name="roc")
    ids = re.findall(r' id="([^"]+)"', svg)
    referred = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)

    assert ids
    assert all(id_.startswith("roc-") for id_ in ids)
    assert len(set(ids)) == len(ids)
    assert set(referred) == set(ids)


def test_the_picture_is_well_formed_dateless_and_restyles_nothing_around_it():
    svg = draw()

    assert ElementTree.fromstring(svg).attrib["viewBox"] == "0 0 300 200"
    for absent in ("<style", "<metadata", "DOCTYPE", "<!--", "font-family: '"):
        assert absent not in svg


def test_colours_of_the_palette_follow_the_page_and_stand_alone_too():
    assert f"stroke:var(--blue,{style.BLUE})" in draw()


def test_text_is_kept_as_text_whatever_it_holds():
    svg = draw('a < b & $x$ id="m" 中 #0b6cb0')

    texts = [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    assert 'a < b & $x$ id="m" 中 #0b6cb0' in texts


def test_a_long_text_loses_its_middle_and_control_characters():
    assert style.short("Endoplasmic reticulum membrane", 20) == "Endoplasmi…m membrane"
    assert style.short("a\x00b\n c") == "a b c"
    assert style.short("short") == "short"


def test_the_settings_of_matplotlib_are_left_as_found():
    before = dict(matplotlib.rcParams)

    draw()

    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("eyes", ["all colours", "no red", "no green", "no blue"])
def test_the_colours_of_curves_stay_apart_to_every_eye(eyes):
    """A difference of 10 in CIELAB is seen at a glance; 2.3 is just noticeable."""
    apart = [
        separation(seen_by(eyes, one), seen_by(eyes, two))
        for one, two in combinations(style.SERIES, 2)
    ]
    assert min(apart) > 10


def test_numbers_are_rounded_to_a_hundredth_of_a_pixel():
    drawn = np.array([float(n) for n in re.findall(r'd="M ([\d.]+)', draw())])

    assert drawn.size
    assert np.allclose(drawn, np.round(drawn, 2))
