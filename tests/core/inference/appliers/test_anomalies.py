from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import CancelledError, UsageError
from medgan_core.inference.appliers.anomalies import window
from medgan_core.monitor import Progress
from medgan_core.volume import Volume

MODEL = "flair-anomaly"


def test_weights_of_patches_shifted_by_half_add_up_to_one() -> None:
    weight = np.tile(window(8), (4, 4))
    total = sum(np.roll(weight, (down, across), (0, 1)) for down in (0, 4) for across in (0, 4))
    np.testing.assert_allclose(total, 1.0, rtol=1e-6)
    assert window(8).min() > 0


@pytest.mark.parametrize("stride", ["8", "16", "32"])
def test_the_map_lies_on_the_input_over_the_foreground_alone(
    session: Session, oblique_head: Volume, options: RunOptions, stride: str
) -> None:
    settings = {**options.settings, "stride": stride}
    outcome = run(session, MODEL, {"FLAIR": oblique_head}, replace(options, settings=settings))
    (key, found), *others = outcome.volumes.items()
    assert (key, others) == ("anomaly", [])
    assert found.geometry is oblique_head.geometry
    assert found.data.dtype == np.float32
    assert (found.data[oblique_head.data == 0] == 0).all()
    assert found.data.min() >= 0
    assert found.data.max() > 0.05
    rows = {row.name: row for row in outcome.report.rows}
    mean = float(rows["Anomaly map, mean"].value)
    assert 0 < mean < float(rows["Anomaly map, 99th percentile"].value)
    assert float(rows["Anomaly score of patches, mean"].value) > 0
    assert {rows[name].verdict for name in rows if name.startswith("Anomaly")} == {"not assessed"}
    assert any("Not for diagnosis" in str(row.value) for row in outcome.report.rows)


def test_the_map_does_not_depend_on_the_scale_of_the_input(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    plain = run(session, MODEL, {"FLAIR": oblique_head}, options).volumes["anomaly"]
    bright = oblique_head.with_data(oblique_head.data * 50)
    found = run(session, MODEL, {"FLAIR": bright}, options).volumes["anomaly"]
    np.testing.assert_allclose(found.data, plain.data, atol=1e-4)


def test_a_place_that_differs_stands_out(session: Session, oblique_head: Volume, options: RunOptions) -> None:
    """An untrained generator makes nearly one grey, so what is far from grey is far from it."""
    data = oblique_head.data.copy()
    data[0, 20:24, 24:28, 6] = 3 * data.max()
    plain = run(session, MODEL, {"FLAIR": oblique_head}, options).volumes["anomaly"].data[0]
    found = run(session, MODEL, {"FLAIR": oblique_head.with_data(data)}, options).volumes["anomaly"].data[0]
    assert found[21:23, 25:27, 6].mean() > 3 * plain[21:23, 25:27, 6].mean()
    assert np.unravel_index(found.argmax(), found.shape)[2] == 6


def test_the_recorded_plan_gives_the_same_voxels_and_another_models_is_refused(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    first = run(session, MODEL, {"FLAIR": oblique_head}, options)
    plan = first.report.provenance["plan"]
    again = run(session, MODEL, {"FLAIR": oblique_head}, replace(options, plan=plan))
    np.testing.assert_array_equal(first.volumes["anomaly"].data, again.volumes["anomaly"].data)
    with pytest.raises(UsageError, match="another model"):
        run(session, "mr-thin-slices", {"image": oblique_head}, replace(options, plan=plan))


def test_progress_rises_through_all_shifts_and_cancel_stops(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    seen: list[Progress] = []
    run(session, MODEL, {"FLAIR": oblique_head}, options, progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert len({p.fraction for p in seen if p.stage == "network"}) > 8
    with pytest.raises(CancelledError):
        run(session, MODEL, {"FLAIR": oblique_head}, options, cancel=lambda: len(seen) > 0)
