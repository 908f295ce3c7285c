"""What becomes of a result in the panel, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer.util
from MedGANLib.logic import SceneLogic

from tests.scene.offline import REPORT, drawn_on, ready, scripted, volume
from tests.scene.test_scene_panel import choose, text


def nodes_of(headless):
    return {headless.scene.GetNthNode(n).GetID() for n in range(headless.scene.GetNumberOfNodes())}


@pytest.fixture
def label_map(headless):
    """A label map volume as Slicer loads it: with a display node."""
    made = drawn_on(headless, volume(headless, "T1"), [])
    node = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "my label map")
    slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(made, node, 0)
    node.CreateDefaultDisplayNodes()
    return node


def test_a_result_that_cannot_be_loaded_leaves_nothing_and_is_loaded_later(
    panel, headless, label_map, tmp_path
):
    ready(panel)
    started = scripted(panel.runs)
    choose(panel, "synthesize", "hippocampus-synthesize")
    panel.tasks._form.choose({"labels": label_map})
    panel.onRun()
    (script,) = started
    files = {"image": SceneLogic(headless.scene).export(label_map, script.option("--out"), "image")}
    files["segmentation"] = str(Path(script.option("--out")) / "segmentation.nrrd")
    before = nodes_of(headless)
    with pytest.raises(RuntimeError, match="cannot be read"):
        script.done(files=files, report=REPORT)
    assert nodes_of(headless) - before <= {panel.logic.nodes.parameter_node().GetID()}
    assert not panel.runs.is_running
    assert "could not be loaded" in text(panel.ui.messageLabel)
    assert panel.ui.resumeButton.isEnabled()
    Path(files["segmentation"]).write_bytes(Path(files["image"]).read_bytes())
    panel.ui.resumeButton.click()
    assert text(panel.ui.messageLabel) == ""
    assert panel.ui.resultSection.isVisible()
    assert not panel.ui.resumeButton.isVisible()
    assert not Path(files["image"]).exists()
