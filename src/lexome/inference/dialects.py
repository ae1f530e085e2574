"""How causal families write a sequence: what stands in front, what ends it, which tags exist."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lexome.errors import InputError
from lexome.sequence.alphabet import AMINO_ACIDS, UnknownPolicy
from lexome.tokenizers.ids_only import IdsTokenizer
from lexome.tokenizers.interface import Tokenizer

NEWLINE_TOKEN = "Ċ"  # how byte-level BPE spells a line end
BASES = "ACGT"
EC_NUMBER = re.compile(r"\d+(\.(\d+|-)){0,3}")


class Tag(NamedTuple):
    """A condition that a family was trained with, as text in front of the sequence."""

    front: str  # `{}` is where its value goes, if it takes one
    meaning: str
    value: str = ""  # what the value looks like, in words; empty: it takes none
    is_reversed: bool = False  # whether the sequence then stands from its end to its start


class Dialect(NamedTuple):
    """How a family writes a sequence as tokens."""

    name: str
    letters: str  # of sequences; empty: any text
    standard: str  # those of them without ambiguity
    front: tuple[int, ...]  # ids before the first residue: context, never scored
    front_text: str  # the same as text
    stops: tuple[int, ...]  # ids that end a sequence
    tags: Mapping[str, Tag] = {}
    default_tag: str = ""  # the tag that stands for `front`
    line: int = 0  # residues a line, as in FASTA; 0: no lines
    is_front_published: bool = True  # whether published prompts have `front` too
    is_dna: bool = False
    is_source: bool = False  # whether a prompt is read by an encoder, and answered beside it

    def write(self, sequence: str) -> str:
        """A sequence as the text that follows what stands in front."""
        if not self.line:
            return sequence
        starts = range(0, len(sequence), self.line)
        return "\n".join(sequence[i : i + self.line] for i in starts)


def find_dialect(tokenizer: Tokenizer) -> Dialect:
    """The dialect of a model, told by its tokens: a name on a folder proves nothing."""
    for is_known, make in DIALECTS.values():
        if is_known(tokenizer):
            return make(tokenizer)
    return _plain(tokenizer)


def encode_text(
    tokenizer: Tokenizer, text: str, name: str, unknown: UnknownPolicy = "refuse"
) -> list[int]:
    """The ids of a text without what the tokenizer puts around a sequence."""
    ids = tokenizer.encode(text, unknown, name) if text else []
    return list(ids[tokenizer.inner]) if tokenizer.num_specials else list(ids)


def find_tag(dialect: Dialect, text: str) -> tuple[str, Tag]:
    """The front text of a tag `NAME` or `NAME=VALUE`, and what is known of it.

    Raises:
        InputError: a tag that the family does not have, or a value that is none.
    """
    name, equals, value = text.partition("=")
    tag = dialect.tags.get(name)
    if tag is None:
        known = ", ".join(f"{n}=..." if t.value else n for n, t in dialect.tags.items())
        raise InputError(
            f"tag {text!r}",
            f"no tag of {dialect.name}",
            known or "no tag: this family was trained without any",
            f"`--tag {known.split(',')[0]}`" if known else "leaving it out",
        )
    if tag.value and not EC_NUMBER.fullmatch(value):
        raise InputError(f"tag {text!r}", repr(value), tag.value, f"`--tag {name}=1.1.1.21`")
    if equals and not tag.value:
        raise InputError(f"tag {text!r}", f"the value {value!r}", "no value", f"`--tag {name}`")
    return tag.front.replace("{}", value), tag


def _has(*tokens: str) -> Callable[[Tokenizer], bool]:
    return lambda tokenizer: all(token in tokenizer.id_of for token in tokens)


def _is_t5(tokenizer: Tokenizer) -> bool:
    return tokenizer.id_of.get("</s>") == 1 or isinstance(tokenizer, IdsTokenizer)


def _is_protgpt2(tokenizer: Tokenizer) -> bool:
    # OpenAI's own GPT-2 has this token too, as its last.
    return tokenizer.id_of.get("<|endoftext|>") == 0


def _is_evo(tokenizer: Tokenizer) -> bool:
    codes = tokenizer.id_of
    return len(tokenizer.vocabulary) == 512 and all(codes.get(c) == ord(c) for c in BASES)


def _is_hyenadna(tokenizer: Tokenizer) -> bool:
    return [tokenizer.id_of.get(token) for token in ("[SEP]", "A", "C", "N")] == [1, 7, 8, 11]


def _progen2(tokenizer: Tokenizer) -> Dialect:
    codes = tokenizer.id_of
    tags = {
        "n-to-c": Tag("1", "from the N-terminus on"),
        "c-to-n": Tag("2", "from the C-terminus backwards", is_reversed=True),
    }
    return Dialect(
        name="ProGen2",
        letters="".join(sorted(t for t in codes if len(t) == 1 and t.isalpha())),
        standard=AMINO_ACIDS,
        front=(codes["1"],),
        front_text="1",
        # Published sampling never stops; the text is cut at the first terminal, so we stop there.
        stops=(codes["1"], codes["2"], codes["<|eos|>"]),
        tags=tags,
        default_tag="n-to-c",
    )


def _zymctrl(tokenizer: Tokenizer) -> Dialect:
    codes = tokenizer.id_of
    tag = Tag("{}<sep><start>", "the reaction of the enzyme", "an EC number such as 1.1.1.21")
    ends = [codes[token] for token in ("<end>", "<|endoftext|>") if token in codes]
    return Dialect(
        name="ZymCTRL",
        letters=AMINO_ACIDS + "XBUZO",
        standard=AMINO_ACIDS,
        front=(),
        front_text="",
        stops=tuple(ends),
        tags={"ec": tag},
    )


def _protgpt2(tokenizer: Tokenizer) -> Dialect:
    text = "<|endoftext|>\n"
    front = tuple(encode_text(tokenizer, text, "front"))
    return Dialect(
        name="ProtGPT2",
        letters=AMINO_ACIDS + "XBUZO",
        standard=AMINO_ACIDS,
        front=front,
        front_text=text,
        stops=(0,),
        line=60,
    )


def _evo(tokenizer: Tokenizer) -> Dialect:
    return Dialect(
        name="Evo",
        letters="ACGTN",
        standard=BASES,
        front=(0,),
        front_text="",
        stops=(0,),
        # Scores are given the end-of-document token first, prompts are not (evo 0.5).
        is_front_published=False,
        is_dna=True,
    )


def _hyenadna(tokenizer: Tokenizer) -> Dialect:
    return Dialect(
        name="HyenaDNA",
        letters="ACGTN",
        standard=BASES,
        front=(),
        front_text="",
        stops=(1,),
        is_dna=True,
    )


def _t5(tokenizer: Tokenizer) -> Dialect:
    return Dialect(
        name="T5",
        letters="".join(t for t in tokenizer.id_of if len(t) == 1 and t.isalpha()),
        standard=AMINO_ACIDS,
        front=(),
        front_text="",
        stops=(tokenizer.eos_id,),
        is_source=True,
    )


def _plain(tokenizer: Tokenizer) -> Dialect:
    alphabet = tokenizer.alphabet
    is_dna = alphabet.name.startswith("dna")
    standard = {"protein": AMINO_ACIDS}.get(alphabet.name, BASES if is_dna else "")
    names = ("<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|eos|>")
    return Dialect(
        name="this model",
        letters=alphabet.letters,
        standard=standard,
        front=(tokenizer.cls_id,) if tokenizer.cls_id >= 0 else (),
        front_text="",
        stops=tuple(tokenizer.id_of[name] for name in names if name in tokenizer.id_of),
        is_dna=is_dna,
    )


# The first that fits.
DIALECTS: dict[str, tuple[Callable[[Tokenizer], bool], Callable[[Tokenizer], Dialect]]] = {
    "t5": (_is_t5, _t5),
    "progen2": (_has("<|bos|>", "<|eos|>", "1", "2"), _progen2),
    "zymctrl": (_has("<sep>", "<start>", "<end>"), _zymctrl),
    "protgpt2": (_is_protgpt2, _protgpt2),
    "evo": (_is_evo, _evo),
    "hyenadna": (_is_hyenadna, _hyenadna),
}
