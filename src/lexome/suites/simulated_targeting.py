"""Draws made-up proteins with targeting signals, to try the main job where no real data are.

The grammar, from N to C terminus; every choice is a random draw from a seed:

    protein     = signal domain
    signal      = presequence | secretory | "M" | decoy    (by kind, see KINDS)
    presequence = "M" helix cleavage     15-40 residues: basic and hydroxyl residues on one face of
                                         an alpha helix, hydrophobic ones on the other, hardly any
                                         D or E; cut behind R-2 (R x | S) or R-3 (R x [FY] | [SA])
    secretory   = "M" n h c              n: 1-5 residues, many of them K or R; h: 8-13 hydrophobic
                                         ones; c: ends with A x A
    decoy       = a presequence with its letters shuffled: composition kept, helix and motif lost
    domain      = residues of a composition that leans as the kind does; log-normal length

Relatives share a mutated domain, have signals of their own, and stand in one partition. Some
mitochondrial proteins have no presequence, some others carry one in the middle, and a few labels
are wrong, so that no model can be perfect. The shape of the signals follows von Heijne 1986 (EMBO J
5:1335) and Gavel & von Heijne 1990 (Protein Eng 4:33); the numbers are ours and stand for nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.seeds import numpy_generator

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
CODES = np.frombuffer(LETTERS.encode(), np.uint8)
# Per mille in the order of LETTERS: rounded averages over well-studied proteins.
AVERAGE = (83, 14, 54, 67, 39, 71, 23, 59, 58, 97, 24, 41, 47, 39, 55, 66, 54, 69, 11, 29)

POLAR_FACE = {"R": 5, "K": 1, "S": 4, "T": 2, "Q": 2, "N": 1, "G": 1, "H": 1}
APOLAR_FACE = {"L": 6, "A": 6, "V": 3, "F": 2, "I": 2, "W": 0.5, "M": 0.5, "Y": 0.5}
HYDROPHOBIC = {"L": 8, "A": 4, "V": 3, "I": 2, "F": 2, "C": 1, "W": 0.5, "G": 0.5}
DEGREES_A_RESIDUE = 100  # in an alpha helix
ACIDIC_IN_PRESEQUENCE = 0.015

NUM_PARTITIONS = 5
SHARE_WITHOUT_SIGNAL = 0.12  # of the mitochondrial and secreted proteins
SHARE_INNER_PRESEQUENCE = 0.04  # of the others: one that stands where it is never read
SHARE_WRONG_LABEL = 0.015
MUTATED = (0.1, 0.4)  # of a relative's domain
MOST_RELATIVES = 5


class Kind(NamedTuple):
    """One kind of protein: how frequent, how its domain leans, what it starts with."""

    share: float
    leaning: Mapping[str, float]  # factors on the average composition
    signals: Mapping[str, float]  # signal -> share among those that have one


KINDS = {
    "mitochondrial": Kind(
        0.12, {"K": 1.15, "R": 1.05, "E": 0.9, "D": 0.9, "A": 1.1, "G": 1.05}, {"presequence": 1}
    ),
    "secreted": Kind(0.18, {"C": 1.9, "T": 1.15, "N": 1.15, "E": 0.9}, {"secretory": 1}),
    "nuclear": Kind(0.34, {"S": 1.3, "K": 1.2, "E": 1.1, "P": 1.2, "F": 0.8}, {"M": 4, "decoy": 1}),
    "cytoplasmic": Kind(0.36, {"L": 1.05, "E": 1.05, "D": 1.05}, {"M": 4, "decoy": 1}),
}


def simulate_targeting(num: int, seed: int) -> pl.DataFrame:
    """A table of `num` made-up proteins: ACC, Partition (0-4), Mitochondrion (0 or 1), Sequence.

    The same `num` and `seed` give the same table. Relatives share a partition.

    >>> simulate_targeting(500, seed=1).columns
    ['ACC', 'Partition', 'Mitochondrion', 'Sequence']
    """
    if num < 50:
        raise InputError("num", f"{num}", "at least 50 proteins", "a larger number")
    random = numpy_generator("simulated-targeting", seed)
    rows: list[tuple[int, int, str]] = []
    share = 0.0
    for kind_name, kind in KINDS.items():
        share += kind.share
        rows += _draw_kind(kind_name, kind, round(share * num) - len(rows), random)
    chosen = random.permutation(len(rows))
    mixed = [rows[i] for i in chosen]
    return pl.DataFrame(
        {
            "ACC": [f"SIM{seed:02d}{i:06d}" for i in range(1, len(mixed) + 1)],
            "Partition": [partition for partition, _, _ in mixed],
            "Mitochondrion": [label for _, label, _ in mixed],
            "Sequence": [sequence for _, _, sequence in mixed],
        }
    )


def _draw_kind(
    kind_name: str, kind: Kind, num: int, random: Generator
) -> list[tuple[int, int, str]]:
    """(partition, label, sequence) of all proteins of a kind, family by family."""
    is_mitochondrial = kind_name == "mitochondrial"
    rows: list[tuple[int, int, str]] = []
    sizes = [0] * NUM_PARTITIONS
    while len(rows) < num:
        family = min(int(random.geometric(0.5)), MOST_RELATIVES, num - len(rows))
        partition = int(np.argmin(sizes))
        sizes[partition] += family
        ancestor = _draw_domain(kind, random)
        for _ in range(family):
            domain = _mutate(ancestor, kind, random) if family > 1 else ancestor
            sequence = draw_protein(kind_name, _letters(domain), random)
            is_wrong = random.random() < SHARE_WRONG_LABEL / (1 if is_mitochondrial else 5)
            rows.append((partition, int(is_mitochondrial != is_wrong), sequence))
    return rows


def draw_protein(kind_name: str, domain: str, random: Generator) -> str:
    """A domain with the signal, or the lack of one, that its kind draws."""
    kind = KINDS[kind_name]
    signals = list(kind.signals)
    weights = np.array([kind.signals[signal] for signal in signals], dtype=float)
    signal = signals[int(random.choice(len(signals), p=weights / weights.sum()))]
    if signal in ("presequence", "secretory") and random.random() < SHARE_WITHOUT_SIGNAL:
        signal = "M"
    if signal == "presequence":
        return draw_presequence(random) + domain
    if signal == "secretory":
        return draw_secretory(random) + domain
    if signal == "decoy":
        return draw_decoy(random) + domain
    if kind_name != "mitochondrial" and random.random() < SHARE_INNER_PRESEQUENCE:
        middle = len(domain) // 2
        domain = domain[:middle] + draw_presequence(random) + domain[middle:]
    return "M" + domain


def draw_presequence(random: Generator) -> str:
    """A mitochondrial targeting peptide, its cleavage motif included.

    >>> draw_presequence(numpy_generator("example"))[0]
    'M'
    """
    length = int(random.integers(11, 36))
    start = random.uniform(0, 360)
    angles = (start + DEGREES_A_RESIDUE * np.arange(length)) % 360
    polar = _draw_from(POLAR_FACE, length, random)
    apolar = _draw_from(APOLAR_FACE, length, random)
    helix = np.where(angles < 160, polar, apolar)
    is_acidic = random.random(length) < ACIDIC_IN_PRESEQUENCE
    helix = np.where(is_acidic, _draw_from({"D": 1, "E": 1}, length, random), helix)
    between = _letters(_draw_from(APOLAR_FACE, 1, random))
    if random.random() < 0.5:
        motif = f"R{between}S"
    else:
        motif = f"R{between}{'FY'[random.integers(2)]}{'SA'[random.integers(2)]}"
    return "M" + _letters(helix) + motif


def draw_secretory(random: Generator) -> str:
    """A signal peptide of the secretory pathway: charged start, hydrophobic core, A x A."""
    n_region = _letters(
        _draw_from({"K": 3, "R": 3, "S": 2, "N": 1}, int(random.integers(1, 6)), random)
    )
    h_region = _letters(_draw_from(HYDROPHOBIC, int(random.integers(8, 14)), random))
    c_region = _letters(_draw_from({"S": 2, "G": 2, "T": 1, "Q": 1, "P": 1}, 4, random))
    before = "AVS"[random.integers(3)]
    return f"M{n_region}{h_region}{c_region[:3]}{before}{c_region[3]}A"


def draw_decoy(random: Generator) -> str:
    """The letters of a presequence in an order that forms neither helix face nor motif."""
    codes = np.frombuffer(draw_presequence(random)[1:].encode(), np.uint8)
    return "M" + _letters(random.permutation(codes))


def _draw_domain(kind: Kind, random: Generator) -> NDArray[np.uint8]:
    length = int(np.clip(random.lognormal(np.log(280), 0.5), 60, 1500))
    return random.choice(CODES, size=length, p=_composition(kind, random))


def _composition(kind: Kind, random: Generator) -> NDArray[np.float64]:
    """The frequencies of a domain: those of its kind, and a character of its own."""
    leaning = np.array([kind.leaning.get(letter, 1.0) for letter in LETTERS])
    weights: NDArray[np.float64] = (
        np.array(AVERAGE) * leaning * random.lognormal(0, 0.18, len(LETTERS))
    )
    return np.asarray(weights / weights.sum())


def _mutate(domain: NDArray[np.uint8], kind: Kind, random: Generator) -> NDArray[np.uint8]:
    is_changed = random.random(len(domain)) < random.uniform(*MUTATED)
    fresh = random.choice(CODES, size=len(domain), p=_composition(kind, random))
    return np.where(is_changed, fresh, domain)


def _draw_from(weights: Mapping[str, float], num: int, random: Generator) -> NDArray[np.uint8]:
    codes = np.frombuffer("".join(weights).encode(), np.uint8)
    share = np.array(list(weights.values()), dtype=float)
    return random.choice(codes, size=num, p=share / share.sum())


def _letters(codes: NDArray[np.uint8]) -> str:
    return codes.astype(np.uint8).tobytes().decode("ascii")
