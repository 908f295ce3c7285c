"""The panel's part for annotation: the next case from the server's store, a corrected label back to it."""

from __future__ import annotations

import json
import logging

from slicer.i18n import tr as _

from MedGANLib import cards, errors, meaning, segments, stored, texts
from MedGANLib.chore import Chore
from MedGANLib.form import fill, node_selector
from MedGANLib.logic import SYNTHETIC
from MedGANLib.segments import SEGMENTATION

_CHEAP = ("first", "random")  # MONAI Label's strategies that ask no model


class AnnotatePanel:
    """Owns the section Annotate.

    Args:
        ui: the widgets of MedGAN.ui.
        logic: the `SceneLogic`.
        models: function that gives the cards of the server's suggesting models, and the chosen card or None.
        on_image: called with the volume node of the next case.
        on_state: called when something starts or ends.
        guard: context manager around work on the scene; shows an exception to the person.
        chore: what runs the client script; a test may give another one.
    """

    def __init__(self, ui, logic, *, models, on_image, on_state, guard, chore=Chore):
        self._ui, self._logic, self._models, self._on_image = ui, logic, models, on_image
        self._chore = chore(ui.annotateMessage, ui.annotateBar, on_state=on_state, guard=guard)
        self._strategy, self._named, self._unwatch = _CHEAP[0], None, lambda: None
        self._sent = None  # the image whose label is on its way, while it is in the scene
        self.selector = node_selector("labelSelector", (SEGMENTATION,), logic.scene)
        self.selector.setToolTip(_("The segmentation to submit, corrected in the Segment Editor"))
        self.selector.currentNodeChanged.connect(self._chosen)
        fill(ui.labelBox, [(_("Segmentation"), self.selector)])
        ui.annotateCancelButton.clicked.connect(self._chore.cancel)
        ui.caseEdit.textEdited.connect(self._changed)
        self._on_state = on_state
        self.set_strategies({})

    @property
    def is_running(self):
        """True while something is fetched or sent."""
        return self._chore.is_running

    def set_strategies(self, strategies):
        """Offer what the server can choose the next case by: {name: description}.

        The one that was used last is chosen, at first one that asks no model.
        """
        selector, names = self._ui.strategySelector, sorted(strategies)
        selector.clear()
        for name in names:
            selector.addItem(name, name)
        if self._strategy in names:
            selector.setCurrentIndex(names.index(self._strategy))
        selector.setToolTip("\n".join(f"{name}: {strategies[name]}" for name in names))

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
        self._ui.annotateCancelButton.setEnabled(self.is_running)
        self._name_case(access)
        lack = self._lack(access)
        self._ui.submitButton.setEnabled(free and not lack)
        self._ui.labelTarget.setText(lack or self._where(access))

    def next(self, access):
        """Fetch the case that the strategy chooses; it may ask the chosen model, or else the first."""
        self._strategy = strategy = str(self._ui.strategySelector.property("currentText"))
        more = self._asked() if strategy not in _CHEAP else []
        self._chore.start(
            access,
            lambda _folder: ["--next", strategy, *more],
            on_done=lambda event: self._arrived(event, access),
            doing=_("Choosing the next case; some strategies look at every image first"),
            failed=_("The case could not be loaded."),
        )

    def submit(self, access):
        """Submit the chosen segmentation as the label of its image; what is missing is said instead."""
        self._name_case(access)
        lack = self._lack(access)
        if lack:
            self._chore.refuse(lack)
            return
        segmentation = self.selector.currentNode()
        image, labels = segments.image_of(segmentation), self._meaning(segmentation).labels
        known = stored.name_of(image, access)
        name = known or self._case()
        about = {"model": segmentation.GetAttribute("MedGAN.Model") or "", "corrected": True}

        def arguments(folder):
            self._sent = image
            grid = stored.grid_of(image)
            path = self._logic.export(
                segmentation, folder, "label", reference=image, labels=labels, grid=grid
            )
            found = ["--label", path, "--image", name, "--about", json.dumps(about)]
            if known:
                return [*found, "--image-sum", stored.sum_of(image)]
            return [*found, "--image-file", self._logic.export(image, folder, "image")]

        self._chore.start(
            access,
            arguments,
            on_done=lambda event: self._submitted(event, name),
            on_event=lambda event: self._image_stored(event, name, access),
            on_error=lambda error: self._not_submitted(error, name),
            doing=_("Sending the label"),
            failed=_("The label could not be prepared."),
            lasts=True,
        )

    def leave(self, *, wait=False):
        """Let go of the images, and of the next case; a label on its way is sent to its end."""
        self._sent = None
        self._chore.leave(wait=wait)

    def close(self):
        """Let go of the scene."""
        self.leave(wait=True)
        self._unwatch()
        self.selector.setMRMLScene(None)

    def _asked(self):
        """Names the model that a strategy asks, by which the client knows its own job."""
        models, chosen = self._models()
        able = [card for card in models if len(cards.inputs(card)) == 1]
        first = chosen if chosen in models else next(iter(able), None)
        return ["--model", first["name"]] if first else []

    def _arrived(self, event, access):
        if not event["image"]:
            self._chore.say(texts.marked(texts.GREEN, _("Every image of the store has a label.")))
            return
        image = stored.load(self._logic, event["file"], event["image"], event["sha256"], access)
        segmentation = self.selector.currentNode()
        if segmentation is not None and segments.image_of(segmentation) is not image:
            self.choose(None)  # it is of another case
        self._on_image(image)

    def _image_stored(self, event, name, access):
        if event["event"] == "stored" and self._sent is not None:
            stored.note(self._sent, name, event["sha256"], access)

    def _submitted(self, event, name):
        self._chore.say(texts.submitted(name, event.get("note", "")))

    def _not_submitted(self, error, name):
        if self._sent is None:  # the panel may be gone
            logging.error("MedGAN: the label of %s was not stored. %s", name, errors.text_of(error))

    def _chosen(self, *_unused):
        self._unwatch()
        self._unwatch = segments.watch(self.selector.currentNode(), self._changed)
        self._changed()

    def _changed(self, *_unused):
        self._on_state()

    def _meaning(self, segmentation):
        return meaning.of(segmentation, *self._models())

    def _case(self):
        return str(self._ui.caseEdit.property("text")).strip()

    def _name_case(self, access):
        """Propose a name for a volume that is not stored yet; one that was typed for it stays."""
        if access is None:
            return
        segmentation = self.selector.currentNode()
        image = segments.image_of(segmentation) if segmentation is not None else None
        new = image if image is not None and not stored.name_of(image, access) else None
        self._ui.caseBox.setVisible(new is not None)
        if new is not None and new.GetID() != self._named:
            self._ui.caseEdit.setText(stored.new_name(new))
        self._named = new.GetID() if new is not None else None

    def _lack(self, access):
        """What has to be done before a label can be submitted; empty when nothing has."""
        segmentation = self.selector.currentNode()
        if segmentation is None:
            return _("Choose the segmentation that you corrected.")
        image = segments.image_of(segmentation)
        if image is None:
            return _(
                "This segmentation is drawn on no volume: choose its source volume in the Segment Editor."
            )
        if image.GetAttribute(SYNTHETIC) == "true":
            return _(
                "{name} is synthetic, and models are tuned on scans. In the Segment Editor choose as source "
                "volume the scan that it was made from; the segmentation may stay."
            ).format(name=image.GetName())
        if access is None:
            return _("Connect to a server.")
        if not stored.name_of(image, access) and not stored.is_name(self._case()):
            return _("Give the case a name of letters, digits, dots, - and _.")
        return self._meaning(segmentation).lack

    def _where(self, access):
        segmentation = self.selector.currentNode()
        image = segments.image_of(segmentation)
        known = stored.name_of(image, access)
        if known:
            text = _("Will be the label of the stored image {name}.").format(name=known)
        else:
            text = _("{name} is not in the server's store: Submit stores the volume there too, as {case}.")
            text = text.format(name=image.GetName(), case=self._case())
        return text + "\n" + self._meaning(segmentation).text
