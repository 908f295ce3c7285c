from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import DTypeLike

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import InputError, UsageError
from medgan_core.inference.appliers.holes import closed
from medgan_core.monitor import Monitor
from medgan_core.volume import Geometry, Volume

MODEL = "mr-inpaint"


@pytest.fixture
def mask(oblique_head: Volume) -> Volume:
    region = np.zeros(oblique_head.geometry.shape, dtype=np.uint8)
    region[18:27, 20:31, 4:8] = 3
    return oblique_head.with_data(region)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64, np.int32])
def test_outside_of_the_mask_voxels_stay_bit_for_bit(
    session: Session, oblique_head: Volume, mask: Volume, options: RunOptions, dtype: DTypeLike
) -> None:
    data = (oblique_head.data / 4 + 1 / 3).astype(dtype)
    image = oblique_head.with_data(data)
    result = run(session, MODEL, {"image": image, "mask": mask}, options).volumes["image"]
    inside = mask.data[0] != 0
    assert result.geometry is image.geometry
    np.testing.assert_array_equal(result.data[0][~inside].astype(dtype), data[0][~inside])
    assert not (result.data[0][~inside] != data[0][~inside]).any()
    assert (result.data[0][inside] != data[0][inside]).any()
    assert np.isfinite(result.data).all()


def test_values_that_are_not_finite_stay_outside_of_the_mask(
    session: Session, oblique_head: Volume, mask: Volume, options: RunOptions
) -> None:
    data = oblique_head.data.copy()
    data[0, 0, 0, 0] = np.nan
    data[0, 20, 22, 5] = np.inf
    result = run(session, MODEL, {"image": oblique_head.with_data(data), "mask": mask}, options)
    filled = result.volumes["image"].data[0]
    assert np.isnan(filled[0, 0, 0])
    assert np.isfinite(filled[mask.data[0] != 0]).all()


def test_what_the_region_holds_is_not_looked_at(
    session: Session, oblique_head: Volume, mask: Volume, options: RunOptions
) -> None:
    other = oblique_head.data.copy()
    other[0][mask.data[0] != 0] = 50_000.0
    results = [
        run(session, MODEL, {"image": oblique_head.with_data(data), "mask": mask}, options).volumes["image"]
        for data in (oblique_head.data, other)
    ]
    np.testing.assert_array_equal(results[0].data, results[1].data)


def test_the_nearest_known_voxel_of_the_slice_closes_a_hole() -> None:
    array = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    hole = np.zeros(array.shape, dtype=bool)
    hole[2, 0, 1] = True
    hole[:, :, 2] = True
    image = Volume(array, Geometry((5, 4, 3), np.diag([5.0, 1.0, 9.0, 1.0])))
    out = closed(array, hole, image, Monitor())
    assert out[2, 0, 1] == array[2, 1, 1]
    assert not out[:, :, 2].any()
    np.testing.assert_array_equal(out[~hole], array[~hole])


def test_the_report_says_how_much_was_invented(
    session: Session, oblique_head: Volume, mask: Volume, options: RunOptions
) -> None:
    outcome = run(session, MODEL, {"image": oblique_head, "mask": mask}, options)
    rows = {row.name: row for row in outcome.report.rows}
    millilitres = 9 * 11 * 4 * abs(np.linalg.det(oblique_head.geometry.affine[:3, :3])) / 1000
    assert rows["Filled, invented by the model"].value == pytest.approx(millilitres, rel=0.01)
    assert rows["Largest hole in a slice"].verdict == "pass"
    assert outcome.report.provenance["inputs"] == ["image", "mask"]
    again = run(
        session,
        MODEL,
        {"image": oblique_head, "mask": mask},
        replace(options, plan=outcome.report.provenance["plan"]),
    )
    np.testing.assert_array_equal(again.volumes["image"].data, outcome.volumes["image"].data)


def test_a_whole_slice_is_a_caution(session: Session, oblique_head: Volume, options: RunOptions) -> None:
    region = np.zeros(oblique_head.geometry.shape, dtype=np.uint8)
    region[:, :, 6] = 1
    outcome = run(session, MODEL, {"image": oblique_head, "mask": oblique_head.with_data(region)}, options)
    row = next(row for row in outcome.report.rows if row.name == "Largest hole in a slice")
    assert (row.value, row.verdict) == (100.0, "caution")


def test_a_mask_on_another_grid_is_brought_to_the_image(
    session: Session, oblique_head: Volume, mask: Volume, options: RunOptions
) -> None:
    affine = mask.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [10, 12, 2]
    part = Volume(mask.data[:, 10:40, 12:40, 2:10], Geometry((30, 28, 8), affine))
    whole = run(session, MODEL, {"image": oblique_head, "mask": mask}, options)
    cropped = run(session, MODEL, {"image": oblique_head, "mask": part}, options)
    np.testing.assert_array_equal(whole.volumes["image"].data, cropped.volumes["image"].data)
    row = next(row for row in cropped.report.rows if row.name == "mask: grid")
    assert "nearest" in str(row.value)


def test_masks_that_mark_no_region_are_refused(
    session: Session, oblique_head: Volume, mask: Volume, options: RunOptions
) -> None:
    affine = mask.geometry.affine.copy()
    affine[0, 3] += 4000.0
    wrong = {
        "marks nothing": oblique_head.with_data(np.zeros_like(mask.data)),
        "covers the whole image": oblique_head.with_data(np.ones_like(mask.data)),
        "marks nothing on the grid of image": Volume(mask.data, Geometry(mask.geometry.shape, affine)),
        "2 channels": Volume(np.concatenate([mask.data, mask.data]), mask.geometry),
    }
    for words, volume in wrong.items():
        with pytest.raises(InputError, match=words):
            run(session, MODEL, {"image": oblique_head, "mask": volume}, options)
    with pytest.raises(UsageError, match="always image, mask"):
        run(session, MODEL, {"image": oblique_head}, options)
