from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import UsageError
from medgan_core.volume import Volume

MODEL = "flair-restored"


def looking(options: RunOptions, direction: str) -> RunOptions:
    return replace(options, settings={**options.settings, "direction": direction})


def test_the_map_lies_on_the_input_over_the_foreground_alone(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    outcome = run(session, MODEL, {"FLAIR": oblique_head}, options)
    (key, found), *others = outcome.volumes.items()
    assert (key, others) == ("anomaly", [])
    assert found.geometry is oblique_head.geometry
    assert found.data.dtype == np.float32
    assert (found.data[oblique_head.data == 0] == 0).all()
    assert found.data.min() >= 0
    rows = {row.name: row for row in outcome.report.rows}
    mean = float(rows["Anomaly map, mean"].value)
    assert 0 < mean < float(rows["Anomaly map, 99th percentile"].value)
    assert {rows[name].verdict for name in rows if name.startswith("Anomaly")} == {"not assessed"}


def test_an_untrained_network_restores_nothing_so_that_the_map_is_the_blurred_image(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    found, darker, both = (
        run(session, MODEL, {"FLAIR": oblique_head}, looking(options, way)).volumes["anomaly"].data[0]
        for way in ("brighter", "darker", "both")
    )
    inside = ndimage.binary_erosion(found > 0, iterations=3)
    image = oblique_head.data[0]
    assert np.corrcoef(found[inside], image[inside])[0, 1] > 0.7
    np.testing.assert_allclose(found[inside], both[inside], atol=0.01)
    assert darker[inside].mean() < 0.05 * found[inside].mean()


def test_the_map_does_not_depend_on_the_scale_of_the_input(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    plain = run(session, MODEL, {"FLAIR": oblique_head}, options).volumes["anomaly"]
    bright = oblique_head.with_data(oblique_head.data * 50)
    found = run(session, MODEL, {"FLAIR": bright}, options).volumes["anomaly"]
    np.testing.assert_allclose(found.data, plain.data, atol=1e-4)


def test_the_recorded_plan_gives_the_same_voxels_and_a_direction_that_is_none_is_refused(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    first = run(session, MODEL, {"FLAIR": oblique_head}, options)
    plan = first.report.provenance["plan"]
    again = run(session, MODEL, {"FLAIR": oblique_head}, replace(options, plan=plan))
    np.testing.assert_array_equal(first.volumes["anomaly"].data, again.volumes["anomaly"].data)
    with pytest.raises(UsageError, match="direction"):
        run(session, MODEL, {"FLAIR": oblique_head}, looking(options, "up"))
