"""The homology suite: its protocol on domains that one can count, and the shared file."""

import shutil
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.inference.model import load
from lexome.suites.homology import (
    by_kmers,
    by_mmseqs,
    by_vectors,
    embed_domains,
    judge_method,
    open_homology,
    read_domains,
    tabulate,
)
from tests.commands import call_main
from tests.programs import need_program
from tests.shared_data import shared

CODES = ["a.1.1.1", "a.1.1.1", "a.1.1.2", "a.1.2.1", "b.1.1.1", "c.2.1.1", "c.3.1.1", "h.1.1.1"]
SEQUENCES = ["MKTAYIAKQR", "MKTAYIAKQW", "GAVLGAVLGG", "PPPPHHHHCC", "DDDDEEEEWW", "STSTSTNQNQ"]
SEQUENCES += ["nqnqststst", "MMMM"]


@pytest.fixture
def folder(tmp_path):
    records = zip(CODES, SEQUENCES, strict=True)
    text = "".join(f">d{i} {code} (A:) x\n{s}\n" for i, (code, s) in enumerate(records))
    (tmp_path / "domains.fasta").write_text(text)
    import gzip

    (tmp_path / "scope207_astral40.fa.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


@pytest.fixture
def domains(folder):
    return read_domains(folder / "domains.fasta")


def test_positives_are_the_next_wider_kin_and_rossmann_folds_are_no_negatives(domains):
    """d0: at the superfamily level d2 is sought, at the fold level d3; never d1 (same family)."""
    assert domains.ids == [f"d{i}" for i in range(7)]  # class h is left out
    assert domains.sequences[6] == "NQNQSTSTST"
    near = np.zeros((7, 7), np.float32)
    near[0] = [9, 8, 1, 3, 2, 0, 0]  # d4 is nearer than d2, and less so than d3
    judged = judge_method(domains, "toy", lambda start, end: near[start:end])
    assert judged.levels["superfamily"].auc_Q[0] == pytest.approx(2 / 3)
    assert judged.levels["fold"].auc_Q[0] == 1
    asked = ~np.isnan(judged.levels["superfamily"].auc_Q)
    assert np.flatnonzero(asked).tolist() == [0, 1, 2]
    assert np.flatnonzero(~np.isnan(judged.levels["fold"].auc_Q)).tolist() == [0, 1, 2, 3]
    same = domains.alike_N
    assert same[5] == same[6] >= 0 > same[0]


def test_the_table_has_published_rows_and_the_difference_of_ours(domains):
    near = np.eye(7, dtype=np.float32)
    near[:3, :3] = 1
    methods = {"ours": near, "none": np.zeros((7, 7), np.float32)}
    judged = [judge_method(domains, k, lambda s, e, n=n: n[s:e]) for k, n in methods.items()]
    table = tabulate(domains, judged, "ours")
    kin = table.filter(pl.col("level") == "superfamily")
    assert kin["model"].to_list() == ["ours", "none", "HHblits", "ESM-1b"]
    assert kin["auc"].to_list() == [1, 0.5, 0.951, 0.880]
    assert kin["comparable"].to_list() == ["", "", "no", "no"]
    assert "higher by 0.500 [0.500, 0.500]" in kin["note"][1]


def test_vectors_and_kmers_agree_with_products_by_hand(domains):
    near = by_vectors(np.array([[3, 4], [4, 3], [0, 2]], np.float32))(0, 2)
    assert near == pytest.approx(np.array([[1, 0.96, 0.8], [0.96, 1, 0.6]]), abs=1e-6)
    near = by_kmers(["AAC", "AAAXAA", "A"], 2)(0, 3)  # AA AC; AA AA AA; nothing
    assert near == pytest.approx(np.array([[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 0]]))


def test_embeddings_are_kept_and_those_of_another_model_refused(domains, esm2, tmp_path):
    from tests.toys import write_esm2

    path = tmp_path / "kept.parquet"
    notes = {"sha256": load(str(esm2)).card.sha256, "dtype": "fp32"}
    first = embed_domains(domains, load(str(esm2)), path, notes, quiet=True)
    assert np.array_equal(first, embed_domains(domains, load(str(esm2)), path, {}, quiet=True))
    other = load(str(write_esm2(tmp_path / "other", seed=3)))
    with pytest.raises(InputError, match="another sha256"):
        embed_domains(domains, other, path, {}, quiet=True)


def test_a_name_without_a_code_is_refused(tmp_path):
    (tmp_path / "x.fasta").write_text(">d1 not.a.code\nMKT\n")
    with pytest.raises(InputError, match=r"domain d1: saw .*a SCOPe code"):
        read_domains(tmp_path / "x.fasta")


def test_mmseqs_gives_bits_to_what_it_aligns(domains, tmp_path):
    need_program("mmseqs", "mmseqs2")
    from tests.toy_shards import mutate, proteins

    one, other = proteins(2, low=200, high=220)
    few = domains._replace(ids=["a", "b", "c"], sequences=[one, mutate(one, 0.3), other])
    near = by_mmseqs(few)(0, 3)
    assert near[0, 0] > near[0, 1] > 50 > near[0, 2]


def test_the_verb_writes_a_table(folder, tmp_path, esm2, capsys, monkeypatch):
    lexome: Callable = lambda *args: call_main(capsys, monkeypatch, *args)  # noqa: E731
    output = tmp_path / "out.csv"
    words = ("evaluate", "homology", "--data", folder, "-m", esm2, "--quiet", "-o", output)
    more = () if shutil.which("mmseqs") else ("--no-mmseqs",)
    done = lexome(*words, *more)
    assert done.code == 0, done.err
    table = pl.read_csv(output)
    assert table["model"].to_list()[:4] == ["esm2-toy", "1-mers", "2-mers", "3-mers"]
    assert table.height == 2 * (4 + (not more) + 2)


def test_the_shared_file_is_the_14323_domains():
    domains = open_homology(shared("data/homology"))
    assert len(domains.ids) == 14_323
    assert domains.groups_N5[:, 3].max() + 1 == 2024
