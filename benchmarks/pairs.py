"""Pairs on real data: are two SCOPe domains of the same superfamily, though of other families?

    python benchmarks/pairs.py TABLE.csv [--train 3000] [--seed 1]

Writes a table of pairs to train on with `lexome finetune TABLE.csv --sequence first --second second
--label kin --symmetric --split column:part`. Parts are made of whole folds, so that no superfamily
stands in two. Half the pairs are kin: of one superfamily, not of one family, at most ten of each
superfamily. The others are of two folds of the same class of SCOPe, which makes composition less
of a help. Domains are those of the homology suite (at most 40 % identity to one another).
"""

import argparse
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from lexome.evaluation.splits import PARTS
from lexome.suites.homology import Domains, open_homology

SHARES = (0.7, 0.1, 0.2)
MOST_OF_ONE = 10  # pairs of a superfamily
LONGEST = 400


def main() -> None:
    """Write the table and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--train", type=int, default=3000, help="pairs of the training part")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    frame = make_pairs(open_homology(), asked.train, asked.seed)
    frame.write_csv(asked.table)
    print(frame.group_by("part").agg(pl.len(), pl.col("kin").mean()).sort("part"))


def make_pairs(domains: Domains, num_train: int, seed: int) -> pl.DataFrame:
    """As many pairs a part as its share asks for, or as there are."""
    generator = np.random.default_rng(seed)
    folds = np.unique(domains.groups_N5[:, 2])
    part_of = dict(zip(folds.tolist(), generator.choice(3, len(folds), p=SHARES), strict=True))
    short = [i for i, s in enumerate(domains.sequences) if len(s) <= LONGEST]
    rows: list[tuple[object, ...]] = []
    for number, part in enumerate(PARTS):
        here = [i for i in short if part_of[int(domains.groups_N5[i, 2])] == number]
        wanted = round(num_train * SHARES[number] / SHARES[0])
        kin = _kin(domains, here, generator)[: wanted // 2]
        others = _strangers(domains, here, len(kin), generator)
        for label, pairs in ((1, kin), (0, others)):
            for i, j in pairs:
                both = (domains.sequences[i], domains.sequences[j])
                rows.append((f"{domains.ids[i]}-{domains.ids[j]}", *both, label, part))
    names = ["id", "first", "second", "kin", "part"]
    return pl.DataFrame(rows, schema=names, orient="row").unique("id", maintain_order=True)


def _kin(
    domains: Domains, here: list[int], generator: np.random.Generator
) -> list[tuple[int, int]]:
    members = defaultdict(list)
    for i in here:
        members[int(domains.groups_N5[i, 3])].append(i)
    found = []
    for one in members.values():
        family = domains.groups_N5[:, 4]
        pairs = [(i, j) for i, j in combinations(one[:60], 2) if family[i] != family[j]]
        found += [pairs[k] for k in generator.permutation(len(pairs))[:MOST_OF_ONE]]
    return [found[k] for k in generator.permutation(len(found))]


def _strangers(
    domains: Domains, here: list[int], num: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    groups, found = domains.groups_N5, []
    while len(found) < num:
        i, j = generator.choice(here, 2, replace=False).tolist()
        if groups[i, 1] == groups[j, 1] and groups[i, 2] != groups[j, 2]:
            found.append((i, j))
    return found


if __name__ == "__main__":
    main()
