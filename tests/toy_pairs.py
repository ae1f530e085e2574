"""A table of pairs in which both sequences matter."""

import numpy as np
import polars as pl

from tests.toys import FIVE_PARTS, random_sequence


def pair_table(num: int = 120, seed: int = 0, shared: int = 0) -> pl.DataFrame:
    """Pairs with label 1 where both sequences are rich in the same of W and K.

    `part` is six tenths train, two validation, two test; no sequence is in two pairs, but for the
    `shared` first ones, whose second sequence is that of the first pair.
    """
    generator = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for i in range(num):
        same = i % 2 == 1
        kinds = "WW" if same and i % 4 == 1 else "KK" if same else "WK" if i % 4 else "KW"
        pair = []
        for kind in kinds:
            letters = random_sequence(generator, 20, 40) + kind * int(generator.integers(8, 14))
            pair.append("".join(generator.permutation(list(letters))))
        rows.append((f"p{i}", *pair, int(same), FIVE_PARTS[(i // 4) % 5]))
    names = ["id", "heavy", "light", "label", "part"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    light = table["light"].to_list()
    light[:shared] = [light[0]] * shared
    return table.with_columns(pl.Series("light", light))
