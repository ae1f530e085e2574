"""Splits of tables that one can check by eye, and the ones that are refused."""

import numpy as np
import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.evaluation import grouping
from lexome.evaluation.grouping import group_similar, in_gap
from lexome.evaluation.split_table import split
from lexome.search.mmseqs import cluster
from tests.programs import need_program
from tests.toy_shards import mutate, proteins
from tests.toys import write_fasta

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def dna(num: int, length: int = 120, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list("ACGT"), length)) for _ in range(num)]


def families(num: int = 30, members: int = 4) -> pl.DataFrame:
    """Random DNA, each with mutants, every second one of them turned round."""
    rows = []
    for family, letters in enumerate(dna(num)):
        generator = np.random.default_rng(family)
        for member in range(members):
            new = list(letters)
            for place in generator.choice(len(letters), 6 * (member > 0), replace=False):
                new[place] = generator.choice(list("ACGT"))
            text = "".join(new)
            text = text.translate(COMPLEMENT)[::-1] if member % 2 else text
            rows.append({"family": family, "sequence": text, "label": "yes" if member else "no"})
    return pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=1)


def sides(frame: pl.DataFrame, key: str, column: str) -> int:
    """In how many parts the values of a column stand at the most."""
    counts = frame.filter(pl.col(column) != "unused") if column == "part" else frame
    return int(counts.group_by(key).agg(pl.col(column).n_unique())[column].max())


@pytest.mark.parametrize("seed", range(5))
def test_no_cluster_stands_on_two_sides(seed: int) -> None:
    made = split(families(), "cluster", stratify="label", parts=(0.6, 0.2, 0.2), seed=seed)
    assert sides(made.frame, "family", "part") == sides(made.frame, "group", "part") == 1
    assert made.frame["group"].n_unique() == 30
    assert made.notes["method"] == "kmers"
    assert "both strands" in made.notes["how"]
    assert [summary.rows for summary in made.summaries] == [72, 24, 24]
    assert all(s.balance == {"no": 0.25, "yes": 0.75} for s in made.summaries)
    assert made.copies == 0


@pytest.mark.parametrize("spelled", ["random", "cluster", "column:family", "block:place"])
def test_folds_cover_each_row_once(spelled: str) -> None:
    rows = families().with_row_index("place")
    made = split(rows, spelled, folds=5, stratify="label", block_size=5, gap=0)
    assert made.frame["fold"].null_count() == 0
    assert made.frame.drop("fold", "group", strict=False).equals(rows)
    assert sorted(made.frame["fold"].unique()) == [0, 1, 2, 3, 4]
    assert sum(summary.rows for summary in made.summaries) == rows.height
    if "group" in made.frame.columns:
        assert sides(made.frame, "group", "fold") == 1


