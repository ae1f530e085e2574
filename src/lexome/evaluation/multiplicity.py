"""Several tests at once: p values that answer for all of them."""

import numpy as np
from numpy.typing import ArrayLike

from lexome.evaluation.decisions import Floats


def holm(p_values: ArrayLike) -> Floats:
    """P values corrected by Holm's step-down method (1979), in the given order; NaN stays NaN.

    Undefined ones are no tests, and count for none.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p_N = np.asarray(p_values, np.float64)
    found = np.full(p_N.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_N))
    order = tested[np.argsort(p_N[tested], kind="stable")]
    times = np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(p_N[order] * times), 1.0)
    return found
