"""How a result was made, as DICOM objects say it: synthetic, by which model, from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset

from medgan_core.card import ModelCard
from monailabel_app.dicom.codes import ACQUIRING, SYNTHESIZING, item

MANUFACTURER = "MedGAN"
# The contrast of these results is that of their source, so what made the contrast stays true.
_SAME_CONTRAST = {"denoise", "restore"}
SYNTHETIC_DATA = 0x0008001C  # pydicom 2 does not know it by name.


@dataclass(frozen=True, kw_only=True)
class Making:
    """What every object made of one result says about it.

    Args:
        key: of the output (``T2``, ``trust``; ``T2-002`` for the second variant).
        title: of the output, for a person.
        model: name of the model.
        version: of the model.
        sha256: of its weights.
        task: of the model.
        inputs: keys of the inputs it was given.
        seed: of everything random.
        verdict: of the trust report.
        software: version of this package.
        created: when the run was made.
    """

    key: str
    title: str
    model: str
    version: str
    sha256: str
    task: str
    inputs: tuple[str, ...]
    seed: int
    verdict: str
    software: str
    created: datetime

    @staticmethod
    def of(report: Mapping[str, Any], card: ModelCard, key: str) -> Making:
        """Read it from a report.

        Args:
            report: of the run.
            card: of the model that made it.
            key: of one output of the run.
        """
        made = report["provenance"]
        title = next((p.title for p in card.outputs if key == p.key or key.startswith(f"{p.key}-")), key)
        return Making(
            key=key,
            title=title,
            model=str(made["model"]),
            version=str(made["version"]),
            sha256=str(made["sha256"]),
            task=str(made["task"]),
            inputs=tuple(map(str, made["inputs"])),
            seed=int(made["seed"]),
            verdict=str(report["verdict"]),
            software=str(made["libraries"]["medgan"]),
            created=datetime.fromisoformat(made["created"]),
        )

    @property
    def same_contrast(self) -> bool:
        """Whether echo time, sequence and the like of the source hold for the result."""
        return self.task in _SAME_CONTRAST

    @property
    def series_description(self) -> str:
        """At most 64 characters (LO), the warning first."""
        return f"SYNTHETIC {self.key} ({self.model} {self.version})"[:64]

    @property
    def description(self) -> str:
        """Derivation Description: at most 1024 characters (ST)."""
        return (
            f"Synthetic: {self.title} made by the model {self.model} {self.version} (task {self.task}) from "
            f"{', '.join(self.inputs)}; seed {self.seed}; trust report: {self.verdict}. Not for diagnosis. "
            f"Weights sha256 {self.sha256}."
        )[:1024]


def mark(dataset: Dataset, making: Making, source: Dataset) -> None:
    """Say in an object of any class that it is synthetic, who made it and what the source was made with."""
    dataset.add_new(SYNTHETIC_DATA, "CS", "YES")
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = making.model
    dataset.SoftwareVersions = [f"MedGAN {making.software}", f"{making.model} {making.version}"[:64]]
    dataset.DeviceSerialNumber = making.sha256[:16]
    dataset.SeriesDescription = making.series_description
    # On the clock of the source, which the times of its study are told by.
    local = making.created.astimezone(_zone(source.get("TimezoneOffsetFromUTC")))
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = local.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = local.strftime("%H%M%S")
    dataset.ContributingEquipmentSequence = [_synthesizer(dataset, making), *_scanner(source)]


def _synthesizer(dataset: Dataset, making: Making) -> Dataset:
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [item(SYNTHESIZING)]
    for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"):
        setattr(equipment, keyword, dataset.get(keyword))
    equipment.ContributionDateTime = making.created.strftime("%Y%m%d%H%M%S%z")
    equipment.ContributionDescription = making.description
    return equipment


def _scanner(source: Dataset) -> list[Dataset]:
    """What acquired the source, and whatever equipment the source names itself."""
    before = list(source.get("ContributingEquipmentSequence") or ())
    if not source.get("Manufacturer"):
        return before
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [item(ACQUIRING)]
    for keyword in (
        "Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName", "DeviceSerialNumber",
        "SoftwareVersions",
    ):  # fmt: skip
        if source.get(keyword):
            setattr(equipment, keyword, source.get(keyword))
    return [equipment, *before]


def _zone(offset: str | None) -> timezone | None:
    """The zone of an offset such as ``+0130``; None for this machine's own."""
    if not offset or len(offset) != 5 or not offset[1:].isdigit():
        return None
    ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    return timezone(-ahead if offset[0] == "-" else ahead)
