"""A model of alignments, ready to run: what `lexome.load` returns for the MSA Transformer."""

# Letters: R rows, C columns (with `<cls>`), L columns of the query, D width, V vocabulary, H heads.
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lexome.checkpoints.load import ModelCard
from lexome.devices import is_out_of_memory, torch_dtype
from lexome.errors import EnvironmentProblem, InputError
from lexome.inference.runner import refuse_padding
from lexome.io.alignments import read_alignments
from lexome.layers.kernels import accelerate
from lexome.sequence.alignment import Alignment, check_alignment, check_depth, thin
from lexome.tokenizers.character import CharacterTokenizer

FloatArray = NDArray[np.float32]
OUTPUTS = ("logits", "hidden", "hidden_layers", "row_attentions", "column_attentions", "contacts")


class AlignmentOutput(NamedTuple):
    """What a model says of one alignment; what was not asked for is None."""

    id: str
    ids: list[list[int]]  # tokens (R, C)
    depth: int  # rows that were read; fewer may have been run
    logits: FloatArray | None = None  # (R, C, V)
    hidden: FloatArray | None = None  # (R, C, D), after the final norm
    hidden_layers: FloatArray | None = None  # (layers + 1, R, C, D)
    row_attentions: FloatArray | None = None  # (layers, H, C, C)
    column_attentions: FloatArray | None = None  # (layers, H, C, R, R)
    contacts: FloatArray | None = None  # (L, L)


class AlignmentModel:
    """The MSA Transformer on one device; alignments run one at a time, so none feels another."""

    def __init__(
        self,
        network: nn.Module,
        tokenizer: CharacterTokenizer,
        card: ModelCard,
        device: str = "cpu",
        dtype: str = "fp32",
    ) -> None:
        self.tokenizer, self.card, self.device, self.dtype = tokenizer, card, device, dtype
        network = network.to(device=device, dtype=torch_dtype(dtype)).eval()
        self.network: Any = accelerate(network)

    def __repr__(self) -> str:
        card = self.card
        return (
            f"<lexome model {card.name}: alignments, {card.parameters:,} parameters, "
            f"{self.dtype} on {self.device}>"
        )

    def run(
        self, source: Any, outputs: Sequence[str] = ("logits",), depth: int | None = None
    ) -> list[AlignmentOutput]:
        """One result an alignment.

        Args:
            source: an A3M or A2M file, a directory of them, an `Alignment`, or a list of rows.
            outputs: any of logits, hidden, hidden_layers, row_attentions, column_attentions,
                contacts.
            depth: rows at most; of a deeper alignment those that differ most are taken.

        Raises:
            InputError: rows of unequal length, letters outside the alphabet, an alignment beyond
                the model's columns, or beyond its rows without `depth`.
        """
        return [self._run(alignment, outputs, depth) for alignment in read(source)]

    def run_ids(
        self, rows: Sequence[Sequence[int]], outputs: Sequence[str] = ("logits",)
    ) -> AlignmentOutput:
        """The same from token ids, equally long rows, taken as they are given."""
        if len({len(row) for row in rows}) != 1:
            raise InputError("ids", "rows of unequal length", "equally long ones", "one alignment")
        for number, row in enumerate(rows, start=1):
            refuse_padding(list(row), self.tokenizer.pad_id, f"ids of row {number}")
        return self._compute("alignment", len(rows), [list(row) for row in rows], outputs)

    def check(self, alignment: Alignment, depth: int | None = None) -> None:
        """Refuse what `run` would refuse, quickly: a survey of the input before the work.

        Raises:
            InputError: as of `run`.
        """
        self._check_size(alignment, depth)
        # Which rows are taken is dear to tell, and matters only where some row has other letters.
        known = set(self.tokenizer.alphabet.letters)
        if not all(known.issuperset(row) for row in alignment.rows):
            self._encode(thin(alignment, depth) if depth is not None else alignment)

    def _run(self, alignment: Alignment, outputs: Sequence[str], depth: int | None) -> Any:
        self._check_size(alignment, depth)
        thinned = thin(alignment, depth) if depth is not None else alignment
        return self._compute(alignment.name, alignment.depth, self._encode(thinned), outputs)

    def _check_size(self, alignment: Alignment, depth: int | None) -> None:
        limit, name = self.card.context - 1, alignment.name
        if alignment.columns > limit:
            raise InputError(
                name, f"{alignment.columns:,} columns", f"at most {limit:,}", "a part of it"
            )
        check_depth(depth)
        rows = self.network.config.depth
        wanted = alignment.depth if depth is None else min(alignment.depth, depth)
        if wanted > rows:
            raise InputError(
                name,
                f"{wanted:,} rows",
                f"at most {rows:,}",
                "`--depth 256` (depth=256 in Python), which takes the most different ones",
            )

    def _encode(self, alignment: Alignment) -> list[list[int]]:
        return [
            self.tokenizer.encode(row, "refuse", f"{alignment.name}, {id}")[:-1]  # no <eos>
            for id, row in zip(alignment.ids, alignment.rows, strict=True)
        ]

    def _compute(
        self, name: str, depth: int, rows: list[list[int]], outputs: Sequence[str]
    ) -> AlignmentOutput:
        for output in outputs:
            if output not in OUTPUTS:
                raise InputError("outputs", repr(output), ", ".join(OUTPUTS), "one of these")
        try:
            with torch.inference_mode():
                made = self._outputs(torch.tensor(rows, device=self.device), outputs)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            raise EnvironmentProblem(
                name,
                f"not enough memory for {len(rows):,} rows of {len(rows[0]):,} tokens",
                "an alignment that fits on the device",
                f"`--depth {max(len(rows) // 2, 1)}`, or a machine with more memory",
            ) from problem
        arrays = {key: value.float().cpu().numpy() for key, value in made.items()}
        return AlignmentOutput(name, rows, depth, **arrays)

    def _outputs(self, tokens_RC: torch.Tensor, outputs: Sequence[str]) -> dict[str, torch.Tensor]:
        network = self.network
        if set(outputs) <= {"logits", "hidden"}:
            hidden_RCD = network(tokens_RC)
            made = {"hidden": hidden_RCD}
        else:
            out = network.trace(tokens_RC)
            hidden_RCD = out.hidden_RCD
            maps = [rows.to(torch_dtype(self.dtype)) for rows in out.row_maps]
            made = {"hidden": hidden_RCD, "contacts": network.contacts(maps)}
            for name, layers in (
                ("hidden_layers", out.layers),
                ("row_attentions", out.row_maps),
                ("column_attentions", out.column_maps),
            ):
                if name in outputs:
                    made[name] = torch.stack(layers)
        if "logits" in outputs:
            made["logits"] = network.logits(hidden_RCD)
        return {name: made[name] for name in outputs}


def read(source: Any) -> list[Alignment]:
    """The alignments of whatever was given."""
    if isinstance(source, Alignment):
        return [check_alignment(source)]
    if isinstance(source, (str, Path)):
        return list(read_alignments(source))
    rows = list(source)
    if not all(isinstance(row, str) for row in rows):
        raise InputError(
            "alignment", type(source).__name__, "a file, an Alignment or rows", "a list of texts"
        )
    ids = [f"row_{i}" for i in range(1, len(rows) + 1)]
    return [check_alignment(Alignment("alignment", ids, rows))]
