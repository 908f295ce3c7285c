"""Widgets built from a model's card: one selector per input, one control per setting."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from MedGANLib import cards

_IMAGE_NODES = ("vtkMRMLScalarVolumeNode",)
LABEL_NODES = ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")
LABEL_WIDTH = 122  # as in MedGAN.ui, so that all forms line up


class CardForm:
    """The inputs and settings of one card.

    Args:
        card: of the model.
        scene: the MRML scene.
        inputs_parent: container widget (with a layout) for the selectors.
        settings_parent: container widget (with a layout) for the settings.
        on_change: called when a selection changes.
    """

    def __init__(self, card, scene, *, inputs_parent, settings_parent, on_change):
        self.card = card
        self._on_change = on_change
        self.selectors = {port["key"]: self._selector(port, scene) for port in cards.inputs(card)}
        self.controls = {setting["key"]: control(setting) for setting in card.get("settings", [])}
        ports = {port["key"]: port for port in cards.inputs(card)}
        rows = [(label_of(ports[key], card), widget) for key, widget in self.selectors.items()]
        self._bodies = [fill(inputs_parent, rows)]
        titles = {
            setting["key"]: setting.get("title") or setting["key"] for setting in card.get("settings", [])
        }
        rows = [(titles[key], widget) for key, widget in self.controls.items()]
        self._bodies.append(fill(settings_parent, rows))

    def remove(self):
        """Take the widgets out of the panel."""
        for selector in self.selectors.values():
            selector.setMRMLScene(None)
        for body in self._bodies:
            body.setParent(None)
            body.deleteLater()
        self._bodies = []

    def inputs(self):
        """Input key to the chosen node, for the inputs that have one."""
        chosen = {key: selector.currentNode() for key, selector in self.selectors.items()}
        return {key: node for key, node in chosen.items() if node is not None}

    def choose(self, nodes):
        """Select nodes: input key to node or None."""
        for key, selector in self.selectors.items():
            selector.setCurrentNode(nodes.get(key))

    def settings(self):
        """Setting key to value."""
        kinds = {setting["key"]: setting["kind"] for setting in self.card.get("settings", [])}
        return {key: value_of(widget, kinds[key]) for key, widget in self.controls.items()}

    def _selector(self, port, scene):
        kinds = LABEL_NODES if cards.kind(port) == "labels" else _IMAGE_NODES
        selector = node_selector("input_" + port["key"], kinds, scene)
        selector.setToolTip(_("The volume given to the model as {name}").format(name=port["key"]))
        selector.currentNodeChanged.connect(self._changed)
        return selector

    def _changed(self, *_unused):
        self._on_change()


def node_selector(name, kinds, scene):
    """A list of the scene's nodes of some classes, with nothing chosen."""
    selector = slicer.qMRMLNodeComboBox()
    selector.setProperty("objectName", name)
    selector.nodeTypes = list(kinds)
    selector.showChildNodeTypes = False
    selector.noneEnabled = True
    selector.addEnabled = False
    selector.removeEnabled = False
    selector.noneDisplay = _("none")
    selector.setMRMLScene(scene)
    selector.setCurrentNode(None)
    return selector


def label_of(port, card):
    """A row's label: the port's title; inputs that a run can do without are marked as optional."""
    title = port.get("title") or port["key"]
    some = any(other.get("required") for other in cards.inputs(card))
    if port.get("required") or not (some or cards.from_nothing(card)):
        return title
    return _("{title} (optional)").format(title=title)


def fill(parent, rows):
    """A new form with the rows inside of `parent`; returns its widget."""
    body = qt.QWidget()
    layout = qt.QFormLayout(body)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(qt.QFormLayout.AllNonFixedFieldsGrow)
    for label, widget in rows:
        title = qt.QLabel(label + ":")
        title.setFixedWidth(LABEL_WIDTH)
        title.setWordWrap(True)
        layout.addRow(title, widget)
    parent.layout().addWidget(body)
    return body


def control(setting):
    """The widget for one setting of a card."""
    kind = setting["kind"]
    if kind == "bool":
        widget = qt.QCheckBox()
        widget.setChecked(bool(setting["default"]))
    elif kind == "choice":
        widget = qt.QComboBox()
        for choice in setting.get("choices", []):
            widget.addItem(str(choice), str(choice))
        widget.setCurrentIndex(widget.findData(str(setting["default"])))
    else:
        widget = qt.QSpinBox() if kind == "int" else qt.QDoubleSpinBox()
        low, high = setting.get("minimum"), setting.get("maximum")
        number = int if kind == "int" else float
        widget.setMinimum(number(low if low is not None else -1000000))
        widget.setMaximum(number(high if high is not None else 1000000))
        if kind == "float":
            widget.setDecimals(2)
            widget.setSingleStep(0.05 if high is not None and high <= 2 else 1.0)
        widget.setValue(number(setting["default"]))
    widget.setToolTip(setting.get("help", ""))
    return widget


def value_of(widget, kind):
    """What a person chose in a widget of `control`, in the setting's type."""
    if kind == "bool":
        return bool(widget.isChecked())
    if kind == "choice":
        return str(widget.itemData(widget.property("currentIndex")))
    value = widget.property("value")
    return int(value) if kind == "int" else float(value)
