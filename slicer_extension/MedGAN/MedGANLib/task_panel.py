"""The panel's part that says what to do: task, model, inputs, target, settings; all built from the cards."""

from __future__ import annotations

from slicer.i18n import tr as _

from MedGANLib import cards, contrasts
from MedGANLib.form import CardForm
from MedGANLib.results import Request


class TaskPanel:
    """Owns the task and settings sections.

    Args:
        ui: the widgets of MedGAN.ui.
        logic: the `SceneLogic`.
        on_change: called whenever something was chosen.
    """

    def __init__(self, ui, logic, *, on_change):
        self._ui, self._logic, self._on_change = ui, logic, on_change
        self._groups, self._form, self._busy = {}, None, False
        ui.taskSelector.currentIndexChanged.connect(self._task_chosen)
        ui.modelSelector.currentIndexChanged.connect(self._model_chosen)
        ui.targetSelector.currentIndexChanged.connect(self._changed)
        self.set_cards([])

    @property
    def card(self):
        """The chosen model's card, or None."""
        chosen = self._chosen(self._ui.modelSelector)
        models = self._groups.get(self._chosen(self._ui.taskSelector), [])
        return next((card for card in models if card["name"] == chosen), None)

    @property
    def suggesting(self):
        """Cards of the models that suggest segmentations."""
        return self._groups.get("suggest", [])

    @property
    def target(self):
        """Key of the wanted output, or an empty string."""
        return self._chosen(self._ui.targetSelector) or ""

    def set_cards(self, models):
        """Offer the tasks of these cards; keeps what was chosen before where it is still there."""
        self._groups = cards.by_task(models)
        wanted = self._chosen(self._ui.taskSelector) or self._logic.remembered("Task")
        choices = [(task, _(cards.task_title(task))) for task in self._groups]
        self._fill(self._ui.taskSelector, choices, wanted)
        self._task_chosen()

    def refresh_inputs(self):
        """Choose inputs again (a scene was loaded or closed)."""
        if self._form is not None:
            self._form.choose(self._suggested())
            self._inputs_changed()

    def fill_inputs(self):
        """Choose inputs where none is chosen (volumes may have been loaded); what is chosen stays."""
        if self._form is not None:
            self._form.fill_empty(self._suggested())
            self._inputs_changed()

    def missing(self):
        """What keeps a run from starting, in words; empty when nothing does."""
        if self.card is None:
            return _("Connect to a server to choose a task.")
        lack = cards.missing_inputs(self.card, self._form.inputs())
        if not lack and not self.target:
            lack = _("Everything that this model makes is there already. Leave one input empty.")
        return lack

    def request(self, server):
        """What is chosen, as a `Request`; remembered in the scene."""
        inputs = self._form.inputs()
        self._remember(Task=self.card["task"], Model=self.card["name"], Target=self.target)
        seed = int(self._ui.seedSpin.property("value"))
        count = int(self._ui.countSpin.property("value")) if cards.draws_samples(self.card) else 1
        return Request(server, self.card, inputs, self.target, seed, self._settings(), count)

    def use_image(self, node):
        """Choose a volume as the one input, of a model that suggests segmentations where there is one.

        It goes where its contrast fits, and nowhere when it fits no input; without a contrast, to the first.
        """
        if "suggest" in self._groups:
            self._ui.taskSelector.setCurrentIndex(list(self._groups).index("suggest"))
        keys = [p["key"] for p in cards.inputs(self.card or {}) if cards.kind(p) == "image"]
        if keys:
            contrast = self._logic.contrast_of(node)
            fitting = contrasts.assign(keys, [(node, contrast)])
            self._form.choose(fitting if contrast or fitting else {keys[0]: node})
            self._remember()
            self._inputs_changed()

    def set_enabled(self, on):
        """Let choices be made, or not while a run is on."""
        self._ui.taskSection.setEnabled(on)
        self._ui.settingsSection.setEnabled(on)

    def close(self):
        """Let go of the scene."""
        if self._form is not None:
            self._form.remove()
            self._form = None

    def _suggested(self):
        """Input key to node: what was chosen before, or what the scene suggests."""
        return self._logic.suggest_inputs(
            list(self._form.selectors),
            labels=cards.label_inputs(self.card),
            guess=not cards.from_nothing(self.card),
        )

    def _settings(self):
        """The card's settings, and the engine's own where they are not as usual."""
        settings = self._form.settings()
        for name, check in (("align", self._ui.alignCheck), ("allow_unsuitable", self._ui.unsuitableCheck)):
            if check.isChecked():
                settings[name] = True
        return settings

    def _task_chosen(self, *_unused):
        if self._busy:
            return
        models = self._groups.get(self._chosen(self._ui.taskSelector), [])
        choices = [(card["name"], f"{cards.title(card)} ({card.get('version', '?')})") for card in models]
        before = self._chosen(self._ui.modelSelector)
        kept = any(before == name for name, _title in choices)
        self._fill(self._ui.modelSelector, choices, before if kept else self._logic.remembered("Model"))
        self._model_chosen()

    def _model_chosen(self, *_unused):
        if self._busy:
            return
        card = self.card
        same = card is not None and self._form is not None and self._form.card["name"] == card["name"]
        before, settings = (self._form.inputs(), self._form.settings()) if same else ({}, {})
        self.close()
        self._ui.taskSection.setEnabled(card is not None)
        self._ui.settingsSection.setEnabled(card is not None)
        self._ui.modelSummary.setText(cards.summary(card) if card else "")
        self._ui.modelSelector.setToolTip(card.get("description", "") if card else "")
        if card is not None:
            self._form = CardForm(
                card,
                self._logic.scene,
                inputs_parent=self._ui.inputsBox,
                settings_parent=self._ui.settingsBox,
                on_change=self._inputs_changed,
            )
            self._form.set(settings)
            self._form.choose(before or self._suggested())
        self._inputs_changed()

    def _remember(self, **texts):
        inputs = self._form.inputs()
        self._logic.remember(inputs={key: inputs.get(key) for key in self._form.selectors}, **texts)

    def _inputs_changed(self, by_person=False):
        if by_person:
            self._remember()
        card = self.card
        ports = cards.offered(card, self._form.inputs()) if card and self._form else []
        wanted = self.target or self._logic.remembered("Target")
        choices = [(port["key"], port.get("title") or port["key"]) for port in ports]
        self._fill(self._ui.targetSelector, choices, wanted)
        self._ui.targetBox.setVisible(card is not None and len(cards.targets(card)) > 1)
        self._ui.countBox.setVisible(card is not None and cards.draws_samples(card))
        self._changed()

    def _changed(self, *_unused):
        if not self._busy:
            self._on_change()

    def _fill(self, selector, choices, wanted):
        self._busy = True
        selector.clear()
        for key, text in choices:
            selector.addItem(text, key)
        keys = [key for key, _text in choices]
        if keys:
            selector.setCurrentIndex(keys.index(wanted) if wanted in keys else 0)
        selector.setEnabled(bool(keys))
        self._busy = False

    @staticmethod
    def _chosen(selector):
        index = int(selector.property("currentIndex"))
        return selector.itemData(index) if index >= 0 else None
