"""One run of the client script for a section of the panel, with a folder of its own while it lasts."""

from __future__ import annotations

import shutil
import tempfile

from slicer.i18n import tr as _

from MedGANLib import texts
from MedGANLib.process import ClientProcess

_LAST_MS = 30000  # what must not be cut off may take so long when the module goes away
_PROGRESS = ("upload", "submitted", "progress", "away")


class Chore:
    """Starts the script, shows its progress and errors, gives its answer; one at a time.

    Args:
        label: where messages are shown.
        bar: progress bar; shown while the script tells how far it is.
        on_state: called when it starts or ends.
        guard: context manager around work on the scene; shows an exception to the person.
        start: makes the client process; a test may give another one.
    """

    def __init__(self, label, bar, *, on_state, guard, start=ClientProcess):
        self._label, self._bar = label, bar
        self._on_state, self._guard, self._start = on_state, guard, start
        self._process, self._folder, self._lasts = None, None, False
        self._bar.setVisible(False)
        self.say("")

    @property
    def is_running(self):
        """True from `start` until the answer or an error."""
        return self._process is not None

    def say(self, text):
        """A line of rich text."""
        self._label.setText(text)
        self._label.setVisible(bool(text))

    def refuse(self, why):
        """Say why nothing was started."""
        self.say(texts.marked(texts.RED, why))
        self._on_state()

    def start(
        self, access, arguments, *, on_done, on_event=None, on_error=None, doing="", failed="", lasts=False
    ):
        """Start the script; returns at once.

        Args:
            access: to the server; without one, that is said and nothing is started.
            arguments: function from a temporary folder to the script's arguments.
            on_done: called with the script's last event when all went well; the folder is still there then.
            on_event: called with every event before.
            on_error: called with the error when the script failed or was cancelled.
            doing: said meanwhile.
            failed: said when the preparation or `on_done` raises, which the guard passes on.
            lasts: `leave` does not end it.
        """
        if self.is_running:
            return
        if access is None:
            self.refuse(_("Connect to a server."))
            return
        self._lasts = lasts
        self._folder = tempfile.mkdtemp(prefix="medgan-")
        try:
            with self._guard(failed):
                self._process = self._start(
                    [*access.arguments(), "--out", self._folder, *arguments(self._folder)],
                    token=access.token,
                    on_event=lambda event: self._told(event, on_event),
                    on_end=lambda event: self._ended(event, on_done, on_error, failed),
                )
        except Exception:
            self._clean()
            raise
        self.say(texts.marked(texts.GREY, doing))
        self._on_state()

    def cancel(self, *_unused):
        """Ask the server to stop; the message follows."""
        if self.is_running:
            self.say(texts.marked(texts.GREY, _("Cancelling")))
            self._process.cancel()

    def leave(self, *, wait=False):
        """Look no longer, without a word: the scene goes away, or the module, which waits for the end.

        The server goes on. What lasts goes on as well, and says how it ended.
        """
        if self.is_running and self._lasts:
            if wait:
                self._process.wait(_LAST_MS)
        elif self.is_running:
            process, folder = self._process, self._folder
            process.leave(then=lambda: shutil.rmtree(folder, ignore_errors=True))
            self._process, self._folder = None, None
            self._bar.setVisible(False)
            self.say("")
            if wait:
                process.wait()

    def _told(self, event, on_event):
        if on_event is not None:
            on_event(event)
        if event["event"] in _PROGRESS:
            share, text = texts.progress(event)
            self.say(texts.marked(texts.GREY, text))
            if share is not None:
                self._bar.setVisible(True)
                self._bar.setValue(round(1000 * share))

    def _ended(self, event, on_done, on_error, failed):
        self._process = None
        self._bar.setVisible(False)
        try:
            if event["event"] == "done":
                self.say("")
                with self._guard(failed):
                    on_done(event)
            else:
                self._failed(event["error"])
                if on_error is not None:
                    on_error(event["error"])
        finally:
            self._clean()
            self._on_state()

    def _failed(self, error):
        if error.get("code") == "cancelled":
            self.say(texts.marked(texts.GREY, _("Cancelled.")))
        else:
            self.say(texts.marked(texts.RED, texts.error_lines(error)))

    def _clean(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process, self._folder = None, None
