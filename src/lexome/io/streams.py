"""Opens files as streams of bytes: plain or gzipped, by name, from a pipe or already open."""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import numpy as np

from lexome.errors import EnvironmentProblem, InputError
from lexome.io.formats import FORMATS, ending_of, refuse_foreign

BLOCK_BYTES = 1 << 17  # bigger blocks fall out of the processor's cache: measured slower
NEWLINE = ord("\n")
MOST_LISTED = 3  # files that an error names
GZIP_MARK = b"\x1f\x8b"

Source = str | Path | IO[bytes]


class ByteStream(io.BufferedReader):
    """Unzipped bytes, with the name of where they come from for error messages.

    `origin` is what a reader that must jump about (Parquet) may open instead: a path, or a stream
    set back to where it stood; None in a pipe or a gzip file.
    """

    def __init__(self, raw: io.RawIOBase, where: str) -> None:
        super().__init__(raw, BLOCK_BYTES)
        self.where = where
        self.origin: str | IO[bytes] | None = None
        self.origin_start = 0

    def first_bytes(self) -> bytes:
        """Up to a block from the start, left in place to be read."""
        return self.peek(BLOCK_BYTES)


class _Checked(io.RawIOBase):
    """Passes on the bytes of another stream and says in our words what goes wrong there."""

    def __init__(self, read: Callable[[int], bytes], where: str, *owned: IO[bytes]) -> None:
        super().__init__()
        self.read_inner, self.where, self.owned = read, where, owned

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.read_inner(len(buffer))
        except EOFError as error:
            raise InputError(
                self.where,
                "a gzip file that ends in the middle",
                "a complete one",
                "to copy or download it again (`gzip -t` checks it)",
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                self.where, f"a damaged gzip file ({error})", "an intact one", "to copy it again"
            ) from error
        except OSError as error:
            raise _cannot_read(self.where, error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        for stream in self.owned:
            stream.close()
        super().close()


def open_bytes(source: Source) -> ByteStream:
    """The unzipped bytes of a file: plain or gzipped (told by its first bytes), "-" for stdin.

    A stream that is already open is read from where it stands and left open. A `with` block closes
    what was opened here. A gzip file cut short raises InputError when its end is reached.
    """
    if isinstance(source, ByteStream):
        return source
    if isinstance(source, str | Path):
        stream = _open_stdin() if str(source) == "-" else _open_path(Path(source))
    else:
        where = str(getattr(source, "name", "stream"))
        start_at = source.tell() if source.seekable() else None
        stream = ByteStream(_Checked(source.read, where), where)
        if start_at is not None:
            stream.origin, stream.origin_start = source, start_at
    try:
        if stream.first_bytes().startswith(GZIP_MARK):
            unzipped = gzip.GzipFile(fileobj=stream)
            stream = ByteStream(_Checked(unzipped.read, stream.where, stream), stream.where)
        refuse_foreign(stream.first_bytes(), stream.where)
    except BaseException:
        stream.close()
        raise
    return stream


def read_blocks(stream: ByteStream) -> Iterator[bytes]:
    """Blocks of bytes until the end, with every kind of line end made a plain newline.

    A file of another machine (CRLF) or of another age (lone CR) so reads as any other, and a byte
    order mark at the start is dropped.
    """
    is_first = True
    while block := stream.read(BLOCK_BYTES):
        if is_first:
            block, is_first = block.removeprefix(b"\xef\xbb\xbf"), False
        if b"\r" in block:
            while block.endswith(b"\r") and (following := stream.read(1)):
                block += following  # a CRLF must not be cut in two
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield block


def missing_file(path: Path) -> InputError:
    """The error for a file that is not there, with those that could be meant."""
    return InputError(str(path), "no such file", "a file to read", suggest_paths(path))


def suggest_paths(path: Path, models: bool = False) -> str:
    """What a path that is not there could have been meant to be, as the remedy of an error.

    The nearest name in its folder; else the files there that are of a format we read, or with
    `models` the folders there that may be models; else a hint at the spelling.
    """
    try:
        there = sorted(path.parent.iterdir())
    except OSError:  # no such folder, or no permission to look into it
        return "the spelling of the path"
    names = [one.name for one in there if one.is_dir() or not models]
    near = get_close_matches(path.name, names, n=1)
    if near:
        return f"`{path.parent / near[0]}`"
    fitting = [one for one in there if not one.name.startswith(".") and _fits(one, models)]
    listed = ", ".join(f"`{one}`" for one in fitting[:MOST_LISTED])
    more = f", or one of {len(fitting) - MOST_LISTED:,} more in `{path.parent}`"
    return listed + (more if len(fitting) > MOST_LISTED else "") or "the spelling of the path"


def _fits(path: Path, models: bool) -> bool:
    if models:
        return (path / "config.json").is_file()
    return ending_of(path) in FORMATS and path.is_file()


def _open_path(path: Path) -> ByteStream:
    try:
        stream = ByteStream(io.FileIO(path), str(path))
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except IsADirectoryError as error:
        raise InputError(str(path), "a folder", "a file", "one of the files in it") from error
    except OSError as error:
        raise _cannot_read(str(path), error) from error
    stream.origin = str(path) if path.is_file() else None
    return stream


def _open_stdin() -> ByteStream:
    pipe = sys.stdin.buffer
    read = getattr(pipe, "read1", pipe.read)  # read1 hands over what a slow pipe has so far
    return ByteStream(_Checked(read, "standard input"), "standard input")


def _cannot_read(where: str, error: OSError) -> EnvironmentProblem:
    seen = "no permission" if isinstance(error, PermissionError) else str(error.strerror or error)
    return EnvironmentProblem(
        where, seen.lower(), "to be able to read it", "another copy, or changing its permissions"
    )


def read_lines(stream: ByteStream) -> Iterator[str]:
    """The lines of a text without their ends, of any kind; memory bounded by the longest line."""
    waiting: list[bytes] = []
    line = 1
    for block in read_blocks(stream):
        cut = block.rfind(b"\n") + 1
        waiting.append(block[:cut] or block)
        if cut:
            text = b"".join(waiting)
            yield from decode_text(text, stream.where, line).split("\n")[:-1]
            waiting = [block[cut:]] if cut < len(block) else []
            line += count_lines(text)
    if waiting:
        yield decode_text(b"".join(waiting), stream.where, line)


def count_lines(block: bytes) -> int:
    """How many line ends a block holds (five times as fast as `bytes.count`)."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == NEWLINE))


def decode_text(block: bytes, where: str, first_line: int) -> str:
    """The text of UTF-8 bytes; InputError names the line of the first byte that is none."""
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + block.count(b"\n", 0, error.start)
        raise InputError(
            f"{where}, line {line}",
            f"the byte 0x{block[error.start]:02x}, which is not UTF-8 text",
            "UTF-8",
            "to save the file as UTF-8 (`iconv -f latin1 -t utf-8`)",
        ) from error


def empty_file(where: str, format_name: str) -> InputError:
    """The error for a file in which nothing stands."""
    return InputError(where, "an empty file", f"a {format_name} file", "checking how it was made")
