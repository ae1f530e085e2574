"""How pairs of sequences are read: what a model allows, and what becomes of long ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lexome.batches.windows import LongPolicy, check_length, parse_long
from lexome.errors import InputError
from lexome.sequence.pairs import Pair, are_pairs
from lexome.training.labelled import Count, LabelledTable, check_lengths
from lexome.training.pair_inputs import joint_room, lay_out
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup


def check_asked(second: str | None, pairs: str | None, symmetric: bool) -> str:
    """What the settings hold for the pairs that are asked for; "" for single sequences.

    Raises:
        InputError: a way of reading pairs without a second column.
    """
    if second is None and (pairs is not None or symmetric):
        raise InputError(
            "pairs" if pairs is not None else "symmetric",
            "it without a second sequence column",
            "a table of pairs",
            "`--second COLUMN`",
        )
    return "" if second is None else pairs or "auto"


def suit_pairs(settings: FinetuneSettings, setup: Setup) -> FinetuneSettings:
    """The settings with the way of reading pairs that the model allows.

    Joint where an architecture tells two segments apart (BERT's token types), unless its vectors
    are to be made once; towers elsewhere: each sequence then has the whole context.

    Raises:
        InputError: a joint input for a frozen model, or for one without a separator.
    """
    if not settings.pairs:
        return settings
    has_separator = setup.tokenizer.num_after > 0
    if settings.pairs == "auto":
        joint = setup.has_types and has_separator and not setup.is_frozen
        return replace(settings, pairs="joint" if joint else "towers")
    if settings.pairs == "joint" and (setup.is_frozen or not has_separator):
        why = f"joint with {settings.model}, whose sequences end with no separator"
        if setup.is_frozen:
            why = "joint with --method frozen, which makes a vector of each sequence once"
        raise InputError("pairs", why, "towers", "`--pairs towers`")
    return settings


def check_content_lengths(
    data: LabelledTable, settings: FinetuneSettings, setup: Setup
) -> Count | None:
    """Apply the policy for long sequences; a joint input's two sequences share the context.

    Raises:
        InputError: a sequence or a joint pair beyond the limit under "refuse".
    """
    policy, contents = parse_long(settings.recipe.long), data.sequences
    if not are_pairs(contents):
        return check_lengths(data, policy, setup)
    if settings.pairs == "towers":
        laid = lay_out(data.ids, contents, settings)
        rows = np.zeros(len(laid.ids), np.int64)
        assert laid.pairs_N2 is not None
        for number, both in zip(data.rows[::-1], laid.pairs_N2[::-1], strict=True):
            rows[both] = number
        split = data._replace(rows=rows, ids=list(laid.ids), sequences=laid.contents)
        return check_lengths(split, policy, setup)
    return _check_joint(data, contents, policy, setup)


def _check_joint(
    data: LabelledTable, pairs: Sequence[Pair], policy: LongPolicy, setup: Setup
) -> Count | None:
    if policy.kind == "crop":
        room = joint_room(policy, setup.tokenizer, setup.context)
        longer = sum(len(first) + len(second) > room for first, second in pairs)
        what = f"pairs longer than {room:,} residues together: both sequences cropped to share them"
        return Count(what, longer)
    if setup.context is None:
        return None
    longer = 0
    for row, id, pair in zip(data.rows, data.ids, pairs, strict=True):
        tokens = sum(setup.num_tokens(sequence, id) for sequence in pair)
        tokens += setup.tokenizer.num_after
        where = f"{data.where}, row {row} ({id}), both sequences and the sign between them"
        if policy.kind == "refuse":
            check_length(tokens, setup.context, where, setup.tokenizer.unit)
        longer += tokens > setup.context
    if policy.kind == "refuse":
        return None
    return Count(f"pairs longer than the context of {setup.context:,}: run whole", longer)
