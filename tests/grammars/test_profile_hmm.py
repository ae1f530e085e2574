"""Profile HMMs: by hand, against their slow twin, and against HMMER itself."""

import itertools
import math

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.grammars.hmmer_files import read_hmmer, write_hmmer
from lexome.grammars.profile_hmm import (
    BACKGROUND,
    DD,
    DM,
    II,
    IM,
    MD,
    MI,
    MM,
    ProfileHmm,
    build_profile,
    count_insertions,
    count_transitions,
    sample,
)
from lexome.grammars.profile_search import (
    SearchMode,
    log_likelihood,
    log_odds,
    log_odds_plain,
    null_length,
    prepare_search,
    substitution_log_odds,
)
from lexome.sequence.mutations import AMINO_ACIDS

MODES = [
    SearchMode(),
    SearchMode(is_multihit=True),
    SearchMode(is_local=True),
    SearchMode(is_local=True, is_multihit=True),
]


def random_profile(length, seed=0):
    generator = np.random.default_rng(seed)
    arrows = np.zeros((length + 1, 7))
    arrows[:, [MM, MI, MD]] = generator.dirichlet([6, 1, 1], length + 1)
    arrows[:, [IM, II]] = generator.dirichlet([2, 1], length + 1)
    arrows[:, [DM, DD]] = generator.dirichlet([2, 1], length + 1)
    arrows[-1, MM] += arrows[-1, MD]
    arrows[[0, -1], DM], arrows[[0, -1], DD], arrows[-1, MD] = 1, 0, 0
    inserts = np.repeat(BACKGROUND[None] / BACKGROUND.sum(), length + 1, axis=0)
    return ProfileHmm("toy", generator.dirichlet([0.5] * 20, length), inserts, arrows)


def encode(text):
    return np.array(
        [AMINO_ACIDS.find(letter) if letter in AMINO_ACIDS else 20 for letter in text], np.int8
    )


def test_one_match_state_by_hand():
    """One residue: no flank, B to M1, E to C, no flank; each flank ends with 2/3, odds 0.5 / q."""
    profile = random_profile(1)
    profile.match_MA[0] = [0.5] + [0.5 / 19] * 19
    search = prepare_search(profile, SearchMode())
    begin = 1 - profile.transitions[0, MD]
    wanted = math.log((2 / 3) ** 2 * begin * 0.5 / BACKGROUND[0]) - math.log(1 / 4)
    assert log_odds(search, encode("A")[None])[0] == pytest.approx(wanted)


@pytest.mark.parametrize("mode", MODES)
def test_the_sum_over_paths_is_that_of_the_slow_twin(mode):
    profile = random_profile(6)
    search = prepare_search(profile, mode)
    generator = np.random.default_rng(1)
    for length in (1, 2, 5, 9, 30):
        codes = generator.integers(0, 21, (3, length)).astype(np.int8)
        for expected in (None, 11):
            fast = log_odds(search, codes, expected)
            slow = [log_odds_plain(profile, mode, row, expected) for row in codes.tolist()]
            np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_likelihoods_of_all_sequences_of_a_length_sum_to_that_length(mode):
    """Letters without information have odds of 1, so their odds are the length's likelihood."""
    search = prepare_search(random_profile(3), mode)
    every = np.array(list(itertools.product(range(20), repeat=2)), np.int8)
    total = np.exp(log_likelihood(search, every)).sum()
    length = log_odds(search, np.full((1, 2), 20, np.int8))[0] + null_length(2)
    assert total == pytest.approx(math.exp(length), rel=1e-6)  # HMMER's background sums to 1 - 1e-7


@pytest.mark.parametrize("mode", MODES)
def test_all_substitutions_by_two_passes_are_those_one_by_one(mode):
    search = prepare_search(random_profile(7), mode)
    codes = np.random.default_rng(2).integers(0, 20, 12).astype(np.int8)
    found = substitution_log_odds(search, codes)
    base = log_odds(search, codes[None])[0]
    for place in range(len(codes)):
        mutants = np.repeat(codes[None], 20, axis=0)
        mutants[:, place] = np.arange(20)
        np.testing.assert_allclose(found[place], log_odds(search, mutants) - base, atol=1e-9)


