"""A prompt as a user writes it, with its conditioning tag, as tokens to go on from."""

from collections.abc import Sequence
from typing import NamedTuple

from lexome.errors import InputError
from lexome.inference.dialects import Dialect, encode_text, find_tag
from lexome.tokenizers.interface import Tokenizer


class Prompt(NamedTuple):
    """What a sample goes on from."""

    name: str  # what its samples are called after
    sequence: str  # residues, in their usual order
    tag: str  # as asked for, or the family's default; empty: none
    ids: tuple[int, ...]  # all tokens: what stands in front, and the residues
    num_front: int  # of them, how many stand in front
    is_reversed: bool  # whether the model reads from the end of a sequence to its start


def make_prompt(
    tokenizer: Tokenizer,
    dialect: Dialect,
    text: str,
    tag: str | None = None,
    name: str = "prompt",
) -> Prompt:
    """The tokens of a prompt in its family's own writing.

    The text is residues in their usual order, N to C or 5' to 3'. Under a tag that is read
    backwards (ProGen2's "c-to-n") it is the sequence's end, and what is made stands before it. A
    ProGen2 prompt may also bring its terminal, `1MKT` or `2TKM`, and is then taken as written.

    Raises:
        InputError: letters outside the alphabet, nothing to go on from, an unknown tag.
    """
    text, tag = text.strip(), tag or None
    if dialect.is_source:
        if tag is not None:
            find_tag(dialect, tag)
        return Prompt(name, text, "", tuple(tokenizer.encode(text, "refuse", name)), 0, False)
    fronts = {tag.front: name for name, tag in dialect.tags.items() if not tag.value}
    if text[:1] in fronts:
        own = fronts[text[:1]]
        if tag not in (None, own):
            raise InputError(
                name,
                f"the terminal {text[0]!r} and the tag {tag!r}",
                "one of them",
                f"{text[1:]!r}",
            )
        tag, text = own, text[1:]
        if dialect.tags[own].is_reversed:
            text = text[::-1]
    if tag is None:
        tag = dialect.default_tag or None
    front, is_reversed = list(dialect.front), False
    if tag is not None:
        front_text, known = find_tag(dialect, tag)
        front, is_reversed = encode_text(tokenizer, front_text, f"tag {tag!r}"), known.is_reversed
    elif text and not dialect.is_front_published:
        front = []
    _check_letters(dialect, text, name)
    written = dialect.write(text[::-1] if is_reversed else text)
    ids = (*front, *encode_text(tokenizer, written, name))
    if not ids:
        tags = [f"--tag {n}{'=...' if t.value else ''}" for n, t in dialect.tags.items()]
        raise InputError(
            name, "an empty prompt", "something to go on from", " or ".join(["`--prompt`", *tags])
        )
    return Prompt(name, text, tag or "", ids, len(front), is_reversed)


def ids_prompt(tokenizer: Tokenizer, ids: Sequence[int], name: str) -> Prompt:
    """A prompt of token ids, taken as they are.

    Raises:
        InputError: none, or one that the model does not have.
    """
    wrong = [id for id in ids if not 0 <= id < len(tokenizer.vocabulary)]
    if wrong or not ids:
        raise InputError(
            name,
            f"the id {wrong[0]}" if wrong else "no id",
            f"ids from 0 to {len(tokenizer.vocabulary) - 1}",
            "`model.tokenizer.encode`",
        )
    return Prompt(name, "", "", tuple(ids), 0, False)


def _check_letters(dialect: Dialect, text: str, name: str) -> None:
    foreign = [(i, c) for i, c in enumerate(text, start=1) if c not in dialect.letters]
    if dialect.letters and foreign:
        position, letter = foreign[0]
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            name,
            f"the letter {letter!r} at position {position}{more}",
            f"letters of {dialect.name} ({''.join(sorted(dialect.letters))})",
            "capitals without spaces" if letter.upper() in dialect.letters else "leaving it out",
        )
