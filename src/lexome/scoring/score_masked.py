"""Scores by an encoder: pseudo-log-likelihoods of whole sequences, and of every token."""

from collections.abc import Iterable, Iterator

import numpy as np

from lexome.errors import InputError
from lexome.inference.dialects import find_dialect
from lexome.inference.model import Model
from lexome.scoring.likelihood import Reading
from lexome.scoring.masked import check_encoder
from lexome.scoring.pseudo_likelihood import (
    MASKED_RULES,
    Plan,
    check_one_pass,
    make_plan,
    read_plans,
)
from lexome.scoring.rules import DIRECTIONS, turn
from lexome.scoring.scorers import Scored, Scorer, Scoring
from lexome.sequence.alphabet import clean_sequence
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record
from lexome.tokenizers.overlapping import OverlappingTokenizer


def make_masked_scorer(model: Model, settings: Scoring) -> Scorer:
    """The settings checked against an encoder.

    Raises:
        InputError: a rule that is none of encoders; the other strand of a protein; a tag.
    """
    name = settings.rule or next(iter(MASKED_RULES))
    if name not in MASKED_RULES:
        rules = ", ".join(MASKED_RULES)
        raise InputError(f"rule {name!r}", "no rule of an encoder", rules, "one of these")
    check_encoder(model, name)
    if MASKED_RULES[name].one_pass:
        check_one_pass(model)
    dialect, direction = find_dialect(model.tokenizer), settings.direction or "forward"
    if direction not in DIRECTIONS or (direction != "forward" and not dialect.is_dna):
        raise InputError(
            "direction",
            f"{direction!r} for an encoder of {model.tokenizer.alphabet.name}",
            "forward, or of DNA also reverse (the other strand) or both",
            "`--direction forward`",
        )
    if settings.tag is not None:
        raise InputError("tag", repr(settings.tag), "a causal model", "leaving it out")
    against = {"forward": (False,), "reverse": (True,), "both": (False, True)}[direction]
    if settings.per_position and against != (False,):
        raise InputError(
            "per position", f"the direction {direction} of an encoder", "forward", "leaving it out"
        )
    return Scorer(model, dialect, settings, name, against)


def make_plans(
    scorer: Scorer, record: Record, counts: LetterCounts | None = None
) -> tuple[list[Plan], int]:
    """What is asked of a record, on each strand, and its length in residues.

    Raises:
        InputError: foreign letters, nothing to score, more tokens than the context.
    """
    settings, model = scorer.settings, scorer.model
    sequence = clean_record(scorer, record, counts)
    plans = [
        make_plan(
            model,
            turn(sequence, scorer.dialect.is_dna) if against else sequence,
            record.id,
            settings.unknown,
            whole=settings.long == "whole",
        )
        for against in scorer.against
    ]
    return plans, len(sequence)


def clean_record(scorer: Scorer, record: Record, counts: LetterCounts | None = None) -> str:
    """The sequence in the model's letters; those that were replaced are counted."""
    unknown = scorer.settings.unknown
    if unknown == "reference":
        return record.sequence
    alphabet = scorer.model.tokenizer.alphabet
    mapped = clean_sequence(record.sequence, alphabet, unknown, record.id)
    if counts is not None:
        counts.add(mapped.counts)
    return mapped.sequence


def score_masked(
    scorer: Scorer, records: Iterable[Record], counts: LetterCounts | None = None
) -> Iterator[Scored]:
    """Stream what is found of each record, in order."""
    waiting: list[tuple[Record, list[Plan], int]] = []

    def plans() -> Iterator[Plan]:
        for record in records:
            made, length = make_plans(scorer, record, counts)
            waiting.append((record, made, length))
            yield from made

    found = read_plans(scorer.model, plans(), MASKED_RULES[scorer.name].one_pass)
    for first in found:
        record, made, length = waiting.pop(0)
        log_probs = [first, *(next(found) for _ in made[1:])]
        if not all(np.isfinite(one).all() for one in log_probs):
            raise InputError(record.id, "a NaN in its scores", "finite values", "`--dtype fp32`")
        ids = made[0].ids.tolist()
        inner = range(len(ids))[scorer.model.tokenizer.inner]
        reading = Reading(record.id, tuple(ids), inner.start, inner.stop)
        yield Scored(record, reading, [x.astype(np.float32) for x in log_probs], length)


def masked_rows(scorer: Scorer, one: Scored) -> tuple[list[int], list[str]]:
    """Of each value the first residue that it is of, from 1, and the token's name."""
    tokenizer = scorer.model.tokenizer
    sequence = clean_record(scorer, one.record)
    if isinstance(tokenizer, OverlappingTokenizer):
        return list(range(1, len(sequence) + 1)), list(sequence)
    spans = tokenizer.spans(sequence, scorer.settings.unknown, one.record.id)
    kept = slice(one.reading.first, one.reading.last)
    names = [tokenizer.vocabulary[id] for id in one.reading.ids[kept]]
    return [start + 1 for start, _ in spans[kept]], names
