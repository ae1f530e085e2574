"""Reads the pieces of a sentencepiece model (spiece.model): the few fields needed, nothing runs.

The file is a protobuf message: numbered fields, each a varint, 4 or 8 bytes, or bytes of a told
length. Source: google/sentencepiece, sentencepiece_model.proto; protobuf's wire format.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from lexome.errors import CheckpointError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types of a piece
UNIGRAM, BPE, WORD, CHAR = range(1, 5)  # types of a model
_PIECES, _TRAINER = 1, 2  # fields of the whole
_TEXT, _SCORE, _TYPE = 1, 2, 3  # of a piece
_MODEL_TYPE = 3  # of the trainer's settings
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of a field
_MOST_BYTES = 64_000_000
Kind = TypeVar("Kind")


class TextPiece(NamedTuple):
    """An entry of the vocabulary."""

    text: str
    score: float
    type: int


class PieceModel(NamedTuple):
    """The vocabulary in order of id, and how texts are split into it."""

    pieces: list[TextPiece]
    type: int


def read_pieces(data: bytes, where: str) -> PieceModel:
    """The vocabulary of a sentencepiece model.

    Raises:
        CheckpointError: bytes that are no such file, or that end too early.
    """
    if len(data) > _MOST_BYTES:
        _refuse(where, f"{len(data):,} bytes")
    pieces: list[TextPiece] = []
    kind = UNIGRAM
    try:
        for field, value in _fields(data):
            if field == _PIECES:
                pieces.append(_read_piece(_as(value, bytes)))
            elif field == _TRAINER:
                for inner, number in _fields(_as(value, bytes)):
                    kind = _as(number, int) if inner == _MODEL_TYPE else kind
    except (ValueError, UnicodeDecodeError) as problem:
        _refuse(where, str(problem))
    if not pieces:
        _refuse(where, "no piece")
    return PieceModel(pieces, kind)


def _read_piece(data: bytes) -> TextPiece:
    text, score, kind = "", 0.0, NORMAL
    for field, value in _fields(data):
        if field == _TEXT:
            text = _as(value, bytes).decode("utf-8")
        elif field == _SCORE:
            score = _as(value, float)
        elif field == _TYPE:
            kind = _as(value, int)
    if not text:
        raise ValueError("a piece without text")
    return TextPiece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and value of every field of a message; 8 bytes are passed over unread."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        length = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            length, at = _varint(data, at)
        if length is None or field == 0:
            raise ValueError(f"field {field} of the kind {kind}")
        if at + length > len(data):
            raise ValueError(f"{length:,} bytes told, {len(data) - at:,} there")
        value = data[at : at + length]
        at += length
        yield field, struct.unpack("<f", value)[0] if kind == _FOUR else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where the next value begins."""
    number = 0
    for i, byte in enumerate(data[at : at + 10]):
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, at + i + 1
    raise ValueError("a number without an end")


def _as(value: object, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _refuse(where: str, seen: str) -> None:
    raise CheckpointError(
        where, f"no sentencepiece model ({seen})", "the pieces of a vocabulary", "a fresh copy"
    )
