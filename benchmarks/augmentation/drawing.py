"""Generated pairs: drawn, scored, the best kept, and written as `medgan sample` writes its samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.augmentation.deformation import Deformed
from benchmarks.augmentation.registration import Registered
from benchmarks.labelled_sets import cases, first_labelled
from medgan_core import io
from medgan_core.data.cases import Case
from medgan_core.metrics.overlap import dice
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.detecting import in_parts
from medgan_core.training.recipes.generation import to_signed
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.hippocampus_synthesize import HippocampusSynthesize
from medgan_core.training.recipes.pictures import one_hot
from medgan_core.training.recipes.spade import ENCODER, LABELS
from medgan_core.training.recipes.stabilised import DISCRIMINATOR
from medgan_core.training.recipes.suggesting import viewed
from medgan_core.volume import Geometry, Volume

_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How pairs are made.

    Args:
        images: ``spade`` (the generator's, in styles that its encoder reads from its training images),
            ``deformed`` (training images, deformed with their maps) or ``registered`` (the same, deformed
            until they look like the unlabelled ones).
        maps: of the generator's images: ``deformed`` ones of the training patients, or ``shapes``, drawn from
            the generator's shape model.
        choose: keep the pairs that the ``judge`` (the generator's discriminator) takes for real, that agree
            with what a segmentation (``agreement``) sees in them, or ``all``.
        keep: share that is kept.
        count: pairs in the end.
    """

    images: Literal["spade", "deformed", "registered"] = "spade"
    maps: Literal["deformed", "shapes"] = "deformed"
    choose: Literal["all", "judge", "agreement"] = "all"
    keep: float = 0.5
    count: int = 300

    @property
    def drawn(self) -> int:
        """Pairs before the best are kept."""
        return self.count if self.choose == "all" else round(self.count / self.keep)


@dataclass(frozen=True, eq=False)
class Sources:
    """What pairs are drawn from.

    Args:
        data: folder of the training set whose labels may be used.
        labelled: as the recipes' setting.
        seed: of everything.
        generator: a finished run, where one is needed.
        segmentation: a finished run, where pairs are chosen by agreement.
    """

    data: Path
    labelled: int
    seed: int
    generator: Finished | None = None
    segmentation: Finished | None = None


def draw(drawing: Drawing, sources: Sources) -> tuple[Tensor, Tensor]:
    """Images (n, 1, *size) in 0 to 1 and label maps of the same shape, the best first where chosen."""
    if drawing.images == "registered":
        everyone = cases(sources.data)
        image, label = Registered(_labelled(sources), everyone).draw(drawing.drawn, seed=sources.seed)
    elif drawing.images == "deformed":
        image, label, _ = Deformed(_labelled(sources)).draw(drawing.drawn, seed=sources.seed)
    else:
        image, label = _generated(drawing, sources)
    if drawing.choose == "all":
        return image, label
    scores = _SCORES[drawing.choose](image, label, sources)
    best = torch.argsort(scores, descending=True, stable=True)[: drawing.count]
    return image[best], label[best]


def write(folder: Path, image: Tensor, label: Tensor) -> Path:
    """Pairs as a folder that recipes take as their setting ``generated``."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[str]] = {"image": [], "label": []}
    for number, pair in enumerate(zip(image, label, strict=True), start=1):
        for key, voxels, kind in zip(files, pair, (np.float32, np.int16), strict=True):
            array = voxels[0].numpy().astype(kind)
            place = Geometry(cast("tuple[int, int, int]", array.shape), np.eye(4))
            files[key].append(io.write(Volume(array, place), folder / f"{key}-{number:03d}.nii.gz").name)
    (folder / "samples.json").write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")
    return folder


def _labelled(sources: Sources) -> list[Case]:
    patients = first_labelled(sources.data, sources.labelled, sources.seed)
    return [case for case in cases(sources.data) if case.study.patient in patients]


def _generated(drawing: Drawing, sources: Sources) -> tuple[Tensor, Tensor]:
    """Images by SPADE, each in the style of a training image, with the encoder's spread."""
    run = sources.generator
    assert run is not None
    recipe, count = cast("HippocampusSynthesize", run.recipe), drawing.drawn
    moment = run.moment(sources.seed)
    samples = recipe.samples(sources.data, validation=False)
    shown = torch.stack([samples[n]["image"] for n in range(count)])
    with torch.no_grad():
        if drawing.maps == "deformed":
            label = Deformed(_labelled(sources)).draw(count, seed=sources.seed)[1]
        else:
            label = recipe.sample(run.networks, count, moment)["label"].cpu()
        codes = in_parts(lambda x: torch.cat(run.networks[ENCODER](to_signed(x)), 1), shown, run.device)
        mean, log_variance = codes.chunk(2, dim=1)
        style = mean + torch.exp(0.5 * log_variance) * moment.normal(*mean.shape).cpu()
        parts = zip(torch.split(label, _AT_ONCE), torch.split(style, _AT_ONCE), strict=True)
        images = [recipe.draw(run.networks, a.to(run.device), b.to(run.device)).cpu() for a, b in parts]
    return torch.cat(images), label


def _realism(image: Tensor, label: Tensor, sources: Sources) -> Tensor:
    """The discriminator's mean logit, (n,)."""
    run = sources.generator
    assert run is not None
    both = torch.cat([to_signed(image), to_signed(one_hot(label, LABELS))], dim=1)
    with torch.no_grad():
        return in_parts(run.networks[DISCRIMINATOR], both, run.device).flatten(1).mean(1)


def _agreement(image: Tensor, label: Tensor, sources: Sources) -> Tensor:
    """Mean Dice of what a segmentation sees in each image with its map, (n,)."""
    run = sources.segmentation
    assert run is not None
    recipe, network = cast("HippocampusSuggest", run.recipe), cast("Any", run.networks.exact("model"))
    found = []
    with torch.no_grad():
        for one, truth in zip(image, label, strict=True):
            p = viewed(network, one.to(run.device), slices=recipe.slices, multiple=network.multiple)
            seen, wanted = p.argmax(0).cpu().numpy(), truth[0].numpy()
            values = [dice(seen, wanted, label=value) or 0.0 for value in range(1, LABELS)]
            found.append(sum(values) / len(values))
    return torch.tensor(found)


_SCORES = {"judge": _realism, "agreement": _agreement}
