"""Reading the models' cards, which a server sends as JSON; no model is known by name here."""

from __future__ import annotations

TASK_TITLES = {
    "translate": "Translate contrast",
    "denoise": "Denoise",
    "restore": "Restore",
    "synthesize": "Synthesize",
    "suggest": "Suggest a segmentation",
    "detect": "Detect anomalies",
}
"""What a person reads for a task; also the order of the list. A task that is not here is shown by its key."""

_PAST = {
    "denoise": "denoised",
    "restore": "restored",
    "translate": "synthetic",
    "synthesize": "synthetic",
    "suggest": "suggested",
}
_OVERLAYS = ("trust", "map")  # kinds of outputs that are laid over an image
_HIDDEN = ("gate",)  # models that serve other models


def by_task(cards):
    """Cards grouped by task, in the order a person should see the tasks: {task: [card, ...]}."""
    groups = {}
    for card in cards:
        if card.get("task") not in _HIDDEN:
            groups.setdefault(card.get("task", ""), []).append(card)
    known = list(TASK_TITLES)
    order = sorted(groups, key=lambda task: (known.index(task) if task in known else len(known), task))
    return {task: sorted(groups[task], key=title) for task in order}


def task_title(task):
    """The name of a task for a person."""
    return TASK_TITLES.get(task, task.replace("_", " ").capitalize())


def title(card):
    """The name of a model for a person."""
    return card.get("title") or card["name"]


def inputs(card):
    """The ports of what a model takes."""
    return list(card.get("inputs", []))


def label_inputs(card):
    """Keys of the inputs that are label maps."""
    return [port["key"] for port in inputs(card) if kind(port) == "labels"]


def is_overlay(port):
    """True for an output that is laid over an image: a trust map, or a map of something else."""
    return kind(port) in _OVERLAYS


def map_end(card):
    """The upper end of a map's scale: a suggestion's uncertainty ends at 1; None where there is no end."""
    return 1.0 if card.get("task") == "suggest" else None


def targets(card):
    """The outputs a run can be asked for: those of the first one's kind; the others come along."""
    outputs = card.get("outputs", [])
    return [port for port in outputs if kind(port) == kind(outputs[0])]


def offered(card, given):
    """The targets worth asking for when the inputs `given` are there: no contrast is translated to itself."""
    alone = card.get("task") != "translate" or len(targets(card)) == 1
    return [port for port in targets(card) if alone or port["key"] not in given]


def kind(port):
    """What a port is: image, labels, trust, map."""
    return port.get("kind", "image")


def port(card, key):
    """The output behind a result's key, which may be numbered (``image-002``), or an empty dict."""
    ports = card.get("outputs", [])
    return next((p for p in ports if key == p["key"] or key.startswith(p["key"] + "-")), {})


def number(card, key):
    """The number in a result's key (``002`` of ``image-002``); empty where there is one result alone."""
    return key[len(port(card, key).get("key", key)) :].lstrip("-")


def input_labels(card, key):
    """What the values of an input label map mean: (value, name, colour, ...) dicts; empty for a mask."""
    return next((list(p.get("labels", [])) for p in inputs(card) if p["key"] == key), [])


def output_labels(card):
    """What the values of the first label map that a model makes mean; empty where it makes none."""
    return next((list(p.get("labels", [])) for p in card.get("outputs", []) if kind(p) == "labels"), [])


def from_nothing(card):
    """True when a model needs no input."""
    return int(card.get("min_inputs", 1)) == 0 and not any(p.get("required") for p in inputs(card))


def draws_samples(card):
    """True when a model can be asked for several results."""
    return card.get("task") == "synthesize"


def missing_inputs(card, given):
    """What still has to be chosen before a run, in words; empty when it can start."""
    wanted = [port for port in inputs(card) if port.get("required") and port["key"] not in given]
    if wanted:
        return "Choose a volume for " + ", ".join(port.get("title") or port["key"] for port in wanted) + "."
    least = int(card.get("min_inputs", 1))
    if len(given) < least:
        return "Choose an input volume." if least == 1 else f"Choose at least {least} input volumes."
    return ""


def result_name(card, target, sources):
    """Name of a result node: says that it is synthetic and from what.

    Args:
        card: of the model.
        target: key of the output.
        sources: input key to name of the node it was.
    """
    past = _PAST.get(card.get("task"), card.get("task", "result"))
    if len(targets(card)) > 1 or not sources:
        origin = ", ".join(sources)
        return f"{target} ({past}, from {origin})" if origin else f"{target} ({past})"
    return f"{next(iter(sources.values()))} ({past})"


def companion_name(image_name, port):
    """Name of a label map that came with a result."""
    return "{}: {}".format(image_name, (port.get("title") or port["key"]).lower())


def map_name(port, sources):
    """Name of a map that a model made of an image.

    Args:
        port: the output's.
        sources: input key to name of the node it was.
    """
    return "{}: {}".format(next(iter(sources.values()), "MedGAN"), (port.get("title") or port["key"]).lower())


def trust_name(image_name):
    """Name of the trust map that belongs to a result."""
    return image_name + ": expected error"


def summary(card):
    """A few sentences on a model for a person: what it does, what not to use it for, its measured quality."""
    parts = [card.get("description", "")]
    limits = card.get("limits", [])
    if limits:
        parts.append("Limits: " + " ".join(limits))
    for figure in card.get("figures", [])[:3]:
        unit = (" " + figure.get("unit", "")).rstrip()
        parts.append("{}: {:.4g}{} (n={}).".format(figure["name"], figure["value"], unit, figure["n"]))
    return "\n\n".join(part for part in parts if part)
