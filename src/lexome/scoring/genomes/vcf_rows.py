"""Scores the alleles of some rows of a VCF: a table with one row an allele."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from lexome.errors import InputError
from lexome.io.genome import Genome
from lexome.io.vcf import VcfRow
from lexome.results import columns
from lexome.scoring.genomes.coding import Annotation, Effect
from lexome.scoring.genomes.variants import Variant, make_pairs, read_variants, spell
from lexome.scoring.mutants.scorer import MutantScorer, Outcome, score_mutants
from lexome.scoring.pairs.pair import Pair, PairScorer

PAIR_BASES = 1 << 23  # of windows that are held at once


@dataclass(frozen=True, kw_only=True)
class VcfScoring:
    """What is asked of a VCF; at least one of `pairs` and `annotation` is there."""

    genome: Genome
    pairs: PairScorer | None = None  # the DNA model
    window: int = 0  # bases that it reads around a variant
    annotation: Annotation | None = None
    mutants: MutantScorer | None = None  # the protein model; needs the annotation
    needs_header: bool = True
    inputs: tuple[object, ...] = ()  # what tells the FASTA and GFF files: hashes, region, names

    def __post_init__(self) -> None:
        if self.pairs is None and self.annotation is None:
            raise InputError(
                "variants", "neither a DNA model nor a GFF", "one of them", "`-m MODEL` or `--gff`"
            )
        if self.mutants is not None and self.annotation is None:
            raise InputError(
                "protein model", "no annotation of genes", "a GFF3 file", "`--gff FILE.gff3`"
            )
        if self.pairs is not None and self.window < 1:
            raise InputError("window", str(self.window), "a number from 1 on", "`--window 512`")

    def fingerprint(self) -> list[object]:
        """All that the numbers depend on besides the rows."""
        pairs, mutants, annotation = self.pairs, self.mutants, self.annotation
        return [
            "vcf",
            *self.inputs,
            pairs and (pairs.rule, pairs.fingerprint, self.window),
            mutants and (mutants.rule, mutants.fingerprint),
            annotation and annotation.code.number,
        ]

    def notes(self) -> dict[str, object]:
        """What makes the numbers, for the output."""
        told: dict[str, object] = {}
        if self.pairs is not None:
            told |= {"rule": self.pairs.rule, "rule_definition": self.pairs.definition}
            told["window"] = self.window
        if self.mutants is not None:
            told["protein_rule"] = self.mutants.rule
            told["protein_rule_definition"] = self.mutants.definition
        if self.annotation is not None:
            told["genetic_code"] = self.annotation.code.number
        return told


SCHEMA = {
    columns.ROW: pl.Int64,
    columns.CHROMOSOME: pl.String,
    columns.POSITION: pl.Int64,
    columns.ID: pl.String,
    columns.REF: pl.String,
    columns.ALT: pl.String,
    columns.NORMALISED: pl.String,
}
DNA_SCHEMA = {
    columns.SCORE: pl.Float64,
    columns.REASON: pl.String,
    columns.WINDOW_BASES: pl.Int64,
    columns.RULE: pl.String,
}
GENE_SCHEMA = {
    columns.GENE: pl.String,
    columns.TRANSCRIPT: pl.String,
    columns.CONSEQUENCE: pl.String,
    columns.PROTEIN_CHANGE: pl.String,
    columns.OTHER_TRANSCRIPTS: pl.String,
    columns.PROTEIN_REASON: pl.String,
}
PROTEIN_SCHEMA = {columns.PROTEIN_SCORE: pl.Float64, columns.PROTEIN_RULE: pl.String}


def score_rows(scoring: VcfScoring, rows: Iterable[VcfRow]) -> pl.DataFrame:
    """One row an allele of some rows of a VCF, in their order."""
    variants = [variant for row in rows for variant in read_variants(scoring.genome, row)]
    data: dict[str, list[Any]] = {
        columns.ROW: [one.row.number for one in variants],
        columns.CHROMOSOME: [_clean(one.row.fields[0]) for one in variants],
        columns.POSITION: [_number(one.row.fields[1]) for one in variants],
        columns.ID: [_clean(one.row.fields[2]) for one in variants],
        columns.REF: [_clean(one.row.fields[3]) for one in variants],
        columns.ALT: [_clean(one.alt) for one in variants],
        columns.NORMALISED: [_normalised(one, scoring.genome) for one in variants],
    }
    if scoring.pairs is not None:
        data |= _score_pairs(scoring, scoring.pairs, variants)
    if scoring.annotation is not None:
        data |= _score_proteins(scoring, scoring.annotation, variants)
    return pl.DataFrame(data, schema=table_schema(scoring))


def _score_pairs(
    scoring: VcfScoring, scorer: PairScorer, variants: list[Variant]
) -> dict[str, list[Any]]:
    scores: list[float | None] = [None] * len(variants)
    windows: list[int | None] = [None] * len(variants)
    reasons = [""] * len(variants)
    for batch in make_pairs(scoring.genome, variants, scoring.window, PAIR_BASES):
        good = [(i, pair) for i, pair in batch if isinstance(pair, Pair)]
        answers = scorer.compute([pair for _, pair in good]) if good else []
        for (i, pair), answer in zip(good, answers, strict=True):
            windows[i] = len(pair.ref)
            if isinstance(answer, str):
                reasons[i] = answer
            else:
                scores[i] = answer
        for i, reason in batch:
            if isinstance(reason, str):
                reasons[i] = reason
    return {
        columns.SCORE: scores,
        columns.REASON: reasons,
        columns.WINDOW_BASES: windows,
        columns.RULE: [scorer.rule] * len(variants),
    }


def _score_proteins(
    scoring: VcfScoring, annotation: Annotation, variants: list[Variant]
) -> dict[str, list[Any]]:
    found = [
        annotation.find_effects(one.contig, one.allele) if one.contig and one.allele else []
        for one in variants
    ]
    worst = [effects[0] if effects else None for effects in found]
    data: dict[str, list[Any]] = {
        columns.GENE: [one.transcript.gene if one else "" for one in worst],
        columns.TRANSCRIPT: [one.transcript.name if one else "" for one in worst],
        columns.CONSEQUENCE: [one.consequence if one else "" for one in worst],
        columns.PROTEIN_CHANGE: [one.change if one else "" for one in worst],
        columns.OTHER_TRANSCRIPTS: [
            "/".join(f"{e.transcript.name}|{e.consequence}|{e.change}" for e in effects[1:])
            for effects in found
        ],
    }
    outcomes = [
        Outcome(None, _why_no_mutant(variant, effect))
        for variant, effect in zip(variants, worst, strict=True)
    ]
    if scoring.mutants is not None:
        _fill_in_scores(scoring.mutants, worst, outcomes)
        data[columns.PROTEIN_SCORE] = [one.score for one in outcomes]
        data[columns.PROTEIN_RULE] = [scoring.mutants.rule] * len(variants)
    data[columns.PROTEIN_REASON] = [one.reason for one in outcomes]
    return data


def _fill_in_scores(
    scorer: MutantScorer, effects: list[Effect | None], outcomes: list[Outcome]
) -> None:
    """Ask once for each protein, with all of its mutants."""
    by_protein: dict[str, list[int]] = {}
    for i, effect in enumerate(effects):
        if effect is not None and effect.mutant is not None:
            by_protein.setdefault(effect.protein, []).append(i)
    for protein, places in by_protein.items():
        mutants = [one.mutant for i in places if (one := effects[i]) and one.mutant is not None]
        try:
            answers = score_mutants(scorer, protein, mutants)
        except InputError as error:  # this protein is not for the model: too long, a letter
            reason = f"the protein: saw {error.seen}, expected {error.expected}"
            answers = [Outcome(None, reason)] * len(places)
        for i, answer in zip(places, answers, strict=True):
            outcomes[i] = answer


def _why_no_mutant(variant: Variant, effect: Effect | None) -> str:
    if variant.reason:
        return variant.reason
    if effect is None:
        return "no coding transcript lies there"
    return effect.reason


def table_schema(scoring: VcfScoring) -> dict[str, Any]:
    """The columns that are asked for."""
    schema: dict[str, Any] = dict(SCHEMA)
    if scoring.pairs is not None:
        schema |= DNA_SCHEMA
    if scoring.annotation is not None:
        schema |= GENE_SCHEMA
    if scoring.mutants is not None:
        schema |= PROTEIN_SCHEMA
    return schema


def _normalised(variant: Variant, genome: Genome) -> str:
    """Empty where the file writes the allele in its normal form already."""
    if variant.allele is None or (variant.allele.ref and len(variant.row.fields[3]) == 1):
        return ""
    written = f"{variant.row.fields[1]}:{variant.row.fields[3].upper()}:{variant.alt.upper()}"
    normal = spell(variant, genome)
    return "" if normal == written else normal


def _number(text: str) -> int | None:
    """A position; None for a text that is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _clean(text: str) -> str:
    """Without bytes that are no UTF-8, which a table cannot hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
