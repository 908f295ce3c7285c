"""One run of the client script for a section of the panel, with a folder of its own while it lasts."""

from __future__ import annotations

import shutil
import tempfile

from slicer.i18n import tr as _

from MedGANLib import texts
from MedGANLib.process import ClientProcess


class Chore:
    """Starts the script, shows its errors, gives its answer; one at a time.

    Args:
        label: where messages are shown.
        on_state: called when it starts or ends.
        guard: context manager around work on the scene; shows an exception to the person.
        start: makes the client process; a test may give another one.
    """

    def __init__(self, label, *, on_state, guard, start=ClientProcess):
        self._label, self._on_state, self._guard, self._start = label, on_state, guard, start
        self._process, self._folder = None, None
        self.say("")

    @property
    def is_running(self):
        """True from `start` until the answer or an error."""
        return self._process is not None

    def say(self, text):
        """A line of rich text."""
        self._label.setText(text)
        self._label.setVisible(bool(text))

    def start(self, access, arguments, *, on_done, on_event=None, doing="", failed=""):
        """Start the script; returns at once.

        Args:
            access: to the server.
            arguments: function from a temporary folder to the script's arguments.
            on_done: called with the script's last event when all went well; the folder is still there then.
            on_event: called with every event before.
            doing: said meanwhile.
            failed: said when the preparation or `on_done` raises, which the guard passes on.
        """
        if self.is_running:
            return
        self._folder = tempfile.mkdtemp(prefix="medgan-")
        try:
            with self._guard(failed):
                self._process = self._start(
                    [*access.arguments(), "--out", self._folder, *arguments(self._folder)],
                    token=access.token,
                    on_event=on_event or (lambda event: None),
                    on_end=lambda event: self._ended(event, on_done, failed),
                )
        except Exception:
            self._clean()
            raise
        self.say(texts.marked(texts.GREY, doing))
        self._on_state()

    def cancel(self, *_unused):
        """Ask the server to stop; the message follows."""
        if self.is_running:
            self._process.cancel()

    def leave(self):
        """Wait no longer, without a word (the scene or the module goes away); the server goes on."""
        if self.is_running:
            self._process.leave()
            self._clean()
            self.say("")

    def _ended(self, event, on_done, failed):
        self._process = None
        try:
            if event["event"] == "done":
                self.say("")
                with self._guard(failed):
                    on_done(event)
            elif event["error"].get("code") == "cancelled":
                self.say(texts.marked(texts.GREY, _("Cancelled.")))
            else:
                self.say(texts.marked(texts.RED, texts.error_lines(dict(event["error"], job=""))))
        finally:
            self._clean()
            self._on_state()

    def _clean(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process, self._folder = None, None
