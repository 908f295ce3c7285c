from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medgan_core.errors import UsageError
from medgan_core.evaluation import Truth, evaluate, score
from medgan_core.registry import Registry
from medgan_core.volume import Volume
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


def test_every_contrast_of_the_left_out_patient_is_measured(data: Path, toy_registry: Registry) -> None:
    rows = evaluate("brain-mr-translate", data=data, registry=toy_registry)
    assert [row["case"] for row in rows] == ["T2+FLAIR->T1", "T1+FLAIR->T2", "T1+T2->FLAIR"]
    assert {row["patient"] for row in rows} == {"phantom/p2"}
    assert all(0 <= row["coverage"] <= 1 for row in rows)


def test_denoising_is_measured_at_three_levels_and_gets_worse_with_noise(
    data: Path, toy_registry: Registry
) -> None:
    rows = evaluate("mr-denoise", data=data, registry=toy_registry)
    assert len(rows) == 9
    for key in ("T1", "T2", "FLAIR"):
        values = [row["psnr"] for row in rows if row["case"].startswith(key + " ")]
        assert values == sorted(values, reverse=True)


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
