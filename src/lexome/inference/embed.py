"""One vector a sequence, or one a residue, by a recipe that is written down."""

# Letters: L residues, T tokens over a batch, D width, S sequences.
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.packing import Packed
from lexome.batches.windows import LongPolicy, Window, check_length, crop, parse_long, plan_windows
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.inference.runner import Piece, refuse_padding, run_batches
from lexome.io.sources import read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.results.types import Embeddings, ResidueEmbeddings
from lexome.sequence.alphabet import (
    UNKNOWN_POLICIES,
    UnknownPolicy,
    clean_sequence,
    map_letters,
)
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record
from lexome.tokenizers.interface import TokenIds, Tokenizer, encode_parts

FloatArray = NDArray[np.float32]
EmbedPooling = Literal["mean", "max", "cls", "none"]
EMBED_POOLINGS: tuple[str, ...] = get_args(EmbedPooling)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How vectors are made; recorded with every output.

    `layer` counts from 0 (the embeddings) to the number of blocks (after the final norm);
    negative numbers count from the end.
    """

    pooling: EmbedPooling = "mean"
    layer: int = -1
    unknown: UnknownPolicy = "refuse"
    long: str = "refuse"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("pooling", self.pooling, EMBED_POOLINGS),
            ("unknown", self.unknown, UNKNOWN_POLICIES),
        ):
            if value not in known:
                raise InputError(name, repr(value), " or ".join(known), "one of these")
        if parse_long(self.long).kind == "window" and self.pooling == "cls":
            raise InputError("pooling", "cls with windows", "mean or max", "`--pooling mean`")


class EmbeddedRow(NamedTuple):
    """The result for one record."""

    id: str
    values: FloatArray  # (D,) pooled, or (L, D) with pooling "none", L counting tokens
    length: int  # residues of the whole sequence
    residues_used: int  # fewer where it was cropped
    windows: int  # 1 where the sequence went through in one piece
    spans: list[tuple[int, int]]  # the letters [start, end) of each token; empty for one a letter


class Prepared(NamedTuple):
    """A record as the model takes it."""

    tokens: TokenIds  # special ones among them
    length: int  # residues of the whole sequence
    used: int  # fewer where it was cropped
    spans: list[tuple[int, int]]  # as in EmbeddedRow


def embed(
    model: Model,
    source: Any,
    pooling: EmbedPooling | None = None,
    layer: int | None = None,
    unknown: UnknownPolicy = "refuse",
    long: str = "refuse",
) -> Embeddings:
    """One vector a sequence, in input order, with what was cropped, windowed and mapped.

    Args:
        model: from `lexome.load`.
        source: a sequence, a list, a frame, or a path.
        pooling: mean (default) or max over residues, or the `<cls>` token.
        layer: the hidden layer, 0 the embeddings, -1 (default) after the final norm.
        unknown: what becomes of letters outside the alphabet: refuse, map, reference.
        long: refuse, whole, window or crop:HEAD+TAIL for sequences beyond the context.

    Raises:
        InputError: an id that stands twice, and what the policies refuse.
    """
    recipe = _recipe(pooling or "mean", layer, unknown, long)
    if recipe.pooling == "none":
        raise InputError("pooling", "'none'", "mean, max or cls", "`lexome.embed_residues`")
    counts = LetterCounts()
    rows = list(embed_records(model, _read(model, source), recipe, counts))
    vectors_SD = np.stack([row.values for row in rows])
    return Embeddings([r.id for r in rows], vectors_SD, asdict(recipe), *_trace(rows, counts))


def embed_residues(
    model: Model,
    source: Any,
    layer: int | None = None,
    unknown: UnknownPolicy = "refuse",
    long: str = "refuse",
) -> ResidueEmbeddings:
    """One matrix (L, D) a sequence, in input order; see `embed`."""
    recipe = _recipe("none", layer, unknown, long)
    counts = LetterCounts()
    rows = list(embed_records(model, _read(model, source), recipe, counts))
    matrices = [row.values for row in rows]
    return ResidueEmbeddings([r.id for r in rows], matrices, asdict(recipe), *_trace(rows, counts))


def embed_records(
    model: Model,
    records: Iterable[Record],
    recipe: Recipe,
    counts: LetterCounts | None = None,
    max_tokens: int | None = None,
) -> Iterator[EmbeddedRow]:
    """Stream rows in input order; memory is bounded by the batch and the longest record."""
    policy = parse_long(recipe.long)
    waiting: list[tuple[str, Prepared, list[Window]]] = []  # in order, yet to be answered
    tokenizer = model.tokenizer

    def pieces() -> Iterator[Piece]:
        for record in records:
            prepared = prepare(model, record, recipe, policy, counts)
            tokens = prepared.tokens
            inner = tokens[tokenizer.inner]
            windows = windows_of(model, len(inner), policy)
            waiting.append((record.id, prepared, windows))
            for window in windows:
                parts = [tokens[: tokenizer.num_before], inner[window.start : window.end]]
                parts.append(tokens[len(tokens) - tokenizer.num_after :])
                yield Piece(record.id, np.concatenate(parts))

    keep_tokens = recipe.pooling == "none" or policy.kind == "window"
    compute = (residue_vectors if keep_tokens else pooled_vectors)(model, recipe)
    results = run_batches(pieces(), compute, model.device, max_tokens)
    for result in results:
        id, prepared, windows = waiting.pop(0)
        values = result
        if keep_tokens:
            parts = [kept_part(result, windows[0])]
            parts += [kept_part(next(results), window) for window in windows[1:]]
            values = _pool(np.concatenate(parts), recipe.pooling)
        if not np.isfinite(values).all():
            raise InputError(id, "a NaN in its vector", "finite values", "`--dtype fp32`")
        _, length, used, spans = prepared
        yield EmbeddedRow(id, values, length, used, len(windows), spans)


def prepare(
    model: Model,
    record: Record,
    recipe: Recipe,
    policy: LongPolicy,
    counts: LetterCounts | None = None,
) -> Prepared:
    """The token ids of one record under the recipe's policies for letters and length.

    Raises:
        InputError: naming the record and what is wrong with it.
    """
    sequence, tokenizer = record.sequence, model.tokenizer
    mask = tokenizer.vocabulary[tokenizer.mask_id]
    if recipe.unknown == "reference" or mask in sequence:
        return _prepare_as_given(model, record, recipe, policy, counts)
    mapped = clean_sequence(sequence, tokenizer.alphabet, recipe.unknown, record.id)
    if counts is not None:
        counts.add(mapped.counts)
    whole, parts, starts = mapped.sequence, [mapped.sequence], [0]
    if policy.kind == "crop" and len(whole) > policy.head + policy.tail:
        parts = [whole[: policy.head], whole[len(whole) - policy.tail :]]
        starts = [0, len(whole) - policy.tail]
    tokens = encode_parts(tokenizer, parts, recipe.unknown, record.id)
    used = sum(map(len, parts))
    _check_length(model, tokens, policy, record.id)
    spans: list[tuple[int, int]] = []
    if recipe.pooling == "none" and not tokenizer.is_per_letter:
        for part, start in zip(parts, starts, strict=True):
            own = tokenizer.spans(part, recipe.unknown, record.id)[tokenizer.inner]
            spans += [(a + start, b + start) for a, b in own]
    return Prepared(tokens, len(whole), used, spans)


def _prepare_as_given(
    model: Model,
    record: Record,
    recipe: Recipe,
    policy: LongPolicy,
    counts: LetterCounts | None,
) -> Prepared:
    """Texts whose letters are not those that the model sees: masked ones, and the reference's."""
    sequence, tokenizer = record.sequence, model.tokenizer
    whole = tokenizer.encode(sequence, recipe.unknown, record.id)
    refuse_padding(whole, tokenizer.pad_id, record.id)
    spans: list[tuple[int, int]] = []
    if tokenizer.is_per_letter:
        if counts is not None:
            counts.add(_replaced(tokenizer, sequence, recipe.unknown))
        before, after = whole[: tokenizer.num_before], whole[len(whole) - tokenizer.num_after :]
        length = len(whole) - tokenizer.num_specials
        whole = [*before, *_crop(whole[tokenizer.inner], policy), *after]
        used = len(whole) - tokenizer.num_specials
    else:
        length = used = len(sequence)
        if policy.kind == "crop" and length > policy.head + policy.tail:
            raise InputError(
                record.id,
                "a mask in it, or `--unknown reference`, beside a crop",
                "letters only, of which ends can be counted",
                "`--long window`, or the ends of the sequence as an input of their own",
            )
        if recipe.pooling == "none":
            spans = tokenizer.spans(sequence, recipe.unknown, record.id)[tokenizer.inner]
    tokens = np.array(whole, np.uint32)
    _check_length(model, tokens, policy, record.id)
    return Prepared(tokens, length, used, spans)


