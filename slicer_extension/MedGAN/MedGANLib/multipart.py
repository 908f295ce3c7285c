"""A multipart/form-data body that is read from disk while it is sent: no copy of the volumes in memory."""

from __future__ import annotations

import os
import uuid


class MultipartBody:
    """File-like body for an HTTP request; its length is known before anything is read.

    Args:
        texts: part name to JSON text, sent first.
        files: part name to path of an uncompressed volume.
        progress: called with the fraction sent, in [0, 1].
        cancel: polled at every read; True raises `stop`.
        stop: the exception class raised on cancel.

    Raises:
        OSError: when a file cannot be opened.
    """

    def __init__(self, texts, files, *, progress=None, cancel=None, stop=InterruptedError):
        self.boundary = uuid.uuid4().hex
        self._progress, self._cancel, self._stop = progress, cancel, stop
        self._parts = [
            self._head(key, None, "application/json") + text.encode("utf-8") + b"\r\n"
            for key, text in texts.items()
        ]
        for key, path in files.items():
            name = key + "".join(_suffixes(path))
            self._parts += [self._head(key, name, "application/octet-stream"), os.fspath(path), b"\r\n"]
        self._parts.append(f"--{self.boundary}--\r\n".encode("ascii"))
        self._total = sum(len(p) if isinstance(p, bytes) else os.path.getsize(p) for p in self._parts)
        self._sent, self._index, self._offset, self._file = 0, 0, 0, None

    @property
    def content_type(self):
        """Value of the Content-Type header."""
        return "multipart/form-data; boundary=" + self.boundary

    def __len__(self):
        return self._total

    def __iter__(self):
        return iter(lambda: self.read(1 << 16), b"")

    def read(self, size=-1):
        """Up to `size` bytes (all that is left when negative); empty at the end."""
        if self._cancel is not None and self._cancel():
            self.close()
            raise self._stop()
        wanted = self._total - self._sent if size is None or size < 0 else size
        blocks = []
        while wanted > 0 and self._index < len(self._parts):
            block = self._take(wanted)
            wanted -= len(block)
            blocks.append(block)
        data = b"".join(blocks)
        self._sent += len(data)
        if self._progress is not None:
            self._progress(self._sent / self._total)
        return data

    def close(self):
        """Close the file being read, if any."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, size):
        part = self._parts[self._index]
        if isinstance(part, bytes):
            block = part[self._offset : self._offset + size]
            self._offset += len(block)
            done = self._offset >= len(part)
        else:
            if self._file is None:
                self._file = open(part, "rb")  # noqa: SIM115 - read over many calls
            block = self._file.read(size)
            done = not block
        if done:
            self.close()
            self._index, self._offset = self._index + 1, 0
        return block

    def _head(self, name, filename, kind):
        label = f'; filename="{filename}"' if filename else ""
        return (
            f"--{self.boundary}\r\nContent-Disposition: form-data; "
            f'name="{name}"{label}\r\nContent-Type: {kind}\r\n\r\n'
        ).encode()


def _suffixes(path):
    name = os.path.basename(os.fspath(path)).lower()
    return [".nii.gz"] if name.endswith(".nii.gz") else [os.path.splitext(name)[1]]
