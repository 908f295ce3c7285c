"""The one entry for every task: a session with loaded models, and a run from volumes to volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core import alignment, inference, preprocess, provenance, suitability
from medgan_core.card import ModelCard
from medgan_core.errors import ResourceError, UnsuitableError, UsageError
from medgan_core.monitor import Monitor, Progress
from medgan_core.registry import Model, Registry
from medgan_core.report import Report, Row, Verdict
from medgan_core.request import RunOptions, check_count, check_inputs, choose_target, resolve_settings
from medgan_core.volume import Volume

__all__ = ["Outcome", "RunOptions", "Session", "run"]


@dataclass(frozen=True)
class Outcome:
    """What a run gives: volumes by key, and the report."""

    volumes: dict[str, Volume]
    report: Report


class Session:
    """A device with the models loaded on it; made once, used for many runs, one at a time.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        memory_limit: bytes that inference may plan with; None asks the device.
        registry: where models are found; None for shipped and user models.

    Raises:
        ResourceError: when the device is not there.
    """

    def __init__(
        self, device: str = "auto", memory_limit: int | None = None, registry: Registry | None = None
    ) -> None:
        self.device = _device(device)
        self.memory_limit = memory_limit
        self.registry = registry or Registry()
        self._models: dict[str, Model] = {}
        self._compiled: dict[tuple[str, str, str], inference.Compiled] = {}

    def model(self, name: str) -> Model:
        """A model, loaded once."""
        if name not in self._models:
            self._models[name] = self.registry.load(name)
        return self._models[name]

    def compiled(self, name: str, *, backend: str = "auto", precision: str = "auto") -> inference.Compiled:
        """A model's network made ready for the device, once per back end and precision."""
        key = (name, backend, precision)
        if key not in self._compiled:
            self._compiled[key] = inference.prepare(
                self.model(name).network, device=self.device, backend=backend, precision=precision
            )
        return self._compiled[key]


