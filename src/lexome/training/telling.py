"""What a run says of its table, its split and its model, on the terminal and in run.json."""

from typing import Any

import numpy as np

from lexome.evaluation.splits import SplitSettings
from lexome.results.types import Audit
from lexome.training.adapters import Counts
from lexome.training.budget import Announce
from lexome.training.fit import Parts
from lexome.training.labelled import LabelledTable
from lexome.training.residue_labels import PER_RESIDUE
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup


def describe_split(
    splitting: SplitSettings, settings: FinetuneSettings, parts: Parts, num_rows: int
) -> dict[str, Any]:
    """How the parts were made, and how large they are."""
    sizes = {part: len(getattr(parts, part)) for part in parts._fields}
    unused = num_rows - sum(sizes.values())
    if unused:
        sizes["unused"] = unused
    if splitting.kind == "block":
        text = f"70/10/20 by blocks of {settings.block_size:,} bases; between parts a gap of "
        text += f"{settings.gap:,} bases, whose {unused:,} rows are left out"
    elif splitting.column is not None:
        lists = (settings.train, settings.validation, settings.test)
        named = zip(parts._fields, lists, strict=True)
        text = ", ".join(f"{part} {' '.join(values)}" for part, values in named if values)
    else:
        text = {"cluster": "70/10/20 by similarity group", "random": "70/10/20 at random"}.get(
            splitting.kind, ""
        )
    return {
        "spelling": str(splitting),
        "description": text,
        "random": splitting.kind == "random",
        "parts": sizes,
    }


def describe_model(settings: FinetuneSettings, setup: Setup, counts: Counts) -> dict[str, Any]:
    """Name, size and origin of the model, and how much of it was trained."""
    card = setup.card
    return {
        "name": settings.model,
        "family": card.family if card else setup.family,
        "parameters": counts.trained if card is None or not setup.keeps_base else card.parameters,
        "trained": counts.trained,
        "trained_in_backbone": counts.adapter,
        "trained_share": counts.trained / counts.whole,
        "revision": card.revision if card else None,
        "hash": card.sha256 if card else None,
        "licence": card.licence if card else "Apache-2.0 (trained here)",
    }


def announce_table(announce: Announce, data: LabelledTable) -> None:
    """Say what was read and guessed, and what was left out."""
    target = data.target
    columns = ", ".join(
        f"{role} = {name}{' (guessed)' if role in data.guessed else ''}"
        for role, name in data.columns.items()
    )
    kind: str = target.task if target.residues is None else f"{PER_RESIDUE}, {target.task}"
    if target.task == "binary":
        share = target.truth(np.arange(len(data.ids))).mean()
        of = "rows" if target.residues is None else "residues"
        kind += f", positive {target.labels[1]!r}, {share:.1%} of the {of}"
    elif target.subs:
        each = zip(target.labels, target.subs, strict=True)
        named = [f"{name} {sub.task}, {np.asarray(sub.known).sum():,} labels" for name, sub in each]
        kind += f": {'; '.join(named)}"
    elif target.labels:
        kind += f", {len(target.labels)} labels"
    if target.guessed:
        kind += "; guessed"
    announce("Reading", f"{data.where}: {data.num_read:,} rows; {columns} ({kind})")
    counted = [f"{count.number:,} {count.what}" for count in data.cleaning if count.number]
    announce("Cleaning", "; ".join(counted) or "nothing to clean")


def announce_split(
    announce: Announce,
    splitting: SplitSettings,
    settings: FinetuneSettings,
    parts: Parts,
    num_rows: int,
    audit: Audit,
) -> None:
    """Say how the parts were made and what they share."""
    described = describe_split(splitting, settings, parts, num_rows)
    sizes = ", ".join(f"{part} {size:,}" for part, size in described["parts"].items())
    announce("Split", f"{splitting} ({described['description']}): {sizes}")
    exact = sum(overlap.exact for overlap in audit.overlaps)
    near = sum(overlap.near for overlap in audit.overlaps)
    of = " of either sequence" if settings.pairs else ""
    announce(
        "Audit",
        f"{exact:,} exact and {near:,} near copies{of} (>= {audit.similarity:.0%}) across parts"
        + (", listed in audit.csv" if exact + near else ""),
    )
