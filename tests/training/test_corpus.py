"""Files become a corpus: what is kept, counted, held out and kept apart; whole or none."""

import fcntl
import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lexome.batches.shards import MANIFEST, Corpus
from lexome.batches.stream import Stream
from lexome.errors import EnvironmentProblem, InputError
from lexome.search.mmseqs import similar
from lexome.training.pretraining import kinship, spooling
from lexome.training.pretraining.corpus import make_corpus
from lexome.training.pretraining.recipe import DataRecipe
from tests.programs import need_program
from tests.shared_data import shared
from tests.toy_shards import mutate, proteins, read_part
from tests.toys import write_fasta

PLAIN = {"heldout": 0.0}  # no hold-out, so no search
KMERS = {"similarity": "kmers", "identity": 0.45}


def make(folder: Path, *sources: str, name: str = "corpus", **settings: object) -> Corpus:
    """The corpus of files in `folder`."""
    recipe = DataRecipe(sources=sources, **settings)
    return make_corpus(recipe, folder / name, folder, lambda what, text: None, quiet=True)


def put(folder: Path, sequences: list[str], name: str = "a.fasta") -> str:
    write_fasta(folder / name, ((f"{name}{i}", s) for i, s in enumerate(sequences)))
    return name


def test_each_record_is_kept_or_counted_under_one_reason(tmp_path):
    kept = ["MKTAYIAKQRQISFVKSHFS", "GSHMASWLNDEPQRCYVKTI", "LLVVAAGGIIKKRRDDEENN"]
    short, long = "MKTAY", "MKTAY" * 9
    put(tmp_path, [kept[0], "", short, long, kept[1], kept[0], "*"])
    put(tmp_path, [kept[1], kept[2], kept[0] + "*"], "b.fasta")
    corpus = make(tmp_path, "a.fasta", "b.fasta", shortest=6, longest=44, **PLAIN)
    assert sorted(read_part(corpus.train)) == sorted(kept)
    assert corpus.heldout.sequences == 0
    counts = {"read": 10, "empty": 2, "too short": 1, "too long": 1, "copies": 3}
    counts |= {"like an excluded one": 0, "like a held-out one": 0}
    assert corpus.manifest["counts"] == counts
    assert [s["counts"]["read"] for s in corpus.manifest["sources"]] == [7, 3]


def test_other_letters_are_mapped_and_counted_by_source(tmp_path):
    put(tmp_path, ["mktayiakqrqisfvkshfs"])
    put(tmp_path, ["MKTAYJAK*RQISFVKSHFSR*"], "b.fasta")
    corpus = make(tmp_path, "a.fasta", "b.fasta", shortest=5, **PLAIN)
    assert sorted(read_part(corpus.train)) == ["MKTAYIAKQRQISFVKSHFS", "MKTAYXAKXRQISFVKSHFSR"]
    first, second = corpus.manifest["sources"]
    assert sum(first["mapped_letters"].values()) == 20
    assert second["mapped_letters"] == {"J": 1, "*": 2}
    assert second["letters"]["X"] == 2
    assert second["letters"]["K"] == 3


def test_a_digit_is_refused_with_file_record_and_position(tmp_path):
    put(tmp_path, ["MKTAYIAK", "MKT4YIAK"])
    with pytest.raises(InputError, match=r"a\.fasta, a\.fasta1: saw the letter '4' at position 4"):
        make(tmp_path, "a.fasta", shortest=5, **PLAIN)
    assert not (tmp_path / "corpus" / MANIFEST).exists()


def test_letters_are_refused_where_the_recipe_says_so(tmp_path):
    put(tmp_path, ["MKTAYIAK", "MKTJYIAK"])
    with pytest.raises(InputError, match="saw the letter 'J' at position 4"):
        make(tmp_path, "a.fasta", shortest=5, unknown="refuse", **PLAIN)


def test_a_missing_or_empty_source_is_named(tmp_path):
    put(tmp_path, proteins(3))
    (tmp_path / "empty.fasta").write_text("")
    with pytest.raises(InputError, match=r"gone\.fasta: saw no such file"):
        make(tmp_path, "a.fasta", "gone.fasta", **PLAIN)
    with pytest.raises(InputError, match=r"gone\.fasta: saw no such file"):
        make(tmp_path, "a.fasta", exclude=("gone.fasta",))
    with pytest.raises(InputError, match=r"empty\.fasta"):
        make(tmp_path, "a.fasta", "empty.fasta", **PLAIN)
    with pytest.raises(InputError, match=r"no corpus, and no data\.sources"):
        make(tmp_path)


def test_nothing_left_to_train_on_is_no_corpus(tmp_path):
    put(tmp_path, proteins(3))
    with pytest.raises(InputError, match="saw nothing left to train on"):
        make(tmp_path, "a.fasta", shortest=1000, **PLAIN)
    assert not (tmp_path / "corpus" / MANIFEST).exists()