def test_the_same_seed_gives_the_same_parts_and_another_seed_others() -> None:
    rows = families()
    one, again, other = (split(rows, "cluster", seed=seed).frame["part"] for seed in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


def test_a_random_split_is_stratified_marked_and_tells_of_copies() -> None:
    rows = pl.DataFrame({"sequence": dna(1) * 10, "label": [0, 1] * 5})
    made = split(rows, "random", stratify="label", parts=(0.6, 0.2, 0.2))
    assert made.notes["random"]
    assert [s.rows for s in made.summaries] == [6, 2, 2]
    assert all(s.balance == {"0": 0.5, "1": 0.5} for s in made.summaries)
    assert made.copies == 4  # validation and test: all stand in train


def test_values_of_a_column_are_kept_together_or_placed_by_lists() -> None:
    rows = pl.DataFrame({"chrom": ["1"] * 3 + ["2"] * 2 + ["3"] * 2, "x": range(7)})
    by_size = split(rows, "chromosome:chrom", parts=(0.4, 0.3, 0.3)).frame
    assert sides(by_size, "chrom", "part") == 1
    listed = split(rows, "column:chrom", train=["1"], test=[3]).frame
    assert listed["part"].to_list() == ["train"] * 3 + ["unused"] * 2 + ["test"] * 2
    named = pl.DataFrame({"set": ["train", "test"], "x": [1, 2]})
    assert split(named, "column:set").frame["part"].to_list() == ["train", "test"]


def test_blocks_are_parted_by_a_gap() -> None:
    """Of a block behind one of another part, the first 10 bases are in neither."""
    rows = pl.DataFrame({"chrom": ["a"] * 1000 + ["b"] * 1000, "start": [*range(1000)] * 2})
    made = split(rows, "block:chrom,start", block_size=100, gap=10, parts=(0.5, 0.5))
    found = made.frame.with_columns(block=pl.col("start") // 100)
    used = found.filter(pl.col("part") != "unused")
    assert used.group_by("chrom", "block").agg(pl.col("part").n_unique())["part"].max() == 1
    assert (found.filter(pl.col("part") == "unused")["start"] % 100).max() == 9
    for _, one in used.group_by("chrom"):
        places = {name: one.filter(pl.col("part") == name)["start"] for name in ("train", "test")}
        near = np.abs(places["train"].to_numpy()[:, None] - places["test"].to_numpy()).min()
        assert near == 11
    assert made.notes["in_gaps"] == made.summaries[-1].rows == 2000 - used.height


def test_the_first_block_of_a_chromosome_has_no_gap() -> None:
    blocks, offsets = grouping.group_blocks(np.array([95.0, 195, 5, 5]), ["a", "a", "a", "b"], 100)
    assert blocks.tolist() == [0, 1, 0, 3]
    parts = np.array([0, 1, 0, 1])
    assert in_gap(blocks, offsets, parts, 99).tolist() == [False, True, False, False]


def test_the_gap_is_the_longest_sequence_unless_it_is_given() -> None:
    rows = pl.DataFrame({"sequence": dna(20, 30), "start": range(0, 2000, 100)})
    assert split(rows, "block:start", block_size=200, parts=(0.5, 0.5)).notes["gap"] == 30


REFUSED = [
    ({"split": "cluster", "stratify": "same"}, "the label a in all 40 rows"),
    ({"split": "random", "stratify": "rare"}, "no row of the class x"),
    ({"split": "column:half", "stratify": "half", "parts": (0.5, 0.5)}, "no row of the class"),
    ({"split": "column:most", "parts": (0.5, 0.25, 0.25)}, "a group of 30 of 40 rows"),
    ({"split": "column:most", "folds": 3}, "a group of 30 of 40 rows"),
    ({"split": "random", "group": "half"}, "leaks by construction"),
    ({"split": "chromosome:half"}, "no rows"),
    ({"split": "block:sequence"}, "a position, 0 or more"),
    ({"split": "block:number", "block_size": 10, "gap": 10}, "below the block size"),
    ({"split": "block:"}, "block:POSITION"),
    ({"split": "random", "folds": 1}, "at least 2"),
    ({"split": "random", "parts": (0.5, 0.2)}, "add up to 1"),
    ({"split": "random", "parts": (float("nan"), 0.5, 0.5)}, "add up to 1"),
    ({"split": "random", "train": ["1"]}, "--split column:NAME"),
    ({"split": "random", "stratify": "holes"}, "row 3, column 'holes'"),
    ({"split": "cluster", "clusters": "mmseqs2"}, "misses reverse complements"),
    ({"split": "cluster", "identity": 0.5}, "0.8 to 1 for dna"),
    ({"split": "cluster", "alphabet": "rna"}, "one of auto, protein, dna"),
    ({"split": "column:nothing"}, "no column 'nothing'"),
    ({"split": "cluster", "sequence": "part"}, "no column 'part'"),
]


@pytest.mark.parametrize(("asked", "reason"), REFUSED)
def test_what_cannot_be_split_so_is_refused_with_the_reason(asked: dict, reason: str) -> None:
    rows = pl.DataFrame(
        {
            "sequence": dna(40),
            "same": ["a"] * 40,
            "rare": ["x"] + ["y"] * 39,
            "half": [0, 1] * 20,
            "most": [0] * 30 + list(range(1, 11)),
            "holes": ["a", "b", None] + ["a"] * 37,
            "number": range(40),
        }
    )
    with pytest.raises(InputError, match=reason):
        split(rows, **asked)


def test_a_cluster_larger_than_every_part_is_refused() -> None:
    rows = pl.DataFrame({"sequence": dna(1) * 8 + dna(4, seed=1)})
    with pytest.raises(InputError, match=r"a group of 8 of 12 rows.*has room for 6"):
        split(rows, "cluster", parts=(0.5, 0.25, 0.25))


def test_a_column_that_would_be_overwritten_is_refused() -> None:
    with pytest.raises(InputError, match="column 'part'"):
        lexome.split(pl.DataFrame({"sequence": dna(4), "part": [1, 2, 3, 4]}), "random")


def test_mmseqs_joins_kin_that_share_no_kmers_and_keeps_strangers_apart(tmp_path) -> None:
    need_program("mmseqs", "mmseqs2")
    one, other, *strangers = proteins(12, low=200, high=220)
    sequences = [one, mutate(one, 0.45), other, one, *strangers]
    groups = group_similar(sequences, "protein", 0.3).group_N
    assert groups[0] == groups[1] == groups[3]
    assert len(set(groups.tolist())) == len(sequences) - 2
    fasta = write_fasta(tmp_path / "all.fasta", [(str(i), s) for i, s in enumerate(sequences)])
    found = list(cluster(fasta, 0.3, 0.8, tmp_path / "work"))
    assert sorted(name for members in found for name in members) == sorted(
        map(str, range(len(sequences)))
    )
    assert not list((tmp_path / "work").iterdir())


def test_a_fragment_stays_with_the_whole() -> None:
    """MMseqs2 leaves it apart, for it covers a third; the audit would call it a near copy."""
    need_program("mmseqs", "mmseqs2")
    one, other = proteins(2, low=300, high=310)
    assert group_similar([one, other, one[:100]], "protein").group_N.tolist() == [0, 1, 0]


def test_peptides_too_short_for_mmseqs_are_grouped_by_kmers() -> None:
    found = group_similar(["SIINFEKLA", "GILGFVFTL", "siinfekla"], "protein")
    assert (found.method, found.group_N.tolist()) == ("kmers", [0, 1, 0])


@pytest.mark.parametrize("sequences", [["SIINFEKL", "GILGFVFTL"], ["A" * 20, "C" * 30]])
def test_proteins_that_mmseqs_cannot_take_are_refused_with_what_can(sequences: list[str]) -> None:
    need_program("mmseqs", "mmseqs2")
    with pytest.raises(InputError, match="--clusters kmers"):
        group_similar(sequences, "protein", method="mmseqs2")
    assert group_similar(sequences, "protein", method="kmers").group_N.tolist() == [0, 1]


def test_without_mmseqs_proteins_are_grouped_by_kmers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping.shutil, "which", lambda name: None)
    one, other = proteins(2, low=200, high=220)
    found = group_similar([one, other, one[:150]], "protein")
    assert found.group_N.tolist() == [0, 1, 0]
    assert "built in" in found.how


def test_whole_numbers_are_balanced_alike_from_every_format(tmp_path) -> None:
    rows = pl.DataFrame({"label": np.random.default_rng(0).integers(0, 30, 300)})
    rows.write_csv(tmp_path / "a.csv")
    rows.write_parquet(tmp_path / "a.parquet")
    csv, parquet = (
        split(tmp_path / f"a.{kind}", "random", stratify="label") for kind in ("csv", "parquet")
    )
    assert csv.frame["part"].to_list() == parquet.frame["part"].to_list()
    assert csv.summaries == parquet.summaries


def test_a_column_called_group_stands_in_no_way_where_none_is_written() -> None:
    rows = pl.DataFrame({"group": list("aabbccdd"), "set": ["train"] * 4 + ["test"] * 4})
    assert split(rows, "column:set", group="group").frame.columns == ["group", "set", "part"]
    with pytest.raises(InputError, match="leaks by construction"):
        split(rows, "random", parts=(0.5, 0.5), group="group")
    with pytest.raises(InputError, match="a column of that name"):
        split(rows, "column:set", folds=2)
