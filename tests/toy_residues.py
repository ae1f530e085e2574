"""A table whose every residue has a label that its neighbourhood tells."""

import numpy as np
import polars as pl

from tests.toys import FIVE_PARTS, random_sequence


def residue_table(
    num: int = 60, seed: int = 0, lengths: tuple[int, int] = (20, 50), classes: str = "CHE"
) -> pl.DataFrame:
    """Proteins of which a residue's label says what stands around it; `part` as in `motif_table`.

    H: at most two places from a W; E: directly before a K, and no H; C: all others. The first
    residue is `-`: not known. With `classes` of two letters, E counts as C. `site` is 1 for H.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for i in range(num):
        sequence = random_sequence(generator, *lengths)
        near = ["W" in sequence[max(at - 2, 0) : at + 3] for at in range(len(sequence))]
        before = [sequence[at + 1 : at + 2] == "K" for at in range(len(sequence))]
        states = [
            "H" if w else "E" if k and "E" in classes else "C"
            for w, k in zip(near, before, strict=True)
        ]
        label = "-" + "".join(states)[1:]
        site = "".join("1" if state == "H" else "0" for state in states)
        rows.append((f"p{i}", sequence, label, site, FIVE_PARTS[i % 5]))
    return pl.DataFrame(rows, schema=["id", "sequence", "states", "site", "part"], orient="row")
