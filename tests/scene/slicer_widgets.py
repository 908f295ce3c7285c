"""Stand-ins for the qMRML and ctk widgets of the module's panel, over PySide6."""

from __future__ import annotations

import slicer
import slicer.util
from PySide6 import QtCore, QtGui, QtWidgets

_HEADER = 26


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801 - Slicer's name
    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def setMRMLScene(self, scene):  # noqa: N802
        self.mrmlSceneChanged.emit(scene)


class ctkCollapsibleButton(QtWidgets.QWidget):  # noqa: N801
    """A header with an arrow; a click on it shows or hides what is inside."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(8, _HEADER, 8, 0)

    def _set_text(self, text):
        self._text = text

    def _set_collapsed(self, collapsed):
        self._collapsed = collapsed
        self._show_children()

    text = QtCore.Property(str, lambda self: self._text, _set_text)
    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)

    def _show_children(self):
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            child.setVisible(not self._collapsed)
        self.setMaximumHeight(_HEADER if self._collapsed else 16777215)

    def showEvent(self, event):  # noqa: N802
        if self._collapsed:
            self._show_children()
        super().showEvent(event)

    def mousePressEvent(self, event):  # noqa: N802
        if event.position().y() < _HEADER:
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, _event):  # noqa: N802
        painter = QtGui.QPainter(self)
        colors = self.palette()
        header = QtCore.QRect(0, 2, self.width(), _HEADER - 6)
        painter.fillRect(header, colors.color(QtGui.QPalette.Mid).lighter(125))
        if not self.isEnabled():
            colors.setCurrentColorGroup(QtGui.QPalette.Disabled)
        painter.setPen(colors.color(QtGui.QPalette.WindowText))
        arrow = "\u25b8" if self._collapsed else "\u25be"
        painter.drawText(header.adjusted(8, 0, 0, 0), QtCore.Qt.AlignVCenter, f"{arrow}  {self._text}")


class ctkPathLineEdit(QtWidgets.QWidget):  # noqa: N801
    """A path to type, and a button that chooses one."""

    currentPathChanged = QtCore.Signal(str)  # noqa: N815

    def __init__(self, parent=None):
        super().__init__(parent)
        self._edit, button = QtWidgets.QLineEdit(), QtWidgets.QToolButton(text="...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._edit)
        layout.addWidget(button)
        self._edit.textChanged.connect(self.currentPathChanged)

    def setCurrentPath(self, path):  # noqa: N802
        self._edit.setText(path)

    currentPath = QtCore.Property(str, lambda self: self._edit.text(), setCurrentPath)  # noqa: N815


class qMRMLNodeComboBox(QtWidgets.QWidget):  # noqa: N801
    """Lists the scene's nodes of some classes; `None` first when that is allowed."""

    currentNodeChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent=None):
        super().__init__(parent)
        self.nodeTypes, self.noneDisplay = [], "None"
        self.noneEnabled = self.addEnabled = self.removeEnabled = self.showChildNodeTypes = False
        self._scene, self._tags, self._ids = None, [], []
        self._combo = QtWidgets.QComboBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(lambda _i: self.currentNodeChanged.emit(self.currentNode()))

    def setMRMLScene(self, scene):  # noqa: N802
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")
        self._tags = [scene.AddObserver(getattr(scene, e), self._list) for e in events] if scene else []
        self._list()

    def currentNode(self):  # noqa: N802
        index = self._combo.currentIndex()
        found = self._ids[index] if 0 <= index < len(self._ids) else None
        return self._scene.GetNodeByID(found) if found and self._scene else None

    def setCurrentNode(self, node):  # noqa: N802
        wanted = node.GetID() if node is not None else None
        if wanted in self._ids:
            self._combo.setCurrentIndex(self._ids.index(wanted))

    def _list(self, *_unused):
        before = self.currentNode()
        nodes = [
            node
            for kind in self.nodeTypes
            for node in (slicer.util.getNodesByClass(kind, self._scene) if self._scene else [])
            if self.showChildNodeTypes or node.GetClassName() == kind
        ]
        self._combo.blockSignals(True)
        self._combo.clear()
        self._ids = ([None] if self.noneEnabled else []) + [node.GetID() for node in nodes]
        for found in self._ids:
            node = self._scene.GetNodeByID(found) if found else None
            self._combo.addItem(node.GetName() if node else self.noneDisplay)
        self.setCurrentNode(before)
        self._combo.blockSignals(False)
        if self.currentNode() is not before:
            self.currentNodeChanged.emit(self.currentNode())
