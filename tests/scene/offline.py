"""The panel without a server: cards of the shipped models, and a client that says what a test tells it to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from headless import vtk_image
from MedGANLib import segments
from MedGANLib.access import Access
from MedGANLib.grids import copy_geometry

import medgan_core
from tests.scene.conftest import head

HERE = Access("http://127.0.0.1:9")
CARDS = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(medgan_core.__file__).parent / "models").glob("*/card.json"))
]
STRATEGIES = {name: name for name in ("diversity", "epistemic", "first", "random")}
REPORT = {"verdict": "pass", "rows": [], "provenance": {}}


class Script:
    """Stand-in for `ClientProcess`; the test says how it goes on."""

    def __init__(self, arguments, *, token="", on_event, on_end):
        self.arguments, self.say, self.end, self.asked = arguments, on_event, on_end, []
        self.is_running = True

    def cancel(self):
        """Asked to cancel."""
        self.asked.append("cancel")

    def stop(self, then=None):
        """Asked to end."""
        self.asked.append("stop")

    leave = stop

    def wait(self, milliseconds=0):
        """It has ended already."""

    def option(self, name):
        """What follows an option on the command line."""
        return self.arguments[self.arguments.index(name) + 1]

    def fail(self, code, **parts):
        """The script ends with an error."""
        self.end({"event": "error", "error": {"code": code, "what": "It failed", **parts}})

    def done(self, **fields):
        """The script ends well."""
        self.end({"event": "done", **fields})


def scripted(part):
    """Give a `RunPanel`, `ServerPanel` or `Chore` scripts; the list of those it started, as they come."""
    started = []

    def start(*arguments, **options):
        started.append(Script(*arguments, **options))
        return started[-1]

    part._start = start
    return started


def ready(panel, cards=CARDS):
    """As after Connect."""
    panel.server.access, panel.server._role = HERE, "admin"
    panel.annotation.set_strategies(STRATEGIES)
    panel.tasks.set_cards(cards)
    panel.update()


def volume(headless, name):
    """A small head."""
    return headless.add_volume(head((24, 40, 40)), None, name, matrix=np.diag([1.1, 1.1, 3.0, 1.0]))


def drawn_on(headless, image, labels, *, values=(1, 2), name="drawing"):
    """A segmentation on an image with a box of each value."""
    voxels = np.zeros((24, 40, 40), dtype=np.int16)
    for number, value in enumerate(values):
        voxels[4 + 6 * number : 8 + 6 * number, 10:20, 12:30] = value
    drawn = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "drawn")
    drawn.SetAndObserveImageData(vtk_image(voxels))
    copy_geometry(image, drawn)
    made = segments.from_label_map(headless.scene, drawn, labels, name, image=image)
    segments.remove(headless.scene, drawn)
    return made


def drawn_by_hand(headless, image, *names):
    """A segmentation as a person makes it: its segments have names, and nobody knows their values."""
    made = drawn_on(headless, image, [], values=range(1, len(names) + 1))
    for (_, segment), name in zip(segments.each(made), names, strict=True):
        segment.SetName(name)
    return made
