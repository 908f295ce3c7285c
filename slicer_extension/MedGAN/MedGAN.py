"""MedGAN for 3D Slicer: synthetic volumes and suggested segmentations from a server, into the scene."""

import os

import slicer
import vtk
from MedGANLib import texts
from MedGANLib.annotate_panel import AnnotatePanel
from MedGANLib.logic import SceneLogic
from MedGANLib.result_panel import ResultPanel
from MedGANLib.run_panel import RunPanel
from MedGANLib.server_panel import ServerPanel
from MedGANLib.task_panel import TaskPanel
from MedGANLib.tune_panel import TunePanel
from MedGANLib.view import SceneView
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

SAMPLE_URI = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
SAMPLE_SHA256 = "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"


class MedGAN(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedGAN")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["The MedGAN authors"]
        self.parent.helpText = _(
            "Makes a missing MR contrast from the ones that are there, removes noise, makes thin slices of "
            "thick ones, fills a drawn region, shows what is unusual, draws images with their segmentations "
            "and suggests segmentations to correct, with models that run on a MedGAN server. Start one with "
            "<tt>medgan serve</tt>, on this computer or on a workstation with a GPU, and connect to it; "
            "volumes are sent to that server only. Every result comes with a report of what was checked, "
            "node attributes that say how it was made and, where the model has one, a map of where not to "
            "trust it.<br/><br/><b>Results are synthetic. They are for research and must not be used "
            "for diagnosis or treatment.</b>"
        )
        self.parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI, MONAI Label, PyTorch and SimpleITK. The cards of the models name the "
            "data they were trained on and its licences."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data():
    """Offer the tutorial's T1-weighted head in the Sample Data module (fetched when it is clicked)."""
    import SampleData

    folder = os.path.join(os.path.dirname(__file__), "Resources", "Icons")
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="MedGAN",
        sampleName="MedGANHeadT1",
        thumbnailFileName=os.path.join(folder, "MedGAN.png"),
        uris=SAMPLE_URI + SAMPLE_SHA256,
        fileNames="MR-head.nrrd",
        checksums="SHA256:" + SAMPLE_SHA256,
        nodeNames="MRHead T1",
    )


