"""The tokens of a T5 model's directory: tokenizer.json, or spiece.model and what lies beside it."""

import string
from collections.abc import Sequence
from pathlib import Path

from lexome.checkpoints.weight_files import read_json
from lexome.errors import CheckpointError
from lexome.tokenizers.ids_only import IdsTokenizer
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.residues import RESIDUES, TO_RESIDUES, TO_STRUCTURE, ResidueTokenizer
from lexome.tokenizers.sentencepiece_file import (
    NORMAL,
    UNIGRAM,
    USER_DEFINED,
    WORD,
    PieceModel,
    read_pieces,
)

LIBRARY, PIECES = "tokenizer.json", "spiece.model"
SPACE = "▁"  # how sentencepiece writes the space before a word; every residue is a word
SENTINELS = 100  # T5's own tokens behind the pieces, counted down
LETTERS = string.ascii_letters


def read_tokens(directory: Path, size: int, rare_as_x: bool, pad_id: int, eos_id: int) -> Tokenizer:
    """The tokenizer of a directory; one that takes ids only where there is no file.

    Args:
        size: rows of the embedding.
        rare_as_x: whether U, Z, O and B are made X, as the model was published.

    Raises:
        CheckpointError: files in which residues have no token of their own, or special tokens
            other ids than in config.json.
    """
    library, pieces = directory / LIBRARY, directory / PIECES
    if library.is_file():
        path, names = library, _library_names(library)
    elif pieces.is_file():
        path, names = pieces, _piece_names(pieces, size)
    else:
        wanted = f"{LIBRARY} or {PIECES}"
        return IdsTokenizer(size, pad_id, eos_id, str(directory), wanted)
    if len(names) > size:
        _refuse(path, f"{len(names):,} tokens for {size:,} rows", "a row for every token")
    lacking = [letter for letter in RESIDUES if letter not in names]
    if lacking:
        _refuse(path, f"no token for the residue {lacking[0]} alone", "one for each of the 20")
    for token, id in (("<pad>", pad_id), ("</s>", eos_id)):
        if token not in names or names.index(token) != id:
            _refuse(path, f"{token} elsewhere than config.json has it", f"{token} as token {id}")
    names += [f"<unused_{i}>" for i in range(len(names), size)]
    prefix = TO_STRUCTURE if {TO_STRUCTURE, TO_RESIDUES} <= set(names) else None
    return ResidueTokenizer(names, rare_as_x, prefix)


def _library_names(path: Path) -> list[str]:
    """What the library makes of each letter alone, as the published use parts residues."""
    from tokenizers import Tokenizer as Library

    try:
        library = Library.from_str(path.read_text(encoding="utf-8"))
    except Exception as problem:  # the library raises plain Exception
        raise CheckpointError(
            str(path), str(problem)[:200], "a tokenizer of the library", "a fresh copy"
        ) from problem
    library.no_truncation()
    library.no_padding()
    ids = library.get_vocab(with_added_tokens=True)
    names = [f"<unused_{i}>" for i in range(max(ids.values()) + 1)]
    for token, id in ids.items():
        names[id] = token
    if library.encode("").ids not in ([], [ids.get("</s>")]):
        _refuse(path, f"{library.encode('').tokens} for an empty text", "</s>")
    found: dict[str, int] = {}
    for letter in LETTERS:
        alone = library.encode(letter, add_special_tokens=False).ids
        # A file may read small letters as capitals: those are no tokens of their own.
        if len(alone) == 1 and names[alone[0]].removeprefix(SPACE) == letter:
            found[letter] = alone[0]
    return _name_letters(names, found)


def _piece_names(path: Path, size: int) -> list[str]:
    """Pieces, then sentinels, then added tokens at the ids that they are given."""
    model = read_pieces(path.read_bytes(), str(path))
    names = [piece.text for piece in model.pieces]
    found = _whole_words(model, path)
    told = _told(path.with_name("tokenizer_config.json"))
    extra = told.get("extra_ids", SENTINELS)
    if type(extra) is not int or not 0 <= extra <= 10_000:
        _refuse(path.with_name("tokenizer_config.json"), f"extra_ids = {extra!r}", "a number")
    elif not any(name.startswith("<extra_id_") for name in names) and len(names) + extra <= size:
        names += [f"<extra_id_{i}>" for i in reversed(range(extra))]
    added = {str(k): v for k, v in _told(path.with_name("added_tokens.json")).items()}
    decoder = told.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        for id, entry in decoder.items():
            if isinstance(entry, dict) and str(id).isdecimal():
                added.setdefault(str(entry.get("content")), int(id))
    for token, place in sorted(added.items(), key=lambda pair: str(pair[1]).zfill(9)):
        if type(place) is not int or not 0 <= place <= len(names):
            _refuse(path.with_name("added_tokens.json"), f"{token!r} as {place!r}", "no gap")
        elif place == len(names):
            names.append(token)
        elif names[place] != token:
            _refuse(path, f"{names[place]!r} and {token!r} as token {place}", "one of them")
        if token in LETTERS and len(token) == 1:
            found[token] = int(str(place))
    return _name_letters(names, found)


def _whole_words(model: PieceModel, path: Path) -> dict[str, int]:
    """The letters that are one piece when they are a word: the likeliest way to split it."""
    if model.type not in (UNIGRAM, WORD):
        _refuse(path, f"a sentencepiece model of type {model.type}", "unigrams or words")
    place = {
        piece.text: i
        for i, piece in enumerate(model.pieces)
        if piece.type in (NORMAL, USER_DEFINED)
    }
    found = {}
    for letter in LETTERS:
        whole, parts = place.get(SPACE + letter), (place.get(SPACE), place.get(letter))
        if whole is None:
            continue
        if model.type == UNIGRAM and parts[0] is not None and parts[1] is not None:
            split = model.pieces[parts[0]].score + model.pieces[parts[1]].score
            if split > model.pieces[whole].score:
                continue
        found[letter] = whole
    return found


def _name_letters(names: Sequence[str], found: dict[str, int]) -> list[str]:
    """Tokens of letters get their letters as names, and nothing else keeps such a name."""
    named = [f"<{name}>" if len(name) == 1 and name in LETTERS else name for name in names]
    for letter, id in found.items():
        named[id] = letter
    return named


def _told(path: Path) -> dict[str, object]:
    return read_json(path) if path.is_file() else {}


def _refuse(path: Path, seen: str, expected: str) -> None:
    raise CheckpointError(str(path), seen, expected, "the tokenizer of the published model")
