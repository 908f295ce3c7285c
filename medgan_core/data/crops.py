"""Labelled crops of one size, in 3D or as 2D slices of them, such as hippocampi with their parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from medgan_core.data.cases import Case, TrainingSet
from medgan_core.data.draws import TRAINING, VALIDATION, fixed_order, generators, grouped, pick
from medgan_core.data.study import Study, part
from medgan_core.data.windows import Augmentation, Window, window
from medgan_core.errors import UsageError


class LabelledCrops:
    """Image and label map of the same size for every sample, cut around the middle of each crop.

    Training samples are drawn at random (patients with equal chance) and augmented; validation samples go
    through all crops, or all their labelled slices, one by one in a fixed order and are not augmented.
    Smaller crops are filled up with their mirror image; the label there is 0.

    Args:
        cases: with the image and the label map on one grid.
        image: contrast.
        label: key of the label map.
        shape: voxels along (i, j, k).
        spatial_dims: 3, or 2 for single slices.
        axis: the one that 2D slices are perpendicular to: 0 sagittal, 1 coronal, 2 axial. The slice's
            shape is `shape` without it.
        least: voxels that must be labelled for a 2D slice to serve.
        augmentation: of training samples; None leaves them as they are. Mirroring is left and right, so
            sagittal slices are not mirrored.
        seed: of the samples.
        validation: go through the crops instead of drawing.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        image: str = "T1",
        label: str = "labels",
        shape: tuple[int, int, int] = (32, 48, 32),
        spatial_dims: int = 3,
        axis: int = 0,
        least: int = 10,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        validation: bool = False,
    ) -> None:
        _check(spatial_dims, axis)
        self.patients = [case.study.patient for case in cases]
        self._pairs = [
            (
                torch.from_numpy(case.images[image].values) * case.images[image].step,
                torch.from_numpy(case.label(label, like=image)),
            )
            for case in cases
        ]
        self._axis = axis if spatial_dims == 2 else None
        self._size = tuple(n for a, n in enumerate(shape) if a != self._axis)
        if augmentation is not None and self._axis == 0:
            augmentation = dataclasses.replace(augmentation, flip=0.0)
        self._augmentation = None if validation else augmentation
        self._seed, self._validation = seed, validation
        self._items = self._list_items(least)
        self._by_patient = grouped([self.patients[case] for case, _ in self._items])
        self._order = fixed_order(len(self._items), seed)

    @classmethod
    def of(
        cls,
        data: TrainingSet,
        *,
        validation: bool,
        fold: int = -1,
        image: str = "T1",
        label: str = "labels",
        coverage: Sequence[str] = ("crop",),
        sources: Sequence[str] = (),
        shape: tuple[int, int, int] = (32, 48, 32),
        spatial_dims: int = 3,
        axis: int = 0,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        labelled: int = 0,
    ) -> LabelledCrops:
        """Crops of a training set: those to train on, or of the patients left out (see `study.part`).

        With `labelled` training is on so many patients alone, the first ones in an order that the seed gives;
        those of a smaller number are among those of a larger one.

        Raises:
            UsageError: when there are none.
        """
        studies = [
            s
            for s in data.select(images=[image], labels=[label], coverage=coverage)
            if not sources or s.source in sources
        ]
        purpose = f"crops of {image} with {label} (coverage {' or '.join(coverage)})"
        chosen = part(studies, validation=validation, fold=fold, purpose=purpose)
        if labelled and not validation:
            chosen = _first_patients(chosen, labelled, seed)
        return cls(
            [data.case(s, (image, label)) for s in chosen],
            image=image,
            label=label,
            shape=shape,
            spatial_dims=spatial_dims,
            axis=axis,
            augmentation=augmentation,
            seed=seed,
            validation=validation,
        )

    def whole(self, case: int) -> tuple[Tensor, Tensor]:
        """Image and label map of a crop as they are, (i, j, k)."""
        return self._pairs[case]

    def __len__(self) -> int:
        """Crops, or labelled slices: after so many, validation samples repeat."""
        return len(self._items)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (1, *size) float32, label (1, *size) int64, case (index into `patients`) int64."""
        if self._validation:
            rng, _ = generators(self._seed, number, VALIDATION)
            item = self._order[number % len(self._order)]
        else:
            rng, _ = generators(self._seed, number, TRAINING)
            item = pick(rng, self._by_patient)
        case, place = self._items[item]
        image, label = self._at(case, place)
        centre = [(n - 1) / 2 for n in image.shape]
        where: Window = window(centre, self._size, self._augmentation, rng)
        out = where.cut(image[None], mirror=True)
        if self._augmentation is not None:
            out = self._augmentation.intensity(out, rng)
        return {"image": out, "label": where.cut_labels(label[None]), "case": torch.tensor(case)}

    def _at(self, case: int, place: int) -> tuple[Tensor, Tensor]:
        image, label = self._pairs[case]
        if self._axis is None:
            return image, label
        return image.select(self._axis, place), label.select(self._axis, place)

    def _list_items(self, least: int) -> list[tuple[int, int]]:
        """Case and slice of everything that can be a sample; the slice is 0 in 3D."""
        if self._axis is None:
            return [(case, 0) for case in range(len(self._pairs))]
        others = tuple(a for a in range(3) if a != self._axis)
        items = [
            (case, int(place))
            for case, (_, label) in enumerate(self._pairs)
            for place in ((label > 0).sum(dim=others) >= least).nonzero()[:, 0]
        ]
        if not items:
            raise UsageError(
                "No slice has enough labelled voxels",
                expected=f"at least {least} voxels in a slice",
                got="none",
                action="choose another axis or a smaller least",
            )
        return items


class WholeCrops:
    """Crops as they are, each of its own size, one after the other.

    Args:
        crops: from where.
    """

    def __init__(self, crops: LabelledCrops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        """Crops; after so many they repeat."""
        return len(self.crops.patients)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (1, i, j, k) float32, label (1, i, j, k) int64, case (index into the patients) int64."""
        case = number % len(self)
        image, label = self.crops.whole(case)
        return {"image": image[None].float(), "label": label[None].long(), "case": torch.tensor(case)}


def _first_patients(studies: Sequence[Study], count: int, seed: int) -> list[Study]:
    patients = sorted({s.patient for s in studies})
    if count > len(patients):
        raise UsageError(
            "There are not so many labelled patients",
            expected=f"at most {len(patients)}",
            got=str(count),
            action="choose fewer, or 0 for all",
        )
    kept = {patients[n] for n in fixed_order(len(patients), seed)[:count]}
    return [s for s in studies if s.patient in kept]


def _check(spatial_dims: int, axis: int) -> None:
    if spatial_dims not in (2, 3) or axis not in (0, 1, 2):
        raise UsageError(
            "There are no such crops",
            expected="spatial_dims 2 or 3, axis 0, 1 or 2",
            got=f"spatial_dims {spatial_dims}, axis {axis}",
        )
