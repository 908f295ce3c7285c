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
        on_change: called when a selection changes; True when a person changed it.
    """

    def __init__(self, card, scene, *, inputs_parent, settings_parent, on_change):
        self.card = card
        self._on_change = on_change
        self._touched, self._choosing = set(), False
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
        """Take the widgets out of the panel; what they then say is no choice."""
        self._on_change = lambda _by_person: None
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
        self._touched = set()
        self._select({key: nodes.get(key) for key in self.selectors})

    def fill_empty(self, nodes):
        """Select nodes where nothing is selected, except where a person wanted nothing."""
        free = set(self.selectors) - set(self.inputs()) - self._touched
        self._select({key: node for key, node in nodes.items() if key in free})

    def _select(self, nodes):
        self._choosing = True
        for key, node in nodes.items():
            self.selectors[key].setCurrentNode(node)
        self._choosing = False

    def settings(self):
        """Setting key to value."""
        kinds = {setting["key"]: setting["kind"] for setting in self.card.get("settings", [])}
        return {key: value_of(widget, kinds[key]) for key, widget in self.controls.items()}

    def set(self, settings):
        """Set what this card has of these settings: key to value."""
        kinds = {setting["key"]: setting["kind"] for setting in self.card.get("settings", [])}
        for key, widget in self.controls.items():
            if key in settings:
                set_value(widget, kinds[key], settings[key])

    def _selector(self, port, scene):
        kinds = LABEL_NODES if cards.kind(port) == "labels" else _IMAGE_NODES
        selector = node_selector("input_" + port["key"], kinds, scene)
        selector.setToolTip(_("The volume given to the model as {name}").format(name=port["key"]))
        selector.currentNodeChanged.connect(lambda *_unused: self._changed(port["key"]))
        return selector

    def _changed(self, key):
        if not self._choosing:
            self._touched.add(key)
        self._on_change(not self._choosing)


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
    elif kind == "choice":
        widget = qt.QComboBox()
        for choice in setting.get("choices", []):
            widget.addItem(str(choice), str(choice))
    else:
        widget = qt.QSpinBox() if kind == "int" else qt.QDoubleSpinBox()
        low, high = setting.get("minimum"), setting.get("maximum")
        number = int if kind == "int" else float
        widget.setMinimum(number(low if low is not None else -1000000))
        widget.setMaximum(number(high if high is not None else 1000000))
        if kind == "float":
            widget.setDecimals(2)
            widget.setSingleStep(0.05 if high is not None and high <= 2 else 1.0)
    set_value(widget, kind, setting["default"])
    widget.setToolTip(setting.get("help", ""))
    return widget


def set_value(widget, kind, value):
    """Show a value in a widget of `control`; one that it does not offer changes nothing."""
    if kind == "bool":
        widget.setChecked(bool(value))
    elif kind == "choice":
        index = widget.findData(str(value))
        if index >= 0:
            widget.setCurrentIndex(index)
    else:
        widget.setValue(int(value) if kind == "int" else float(value))


def value_of(widget, kind):
    """What a person chose in a widget of `control`, in the setting's type."""
    if kind == "bool":
        return bool(widget.isChecked())
    if kind == "choice":
        return str(widget.itemData(widget.property("currentIndex")))
    value = widget.property("value")
    return int(value) if kind == "int" else float(value)
