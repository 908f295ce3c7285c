"""Means over visits and patients, ranks within patients, and frames, by hand."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.systems import heads, per_patient
from benchmarks.systems.patches import Patches, judge
from benchmarks.systems.whole import apply_whole

RECORDS = [
    {"patient": who, "case": "c", "method": method, "figures": {"psnr": psnr}}
    for who, method, psnr in (
        ("a", "net", 10.0),
        ("a", "net", 20.0),
        ("b", "net", 25.0),
        ("a", "line", 12.0),
        ("b", "line", 26.0),
    )
]


def test_visits_count_once_for_their_patient() -> None:
    assert per_patient.mean_of(RECORDS, "net", "psnr") == 20.0
    table = per_patient.summary(RECORDS, figures=("psnr",))
    assert table.rows == [["c", "net", "2", "20.00 ± 7.07"], ["c", "line", "2", "19.00 ± 9.90"]]
    assert per_patient.patients_table(RECORDS).rows == [
        ["c", "a", "15.00", "12.00"],
        ["c", "b", "25.00", "26.00"],
    ]
    assert per_patient.wins(RECORDS, "net", "line") == "1 of 2"


def test_ranks_within_patients_ignore_what_differs_between_them() -> None:
    patients = np.array(["a"] * 4 + ["b"] * 4)
    lesion = np.array([False, True] * 4)
    scores = np.array([0.1, 0.3, 0.2, 0.4, 5.1, 5.3, 5.2, 5.4])
    patches = Patches(np.zeros((8, 1, 2, 2), np.float32), lesion, patients)
    plain, ranked = (judge(patches, s) for s in (scores, patches.within_patients(scores)))
    assert plain["by_patient"] == ranked["by_patient"] == {"a": 1.0, "b": 1.0}
    assert ranked["auroc"] == 1.0 > plain["auroc"]
    assert ranked["auroc_patients"] == [1.0, 1.0]


def test_one_patient_has_no_interval_over_patients() -> None:
    patches = Patches(np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 0, 1], bool), np.array(["a"] * 4))
    assert judge(patches, np.array([0.1, 0.2, 0.3, 0.4]))["auroc_patients"] is None


def test_brightness_is_that_of_the_brightest_voxels_of_the_foreground() -> None:
    images = np.full((1, 1, 10, 20), 0.5, np.float32)
    images[0, 0, 0, :2] = 0.9  # 1 % of 200
    assert np.isclose(Patches(images, np.array([True]), np.array(["a"])).brightness(), 0.9)


def test_frames_keep_the_middle_and_turn_it_upright() -> None:
    image = torch.zeros(1, 5, 4)
    image[0, 2, 3] = 1  # in the middle of h, at the far end of w
    framed = heads.framed(image, (3, 6))
    assert framed.shape == (1, 6, 3)
    assert framed[0].nonzero().tolist() == [[1, 1]]


def test_slices_and_volumes_go_through_a_function_alike() -> None:
    volumes = torch.rand(2, 6, 5, 4), torch.rand(1, 6, 5, 4)
    by_hand = volumes[0].sum(0) * volumes[1][0]
    for dims in (2, 3):
        made = apply_whole(
            lambda a, b: a.sum(1, keepdim=True) * b, *volumes, spatial_dims=dims, device=torch.device("cpu")
        )
        torch.testing.assert_close(made, by_hand)
