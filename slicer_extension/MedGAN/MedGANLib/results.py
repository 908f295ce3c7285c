"""What came back from a server, as nodes of the scene: volumes, trust map, report, provenance."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import vtk

from MedGANLib import cards, segments
from MedGANLib.grids import same_grid
from MedGANLib.logic import SYNTHETIC
from MedGANLib.segments import SEGMENTATION
from MedGANLib.trust import show_as_trust

VERDICTS = ("not assessed", "pass", "caution", "fail")
_GREY = "vtkMRMLScalarVolumeDisplayNode"  # a label map's display has no window
_COLUMNS = ("Name", "Value", "Unit", "Limit", "Verdict")


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Args:
        server: address.
        card: of the model.
        inputs: input key to volume or segmentation node.
        target: key of the wanted output.
        seed: of the run.
        settings: of the run.
        count: how many samples.
    """

    server: str
    card: dict
    inputs: dict
    target: str
    seed: int = 0
    settings: Any = None
    count: int = 1

    @property
    def source(self):
        """The volume node whose place the result has, or None: a segmentation is no grid to compare with.

        An input that may be of another patient does not count.
        """
        return next((node for node in self._together() if not node.IsA(SEGMENTATION)), None)

    @property
    def place(self):
        """The node that says where the result lies: the source, or else a segmentation, or None."""
        return self.source or next(iter(self._together()), None)

    def beside(self, key):
        """The node as seen from which an input is sent: None for one that may be of another patient."""
        return None if key in self._apart() else self.source

    def _apart(self):
        return {port["key"] for port in cards.inputs(self.card) if port.get("apart")}

    def _together(self):
        return [node for key, node in self.inputs.items() if key not in self._apart()]


@dataclass(frozen=True)
class Results:
    """The nodes a run made.

    Args:
        source: the input volume they lie over, or None.
        images: output key to volume node.
        trust: volume node that is laid over them (or over the input): the trust map of an image, or a map
            of something else; None without any.
        table: the report's table node.
        report: as it came from the server.
        trust_title: name of the map for a person.
        segmentations: output key to segmentation node.
    """

    source: Any
    images: dict
    trust: Any
    table: Any
    report: dict
    trust_title: str = "Trust map"
    segmentations: dict = field(default_factory=dict)

    @property
    def samples(self):
        """[(image or None, segmentation or None), ...], a pair for each sample."""
        return list(zip_longest(self.images.values(), self.segmentations.values()))

    @property
    def image(self):
        """The first image."""
        return next(iter(self.images.values()), None)

    @property
    def first(self):
        """The first node to look at."""
        return next(
            (n for n in (self.image, *self.segmentations.values(), self.trust) if n is not None), None
        )


def load_results(logic, request, files, report):
    """Bring a run's files into the scene, all of them or none.

    Args:
        logic: the `SceneLogic`.
        request: what was asked for.
        files: output key to path.
        report: {"verdict", "rows", "provenance"}.

    Returns:
        `Results`.

    Raises:
        RuntimeError: when a file cannot be read; the scene is then as before.
    """
    with _all_or_none(logic.scene):
        return _load(logic, request, files, report)


@contextmanager
def _all_or_none(scene):
    """Remove what was added to the scene when the work inside fails."""
    before = _node_ids(scene)
    try:
        yield
    except Exception:
        for made in _node_ids(scene) - before:
            if scene.GetNodeByID(made) is not None:  # not gone with another one
                scene.RemoveNode(scene.GetNodeByID(made))
        raise


def _node_ids(scene):
    return {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}


def _load(logic, request, files, report):
    names = {key: node.GetName() for key, node in request.inputs.items()}
    wanted = cards.result_name(request.card, request.target, names)
    images, segmentations, trust, title = {}, {}, None, Results.trust_title
    # Images first: label maps are drawn on them.
    for key, path in sorted(files.items(), key=lambda item: _order(request.card, item[0])):
        port, number = cards.port(request.card, key), cards.number(request.card, key)
        kind, name = cards.kind(port), f"{wanted} {number}".strip()
        if kind == "trust":
            trust = logic.load(path, cards.trust_name(wanted), request.place)
        elif kind == "map":
            trust = logic.load(path, cards.map_name(port, names), request.place)
            title = port.get("title") or key
        elif kind == "labels":
            drawn_on = images.get(next((k for k in images if cards.number(request.card, k) == number), ""))
            name = cards.companion_name(name, port) if images else name
            segmentations[key] = _segmentation(logic, request, path, port, name, drawn_on)
        else:
            images[key] = logic.load(path, name, request.place)
    results = Results(request.source, images, trust, None, report, title, segmentations)
    first = results.first
    table = report_table(logic.scene, report, first.GetName() if first is not None else "MedGAN")
    results = replace(results, table=table)
    _connect(results, request)
    if trust is not None:
        show_as_trust(trust, cards.map_end(request.card))
    _display(results, request)
    return results


