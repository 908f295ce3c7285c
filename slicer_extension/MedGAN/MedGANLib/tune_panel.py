"""The panel's part that has a model tuned on the server's studies, and chooses which version is in use."""

from __future__ import annotations

import json
from dataclasses import dataclass

import qt
from slicer.i18n import tr as _

from MedGANLib import texts
from MedGANLib.chore import Chore


@dataclass(frozen=True)
class _Kept:
    """A tuning that a server has."""

    server: str
    model: str
    job: str


class TunePanel:
    """Owns the section Fine-tune.

    Args:
        ui: the widgets of MedGAN.ui.
        on_version: called when another version came into use.
        on_state: called when something starts or ends.
        guard: context manager around the work; shows an exception to the person.
        chore: what runs the client script; a test may give another one.
    """

    def __init__(self, ui, *, on_version, on_state, guard, chore=Chore):
        self._ui, self._on_version, self._on_state = ui, on_version, on_state
        self._chore = chore(ui.tuneMessage, ui.tuneBar, on_state=on_state, guard=guard)
        self._chosen, self._kept, self._access = "", None, None
        self._versions, self._rows, self._model = [], [], ""  # what the table shows, and of which model
        ui.tuneCancelButton.clicked.connect(self.cancel)
        ui.versionsTable.itemSelectionChanged.connect(self._selected)
        header = ui.versionsTable.horizontalHeader()
        for column in range(4):
            header.setSectionResizeMode(
                column, qt.QHeaderView.Stretch if column == 1 else qt.QHeaderView.ResizeToContents
            )
        ui.versionsTable.verticalHeader().setVisible(False)
        self._fill("", [])

    @property
    def is_running(self):
        """True while the server tunes or is asked."""
        return self._chore.is_running

    def show_model(self, model):
        """Another model was chosen: it is the one to tune. What is shown of a tuning stays."""
        self._chosen = model or self._chosen
        self._selected()

    def offer(self, access, tunings):
        """A server was connected: offer to take up a tuning that is under way there.

        Args:
            access: to the server.
            tunings: job documents.
        """
        if tunings and not self.is_running:
            model, state = tunings[-1]["model"], tunings[-1]["state"]
            self._kept = _Kept(access.server, model, tunings[-1]["id"])
            said = _("A tuning of {model} is {state} at the server: Resume shows how it goes.")
            self._chore.say(texts.marked(texts.GREY, said.format(model=model, state=state)))
            self._on_state()

    def refresh(self, access, *, missing, busy):
        """Say what can be done now; see `AnnotatePanel.refresh`."""
        idle = access is not None and not missing and not self.is_running
        free, kept = idle and bool(self._chosen), idle and self._can_resume(access)
        self._ui.tuneButton.setEnabled(free and not busy)
        self._ui.versionsButton.setEnabled(free)
        self._ui.tuneResumeButton.setVisible(self._kept is not None and not self.is_running)
        self._ui.tuneResumeButton.setEnabled(kept)
        self._ui.tuneCancelButton.setEnabled(self.is_running or kept)
        self._access = access if idle else None
        self._selected()

    def tune(self, access):
        """Tune the chosen model on the studies and labels that the server has."""
        updates = int(self._ui.updatesSpin.property("value"))
        settings = json.dumps({"updates": updates} if updates else {})
        self._watch(access, self._chosen, ["--settings", settings])

    def resume(self, access):
        """Take up the tuning that the server keeps."""
        if self._can_resume(access):
            self._watch(access, self._kept.model, ["--job", self._kept.job])

    def cancel(self, *_unused):
        """Stop the tuning, also one that is not watched."""
        if not self.is_running:
            self.resume(self._access)
        self._chore.cancel()

    def show_versions(self, access):
        """Ask for the chosen model's versions."""
        model = self._chosen
        self._chore.start(
            access,
            lambda _folder: ["--versions", model],
            on_done=lambda event: self._fill(model, event["versions"]),
            doing=_("Asking for the versions"),
        )

    def use(self, access):
        """Use the selected version of the shown model from now on."""
        version = self._other()
        if version:
            self._chore.start(
                access,
                lambda _folder: ["--versions", self._model, "--use", version],
                on_done=lambda event: self._used(event["versions"], version),
                doing=_("Changing the version"),
            )

    def leave(self, *, wait=False):
        """Watch no longer; a tuning goes on at the server."""
        self._chore.leave(wait=wait)

    def _can_resume(self, access):
        return self._kept is not None and access is not None and self._kept.server == access.server

    def _watch(self, access, model, options):
        before = self._kept  # stays when the server takes no further tuning

        def submitted(event):
            if event["event"] == "submitted":
                self._kept = _Kept(access.server, model, event["id"])

        def failed(error):
            if self._kept is not before and not error.get("job"):  # it ended
                self._kept = None

        self._chore.start(
            access,
            lambda _folder: ["--tune", model, *options],
            on_done=lambda event: self._tuned(model, event),
            on_event=submitted,
            on_error=failed,
            doing=_("Tuning {model}; Slicer can be used meanwhile").format(model=model),
        )

    def _tuned(self, model, event):
        self._kept = None
        self._fill(model, event["versions"])
        color = texts.VERDICT_COLORS.get(event["report"].get("verdict"), texts.GREY)
        self._chore.say(texts.marked(color, texts.tuned(model, event["report"])))
        self._on_version()

    def _used(self, versions, version):
        self._fill(self._model, versions)
        self._chore.say(texts.marked(texts.GREEN, _("{version} is in use.").format(version=version)))
        self._on_version()

    def _fill(self, model, versions):
        """A row for every figure of every version, the newest version on top; one is ready to change to."""
        self._model = model
        self._versions = list(reversed(versions))
        self._rows = texts.version_rows(self._versions)
        table = self._ui.versionsTable
        table.setRowCount(len(self._rows))
        for index, (_version, cells) in enumerate(self._rows):
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(index, column, item)
        table.clearSelection()
        self._selected()

    def _selected(self, *_unused):
        other, of = self._other(), "" if self._model == self._chosen else " (" + self._model + ")"
        self._ui.useButton.setText(_("Use {version}").format(version=other) + of if other else _("Use"))
        self._ui.useButton.setEnabled(bool(other) and self._access is not None)

    def _other(self):
        """The selected version; without a selection the one before that in use, or else the one after it."""
        row = int(self._ui.versionsTable.currentRow()) if self._ui.versionsTable.selectedItems() else -1
        if 0 <= row < len(self._rows):
            chosen = self._rows[row][0]
            return "" if chosen["default"] else chosen["version"]
        names = [version["version"] for version in self._versions]
        used = next((n for n, version in enumerate(self._versions) if version["default"]), len(names))
        return next(iter(names[used + 1 :] or names[:used][-1:]), "")
