"""The one entry for every task: a session with loaded models, and a run from volumes to volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medgan_core import admission, alignment, completion, inference, provenance, resampling, suitability
from medgan_core.card import ModelCard
from medgan_core.errors import ResourceError, UsageError
from medgan_core.inference import appliers
from medgan_core.inference.appliers import Application
from medgan_core.monitor import Monitor, Progress
from medgan_core.registry import Model, Registry
from medgan_core.report import Report, Row
from medgan_core.request import (
    RunOptions,
    check_count,
    check_inputs,
    check_seed,
    choose_target,
    resolve_settings,
)
from medgan_core.residency import Residency, default_budget
from medgan_core.volume import Volume

__all__ = ["Outcome", "RunOptions", "Session", "run"]


Ready = inference.Compiled | inference.Whole

_MADE_UP = "made_up"
"""Key of a recorded plan: how inputs that were not given were made."""


@dataclass(frozen=True)
class Outcome:
    """What a run gives: volumes by key, and the report."""

    volumes: dict[str, Volume]
    report: Report


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with its network made ready by back end and precision."""

    model: Model
    compiled: dict[tuple[str, str], Ready] = field(default_factory=dict)

    def size(self) -> int:
        """Bytes of the weights: once as loaded, and once more for every time it was made ready."""
        weights = sum(t.nbytes for t in self.model.network.state_dict().values())
        return int(weights) * (1 + len(self.compiled))


class Session:
    """A device with the models loaded on it; made once, used for many runs, one at a time.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        memory_limit: bytes that inference may plan with; None asks the device.
        registry: where models are found; None for shipped and user models.
        model_memory: bytes that loaded models may take; None for a share of the device's.

    Raises:
        ResourceError: when the device is not there.
    """

    def __init__(
        self,
        device: str = "auto",
        memory_limit: int | None = None,
        registry: Registry | None = None,
        model_memory: int | None = None,
    ) -> None:
        self.device = _device(device)
        self.memory_limit = memory_limit
        self.registry = registry or Registry()
        self._loaded: Residency[Loaded] = Residency(
            default_budget(self.device) if model_memory is None else model_memory
        )

    def model(self, name: str) -> Model:
        """A model, loaded once for as long as it stays among the most recently used."""
        return self._load(name).model

    def compiled(self, name: str, *, backend: str = "auto", precision: str = "auto") -> Ready:
        """A model's network made ready for the device, once per back end and precision while it is loaded.

        A gate's, which only answers other models, cannot be.
        """
        loaded, key = self._load(name), (backend, precision)
        if key not in loaded.compiled:
            slabs = appliers.of(loaded.model.card).slabs
            loaded.compiled[key] = (inference.prepare if slabs else inference.prepare_whole)(
                loaded.model.network, device=self.device, backend=backend, precision=precision
            )
        return loaded.compiled[key]

    def _load(self, name: str) -> Loaded:
        # By folder: another version of the model, published meanwhile, is another model.
        folder = str(self.registry.folder(name))
        return self._loaded.get(folder, lambda: Loaded(self.registry.load(name)), Loaded.size)


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
        The volume of the target on the first input's grid, or on the one its card declares, its trust map
        if the model has one, and the report.

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
        applier = appliers.of(card)
        check_inputs(card, inputs)
        check_seed(options.seed)
        check_count(card, options.count)
        target = choose_target(card, options.target, inputs)
        settings = resolve_settings(card, options.settings)
        compiled = session.compiled(model, backend=settings["backend"], precision=settings["precision"])
    rows: list[Row] = []
    with monitor.stage("check input", 0.15):
        ordered_inputs = {port.key: inputs[port.key] for port in card.inputs if port.key in inputs}
        rows += admission.looked_at(card, ordered_inputs)
        volumes, aligned_rows = _one_grid(card, ordered_inputs, align=settings["align"])
        gated = admission.gated(card, volumes, rows, session.model, allow=settings["allow_unsuitable"])
        rows += aligned_rows + gated
    given = list(volumes)
    plan = dict(options.plan or {})
    completed = _completed(session, card, volumes, settings, plan.pop(_MADE_UP, {}), monitor)
    rows += completed.rows
    answer = applier.apply(
        Application(
            card=card,
            ready=compiled,
            volumes=completed.volumes,
            target=target,
            seed=options.seed,
            count=options.count,
            settings=settings,
            views=inference.Views.from_dict(plan) if plan else None,
            memory_limit=session.memory_limit,
            monitor=monitor,
        )
    )
    rows += [*answer.rows, *_closing_rows(card, compiled)]
    report = Report(
        tuple(rows),
        provenance.describe(
            card,
            inputs=given,
            target=target,
            seed=options.seed,
            count=options.count,
            settings=settings,
            computed={key: getattr(compiled, key) for key in ("device", "backend", "precision")},
            plan=answer.views.to_dict() | ({_MADE_UP: completed.plan} if completed.plan else {}),
            seconds=monitor.seconds,
        ),
    )
    monitor.step(1.0)
    return Outcome(answer.volumes, report)