class MedGANLogic(ScriptedLoadableModuleLogic):
    """The scene logic and the views, as Slicer's other modules find them; usable without the panel."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.nodes = SceneLogic(slicer.mrmlScene)
        self.view = SceneView(slicer.mrmlScene)


class MedGANWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel; its parts are classes of their own.

    Args:
        parent: the widget that Slicer gives.
        logic: a `MedGANLogic`; made when it is not given.
    """

    def __init__(self, parent=None, logic=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = logic

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = self.logic or MedGANLogic()
        widget = slicer.util.loadUI(self.resourcePath("UI/MedGAN.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        ui, nodes = self.ui, self.logic.nodes
        self.results = ResultPanel(ui, self.logic.view)
        self.runs = RunPanel(
            ui,
            nodes,
            on_results=self.show,
            on_state=self.update,
            guard=slicer.util.tryWithErrorDisplay,
        )
        watched = {"on_state": self.update, "guard": slicer.util.tryWithErrorDisplay}
        self.annotation = AnnotatePanel(
            ui,
            nodes,
            models=lambda: (self.tasks.suggesting, self.tasks.card),
            on_image=self.onNextCase,
            **watched,
        )
        self.tuning = TunePanel(ui, on_version=self.onVersion, **watched)
        self.tasks = TaskPanel(ui, nodes, on_change=self.update)
        self.server = ServerPanel(
            ui,
            on_cards=self.tasks.set_cards,
            on_strategies=self.annotation.set_strategies,
            on_tunings=self.tuning.offer,
        )
        ui.runButton.clicked.connect(self.onRun)
        ui.resumeButton.clicked.connect(self.onResume)
        for button, act in (
            (ui.nextButton, self.annotation.next),
            (ui.submitButton, self.annotation.submit),
            (ui.tuneButton, self.tuning.tune),
            (ui.tuneResumeButton, self.tuning.resume),
            (ui.versionsButton, self.tuning.show_versions),
            (ui.useButton, self.tuning.use),
        ):
            button.clicked.connect(lambda *_unused, act=act: act(self.server.access))
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.update()

    def enter(self):
        """The panel is opened: a server on this computer is asked at once, others wait for Connect."""
        self.server.connect_if_local()
        self.tasks.fill_inputs()
        self.update()

    def exit(self):
        """The panel is left; a run goes on and its result arrives in the scene."""

    def cleanup(self):
        """The module goes away: nothing keeps running, nothing keeps observing."""
        self.runs.stop(wait=True)
        self.runs.forget()
        self.server.stop(wait=True)
        self.tuning.leave(wait=True)
        self.annotation.close()
        self.tasks.close()
        self.removeObservers()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onSceneStartClose(self, _caller, _event, _node=None):
        """The scene closes: stop the run whose input goes away, let go of all nodes."""
        self.runs.stop()
        self.runs.forget()
        self.annotation.leave()
        self.results.clear()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onSceneEndClose(self, _caller, _event, _node=None):
        """Another scene is there: choose inputs again."""
        self.tasks.refresh_inputs()
        self.update()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, _caller, _event, _node=None):
        """A volume or segmentation may be gone: say again what can be done."""
        if not slicer.mrmlScene.IsClosing():
            self.update()

    def onRun(self, *_unused):
        """Run what is chosen; what is missing by now is said instead."""
        lack = self.server.missing() or self.tasks.missing()
        if lack:
            self.runs.say(texts.marked(texts.RED, lack))
            self.update()
            return
        self.runs.start(self.tasks.request(self.server.access.server), self.server.access)

    def onResume(self, *_unused):
        """Go on with the job that the server kept, or with its result."""
        self.runs.resume(self.server.access)

    def onNextCase(self, node):
        """The next case is in the scene: show it, and choose it as input."""
        self.results.clear()
        self.logic.view.open(node)
        self.tasks.use_image(node)

    def onVersion(self):
        """Another version of a model is in use: read the cards again."""
        self.server.refresh()

    def show(self, results):
        """Show what a run made; a suggestion is ready to be corrected and submitted."""
        self.results.show(results)
        if results.segmentations and not results.images:
            self.annotation.choose(next(iter(results.segmentations.values())))

    def update(self):
        """Say in the Run button what can be done now."""
        if not hasattr(self, "server"):  # still being built
            return
        running, no_server = self.runs.is_running, self.server.missing()
        missing = no_server or self.tasks.missing()
        self.ui.runButton.setEnabled(not running and not missing)
        reached = None if no_server else self.server.access
        self.ui.resumeButton.setEnabled(not running and self.runs.can_resume(reached))
        self.ui.runButton.setToolTip(missing or _("Run the model on the server"))
        self.ui.connectButton.setEnabled(not running)
        for edit in (self.ui.serverEdit, self.ui.tokenEdit, self.ui.caFileEdit):
            edit.setEnabled(not running)
        self.tasks.set_enabled(not running and self.tasks.card is not None)
        self.tuning.show_model(self.tasks.card["name"] if self.tasks.card else "")
        for part in (self.annotation, self.tuning):
            part.refresh(self.server.access, missing=no_server, busy=running)


class MedGANTest(ScriptedLoadableModuleTest):
    """Run inside of Slicer (Developer mode: Reload and Test, or ctest)."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """The tests that need no server."""
        self.setUp()
        self.test_export_and_load_keep_the_geometry()

    def test_export_and_load_keep_the_geometry(self):
        """A volume that is exported and loaded again is the same, in the same place."""
        import tempfile

        import numpy as np

        voxels = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
        matrix = [[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 11.0], [0.0, 0.0, 0.0, 1.0]]
        node = slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.array(matrix), name="T1")
        logic = MedGANLogic().nodes
        with tempfile.TemporaryDirectory() as folder:
            copy = logic.load(logic.export(node, folder, "T1"), "copy", node)
        assert np.array_equal(slicer.util.arrayFromVolume(copy), voxels)
        first, second = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(first)
        copy.GetIJKToRASMatrix(second)
        for row in range(4):
            for column in range(4):
                assert first.GetElement(row, column) == second.GetElement(row, column)
