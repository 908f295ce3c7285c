"""What came back from a server, as nodes of the scene: volumes, trust map, report, provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from MedGANLib import cards
from MedGANLib.trust import show_as_trust

VERDICTS = ("not assessed", "pass", "caution", "fail")
_COLUMNS = ("Name", "Value", "Unit", "Limit", "Verdict")


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Args:
        server: address.
        card: of the model.
        inputs: input key to volume node; the first one is the place the result is in.
        target: key of the wanted output.
        seed: of the run.
        settings: of the run.
    """

    server: str
    card: dict
    inputs: dict
    target: str
    seed: int = 0
    settings: Any = None

    @property
    def source(self):
        """The node whose geometry the result has, or None for a synthesis from nothing."""
        return next(iter(self.inputs.values()), None)


@dataclass(frozen=True)
class Results:
    """The nodes a run made.

    Args:
        source: the input node, or None.
        images: output key to volume node.
        trust: volume node that is laid over them (or over the input): the trust map of an image, or a map
            that is itself what the model makes; None without any.
        trust_title: name of the map for a person.
        table: the report's table node.
        report: as it came from the server.
    """

    source: Any
    images: dict
    trust: Any
    table: Any
    report: dict
    trust_title: str = "Trust map"

    @property
    def image(self):
        """The first result."""
        return next(iter(self.images.values()), None)


def load_results(logic, request, files, report):
    """Bring a run's files into the scene.

    Args:
        logic: the `SceneLogic`.
        request: what was asked for.
        files: output key to path.
        report: {"verdict", "rows", "provenance"}.

    Returns:
        `Results`.
    """
    names = {key: node.GetName() for key, node in request.inputs.items()}
    images, trust, title = {}, None, Results.trust_title
    for key, path in files.items():
        stem = key.partition("-")[0]
        port = cards.port(request.card, stem)
        kind = port.get("kind", "image")
        name = cards.result_name(request.card, stem, names) + key[len(stem) :].replace("-", " ")
        if cards.is_overlay(port):
            if kind == "trust":
                name = cards.trust_name(cards.result_name(request.card, request.target, names))
            else:
                name, title = cards.map_name(port, names), port.get("title") or key
            trust = logic.load(path, name, request.source)
            continue
        images[key] = logic.load(path, name, request.source, labels=kind == "labels")
    first = next(iter(images.values()), trust)
    table = report_table(logic.scene, report, first.GetName() if first is not None else "MedGAN")
    results = Results(request.source, images, trust, table, report, title)
    _connect(results, request)
    if trust is not None:
        show_as_trust(trust)
    _display(results, request)
    return results


def report_table(scene, report, name):
    """The report's rows as a table node."""
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", name + ": report")
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
        "MedGAN.Synthetic": "true",
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
    for key, node in results.images.items():
        for name, text in attributes.items():
            node.SetAttribute(name, text)
        unit = cards.port(request.card, key.partition("-")[0]).get("unit", "")
        node.SetAttribute("MedGAN.Unit", unit)
    everything = [*results.images.values(), *([results.trust] if results.trust is not None else [])]
    if results.trust is not None:
        for name, text in attributes.items():
            results.trust.SetAttribute(name, text)
        unit = next((p.get("unit", "") for p in request.card["outputs"] if cards.is_overlay(p)), "")
        results.trust.SetAttribute("MedGAN.Unit", unit)
    for node in everything:
        for key, source in request.inputs.items():
            node.SetNodeReferenceID("MedGAN.Input." + key, source.GetID())
        node.SetNodeReferenceID("MedGAN.Report", results.table.GetID())
    for node in results.images.values():
        if results.trust is not None:
            node.SetNodeReferenceID("MedGAN.Trust", results.trust.GetID())


def _display(results, request):
    """A result in the scale of its input is shown as the input is; others get a window of their own."""
    source = results.source
    if source is None or source.GetDisplayNode() is None or len(cards.images(request.card)) > 1:
        return
    for node in results.images.values():
        display = node.GetDisplayNode()
        if display is None or node.GetClassName() != "vtkMRMLScalarVolumeNode":
            continue
        display.SetAutoWindowLevel(0)
        display.SetWindowLevel(source.GetDisplayNode().GetWindow(), source.GetDisplayNode().GetLevel())


def is_result(node):
    """True for a volume that a model made."""
    return isinstance(node, slicer.vtkMRMLVolumeNode) and node.GetAttribute("MedGAN.Synthetic") == "true"
