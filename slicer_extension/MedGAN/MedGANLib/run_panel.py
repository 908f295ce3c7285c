"""The panel's part that runs: Run, progress with remaining time, Cancel, Resume, messages."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from MedGANLib import cards, texts
from MedGANLib.process import ClientProcess
from MedGANLib.results import load_results


@dataclass(frozen=True)
class _Kept:
    """What Resume goes on with: a job that the server keeps, or files that came and could not be loaded."""

    request: Any
    job: str = ""
    event: Any = None
    folder: str = ""


class RunPanel:
    """Owns Run, Cancel, the progress bar, the message below it, and Resume.

    Resume is there when the server went away during a run and keeps its job, and when a result that came
    could not be loaded: its files are kept until another run.

    Args:
        ui: the widgets of MedGAN.ui.
        logic: the `SceneLogic`.
        on_results: called with the `Results` of a finished run.
        on_state: called when a run starts or ends.
        guard: context manager around work on the scene; shows an exception to the person.
        start: makes the client process; a test may give another one.
    """

    def __init__(self, ui, logic, *, on_results, on_state, guard, start=ClientProcess):
        self._ui, self._logic, self._start = ui, logic, start
        self._on_results, self._on_state, self._guard = on_results, on_state, guard
        self._process, self._request, self._folder = None, None, ""
        self._kept = None
        ui.cancelButton.clicked.connect(self.cancel)
        self._rest()

    @property
    def is_running(self):
        """True from Run until the result, an error, or the end of a cancelled run."""
        return self._request is not None

    def can_resume(self, access):
        """True when this server keeps a job of this panel, or its result is here and was not loaded."""
        kept = self._kept
        here = kept is not None and access is not None and kept.request.server == access.server
        return here or (kept is not None and kept.event is not None)

    def start(self, request, access):
        """Export the inputs and start the client; returns at once.

        Args:
            request: what to run.
            access: to the server.
        """
        self._launch(request, access, lambda folder: self._new(request, folder))

    def resume(self, access):
        """Take up the job that the server keeps, or load its result again; no volume is sent again."""
        if not self.can_resume(access):
            return
        job = self._kept.job
        if job:
            self._launch(self._kept.request, access, lambda _folder: ["--job", job])
        else:
            self._load()

    def forget(self):
        """Let go of a job that could be resumed: its scene goes away; the server removes it in time."""
        self._keep(None)
        self._rest()

    def cancel(self, *_unused):
        """Ask the server to stop; the panel is free again when it has."""
        if self.is_running:
            self._ui.cancelButton.setEnabled(False)
            self.say(_("Cancelling"))
            self._process.cancel()

    def stop(self, *, wait=False):
        """End a run without a word: the scene goes away, or the module, which waits for the end."""
        if self.is_running:
            process, folder = self._process, self._folder
            self._folder = ""  # it goes when nobody writes into it any more
            process.stop(then=lambda: _remove(folder))
            self._finish()
            if wait:
                process.wait()

    def say(self, text):
        """A line below the progress bar; rich text."""
        self._ui.messageLabel.setText(text)
        self._ui.messageLabel.setVisible(bool(text))

    def _launch(self, request, access, arguments):
        if self.is_running:
            return
        folder = tempfile.mkdtemp(prefix="medgan-")
        try:
            with self._guard(_("The volumes could not be prepared.")):
                self._process = self._start(
                    [*access.arguments(), "--out", folder, *arguments(folder)],
                    token=access.token,
                    on_event=self._event,
                    on_end=self._ended,
                )
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._request, self._folder = request, folder
        self._keep(None)
        self._ui.cancelButton.setEnabled(True)
        self._ui.resumeButton.setVisible(False)
        self._ui.progressBar.setVisible(True)
        self._ui.progressBar.setValue(0)
        self.say(_("Starting"))
        self._on_state()

    def _new(self, request, folder):
        arguments = ["--model", request.card["name"], "--target", request.target]
        arguments += ["--seed", str(request.seed), "--count", str(request.count)]
        arguments += ["--settings", json.dumps(request.settings or {})]
        for key, node in request.inputs.items():
            labels = cards.input_labels(request.card, key)
            beside = request.beside(key)
            path = self._logic.export(node, folder, "input-" + key, reference=beside, labels=labels)
            arguments += ["--input", key + "=" + path]
        return arguments

    def _event(self, event):
        share, text = texts.progress(event)
        if share is not None:
            self._ui.progressBar.setValue(round(1000 * share))
        if self._ui.cancelButton.isEnabled():
            self.say(text)

    def _ended(self, event):
        request = self._request
        try:
            if event["event"] == "done":
                self._keep(_Kept(request, event=event, folder=self._folder))
                self._folder = ""
                self._load()
            elif event["error"].get("code") == "cancelled":
                self.say(texts.marked(texts.GREY, _("Cancelled. Nothing was added to the scene.")))
            else:
                if event["error"].get("job"):
                    self._keep(_Kept(request, job=event["error"]["job"]))
                self.say(texts.marked(texts.RED, texts.error_lines(event["error"])))
        finally:
            self._finish()

    def _load(self):
        """Load what is kept; it stays for Resume until that went well."""
        kept = self._kept
        failed = _("The result could not be loaded. Its files are kept: Resume loads them again.")
        self.say(texts.marked(texts.RED, failed))
        with self._guard(failed):
            results = load_results(self._logic, kept.request, kept.event["files"], kept.event["report"])
            self._keep(None)
            self.say("")
            self._on_results(results)
        self._rest()
        self._on_state()

    def _keep(self, kept):
        """Keep this for Resume; files that were kept before go away."""
        if self._kept is not None:
            _remove(self._kept.folder)
        self._kept = kept

    def _finish(self):
        _remove(self._folder)
        self._process, self._request, self._folder = None, None, ""
        self._rest()
        self._on_state()

    def _rest(self):
        self._ui.cancelButton.setEnabled(False)
        self._ui.progressBar.setVisible(False)
        self._ui.resumeButton.setVisible(self._kept is not None)


def _remove(folder):
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
