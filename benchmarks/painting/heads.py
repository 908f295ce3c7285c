"""The heads that are compared: those of patients, and those that a model paints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.painting.slices import Slices, axial, rows_of
from medgan_core import io
from medgan_core.data.manifest import Manifest
from medgan_core.data.stacks import stack
from medgan_core.data.studies import heads
from medgan_core.data.study import folds
from medgan_core.data.training_set import open_training_set
from medgan_core.engine import RunOptions, Session, run
from medgan_core.metrics.overlap import dice
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.volume import Volume


def real(data: Path, network: SlabUNet, contrast: str, fold: int) -> dict[bool, Slices]:
    """Slices of the patients left out (True) and of the others."""
    held = open_training_set(data)
    everyone = heads(held)
    out = folds(everyone)[fold]
    found = {True: Slices(), False: Slices()}
    names = sorted({s.patient for s in everyone})
    for study in everyone:
        if study.coverage != "head" or contrast not in study.images:
            continue
        shown = stack(held.case(study, [contrast]), [contrast], plane="axial", pixel_mm=1.0)
        slices = shown.images[0].float()
        rows = rows_of(network, slices, contrast)
        found[study.patient in out].add(rows, names.index(study.patient), slices[len(slices) // 2])
    return found


def maps(data: Path, most: int) -> Iterator[Volume]:
    """The label maps listed as val."""
    studies = Manifest.load(data).select(labels=["labels"], coverage=["head"])
    for study in [s for s in studies if s.split == "val"][:most]:
        yield io.read(study.labels["labels"])


def painted(
    session: Session,
    model: str,
    truths: Sequence[Volume],
    contrast: str,
    *,
    share: float,
    samples: int,
    segmenter: str,
) -> Slices:
    """Slices of samples of every map, each refined to a share."""
    network, found = translator(session), Slices()
    for number, image in images(session, model, truths, contrast, share=share, samples=samples):
        slices = axial(image)
        found.add(rows_of(network, slices, contrast), number, slices[len(slices) // 2])
        if segmenter:
            score = overlap(session, segmenter, image, truths[number], contrast)
            found.dices.setdefault(number, []).append(score)
    return found


def images(
    session: Session, model: str, truths: Sequence[Volume], contrast: str, *, share: float, samples: int
) -> Iterator[tuple[int, Volume]]:
    """Samples of every map, each refined to a share, with the number of the map, which is its seed."""
    for number, truth in enumerate(truths):
        options = RunOptions(target=contrast, count=samples, seed=number, settings={"refine": share})
        made = run(session, model, {"labels": truth}, options).volumes
        yield from ((number, made[key]) for key in made if key.startswith(contrast))


def translator(session: Session) -> SlabUNet:
    """The network whose features are compared."""
    network = session.model("brain-mr-translate").network
    assert isinstance(network, SlabUNet)
    return network


def overlap(session: Session, segmenter: str, image: Volume, truth: Volume, contrast: str) -> float:
    """Mean Dice of the labels that both the segmenting model and the map know."""
    card = session.registry.card(segmenter)
    key = contrast if contrast in {port.key for port in card.inputs} else card.inputs[0].key
    options = RunOptions(settings={"allow_unsuitable": True})
    found = run(session, segmenter, {key: image}, options).volumes[card.targets[0]].data[0]
    scores = [dice(found, truth.data[0], label=label.value) for label in card.outputs[0].labels]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else float("nan")
