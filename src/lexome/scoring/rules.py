"""The rules of scoring: what stands in front, what is scored, among which tokens, which way."""

from collections.abc import Callable
from typing import NamedTuple

from lexome.errors import InputError
from lexome.inference.dialects import Dialect, encode_text, find_tag
from lexome.scoring.likelihood import Reading
from lexome.sequence.alphabet import ALPHABETS, Alphabet, UnknownPolicy, clean_sequence
from lexome.sequence.complement import PARTNERS
from lexome.tokenizers.interface import Tokenizer

DIRECTIONS = ("forward", "reverse", "both")
# Of bases alone: any other letter of a text goes to the model as it stands, on either strand.
COMPLEMENT = str.maketrans({base: PARTNERS[base] for base in "ACGTacgt"})
PROGEN_FIRST, PROGEN_LAST = 5, 29  # ids of the letters A to Z, without J


class Text(NamedTuple):
    """A sequence to be scored, and the model that it is for."""

    name: str
    sequence: str
    tokenizer: Tokenizer
    dialect: Dialect
    unknown: UnknownPolicy
    tag: str | None


class Rule(NamedTuple):
    """How a score is made. The definition goes to every output."""

    read: Callable[[Text, bool], Reading]  # (text, whether against the direction)
    definition: str
    direction: str = "forward"  # where nobody asks for another
    dialect: str = ""  # of the only family that it is for
    letters: UnknownPolicy | None = None  # the policy that the reference has, whatever is asked


def find_rule(name: str | None, dialect: Dialect) -> tuple[str, Rule]:
    """A rule by its name; "lexome" where none is asked for.

    Raises:
        InputError: no such rule, or another family's.
    """
    name = name or "lexome"
    if name not in RULES:
        raise InputError(f"rule {name!r}", "no such rule", ", ".join(RULES), "`--rule lexome`")
    rule = RULES[name]
    if dialect.is_source and name != "lexome":
        raise InputError(
            f"rule {name!r}", "an encoder-decoder", "the rule that it has", "`--rule lexome`"
        )
    if rule.dialect not in ("", dialect.name):
        raise InputError(
            f"rule {name!r}",
            f"a model that writes as {dialect.name} does",
            f"one of {rule.dialect}",
            "`--rule lexome`, which every causal model has",
        )
    return name, rule


def find_directions(asked: str | None, rule: Rule, dialect: Dialect) -> tuple[bool, ...]:
    """Whether each reading of a sequence goes against its direction.

    Raises:
        InputError: a direction that the family was not trained to read in.
    """
    asked = asked or rule.direction
    if asked not in DIRECTIONS:
        raise InputError("direction", repr(asked), ", ".join(DIRECTIONS), "`--direction forward`")
    can_turn = dialect.is_dna or any(tag.is_reversed for tag in dialect.tags.values())
    if asked != "forward" and not can_turn:
        raise InputError(
            "direction",
            f"{asked!r} for {dialect.name}",
            "forward: this family reads one way",
            "`--direction forward`",
        )
    return {"forward": (False,), "reverse": (True,), "both": (False, True)}[asked]


def clean(text: Text) -> tuple[str, dict[str, int]]:
    """The sequence in the model's letters, and those that were replaced."""
    dialect = text.dialect
    if text.unknown == "reference" or not dialect.letters:
        return text.sequence, {}
    kind = ALPHABETS["dna" if dialect.is_dna else "protein"]
    replacements = {a: b for a, b in kind.replacements.items() if a not in dialect.letters}
    alphabet = Alphabet(kind.name, dialect.letters, replacements)
    body = _without_terminals(text)
    mapped = clean_sequence(body, alphabet, text.unknown, text.name)
    return mapped.sequence, mapped.counts


def _without_terminals(text: Text) -> str:
    """ProGen2's texts often bring their terminals; they are written anew by each rule."""
    sequence = text.sequence
    if text.dialect.name == "ProGen2" and sequence[:1] in ("1", "2"):
        is_reversed = sequence[0] == "2"
        sequence = sequence[1:].removesuffix("1" if is_reversed else "2")
        return sequence[::-1] if is_reversed else sequence
    return sequence


def turn(sequence: str, is_dna: bool) -> str:
    """The same molecule from its other end: of DNA, the other strand.

    >>> turn("AACG", True), turn("AACG", False)
    ('CGTT', 'GCAA')
    """
    return sequence.translate(COMPLEMENT)[::-1] if is_dna else sequence[::-1]


