"""A download that broke off goes on where it stopped, and never with the bytes of another file."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.io.download import download_file
from lexome.io.partial_download import open_partial, read_version
from tests.suites.web_server import Resumable, serve

BODY = bytes(range(256)) * 1000
OTHER = BODY[::-1]
TAG = '"first"'
LONG_AGO = formatdate(1_000_000_000, usegmt=True)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def break_off(file: Resumable, url: str, target: Path, after: int = 100_000) -> None:
    """A first call, which gets so many bytes only."""
    file.breaks_after = after
    with pytest.raises(EnvironmentProblem, match=f"{after:,} bytes and then the end"):
        download_file(url, target)
    file.breaks_after = None
    assert not target.exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"ETag": TAG}, TAG),
        ({"Last_Modified": LONG_AGO}, LONG_AGO),
        ({"ETag": TAG, "Last_Modified": LONG_AGO}, TAG),
        ({"ETag": f"W/{TAG}", "Last_Modified": LONG_AGO}, LONG_AGO),
    ],
)
def test_a_broken_off_file_goes_on_where_it_stopped(tmp_path, headers, condition):
    file, target = Resumable(BODY, **headers), tmp_path / "a.pt"
    with serve({"/a.pt": file}) as (home, _):
        break_off(file, home + "a.pt", target)
        assert names(tmp_path) == [".a.pt.partial"]
        kept = tmp_path / ".a.pt.partial" / "a.pt"
        assert kept.read_bytes() == BODY[:100_000]
        break_off_again = 30_000
        file.breaks_after = break_off_again
        with pytest.raises(EnvironmentProblem, match="the same again: it goes on") as caught:
            download_file(home + "a.pt", target)
        assert "130,000 bytes and then the end, expected 256,000" in str(caught.value)
        file.breaks_after = None
        download_file(home + "a.pt", target)
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["a.pt"]
    assert file.ranges == [None, "bytes=100000-", "bytes=130000-"]
    assert file.conditions == [None, condition, condition]
    assert file.codes == [200, 206, 206]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": f"W/{TAG}"},
        # changed in the second of the answer: it may change once more in it
        {"Last_Modified": formatdate(usegmt=True), "Date": formatdate(usegmt=True)},
        {"Last_Modified": "yesterday"},
    ],
)
def test_without_a_word_on_its_state_a_file_comes_anew(tmp_path, headers):
    file, target = Resumable(BODY, **headers), tmp_path / "a"
    with serve({"/a": file}) as (home, _):
        break_off(file, home + "a", target)
        assert names(tmp_path) == []
        download_file(home + "a", target)
    assert target.read_bytes() == BODY
    assert file.ranges == [None, None]


def test_a_server_that_knows_no_ranges_sends_all_again(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    file.knows_ranges = False
    with serve({"/a": file}) as (home, _):
        break_off(file, home + "a", target)
        download_file(home + "a", target)
    assert target.read_bytes() == BODY
    assert (file.ranges, file.codes) == ([None, "bytes=100000-"], [200, 200])
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("headers", [{"ETag": TAG}, {"Last_Modified": LONG_AGO}])
def test_a_file_that_changed_in_between_comes_anew(tmp_path, headers, heeds):
    before, target = Resumable(BODY, **headers), tmp_path / "a"
    after = Resumable(OTHER, **dict.fromkeys(headers, formatdate(1_100_000_000, usegmt=True)))
    after.heeds_conditions = heeds  # else it sends the rest of the other file
    answers = {"/a": before}
    with serve(answers) as (home, _):
        break_off(before, home + "a", target)
        answers["/a"] = after
        download_file(home + "a", target)
    assert target.read_bytes() == OTHER
    assert after.codes == ([200] if heeds else [206, 200])


def test_a_file_that_became_another_and_broke_off_again_is_gone_on_with_as_that_other(tmp_path):
    before, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    after = Resumable(OTHER[:200_000], ETag='"second"')
    answers = {"/a": before}
    with serve(answers) as (home, _):
        break_off(before, home + "a", target)
        answers["/a"] = after
        break_off(after, home + "a", target, after=50_000)  # fewer bytes than there were
        download_file(home + "a", target)
    assert target.read_bytes() == OTHER[:200_000]
    assert after.ranges == ["bytes=100000-", "bytes=50000-"]


def test_a_file_that_became_shorter_is_asked_for_from_the_start(tmp_path):
    before, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    after = Resumable(b"short", ETag='"second"')
    after.heeds_conditions = False
    answers = {"/a": before}
    with serve(answers) as (home, _):
        break_off(before, home + "a", target)
        answers["/a"] = after
        download_file(home + "a", target)
    assert target.read_bytes() == b"short"
    assert after.codes == [416, 200]


def test_bytes_of_another_address_are_not_gone_on_with(tmp_path):
    file, other = Resumable(BODY, ETag=TAG), Resumable(OTHER, ETag=TAG)
    target = tmp_path / "a"
    with serve({"/a": file, "/b": other}) as (home, _):
        break_off(file, home + "a", target)
        download_file(home + "b", target)
    assert target.read_bytes() == OTHER
    assert other.ranges == [None]


def test_a_file_that_was_all_there_costs_one_byte(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"

    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    with serve({"/a": file}) as (home, _):
        with pytest.raises(KeyboardInterrupt):
            download_file(home + "a", target, check=stop)
        download_file(home + "a", target)
    assert target.read_bytes() == BODY
    assert file.ranges == [None, f"bytes={len(BODY) - 1}-"]


def test_a_file_that_does_not_pass_the_check_is_not_kept(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a.csv"

    def refuse(path: Path) -> None:
        assert path.name == "a.csv"  # readers go by the ending
        raise InputError("a", "no", "yes", "again")

    with serve({"/a.csv": file}) as (home, _), pytest.raises(InputError):
        download_file(home + "a.csv", target, check=refuse)
    assert names(tmp_path) == []


def test_a_rest_that_makes_it_too_large_is_refused_and_not_kept(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    with serve({"/a": file}) as (home, _):
        break_off(file, home + "a", target)
        with pytest.raises(EnvironmentProblem, match="255,999"):
            download_file(home + "a", target, most_bytes=255_999)
    assert names(tmp_path) == []


def test_a_length_that_only_the_rest_tells_is_held_to(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    file.tells_length = False
    with serve({"/a": file}) as (home, _):
        with pytest.raises(EnvironmentProblem, match="in 0 s"):
            download_file(home + "a", target, whole_seconds=0)
        begun = (tmp_path / ".a.partial" / "a").stat().st_size
        file.breaks_after = 1_000
        with pytest.raises(EnvironmentProblem, match=f"{begun + 1_000:,} bytes and then the end"):
            download_file(home + "a", target)
        file.breaks_after = None
        download_file(home + "a", target)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(
    "about", ["", "[]", "{}", '{"url": 1, "etag": 2, "modified": 3, "size": 4}']
)
def test_notes_that_cannot_be_read_make_a_fresh_start(tmp_path, about):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    with serve({"/a": file}) as (home, _):
        break_off(file, home + "a", target)
        (tmp_path / ".a.partial" / "a.about.json").write_text(about)
        download_file(home + "a", target)
    assert target.read_bytes() == BODY
    assert file.ranges == [None, None]


def test_a_second_process_at_the_same_file_fetches_its_own(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    with serve({"/a": file}) as (home, _), open_partial(target) as held:
        held.begin(read_version("elsewhere", {"ETag": TAG}))
        held.write(b"of the first")
        download_file(home + "a", target)
        assert target.read_bytes() == BODY
        assert held.body.read_bytes() == b"of the first"
    assert target.read_bytes() == b"of the first"
    assert names(tmp_path) == ["a"]


def test_a_killed_download_goes_on_where_it_was_killed(tmp_path):
    file, target = Resumable(BODY, ETag=TAG), tmp_path / "a"
    file.pause = 0.05
    code = "import sys; from pathlib import Path; from lexome.io.download import download_file; "
    code += "download_file(sys.argv[1], Path(sys.argv[2]))"
    kept = tmp_path / ".a.partial" / "a"
    with serve({"/a": file}) as (home, _):
        with subprocess.Popen([sys.executable, "-c", code, home + "a", str(target)]) as process:
            began = time.monotonic()
            while not (kept.exists() and kept.stat().st_size > 100_000):
                assert process.poll() is None
                assert time.monotonic() - began < 60
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
        file.pause, begun = 0.0, kept.stat().st_size
        assert 100_000 < begun < len(BODY)
        assert not target.exists()
        download_file(home + "a", target)
    assert target.read_bytes() == BODY
    assert file.ranges == [None, f"bytes={begun}-"]
    assert names(tmp_path) == ["a"]


def test_fetching_a_model_goes_on_where_it_stopped(tmp_path, monkeypatch):
    from lexome.checkpoints.catalogue import catalogue
    from lexome.checkpoints.hub import fetch_file, read_held

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weights, contacts = Resumable(BODY, ETag=TAG), Resumable(OTHER, ETag=TAG)
    with serve({"/w.pt": weights, "/w-contacts.pt": contacts}) as (home, _):
        addresses = {"url": home + "w.pt", "contacts_url": home + "w-contacts.pt"}
        entry = replace(catalogue()["msa1b"], **addresses)
        contacts.breaks_after = 5_000
        with pytest.raises(EnvironmentProblem, match="5,000 bytes"):
            fetch_file("msa1b", entry, False)
        contacts.breaks_after = None
        path = fetch_file("msa1b", entry, False)
    assert path.read_bytes() == BODY
    assert (weights.ranges, contacts.ranges) == ([None], [None, "bytes=5000-"])
    assert set(read_held("msa1b")["files"]) == {"w.pt", "w-contacts.pt"}
    assert names(path.parent) == ["w-contacts.pt", "w.pt"]