def test_fasta_csv_and_parquet_make_the_same_shards(tmp_path):
    sequences = proteins(50)
    put(tmp_path, sequences)
    (tmp_path / "a.fasta.gz").write_bytes(gzip.compress((tmp_path / "a.fasta").read_bytes()))
    frame = pl.DataFrame({"id": [f"p{i}" for i in range(50)], "sequence": sequences})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    files = ("a.fasta", "a.fasta.gz", "a.csv", "a.parquet")
    made = [make(tmp_path, file, name=f"of-{file}", **PLAIN) for file in files]
    assert len({corpus.fingerprint for corpus in made}) == 1
    assert read_part(made[0].train) == sequences


def test_a_giant_record_is_left_out_and_counted_or_windowed(tmp_path):
    small, large, giant = (proteins(1, n, n, n + 1)[0] for n in (50, 100_000, 5_000_000))
    put(tmp_path, [small, large, large + "M", giant])
    corpus = make(tmp_path, "a.fasta", name="usual", **PLAIN)
    assert sorted(corpus.train.lengths(np.arange(2)).tolist()) == [50, 100_000]
    assert corpus.manifest["counts"]["too long"] == 2
    corpus = make(tmp_path, "a.fasta", name="all", longest=5_000_000, **PLAIN)
    assert corpus.train.residues == 50 + 100_000 + 100_001 + 5_000_000
    windows = Stream(corpus.train, 512, 1).windows(0, 40)
    assert windows.tokens_W.max() <= 512
    assert windows.lengths_W.max() == 5_000_000


def test_two_makings_of_the_same_files_are_the_same_bytes(tmp_path):
    put(tmp_path, families(30))
    put(tmp_path, proteins(30, seed=9), "b.fasta")
    settings = {"shard_residues": 5000, "heldout": 0.2, **KMERS}
    one, other = (make(tmp_path, "a.fasta", "b.fasta", name=n, **settings) for n in "xy")
    assert len(one.train.shards) > 3
    assert contents(one.folder) == contents(other.folder)
    assert one.fingerprint == other.fingerprint


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def families(num: int, size: int = 3, seed: int = 0) -> list[str]:
    """Proteins and mutants of them, one family behind the other."""
    founders = proteins(num, seed, low=150, high=200)
    return [mutate(f, 0.2 * (i > 0), i) for f in founders for i in range(size)]


def test_a_family_or_a_copy_never_stands_on_both_sides(tmp_path):
    members = families(60)
    put(tmp_path, [*members, *members[::2]])
    corpus = make(tmp_path, "a.fasta", heldout=0.2, shard_residues=9000, **KMERS)
    family = {sequence: i // 3 for i, sequence in enumerate(members)}
    train, heldout = (
        [family[s] for s in read_part(part)] for part in (corpus.train, corpus.heldout)
    )
    assert set(train).isdisjoint(heldout)
    counts = corpus.manifest["counts"]
    assert counts["copies"] == 90
    assert counts["like a held-out one"] > 10
    assert len(train) + len(heldout) + counts["like a held-out one"] == 180
    # the groups of the held-out ones are the families
    groups = corpus.heldout_groups.tolist()
    assert len(groups) == len(heldout)
    assert len(set(zip(groups, heldout, strict=True))) == len(set(groups)) == len(set(heldout))
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))


