"""What the segments of a label that is submitted mean: their names decide, never their order."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

from MedGANLib import cards, segments


@dataclass(frozen=True)
class Meaning:
    """What is sent for each segment, or why nothing can be sent.

    Args:
        labels: (value, name, ...) dicts to submit by.
        lack: what has to be done first, for a person; empty when nothing has.
        text: the names and values that are sent, for a person.
    """

    labels: tuple = ()
    lack: str = ""
    text: str = ""


def of(segmentation, models, chosen):
    """The meaning of a segmentation's segments.

    It says so itself when it came from a model. Else it is that of a suggesting model that knows all their
    names: of the chosen one, or of any when all of these agree.

    Args:
        segmentation: the node.
        models: cards of the server's suggesting models.
        chosen: the chosen model's card, or None.
    """
    names = [segment.GetName() for _id, segment in segments.each(segmentation)]
    if not names:
        return Meaning(lack=_("The segmentation has no segment. Draw one in the Segment Editor."))
    own = segments.told(segmentation)
    if own:
        return _by(segmentation, own)
    known = {card["name"]: cards.output_labels(card) for card in models}
    fitting = {name: labels for name, labels in known.items() if not segments.unknown(segmentation, labels)}
    if not fitting:
        return Meaning(lack=_nobody(names, known))
    if chosen is not None and chosen["name"] in fitting:
        return _by(segmentation, fitting[chosen["name"]])
    found = {_by(segmentation, labels).text: labels for labels in fitting.values()}
    if len(found) > 1:
        lack = _("These names mean different values to {models}: choose one of them under Task.")
        return Meaning(lack=lack.format(models=", ".join(fitting)))
    return _by(segmentation, next(iter(found.values())))


def _by(segmentation, labels):
    strange = segments.unknown(segmentation, labels)
    if strange:
        lack = _("The segment {segment} is not known here. Name each segment one of: {names}.")
        names = ", ".join(label["name"] for label in labels)
        return Meaning(lack=lack.format(segment=strange[0], names=names))
    values = {label["name"].casefold(): label["value"] for label in labels}
    names = [segment.GetName().strip() for _id, segment in segments.each(segmentation)]
    sent = ", ".join(f"{name} = {values[name.casefold()]}" for name in names)
    return Meaning(tuple(labels), text=_("Sent: {labels}.").format(labels=sent))


def _nobody(names, known):
    lack = _("No suggesting model of the server knows the segments {names}. Name them as one does: {models}.")
    models = "; ".join(f"{name} ({', '.join(one['name'] for one in ls)})" for name, ls in known.items() if ls)
    if not models:
        return _("The server has no model that says what {names} mean.").format(names=", ".join(names))
    return lack.format(names=", ".join(names), models=models)
