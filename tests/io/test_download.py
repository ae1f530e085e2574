"""A download gives the whole file or none, soon, from a real server on this machine."""

import socket
import time
from pathlib import Path

import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.io.download import download_file
from tests.suites.web_server import cut_short, late, sent_on, serve, status, whole, without_length

BODY = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_comes_whole_and_the_folder_is_made(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.csv"
    with serve({"/a.csv": whole(BODY)}) as (home, asked):
        download_file(home + "a.csv", target)
    assert target.read_bytes() == BODY
    assert asked == ["/a.csv"]
    assert list(target.parent.iterdir()) == [target]


def test_a_body_without_announced_length_comes_whole(tmp_path: Path) -> None:
    with serve({"/a": without_length(BODY)}) as (home, _):
        download_file(home + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), "the answer 404"),
        (status(503), "the answer 503"),
        (cut_short(BODY, len(BODY) + 7), "256,000 bytes and then the end, expected 256,007 bytes"),
        (late(3), r"no answer within 0.5 s"),
    ],
)
def test_what_fails_is_said_and_leaves_the_older_file_alone(
    tmp_path: Path, answer, message: str
) -> None:
    target = tmp_path / "a.csv"
    target.write_text("older")
    with (
        serve({"/a.csv": answer}) as (home, _),
        pytest.raises(EnvironmentProblem, match=message) as caught,
    ):
        download_file(home + "a.csv", target, answer_seconds=0.5)
    assert caught.value.where.endswith("/a.csv")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["older"]


@pytest.mark.parametrize("answer", [whole(BODY), without_length(BODY)])
def test_a_file_larger_than_allowed_is_refused(tmp_path: Path, answer) -> None:
    with (
        serve({"/a": answer}) as (home, _),
        pytest.raises(EnvironmentProblem, match=r"255,999|smaller file"),
    ):
        download_file(home + "a", tmp_path / "a", most_bytes=len(BODY) - 1)
    assert list(tmp_path.iterdir()) == []


def test_a_redirection_is_followed(tmp_path: Path) -> None:
    with serve({"/old": sent_on("/new"), "/new": whole(b"here")}) as (home, asked):
        download_file(home + "old", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"here"
    assert asked == ["/old", "/new"]


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/round"])
def test_a_redirection_to_elsewhere_or_in_a_ring_is_not_followed(tmp_path: Path, to: str) -> None:
    with (
        serve({"/round": sent_on(to)}) as (home, asked),
        pytest.raises(EnvironmentProblem),
    ):
        download_file(home + "round", tmp_path / "a")
    assert len(asked) < 15
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_noticed_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(EnvironmentProblem, match="no connection"):
        download_file(f"http://127.0.0.1:{port}/a", tmp_path / "a")
    assert time.monotonic() - began < 3


def test_a_server_that_takes_the_call_and_stays_silent_costs_no_more_than_was_allowed(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        began = time.monotonic()
        with pytest.raises(EnvironmentProblem, match="no answer within"):
            download_file(address, tmp_path / "a", answer_seconds=0.3)
        assert time.monotonic() - began < 2


def test_a_file_that_does_not_pass_the_check_never_appears(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == b"no"
        raise InputError("a", "no", "yes", "again")

    with serve({"/a": whole(b"no")}) as (home, _), pytest.raises(InputError):
        download_file(home + "a", tmp_path / "a", check=refuse)
    assert list(tmp_path.iterdir()) == []
