"""Opens files of unknown origin as plain UTF-8 bytes: decompressed, without a byte-order mark, from pipes, too."""

from __future__ import annotations

import codecs
import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

import attrs

from routeware.lab.spans import TraceError

__all__ = ["Bytes", "as_utf8", "decompressed", "opened"]

_GZIP = b"\x1f\x8b"
_MIB = 1 << 20
_LARGEST_RATIO = 250
_SMALL_BYTES = 64 * _MIB
_LONGEST_PIPE_BYTES = 256 * _MIB


class Bytes(Protocol):
    """Bytes that can be read, and read again from the start."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to ``offset``."""
        ...


def as_utf8(file: Bytes) -> Bytes:
    """Return ``file`` without a byte-order mark, transcoded if the mark says UTF-16."""
    start = file.read(len(codecs.BOM_UTF8))
    file.seek(0)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _Transcoded(file)
    if start != codecs.BOM_UTF8:
        return file
    file.read(len(start))
    return _From(file, len(start))


@attrs.define
class _From:
    """A file whose start lies behind a mark."""

    file: Bytes
    start: int

    def read(self, size: int, /) -> bytes:
        return self.file.read(size)

    def seek(self, offset: int, /) -> int:
        return self.file.seek(self.start + offset)


class _Transcoded:
    """UTF-16 text, read as UTF-8: PowerShell redirects output that way."""

    def __init__(self, file: Bytes) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")

    def read(self, size: int, /) -> bytes:
        # The end of a piece may be half a character, whose decoding is empty: that must not look like the end.
        while piece := self._file.read(size):
            if text := self._decoder.decode(piece):
                return text.encode(errors="replace")
        return self._decoder.decode(b"", final=True).encode(errors="replace")

    def seek(self, offset: int, /) -> int:
        self._decoder.reset()
        return self._file.seek(offset)


@contextmanager
def opened(path: str | Path) -> Iterator[Bytes]:
    """Open ``path`` as seekable bytes, decompressed if it is gzipped. A pipe is copied to a temporary file first.

    What goes wrong is a ``TraceError``, in the opening or while the caller reads.
    """
    source = str(path)
    try:
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(Path(path).open("rb"))
            if not file.seekable():
                copy = stack.enter_context(tempfile.TemporaryFile())
                _copy(file, copy, source)
                file = copy
            yield decompressed(file, source)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceError(source, f"broken gzip data: {error}") from None
    except OSError as error:
        raise TraceError(source, error.strerror or str(error)) from None
    except ValueError as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(source, str(error)) from None


def _copy(file: IO[bytes], copy: IO[bytes], source: str) -> None:
    while piece := file.read(_MIB):
        copy.write(piece)
        if copy.tell() > _LONGEST_PIPE_BYTES:
            raise TraceError(source, f"longer than {_LONGEST_PIPE_BYTES // _MIB} MiB: save it to a file")
    copy.seek(0)


def decompressed(file: IO[bytes], source: str) -> Bytes:
    """Return ``file`` as it is, or decompressed if it begins with gzip's mark."""
    start = file.read(len(_GZIP))
    file.seek(0)
    return _Unzipped(gzip.GzipFile(fileobj=file), file, source) if start == _GZIP else file


@attrs.define
class _Unzipped:
    """Gzipped bytes. Some kilobytes can expand to terabytes, so the ratio is bounded: traces reach about 50."""

    zipped: gzip.GzipFile
    file: IO[bytes]
    source: str

    def read(self, size: int, /) -> bytes:
        piece = self.zipped.read(size)
        if (done := self.zipped.tell()) > _SMALL_BYTES and done > _LARGEST_RATIO * self.file.tell():
            raise TraceError(self.source, f"expands to more than {_LARGEST_RATIO} times its size: not read")
        return piece

    def seek(self, offset: int, /) -> int:
        return self.zipped.seek(offset)
