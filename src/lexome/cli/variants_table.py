"""The half of `lexome variants` that takes a table of mutations of proteins."""

from pathlib import Path
from typing import TYPE_CHECKING

from lexome.cli import options
from lexome.errors import InputError

if TYPE_CHECKING:
    from lexome.scoring.mutants.scorer import MutantScorer


def score_table(
    source: str,
    fasta: str | None,
    model: str | None,
    output: Path | None,
    rule: str | None,
    mutant: str | None,
    reference: str | None,
    offset: str | None,
    alignment: Path | None,
    family_model: Path | None,
    long: str,
    dtype: str,
    device: str,
    offline: bool,
    quiet: bool,
    json: bool,
) -> int:
    """Score a table by a model, or by the family of an alignment; the rows without a score."""
    from lexome.inference.parts import check_output
    from lexome.results.tables import print_table
    from lexome.scoring.variant_rows import read_references
    from lexome.scoring.variants import Asked, score_variants
    from lexome.scoring.variants_file import score_variants_file

    if output is not None:
        check_output(output)
    if fasta is None:
        raise InputError(source, "no reference", "a protein or a FASTA", "`--fasta protein.fasta`")
    references, shift = read_references(fasta), _read_offset(offset)
    if alignment is not None or family_model is not None:
        if model is not None and rule != "masked-marginal":
            raise InputError(
                "--model", "an alignment too", "one of them", "leaving out --model or --alignment"
            )
        scorer, facts = _family_scorer(
            alignment, family_model, rule, output, (model, dtype, device, offline), quiet
        )
    else:
        scorer, facts = _model_scorer(model or "protein-mini", rule, long, dtype, device, offline)
    options.say("Model", str(facts["model"]), quiet)
    options.say("Rule", f"{scorer.rule}: {scorer.definition}", quiet)
    if output is None:
        table = score_variants(
            *(scorer, source, references), mutant=mutant, reference_column=reference, offset=shift
        )
        print_table(table)
        lacking = int(table["score"].null_count())
    else:
        notes = options.provenance(**facts, input=source, fasta=fasta, long=long)
        asked = Asked(scorer, references, shift)
        done = score_variants_file(asked, source, output, notes, mutant, reference, quiet)
        if done.resumed_rows:
            options.say("Resumed", f"{done.resumed_rows:,} rows stood from an earlier run", quiet)
        options.say("Saved", f"{output}: {done.rows:,} rows", quiet)
        options.answer(done._asdict() | {"output": output}, json)
        lacking = done.without_score
    if lacking:
        options.say("Reasons", f"{lacking:,} rows have no score: see the column reason", quiet)
    return lacking


def _model_scorer(
    model: str, rule: str | None, long: str, dtype: str, device: str, offline: bool
) -> "tuple[MutantScorer, dict[str, object]]":
    from lexome.inference.ensemble import describe, load_together
    from lexome.scoring.mutants.rules import make_mutant_scorer

    loaded = load_together(model, dtype, device, offline)
    return make_mutant_scorer(loaded, rule, long), describe(loaded)


def _family_scorer(
    alignment: Path | None,
    family_model: Path | None,
    rule: str | None,
    output: Path | None,
    loading: tuple[str | None, str, str, bool],
    quiet: bool,
) -> "tuple[MutantScorer, dict[str, object]]":
    """A rule of alignments; its fit is kept beside the output where no place is named."""
    from lexome.inference.model import load_alignment_model
    from lexome.io.alignments import read_focus_alignment
    from lexome.results.files import hash_file
    from lexome.scoring.alignment_models.msa import make_msa_scorer
    from lexome.training.alignment_models.fit import family_folder, family_scorer

    facts: dict[str, object] = {"alignment": alignment}
    if alignment is not None:
        if not alignment.is_file():
            raise InputError(str(alignment), "no such file", "an alignment", "checking the path")
        facts["alignment_sha256"] = hash_file(alignment)
    model, dtype, device, offline = loading
    if rule == "masked-marginal" and alignment is not None:
        loaded = load_alignment_model(model or "msa1b", dtype, device, offline)
        card = loaded.card
        scorer = make_msa_scorer(loaded, read_focus_alignment(alignment))
        known = {"model": card.name, "sha256": card.sha256, "dtype": dtype, "device": device}
        return scorer, facts | known
    name = rule or "potts"
    saved = family_model
    if saved is None and output is not None and alignment is not None:
        saved = family_folder(output, alignment, name)
    scorer = family_scorer(alignment, name, saved, quiet=quiet)
    where = f" (kept in {saved})" if saved is not None else ""
    return scorer, facts | {"model": f"{name} of {alignment or family_model}{where}"}


def _read_offset(text: str | None) -> int:
    try:
        return int(text or "0")
    except ValueError:
        raise InputError("offset", repr(text), "a whole number", "`--offset -23`") from None
