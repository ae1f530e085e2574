"""The object that `lexome.load` returns: a network, its tokenizer, its card."""

# Letters: T tokens of one sequence (special tokens counted), L residues, V vocabulary, D width.
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lexome.batches.packing import Packed
from lexome.batches.windows import check_length, parse_long
from lexome.checkpoints.load import ModelCard, load_checkpoint
from lexome.checkpoints.loaded import count_parameters
from lexome.devices import choose_device, torch_dtype
from lexome.errors import InputError
from lexome.inference.alignments import AlignmentModel
from lexome.inference.beside import as_causal
from lexome.inference.causal import continue_greedily
from lexome.inference.runner import Piece, refuse_padding, run_batches
from lexome.io.sources import read_records
from lexome.layers.kernels import accelerate
from lexome.layers.precision import cast
from lexome.sequence.alphabet import UnknownPolicy
from lexome.tokenizers.interface import Tokenizer

FloatArray = NDArray[np.float32]
OUTPUTS = ("logits", "hidden", "hidden_layers", "attentions", "contacts")


class SequenceOutput(NamedTuple):
    """What a model says of one sequence; what was not asked for is None."""

    id: str
    ids: list[int]  # tokens, special ones among them
    logits: FloatArray | None = None  # (T, V)
    hidden: FloatArray | None = None  # (T, D), after the final norm
    hidden_layers: FloatArray | None = None  # (layers + 1, T, D), embeddings first
    attentions: FloatArray | None = None  # (layers, heads, T, T)
    contacts: FloatArray | None = None  # (L, L)