def _read_own(text: Text, against: bool) -> Reading:
    dialect, tokenizer = text.dialect, text.tokenizer
    if dialect.is_source:
        source = tokenizer.encode(text.sequence, _policy(text), text.name)
        inner = source[tokenizer.inner]
        # Decoders of this kind begin with the padding.
        return Reading(
            text.name, (tokenizer.pad_id, *inner), 1, len(inner) + 1, source=tuple(source)
        )
    sequence = turn(text.sequence, text.dialect.is_dna) if against else text.sequence
    front = dialect.front
    tag = text.tag
    if against and not dialect.is_dna:
        tag = next(name for name, known in dialect.tags.items() if known.is_reversed)
    if tag is not None:
        front = tuple(encode_text(tokenizer, find_tag(dialect, tag)[0], f"tag {tag!r}"))
    written = dialect.write(sequence)
    ids = (*front, *encode_text(tokenizer, written, text.name, _policy(text)))
    return Reading(text.name, ids, max(len(front), 1), len(ids))


def _read_plain(text: Text, against: bool) -> Reading:
    sequence = turn(text.sequence, text.dialect.is_dna) if against else text.sequence
    ids = tuple(text.tokenizer.encode(sequence, "reference", text.name))
    return Reading(text.name, ids, 1, len(ids))


def _read_evo(text: Text, against: bool) -> Reading:
    sequence = turn(text.sequence, text.dialect.is_dna) if against else text.sequence
    own = encode_text(text.tokenizer, sequence, text.name, "reference")
    return Reading(text.name, (0, *own), 1, len(own) + 1)


def _progen_ids(text: Text, against: bool) -> list[int]:
    sequence = text.sequence
    if sequence[:1] not in ("1", "2"):
        sequence = f"1{sequence}2"
    written = sequence[::-1] if against else sequence
    return list(text.tokenizer.encode(written, _policy(text), text.name))


def _read_progen(text: Text, against: bool) -> Reading:
    ids = _progen_ids(text, against)
    codes = text.tokenizer.id_of
    last = len(ids) - (ids[-1] in (codes["1"], codes["2"]))
    among = tuple(range(PROGEN_FIRST, PROGEN_LAST + 1))
    outside = [i for i in ids[1:last] if i not in among]
    if outside:
        letter = text.tokenizer.vocabulary[outside[0]]
        raise InputError(
            text.name, f"{letter!r} inside the sequence", "residues only", "`--rule plain`"
        )
    return Reading(text.name, tuple(ids), 1, last, among)


def _read_progen_whole(text: Text, against: bool) -> Reading:
    ids = tuple(_progen_ids(text, against))
    return Reading(text.name, ids, 1, len(ids))


def _policy(text: Text) -> UnknownPolicy:
    """What the tokenizer is told: where letters were to be mapped, `clean` has done it."""
    return "reference" if text.unknown == "reference" else "refuse"


RULES = {
    "lexome": Rule(
        _read_own,
        "log p of every token of the sequence, given what the family writes in front of one (a "
        "start token, a terminal, a tag; never scored) and all tokens before it, among all tokens "
        "of the model; no end token is added. Where a family writes nothing in front, the first "
        "token is given and not scored. Reverse is the C-to-N reading of ProGen2, or the reverse "
        "complement of DNA; both is the mean of the two readings' sums, and of their means. Of an "
        "encoder-decoder: of the decoder's writing the same sequence again, all of it given as the "
        "source; a reconstruction, not a likelihood of the sequence by itself.",
    ),
    "plain": Rule(
        _read_plain,
        "log p of every token from the second on, given all before it, among all tokens; the text "
        "as the model's own tokenizer writes it, special tokens scored like others.",
        letters="reference",
    ),
    "evo": Rule(
        _read_evo,
        "Evo's published score (evo 0.5, score_sequences): log p of every byte given the end-of-"
        "document token and all bytes before it, among all 512 entries; no end is scored. Computed "
        "in the model's dtype and summed in fp32, where the published code rounds to bf16 first.",
        dialect="Evo",
        letters="reference",
    ),
    "progen2": Rule(
        _read_progen,
        "ProGen2's published score (progen2/likelihood.py): log p of every residue given the "
        "terminal and all residues before it, among the 25 letters A to Z without J; terminals are "
        "never scored. Mean of the forward text and of the reversed one. A sequence without "
        "terminals gets 1 in front and 2 behind.",
        direction="both",
        dialect="ProGen2",
    ),
    "progen2-cross-entropy": Rule(
        _read_progen_whole,
        "ProGen2's published check of a model (progen2/likelihood.py, ce): log p of every token "
        "after the first, the last terminal among them, among all tokens. A sequence without "
        "terminals gets 1 in front and 2 behind.",
        dialect="ProGen2",
    ),
}
