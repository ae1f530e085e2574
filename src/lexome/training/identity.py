"""What makes a run the same run, so that a command given again resumes it; and what differs."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexome import __version__
from lexome.sequence.pairs import letters_of
from lexome.training.fit import Parts
from lexome.training.labelled import LabelledTable
from lexome.training.recipes import TrainRecipe
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup

Identity = dict[str, str]
# Of the settings these change no number by themselves: what they lead to stands beside them.
LEFT_OUT = ("offline", "device", "dtype")


def identify(
    settings: FinetuneSettings, setup: Setup, data: LabelledTable, parts: Parts
) -> Identity:
    """Everything that the numbers of a run depend on, by name; rows and weights by their hash."""
    asked = {
        name.removeprefix("recipe."): str(value)
        for name, value in settings.flat().items()
        if name not in LEFT_OUT
    }
    card = setup.card
    return asked | {
        "device": setup.device.choice,
        "dtype": setup.dtype.choice,
        "weights": "new" if card is None else _digest(json.dumps(card)),
        "lexome": __version__,
        "rows": digest_rows(data),
        "labels": _digest(
            data.target.task,
            *data.target.labels,
            *(text for sub in data.target.subs for text in (sub.task, *sub.labels)),
            np.ascontiguousarray(data.target.values),
        ),
        "parts": _digest(*parts),
    }


def _texts(data: LabelledTable) -> Iterator[str]:
    """Ids and sequences, row by row."""
    for id, content in zip(data.ids, data.sequences, strict=True):
        yield id
        yield from letters_of(content)


def known_to(theirs: Identity) -> Identity:
    """An identity that an earlier Lexome wrote, with what it did not ask yet at the default.

    >>> known_to({"seeds": "5"})["seeds"], known_to({"seeds": "5"})["both_strands"]
    ('5', 'False')
    """
    plain = {
        one.name: str(one.default)
        for kind in (FinetuneSettings, TrainRecipe)
        for one in fields(kind)
        if one.default is not MISSING and one.name not in LEFT_OUT
    }
    return plain | theirs


def digest_rows(data: LabelledTable) -> str:
    """A hash of the ids and sequences."""
    return _digest(*_texts(data))


def vectors_name(identity: Identity, setup: Setup) -> str:
    """What names the vectors of a frozen backbone: all that they depend on, and not the labels."""
    named = ("weights", "rows", "long", "unknown", "pairs", "symmetric", "dtype", "device")
    return _digest(setup.family, __version__, *(identity[name] for name in named))


def fingerprint_of(identity: Identity) -> str:
    """The identity in 24 letters."""
    return _digest(json.dumps(identity, sort_keys=True))


def differences(theirs: Identity, ours: Identity) -> str:
    """What differs, in words; empty where one of them is not known.

    >>> differences({"device": "cuda", "seed": "1"}, {"device": "cpu", "seed": "1"})
    'device cuda (here cpu)'
    >>> differences({"rows": "5f" * 12}, {"rows": "a0" * 12})
    'other rows'
    """
    hashed = ("weights", "rows", "labels", "parts")
    names = [name for name in ours if theirs.get(name, ours[name]) != ours[name]]
    told = [
        f"other {name}" if name in hashed else f"{name} {theirs[name]} (here {ours[name]})"
        for name in names
    ]
    return ", ".join(told)


def _digest(*items: str | NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for item in items:
        digest.update(item.encode() if isinstance(item, str) else item.tobytes())
        digest.update(b"\0")
    return digest.hexdigest()
