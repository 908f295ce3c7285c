"""From a difficult file through the engine to a file: handled and reported, or refused in words."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medgan_core import alignment, io, registry
from medgan_core.engine import Outcome, RunOptions, Session, run
from medgan_core.errors import InputError, UnsuitableError
from medgan_core.registry import Registry
from medgan_core.training.recipes.gate import Gate
from medgan_core.volume import Geometry, Volume
from tests.models import TRAINING, toy_denoise

FAST = {"backend": "torch", "precision": "fp32"}
SHAPE = (40, 48, 36)


def head(spacing=4.0, shape=SHAPE, *, affine=None, shift=0.0) -> Volume:
    """An ellipsoid with inner structure; the background is exactly zero; `shift` (mm) moves it along i."""
    if affine is None:
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    grids = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    x, y, z = (2 * g / n for g, n in zip(grids, SHAPE, strict=True))
    x = x - 2 * shift / (spacing * SHAPE[0])
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.85) ** 2 + np.where(z > 0, z / 0.75, z / 0.9) ** 2)
    inner = 500 + 200 * np.sin(5 * x + 2 * y + 1) * np.cos(4 * y - 3 * z) + 100 * np.sin(7 * z + 2 * x)
    return Volume(np.where(radius < 1, inner, 0).astype(np.float32), Geometry(shape, affine))


@pytest.fixture(scope="module")
def session(toy_registry) -> Session:
    return Session("cpu", registry=toy_registry)


def denoise(session: Session, volume: Volume, **settings) -> Outcome:
    return run(session, "mr-denoise", {"image": volume}, RunOptions(settings={**FAST, **settings}))


def verdicts(outcome: Outcome, part: str) -> list[str]:
    return [row.verdict for row in outcome.report.rows if part in row.name]


TURN = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
GRIDS = {
    "oblique": TURN * (4.0, 3.5, 4.5),
    "left-handed": np.diag([-4.0, 4.0, 4.0]),
    "thick and oblique": TURN * (3.0, 3.0, 7.0),
}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("axes", GRIDS.values(), ids=GRIDS.keys())
def test_any_orientation_comes_back_on_its_own_grid(session, tmp_path, axes, suffix):
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = (-70.0, 31.0, 55.5)
    source = io.read(io.write(head(affine=affine), tmp_path / f"a{suffix}"))
    outcome = denoise(session, source, strength=0.0)
    result = io.read(io.write(outcome.volumes["image"], tmp_path / f"b{suffix}"))
    assert result.geometry.close_to(source.geometry)
    np.testing.assert_allclose(result.data, source.data, atol=1e-2)


def test_a_note_of_the_reader_is_in_the_report(session, tmp_path):
    data = head().data.copy()
    data[0, 20, 20, 20:23] = np.nan, np.inf, -np.inf
    source = io.read(io.write(head().with_data(data), tmp_path / "a.nii"))
    outcome = denoise(session, source)
    notes = [row for row in outcome.report.rows if "note" in row.name]
    assert [row.verdict for row in notes] == ["caution"]
    assert "3 voxels" in str(notes[0].value)
    assert all(np.isfinite(v.data).all() for v in outcome.volumes.values())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float64"])
def test_any_type_gives_float32(session, tmp_path, dtype):
    scaled = head().data / (4 if dtype == "uint8" else 1)
    source = io.read(io.write(head().with_data(scaled.astype(dtype)), tmp_path / "a.nii"))
    assert source.data.dtype == dtype
    image = denoise(session, source).volumes["image"]
    assert image.data.dtype == np.float32
    assert np.isfinite(image.data).all()


@pytest.mark.parametrize("value", [0.0, -3.5, np.nan])
def test_constant_is_refused(session, tmp_path, value):
    flat = head().with_data(np.full(SHAPE, value, np.float32))
    with pytest.raises(InputError, match="constant"):
        denoise(session, io.read(io.write(flat, tmp_path / "a.nii")))


def test_one_slice_is_refused_and_runs_when_told_to(session, tmp_path):
    data = head().data[0, :, :, 18:19]
    affine = np.diag([4.0, 4.0, 5.0, 1.0])
    source = io.read(io.write(Volume(data, Geometry((40, 48, 1), affine)), tmp_path / "a.nii"))
    with pytest.raises(UnsuitableError, match="field of view") as caught:
        denoise(session, source)
    assert "allow_unsuitable" in caught.value.action
    outcome = denoise(session, source, allow_unsuitable=True)
    assert outcome.volumes["image"].geometry.shape == (40, 48, 1)
    assert outcome.report.verdict == "fail"


def test_a_tenth_of_a_millimetre_is_refused(session, tmp_path):
    source = io.read(io.write(head(0.1), tmp_path / "a.nii"))
    with pytest.raises(UnsuitableError, match="voxel size") as caught:
        denoise(session, source)
    assert "0.1 x 0.1 x 0.1" in caught.value.got


def test_a_centimetre_is_cautioned_and_more_is_refused(session, tmp_path):
    source = io.read(io.write(head(10.0), tmp_path / "a.nii"))
    outcome = denoise(session, source)
    assert "caution" in verdicts(outcome, "voxel size")
    assert outcome.volumes["image"].geometry.shape == SHAPE
    with pytest.raises(UnsuitableError, match="voxel size"):
        denoise(session, io.read(io.write(head(11.0), tmp_path / "b.nii")))


def translate(session: Session, first: Volume, second: Volume, **settings) -> Outcome:
    options = RunOptions(target="FLAIR", settings={**FAST, **settings})
    return run(session, "brain-mr-translate", {"T1": first, "T2": second}, options)


def test_aligned_inputs_pass(session):
    inverted = head().with_data(np.where(head().data > 0, 1000 - head().data, 0))
    outcome = translate(session, head(), inverted)
    assert verdicts(outcome, "distance from T1") == ["pass"]


def test_inputs_that_are_not_aligned_are_measured(session):
    outcome = translate(session, head(), head(shift=8.0))
    (row,) = [row for row in outcome.report.rows if "distance from T1" in row.name]
    assert row.verdict == "caution"
    assert row.value == pytest.approx(8.0, abs=1.5)
    assert "align=true" in row.name


def test_the_offered_alignment_is_applied_when_told_to(session):
    """Letting the engine align gives what aligning by hand gives, and that lies on the reference."""
    offered = alignment.check(head(), head(shift=8.0)).transform
    by_hand = alignment.resample(head(shift=8.0), head().geometry, transform=offered)
    apart, left = (np.abs(v.data - head().data).mean() for v in (head(shift=8.0), by_hand))
    assert left < 0.3 * apart
    outcome = translate(session, head(), head(shift=8.0), align=True)
    np.testing.assert_allclose(
        outcome.volumes["trust"].data,
        translate(session, head(), by_hand).volumes["trust"].data,
        rtol=1e-3,
        atol=1e-2,
    )
    assert any("alignment applied" in row.name for row in outcome.report.rows)


def gated(folder, brain: float, contrast: int) -> Session:
    """A session whose gate always gives the same answer: a logit for the anatomy, and one contrast."""
    card = toy_denoise(folder)
    network = Gate().network()
    torch.nn.init.zeros_(network.classify.weight)
    with torch.no_grad():
        network.classify.bias.copy_(torch.tensor([brain, *(9.0 * (n == contrast) for n in range(5))]))
    registry.save(folder / "brain-mr-gate", Gate().card(TRAINING), network)
    domain = replace(card.domain, gate="brain-mr-gate", strict=True)
    registry.save(folder / "mr-denoise", replace(card, domain=domain), registry_network(folder))
    return Session("cpu", registry=Registry([folder]))


def registry_network(folder) -> torch.nn.Module:
    return Registry([folder]).load("mr-denoise").network


def test_another_anatomy_or_modality_is_refused_and_runs_when_told_to(tmp_path):
    session = gated(tmp_path, brain=-9.0, contrast=0)
    with pytest.raises(UnsuitableError, match="does not suit") as caught:
        denoise(session, head())
    assert "MR" in caught.value.expected
    assert caught.value.exit_status == 3
    assert denoise(session, head(), allow_unsuitable=True).report.verdict == "fail"


def test_what_the_gate_knows_passes(tmp_path):
    session = gated(tmp_path, brain=9.0, contrast=0)
    assert verdicts(denoise(session, head()), "looks like a") == ["pass"]
