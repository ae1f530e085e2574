"""Counts of replaced letters and their one wording."""

from lexome.sequence.letter_counts import LetterCounts


def test_rows_without_a_replaced_letter_do_not_count():
    counts = LetterCounts()
    assert str(counts) == ""
    for replaced in ({"J": 1000}, {}, {"J": 500, "t": 1}):
        counts.add(replaced)
    assert (counts.rows, counts.total) == (2, 1501)
    assert str(counts) == "1,501 letters mapped in 2 rows (J 1,500, t 1)"


def test_letters_beyond_the_eighth_are_not_listed_but_hinted_at():
    counts = LetterCounts()
    counts.add(dict.fromkeys("abcdefghi", 1))
    assert counts.what == "letters mapped in 1 rows (a 1, b 1, c 1, d 1, e 1, f 1, g 1, h 1, ...)"
    assert counts.total == 9
