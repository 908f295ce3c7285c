"""What becomes of a result in the panel, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer.util
from MedGANLib import segments
from MedGANLib.logic import SceneLogic
from MedGANLib.results import Request, load_results

from tests.scene.offline import CARDS, HERE, REPORT, drawn_on, ready, scripted, volume
from tests.scene.test_scene_panel import choose, text

SUGGEST = next(card for card in CARDS if card["name"] == "hippocampus-suggest")


def suggest(panel, headless, image, folder):
    """A run of a suggesting model on an image; gives its segmentation."""
    logic = SceneLogic(headless.scene)
    drawn = drawn_on(headless, image, SUGGEST["outputs"][0]["labels"])
    files = {"segmentation": logic.export(drawn, str(folder), "s", reference=image)}
    files["uncertainty"] = logic.export(image, str(folder), "u")
    headless.scene.RemoveNode(drawn)
    request = Request(HERE.server, SUGGEST, {"image": image}, "segmentation")
    results = load_results(logic, request, files, REPORT)
    panel.show(results)
    return results.segmentations["segmentation"]


def visible(headless):
    return [one.GetName() for one in segments.in_scene(headless.scene) if one.GetDisplayVisibility()]


def test_the_segmentation_of_one_case_does_not_lie_over_another(panel, headless, tmp_path):
    first, second = volume(headless, "case-a"), volume(headless, "case-b")
    ready(panel)
    by_hand = drawn_on(headless, second, [], name="by hand")
    suggest(panel, headless, first, tmp_path)
    assert visible(headless) == ["by hand", "case-a (suggested)"]
    panel.onNextCase(second)
    assert visible(headless) == ["by hand"]
    suggest(panel, headless, second, tmp_path)
    assert visible(headless) == ["by hand", "case-b (suggested)"]
    panel.onNextCase(first)
    assert visible(headless) == []
    assert by_hand.GetSegmentation().GetNumberOfSegments() == 2


def test_repeated_results_have_names_of_their_own(panel, headless, tmp_path):
    image = volume(headless, "case-a")
    ready(panel)
    for _ in range(2):
        suggest(panel, headless, image, tmp_path)
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode", "vtkMRMLTableNode"):
        names = [node.GetName() for node in slicer.util.getNodesByClass(kind, headless.scene)]
        assert len(names) >= 2
        assert len(set(names)) == len(names)


def test_a_case_that_is_in_the_scene_is_not_loaded_again(panel, headless, tmp_path):
    ready(panel)
    source = volume(headless, "x")
    path = SceneLogic(headless.scene).export(source, str(tmp_path), "image")
    headless.scene.RemoveNode(source)
    started = scripted(panel.annotation._chore)
    for _ in range(2):
        panel.ui.nextButton.click()
        started[-1].done(image="c0", file=path, sha256="0")
    assert [node.GetName() for node in panel.logic.nodes.volumes()] == ["c0"]
    (case,) = panel.logic.nodes.volumes()
    drawing = drawn_on(headless, case, [])
    panel.annotation.choose(drawing)
    for name, left in (("c0", drawing), ("c1", None)):
        panel.ui.nextButton.click()
        started[-1].done(image=name, file=path, sha256="0")
        assert panel.annotation.selector.currentNode() is left


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
