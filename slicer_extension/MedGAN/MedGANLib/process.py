"""The client script in a process of its own: nothing waits in Slicer, not even for its interpreter lock."""

from __future__ import annotations

import json
import os
import shutil
import sys

import qt

from MedGANLib import errors

_GRACE_MS = 3000  # a cancelled client tells the server and ends; one that does not is ended


class ClientProcess:
    """One run of `client.py`, watched through Qt's event loop.

    Args:
        arguments: of the script, without the program.
        token: for a server that asks for one; goes through standard input, since other users of the computer
            can see command lines.
        on_event: called with every event (a dict with `event`) while the script runs.
        on_end: called once, with the last event: `done`, `server` or `error` (see `error_of`).
    """

    def __init__(self, arguments, *, token="", on_event, on_end):
        self._on_event, self._on_end = on_event, on_end
        self._buffer, self._last, self._ended, self._job = b"", None, False, ""
        self._process = qt.QProcess()
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._failed)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "client.py")
        options = ["--stdin-cancels", *(["--token-stdin"] if token else [])]
        self._process.start(python_program(), [script, *options, *arguments])
        if token:
            self._process.write((token + "\n").encode("utf-8"))

    @property
    def is_running(self):
        """True until `on_end` was called."""
        return not self._ended

    def cancel(self):
        """Ask the script to cancel its job; `on_end` follows, `unconfirmed` without an answer."""
        if self._ended:
            return
        self._process.closeWriteChannel()
        self._end_after(_GRACE_MS)

    def stop(self, then=None):
        """Cancel, and say nothing any more (the scene goes away); returns at once.

        Args:
            then: called when the script has ended; its files can be removed then.
        """
        self._say_nothing(then)
        self.cancel()

    def leave(self, then=None):
        """End the script at once, as `stop`; what the server does goes on there."""
        self._say_nothing(then)
        self._kill()

    def wait(self, milliseconds=_GRACE_MS):
        """Wait until the script has ended, but not longer (the module goes away); then it is ended."""
        if not self._ended and not self._process.waitForFinished(milliseconds):
            self._process.kill()
            self._process.waitForFinished(_GRACE_MS)

    def _say_nothing(self, then):
        self._on_event = lambda _event: None
        self._on_end = lambda _event: then() if then is not None else None

    def _end_after(self, milliseconds):
        qt.QTimer.singleShot(milliseconds, lambda: self._kill())  # the lambda keeps this object until then

    def _kill(self):
        if not self._ended:  # it waits for a server that does not answer
            error = errors.UnconfirmedError()
            error.job = self._job
            self._last = self._last or {"event": "error", "error": error.to_dict()}
            self._process.kill()
            self._end_after(_GRACE_MS)

    def _read(self):
        self._buffer += bytes(self._process.readAllStandardOutput().data())
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            try:
                event = json.loads(line.decode("utf-8"))
            except ValueError:
                continue  # a warning that some library printed
            if event.get("event") in ("done", "server", "error"):
                self._last = event
            elif not self._ended:
                self._job = event["id"] if event.get("event") == "submitted" else self._job
                self._on_event(event)

    def _finished(self, *_):
        self._read()
        trace = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        self._end(self._last or failure("The client ended before its work was done", trace[-600:]))

    def _failed(self, *_):
        if self._process.state() == qt.QProcess.NotRunning and self._last is None:
            program = python_program()
            self._end(failure(f"{program} cannot be started", str(self._process.errorString())))

    def _end(self, event):
        if not self._ended:
            self._ended = True
            self._on_end(event)


def python_program():
    """Slicer's Python as a program of its own, or the one that runs this."""
    return shutil.which("PythonSlicer") or sys.executable


def failure(what, got):
    """An error event for what went wrong outside of the script."""
    action = "try again; if it happens again, look at Slicer's error log"
    return {"event": "error", "error": {"code": "failed", "what": what, "got": got, "action": action}}