def _one_grid(
    card: ModelCard, inputs: Mapping[str, Volume], *, align: bool
) -> tuple[dict[str, Volume], list[Row]]:
    """Inputs on the first one's grid (but those that lie apart), with rows on what was done to get there.

    Raises:
        InputError: when nothing of a label map lies on that grid.
    """
    rows: list[Row] = []
    if not inputs:
        return {}, rows
    first_key, first = next(iter(inputs.items()))
    out = {first_key: first}
    for key, volume in list(inputs.items())[1:]:
        if card.input(key).apart:
            out[key] = volume
            continue
        if key in card.label_inputs:
            if volume.geometry.close_to(first.geometry):
                out[key] = volume
                continue
            out[key] = resampling.resample(volume, first.geometry, order=0)
            suitability.check_label_map(key, out[key], grid_of=first_key)
            rows.append(
                Row(f"{key}: grid", f"resampled to that of {first_key}, nearest voxel", verdict="pass")
            )
            continue
        found = alignment.check(first, volume)
        rows.append(found.row(key, first_key, applied=align))
        transform = found.transform if align and not found.aligned else None
        if transform is None and volume.geometry.close_to(first.geometry):
            out[key] = volume
            continue
        out[key] = alignment.resample(volume, first.geometry, transform=transform)
        rows.append(Row(f"{key}: grid", f"resampled to that of {first_key}", verdict="pass"))
    return out, rows


def _completed(
    session: Session,
    card: ModelCard,
    volumes: dict[str, Volume],
    settings: Mapping[str, Any],
    recorded: Mapping[str, Any],
    monitor: Monitor,
) -> completion.Completed:
    """The inputs, and those not given that the card's translation model can make of them."""
    name = card.completes_with
    if not name or not settings.get(completion.SETTING.key, True):
        return completion.Completed(volumes)
    translator = session.registry.card(name)
    plans = completion.recorded(dict(recorded), translator)
    shared = {key: settings[key] for key in ("allow_unsuitable", "backend", "precision")}

    def translate(
        inputs: Mapping[str, Volume], key: str, progress: Callable[[Progress], None]
    ) -> tuple[Volume, completion.Plan]:
        options = RunOptions(target=key, settings=shared, plan=plans.get(key))
        made = run(session, name, inputs, options, progress=progress)
        return made.volumes[key], made.report.provenance["plan"]

    with monitor.stage("complete inputs", 0.4):
        return completion.complete(card, translator, volumes, translate, monitor)


def _closing_rows(card: ModelCard, ready: Ready) -> list[Row]:
    """Whether the network was computed right, and what a person should know of any result of the model."""
    limits = [Row("Limit of the model", text) for text in card.limits]
    if isinstance(ready, inference.Whole):
        return limits
    agreement = ready.agreement
    computed = Row(
        f"Agreement of {ready.backend} {ready.precision} with fp32",
        float(f"{agreement.maximum:.2g}"),
        "largest deviation, share of the largest value",
        f"{agreement.maximum_limit:g}",
        "pass" if agreement.passed else "fail",
    )
    return [computed, *limits]


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