def test_arrows_are_counted_between_the_ends_of_rows():
    rows = ["AaaCDE", "A-DE", "--DE", "AC--"]
    codes = np.array([encode("".join(x for x in row if not x.islower())) for row in rows])
    inserted = count_insertions(rows, range(4))
    assert inserted.tolist() == [[0, 2, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5]
    counts = count_transitions(codes, inserted, np.array([1.0, 2.0, 4.0, 8.0]))
    assert counts[0, MM] == 11  # rows 1, 2 and 4 begin with the first column
    assert (counts[1, MM], counts[1, MI], counts[1, IM], counts[1, II]) == (8, 1, 1, 1)
    assert (counts[1, MD], counts[2, DM], counts[2, MM]) == (2, 2, 1)
    assert counts[2, MD] == 0  # behind the last letter of row 4 gaps are missing data
    assert counts[3, MM] == counts[4, MM] == 7


def test_a_column_that_is_left_out_counts_as_inserted():
    assert count_insertions(["ACD", "A-D", "AaCcD"], [0, 2]).tolist() == [
        [0, 1, 0],
        [0, 0, 0],
        [0, 3, 0],
    ]


def test_a_profile_of_no_rows_is_its_prior():
    """With no weight on any row, letters are the background and arrows the priors' means."""
    profile = build_profile("x", encode("ACD")[None], np.zeros((1, 4), np.int64), np.zeros(1))
    np.testing.assert_allclose(profile.match_MA, np.repeat(BACKGROUND[None], 3, axis=0), atol=1e-7)
    assert profile.transitions[1, MM] == pytest.approx(0.7939 / (0.7939 + 0.0278 + 0.0135))
    np.testing.assert_allclose(profile.transitions[:, [MM, MI, MD]].sum(axis=1), 1)


def test_samples_follow_the_model():
    profile = random_profile(4)
    profile.transitions[:] = 0
    profile.transitions[:, [MM, IM, DM]] = 1
    drawn = sample(profile, 2000, np.random.default_rng(0))
    assert {len(text) for text in drawn} == {4}
    seen = np.bincount([AMINO_ACIDS.index(text[2]) for text in drawn], minlength=20) / 2000
    np.testing.assert_allclose(seen, profile.match_MA[2], atol=0.04)


def test_a_profile_goes_to_a_hmmer_file_and_back(tmp_path):
    profile = random_profile(5)
    write_hmmer(profile, tmp_path / "x.hmm")
    found = read_hmmer(tmp_path / "x.hmm")
    for ours, theirs in zip(profile[1:], found[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    text = (tmp_path / "x.hmm").read_text()
    (tmp_path / "cut.hmm").write_text(text[: len(text) // 2].rsplit("\n", 1)[0] + "\n")
    with pytest.raises(InputError, match="ends too early"):
        read_hmmer(tmp_path / "cut.hmm")
    (tmp_path / "dna.hmm").write_text(text.replace("ALPH  amino", "ALPH  DNA"))
    with pytest.raises(InputError, match="line 4: saw DNA"):
        read_hmmer(tmp_path / "dna.hmm")
    (tmp_path / "x.txt").write_text("hello\n")
    with pytest.raises(InputError, match="line 1"):
        read_hmmer(tmp_path / "x.txt")


def test_scores_are_those_of_hmmer(tmp_path):
    """A profile that HMMER built, read by us: forward scores in bits to 0.001 (HMMER has fp32).

    And one of ours, written to a file, which HMMER reads and searches with.
    """
    pyhmmer = pytest.importorskip("pyhmmer")
    easel, plan7 = pyhmmer.easel, pyhmmer.plan7
    alphabet = easel.Alphabet.amino()
    background = plan7.Background(alphabet)
    np.testing.assert_allclose(np.array(background.residue_frequencies), BACKGROUND, atol=1e-7)
    texts = sample(random_profile(40, seed=3), 30, np.random.default_rng(4))
    one = "MKTAYIAKQRQISFVKSHFSRQ".join(texts[:2])  # two hits in one sequence
    texts.append(one)
    digital = [
        easel.TextSequence(name=f"s{i}".encode(), sequence=text).digitize(alphabet)
        for i, text in enumerate(texts)
    ]
    block = easel.DigitalSequenceBlock(alphabet, digital)
    generator = np.random.default_rng(5)
    letters = random_profile(40, seed=3).match_MA
    rows = ["".join(generator.choice(list(AMINO_ACIDS), p=p) for p in letters) for _ in range(12)]
    rows = ["".join("-" if generator.random() < 0.1 else x for x in row) for row in rows]
    named = [easel.TextSequence(name=f"r{i}".encode(), sequence=row) for i, row in enumerate(rows)]
    msa = easel.TextMSA(name=b"toy", sequences=named).digitize(alphabet)
    theirs, _, _ = plan7.Builder(alphabet).build_msa(msa, background)
    with (tmp_path / "theirs.hmm").open("wb") as file:
        theirs.write(file)
    ours = _hmm(pyhmmer, random_profile(40, seed=3), tmp_path)
    for hmm, path in ((theirs, "theirs.hmm"), (ours, "ours.hmm")):
        pipeline = plan7.Pipeline(
            alphabet,
            background=background,
            **{"bias_filter": False, "null2": False, "F1": 1.0, "F2": 1.0, "F3": 1.0},
            **{"E": 1e9, "domE": 1e9, "Z": 1, "domZ": 1},
        )
        hits = {hit.name: hit.pre_score for hit in pipeline.search_hmm(hmm, block)}
        assert len(hits) > 20
        search = prepare_search(read_hmmer(tmp_path / path), MODES[-1])
        for i, text in enumerate(texts):
            name = f"s{i}" if f"s{i}" in hits else f"s{i}".encode()
            if name in hits:
                bits = log_odds(search, encode(text)[None])[0] / math.log(2)
                assert bits == pytest.approx(hits[name], abs=1e-3)


def _hmm(pyhmmer, profile, folder):
    path = folder / "ours.hmm"
    write_hmmer(profile, path)
    # HMMER searches with calibrated profiles only; the numbers change E-values, not scores.
    kinds = ("MSV", "VITERBI", "FORWARD")
    calibrated = "".join(f"STATS LOCAL {kind} -8.0 0.7\n" for kind in kinds)
    path.write_text(path.read_text().replace("HMM     ", f"{calibrated}HMM     ", 1))
    with pyhmmer.plan7.HMMFile(folder / "ours.hmm") as file:
        return file.read()
