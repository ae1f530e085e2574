"""The tables of DeepLoc are found in the promised order, come in one layout, or are refused."""

import gzip
import socket
from pathlib import Path

import polars as pl
import pytest

from lexome.errors import InputError, LexomeError
from lexome.suites.deeploc import (
    PUBLIC_NAMES,
    SHARED_FOLDER,
    SHARED_NAMES,
    SIMULATED_ROWS,
    cache_folder,
    find_deeploc,
    read_deeploc,
    shared_folders,
)
from tests.shared_data import shared
from tests.suites.web_server import cut_short, sent_on, serve, status, whole

TRAIN = """ACC,Kingdom,Partition,Membrane,Cytoplasm,Mitochondrion,Lysosome/Vacuole,Sequence
P1,Fungi,0,0,1,0,0,MKT
P2,Metazoa,3,1,0,1,0,MLSR
P3,Metazoa,4,0,0,1,1,MAAA
"""
# As the public home spells it: an index without a name, 0.0 and 1.0
PUBLIC_TRAIN = """,ACC,Kingdom,Partition,Membrane,Cytoplasm,Mitochondrion,Lysosome/Vacuole,Sequence
0,P1,Fungi,0.0,0.0,1.0,0.0,0.0,MKT
1,P2,Metazoa,3.0,1.0,0.0,1.0,0.0,MLSR
2,P3,Metazoa,4.0,0.0,0.0,1.0,1.0,MAAA
"""
PUBLIC_HPA = """,sid,fasta,Cytoplasm,Mitochondrion
0,ENSP1,MKK,1,0
1,ENSP2,MRR,False,True
"""
ROWS = (3, 2)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shared folder, no proxy, and a cache that is empty."""
    monkeypatch.setenv("LEXOME_SHARED", str(tmp_path / "no_such_folder"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def rows_of(path: Path) -> list[tuple[str, ...]]:
    return pl.read_csv(path, infer_schema=False).rows()


def test_a_given_file_is_taken_as_it_is_before_all_else(tmp_path: Path, no_network: None) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(TRAIN)
    found = find_deeploc(str(table))
    assert (found.train, found.hpa, found.kind) == (table, None, "given")
    assert str(table) in found.origin
    assert table.read_text() == TRAIN
    assert not (tmp_path / "cache").exists()


def test_a_given_folder_may_hold_the_public_files_and_they_are_brought_to_one_layout(
    tmp_path: Path, no_network: None
) -> None:
    (tmp_path / PUBLIC_NAMES[0]).write_text(PUBLIC_TRAIN)
    (tmp_path / PUBLIC_NAMES[1]).write_text(PUBLIC_HPA)
    for given in (tmp_path, tmp_path / PUBLIC_NAMES[0]):
        found = find_deeploc(str(given))
        assert found.train.parent == cache_folder() == tmp_path / "cache" / "lexome" / "deeploc"
        assert found.train.read_text() == TRAIN
        assert found.hpa is not None
        assert found.hpa.read_text() == (
            "ACC,Sequence,Cytoplasm,Mitochondrion\nENSP1,MKK,1,0\nENSP2,MRR,0,1\n"
        )
    assert len(list(cache_folder().iterdir())) == 2  # the second time wrote the same two names


def test_a_given_folder_may_hold_the_public_files_gzipped(tmp_path: Path) -> None:
    (tmp_path / f"{PUBLIC_NAMES[0]}.gz").write_bytes(gzip.compress(PUBLIC_TRAIN.encode(), mtime=0))
    found = find_deeploc(str(tmp_path))
    assert found.train.read_text() == TRAIN
    assert found.hpa is None


def test_a_parquet_file_of_numbers_is_brought_to_the_same_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    frame = pl.DataFrame(
        {
            "acc": ["P1", "P2"],
            "Partition": [0, 4],
            "Mitochondrion": [True, False],
            "fasta": ["M"] * 2,
        }
    )
    frame.write_parquet(path)
    found = find_deeploc(str(path))
    assert found.train.read_text() == "ACC,Partition,Mitochondrion,Sequence\nP1,0,1,M\nP2,4,0,M\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,seq\n1,MK\n", "saw the columns id, seq, expected also ACC or sid, Partition"),
        (TRAIN.replace("Mitochondrion", "Mito"), "expected also Mitochondrion"),
        (TRAIN.replace("P2,Metazoa,3", "P2,Metazoa,7"), "'Partition', row 2: saw '7'.* 0 to 4"),
        (TRAIN.replace("1,0,1,0,MLSR", "1,0,maybe,0,MLSR"), "row 2: saw 'maybe', expected 0 to 1"),
        (TRAIN.replace("1,0,1,0,MLSR", "1,0,,0,MLSR"), "'Mitochondrion', row 2: saw ''"),
        ("", "empty"),
        ("<html>\nmoved</html>", "saw the columns <html>"),
    ],
)
def test_a_given_file_that_is_something_else_is_refused_by_what_was_seen(
    tmp_path: Path, text: str, message: str
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(text)
    with pytest.raises(LexomeError, match=message):
        find_deeploc(str(table))


def test_a_given_path_that_is_not_there_is_an_error_and_not_a_simulation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_deeploc(str(tmp_path / "absent.csv"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt, expected .*Swissprot"):
        find_deeploc(str(tmp_path))


def test_the_shared_folder_comes_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    folder = tmp_path / "material" / SHARED_FOLDER
    folder.mkdir(parents=True)
    (folder / SHARED_NAMES[0]).write_bytes(gzip.compress(TRAIN.encode(), mtime=0))
    monkeypatch.setenv("LEXOME_SHARED", str(tmp_path / "material"))
    found = find_deeploc()
    assert (found.train, found.hpa, found.kind) == (folder / SHARED_NAMES[0], None, "shared")


def test_without_the_variable_shared_is_looked_for_beside_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEXOME_SHARED")
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    assert shared_folders()[0] == tmp_path / "shared" / SHARED_FOLDER


@pytest.fixture(scope="module")  # so that it looks before `nowhere` hides the shared folder
def real_table() -> Path:
    return shared(str(SHARED_FOLDER / SHARED_NAMES[0]))


def test_the_real_tables_have_the_layout_and_the_rows_of_the_paper(
    real_table: Path, no_network: None
) -> None:
    train = real_table
    frame, is_ready = read_deeploc(train, needs_partition=True)
    assert is_ready
    assert frame.height == 28_303
    assert (frame["Mitochondrion"] == "1").sum() == 2_590
    frame, is_ready = read_deeploc(train.with_name(SHARED_NAMES[1]), needs_partition=False)
    assert is_ready
    assert frame.height == 1_717
    frame, is_ready = read_deeploc(train.with_name("hpa_testset_5523.csv.gz"), False)
    assert not is_ready
    assert frame.columns[:2] == ["ACC", "Sequence"]
    assert (frame["Mitochondrion"] == "1").sum() == 522


def test_a_download_is_kept_and_needs_no_network_the_second_time(tmp_path: Path) -> None:
    answers = {
        f"/d/{PUBLIC_NAMES[0]}": sent_on("/moved.csv"),
        "/moved.csv": whole(PUBLIC_TRAIN.encode()),
        f"/d/{PUBLIC_NAMES[1]}": whole(PUBLIC_HPA.encode()),
    }
    with serve(answers) as (home, asked):
        found = find_deeploc(home=home + "d/", num_rows=ROWS)
        assert found.kind == "download"
        assert home in found.origin
        assert "CC BY-NC-ND" in found.origin
        assert found.train.read_text() == TRAIN
        assert found.hpa is not None
        assert rows_of(found.hpa)[1] == ("ENSP2", "MRR", "0", "1")
        assert len(asked) == 3
        assert find_deeploc(home=home + "d/", num_rows=ROWS) == found
        assert len(asked) == 3
    assert find_deeploc(offline=True, home=home + "d/", num_rows=ROWS) == found


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(404), "the answer 404"),
        (status(500), "the answer 500"),
        (cut_short(PUBLIC_TRAIN.encode(), 9999), "and then the end"),
        (whole(PUBLIC_TRAIN.rsplit("\n", 2)[0].encode()), f"{PUBLIC_NAMES[0]}: 2 rows"),
        (whole(b"<html>\nplease log in\n</html>"), "the columns <html>"),
        (whole(b"id,seq\n1,MK\n"), f"{PUBLIC_NAMES[0]}: the columns id, seq"),
        (whole(PUBLIC_TRAIN.encode()[:-20]), "fields"),
    ],
)
def test_a_download_that_fails_ends_in_a_simulated_set_that_says_so_and_why(
    answer, reason: str
) -> None:
    with serve({f"/{PUBLIC_NAMES[0]}": answer}) as (home, _):
        found = find_deeploc(home=home, num_rows=ROWS)
    assert found.kind == "simulated"
    assert found.origin.startswith("SIMULATED")
    assert reason in found.origin
    assert ".lexome-part" not in found.origin
    assert found.hpa is None
    assert [file.name for file in cache_folder().iterdir()] == [found.train.name]
    frame, is_ready = read_deeploc(found.train, needs_partition=True)
    assert is_ready
    assert frame.height == SIMULATED_ROWS


def test_training_data_without_the_hpa_test_set_are_used_and_the_loss_is_said() -> None:
    with serve({f"/{PUBLIC_NAMES[0]}": whole(PUBLIC_TRAIN.encode())}) as (home, _):
        found = find_deeploc(home=home, num_rows=ROWS)
    assert (found.kind, found.hpa) == ("download", None)
    assert "without the HPA test set" in found.origin
    assert "404" in found.origin


def test_offline_with_nothing_at_hand_opens_no_socket_and_simulates(no_network: None) -> None:
    found = find_deeploc(offline=True)
    assert found.kind == "simulated"
    assert "no download, as asked" in found.origin
    again = find_deeploc(offline=True)
    assert again.train.read_bytes() == found.train.read_bytes()


def test_a_damaged_earlier_download_is_not_trusted() -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / PUBLIC_NAMES[0]).write_text(PUBLIC_TRAIN[:-40])
    with serve({f"/{PUBLIC_NAMES[0]}": whole(PUBLIC_TRAIN.encode())}) as (home, asked):
        found = find_deeploc(home=home, num_rows=ROWS)
    assert f"/{PUBLIC_NAMES[0]}" in asked
    assert found.train.read_text() == TRAIN
