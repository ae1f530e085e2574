"""The parts of a run: which rows train, which choose, which test."""

from dataclasses import replace

import numpy as np

from lexome.evaluation.grouping import in_gap, settle_gap
from lexome.evaluation.pair_groups import split_groups
from lexome.evaluation.splits import UNUSED, SplitSettings, check_parts, split_rows
from lexome.sequence.alphabet import Alphabet
from lexome.sequence.pairs import letters_of
from lexome.training.fit import Parts, check_trained, split_part_rows
from lexome.training.labelled import LabelledTable
from lexome.training.residue_labels import check_part_labels
from lexome.training.settings import FinetuneSettings
from lexome.training.tasks import MULTITASK, check_task_parts


def settle_blocks(settings: FinetuneSettings, data: LabelledTable) -> FinetuneSettings:
    """The settings with the gap between blocks of two parts: the longest sequence unless asked for.

    Raises:
        InputError: a gap as wide as a block.
    """
    if data.blocks is None:
        return settings
    assert settings.block_size is not None
    texts = (text for content in data.sequences for text in letters_of(content))
    return replace(settings, gap=settle_gap(settings.gap, texts, settings.block_size))


def make_parts(
    data: LabelledTable, splitting: SplitSettings, settings: FinetuneSettings, alphabet: Alphabet
) -> Parts:
    """The rows of each part; those in a gap between two blocks are in none.

    Raises:
        InputError: a part without rows, or with labels that nothing can be learned from.
    """
    labels = data.target.strata
    groups = None if data.blocks is None else data.blocks.group_N
    if splitting.kind == "cluster":
        groups = split_groups(data.sequences, alphabet.kmers)
    names = split_rows(
        splitting,
        labels,
        data.split_values,
        groups,
        settings.train or None,
        settings.validation or None,
        settings.test or None,
        seed=settings.seed,
    )
    if data.blocks is not None and settings.gap is not None:
        part_N = np.unique(names, return_inverse=True)[1]
        names = np.where(in_gap(*data.blocks, part_N, settings.gap), UNUSED, names)
    is_counted = data.target.task in ("regression", "multilabel", MULTITASK)
    labels_to_check = None if is_counted else labels
    check_parts(names, labels_to_check, ("train", "validation", "test"))
    parts = split_part_rows(names)
    check_task_parts(data.target, parts)
    if not data.target.subs:
        check_trained(data.target, parts, f"split {splitting}")
    if data.target.residues is not None:
        held = {part: data.target.truth(rows) for part, rows in parts._asdict().items()}
        check_part_labels(held, data.target.labels, f"split {splitting}")
    return parts
