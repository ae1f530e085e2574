"""log p(residue | all others) of an encoder: each residue hidden in turn, or from one pass."""

# Letters: L residues, R tokens asked about, V vocabulary, O offset in a k-mer, K k-mers.
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.scoring.masked import Pick, Question, ask, check_context, check_encoder
from lexome.sequence.alphabet import UnknownPolicy, clean_sequence
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.kmers import BASES
from lexome.tokenizers.overlapping import OverlappingTokenizer

FloatArray = NDArray[np.float64]
DEFINITION = (
    "log p of every token of the sequence given all others: each is replaced by the mask in a pass "
    "of its own, and p is shared out among the whole vocabulary; special tokens are never scored. "
    "Where k-mers overlap (DNABERT), a base is hidden by masking all k-mers that cover it, and its "
    "log p is the mean over these of the log of the summed p of all k-mers with that base at that "
    "place. Source: Wang and Cho 2019; Salazar et al. 2020."
)
ONE_PASS_DEFINITION = (
    "an estimate of the pseudo-log-likelihood from a single pass in which nothing is masked: the "
    "model has then learned that a token which it sees was chosen and kept (10 %) or put there at "
    "random (10 %, any residue alike), so by Bayes' rule the odds q / (1 - q) that it gives the "
    "token are those without sight of it times 1 + n, n being the number of standard residues; "
    "the odds are divided by 1 + n. Source: our own derivation; that one pass may do is due to "
    "Gordon et al. 2024 (single-inference pseudo-log-likelihood). Holds for models that were "
    "trained by BERT's 80:10:10; an estimate, not the number itself."
)


class MaskedRule(NamedTuple):
    """How `lexome score` asks an encoder. The definition goes to every output."""

    definition: str
    one_pass: bool


# The first is the default.
MASKED_RULES = {
    "pseudo-log-likelihood": MaskedRule(DEFINITION, False),
    "pseudo-log-likelihood-one-pass": MaskedRule(ONE_PASS_DEFINITION, True),
}


class Plan(NamedTuple):
    """What is asked of one sequence, one value each: a residue, or a token of several."""

    name: str
    ids: NDArray[np.int64]
    hidden: list[NDArray[np.int64]]  # of each value, the tokens that are masked for it
    labels: list[NDArray[np.int64]]  # what is asked of each of these tokens


def pseudo_log_likelihoods(
    model: Model,
    sequences: Sequence[str],
    one_pass: bool = False,
    unknown: UnknownPolicy = "refuse",
    positions: Sequence[Sequence[int]] | None = None,
) -> list[FloatArray]:
    """log p(residue | all other residues) by an encoder, an array (residues asked,) a sequence.

    Natural logarithms, p shared out among the whole vocabulary, special tokens among it. Where a
    token stands for several residues (six-mers, BPE) there is a value a token, in order.

    Args:
        one_pass: from one pass in which nothing is masked; an estimate (`ONE_PASS_DEFINITION`).
        positions: of each sequence the residues asked about, from 0; all, where not given.

    Raises:
        InputError: no encoder, foreign letters, more tokens than the context, positions that are
            none, or positions where tokens are no residues.

    Source: Salazar et al. 2020, "Masked language model scoring".
    """
    check_encoder(model, "pseudo-log-likelihoods")
    asked = positions if positions is not None else [None] * len(sequences)
    plans = (
        make_plan(model, sequence, f"sequence {i}", unknown, places)
        for i, (sequence, places) in enumerate(zip(sequences, asked, strict=True), start=1)
    )
    return list(read_plans(model, plans, one_pass))


def make_plan(
    model: Model,
    sequence: str,
    name: str,
    unknown: UnknownPolicy = "refuse",
    positions: Sequence[int] | None = None,
    whole: bool = False,
) -> Plan:
    """What has to be hidden for each value of a sequence.

    Raises:
        InputError: see `pseudo_log_likelihoods`.
    """
    tokenizer = model.tokenizer
    ids = np.array(tokenizer.encode(sequence, unknown, name), np.int64)
    check_context(model, len(ids), name, whole)
    inner = np.arange(len(ids))[tokenizer.inner]
    if not len(inner):
        raise InputError(name, "no token to score", "a sequence", "dropping it")
    if isinstance(tokenizer, OverlappingTokenizer):
        if unknown != "reference":
            sequence = clean_sequence(sequence, tokenizer.alphabet, unknown, name).sequence
        return _plan_bases(tokenizer, sequence, name, ids, positions)
    if positions is None:
        kept = inner
    elif not tokenizer.is_per_letter or len(inner) != len(sequence):
        raise InputError(
            name, "positions", "a model with a token a residue", "leaving positions out"
        )
    else:
        kept = inner[_check_positions(positions, len(sequence), name)]
    return Plan(name, ids, list(kept[:, None]), list(ids[kept][:, None]))


def _plan_bases(
    tokenizer: OverlappingTokenizer,
    sequence: str,
    name: str,
    ids: NDArray[np.int64],
    positions: Sequence[int] | None,
) -> Plan:
    """Each base is hidden by masking all k-mers over it; a label is offset x 4 + base."""
    k, num = tokenizer.k, len(ids) - tokenizer.num_specials
    hidden, labels = [], []
    everywhere = range(len(sequence)) if positions is None else positions
    for i in _check_positions(everywhere, len(sequence), name).tolist():
        base = BASES.find(sequence[i])
        if base < 0:
            raise InputError(
                name,
                f"{sequence[i]!r} at position {i + 1}",
                "A, C, G or T where a probability is asked",
                "the stretches between such letters",
            )
        first = np.arange(max(i - k + 1, 0), min(i, num - 1) + 1)
        hidden.append(first + tokenizer.num_before)
        labels.append((i - first) * len(BASES) + base)
    return Plan(name, ids, hidden, labels)


