"""The sections on systems that transform, detect, and train others: whole, on phantoms and tiny runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from benchmarks.systems import classification as classification_file
from benchmarks.systems import detection as detection_file
from benchmarks.systems import plan
from benchmarks.systems import spade as spade_file
from benchmarks.systems.classification import classification
from benchmarks.systems.detection import detection
from benchmarks.systems.inpainting import inpainting
from benchmarks.systems.judged import Bench
from benchmarks.systems.report import Question
from benchmarks.systems.runs import Runs
from benchmarks.systems.section import Picture, Section, Table
from benchmarks.systems.spade import spade
from benchmarks.systems.super_resolution import super_resolution
from benchmarks.systems.translation import translation
from medgan_core.training import RECIPES, loop, sampling
from medgan_core.training.recipe import configure
from tests.benchmarks.systems.brains import write_everything
from tests.core.training.recipes.subjects import judge_few

SMALL: dict[str, Any] = {"updates": 2, "batch": 2, "warmup": 1, "validate_every": 2}
SLICES = {**SMALL, "size": (32, 32), "depth": 6, "pixel_mm": 1.0, "judge_widths": (4, 8), "widths": (4, 8)}
OWN: dict[str, dict[str, Any]] = {
    "pix2pix": SLICES,
    "cyclegan": {**SLICES, "blocks": 1, "pool": 3},
    "srgan": {**SLICES, "widths": (8, 4), "blocks": 1},
    "inpaint": SLICES,
    "f-anogan": {**SMALL, "latent": 4, "critic_steps": 1, "encoder_share": 0.5},
    "dae": {**SMALL, "size": 32, "simulated": 0.0},
    "beta-vae": {**SMALL, "latent": 4},
    "flow": {**SMALL, "steps": 1, "method": "euler"},
    "spade": {**SMALL, "style": 4, "judge_widths": (4, 4, 4)},
    "segmentation": SMALL,
    "classifier": SMALL,
}
JUDGED = 32
SEEDS, FOLDS = (0, 1), (0, 1)
DOWNSTREAM = [
    plan.downstream(kind, seed, fold) for kind in plan.TRAINED_ON for seed in SEEDS for fold in (None, *FOLDS)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_everything(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        judge_few(patch)
        for module in (spade_file, classification_file):
            patch.setattr(module, "SEEDS", SEEDS)
        for module in (detection_file, classification_file):
            patch.setattr(module, "FOLDS", FOLDS)
        yield patch


@dataclasses.dataclass(frozen=True)
class Lab:
    """A bench, and the trainings of the plan at their smallest."""

    bench: Bench
    dims: int

    def train(self, *names: str) -> Bench:
        """The bench with these runs."""
        plans = {p.name: p for p in (*plan.SYSTEMS, *DOWNSTREAM)}
        runs = self.bench.runs.folder
        for planned in (plans[name] for name in names):
            needs = planned.needs
            if needs is not None and not (runs / needs.place).exists():
                sampling.sample(runs / needs.run, count=4, out=runs / needs.place, device="cpu")
            settings = {key: value.replace("{runs}", str(runs)) for key, value in planned.settings.items()}
            own = {"widths": {2: (8, 8, 8), 3: (4, 4, 4)}[self.dims], **OWN[planned.recipe]}
            recipe = configure(RECIPES[planned.recipe], settings)
            if hasattr(recipe, "spatial_dims"):
                own["spatial_dims"] = self.dims
            recipe = dataclasses.replace(recipe, **own)
            loop.train(recipe, data=self.bench.data, out=runs / planned.name, command="none", workers=0)
        return self.bench


@pytest.fixture(scope="module", params=[2, 3])
def lab(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(Bench(data, Runs(tmp_path_factory.mktemp("runs")), JUDGED), request.param)


def tables(section: Section) -> list[Table]:
    return [part for part in section.parts if isinstance(part, Table)]


def pictures(section: Section, folder: Path) -> list[np.ndarray]:
    """The pictures as they are read again, (h, w, channels)."""
    drawn = [part for part in section.parts if isinstance(part, Picture)]
    for part in drawn:
        part.draw(folder / f"{part.name}.png")
    return [image.imread(folder / f"{part.name}.png") for part in drawn]


def cells(table: Table, column: str) -> list[str]:
    return [row[list(table.columns).index(column)] for row in table.rows]


@pytest.mark.parametrize(
    "question", [translation, super_resolution, inpainting, detection, spade, classification]
)
def test_a_question_whose_runs_are_missing_says_which(question: Question, data: Path, tmp_path: Path) -> None:
    section = question(Bench(data, Runs(tmp_path)))
    assert len(section.parts) == 1
    assert "is not finished" in str(section.parts[0])


def test_both_translations_are_judged_beside_the_identity_and_a_regression(lab: Lab, tmp_path: Path) -> None:
    section = translation(lab.train("pix2pix", "cyclegan"))
    total, patients = tables(section)
    assert cells(total, "method") == ["pix2pix", "cyclegan", "identity", "linear"]
    assert cells(total, "n") == ["2"] * 4
    assert cells(patients, "patient") == ["brains/b0", "brains/b3"]
    by_method = dict(zip(cells(total, "method"), cells(total, "PSNR dB"), strict=True))
    assert float(by_method["linear"].split()[0]) > float(by_method["identity"].split()[0]) + 3
    assert set(section.overview) == {"pix2pix", "cyclegan"}
    assert all(picture.std() > 0 for picture in pictures(section, tmp_path))


def test_thick_slices_are_judged_on_patients_and_on_a_simulated_head(lab: Lab, tmp_path: Path) -> None:
    section = super_resolution(lab.train("srgan-2x", "srgan-4x"))
    total, patients, simulated = tables(section)
    choices = product((2, 4), ("T1", "FLAIR"), ("box", "gaussian"))
    cases = [f"{factor}x {contrast}, {profile}" for factor, contrast, profile in choices]
    assert cells(total, "case") == cells(simulated, "case") == [c for c in cases for _ in range(3)]
    assert set(cells(total, "method")) == {"srgan", "linear", "b-spline"}
    assert (set(cells(total, "n")), set(cells(simulated, "n"))) == ({"2"}, {"1"})
    assert len(patients.rows) == 2 * len(cases)
    finer, coarser = (cells(simulated, "PSNR dB")[row] for row in (2, 14))  # B-spline of T1, box
    assert float(finer) > float(coarser)
    assert len(pictures(section, tmp_path)) == 2


def test_holes_are_judged_by_kind(lab: Lab, tmp_path: Path) -> None:
    section = inpainting(lab.train("inpaint"))
    total, _ = tables(section)
    assert cells(total, "case") == [kind for kind in ("blob", "box", "slices", "lesion") for _ in range(2)]
    assert all(np.isfinite(float(v.split()[0])) for v in cells(total, "PSNR dB"))
    assert len(pictures(section, tmp_path)) == 1


def test_patches_are_scored_with_and_without_networks(lab: Lab, tmp_path: Path) -> None:
    section = detection(lab.train("f-anogan", "beta-vae-patch", "dae", "dae-1"))
    found, folds = tables(section)
    names = ["DAE", "f-AnoGAN", "VAE", "PCA", "deviation", "brightness", "brightness within patients"]
    assert cells(found, "score") == names
    brightness = cells(found, "AUROC (95 % DeLong)")[names.index("brightness")]
    assert float(brightness.split()[0]) > 0.9  # lesions of the phantoms are bright
    assert [c for c in found.columns if c.startswith("AUROC in")] == [
        "AUROC in brains/b0",
        "AUROC in brains/b3",
    ]
    assert cells(folds, "patient") == ["brains/b0", "brains/b3", "brains/b1"]
    assert len(pictures(section, tmp_path)) == 2


def test_labels_are_looked_for_in_generated_images_and_learned_from_them(lab: Lab, tmp_path: Path) -> None:
    names = [p.name for p in DOWNSTREAM if p.recipe == "segmentation"]
    before = spade(lab.train("spade", "segmentation"))
    assert len(tables(before)) == 1
    assert any("not judged" in part for part in before.parts if isinstance(part, str))
    section = spade(lab.train(*names))
    images, trained = tables(section)
    assert cells(images, "images") == ["real", "generated", "own style", "painted"]
    assert set(cells(images, "n")) == set(cells(trained, "patients")) == {"3"}
    assert cells(trained, "trained on") == ["real", "generated", "both"]
    assert set(cells(trained, "seeds")) == {"2"}
    assert len(pictures(section, tmp_path)) == 1


def test_a_classifier_is_judged_on_every_patient_of_the_folds(lab: Lab, tmp_path: Path) -> None:
    flows = [f"flow-patch-{fold}" for fold in (0, 1)]
    section = classification(lab.train(*flows, *(p.name for p in DOWNSTREAM if p.recipe == "classifier")))
    folds, together = tables(section)
    assert cells(folds, "trained on") == ["real", "generated", "both"]
    assert cells(together, "trained on") == ["real", "generated", "both", "brightness"]
    assert [c[-9:] for c in together.columns if "AUROC in" in c] == ["brains/b0", "brains/b1", "brains/b3"]
    assert len(pictures(section, tmp_path)) == 1
