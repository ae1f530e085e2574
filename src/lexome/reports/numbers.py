"""How numbers are written in a page: thousands apart, intervals in brackets, never NaN."""

import math

from lexome.reports.page import Html, text
from lexome.results.types import Estimate

NOTHING = Html('<span class="nothing" title="not defined here">–</span>')


def whole(count: float) -> str:
    """A count with its thousands apart.

    >>> whole(17145)
    '17,145'
    """
    return f"{int(count):,}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count and its noun, in the right number.

    >>> counted(1, "copy", "copies"), counted(1200, "sequence")
    ('1 copy', '1,200 sequences')
    """
    return f"{whole(count)} {noun if count == 1 else plural or noun + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """A share of one as a percentage that does not break over two lines; small ones keep a digit.

    >>> percent(0.0917), percent(0.0007)
    ('9.2\\xa0%', '0.07\\xa0%')
    """
    value = 100 * share
    if 0 < abs(value) < 0.1:
        return f"{value:.1g}\u00a0%"
    return f"{value:.{digits}f}\u00a0%"


def decimal(value: float, has_unit: bool = False) -> str:
    """Three decimals, or three figures for what carries a unit; minus is a minus sign.

    >>> decimal(0.91249), decimal(-0.05), decimal(1234.5, has_unit=True)
    ('0.912', '−0.050', '1,234')
    """
    if has_unit and value:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        written = f"{value:,.{digits}f}"
    else:
        written = f"{round(value, 3) + 0.0:.3f}"  # + 0.0: no minus before a zero
    return written.replace("-", "−")


def exact(value: float, has_unit: bool = False) -> Html:
    """The number as it is read, with the full value behind it for programs that read the page."""
    return Html(f'<data value="{value!r}">{decimal(value, has_unit)}</data>')


def interval(estimate: Estimate, has_unit: bool = False) -> str:
    """The 95 % interval in brackets; empty where there is none.

    >>> interval(Estimate(0.921, 0.909, 0.9319))
    '[0.909, 0.932]'
    """
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    return f"[{decimal(estimate.low, has_unit)}, {decimal(estimate.high, has_unit)}]"


def with_interval(estimate: Estimate | None, has_unit: bool = False) -> Html:
    """A figure with its interval below it in small, for a cell of a table."""
    if estimate is None:
        return NOTHING
    below = interval(estimate, has_unit)
    small = f"<small>{text(below)}</small>" if below else ""
    return Html(f"{exact(estimate.value, has_unit)}{small}")


def cutoff(value: float) -> str:
    """A threshold: three figures at most, so that small ones do not become zero.

    >>> cutoff(0.41), cutoff(0.41374), cutoff(0.00412)
    ('0.41', '0.414', '0.00412')
    """
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """A time in the two units that matter.

    >>> duration(512.3), duration(42), duration(7384)
    ('8 min 32 s', '42 s', '2 h 03 min')
    """
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"