def _check_positions(positions: Sequence[int], length: int, name: str) -> NDArray[np.int64]:
    found = np.asarray(positions, np.int64)
    wrong = found[(found < 0) | (found >= length)]
    if len(wrong):
        raise InputError(
            name, f"position {wrong[0]}", f"0 to {length - 1}, counted from 0", "other positions"
        )
    return found


def read_plans(model: Model, plans: Iterable[Plan], one_pass: bool = False) -> Iterator[FloatArray]:
    """The values of each plan, in order; as many passes as values, or one.

    Raises:
        InputError: one pass where k-mers overlap.
    """
    if one_pass:
        yield from _read_once(model, plans)
        return
    is_overlapping = isinstance(model.tokenizer, OverlappingTokenizer)
    pick = sum_agreeing(model) if is_overlapping else pick_token
    waiting: list[int] = []

    def questions() -> Iterator[Question]:
        for plan in plans:
            waiting.append(len(plan.hidden))
            for hidden, labels in zip(plan.hidden, plan.labels, strict=True):
                ids = plan.ids.copy()
                ids[hidden] = model.tokenizer.mask_id
                yield Question(plan.name, ids, hidden, labels)
            if not plan.hidden:  # nothing is asked of it, and it has its turn all the same
                yield Question(plan.name, plan.ids, _NOTHING, _NOTHING)

    found = ask(model, questions(), pick)
    for first in found:
        count = waiting.pop(0)
        parts = [first, *(next(found) for _ in range(count - 1))]
        yield np.array([part.mean(dtype=np.float64) for part in parts[:count]], np.float64)


_NOTHING = np.zeros(0, np.int64)


def check_one_pass(model: Model) -> None:
    """Refuse the estimate where it holds for nothing.

    Raises:
        InputError: k-mers that overlap.
    """
    if isinstance(model.tokenizer, OverlappingTokenizer):
        raise InputError(
            "rule pseudo-log-likelihood-one-pass",
            "a model of overlapping k-mers, of which the neighbours spell every base",
            "a model whose tokens do not overlap",
            "`--rule pseudo-log-likelihood`",
        )


def _read_once(model: Model, plans: Iterable[Plan]) -> Iterator[FloatArray]:
    check_one_pass(model)
    replacing = count_standard(model.tokenizer)

    def questions() -> Iterator[Question]:
        for plan in plans:
            places = [*plan.hidden, _NOTHING]
            yield Question(
                plan.name,
                plan.ids,
                np.concatenate(places),
                np.concatenate([*plan.labels, places[-1]]),
            )

    for found in ask(model, questions(), _pick_odds):
        odds = found.astype(np.float64) - np.log1p(replacing)
        yield -np.logaddexp(0.0, -odds)  # log p = log(odds / (1 + odds))


def count_standard(tokenizer: Tokenizer) -> int:
    """How many tokens may be put at random where one was chosen: those of standard letters alone.

    >>> from lexome.tokenizers.character import CharacterTokenizer
    >>> count_standard(CharacterTokenizer())
    20
    """
    standard = set("ACDEFGHIKLMNPQRSTVWY" if tokenizer.alphabet.is_protein else "ACGT")
    return sum(bool(token) and set(token) <= standard for token in tokenizer.vocabulary)


def pick_token(log_p_RV: Tensor, labels_R: Tensor) -> Tensor:
    """log p of the tokens that are the labels (R,)."""
    return log_p_RV.gather(1, labels_R[:, None])[:, 0]


def _pick_odds(log_p_RV: Tensor, labels_R: Tensor) -> Tensor:
    """The logarithm of the labels' odds, from all others' sum: exact where p is nearly 1."""
    own_R = pick_token(log_p_RV, labels_R)
    others_RV = log_p_RV.scatter(1, labels_R[:, None], float("-inf"))
    return own_R - others_RV.logsumexp(-1)


def sum_agreeing(model: Model) -> Pick:
    """A pick whose labels are offset x 4 + base: log of the summed p of all k-mers with that base.

    The bases are numbered as in `tokenizers.kmers.BASES`.
    """
    tokens_OK = kmers_by_base(model.tokenizer).to(model.device)

    def pick(log_p_RV: Tensor, labels_R: Tensor) -> Tensor:
        return log_p_RV.gather(1, tokens_OK[labels_R]).logsumexp(-1)

    return pick


def kmers_by_base(tokenizer: Tokenizer) -> Tensor:
    """The ids of all k-mers with each base at each offset, (4 k, 4 ** (k - 1)); rows by offset."""
    k = max(len(t) for t in tokenizer.vocabulary if set(t) <= set(BASES))
    kmers = [t for t in tokenizer.vocabulary if len(t) == k and set(t) <= set(BASES)]
    rows = [
        [tokenizer.id_of[kmer] for kmer in kmers if kmer[offset] == base]
        for offset in range(k)
        for base in BASES
    ]
    return torch.tensor(rows)
