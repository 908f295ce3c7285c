"""How real painted heads look, whether they show their label map, and whether they show a patient.

    python -m benchmarks.painting --data DATA --model brain-mr-synthesize --fold 0 [--models DIR]
        [--segmenter MODEL] [--write FOLDER]

Paints the label maps listed as val in every contrast that patients were scanned with, with the refinement and
without, and compares axial slices with those of the patients whom the fold left out. Printed per contrast:

- the kernel distance (KID) of the features, with the distance of other patients' slices beside it as the
  least that can be hoped for;
- the share of slices that lie nearer to a slice of the training than 95 % of the left-out ones do (copies);
- how like each other two samples of one map are (MS-SSIM of the middle slices), and two patients;
- with a model that segments heads, the Dice of what it finds with the map that was painted.

Features are those of `brain-mr-translate`, which was trained here on real and simulated heads: means and
standard deviations of its last features over the foreground of a slice with pixels of 1 mm, each shifted and
scaled to mean 0 and variance 1 over the slices of the patients left out. `--write` puts the figures of
refined images into the card in this folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks import card_figures
from benchmarks.systems.kernel import Distance, grouped_kernel_distance
from medgan_core import io
from medgan_core.card import Figure
from medgan_core.data.manifest import Manifest
from medgan_core.data.stacks import stack
from medgan_core.data.studies import heads
from medgan_core.data.study import folds
from medgan_core.data.training_set import open_training_set
from medgan_core.engine import RunOptions, Session, run
from medgan_core.metrics.copies import find_copies
from medgan_core.metrics.diversity import mean_pairwise_similarity
from medgan_core.metrics.overlap import dice
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training.recipes.translate import INPUTS
from medgan_core.volume import Volume

SLICE_MM, FRAME = 4, (192, 224)
SHARES = {"simulated, not refined": 0.0, "refined": 1.0}
_FILLED = 0.15
Rows = NDArray[np.float64]


@dataclass
class Slices:
    """Axial slices of several heads.

    Args:
        rows: features, (n, d) of each head.
        owners: number of the head or patient of each row.
        middles: by number of the head or patient, the middle slices, (1, *FRAME).
        dices: Dice with the map of each head, where it was painted and segmented.
    """

    rows: list[Rows] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    middles: dict[int, list[Tensor]] = field(default_factory=dict)
    dices: list[float] = field(default_factory=list)

    def add(self, rows: Rows, owner: int, middle: Tensor) -> None:
        """One head."""
        self.rows.append(rows)
        self.owners += [owner] * len(rows)
        self.middles.setdefault(owner, []).append(framed(middle))

    @property
    def features(self) -> Rows:
        """(n, d)."""
        return np.concatenate(self.rows)

    def alike_within(self) -> float:
        """Mean MS-SSIM of pairs of middle slices of one head."""
        return fmean(_similarity(those) for those in self.middles.values())

    def alike_between(self) -> float:
        """Mean MS-SSIM of pairs of middle slices of two heads."""
        return _similarity([those[0] for those in self.middles.values()])


def _similarity(slices: Sequence[Tensor]) -> float:
    return mean_pairwise_similarity(torch.stack(list(slices)).numpy(), seed=0).mean


@dataclass(frozen=True)
class Line:
    """What is said of one contrast's images.

    Args:
        contrast: of the images.
        images: which ones they are.
        kid: to the slices of the patients left out.
        copies: copy rate, see `metrics.copies`; that of the patients left out is 0.05 at most.
        alike: MS-SSIM of two samples of one map, or of two patients.
        dices: with the map, of every image.
        slices: how many were compared.
    """

    contrast: str
    images: str
    kid: Distance
    copies: float | None
    alike: float
    dices: tuple[float, ...]
    slices: int

    def __str__(self) -> str:
        kid = f"{self.kid.value:.3f} ({self.kid.low:.3f} to {self.kid.high:.3f})"
        copies = "" if self.copies is None else f"{self.copies:.3f}"
        score = f"{fmean(self.dices):.3f}" if self.dices else ""
        return f"| {self.contrast} | {self.images} | {kid} | {copies} | {self.alike:.3f} | {score} |"


def rows_of(network: SlabUNet, slices: Tensor, contrast: str) -> Rows:
    """Slices (n, h, w), 1 = the 99.5th percentile, to features (n, d), without those that show little."""
    slices = slices[(slices > 0.1).float().mean(dim=(1, 2)) > _FILLED]
    pad = [(0, -side % network.multiple) for side in slices.shape[1:]]
    slices = functional.pad(slices, (*pad[1], *pad[0]))
    shown = torch.zeros(len(slices), network.in_channels, *slices.shape[1:])
    number = INPUTS.index(contrast)
    shown[:, number * network.slices : (number + 1) * network.slices] = slices[:, None]
    shown[:, len(INPUTS) * network.slices + number] = 1.0
    found = []
    with torch.inference_mode():
        for part in torch.split(shown, 8):
            features = network.features(functional.pixel_unshuffle(part, 2))
            first = functional.avg_pool2d(part[:, number * network.slices][:, None], 2) > 0.1
            weight = first / first.sum(dim=(2, 3), keepdim=True).clamp(min=1)
            mean = (features * weight).sum(dim=(2, 3))
            square = (features.square() * weight).sum(dim=(2, 3))
            found.append(torch.cat([mean, (square - mean**2).clamp(min=0).sqrt()], dim=1))
    return torch.cat(found).double().numpy() if found else np.zeros((0, 1))


def framed(image: Tensor) -> Tensor:
    """A slice (h, w) in the middle of a frame, (1, *FRAME), values to 1."""
    pads = []
    for side, wanted in zip(reversed(image.shape), reversed(FRAME), strict=True):
        before = (wanted - side) // 2
        pads += [before, wanted - side - before]
    return functional.pad(image.clamp(0, 1), pads)[None]


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


def axial(volume: Volume) -> Tensor:
    """Slices (n, h, w) of a volume along R, A, S, averaged to `SLICE_MM`, at 1 = 1000."""
    thick = max(1, round(SLICE_MM / volume.geometry.spacing[2]))
    count = volume.geometry.shape[2] // thick
    data = torch.from_numpy(np.ascontiguousarray(volume.data[0], dtype=np.float32)) / 1000
    return data[..., : count * thick].reshape(*data.shape[:2], count, thick).mean(3).movedim(2, 0)


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
    for number, truth in enumerate(truths):
        options = RunOptions(target=contrast, count=samples, seed=number, settings={"refine": share})
        made = run(session, model, {"labels": truth}, options).volumes
        for key in (key for key in made if key.startswith(contrast)):
            slices = axial(made[key])
            found.add(rows_of(network, slices, contrast), number, slices[len(slices) // 2])
            if segmenter:
                found.dices.append(overlap(session, segmenter, made[key], truth, contrast))
    return found


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


def compared(contrast: str, known: dict[bool, Slices], made: dict[str, Slices]) -> list[Line]:
    """A line for the other patients, and one for each kind of painted images."""
    left, others = known[True], known[False]
    mean, spread = left.features.mean(axis=0), left.features.std(axis=0) + 1e-6

    def scaled(slices: Slices) -> Rows:
        return np.asarray((slices.features - mean) / spread)

    def line(name: str, slices: Slices, alike: float, copies: float | None) -> Line:
        kid = grouped_kernel_distance(
            scaled(left), np.array(left.owners), scaled(slices), np.array(slices.owners), seed=0
        )
        return Line(contrast, name, kid, copies, alike, tuple(slices.dices), len(slices.owners))

    lines = [line("other patients", others, others.alike_between(), None)]
    for name, slices in made.items():
        report = find_copies(scaled(slices), scaled(others), scaled(left), patients=np.array(others.owners))
        lines.append(line(name, slices, slices.alike_within(), report.rate))
    return lines


def figures(lines: Sequence[Line], command: str, segmenter: str) -> list[Figure]:
    """What the card says of the refined images of one contrast."""
    by_name = {line.images: line for line in lines}
    floor, plain, refined = by_name["other patients"], *(by_name[name] for name in SHARES)
    split = "label maps listed as val, against the patients left out"
    found = [
        Figure(
            name=f"KID, {refined.contrast}",
            value=round(refined.kid.value, 3),
            unit="features of brain-mr-translate",
            n=refined.slices,
            split=split,
            command=command,
            baseline=f"not refined: {plain.kid.value:.3g}; other patients: {floor.kid.value:.3g}",
        ),
        Figure(
            name=f"Copy rate, {refined.contrast}",
            value=round(refined.copies or 0.0, 3),
            unit="share of slices",
            n=refined.slices,
            split=split,
            command=command,
            baseline="patients left out: 0.05 at most",
        ),
        Figure(
            name=f"MS-SSIM of two samples of a map, {refined.contrast}",
            value=round(refined.alike, 3),
            unit="1: the same",
            n=refined.slices,
            split="label maps listed as val",
            command=command,
            baseline=f"two patients: {floor.alike:.3g}",
        ),
    ]
    if refined.dices:
        found.append(
            card_figures.figure(
                f"Dice of {segmenter} with the map, {refined.contrast}",
                refined.dices,
                unit="mean over labels",
                split="label maps listed as val",
                command=command,
                baseline=f"not refined: {fmean(plain.dices):.3g}",
            )
        )
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.painting")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="brain-mr-synthesize")
    parser.add_argument("--models", type=Path, help="folder of models, besides the shipped ones")
    parser.add_argument("--fold", type=int, default=0, help="that the model left out")
    parser.add_argument("--segmenter", default="", help="a model that suggests FreeSurfer labels")
    parser.add_argument("--samples", type=int, default=2, help="of each map")
    parser.add_argument("--maps", type=int, default=2)
    parser.add_argument("--contrasts", nargs="+", default=["T1", "T2", "FLAIR"])
    parser.add_argument("--write", type=Path, help="folder of the model whose card gets the figures")
    told = parser.parse_args()
    session = Session("cpu", registry=Registry([SHIPPED, *([told.models] if told.models else [])]))
    command = f"python -m benchmarks.painting --data DATA --model {told.model} --fold {told.fold}"
    command += f" --segmenter {told.segmenter}" if told.segmenter else ""
    truths, found = list(maps(told.data, told.maps)), list[Figure]()
    print("| contrast | images | KID to patients left out (95 % interval) | copies | MS-SSIM | Dice |")
    print("|---|---|---|---|---|---|")
    for contrast in told.contrasts:
        known = real(told.data, translator(session), contrast, told.fold)
        made = {
            name: painted(
                session,
                told.model,
                truths,
                contrast,
                share=share,
                samples=told.samples,
                segmenter=told.segmenter,
            )
            for name, share in SHARES.items()
        }
        lines = compared(contrast, known, made)
        print("\n".join(map(str, lines)), flush=True)
        found += figures(lines, command, told.segmenter)
    if told.write:
        card_figures.write(told.write, found)


if __name__ == "__main__":
    main()
