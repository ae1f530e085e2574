"""The made-up proteins follow their grammar, repeat exactly, and are neither trivial nor hopeless."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lexome.errors import InputError
from lexome.seeds import numpy_generator
from lexome.suites.simulated_targeting import (
    KINDS,
    LETTERS,
    draw_decoy,
    draw_presequence,
    draw_secretory,
    simulate_targeting,
)

APOLAR = set("LAVFIWMY")


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return simulate_targeting(2500, seed=0)


def test_the_same_seed_gives_the_same_table_and_another_seed_another() -> None:
    first, again, other = (simulate_targeting(100, seed) for seed in (3, 3, 4))
    assert first.equals(again)
    assert not set(first["Sequence"]) & set(other["Sequence"])


def test_the_table_has_the_columns_the_rows_and_the_letters_of_the_real_one(
    table: pl.DataFrame,
) -> None:
    assert table.columns == ["ACC", "Partition", "Mitochondrion", "Sequence"]
    assert table.height == 2500
    assert table["ACC"].n_unique() == table["Sequence"].n_unique() == 2500
    assert set("".join(table["Sequence"])) <= set(LETTERS)
    assert table["Sequence"].str.starts_with("M").all()
    assert 40 <= table["Sequence"].str.len_chars().min() < 200


def test_every_partition_has_a_fifth_of_the_rows_and_of_the_mitochondrial_ones(
    table: pl.DataFrame,
) -> None:
    parts = table.group_by("Partition").agg(pl.len(), pl.col("Mitochondrion").mean())
    assert sorted(parts["Partition"]) == [0, 1, 2, 3, 4]
    assert parts["len"].min() > 450
    assert parts["Mitochondrion"].min() > 0.09
    assert parts["Mitochondrion"].max() < 0.16


def test_relatives_never_stand_in_two_partitions(table: pl.DataFrame) -> None:
    # By chance two proteins of 300 residues share no word of 9 letters (20**9 words); relatives,
    # which differ in 10 to 40 % from their ancestor, share many.
    seen: dict[str, set[int]] = {}
    for partition, sequence in table.select("Partition", "Sequence").iter_rows():
        domain = sequence[45:]
        for i in range(len(domain) - 8):
            seen.setdefault(domain[i : i + 9], set()).add(partition)
    shared = [word for word, partitions in seen.items() if len(partitions) > 1]
    assert len(shared) < 20
    words = len(seen)
    total = int((table["Sequence"].str.len_chars() - 53).sum())
    assert total - words > 500  # and relatives there are


def test_a_presequence_has_its_length_its_motif_and_hardly_an_acid() -> None:
    random = numpy_generator("presequences")
    drawn = [draw_presequence(random) for _ in range(400)]
    assert {len(p) for p in drawn} == set(range(15, 41))
    for presequence in drawn:
        assert presequence[0] == "M"
        is_r2 = presequence[-3] == "R" and presequence[-1] == "S"
        is_r3 = presequence[-4] == "R" and presequence[-2] in "FY" and presequence[-1] in "SA"
        assert is_r2 or is_r3
    letters = "".join(drawn)
    acids = sum(letters.count(c) for c in "DE") / len(letters)
    assert 0.005 < acids < 0.025
    assert letters.count("R") / len(letters) > 0.12


def helical_moment(sequence: str) -> float:
    """Length of the mean vector of the apolar residues around the helix (Eisenberg 1982)."""
    angles = np.deg2rad(100 * np.arange(len(sequence)))
    values = np.array([1.0 if c in APOLAR else -1.0 for c in sequence])
    return float(abs((values * np.exp(1j * angles)).mean()))


def test_a_presequence_is_amphipathic_and_its_decoy_of_the_same_letters_is_not() -> None:
    random = numpy_generator("helices")
    presequences = [helical_moment(draw_presequence(random)[1:-4]) for _ in range(200)]
    decoys = [helical_moment(draw_decoy(random)[1:-4]) for _ in range(200)]
    assert np.median(presequences) > 0.5  # 0.63 for two perfect half circles
    assert np.median(decoys) < 0.3


def test_a_secretory_signal_has_a_hydrophobic_core_and_small_residues_before_the_cut() -> None:
    random = numpy_generator("secretory")
    for _ in range(100):
        signal = draw_secretory(random)
        assert 1 + 1 + 8 + 5 <= len(signal) <= 1 + 5 + 13 + 6
        assert signal[-1] == "A"
        assert signal[-3] in "AVS"


def test_shares_of_the_kinds_add_up_to_all() -> None:
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)


@pytest.mark.parametrize("num", [50, 51, 99, 1001])
def test_a_table_has_exactly_as_many_rows_as_were_asked_for(num: int) -> None:
    assert simulate_targeting(num, seed=1).height == num


def test_too_few_proteins_are_refused() -> None:
    with pytest.raises(InputError, match="at least 50"):
        simulate_targeting(10, seed=0)


def test_composition_alone_tells_much_but_not_all(table: pl.DataFrame) -> None:
    def shares(text: str) -> list[float]:
        return [text.count(letter) / max(len(text), 1) for letter in LETTERS]

    features = np.array([shares(s) + shares(s[:30]) + shares(s[30:60]) for s in table["Sequence"]])
    truth, part = table["Mitochondrion"].to_numpy(), table["Partition"].to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features[part < 4], truth[part < 4])
    auroc = roc_auc_score(truth[part == 4], model.predict_proba(features[part == 4])[:, 1])
    assert 0.75 < auroc < 0.92
