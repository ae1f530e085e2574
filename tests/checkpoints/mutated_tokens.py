"""Turns published details of tokenizers the wrong way, and asks the published ids."""

import json
import re

import pytest

from lexome.checkpoints import from_bert, from_esm
from lexome.checkpoints.layouts import load_path
from lexome.errors import CheckpointError, InputError
from lexome.tokenizers import character
from lexome.tokenizers.library import LibraryTokenizer
from tests.checkpoints.families import read_fixture

# Beside the fixtures' texts: white space and special tokens in a text, by transformers itself.
MORE_TEXTS = {
    "esm2-hf-tiny": ["MK T\nVR", " MK", "M <mask> K", "M<pad>K<null_1>", "mkt", "MK<unk>j", "A*A"],
    "nt-v1-tiny": ["ACG TACGTACG", "AC\nGTACGTA ", "acgt acgt", "AC<mask>GTACGTAC"],
    "nt-v2-tiny": ["ACG TACGTACG", "acgt acgt"],
}


def published(name):
    """Texts and their ids."""
    fixture = read_fixture(name)
    facts = fixture.facts
    found = [(case["text"], case["input_ids"]) for case in facts.get("tokenizer_cases", [])]
    for text, case in zip(facts["sequences"], fixture.single, strict=False):
        if isinstance(text, str):
            found.append((text, case.ids))
    if "masked_text_case" in facts:
        found.append((facts["masked_text_case"]["text"], facts["masked_text_case"]["input_ids"]))
    if name in MORE_TEXTS:
        theirs = pytest.importorskip("transformers").EsmTokenizer.from_pretrained(fixture.path)
        found += [(text, theirs(text)["input_ids"]) for text in MORE_TEXTS[name]]
    return found


def tokens_are_off(name):
    """Whether any published text has other ids, or the tokenizer is refused."""
    try:
        tokenizer = load_path(read_fixture(name).path).tokenizer
    except (CheckpointError, InputError):
        return True
    return any(ids_are_off(tokenizer, text, ids) for text, ids in published(name))


def ids_are_off(tokenizer, text, ids):
    """In the plain way of encoding, or in the fast one."""
    fast = tokenizer.encode_many([text], "reference").one(0).tolist()
    return tokenizer.encode(text, "reference") != ids or fast != ids


def exchanged(one, other):
    """Two letters of the proteins' vocabulary."""

    def mutate(patch):
        names = {one: other, other: one}
        words = [names.get(word, word) for word in character.esm_vocabulary()]
        patch.setattr(from_esm, "esm_vocabulary", lambda: words)
        patch.setattr(character, "esm_vocabulary", lambda: words)

    mutate.__name__ = f"exchanged_{one}_{other}"
    return mutate


def reads(kind, change):
    """A tokenizer that reads a changed text."""

    def mutate(patch):
        honest = kind.encode
        patch.setattr(kind, "encode", lambda self, text, *more: honest(self, change(text), *more))

    return mutate


def makes(kind, change):
    """A tokenizer that leaves out or changes some of its pieces."""

    def mutate(patch):
        honest = kind._pieces
        patch.setattr(kind, "_pieces", lambda self, *args: change(self, honest(self, *args)))

    return mutate


def in_capitals(kind):
    return reads(kind, str.upper)


def without_white_space(kind):
    return reads(kind, lambda text: "".join(text.split()))


def white_space_unknown(kind):
    return reads(kind, lambda text: re.sub(r"\s", "?", text))


def unknown_left_out(kind):
    return makes(kind, lambda self, pieces: [p for p in pieces if p.id != self.unk_id])


def masks_unknown(kind):
    def change(self, pieces):
        return [p._replace(id=self.unk_id) if p.id == self.mask_id else p for p in pieces]

    return makes(kind, change)


def no_end(kind):
    return lambda patch: patch.setattr(kind, "num_after", 0)


def pattern_of(kind, attribute, change):
    """Another regular expression, from the one that is."""

    def mutate(patch):
        honest = getattr(kind, attribute).func
        patch.setattr(kind, attribute, property(lambda self: re.compile(change(honest(self)))))

    return mutate


def one_unknown_a_letter(kind, attribute):
    """Instead of one a run."""
    return pattern_of(kind, attribute, lambda found: found.pattern.removesuffix("+)") + ")")


def of_the_library(change):
    """The JSON of tokenizer.json, changed when it is read."""

    def mutate(patch):
        def make(text, alphabet):
            told = json.loads(text)
            change(told)
            return LibraryTokenizer(json.dumps(told), alphabet)

        patch.setattr(from_bert, "LibraryTokenizer", make)

    return mutate