def test_kin_of_an_excluded_sequence_stand_on_neither_side(tmp_path):
    members = families(40)
    put(tmp_path, members)
    put(tmp_path, ["", *members[0:30:3]], "test.fasta")
    settings = {"heldout": 0.2, "shard_residues": 8000, "exclude": ("test.fasta",), **KMERS}
    corpus = make(tmp_path, "a.fasta", **settings)
    family = {sequence: i // 3 for i, sequence in enumerate(members)}
    kept = {family[s] for part in (corpus.train, corpus.heldout) for s in read_part(part)}
    assert kept.isdisjoint(range(10))
    assert corpus.manifest["counts"]["like an excluded one"] == 30
    assert corpus.manifest["excluded_queries"] == 10


def test_no_more_is_held_out_than_is_of_use(tmp_path, monkeypatch):
    monkeypatch.setattr(kinship, "MOST_HELDOUT", 10)
    sequences = proteins(400, low=60, high=80)
    put(tmp_path, sequences * 3)  # copies do not count
    corpus = make(tmp_path, "a.fasta", heldout=0.5, **KMERS)
    assert 4 <= corpus.heldout.sequences <= 20  # 10 +- 3 of a binomial


def test_nothing_in_train_is_similar_to_what_is_held_out_or_excluded(tmp_path):
    need_program("mmseqs", "mmseqs2")
    strains = ("UP000000625-E.coli", "UP000001014-S.typhimurium")
    paths = [shared(f"data/proteomes/{strain}.fasta.gz") for strain in strains]
    first, second = (list(spooling.read_records(str(path))) for path in paths)
    put(tmp_path, [r.sequence for r in (*first[:130], *second[:130])])
    put(tmp_path, [r.sequence for r in first[130:140]], "test.fasta")
    corpus = make(tmp_path, "a.fasta", exclude=("test.fasta",), heldout=0.05)
    counts = corpus.manifest["counts"]
    assert counts["like a held-out one"] > 0
    asked = [*(r.sequence for r in first[130:140]), *read_part(corpus.heldout)]
    queries = write_fasta(tmp_path / "q", ((f"q{i}", s) for i, s in enumerate(asked)))
    train = read_part(corpus.train)
    targets = write_fasta(tmp_path / "t", ((f"t{i}", s) for i, s in enumerate(train)))
    assert len(train) > 120
    assert list(similar(queries, targets, 0.3, 0.5, tmp_path / "work")) == []


def test_a_corpus_that_is_there_is_opened_and_one_made_otherwise_refused(tmp_path):
    put(tmp_path, proteins(30))
    corpus = make(tmp_path, "a.fasta", **PLAIN)
    assert make(tmp_path, "a.fasta", **PLAIN).fingerprint == corpus.fingerprint
    assert make(tmp_path).fingerprint == corpus.fingerprint  # no sources: whatever is there
    with pytest.raises(InputError, match="a corpus made with shortest = 30, expected 40"):
        make(tmp_path, "a.fasta", shortest=40, **PLAIN)
    put(tmp_path, proteins(31))
    with pytest.raises(InputError, match="a corpus made with files = "):
        make(tmp_path, "a.fasta", **PLAIN)
    with pytest.raises(InputError, match="a corpus made with files = "):
        make(tmp_path, "b.fasta", **PLAIN)


def test_a_corpus_is_opened_where_its_sources_are_gone(tmp_path):
    put(tmp_path, proteins(30))
    corpus = make(tmp_path, "a.fasta", **PLAIN)
    (tmp_path / "a.fasta").unlink()
    assert make(tmp_path, "a.fasta", **PLAIN).fingerprint == corpus.fingerprint


def test_what_an_unfinished_making_of_other_settings_left_does_not_stay(tmp_path):
    put(tmp_path, proteins(60))
    whole = make(tmp_path, "a.fasta", name="whole", shard_residues=2000, **PLAIN)
    many = make(tmp_path, "a.fasta", shard_residues=300, **PLAIN)
    assert len(many.train.shards) > len(whole.train.shards)
    (many.folder / MANIFEST).unlink()
    spool = many.folder / ".unfinished" / "spool"
    spool.mkdir(parents=True)
    (spool / "00000.tokens").write_bytes(b"\x05" * 1000)
    made = make(tmp_path, "a.fasta", shard_residues=2000, **PLAIN)
    assert contents(made.folder) == contents(whole.folder)


def test_a_note_of_other_settings_is_not_gone_on_from(tmp_path):
    put(tmp_path, proteins(60))
    put(tmp_path, ["MKT4" * 20], "b.fasta")
    with pytest.raises(InputError, match="the letter '4'"):
        make(tmp_path, "a.fasta", "b.fasta", **PLAIN)
    note = json.loads((tmp_path / "corpus" / ".unfinished" / "read.json").read_text())
    assert len(note["sources"]) == 1
    made = make(tmp_path, "a.fasta", shortest=50, **PLAIN)
    assert sorted(read_part(made.train)) == sorted(s for s in proteins(60) if len(s) >= 50)


def test_two_processes_do_not_make_the_same_corpus(tmp_path):
    put(tmp_path, proteins(5))
    work = tmp_path / "corpus" / ".unfinished"
    work.mkdir(parents=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentProblem, match="another process that is making this corpus"):
            make(tmp_path, "a.fasta", **PLAIN)
    assert make(tmp_path, "a.fasta", **PLAIN).train.sequences == 5


def test_a_search_that_sees_too_little_is_refused_before_anything_is_read(tmp_path):
    put(tmp_path, ["MKT4"])
    with pytest.raises(InputError, match=r"0\.3, expected at least 0\.45"):
        make(tmp_path, "a.fasta", similarity="kmers")
    assert not (tmp_path / "corpus").exists()


def test_a_folder_that_cannot_be_made_is_the_machine_s_fault(tmp_path):
    put(tmp_path, proteins(5))
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="a file where a folder should be"):
        make(tmp_path, "a.fasta", name="file/corpus", **PLAIN)
