"""The panel's part that has a model tuned on the server's studies, and chooses which version is in use."""

from __future__ import annotations

import json

import qt
from slicer.i18n import tr as _

from MedGANLib import texts
from MedGANLib.chore import Chore


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
        self._ui, self._on_version = ui, on_version
        self._chore = chore(ui.tuneMessage, on_state=on_state, guard=guard)
        self._versions, self._rows, self._model = [], [], ""
        ui.tuneCancelButton.clicked.connect(self._chore.cancel)
        ui.versionsTable.itemSelectionChanged.connect(self._selected)
        header = ui.versionsTable.horizontalHeader()
        for column in range(4):
            header.setSectionResizeMode(
                column, qt.QHeaderView.Stretch if column == 1 else qt.QHeaderView.ResizeToContents
            )
        ui.versionsTable.verticalHeader().setVisible(False)
        ui.tuneBar.setVisible(False)
        self._fill([])

    @property
    def is_running(self):
        """True while the server tunes or is asked."""
        return self._chore.is_running

    def show_model(self, model):
        """Another model was chosen: its versions are not known yet."""
        if model and model != self._model and not self.is_running:
            self._model = model
            self._chore.say("")
            self._fill([])

    def refresh(self, access, *, missing, busy):
        """Say what can be done now; see `AnnotatePanel.refresh`."""
        free = access is not None and not missing and not self.is_running and bool(self._model)
        self._ui.tuneButton.setEnabled(free and not busy)
        self._ui.versionsButton.setEnabled(free)
        self._ui.tuneCancelButton.setEnabled(self.is_running)
        if not self.is_running:
            self._ui.tuneBar.setVisible(False)
        self._ui.useButton.setEnabled(free and bool(self._other()))

    def tune(self, access):
        """Tune the model on the studies and labels that the server has."""
        updates = int(self._ui.updatesSpin.property("value"))
        settings = json.dumps({"updates": updates} if updates else {})
        self._ui.tuneBar.setValue(0)
        self._ui.tuneBar.setVisible(True)
        self._chore.start(
            access,
            lambda _folder: ["--tune", self._model, "--settings", settings],
            on_done=self._tuned,
            on_event=self._event,
            doing=_("Tuning; Slicer can be used meanwhile"),
        )

    def show_versions(self, access):
        """Ask for the versions."""
        self._chore.start(
            access,
            lambda _folder: ["--versions", self._model],
            on_done=lambda event: self._fill(event["versions"]),
            doing=_("Asking for the versions"),
        )

    def use(self, access):
        """Use the selected version from now on."""
        version = self._other()
        self._chore.start(
            access,
            lambda _folder: ["--versions", self._model, "--use", version],
            on_done=lambda event: self._used(event["versions"], version),
            doing=_("Changing the version"),
        )

    def leave(self):
        """Watch no longer; a tuning goes on at the server."""
        self._chore.leave()

    def _event(self, event):
        share, text = texts.progress(event)
        if share is not None:
            self._ui.tuneBar.setValue(round(1000 * share))
        self._chore.say(texts.marked(texts.GREY, text))

    def _tuned(self, event):
        self._fill(event["versions"])
        color = texts.VERDICT_COLORS.get(event["report"].get("verdict"), texts.GREY)
        self._chore.say(texts.marked(color, texts.tuned(event["report"])))
        self._on_version()

    def _used(self, versions, version):
        self._fill(versions)
        self._chore.say(texts.marked(texts.GREEN, _("{version} is in use.").format(version=version)))
        self._on_version()

    def _fill(self, versions):
        """A row for every figure of every version, the newest version on top; one is ready to change to."""
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
        other = self._other()
        self._ui.useButton.setText(_("Use {version}").format(version=other) if other else _("Use"))
        self._ui.useButton.setEnabled(bool(other) and not self.is_running)

    def _other(self):
        """The selected version; without a selection the one before that in use, or else the one after it."""
        row = int(self._ui.versionsTable.currentRow()) if self._ui.versionsTable.selectedItems() else -1
        if 0 <= row < len(self._rows):
            chosen = self._rows[row][0]
            return "" if chosen["default"] else chosen["version"]
        names = [version["version"] for version in self._versions]
        used = next((n for n, version in enumerate(self._versions) if version["default"]), len(names))
        return next(iter(names[used + 1 :] or names[:used][-1:]), "")
