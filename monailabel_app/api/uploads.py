"""Receiving multipart forms: files go straight to disk in large blocks, and never beyond a limit."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from medgan_core.errors import InputError, MedganError, ResourceError, UsageError
from monailabel_app.problems import TooLargeError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_BLOCK = 4 << 20
_TEXT = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DRAIN_S = 5.0


@dataclass(frozen=True)
class Form:
    """What a form held: texts by name, and where each file was put."""

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


async def receive_form(
    request: Request,
    folder: Path,
    *,
    limit: int,
    on_text: Callable[[str, str], None] | None = None,
) -> Form:
    """Read the request's form; each file becomes ``folder/NAME.SUFFIX``.

    Args:
        request: its body is read to the end.
        folder: is made; the caller removes it, also when this raises.
        limit: largest size of one file in bytes.
        on_text: called with name and text as soon as a text part is complete; may raise to refuse the form.

    Raises:
        UsageError: when the body is not a form that is understood.
        TooLargeError: when a file is larger than the limit.
        InputError: when a file's name ends in no known suffix.
        ResourceError: when the disk is full.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise _malformed(f"content type {request.headers.get('content-type', '(none)')[:100]}")
    folder.mkdir(parents=True, exist_ok=True)
    reader = _Reader(options[b"boundary"], folder, limit, on_text)
    stream, block = request.stream(), bytearray()
    try:
        async for chunk in stream:
            block += chunk
            if len(block) >= _BLOCK:
                await run_in_threadpool(reader.feed, bytes(block))
                block.clear()
        await run_in_threadpool(reader.feed, bytes(block), last=True)
    except MedganError:
        # A client that is still sending does not read an answer; one that has sent all does.
        deadline = time.monotonic() + _DRAIN_S
        async for _ in stream:
            if time.monotonic() > deadline:
                break
        raise
    finally:
        reader.close()
    return reader.form


class _Reader:
    """Callbacks of the multipart parser; used by one thread at a time."""

    def __init__(
        self, boundary: bytes, folder: Path, limit: int, on_text: Callable[[str, str], None] | None
    ) -> None:
        self.form = Form()
        self._folder, self._limit, self._on_text = folder, limit, on_text
        self._name, self._text, self._size = "", bytearray(), 0
        self._field, self._value, self._disposition = bytearray(), bytearray(), b""
        self._file: BinaryIO | None = None
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def feed(self, block: bytes, *, last: bool = False) -> None:
        try:
            self._parser.write(block)
            if last:
                self._parser.finalize()
        except FormParserError as error:
            raise _malformed(str(error)[:200]) from error
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise ResourceError(
                "The server cannot store the upload",
                expected="room on its disk",
                got="the disk is full" if full else str(error),
                action="make room on the server's disk, then try again",
            ) from error
        if last and not self._ended:
            raise _malformed("a form that ends before its last boundary")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _part_begin(self) -> None:
        self._name, self._disposition, self._size = "", b"", 0
        self._text.clear()

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if not _KEY.fullmatch(self._name) or self._name in self.form.texts or self._name in self.form.files:
            raise _malformed(f"a part called {self._name[:64]!r}, or two of that name")
        if b"filename" in options:
            name = options[b"filename"].decode("utf-8", "replace")
            path = self._folder / f"{self._name}{_suffix(name)}"
            self.form.files[self._name] = path
            self._file = path.open("xb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is None:
            self._text += data[start:end]
            if self._size > _TEXT:
                raise _too_large(self._name, _TEXT)
        elif self._size > self._limit:
            raise _too_large(self._name, self._limit)
        else:
            self._file.write(memoryview(data)[start:end])

    def _part_end(self) -> None:
        if self._file is not None:
            self.close()
            return
        text = self._text.decode("utf-8", "replace")
        self.form.texts[self._name] = text
        if self._on_text is not None:
            self._on_text(self._name, text)

    def _end(self) -> None:
        self._ended = True


def _suffix(name: str) -> str:
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return suffix
    raise InputError(
        "The uploaded file is of no known kind",
        expected="a file name that ends in " + ", ".join(SUFFIXES),
        got=name[-64:] or "no file name",
        action="save the volume as NIfTI, NRRD or MHA",
    )


def _malformed(got: str) -> UsageError:
    return UsageError(
        "The request's form cannot be read",
        expected="multipart/form-data, each part with a name of its own (letters, digits, - and _)",
        got=got,
        action="see docs/rest.md for an example",
    )


def _too_large(name: str, limit: int) -> TooLargeError:
    return TooLargeError(
        f"The part {name} is too large",
        expected=f"at most {limit / 1e6:,.1f} MB",
        got="more",
        action="crop or resample the volume, or start the server with a larger --max-upload-mb",
    )