def run(
    session: Session,
    model: str,
    inputs: Mapping[str, Volume],
    options: RunOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Outcome:
    """Apply a model to volumes.

    Args:
        session: device and loaded models.
        model: its name in the session's registry.
        inputs: volumes by the keys of the card's inputs; those on another grid than the first are resampled
            to it.
        options: target, seed, settings.
        progress: called at every step of work.
        cancel: polled at every step of work.

    Returns:
        One float32 volume for the target on the first input's grid, its trust map, and the report.

    Raises:
        UsageError: unknown model, input, target or setting.
        InputError: an input no model can work on.
        UnsuitableError: an input outside of the card's domain; its `report` says why.
        CancelledError: when cancelled.
    """
    options = options or RunOptions()
    monitor = Monitor(progress, cancel)
    with monitor.stage("load model", 0.05):
        card = session.model(model).card
        check_inputs(card, inputs)
        check_count(card, options.count)
        target = choose_target(card, options.target, inputs)
        settings = resolve_settings(card, options.settings)
        compiled = session.compiled(model, backend=settings["backend"], precision=settings["precision"])
    rows: list[Row] = []
    with monitor.stage("check input", 0.15):
        ordered_inputs = {port.key: inputs[port.key] for port in card.inputs if port.key in inputs}
        rows += _looked_at(card, ordered_inputs)
        volumes, aligned_rows = _one_grid(ordered_inputs, align=settings["align"])
        gated = _suitable(session, card, volumes, rows, allow=settings["allow_unsuitable"])
        rows += aligned_rows + gated
    with monitor.stage("preprocess", 0.22):
        ordered = [volumes.get(port.key) for port in card.inputs]
        array, placement = preprocess.forward(card.preprocess, ordered)
    with monitor.stage("network", 0.92):
        applied = inference.apply(
            compiled,
            array,
            presence=tuple(v is not None for v in ordered),
            memory_limit=session.memory_limit,
            keep=(card.targets.index(target),),
            plan=None if options.plan is None else inference.Plan.from_dict(dict(options.plan)),
            monitor=monitor,
        )
        rows += [Row("Inference", note, verdict="caution") for note in applied.notes]
    with monitor.stage("inverse", 1.0):
        trust = None
        if applied.log_scales is not None:
            trust = inference.expected_error(applied.log_scales[0], calibration=card.trust_calibration)
        value = applied.values[0]
        results = _back(card, volumes, value, trust, placement, target, settings)
    rows += _result_rows(card, compiled, results, target)
    report = Report(
        tuple(rows),
        provenance.describe(
            card,
            inputs=list(volumes),
            target=target,
            seed=options.seed,
            settings=settings,
            plan=applied.plan.to_dict(),
            seconds=monitor.seconds,
        ),
    )
    monitor.step(1.0)
    return Outcome(results, report)


def _looked_at(card: ModelCard, inputs: Mapping[str, Volume]) -> list[Row]:
    """What the reader noted about each input, and its voxels and field of view against the card.

    Raises:
        InputError: for an input no model can work on.
    """
    rows: list[Row] = []
    for key, volume in inputs.items():
        suitability.check_voxels(key, volume)
        rows += [Row(f"{key}: note", note, verdict="caution") for note in volume.notes]
        rows += suitability.geometry_rows(card.domain, key, volume)
    return rows


def _one_grid(inputs: Mapping[str, Volume], *, align: bool) -> tuple[dict[str, Volume], list[Row]]:
    """Inputs on the first one's grid, with rows on what was done to get there."""
    rows: list[Row] = []
    first_key, first = next(iter(inputs.items()))
    out = {first_key: first}
    for key, volume in list(inputs.items())[1:]:
        found = alignment.check(first, volume)
        rows.append(found.row(key, first_key, applied=align))
        transform = found.transform if align and not found.aligned else None
        if transform is None and volume.geometry.close_to(first.geometry):
            out[key] = volume
            continue
        out[key] = alignment.resample(volume, first.geometry, transform=transform)
        rows.append(Row(f"{key}: grid", f"resampled to that of {first_key}", verdict="pass"))
    return out, rows


def _suitable(
    session: Session, card: ModelCard, volumes: dict[str, Volume], rows: list[Row], *, allow: bool
) -> list[Row]:
    """Rows of the gate, which is asked unless the rows so far fail already.

    Raises:
        UnsuitableError: when a row fails, unless `allow`.
    """
    failed = [row for row in rows if row.verdict == "fail"]
    gated: list[Row] = []
    if card.domain.gate and not failed:
        gated = suitability.gate_rows(card.domain, volumes, session.model(card.domain.gate).network)
    failed += [row for row in gated if row.verdict == "fail"]
    if failed and not allow:
        error = UnsuitableError(
            f"The input does not suit the model {card.name!r}",
            expected=f"{card.domain.anatomy}, {card.domain.modality}; "
            + "; ".join(f"{row.name}: {row.limit} {row.unit}".rstrip() for row in failed),
            got="; ".join(f"{row.name}: {row.value} {row.unit}".rstrip() for row in failed),
            action="choose another volume or model; to run all the same, set allow_unsuitable=true",
        )
        error.report = Report(tuple(rows + gated)).to_dict()
        raise error
    return gated


def _back(
    card: ModelCard,
    volumes: dict[str, Volume],
    value: NDArray[np.float32],
    trust: NDArray[np.float32] | None,
    placement: preprocess.Placement,
    target: str,
    settings: dict[str, Any],
) -> dict[str, Volume]:
    """Result and trust map on the source's grid and in the card's scale."""
    stack = value[None] if trust is None else np.stack([value, trust])
    placed = preprocess.inverse(card.preprocess, stack, placement).data
    first = next(iter(volumes.values()))
    source = np.nan_to_num(np.asarray(first.data[0], dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    image = placed[0]
    strength = settings.get("strength")
    if strength is not None and strength < 1.0:
        image = source + np.float32(strength) * (image - source)
        if trust is not None:
            placed[1] = np.maximum(placed[1], np.abs(image - placed[0]))
    if source.min() >= 0:
        np.maximum(image, 0.0, out=image)
    if card.task == "translate":
        _keep_background(image, placed[1] if trust is not None else None, volumes)
    results = {target: first.with_data(image)}
    if trust is not None:
        results["trust"] = first.with_data(placed[1])
    return results


def _keep_background(
    image: NDArray[np.float32], trust: NDArray[np.float32] | None, volumes: dict[str, Volume]
) -> None:
    """Voxels that are exactly zero in every input had their background removed: they stay zero."""
    empty = np.logical_and.reduce([v.data[0] == 0 for v in volumes.values()])
    image[empty] = 0.0
    if trust is not None:
        trust[empty] = 0.0


def _result_rows(
    card: ModelCard, compiled: inference.Compiled, results: dict[str, Volume], target: str
) -> list[Row]:
    """What a person should know about the result itself."""
    agreement = compiled.agreement
    rows = [
        Row(
            f"Agreement of {compiled.backend} {compiled.precision} with fp32",
            float(f"{agreement.maximum:.2g}"),
            "largest deviation, share of the largest value",
            f"{agreement.maximum_limit:g}",
            "pass" if agreement.passed else "fail",
        )
    ]
    if "trust" in results:
        image, trust = results[target].data[0], results["trust"].data[0]
        inside = image > 0.05 * float(np.percentile(image, 99.5))
        if inside.any():
            share = 100 * float(trust[inside].mean() / max(image[inside].mean(), 1e-9))
            verdict: Verdict = "pass" if share < 15 else "caution"
            rows.append(Row("Expected error, mean", round(share, 1), "% of the image's mean", "15", verdict))
    rows += [Row("Limit of the model", text) for text in card.limits]
    return rows


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return name
    if name.partition(":")[0] != "cuda":
        raise UsageError(
            f"There is no device called {name!r}", expected="auto, cpu, cuda or cuda:N", got=name
        )
    count = torch.cuda.device_count()
    number = name.partition(":")[2] or "0"
    if not number.isdigit() or int(number) >= count:
        raise ResourceError(
            f"The device {name} is not there",
            expected=f"one of {count} CUDA devices" if count else "a CUDA device",
            got=name,
            action="use --device auto",
        )
    return name