def _order(card, key):
    return cards.kind(cards.port(card, key)) != "image", key


def _segmentation(logic, request, path, port, name, image):
    """A label map's file as a segmentation node over `image`, or over the source.

    What the values mean is in the card; else they are those of the label map that went in.
    """
    drawn = logic.load(path, "MedGAN import", request.place, labels=True)
    given = [node for node in request.inputs.values() if node.IsA(SEGMENTATION)]
    labels = port.get("labels") or (segments.meaning(given[0]) if given else [])
    image = image if image is not None else request.source
    if image is not None and not same_grid(drawn, image):
        image = None
    made = segments.from_label_map(logic.scene, drawn, labels, name, image=image)
    segments.remove(logic.scene, drawn)
    return made


def report_table(scene, report, name):
    """The report's rows as a table node."""
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name + ": report"))
    for title in _COLUMNS:
        column = vtk.vtkStringArray()
        column.SetName(title)
        for row in report.get("rows", []):
            column.InsertNextValue(value_text(row.get(title.lower(), "")))
        table.AddColumn(column)
    if hasattr(table, "SetUseColumnTitleAsColumnHeader"):
        table.SetUseColumnTitleAsColumnHeader(True)
    else:  # the older name of the same
        table.SetUseColumnNameAsColumnHeader(True)
    table.SetAttribute("MedGAN.Verdict", str(report.get("verdict", "not assessed")))
    return table


def value_text(value):
    """A report's value as text: numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def provenance_attributes(request, report):
    """Node attributes that say how a result was made; they are saved with the scene."""
    made = report.get("provenance", {})
    weights = request.card.get("weights", {})
    return {
        SYNTHETIC: "true",
        "MedGAN.Model": str(made.get("model", request.card.get("name", ""))),
        "MedGAN.Version": str(made.get("version", request.card.get("version", ""))),
        "MedGAN.Sha256": str(made.get("sha256", weights.get("sha256", ""))),
        "MedGAN.Task": str(request.card.get("task", "")),
        "MedGAN.Target": str(request.target),
        "MedGAN.Seed": str(made.get("seed", request.seed)),
        "MedGAN.Settings": json.dumps(request.settings or {}, sort_keys=True),
        "MedGAN.Inputs": json.dumps({key: node.GetName() for key, node in request.inputs.items()}),
        "MedGAN.Server": request.server,
        "MedGAN.Verdict": str(report.get("verdict", "not assessed")),
        "MedGAN.Provenance": json.dumps(made, sort_keys=True),
    }


def _connect(results, request):
    attributes = provenance_attributes(request, results.report)
    made = {**results.images, **results.segmentations}
    for key, node in made.items():
        node.SetAttribute("MedGAN.Unit", cards.port(request.card, key).get("unit", ""))
        if results.trust is not None:
            node.SetNodeReferenceID("MedGAN.Trust", results.trust.GetID())
    if results.trust is not None:
        unit = next((p.get("unit", "") for p in request.card["outputs"] if cards.is_overlay(p)), "")
        results.trust.SetAttribute("MedGAN.Unit", unit)
    for node in [*made.values(), *([results.trust] if results.trust is not None else [])]:
        for name, text in attributes.items():
            node.SetAttribute(name, text)
        for key, source in request.inputs.items():
            node.SetNodeReferenceID("MedGAN.Input." + key, source.GetID())
        node.SetNodeReferenceID("MedGAN.Report", results.table.GetID())


def _display(results, request):
    """A result in the scale of its input is shown as the input is; others get a window of their own."""
    shown = results.source.GetDisplayNode() if results.source is not None else None
    if shown is None or not shown.IsA(_GREY) or len(cards.targets(request.card)) > 1:
        return
    for node in results.images.values():
        display = node.GetDisplayNode()
        if display is None:
            continue
        display.SetAutoWindowLevel(0)
        display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
