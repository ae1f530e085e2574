"""`lexome.score`: how likely a model finds each sequence, as a table."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.inference.beside import has_source
from lexome.inference.causal import check_causal
from lexome.inference.dialects import NEWLINE_TOKEN, find_dialect, find_tag
from lexome.inference.model import Model
from lexome.io.sources import read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.results import columns
from lexome.scoring.likelihood import Reading, read_likelihoods, sum_up
from lexome.scoring.masked import can_fill_in, check_encoder
from lexome.scoring.pseudo_likelihood import MASKED_RULES
from lexome.scoring.rules import RULES, Text, clean, find_directions, find_rule
from lexome.scoring.score_masked import make_masked_scorer, make_plans, masked_rows, score_masked
from lexome.scoring.scorers import BASES, Scored, Scorer, Scoring
from lexome.sequence.alphabet import UnknownPolicy
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record


def score(
    model: Model,
    source: Any,
    rule: str | None = None,
    direction: str | None = None,
    base: str = "e",
    unknown: UnknownPolicy = "refuse",
    long: str = "refuse",
    tag: str | None = None,
    per_position: bool = False,
) -> pl.DataFrame:
    """How likely a model finds each sequence: one row each, in input order.

    By a causal model its likelihood; by an encoder the pseudo-likelihood, each token hidden once.

    Columns: id, length, tokens_scored, log_likelihood, mean_log_likelihood, perplexity, rule. With
    `per_position` one row a token instead: id, position (of its first residue, from 1), token,
    log_likelihood.

    Args:
        source: a sequence, a list, a frame, or a path.
        rule: of causal models "lexome" (the default), "plain", "evo", "progen2" or
            "progen2-cross-entropy" (`lexome.scoring.rules.RULES`); of encoders
            "pseudo-log-likelihood" (the default) or "pseudo-log-likelihood-one-pass"
            (`lexome.scoring.pseudo_likelihood.MASKED_RULES`).
        direction: forward, reverse (C to N, or the reverse complement) or both.
        base: of the logarithms, "e" or "2". The perplexity is the same in both.
        long: refuse sequences beyond the context, or read them "whole".

    Raises:
        InputError: a rule of another kind of model, letters or lengths that it does not take.
    """
    settings = Scoring(
        rule=rule,
        direction=direction,
        base=base,
        unknown=unknown,
        long=long,
        tag=tag,
        per_position=per_position,
    )
    scorer = make_scorer(model, settings)
    records = read_records(source, proteins=model.tokenizer.alphabet.is_protein)
    return score_table(scorer, score_records(scorer, refuse_repeats(records, find_place(source))))


def make_scorer(model: Model, settings: Scoring) -> Scorer:
    """The settings checked against a model.

    Raises:
        InputError: a rule, direction or tag that the family does not have.
    """
    if can_fill_in(model.network) and settings.rule not in RULES:
        return make_masked_scorer(model, settings)
    if settings.rule in MASKED_RULES:
        check_encoder(model, f"the rule {settings.rule}")
    if not has_source(model.network):
        check_causal(model.network, model.card.name, "likelihoods")
    dialect = find_dialect(model.tokenizer)
    name, rule = find_rule(settings.rule, dialect)
    against = find_directions(settings.direction, rule, dialect)
    if settings.tag is not None:
        if find_tag(dialect, settings.tag)[1].is_reversed:
            raise InputError(
                "tag", repr(settings.tag), "a tag that is no direction", "`--direction reverse`"
            )
        if name != "lexome":
            raise InputError(
                "tag", f"{settings.tag!r} with the rule {name}", "the rule lexome", "one of them"
            )
    if settings.per_position and len(against) > 1:
        raise InputError(
            "per position",
            "a rule that averages two directions",
            "one direction",
            "`--direction forward`",
        )
    return Scorer(model, dialect, settings, name, against)


def score_records(
    scorer: Scorer, records: Iterable[Record], counts: LetterCounts | None = None
) -> Iterator[Scored]:
    """Stream what is found of each record, in order."""
    if scorer.fills_in:
        yield from score_masked(scorer, records, counts)
        return
    waiting: list[tuple[Record, list[Reading], int]] = []

    def readings() -> Iterator[Reading]:
        for record in records:
            made, length = make_readings(scorer, record, counts)
            waiting.append((record, made, length))
            yield from made

    found = read_likelihoods(scorer.model, readings())
    for first in found:
        record, made, length = waiting.pop(0)
        log_probs = [first, *(next(found) for _ in made[1:])]
        if not all(np.isfinite(one).all() for one in log_probs):
            raise InputError(record.id, "a NaN in its scores", "finite values", "`--dtype fp32`")
        yield Scored(record, made[0], log_probs, length)


def make_readings(
    scorer: Scorer, record: Record, counts: LetterCounts | None = None
) -> tuple[list[Reading], int]:
    """What is read of a record, and its length in residues.

    Raises:
        InputError: foreign letters, no token to score, more tokens than the context.
    """
    model, settings = scorer.model, scorer.settings
    _, rule = find_rule(scorer.name, scorer.dialect)
    text = Text(
        record.id,
        record.sequence,
        model.tokenizer,
        scorer.dialect,
        rule.letters or settings.unknown,
        settings.tag,
    )
    cleaned, replaced = clean(text)
    if counts is not None:
        counts.add(replaced)
    made = [rule.read(text._replace(sequence=cleaned), against) for against in scorer.against]
    for one in made:
        if one.last <= one.first:
            raise InputError(
                record.id, "no token to score", "a sequence of two residues or more", "dropping it"
            )
        limit = model.most_tokens if settings.long == "whole" else model.card.context
        if limit is not None and len(one.ids) > limit:
            raise InputError(
                record.id,
                f"{len(one.ids):,} tokens",
                f"at most the context of {limit:,}",
                "a part of the sequence"
                if model.most_tokens
                else "`--long whole`, or a part of the sequence",
            )
    return made, len(cleaned)


def check_record(scorer: Scorer, record: Record) -> int:
    """The length of a record in residues.

    Raises:
        InputError: it cannot be scored.
    """
    return (make_plans if scorer.fills_in else make_readings)(scorer, record)[1]


def score_table(scorer: Scorer, scored: Iterable[Scored]) -> pl.DataFrame:
    """The rows of scored records."""
    factor = BASES[scorer.settings.base]
    if scorer.settings.per_position:
        make_rows = _masked_rows if scorer.fills_in else _position_rows
        frames = [make_rows(scorer, one, factor) for one in scored]
        return pl.concat(frames) if frames else pl.DataFrame(schema=POSITION_SCHEMA)
    rows = []
    for one in scored:
        total, mean = sum_up(one.log_probs)
        rows.append(
            (
                one.record.id,
                one.length,
                len(one.log_probs[0]),
                total * factor,
                mean * factor,
                math.exp(min(-mean, 700.0)),
                scorer.name,
            )
        )
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


SCHEMA = {
    columns.ID: pl.String,
    columns.LENGTH: pl.Int64,
    columns.TOKENS_SCORED: pl.Int64,
    columns.LOG_LIKELIHOOD: pl.Float64,
    columns.MEAN_LOG_LIKELIHOOD: pl.Float64,
    columns.PERPLEXITY: pl.Float64,
    columns.RULE: pl.String,
}
POSITION_SCHEMA = {
    columns.ID: pl.String,
    columns.POSITION: pl.Int64,
    columns.TOKEN: pl.String,
    columns.LOG_LIKELIHOOD: pl.Float64,
}


def _masked_rows(scorer: Scorer, one: Scored, factor: float) -> pl.DataFrame:
    """A row a token, or of overlapping k-mers a base, in the order of the sequence."""
    places, names = masked_rows(scorer, one)
    values = one.log_probs[0].astype(np.float64) * factor
    ids = [one.record.id] * len(names)
    return pl.DataFrame([ids, places, names, values], schema=POSITION_SCHEMA)


def _position_rows(scorer: Scorer, one: Scored, factor: float) -> pl.DataFrame:
    """A row a scored token, in the order of the sequence."""
    reading, values = one.reading, one.log_probs[0].astype(np.float64) * factor
    vocabulary, silent = scorer.model.tokenizer.vocabulary, set(scorer.dialect.stops)
    tokens = [vocabulary[i] for i in reading.ids]
    # Residues of each token: ends and line breaks stand for none.
    sizes = [
        0 if id in silent or id in scorer.dialect.front else len(token.replace(NEWLINE_TOKEN, ""))
        for id, token in zip(reading.ids, tokens, strict=True)
    ]
    starts = np.cumsum([0, *sizes])[:-1] + 1
    kept = slice(reading.first, reading.last)
    places, names = starts[kept], [t.replace(NEWLINE_TOKEN, "\n") for t in tokens[kept]]
    if scorer.against == (True,):
        places = (one.length - starts[kept] - np.array(sizes[kept]) + 2)[::-1]
        names, values = names[::-1], values[::-1]
    ids = [one.record.id] * len(names)
    return pl.DataFrame([ids, places, names, values], schema=POSITION_SCHEMA)
