"""Cleans the rows of a labelled table; every row left out is counted."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lexome.batches.windows import LongPolicy, check_length
from lexome.errors import InputError
from lexome.evaluation.grouping import Blocks
from lexome.io.unique_ids import Place, repeated_id
from lexome.results.files import hash_file
from lexome.sequence.alphabet import Alphabet, UnknownPolicy, clean_sequence
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.pairs import Content, Pair, are_single, in_one_order, letters_of
from lexome.training.alike import write_alike
from lexome.training.raw_table import Raw
from lexome.training.residue_labels import (
    ResidueReading,
    all_ignored,
    check_ignore,
    fit_labels,
)
from lexome.training.target import Target, is_missing, read_residue_target, read_target, spell
from lexome.training.tasks import (
    contradict,
    fill_labels,
    is_multitask,
    read_tasks,
    spell_known,
    task_kinds,
)


class Count(NamedTuple):
    """One line of the cleaning report."""

    what: str
    number: int


class LabelledTable(NamedTuple):
    """Clean rows, in the order of the table."""

    where: str
    columns: dict[str, str]  # role -> column, for those used
    guessed: list[str]  # roles whose column was guessed
    num_read: int
    rows: NDArray[np.int64]  # row of the table, from 1
    ids: list[str]
    sequences: Sequence[Content]  # letters cleaned, whole length
    target: Target
    split_values: list[str] | None
    cleaning: list[Count]
    blocks: Blocks | None = None  # of a genome, where these are what a split keeps together


def clean_labelled(
    raw: Raw,
    alphabet: Alphabet,
    unknown: UnknownPolicy = "refuse",
    task: str = "auto",
    positive: str | None = None,
    residues: ResidueReading | None = None,
) -> LabelledTable:
    """Clean the rows of a table; with `residues` a label has a letter for each residue.

    Dropped and counted: empty sequences, missing labels, repeats of a row (same sequence, same
    label: the first stays), and every copy of a sequence that carries different labels. Letters
    outside the alphabet follow `unknown`.

    Raises:
        InputError: no usable row, an id that stands twice, letters under "refuse", labels that
            cannot be read, or one class only.
    """
    several = is_multitask(task)
    if residues is not None:
        raw = raw._replace(labels=[_spell_states(column, raw.sequences) for column in raw.labels])
    else:
        raw = raw._replace(labels=_write_alike(raw, task))
    kept = _drop_empty(raw, any if several else all, residues is None)
    cleaned, mapped = _clean_contents(raw, kept, alphabet, unknown)
    # "map" leaves nothing of a lone stop sign
    kept = [i for i, content in zip(kept, cleaned, strict=True) if all(letters_of(content))]
    sequences = [content for content in cleaned if all(letters_of(content))]
    _check_ids(raw, kept)
    num_whole = len(sequences)
    if residues is not None:
        assert are_single(sequences)  # settings refuse pairs here
        raw, kept, sequences = _learnable(raw, kept, sequences, residues)
    told: Callable[[object], str] = spell if residues is None else str  # a blank may be a label
    labels = [[told(column[i]) for column in raw.labels] for i in kept]
    split = None if raw.split is None else [raw.split[i] for i in kept]
    keys = [in_one_order(content) if raw.symmetric else content for content in sequences]
    if several:
        copies = keys if split is None else list(zip(keys, split, strict=True))
        known = [[spell_known(column[i]) for column in raw.labels] for i in kept]
        labels = fill_labels(copies, known)
    survivors, repeats, conflicts = _drop_repeats(keys, labels, split)
    counts = [
        Count("empty sequences dropped", raw.num_empty() + len(cleaned) - num_whole),
        Count("rows without a label dropped", raw.num_unlabelled(len(cleaned))),
        Count("repeated rows merged (same sequence, same label)", repeats),
        Count("rows with conflicting labels dropped (same sequence)", conflicts),
        *mapped,
    ]
    if residues is not None:
        hidden = Count("rows with ignored labels only dropped", num_whole - len(sequences))
        counts.insert(4, hidden)
    if not survivors:
        raise InputError(raw.where, "no usable row", "sequences with labels", "another table")
    final = [kept[i] for i in survivors]
    columns_kept = [[column[i] for i in final] for column in raw.labels]
    if residues is not None:
        places = [_place(raw, i) for i in final]
        texts = [[str(value) for value in column] for column in columns_kept]
        target = read_residue_target(texts, raw.label_names, residues, positive, places)
    else:
        rows = [i + 1 for i in final]
        read: Callable[..., Target] = read_target
        if several:
            chosen = [labels[i] for i in survivors]
            read, columns_kept = read_tasks, [list(c) for c in zip(*chosen, strict=True)]
        target = read(columns_kept, raw.label_names, task, positive, rows)
    return LabelledTable(
        where=raw.where,
        columns=raw.columns,
        guessed=raw.guessed,
        num_read=len(raw.sequences),
        rows=np.array(final, dtype=np.int64) + 1,
        ids=[raw.ids[i] for i in final],
        sequences=[sequences[i] for i in survivors],
        target=target,
        split_values=[raw.split[i] for i in final] if raw.split is not None else None,
        cleaning=counts,
        blocks=None if raw.blocks is None else raw.blocks.take(np.array(final)),
    )


def _drop_empty(
    raw: Raw, enough: Callable[[Iterable[bool]], bool] = all, words: bool = True
) -> list[int]:
    """Rows with a sequence and labels; without `words` a label is missing where it is None."""

    def missing(label: object) -> bool:
        return is_missing(label) if words else label is None

    labelled = zip(raw.sequences, zip(*raw.labels, strict=True), strict=True)
    return [
        i
        for i, (sequence, labels) in enumerate(labelled)
        if sequence and enough(not missing(label) for label in labels)
    ]


def _spell_states(column: Sequence[object], sequences: Sequence[str]) -> list[object]:
    """Labels of residues as text, None where there is none.

    A blank is a state, as DSSP has it, where the label is as long as its sequence with it.
    """
    return [
        label
        if isinstance(label, str) and label and len(label) == len(sequence)
        else (None if is_missing(label) else spell(label))
        for label, sequence in zip(column, sequences, strict=True)
    ]


def _write_alike(raw: Raw, task: str) -> list[list[object]]:
    """The label columns, each with one spelling of what is the same."""
    kinds = task_kinds(task) if is_multitask(task) else {}
    kind = "auto" if is_multitask(task) or len(raw.labels) > 1 else task
    both = zip(raw.label_names, raw.labels, strict=True)
    return [write_alike(column, kinds.get(name, kind)) for name, column in both]


def _place(raw: Raw, i: int) -> str:
    return f"{raw.where}, row {i + 1} ({raw.ids[i]})"


def _learnable(
    raw: Raw, kept: list[int], sequences: Sequence[str], residues: ResidueReading
) -> tuple[Raw, list[int], list[Content]]:
    """The rows with a label to learn from, each label checked to fit its sequence."""
    places = [_place(raw, i) for i in kept]
    columns = []
    for column in raw.labels:
        fitting = fit_labels(
            [str(column[i]) for i in kept], [raw.sequences[i] for i in kept], sequences, places
        )
        columns.append([*column])
        for i, text in zip(kept, fitting, strict=True):
            columns[-1][i] = text
    raw = raw._replace(labels=columns)
    hidden = all_ignored([str(raw.labels[0][i]) for i in kept], residues.ignore)
    if kept:
        check_ignore(len(kept) - sum(hidden), residues.ignore, f"{raw.where}, every row")
    shown = [n for n, is_hidden in enumerate(hidden) if not is_hidden]
    return raw, [kept[n] for n in shown], [sequences[n] for n in shown]


def _clean_contents(
    raw: Raw, kept: Sequence[int], alphabet: Alphabet, unknown: UnknownPolicy
) -> tuple[list[Content], list[Count]]:
    """Sequences, or pairs, of clean letters; and what was mapped.

    Raises:
        InputError: a row with a first sequence and a label that has no second sequence.
    """
    firsts, mapped = _clean_letters(raw, kept, alphabet, unknown)
    if raw.seconds is None:
        return list(firsts), mapped
    for i in kept:
        if not raw.seconds[i]:
            raise InputError(
                f"{raw.where}, row {i + 1} ({raw.ids[i]}), column {raw.columns['second']!r}",
                "no sequence",
                "a second sequence in every row that has a first one",
                "to drop the row, or to mend it",
            )
    seconds, more = _clean_letters(raw._replace(sequences=raw.seconds), kept, alphabet, unknown)
    pairs = [Pair(one, other) for one, other in zip(firsts, seconds, strict=True)]
    return list(pairs), [*mapped, *more]


def _clean_letters(
    raw: Raw, kept: Sequence[int], alphabet: Alphabet, unknown: UnknownPolicy
) -> tuple[list[str], list[Count]]:
    letters, clean = LetterCounts(), []
    for i in kept:
        sequence, counts = clean_sequence(raw.sequences[i], alphabet, unknown, _place(raw, i))
        letters.add(counts)
        clean.append(sequence)
    return clean, [Count(letters.what, letters.total)] if letters.rows else []


def _check_ids(raw: Raw, kept: Sequence[int]) -> None:
    if not raw.has_ids:
        return
    first: dict[str, int] = {}
    for i in kept:
        earlier = first.setdefault(raw.ids[i], i)
        if earlier != i:
            raise repeated_id(Place(raw.where, "row"), raw.ids[i], i + 1, earlier + 1)


def _drop_repeats(
    sequences: Sequence[Content], labels: Sequence[Sequence[str]], split: Sequence[str] | None
) -> tuple[list[int], int, int]:
    """Rows that stay, rows merged, rows dropped for conflicting labels."""
    groups: dict[bytes, list[int]] = {}
    for i, sequence in enumerate(sequences):
        text = "\0".join(letters_of(sequence))
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        groups.setdefault(key, []).append(i)
    conflicting = {
        i for group in groups.values() if contradict([labels[i] for i in group]) for i in group
    }
    # A copy in another part stays: the audit must see it.
    firsts = sorted(
        i
        for group in groups.values()
        if group[0] not in conflicting
        for i in {split[i] if split else None: i for i in reversed(group)}.values()
    )
    repeats = len(sequences) - len(conflicting) - len(firsts)
    return firsts, repeats, len(conflicting)


class Lengths(Protocol):
    """What is asked of a model about lengths: `training.setup.Setup` answers it."""

    @property
    def context(self) -> int | None: ...
    @property
    def is_per_letter(self) -> bool: ...
    def num_tokens(self, sequence: str, id: str) -> int: ...


def check_lengths(table: LabelledTable, policy: LongPolicy, model: Lengths) -> Count | None:
    """Apply the policy for long sequences; the report's line for those it touched.

    Raises:
        InputError: a sequence beyond the limit under "refuse".
    """
    if model.context is None and policy.kind != "crop":
        return None  # nothing is too long
    assert are_single(table.sequences)  # of pairs: training/pairs.py
    limit = sys.maxsize if model.context is None else model.context
    unit = "residues" if model.is_per_letter else "tokens"
    if policy.kind == "refuse":
        for row, id, sequence in zip(table.rows, table.ids, table.sequences, strict=True):
            where = f"{table.where}, row {row} ({id})"
            check_length(model.num_tokens(sequence, id), limit, where, unit)
        return None
    if policy.kind == "crop":
        kept = policy.head + policy.tail
        if kept > limit and model.is_per_letter:
            raise InputError(
                "long",
                f"a crop that keeps {kept:,} residues",
                f"at most {limit:,}, the model's context without special tokens",
                f"`--long crop:{limit // 2}+{limit // 2}`",
            )
        longer = sum(len(sequence) > kept for sequence in table.sequences)
        what = f"longer than {kept:,}: first {policy.head:,} + last {policy.tail:,} residues kept"
        return Count(what, longer)
    pairs = zip(table.sequences, table.ids, strict=True)
    longer = sum(model.num_tokens(sequence, id) > limit for sequence, id in pairs)
    how = "split into overlapping windows" if policy.kind == "window" else "run whole"
    return Count(f"longer than the context of {limit:,} {unit}: {how}", longer)


def describe_source(source: Any) -> dict[str, object]:
    """Path and hash of the table that a run was made from."""
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():  # a pipe has nothing left to hash
            return {"path": str(path), "sha256": None}
        return {"path": str(path), "sha256": hash_file(path)}
    return {"path": f"<{type(source).__name__} in memory>", "sha256": None}
