"""Tokens back into a sequence: cut at the end, lines joined, read in the usual direction."""

from collections.abc import Sequence

from lexome.generation.tags import Prompt
from lexome.inference.dialects import Dialect
from lexome.tokenizers.interface import Tokenizer


def read_tokens(tokenizer: Tokenizer, dialect: Dialect, prompt: Prompt, new: Sequence[int]) -> str:
    """The whole sequence, prompt and all, that a prompt and the tokens after it stand for.

    A source is no part of what was made beside it.

    The token that ended it stands for no residue. Where letters were left free ("any"), a token
    without letters shows as it is spelled.
    """
    kept = list(new)
    while kept and kept[-1] in dialect.stops:
        kept.pop()
    before = () if dialect.is_source else prompt.ids[prompt.num_front :]
    residues = [*before, *kept]
    text = tokenizer.decode(residues) if residues else ""
    if dialect.line:
        text = text.replace("\n", "")
    return text[::-1] if prompt.is_reversed else text
