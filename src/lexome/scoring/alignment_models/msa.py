"""The masked marginals of an alignment model: the query's residue hidden, its kin in sight."""

# Letters: R rows, C columns, A letters (20), V vocabulary.
from collections.abc import Sequence
from functools import cache

import numpy as np

from lexome.errors import InputError
from lexome.inference.alignments import AlignmentModel
from lexome.scoring.alignment_models.placing import (
    column_positions,
    place_mutants,
    spread_table,
)
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.seeds import numpy_generator
from lexome.sequence.alignment import Alignment, thin
from lexome.sequence.family_rows import Floats
from lexome.sequence.focus import FocusAlignment
from lexome.sequence.mutations import AMINO_ACIDS, Mutant

RULE = "masked-marginal"
DEFINITION = (
    "sum over the changed columns of log p(new) - log p(old), p being what the model says of the "
    "query's residue in that column when it is masked and all other columns and rows are seen; "
    "averaged over the draws of rows. Natural logarithms; higher: more likely in the family. "
    "Source: Meier et al. 2021, as for the MSA Transformer of Rao et al. 2021."
)
NO_INSERTION = str.maketrans("", "", "abcdefghijklmnopqrstuvwxyz.")


def make_msa_scorer(
    model: AlignmentModel,
    aligned: FocusAlignment,
    depth: int = 384,
    seeds: Sequence[int] = (0,),
    weights_R: Floats | None = None,
) -> MutantScorer:
    """The rule `masked-marginal` of the MSA Transformer on a protein's alignment.

    Args:
        depth: rows at most, the query among them.
        seeds: a draw of rows each; the scores are averaged over them.
        weights_R: how likely each row is to be drawn (`family_rows.row_weights`); None: those that
            differ most from each other are taken (`alignment.thin`), and seeds change nothing.

    Raises:
        InputError: an alignment that the model does not take.
    """
    rows = [row.translate(NO_INSERTION) for row in aligned.rows]
    whole = Alignment(aligned.focus.name, aligned.ids, rows)
    if weights_R is None:
        chosen = [thin(whole, depth)]
    else:
        chosen = [draw_rows(whole, depth, weights_R, seed) for seed in seeds]
    if not chosen:
        raise InputError("seeds", "none", "one at least", "(0,)")
    for alignment in chosen:
        model.check(alignment)
    encoded = [encode_alignment(model, alignment) for alignment in chosen]
    columns = range(len(aligned.focus.offsets))

    @cache
    def of_column(column: int) -> FloatArray:
        found = [masked_log_probs(model, ids, column) for ids in encoded]
        mean_A: FloatArray = np.mean(found, axis=0)
        change_A: FloatArray = mean_A - mean_A[AMINO_ACIDS.index(aligned.focus.letters[column])]
        return change_A

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        positions = column_positions(aligned.focus, columns, sequence)
        placed = place_mutants(RULE, positions, mutants)
        return [
            one if isinstance(one, str) else sum(float(of_column(c)[a]) for c, a in one)
            for one in placed
        ]

    def table(sequence: str) -> FloatArray:
        positions = column_positions(aligned.focus, columns, sequence)
        is_known = [letter in AMINO_ACIDS for letter in aligned.focus.letters]
        blank = np.full(len(AMINO_ACIDS), np.nan)
        scores = [of_column(c) if known else blank for c, known in enumerate(is_known)]
        return spread_table(np.stack(scores), positions, sequence)

    rows_told = tuple(tuple(alignment.rows) for alignment in chosen)
    fingerprint = (RULE, model.card.sha256, model.dtype, rows_told)
    return MutantScorer(RULE, DEFINITION, fingerprint, compute, table)


def draw_rows(alignment: Alignment, depth: int, weights_R: Floats, seed: int) -> Alignment:
    """The query, and others drawn by their weights without replacement, in their order."""
    if alignment.depth <= depth:
        return alignment
    chances = weights_R[1:] / weights_R[1:].sum()
    generator = numpy_generator("alignment rows", seed)
    drawn = generator.choice(len(chances), depth - 1, replace=False, p=chances)
    kept = [0, *sorted((drawn + 1).tolist())]
    return Alignment(
        alignment.name, [alignment.ids[i] for i in kept], [alignment.rows[i] for i in kept]
    )


def encode_alignment(model: AlignmentModel, alignment: Alignment) -> list[list[int]]:
    """Tokens of each row, `<cls>` in front and no end."""
    encode = model.tokenizer.encode
    return [encode(row, "refuse", alignment.name)[:-1] for row in alignment.rows]


def masked_log_probs(model: AlignmentModel, ids: list[list[int]], column: int) -> FloatArray:
    """Log p of each amino acid (A,) in a column of the query, masked there, among all tokens."""
    query = list(ids[0])
    query[column + 1] = model.network.config.mask_id  # <cls> stands in front
    logits_RCV = model.run_ids([query, *ids[1:]], ["logits"]).logits
    assert logits_RCV is not None
    logits_V = logits_RCV[0, column + 1].astype(np.float64)
    log_p_V = logits_V - np.logaddexp.reduce(logits_V)
    made: FloatArray = log_p_V[[model.tokenizer.id_of[letter] for letter in AMINO_ACIDS]]
    return made