def _replaced(tokenizer: Tokenizer, sequence: str, unknown: UnknownPolicy) -> Counter[str]:
    """Letters that a tokenizer of letters replaced in a sequence that it took."""
    found: Counter[str] = Counter()
    if unknown == "map":
        for part in sequence.split(tokenizer.vocabulary[tokenizer.mask_id]):
            found.update(map_letters(part, tokenizer.alphabet, "").counts)
    elif unknown == "reference":
        ids, spans = tokenizer.encode(sequence, unknown), tokenizer.spans(sequence, unknown)
        for id, (start, end) in zip(ids, spans, strict=True):
            if sequence[start:end] not in ("", tokenizer.vocabulary[id]):
                found.update(sequence[start:end])
    return found


def _read(model: Model, source: Any) -> Iterator[Record]:
    records = read_records(source, proteins=model.tokenizer.alphabet.is_protein)
    return refuse_repeats(records, find_place(source))


def _trace(
    rows: list[EmbeddedRow], counts: LetterCounts
) -> tuple[list[int], list[int], list[int], dict[str, int]]:
    """The last fields of Embeddings: what was cropped, windowed and mapped."""
    used, windows = [row.residues_used for row in rows], [row.windows for row in rows]
    return [row.length for row in rows], used, windows, dict(counts.letters)


