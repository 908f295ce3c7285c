from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgan_core.errors import UsageError
from medgan_core.evaluation import Truth, evaluate, score
from medgan_core.registry import Registry
from medgan_core.volume import Volume
from tests.brains import write_heads
from tests.models import toy_lesions, toy_translate
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


def test_every_contrast_of_the_left_out_patient_is_measured(data: Path, toy_registry: Registry) -> None:
    rows = evaluate("brain-mr-translate", data=data, registry=toy_registry).rows
    assert [row["case"] for row in rows] == ["T2+FLAIR->T1", "T1+FLAIR->T2", "T1+T2->FLAIR"]
    assert {row["patient"] for row in rows} == {"phantom/p2"}
    assert all(0 <= row["coverage"] <= 1 for row in rows)


def test_denoising_is_measured_at_three_levels_and_gets_worse_with_noise(
    data: Path, toy_registry: Registry
) -> None:
    rows = evaluate("mr-denoise", data=data, registry=toy_registry).rows
    assert len(rows) == 9
    for key in ("T1", "T2", "FLAIR"):
        values = [row["psnr"] for row in rows if row["case"].startswith(key + " ")]
        assert values == sorted(values, reverse=True)


def test_who_was_left_out_is_told_with_the_reason(data: Path, toy_registry: Registry) -> None:
    found = evaluate("mr-denoise", data=data, registry=toy_registry)
    assert found.left_out == [
        {"patient": "maps/val", "visit": "", "reason": "no MR image of a head or brain"}
    ]
    assert found.reasons == ["1 study: no MR image of a head or brain"]
    found = evaluate("brain-mr-translate", data=data, registry=toy_registry)
    assert found.reasons == ["1 study: no head or brain in two contrasts"]


def test_one_contrast_is_enough_for_denoising_and_no_coverage_means_head(
    data: Path, toy_registry: Registry
) -> None:
    rows = (data / "manifest.csv").read_text(encoding="utf-8").replace(",head,", ",,").splitlines()
    file = data / "single.csv"
    file.write_text("\n".join(r for r in rows if ",T2," not in r and ",T1," not in r), encoding="utf-8")
    cases = [row["case"] for row in evaluate("mr-denoise", data=file, registry=toy_registry).rows]
    assert cases == ["FLAIR 3 %", "FLAIR 9 %", "FLAIR 15 %"]
    file.write_text("\n".join(rows), encoding="utf-8")
    assert len(evaluate("brain-mr-translate", data=file, registry=toy_registry).rows) == 3


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Registry]:
    """Two patients of one set with lesions, one of another with tumours under the same key, one without."""
    folder = tmp_path_factory.mktemp("lesions")
    lines = write_heads(folder).joinpath("manifest.csv").read_text(encoding="utf-8").splitlines()
    more = [line.replace("ms,ms/p0,,", "tumours,tumours/p9,,") for line in lines if "ms/p0" in line]
    more += [line.replace("ms,ms/p1,,", "bare,bare/p8,,") for line in lines if "ms/p1,,FLAIR" in line]
    for number, line in enumerate(more):
        name = line.rpartition(",")[2]
        shutil.copy(folder / name, folder / f"more{number}.nii.gz")
        lines.append(line.replace(name, f"more{number}.nii.gz"))
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    toy_lesions(folder / "models")
    toy_translate(folder / "models")
    return folder, Registry([folder / "models"])


def test_a_truth_that_could_be_of_several_sets_must_be_named(lesions: tuple[Path, Registry]) -> None:
    folder, registry = lesions
    given: dict[str, Any] = {"data": folder, "split": "train", "registry": registry}
    with pytest.raises(UsageError, match="several data sets") as refused:
        evaluate("lesion-suggest", truth="lesion", **given)
    assert refused.value.got == "ms, tumours"
    with pytest.raises(UsageError, match="2 studies: no label map labels, only lesion"):
        evaluate("lesion-suggest", sets="ms", **given)
    found = evaluate("lesion-suggest", truth="lesion", sets="ms,bare", **given)
    assert [(row["patient"], row["truth"]) for row in found.rows] == [
        ("ms/p0", "ms: lesion"),
        ("ms/p1", "ms: lesion"),
    ]
    assert found.reasons == ["1 study: no label map lesion"]


def test_patients_listed_as_test_are_measured_when_asked_for(data: Path, toy_registry: Registry) -> None:
    listed = (data / "manifest.csv").read_text(encoding="utf-8")
    (data / "tested.csv").write_text(listed.replace(",head,val,", ",head,test,"), encoding="utf-8")
    rows = evaluate("mr-denoise", data=data / "tested.csv", split="test", registry=toy_registry).rows
    assert {row["patient"] for row in rows} == {"phantom/p2"}


def test_a_split_without_patients_is_refused(data: Path, toy_registry: Registry) -> None:
    with pytest.raises(UsageError, match="No patient"):
        evaluate("mr-denoise", data=data, split="none", registry=toy_registry)


def test_an_image_times_any_gain_is_perfect(oblique_head: Volume) -> None:
    truth = Truth.of(oblique_head, brain_only=False)
    figures = score(truth, 3.0 * truth.image)
    assert figures["gain"] == pytest.approx(1 / 3, rel=1e-5)
    assert figures["psnr"] > 100
    assert figures["ssim"] == pytest.approx(1.0, abs=1e-5)


def test_a_truth_goes_back_into_its_file_order(oblique_head: Volume) -> None:
    truth = Truth.of(oblique_head, brain_only=False)
    np.testing.assert_allclose(truth.back(truth.image).data, oblique_head.data, rtol=1e-5)
