"""Stockholm and aligned FASTA give the same rows as A3M; insertions are kept where they matter."""

import gzip

import pytest

from lexome.errors import InputError
from lexome.io.alignments import read_alignment, read_focus_alignment
from lexome.io.stockholm import read_stockholm

A3M = ">q/5-9\nMKiTV\n>s\nMR--\n>t\n-KaaTV\n"
STOCKHOLM = """# STOCKHOLM 1.0
#=GF ID toy
q/5-9  MKi.
s      MR..
t      -Kaa
#=GC RF xx..

q/5-9  TV
s      ..
t      TV
//
"""
AFA = ">q/5-9\nMKi.TV\n>s\nMR..--\n>t\n-KAATV\n"


@pytest.mark.parametrize(
    ("name", "text"), [("x.a3m", A3M), ("x.sto", STOCKHOLM), ("x.stk", STOCKHOLM), ("x.afa", AFA)]
)
def test_all_formats_of_one_alignment_read_alike(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    for path in (tmp_path / name, tmp_path / f"{name}.gz"):
        plain = read_alignment(path)
        assert (plain.name, plain.ids) == ("x", ["q/5-9", "s", "t"])
        assert plain.rows == ["MKTV", "MR--", "-KTV"]
        aligned = read_focus_alignment(path)
        assert aligned.rows == ["MKiTV", "MR--", "-KaaTV"]
        assert (aligned.focus.first, aligned.focus.query) == (5, "MKITV")
        assert aligned.focus.offsets == (0, 1, 3, 4)


def test_stockholm_in_blocks_keeps_the_letters_as_written(tmp_path):
    (tmp_path / "x.sto").write_text(STOCKHOLM)
    assert read_stockholm(tmp_path / "x.sto") == (
        ["q/5-9", "s", "t"],
        ["MKi.TV", "MR....", "-KaaTV"],
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">q\nMKT\n", "line 1: saw '>q', expected the line `# STOCKHOLM 1.0`"),
        ("# STOCKHOLM 1.0\nq MKT\n", "no `//` at the end"),
        (
            "# STOCKHOLM 1.0\nq MKT\n//\n# STOCKHOLM 1.0\nq MKT\n//\n",
            "line 4: saw a second alignment",
        ),
        ("# STOCKHOLM 1.0\nq MKT A\n//\n", "line 2: saw 'q MKT A', expected a name and its row"),
        ("# STOCKHOLM 1.0\nq MKT\ns MK\n//\n", r"row 2 \(s\): saw 2 columns, expected 3"),
        ("# STOCKHOLM 1.0\nq mkt\ns MKT\n//\n", "a first row without a capital letter"),
        ("# STOCKHOLM 1.0\n//\n", "saw no row"),
    ],
)
def test_a_broken_stockholm_file_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "x.sto").write_text(text)
    with pytest.raises(InputError, match=message):
        read_alignment(tmp_path / "x.sto")


def test_a_query_in_lower_case_is_refused(tmp_path):
    (tmp_path / "x.a3m").write_text(">q\nmkt\n>s\nmkt\n")
    with pytest.raises(InputError, match="no column"):
        read_focus_alignment(tmp_path / "x.a3m")
