"""What is hidden: how much, of which letters, and that nothing but visit and seed decide it."""

import numpy as np
import pytest

from lexome.batches.stream import Tokens
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.pretraining.masking import STANDARD, Masking, Task, next_tokens

TOKENIZER = CharacterTokenizer()
NUM = 400_000


def tokens_of(text: str, first: int = 0) -> Tokens:
    """Letters as one window."""
    ids_T = np.array([TOKENIZER.id_of[letter] for letter in text], np.uint8)
    return Tokens(ids_T, [len(ids_T)], np.arange(first, first + len(ids_T), dtype=np.uint64))


@pytest.fixture(scope="module")
def many() -> Tokens:
    """Residues in every standard letter, equally often."""
    return tokens_of(STANDARD * (NUM // 20))


@pytest.fixture(scope="module")
def task(many: Tokens) -> Task:
    return Masking().make(many, TOKENIZER, 1)


def assert_share(count: float, of: float, share: float) -> None:
    """Within four standard deviations of a binomial count."""
    assert abs(count - of * share) < 4 * np.sqrt(of * share * (1 - share)), count / of


def test_fifteen_in_a_hundred_are_chosen_whatever_the_letter_and_the_place(
    many: Tokens, task: Task
) -> None:
    assert_share(len(task.positions_C), NUM, 0.15)
    for letter in STANDARD:
        chosen = (task.targets_C == TOKENIZER.id_of[letter]).sum()
        assert_share(chosen, NUM / 20, 0.15)
    is_chosen = np.isin(np.arange(NUM), task.positions_C)
    for lag in (1, 2, 3, 20):  # neighbours know nothing of each other
        assert_share((is_chosen[lag:] & is_chosen[:-lag]).sum(), NUM - lag, 0.15**2)


def test_of_the_chosen_eight_become_masks_one_another_residue_and_one_stays(
    many: Tokens, task: Task
) -> None:
    seen_C, chosen = task.inputs_T[task.positions_C], len(task.positions_C)
    assert_share((seen_C == TOKENIZER.mask_id).sum(), chosen, 0.8)
    # A residue drawn from all twenty is the same one once in twenty.
    assert_share((seen_C == task.targets_C).sum(), chosen, 0.1 + 0.1 / 20)
    other_C = seen_C[(seen_C != TOKENIZER.mask_id) & (seen_C != task.targets_C)]
    for letter in STANDARD:
        assert_share((other_C == TOKENIZER.id_of[letter]).sum(), len(other_C), 1 / 20)


def test_what_was_not_chosen_is_left_alone_and_the_targets_are_what_stood_there(
    many: Tokens, task: Task
) -> None:
    untouched = np.ones(NUM, bool)
    untouched[task.positions_C] = False
    assert (task.inputs_T[untouched] == many.ids_T[untouched]).all()
    assert (task.targets_C == many.ids_T[task.positions_C]).all()
    assert (many.ids_T == tokens_of(STANDARD * (NUM // 20)).ids_T).all(), (
        "the window itself changed"
    )


def test_special_tokens_and_letters_that_stand_for_several_are_never_chosen() -> None:
    others = [i for i, name in enumerate(TOKENIZER.vocabulary) if name not in STANDARD]
    assert {TOKENIZER.cls_id, TOKENIZER.eos_id, TOKENIZER.mask_id} < set(others)
    assert {TOKENIZER.id_of[letter] for letter in "XBUZO"} < set(others)
    ids_T = np.array(others * 1000, np.uint8)
    tokens = Tokens(ids_T, [len(ids_T)], np.arange(len(ids_T), dtype=np.uint64))
    found = Masking(rate=0.99).make(tokens, TOKENIZER, 1)
    assert len(found.positions_C) == 0
    assert (found.inputs_T == ids_T).all()


def test_the_shares_can_be_set(many: Tokens) -> None:
    found = Masking(rate=0.4, masked=0.0, replaced=1.0).make(many, TOKENIZER, 1)
    assert_share(len(found.positions_C), NUM, 0.4)
    assert not (found.inputs_T == TOKENIZER.mask_id).any()
    found = Masking(masked=1.0, replaced=0.0).make(many, TOKENIZER, 1)
    assert (found.inputs_T[found.positions_C] == TOKENIZER.mask_id).all()


def test_another_seed_or_another_visit_hides_others(many: Tokens, task: Task) -> None:
    later = many._replace(counters_T=many.counters_T + np.uint64(1 << 24))
    for other in (Masking().make(many, TOKENIZER, 2), Masking().make(later, TOKENIZER, 1)):
        both = np.intersect1d(other.positions_C, task.positions_C)
        assert_share(len(both), NUM, 0.15**2)


def test_what_is_hidden_does_not_depend_on_what_stands_beside_it() -> None:
    tokens = tokens_of(STANDARD * 50)
    whole = Masking().make(tokens, TOKENIZER, 1)
    for cut in (slice(0, 300), slice(300, 301), slice(301, 1000)):
        part = Tokens(tokens.ids_T[cut], [0], tokens.counters_T[cut])
        assert (Masking().make(part, TOKENIZER, 1).inputs_T == whole.inputs_T[cut]).all()


def test_going_on_from_left_to_right_names_the_next_token_and_never_crosses_a_border() -> None:
    tokens = tokens_of("MKTAC")._replace(lengths=[3, 2])
    found = next_tokens(tokens)
    assert (found.inputs_T == tokens.ids_T).all()
    assert found.positions_C.tolist() == [0, 1, 3]
    assert [TOKENIZER.vocabulary[i] for i in found.targets_C] == ["K", "T", "C"]
