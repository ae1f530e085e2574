"""The frame escapes, holds its own against the palette of the pictures, and can be read by all."""

import re
from importlib.resources import files

import pytest

from lexome.plots import style
from lexome.reports import page
from lexome.reports.page import Html, text
from tests.plots.colours import contrast

CSS = files("lexome.reports").joinpath("page.css").read_text(encoding="utf-8")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block))


LIGHT = colours(CSS.partition("@media")[0])
DARK = colours(CSS.partition("@media")[2].partition("* {")[0])


def test_text_cannot_become_markup_and_keeps_our_no_break_space():
    assert (
        text("<b onclick='x'>\x00\u202e&\u00a0%") == "&lt;b onclick=&#x27;x&#x27;&gt;  &amp;\u00a0%"
    )


def test_the_page_has_the_colours_of_the_pictures_in_light_and_all_of_them_in_dark():
    assert {name: LIGHT[name] for name in style.VARIABLES.values()} == {
        name: colour for colour, name in style.VARIABLES.items()
    }
    assert set(DARK) == set(LIGHT)


@pytest.mark.parametrize("colours_", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["--paper", "--sunk", "--note", "--alarm"])
def test_words_stand_out_from_every_ground(colours_, ground):
    """WCAG 2 AA asks for a contrast of 4.5 for text."""
    for words in ("--ink", "--quiet", "--right", "--wrong", "--partly"):
        if ground == "--paper" or words in {"--ink", "--quiet"}:
            assert contrast(colours_[words], colours_[ground]) >= 4.5, (words, ground)


def test_a_table_right_aligns_numbers_and_names_its_rows():
    made = page.table([text("a"), text("b")], [[text("x"), text("1")]], emphasis=1)

    assert '<th scope="row">x</th>' in made
    assert '<td class="number chosen">1</td>' in made


def test_a_page_links_to_each_of_its_sections():
    made = page.whole_page(
        "T <1>", Html(""), [page.section("one", "First & last", text("body"))], Html("")
    )

    assert "<title>T &lt;1&gt;</title>" in made
    assert '<section id="one">\n<h2>First &amp; last</h2>' in made
    assert '<a href="#one">First &amp; last</a>' in made
