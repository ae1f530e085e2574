"""Which residues touch, by the attention of a model that was trained to show it."""

# Letters: L residues, P pairs of them.
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.inference.alignments import AlignmentModel, read
from lexome.inference.model import Model
from lexome.io.sources import read_records
from lexome.results import columns


class Contacts(NamedTuple):
    """The contact map of one protein."""

    id: str
    sequence: str  # the query, where it came from an alignment
    probabilities: NDArray[np.float32]  # (L, L), symmetric


def find_contacts(
    model: Model | AlignmentModel, source: Any, depth: int | None = None
) -> Iterator[Contacts]:
    """The contact map of every sequence, or of every alignment's query.

    Args:
        model: with a trained contact regression: ESM-1b, ESM-2, MSA Transformer.
        source: sequences, or for a model of alignments A3M or A2M files.
        depth: rows of an alignment at most.

    Raises:
        InputError: a model without it, or what the model refuses.
    """
    if isinstance(model, AlignmentModel):
        for alignment in read(source):
            found = model.run(alignment, ["contacts"], depth)[0]
            assert found.contacts is not None
            yield Contacts(alignment.name, alignment.rows[0], found.contacts)
        return
    records = list(read_records(source, proteins=True))
    limit = model.card.context - model.tokenizer.num_specials
    for record in records:  # all, before the first is run
        if len(record.sequence) > limit:
            raise InputError(
                record.id,
                f"{len(record.sequence):,} residues",
                f"at most {limit:,}",
                "a domain of it: contacts are not put together from windows",
            )
    for record in records:
        one = model.run([(record.id, record.sequence)], ["contacts"])[0]
        assert one.contacts is not None
        yield Contacts(record.id, record.sequence, one.contacts)


def contact_table(found: Contacts, separation: int = 6) -> pl.DataFrame:
    """Pairs (P,) at least `separation` apart along the sequence, the most probable first."""
    first_P, second_P = np.triu_indices(len(found.sequence), separation)
    values_P = found.probabilities[first_P, second_P]
    order = np.argsort(-values_P, kind="stable")
    first_P, second_P = first_P[order], second_P[order]
    letters = np.array(list(found.sequence))
    return pl.DataFrame(
        {
            columns.ID: [found.id] * len(order),
            columns.POSITION_1: first_P + 1,
            columns.POSITION_2: second_P + 1,
            columns.RESIDUE_1: letters[first_P],
            columns.RESIDUE_2: letters[second_P],
            columns.PROBABILITY: values_P[order],
        }
    )


def contact_picture(found: Contacts, path: Path, model: str) -> None:
    """The map as a picture."""
    from lexome.plots.contacts import draw_contacts

    figure = draw_contacts(found.probabilities, f"{found.id}: contacts by {model}")
    figure.savefig(path, dpi=144, facecolor="white")
