"""The panel's part for annotation: the next case from the server's store, a corrected label back to it."""

from __future__ import annotations

import json
import uuid

from slicer.i18n import tr as _

from MedGANLib import segments, stored, texts
from MedGANLib.chore import Chore
from MedGANLib.form import fill, node_selector
from MedGANLib.segments import SEGMENTATION


class AnnotatePanel:
    """Owns the section Annotate.

    Args:
        ui: the widgets of MedGAN.ui.
        logic: the `SceneLogic`.
        on_image: called with the volume node of the next case.
        on_state: called when something starts or ends.
        guard: context manager around work on the scene; shows an exception to the person.
        chore: what runs the client script; a test may give another one.
    """

    def __init__(self, ui, logic, *, on_image, on_state, guard, chore=Chore):
        self._ui, self._logic, self._on_image = ui, logic, on_image
        self._chore = chore(ui.annotateMessage, on_state=on_state, guard=guard)
        self.selector = node_selector("labelSelector", (SEGMENTATION,), logic.scene)
        self.selector.setToolTip(_("The segmentation to submit, corrected in the Segment Editor"))
        self.selector.currentNodeChanged.connect(self._chosen)
        fill(ui.labelBox, [(_("Segmentation"), self.selector)])
        self._on_state = on_state
        self.set_strategies({})

    @property
    def is_running(self):
        """True while something is fetched or sent."""
        return self._chore.is_running

    def set_strategies(self, strategies):
        """Offer what the server can choose the next case by: {name: description}."""
        selector = self._ui.strategySelector
        before = str(selector.property("currentText"))
        selector.clear()
        for name in sorted(strategies):
            selector.addItem(name, name)
        if before in strategies:
            selector.setCurrentIndex(sorted(strategies).index(before))
        selector.setToolTip("\n".join(f"{name}: {strategies[name]}" for name in sorted(strategies)))

    def choose(self, segmentation):
        """Select a segmentation, for example the one that was just suggested."""
        self.selector.setCurrentNode(segmentation)

    def refresh(self, access, *, missing, busy):
        """Say what can be done now.

        Args:
            access: to the server, or None.
            missing: why nothing can be run there; empty when it can.
            busy: a run is on.
        """
        free = access is not None and not missing and not busy and not self.is_running
        strategies = int(self._ui.strategySelector.property("count")) > 0
        self._ui.nextButton.setEnabled(free and strategies)
        segmentation = self.selector.currentNode()
        image = segments.image_of(segmentation) if segmentation is not None else None
        self._ui.submitButton.setEnabled(free and image is not None)
        self._ui.labelTarget.setText(self._where(access, segmentation, image))

    def next(self, access, model):
        """Fetch the case that the strategy chooses; `model` suggests segmentations, or is empty."""
        strategy = str(self._ui.strategySelector.property("currentText"))
        more = ["--model", model] if model else []
        self._chore.start(
            access,
            lambda _folder: ["--next", strategy, *more],
            on_done=lambda event: self._arrived(event, access),
            doing=_("Choosing the next case; some strategies look at every image first"),
            failed=_("The case could not be loaded."),
        )

    def submit(self, access, labels):
        """Submit the chosen segmentation as the label of its image.

        Args:
            access: to the server.
            labels: what values mean there, for a segmentation that does not say so itself.
        """
        segmentation = self.selector.currentNode()
        image = segments.image_of(segmentation)
        known = stored.name_of(image, access)
        name = known or "case-" + uuid.uuid4().hex[:8]
        about = {"model": segmentation.GetAttribute("MedGAN.Model") or "", "corrected": True}

        def arguments(folder):
            values = None if segments.is_told(segmentation) else labels
            grid = stored.grid_of(image)
            path = self._logic.export(
                segmentation, folder, "label", reference=image, labels=values, grid=grid
            )
            found = ["--label", path, "--image", name, "--about", json.dumps(about)]
            return found if known else [*found, "--image-file", self._logic.export(image, folder, "image")]

        self._chore.start(
            access,
            arguments,
            on_done=lambda event: self._submitted(image, event["image"], access),
            doing=_("Sending the label"),
            failed=_("The label could not be prepared."),
        )

    def leave(self):
        """Wait for nothing any more."""
        self._chore.leave()

    def close(self):
        """Let go of the scene."""
        self.leave()
        self.selector.setMRMLScene(None)

    def _arrived(self, event, access):
        if not event["image"]:
            self._chore.say(texts.marked(texts.GREEN, _("Every image of the store has a label.")))
            return
        image = stored.load(self._logic, event["file"], event["image"], access)
        segmentation = self.selector.currentNode()
        if segmentation is not None and segments.image_of(segmentation) is not image:
            self.choose(None)  # it is of another case
        self._on_image(image)

    def _submitted(self, image, name, access):
        stored.note(image, name, access)
        said = _("Stored as the final label of {name}.").format(name=name)
        self._chore.say(texts.marked(texts.GREEN, said))

    def _chosen(self, *_unused):
        self._on_state()

    @staticmethod
    def _where(access, segmentation, image):
        if segmentation is None:
            return _("Choose the segmentation that you corrected.")
        if image is None:
            return _(
                "This segmentation is drawn on no volume: choose its source volume in the Segment Editor."
            )
        known = stored.name_of(image, access)
        if known:
            return _("Will be the label of the stored image {name}.").format(name=known)
        return _(
            "{name} is not in the server's store: Submit stores the volume there too, under a new name."
        ).format(name=image.GetName())
