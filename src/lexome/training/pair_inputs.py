"""Pairs of sequences as the inputs of a network: joined in one, or each by itself (towers)."""

# Letters: N rows, G features.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.batches.windows import LongPolicy, crop, ends
from lexome.errors import InputError
from lexome.sequence.alphabet import UnknownPolicy
from lexome.sequence.composition import WHOLE, Region, compositions
from lexome.sequence.pairs import Content, Pair, are_pairs, are_single, in_one_order
from lexome.tokenizers.interface import TokenIds, Tokenizer, encode_parts
from lexome.training.examples import encode_examples
from lexome.training.settings import FinetuneSettings


class Laid(NamedTuple):
    """Rows as the inputs that they are made of."""

    ids: Sequence[str]  # of the inputs, for messages
    contents: Sequence[Content]  # what an input holds
    pairs_N2: NDArray[np.int64] | None  # the two inputs of each row; None where a row is one


def pairing_of(settings: FinetuneSettings) -> str:
    """How the head reads two neighbouring inputs: see `layers.pairs`."""
    if settings.pairs == "towers":
        return "symmetric" if settings.symmetric else "towers"
    return "orders" if settings.pairs and settings.symmetric else ""


def lay_out(ids: Sequence[str], contents: Sequence[Content], settings: FinetuneSettings) -> Laid:
    """The inputs of some rows.

    In towers every distinct sequence is one input, however many pairs it is in. A symmetric pair
    is put in one order first, so that the swapped pair gives the same numbers to the last bit.
    """
    if not are_pairs(contents):
        return Laid(ids, contents, None)
    pairs = [Pair(*in_one_order(pair)) if settings.symmetric else pair for pair in contents]
    if settings.pairs == "joint":
        if not settings.symmetric:
            return Laid(ids, pairs, None)
        both = [
            order for first, second in pairs for order in (Pair(first, second), Pair(second, first))
        ]
        twice = [id for id in ids for _ in range(2)]
        return Laid(twice, both, np.arange(len(both)).reshape(-1, 2))
    place: dict[str, int] = {}
    named: list[str] = []
    rows = np.zeros((len(pairs), 2), np.int64)
    for i, (id, pair) in enumerate(zip(ids, pairs, strict=True)):
        for side, (sequence, what) in enumerate(zip(pair, ("first", "second"), strict=True)):
            rows[i, side] = place.setdefault(sequence, len(place))
            if len(place) > len(named):
                named.append(f"{id}, {what} sequence")
    return Laid(named, list(place), rows)


def describe_contents(
    contents: Sequence[Content], symmetric: bool = False, regions: Sequence[Region] = WHOLE
) -> NDArray[np.float32]:
    """Compositions (N, G) of sequences; of pairs those of both, their difference and product.

    Of symmetric pairs the sum stands for both, so that their order plays no part.
    """
    if are_single(contents):
        return compositions(contents, regions)
    pairs = [pair for pair in contents if isinstance(pair, Pair)]
    one_NG = compositions([pair.first for pair in pairs], regions)
    other_NG = compositions([pair.second for pair in pairs], regions)
    whole = [one_NG + other_NG] if symmetric else [one_NG, other_NG]
    parts = [*whole, np.abs(one_NG - other_NG), one_NG * other_NG]
    return np.concatenate(parts, axis=1)


def encode_contents(
    contents: Sequence[Content],
    ids: Sequence[str],
    long: LongPolicy,
    tokenizer: Tokenizer,
    context: int | None,
) -> list[TokenIds]:
    """Token ids of inputs; of a pair both with a separator between."""
    if are_single(contents):
        return encode_examples(contents, ids, long, tokenizer)
    pairs = [pair for pair in contents if isinstance(pair, Pair)]
    return _encode_joint(pairs, ids, long, tokenizer, context)


def share_room(room: int, first: int, second: int) -> tuple[int, int]:
    """Residues that either sequence of a pair keeps: half each, or what the shorter leaves.

    >>> share_room(100, 300, 300), share_room(100, 20, 300), share_room(100, 40, 50)
    ((50, 50), (20, 80), (40, 50))
    """
    if first + second <= room:
        return first, second
    kept = min(first, max(room // 2, room - second))
    return kept, room - kept


def joint_room(policy: LongPolicy, tokenizer: Tokenizer, context: int | None) -> int:
    """Residues that a joint input holds."""
    room = policy.head + policy.tail
    if context is not None and tokenizer.is_per_letter:
        room = min(room, context - tokenizer.num_after)
    if room < 2:
        raise InputError("long", f"{policy} for two sequences", "2 or more", "`--long crop:160+96`")
    return room


def _encode_joint(
    pairs: Sequence[Pair],
    ids: Sequence[str],
    long: LongPolicy,
    tokenizer: Tokenizer,
    context: int | None,
) -> list[TokenIds]:
    """`<cls>` first `<sep>` second `<sep>`, in the family's own signs."""
    unknown: UnknownPolicy = "refuse" if tokenizer.is_per_letter else "map"
    before = tokenizer.num_before
    if long.kind == "crop":
        room = joint_room(long, tokenizer, context)
        cuts = [_cut(pair, long, room) for pair in pairs]
        if not tokenizer.is_per_letter:
            return [
                np.concatenate(
                    [
                        encode_parts(tokenizer, ends(first, *cut[0]), unknown, id),
                        encode_parts(tokenizer, ends(second, *cut[1]), unknown, id)[before:],
                    ]
                )
                for (first, second), cut, id in zip(pairs, cuts, ids, strict=True)
            ]
        pairs = [
            Pair(crop(first, *cut[0]), crop(second, *cut[1]))
            for (first, second), cut in zip(pairs, cuts, strict=True)
        ]
    one = tokenizer.encode_many([pair.first for pair in pairs], unknown, ids)
    other = tokenizer.encode_many([pair.second for pair in pairs], unknown, ids)
    return [np.concatenate([one.one(i), other.one(i)[before:]]) for i in range(len(pairs))]


def _cut(pair: Pair, policy: LongPolicy, room: int) -> list[tuple[int, int]]:
    """Head and tail that each sequence keeps, in the policy's proportion."""
    kept = share_room(room, len(pair.first), len(pair.second))
    heads = [round(n * policy.head / (policy.head + policy.tail)) for n in kept]
    return [(head, n - head) for head, n in zip(heads, kept, strict=True)]
