"""Stand-ins for what Slicer's window adds to its core, over PySide6: enough to drive the module's real panel.

The MRML library is the real one (slicer-core), so is Qt; only the qMRML and ctk widgets, Slicer's application
object and its Python base classes are small stand-ins. Nothing here may be lenient: a widget class or a
signal that is not known is an error, as it would be in Slicer.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import slicer
import slicer.util
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtUiTools import QUiLoader

from tests.scene import EXTENSION
from tests.scene.slicer_widgets import ctkCollapsibleButton, ctkPathLineEdit, qMRMLNodeComboBox, qMRMLWidget

MODULE_FOLDER = EXTENSION / "MedGAN"
_WIDGETS = {
    cls.__name__: cls for cls in (qMRMLWidget, ctkCollapsibleButton, ctkPathLineEdit, qMRMLNodeComboBox)
}


class _Loader(QUiLoader):
    """Makes the `.ui` file's widgets; a class that is neither Qt's nor a stand-in is an error."""

    unknown: list[str]

    def createWidget(self, class_name, parent=None, name=""):  # noqa: N802
        if class_name in _WIDGETS:
            widget = _WIDGETS[class_name](parent)
            widget.setObjectName(name)
            return widget
        if class_name not in self.availableWidgets():
            self.unknown.append(class_name)
            raise ValueError(f"{class_name} is not a widget class that is known here")
        return super().createWidget(class_name, parent, name)


def load_ui(path):
    """What slicer.util.loadUI does.

    Raises:
        ValueError: when the file names a widget class that is not known.
    """
    loader = _Loader()
    loader.unknown = []
    widget = loader.load(str(path))
    if loader.unknown or widget is None:
        raise ValueError(f"{path}: {loader.unknown or loader.errorString()}")
    return widget


def child_widget_variables(widget):
    """What slicer.util.childWidgetVariables does: every named child as an attribute."""
    children = {child.objectName(): child for child in widget.findChildren(QtWidgets.QWidget)}
    return types.SimpleNamespace(**{name: child for name, child in children.items() if name.isidentifier()})


class _Widget:
    """Slicer's ScriptedLoadableModuleWidget, in short."""

    def __init__(self, parent=None):
        self.parent = parent or QtWidgets.QWidget()
        self.layout = self.parent.layout() or QtWidgets.QVBoxLayout(self.parent)

    def setup(self):
        self.layout.setContentsMargins(6, 6, 6, 6)

    def resourcePath(self, name):  # noqa: N802
        return str(MODULE_FOLDER / "Resources" / name)


class _Module:
    def __init__(self, parent):
        self.parent = parent


class _Application:
    """The few calls of slicer.app that the module makes."""

    def __init__(self, logic: Any):
        self._logic = logic

    def connect(self, signal, slot):
        if signal != "startupCompleted()":
            raise ValueError(f"no signal {signal}")

    def testingEnabled(self):  # noqa: N802
        return True

    def applicationLogic(self):  # noqa: N802
        return self._logic


def _qt_name(name):
    for part in (QtCore, QtGui, QtWidgets):
        if hasattr(part, name):
            return getattr(part, name)
    raise AttributeError(f"Qt has no {name}")


def _install_modules() -> None:
    qt = types.ModuleType("qt")
    qt.__getattr__ = _qt_name
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda _context, text: text
    base = types.ModuleType("slicer.ScriptedLoadableModule")
    base.ScriptedLoadableModule, base.ScriptedLoadableModuleWidget = _Module, _Widget
    base.ScriptedLoadableModuleLogic = type(
        "ScriptedLoadableModuleLogic", (), {"__init__": lambda self: None}
    )
    base.ScriptedLoadableModuleTest = type("ScriptedLoadableModuleTest", (), {})
    sys.modules.update({"qt": qt, "slicer.i18n": i18n, "slicer.ScriptedLoadableModule": base})
    slicer.util.loadUI, slicer.util.childWidgetVariables = load_ui, child_widget_variables
    slicer.qMRMLNodeComboBox = qMRMLNodeComboBox


def open_in(scene: Any, application_logic: Any) -> Any:
    """Make a scene the one of Slicer's application; returns the imported module `MedGAN`."""
    slicer.app, slicer.mrmlScene = _Application(application_logic), scene
    return importlib.import_module("MedGAN")


_install_modules()