def _crop(residues: Any, policy: LongPolicy) -> Any:
    """A text or a list of ids as the policy leaves it."""
    return crop(residues, policy.head, policy.tail) if policy.kind == "crop" else residues


def _check_length(model: Model, tokens: TokenIds, policy: LongPolicy, name: str) -> None:
    specials, unit = model.tokenizer.num_specials, model.tokenizer.unit
    length = len(tokens) - specials
    if length < 1:
        raise InputError(name, f"0 {unit}", "at least one", "to drop this sequence")
    # Where positions were learned one by one, there is no "whole" beyond them.
    if policy.kind in ("refuse", "crop") or (policy.kind == "whole" and model.most_tokens):
        check_length(length, model.card.context - specials, name, unit)


def _recipe(pooling: EmbedPooling, layer: int | None, unknown: UnknownPolicy, long: str) -> Recipe:
    return Recipe(pooling=pooling, layer=-1 if layer is None else layer, unknown=unknown, long=long)


def check_layer(model: Model, layer: int) -> int:
    """The layer as a number from 0 to the number of blocks; refuses others."""
    last = int(model.network.config.num_layers)
    if not -last - 1 <= layer <= last:
        raise InputError("layer", str(layer), f"0 to {last}, or -{last + 1} to -1", "`--layer -1`")
    return layer % (last + 1)


def windows_of(model: Model, length: int, policy: LongPolicy) -> list[Window]:
    """The windows in which a sequence of so many tokens goes through; one unless asked for more."""
    if policy.kind == "window":
        return plan_windows(length, model.card.context - model.tokenizer.num_specials)
    return [Window(0, length, 0, length)]


def _hidden(model: Model, packed: Packed, layer: int) -> Tensor:
    if layer == model.network.config.num_layers:
        hidden_TD: Tensor = model.network(*packed)
        return hidden_TD
    traced: Tensor = model.network.trace(*packed).layers[layer]
    return traced


def pooled_vectors(model: Model, recipe: Recipe) -> Callable[[Packed], list[FloatArray]]:
    """What turns a packed batch into one vector a sequence, special tokens left out of the pool."""
    layer, inner = check_layer(model, recipe.layer), model.tokenizer.inner

    def compute(packed: Packed) -> list[FloatArray]:
        parts = packed.layout.split(_hidden(model, packed, layer).float())
        if recipe.pooling == "cls":
            pooled_SD = torch.stack([part[0] for part in parts])
        elif recipe.pooling == "max":
            pooled_SD = torch.stack([part[inner].amax(0) for part in parts])
        else:
            pooled_SD = torch.stack([part[inner].mean(0) for part in parts])
        return list(pooled_SD.cpu().numpy())

    return compute


def residue_vectors(model: Model, recipe: Recipe) -> Callable[[Packed], list[FloatArray]]:
    """What turns a packed batch into one matrix (L, D) a sequence."""
    layer, inner = check_layer(model, recipe.layer), model.tokenizer.inner

    def compute(packed: Packed) -> list[FloatArray]:
        hidden_TD = _hidden(model, packed, layer).float().cpu()
        return [part[inner].numpy() for part in packed.layout.split(hidden_TD)]

    return compute


def kept_part(residues_LD: FloatArray, window: Window) -> FloatArray:
    """The residues that are taken from this window."""
    return residues_LD[window.keep_start - window.start : window.keep_end - window.start]


def _pool(residues_LD: FloatArray, pooling: EmbedPooling) -> FloatArray:
    if pooling == "none":
        return residues_LD
    pooled: FloatArray = residues_LD.max(0) if pooling == "max" else residues_LD.mean(0)
    return pooled
