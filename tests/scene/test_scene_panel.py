"""The module's real panel, clicked: real `.ui`, real MRML, real client process, real server."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from local_server import free_port
from MedGANLib.grids import copy_geometry, ijk_to_ras
from vtk.util import numpy_support

from tests.scene import slicer_adapter
from tests.scene.conftest import head, wait_until


def text(label):
    return label.property("text")


def connect(panel, address):
    panel.ui.serverEdit.setText(address)
    panel.ui.connectButton.click()
    wait_until(lambda: not panel.server.is_connecting)


def run(panel, seconds=90.0):
    """Click Run and wait for the end; gives the messages that were shown meanwhile."""
    messages = []

    def ended():
        messages.append((text(panel.ui.messageLabel), panel.ui.progressBar.value()))
        return not panel.runs.is_running

    panel.ui.runButton.click()
    wait_until(ended, seconds)
    return messages


def grab(panel, path):
    wait_until(lambda: panel.parent.grab().save(str(path)))


def results(headless):
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", headless.scene)
    return {node.GetName(): node for node in nodes if node.GetAttribute("MedGAN.Synthetic") == "true"}


def test_before_a_server_is_found_nothing_can_be_run(panel, pictures):
    assert not panel.ui.runButton.isEnabled()
    assert not panel.ui.cancelButton.isEnabled()
    assert not panel.ui.taskSection.isEnabled()
    assert not panel.ui.resultSection.isVisible()
    assert "Not connected" in text(panel.ui.serverStatus)
    grab(panel, pictures / "panel-1-start.png")


def test_a_server_that_is_not_there_is_said_with_what_to_do(panel, pictures):
    connect(panel, f"127.0.0.1:{free_port()}")
    status = text(panel.ui.serverStatus)
    assert "No server answers" in status
    assert "medgan serve" in status
    assert not panel.ui.runButton.isEnabled()
    grab(panel, pictures / "panel-2-no-server.png")


def test_entering_asks_a_server_on_this_computer_and_no_other(panel, server):
    panel.ui.serverEdit.setText("http://gpu.example.org:8000")
    panel.enter()
    assert not panel.server.is_connecting
    panel.ui.serverEdit.setText(server)
    panel.enter()
    wait_until(lambda: not panel.server.is_connecting)
    assert "Connected" in text(panel.ui.serverStatus)


def test_the_choices_come_from_the_servers_cards(panel, server, headless, oblique):
    connect(panel, server)
    assert "12 models" in text(panel.ui.serverStatus)
    tasks = [panel.ui.taskSelector.itemText(n) for n in range(panel.ui.taskSelector.count())]
    assert tasks[:4] == ["Translate contrast", "Denoise", "Restore", "Synthesize"]
    assert tasks[4:] == ["Suggest a segmentation", "Detect anomalies"]
    selectors = panel.tasks._form.selectors
    assert list(selectors) == ["T1", "T1post", "T2", "FLAIR"]
    assert selectors["T1"].currentNode() is oblique
    offered = [panel.ui.targetSelector.itemData(n) for n in range(panel.ui.targetSelector.count())]
    assert offered == ["T2", "FLAIR"]
    panel.ui.taskSelector.setCurrentIndex(1)
    assert list(panel.tasks._form.selectors) == ["image"]
    assert "strength" in panel.tasks._form.settings()
    assert not panel.ui.targetBox.isVisible()


def test_editing_the_address_disconnects(panel, server, oblique):
    connect(panel, server)
    assert panel.ui.runButton.isEnabled()
    panel.ui.serverEdit.textEdited.emit("x")
    assert not panel.ui.runButton.isEnabled()


def test_translate_gives_nodes_in_the_exact_place_of_the_input(panel, server, headless, oblique, pictures):
    connect(panel, server)
    messages = run(panel)
    assert messages[0] == ("Starting", 0)
    values = [value for _, value in messages if value]
    assert values == sorted(values)
    made = results(headless)
    assert set(made) == {"T2 (synthetic, from T1)", "T2 (synthetic, from T1): expected error"}
    for node in made.values():
        assert ijk_to_ras(node) == ijk_to_ras(oblique)
        assert slicer.util.arrayFromVolume(node).shape == (24, 64, 80)
        assert np.isfinite(slicer.util.arrayFromVolume(node)).all()
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == oblique.GetID()
    assert composite.GetForegroundVolumeID() == made["T2 (synthetic, from T1)"].GetID()
    assert panel.ui.resultSection.isVisible()
    assert panel.ui.reportTable.rowCount() > 0
    table = made["T2 (synthetic, from T1)"].GetNodeReference("MedGAN.Report")
    assert table.GetNumberOfRows() == panel.ui.reportTable.rowCount()
    assert not panel.ui.progressBar.isVisible()
    grab(panel, pictures / "panel-4-result.png")
    check_the_views_follow(panel, headless, made)


def check_the_views_follow(panel, headless, made):
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    panel.ui.fadeSlider.setValue(30)
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    panel.ui.trustCheck.click()
    trust = made["T2 (synthetic, from T1): expected error"]
    assert composite.GetNthLayerVolumeID(3) == trust.GetID()
    panel.ui.trustSlider.setValue(20)
    assert composite.GetNthLayerOpacity(3) == pytest.approx(0.2)
    panel.ui.trustCheck.click()
    assert composite.GetNthLayerVolumeID(3) is None
    panel.ui.sideBySideCheck.click()
    assert headless.slice_view("Yellow").GetSliceCompositeNode().GetForegroundVolumeID() is None
    panel.ui.sideBySideCheck.click()
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    layout = headless.scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    panel.ui.sideBySideCheck.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutSideBySideView
    panel.results.clear()
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpView


def test_denoise_shows_the_result_as_the_input_is_shown(panel, server, headless, oblique):
    connect(panel, server)
    panel.ui.taskSelector.setCurrentIndex(1)
    assert panel.tasks._form.inputs() == {"image": oblique}
    oblique.GetDisplayNode().SetAutoWindowLevel(0)
    oblique.GetDisplayNode().SetWindowLevel(700, 400)
    run(panel)
    made = results(headless)["sub-01 T1w (denoised)"]
    assert made.GetDisplayNode().GetWindow() == 700
    assert made.GetDisplayNode().GetLevel() == 400
    assert made.GetAttribute("MedGAN.Model") == "mr-denoise"


def choose(panel, task, model=""):
    panel.ui.taskSelector.setCurrentIndex(panel.ui.taskSelector.findData(task))
    if model:
        panel.ui.modelSelector.setCurrentIndex(panel.ui.modelSelector.findData(model))


def test_thick_slices_come_back_thin_on_a_grid_of_their_own(panel, server, headless, oblique, pictures):
    connect(panel, server)
    choose(panel, "restore", "mr-thin-slices")
    run(panel)
    made = results(headless)["sub-01 T1w (restored)"]
    assert slicer.util.arrayFromVolume(made).shape == (48, 64, 80)
    bounds = [[0.0] * 6, [0.0] * 6]
    for node, place in zip((made, oblique), bounds, strict=True):
        node.GetRASBounds(place)
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-3)
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == oblique.GetID()
    assert composite.GetForegroundVolumeID() == made.GetID()
    assert not panel.ui.trustCheck.isEnabled()
    grab(panel, pictures / "panel-6-thin-slices.png")


@pytest.mark.parametrize("kind", ["labels", "segmentation"])
def test_a_drawn_region_is_filled_and_nothing_else(panel, server, headless, oblique, pictures, kind):
    region = draw(headless, oblique, segmentation=kind == "segmentation")
    connect(panel, server)
    choose(panel, "restore", "mr-inpaint")
    assert panel.tasks._form.inputs() == {"image": oblique, "mask": drawn(headless, kind)}
    run(panel)
    made = slicer.util.arrayFromVolume(results(headless)["sub-01 T1w (restored)"])
    before = slicer.util.arrayFromVolume(oblique)
    assert (made[region] != before[region]).any()
    assert np.array_equal(made[~region], before[~region])
    assert headless.scene.GetFirstNodeByName("MedGAN export") is None
    grab(panel, pictures / f"panel-7-filled-{kind}.png")


def test_a_region_has_to_be_chosen(panel, server, oblique):
    connect(panel, server)
    choose(panel, "restore", "mr-inpaint")
    assert not panel.ui.runButton.isEnabled()
    assert "Region to fill" in panel.ui.runButton.toolTip()


def test_an_anomaly_map_is_laid_over_the_input(panel, server, headless, pictures):
    source = headless.add_volume(head((24, 64, 80)), None, "FLAIR", matrix=np.diag([1.1, 1.1, 3.0, 1.0]))
    connect(panel, server)
    choose(panel, "detect")
    assert panel.tasks._form.inputs() == {"FLAIR": source}
    run(panel)
    (name, made), *others = results(headless).items()
    assert (name, others) == ("FLAIR: anomaly map", [])
    assert made.GetAttribute("MedGAN.Unit").startswith("absolute difference")
    assert made.GetNodeReference("MedGAN.Report") is not None
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == source.GetID()
    assert composite.GetNthLayerVolumeID(3) == made.GetID()
    assert text(panel.ui.trustCheck) == "Anomaly map:"
    assert not panel.ui.sideBySideCheck.isEnabled()
    panel.ui.trustCheck.click()
    assert composite.GetNthLayerVolumeID(3) is None
    grab(panel, pictures / "panel-8-anomaly.png")


def draw(headless, volume, *, segmentation):
    """A box in a label map, or in a segmentation with one segment; gives the box as a mask (k, j, i)."""
    region = np.zeros((24, 64, 80), dtype=bool)
    region[10:14, 24:38, 30:46] = True
    node = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "region")
    image = vtk.vtkImageData()
    image.SetDimensions(80, 64, 24)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(region.ravel().astype(np.int16), deep=1))
    node.SetAndObserveImageData(image)
    copy_geometry(volume, node)
    if segmentation:
        made = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawing")
        assert slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(node, made)
        headless.scene.RemoveNode(node)
    return region


def drawn(headless, kind):
    return headless.scene.GetFirstNodeByName("drawing" if kind == "segmentation" else "region")


def test_a_refusal_is_shown_in_the_servers_words(panel, server, headless, pictures):
    headless.add_volume(head((24, 64, 80)) * 0 + 3, None, "T1 constant")
    connect(panel, server)
    run(panel)
    message = text(panel.ui.messageLabel)
    assert "constant" in message
    assert "Expected" in message
    assert "What to do" in message
    assert not results(headless)
    assert panel.ui.runButton.isEnabled()
    grab(panel, pictures / "panel-5-refused.png")


@pytest.fixture
def big(headless):
    """A volume that keeps the server busy for a while."""
    return headless.add_volume(head((160, 192, 192)), None, "T1 big")


def start_and_wait_for_work(panel):
    panel.ui.runButton.click()
    wait_until(lambda: panel.ui.progressBar.value() > 81 or not panel.runs.is_running)
    assert panel.runs.is_running


def test_a_volume_that_does_not_suit_runs_only_when_told_to(panel, server, headless):
    headless.add_volume(head((24, 40, 40)), None, "T1 tiny")
    connect(panel, server)
    run(panel)
    assert "does not suit" in text(panel.ui.messageLabel)
    panel.ui.unsuitableCheck.setChecked(True)
    run(panel)
    made = results(headless)["T2 (synthetic, from T1)"]
    assert made.GetAttribute("MedGAN.Verdict") == "fail"
    assert "failed" in text(panel.ui.resultLabel)


def jobs(server):
    import requests

    return requests.get(f"{server}/jobs", timeout=10).json()["jobs"]


def test_cancel_stops_the_work_and_adds_nothing(panel, server, headless, big, pictures):
    connect(panel, server)
    start_and_wait_for_work(panel)
    assert not panel.ui.runButton.isEnabled()
    assert panel.ui.cancelButton.isEnabled()
    assert panel.ui.progressBar.isVisible()
    grab(panel, pictures / "panel-3-running.png")
    panel.ui.cancelButton.click()
    wait_until(lambda: not panel.runs.is_running, 10)
    assert "Cancelled" in text(panel.ui.messageLabel)
    assert not results(headless)
    assert panel.ui.runButton.isEnabled()
    assert not [job for job in jobs(server) if job["state"] in ("queued", "running")]


def test_closing_the_scene_ends_the_run(panel, server, headless, big):
    connect(panel, server)
    start_and_wait_for_work(panel)
    headless.scene.Clear(0)
    assert not panel.runs.is_running
    assert not panel.ui.runButton.isEnabled()
    wait_until(lambda: not [job for job in jobs(server) if job["state"] in ("queued", "running")], 10)
    assert panel.tasks._form.inputs() == {}


def test_a_widget_class_that_is_not_known_is_an_error(tmp_path):
    good = (slicer_adapter.MODULE_FOLDER / "Resources/UI/MedGAN.ui").read_text(encoding="utf-8")
    bad = tmp_path / "bad.ui"
    bad.write_text(good.replace('class="QSlider"', 'class="ctkSliderWidgets"'), encoding="utf-8")
    with pytest.raises(ValueError, match="ctkSliderWidgets"):
        slicer_adapter.load_ui(bad)
