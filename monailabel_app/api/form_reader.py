"""What comes in a multipart form: its parts, written to disk as they come, and never beyond a limit."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from medgan_core.errors import InputError, ResourceError, UsageError
from monailabel_app.problems import TooLargeError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_TEXT = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PARTS, _SLICES = 16, 5000


@dataclass(frozen=True)
class Form:
    """What a form held.

    Args:
        texts: by the part's name.
        files: where each file, or the folder of a series, was put, by the part's name.
        names: what the client calls each file; never part of a path.
    """

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class FormReader:
    """Reads a form block by block; used by one thread at a time.

    Args:
        boundary: between the parts.
        folder: takes the files.
        limit: largest size of one file, or of a whole series, in bytes.
        on_text: called with name and text as soon as a text part is complete; may raise to refuse the form.
        series: name of the part that may come several times.

    Raises:
        FormParserError: when the boundary cannot be used.
    """

    def __init__(
        self,
        boundary: bytes,
        folder: Path,
        limit: int,
        on_text: Callable[[str, str], None] | None,
        series: str | None,
    ) -> None:
        self.form = Form()
        self._series, self._slices, self._series_size = series, 0, 0
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
        """Take the next block of the body.

        Raises:
            MedganError: as `monailabel_app.api.uploads.receive_form` does.
        """
        try:
            self._parser.write(block)
            if last:
                self._parser.finalize()
        except FormParserError as error:
            raise malformed(str(error)[:200]) from error
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise ResourceError(
                "The server cannot store the upload",
                expected="room on its disk",
                got="the disk is full" if full else error.strerror or "an error of its disk",
                action="make room on the server's disk, then try again",
            ) from error
        if last and not self._ended:
            raise malformed("a form that ends before its last boundary")

    def close(self) -> None:
        """Close the file that is being written, if there is one."""
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
        known = self._name in self.form.texts or (
            self._name in self.form.files and self._name != self._series
        )
        if not _KEY.fullmatch(self._name) or known:
            raise malformed(f"a part called {self._name[:64]!r}, or two of that name")
        if len(self.form.texts) >= _PARTS or len(self.form.files) >= _PARTS:
            raise malformed(f"more than {_PARTS} parts")
        if b"filename" in options:
            filename = options[b"filename"].decode("utf-8", "replace")
            self.form.names[self._name] = filename
            self._file = self._place(filename).open("xb")

    def _place(self, filename: str) -> Path:
        """Where the file that begins now is put; the client's own name counts for its suffix alone."""
        if self._name != self._series:
            path = self._folder / f"{self._name}{_suffix(filename)}"
            self.form.files[self._name] = path
            return path
        self._slices += 1
        if self._slices > _SLICES:
            raise malformed(f"more than {_SLICES:,} slices")
        self._size = self._series_size
        folder = self._folder / self._name
        if self._slices == 1 and filename.lower().endswith(SUFFIXES):
            self.form.files[self._name] = self._folder / f"{self._name}{_suffix(filename)}"
            return self.form.files[self._name]
        if self.form.files.get(self._name, folder) != folder:
            raise malformed(f"several parts {self._name!r}, one of them a whole volume")
        folder.mkdir(exist_ok=True)
        self.form.files[self._name] = folder
        return folder / f"{self._slices:05d}.dcm"

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
            if self._name == self._series:
                self._series_size = self._size
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


def malformed(got: str) -> UsageError:
    """The error for a form that is not understood."""
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
