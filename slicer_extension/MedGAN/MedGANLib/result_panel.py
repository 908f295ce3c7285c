"""The panel's part that shows a result: fade, trust map, side by side, report."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from MedGANLib import texts
from MedGANLib.results import value_text


class ResultPanel:
    """Owns the result section.

    Args:
        ui: the widgets of MedGAN.ui.
        view: the `SceneView`.
    """

    def __init__(self, ui, view):
        self._ui, self._view, self._results = ui, view, None
        ui.fadeSlider.valueChanged.connect(self._fade)
        ui.trustCheck.toggled.connect(self._trust)
        ui.trustSlider.valueChanged.connect(self._trust)
        ui.sideBySideCheck.toggled.connect(self._side_by_side)
        ui.sampleSelector.currentIndexChanged.connect(self._sample)
        header = ui.reportTable.horizontalHeader()
        for column, mode in enumerate(
            (qt.QHeaderView.Stretch, qt.QHeaderView.Stretch, qt.QHeaderView.ResizeToContents)
        ):
            header.setSectionResizeMode(column, mode)
        ui.reportTable.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        ui.reportTable.verticalHeader().setVisible(False)
        self.clear()

    def clear(self):
        """Nothing to show."""
        self._results = None
        for check in (self._ui.trustCheck, self._ui.sideBySideCheck):
            check.setChecked(False)  # gives the layout back
        self._view.forget()
        self._ui.resultSection.setVisible(False)
        self._ui.reportTable.setRowCount(0)

    def show(self, results):
        """Show a run's nodes in the views and its report in the table."""
        self._ui.resultSection.setVisible(True)
        name = results.first.GetName() if results.first is not None else _("Result")
        self._ui.resultLabel.setText(texts.verdict(name, results.report))
        self._results = None  # while the list of samples changes
        self._ui.sampleSelector.clear()
        for image, segmentation in results.samples:
            self._ui.sampleSelector.addItem((image if image is not None else segmentation).GetName())
        self._ui.sampleBox.setVisible(len(results.samples) > 1)
        for widget in (self._ui.fadeSlider, self._ui.sideBySideCheck):
            widget.setEnabled(results.source is not None and results.image is not None)
        for widget in (self._ui.trustCheck, self._ui.trustSlider):
            widget.setEnabled(results.trust is not None)
        self._ui.trustCheck.setText(_(results.trust_title) + ":")
        if results.image is None:
            self._ui.sideBySideCheck.setChecked(False)
        if not results.samples:  # the map is all there is to see
            self._ui.trustCheck.setChecked(results.trust is not None)
        self._results = results
        self._view.show(results)
        self._fade()
        self._trust()
        self._fill(results.report.get("rows", []))

    def _fill(self, rows):
        table = self._ui.reportTable
        table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            value = " ".join(part for part in (value_text(row.get("value", "")), row.get("unit", "")) if part)
            found = str(row.get("verdict", "not assessed"))
            limit = str(row.get("limit") or "")
            cells = (str(row.get("name", "")), f"{value} ({limit})" if limit else value, _(found))
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2:
                    item.setForeground(qt.QBrush(qt.QColor(texts.VERDICT_COLORS.get(found, texts.GREY))))
                table.setItem(index, column, item)

    def _sample(self, index):
        if self._results is not None and index >= 0:
            name = str(self._ui.sampleSelector.property("currentText"))
            self._ui.resultLabel.setText(texts.verdict(name, self._results.report))
            self._view.show(self._results, sample=index, fit=False)

    def _fade(self, *_unused):
        self._view.fade(int(self._ui.fadeSlider.property("value")) / 100.0)

    def _trust(self, *_unused):
        on = self._ui.trustCheck.isChecked()
        self._view.overlay(int(self._ui.trustSlider.property("value")) / 100.0 if on else 0.0)

    def _side_by_side(self, *_unused):
        on = self._ui.sideBySideCheck.isChecked()
        self._view.side_by_side(on)
        self._ui.fadeSlider.setEnabled(not on)