class Model:
    """A loaded model, ready to run forward."""

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        card: ModelCard,
        device: str = "cpu",
        dtype: str = "fp32",
    ) -> None:
        self.tokenizer, self.card, self.device, self.dtype = tokenizer, card, device, dtype
        # Of the weights as they are computed with; reordered ones no longer tell.
        self.num_bytes = count_parameters(network) * torch_dtype(dtype).itemsize
        network = cast(network, device, torch_dtype(dtype)).eval()
        self.network: Any = accelerate(network)

    def __repr__(self) -> str:
        card = self.card
        return (
            f"<lexome model {card.name}: {card.family}, {card.parameters:,} parameters, "
            f"{self.dtype} on {self.device}>"
        )

    @property
    def most_tokens(self) -> int | None:
        """Tokens of a sequence that the network can take at all; None where positions never end."""
        config = self.network.config
        return int(config.context) if config.positions == "learned" else None

    def run(
        self,
        source: Any,
        outputs: Sequence[str] = ("logits",),
        unknown: UnknownPolicy = "refuse",
        long: str = "refuse",
    ) -> list[SequenceOutput]:
        """One result a sequence, in input order, with no padding anywhere in it.

        Args:
            source: a sequence, a list, a frame, or a path.
            outputs: any of logits, hidden, hidden_layers, attentions, contacts.
            unknown: what becomes of letters outside the alphabet: refuse, map, reference.
            long: "refuse" sequences beyond the context, or run them "whole".

        Raises:
            InputError: unknown letters under "refuse", a sequence that is too long, an output
                that this family does not have.
        """
        policy = parse_long(long)
        if policy.kind not in ("refuse", "whole"):
            raise InputError("long", repr(long), "refuse or whole", "`lexome.embed` for windows")
        pieces = []
        for record in read_records(source, proteins=self.tokenizer.alphabet.is_protein):
            ids = self.tokenizer.encode(record.sequence, unknown, record.id)
            if policy.kind == "refuse":
                specials, unit = self.tokenizer.num_specials, self.tokenizer.unit
                check_length(len(ids) - specials, self.card.context - specials, record.id, unit)
            pieces.append(Piece(record.id, ids))
        return self._run_pieces(pieces, outputs)

    def run_ids(
        self, ids: Sequence[Sequence[int]], outputs: Sequence[str] = ("logits",)
    ) -> list[SequenceOutput]:
        """The same from token ids, taken as they are given."""
        self._check_ids(ids)
        pieces = [Piece(f"sequence_{i}", list(one)) for i, one in enumerate(ids, start=1)]
        return self._run_pieces(pieces, outputs)

    def continue_ids(self, ids: Sequence[Sequence[int]], max_new: int = 32) -> list[list[int]]:
        """The most likely token after each of these, and after that one, and so on (causal models).

        Of an encoder-decoder these are sources, and what comes is its answer beside each.

        Nothing ends it early, and any token may come; `lexome.generate` samples, and knows both.

        Raises:
            InputError: an encoder, no ids or unknown ones, more tokens than the context.
        """
        network = as_causal(self.network, self.card.name, max(map(len, ids), default=1))
        self._check_ids(ids)
        longest = max(map(len, ids), default=0) + max_new
        if max_new < 1 or longest > self.card.context:
            raise InputError(
                "max_new",
                f"{max_new:,} after at most {longest - max_new:,} tokens",
                f"at least 1, and together at most the context of {self.card.context:,}",
                "fewer",
            )
        with torch.inference_mode():
            return continue_greedily(network, ids, max_new)

    def _check_ids(self, ids: Sequence[Sequence[int]]) -> None:
        size = len(self.tokenizer.vocabulary)
        for i, one in enumerate(ids, start=1):
            wrong = [token for token in one if not 0 <= token < size]
            if wrong or not len(one):
                raise InputError(
                    f"ids of sequence {i}",
                    f"the id {wrong[0]}" if wrong else "no id",
                    f"ids from 0 to {size - 1}",
                    "`model.tokenizer.encode`",
                )

    def _run_pieces(self, pieces: list[Piece], outputs: Sequence[str]) -> list[SequenceOutput]:
        self._check_outputs(outputs)
        for piece in pieces:
            refuse_padding(list(piece.ids), self.tokenizer.pad_id, piece.name)
            if self.most_tokens is not None and len(piece.ids) > self.most_tokens:
                raise InputError(
                    piece.name,
                    f"{len(piece.ids):,} tokens",
                    f"at most {self.most_tokens:,}: this model learned no position beyond",
                    "`lexome.embed` with long='window', or a part of the sequence",
                )
        results = run_batches(pieces, lambda p: self._compute(p, outputs), self.device)
        named = zip(pieces, results, strict=True)
        return [result._replace(id=piece.name, ids=list(piece.ids)) for piece, result in named]

    def _check_outputs(self, outputs: Sequence[str]) -> None:
        lacking = {
            "logits": self.network.language_model_head is None,
            "contacts": self.network.contact_head is None,
            "attentions": not getattr(self.network, "attends", True),
        }
        for name in outputs:
            if name not in OUTPUTS:
                raise InputError(
                    "outputs",
                    repr(name),
                    "logits, hidden, hidden_layers, attentions or contacts from an encoder",
                    "one of these",
                )
            if lacking.get(name):
                seen = "weights without that head"
                if name == "attentions":
                    seen = "a model that only convolves"
                raise InputError(self.card.name, seen, f"a model with {name}", "another")

    def _compute(self, packed: Packed, outputs: Sequence[str]) -> list[SequenceOutput]:
        tokens_T, layout = packed
        with_maps = "attentions" in outputs or "contacts" in outputs
        if with_maps or "hidden_layers" in outputs:
            traced = self.network.trace(tokens_T, layout, with_maps)
            hidden_TD, layers, maps = traced
        else:
            hidden_TD, layers, maps = self.network(tokens_T, layout), [], []
        num = len(layout.lengths)
        made: dict[str, list[FloatArray]] = {}
        if "logits" in outputs:
            made["logits"] = _arrays(layout.split(self.network.logits(hidden_TD)))
        if "hidden" in outputs:
            made["hidden"] = _arrays(layout.split(hidden_TD))
        if "hidden_layers" in outputs:
            by_layer = [layout.split(layer) for layer in layers]
            made["hidden_layers"] = _arrays(
                [torch.stack([x[i] for x in by_layer]) for i in range(num)]
            )
        if "attentions" in outputs:
            made["attentions"] = _arrays([torch.stack([x[i] for x in maps]) for i in range(num)])
        if "contacts" in outputs:
            made["contacts"] = _arrays(self._contacts(maps, list(layout.split(tokens_T))))
        return [
            SequenceOutput("", [], **{name: values[i] for name, values in made.items()})
            for i in range(num)
        ]

    def _contacts(
        self, maps: list[list[torch.Tensor]], tokens: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        typed = [[m.to(torch_dtype(self.dtype)) for m in layer] for layer in maps]
        found: list[torch.Tensor] = self.network.contacts(typed, tokens)
        return found


def load(
    name: str,
    dtype: str = "fp32",
    device: str = "auto",
    offline: bool = False,
    revision: str | None = None,
) -> Model:
    """A model by catalogue name, directory or hub id.

    fp32 is the reference; `dtype="bf16"` is faster on CPUs and GPUs that have it.
    """
    loaded = load_any(name, dtype, device, offline, revision)
    if isinstance(loaded, AlignmentModel):
        raise InputError(
            f"model {loaded.card.name}",
            "a model of alignments",
            "one of single sequences",
            "`lexome.load_alignment_model` in Python, or an alignment (.a3m) as input",
        )
    return loaded


def load_any(
    name: str,
    dtype: str = "fp32",
    device: str = "auto",
    offline: bool = False,
    revision: str | None = None,
) -> Model | AlignmentModel:
    """A model of single sequences or of alignments, as it is."""
    checkpoint = load_checkpoint(name, offline, revision)
    chosen = choose_device(device).choice
    kind: Any = AlignmentModel if checkpoint.card.family == "msa" else Model
    made: Model | AlignmentModel = kind(
        checkpoint.network, checkpoint.tokenizer, checkpoint.card, chosen, dtype
    )
    return made


def load_alignment_model(
    name: str,
    dtype: str = "fp32",
    device: str = "auto",
    offline: bool = False,
    revision: str | None = None,
) -> AlignmentModel:
    """A model of alignments (the MSA Transformer) by catalogue name, directory or file."""
    loaded = load_any(name, dtype, device, offline, revision)
    if not isinstance(loaded, AlignmentModel):
        raise InputError(
            f"model {loaded.card.name}",
            "a model of single sequences",
            "one of alignments",
            "`--model msa1b`, or sequences instead of an alignment",
        )
    return loaded


def _arrays(tensors: Sequence[torch.Tensor]) -> list[FloatArray]:
    return [t.float().cpu().numpy() for t in tensors]
