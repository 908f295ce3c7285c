"""The one training loop: whatever recipes share stands here, what only one knows stands there."""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medgan_core import __version__, registry
from medgan_core.card import Training
from medgan_core.data.samples import Samples
from medgan_core.data.witness import witnessed
from medgan_core.errors import ModelError, UsageError
from medgan_core.monitor import Monitor, Progress
from medgan_core.training import data_sources, folder
from medgan_core.training.journal import Journal
from medgan_core.training.loading import Batches
from medgan_core.training.processes import Processes, everyone, joined
from medgan_core.training.recipe import Recipe
from medgan_core.training.run import Run
from medgan_core.training.state import State
from medgan_core.training.watch import Watch

_SAVE_EVERY_S = 120.0
_LOG_EVERY = 20
_GOOD, _BEST = "good", "best"


def train(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    command: str,
    device: str = "cpu",
    resume: bool = False,
    max_minutes: float | None = None,
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> bool:
    """Train until the recipe's updates are done, validation no longer improves, or the minutes are over.

    Stopping and resuming gives what not stopping gives: samples and random numbers depend on the seed and
    the update alone. Under torchrun every process trains on its part of each batch; the first one writes.

    Args:
        recipe: what to train.
        data: folder with the manifest, or a pack.
        out: run folder; see `folder` for what it holds.
        command: as it was typed, for the card.
        device: ``cpu``, ``cuda`` (under torchrun the one of the process) or ``cuda:N``.
        resume: go on from the state in the run folder.
        max_minutes: stop (resumable) after so long.
        workers: processes that prepare samples; 0 for none. They are forked where the system can, so a
            process that runs compiled back ends as well should train without them.
        progress: called at every update.
        cancel: polled at every update; a cancelled run keeps its state.

    Returns:
        True when the model is finished.

    Raises:
        UsageError: when the run folder holds another run and resume is not asked for, or the data do not
            hold what the recipe trains and is validated on.
        ModelError: when the training goes wrong again after the recipe's `rollbacks`.
        CancelledError: when cancelled.
    """
    with joined(device) as processes:
        session = _Session(recipe, data, out, device, processes, resume)
        monitor = Monitor(progress if processes.first else None, cancel)
        finished = session.go(monitor, workers=workers, max_minutes=max_minutes)
        if finished and processes.first:
            session.finish(command)
        return finished


class _Session:
    """One stretch of a run, from its start or a resume to its end or a stop."""

    def __init__(
        self, recipe: Recipe, data: Path, out: Path, device: str, processes: Processes, resume: bool
    ) -> None:
        if recipe.batch % processes.world:
            raise UsageError(
                "The batch cannot be shared evenly",
                expected=f"a batch that {processes.world} processes divide",
                got=str(recipe.batch),
                action="change batch, or the number of processes",
            )
        self.recipe, self.data, self.out, self.processes = recipe, data, out, processes
        place = f"cuda:{processes.local}" if device == "cuda" else device
        self.run = Run(recipe, torch.device(place), processes)
        if recipe.init:
            self.run.start_from(folder.initial(Path(recipe.init), set(self.run.networks), recipe.name))
        resolved = {"recipe": recipe.name, "version": __version__, **dataclasses.asdict(recipe)}
        if processes.first:
            folder.claim(out, resolved, data, resume=resume)
        self.best, self.stale = math.inf, 0
        self.watch = Watch()
        if resume:
            self._take_up(State.load(out))
        self.journal = Journal(out, write=processes.first)
        self.right: float | None = None
        self._clock = time.monotonic()

    def go(self, monitor: Monitor, *, workers: int, max_minutes: float | None) -> bool:
        """Update after update; True when the run is done."""
        recipe, run = self.recipe, self.run
        with witnessed() as read:
            samples = recipe.samples(self.data, validation=False)
        if self.processes.first:
            data_sources.note(self.out, read, init=recipe.init)
        validation = self._validation()
        batches = self._batches(samples, workers)
        begin = saved = time.monotonic()
        note = ""
        try:
            with monitor.stage(f"training {recipe.name}", 1.0):
                while run.step < recipe.updates:
                    run.update([batches.next(run.device) for _ in range(run.repeats)])
                    now = time.monotonic()
                    if run.step % _LOG_EVERY == 0:
                        trouble, note = self._look(batches)
                        if trouble:
                            batches = self._go_back(trouble, samples, workers)
                            continue
                        if max_minutes is not None and everyone(now - begin > 60 * max_minutes):
                            return False
                        if now - saved > _SAVE_EVERY_S:
                            self.save()
                            saved = now
                    if self._to_validate(run.step):
                        validation = validation or recipe.samples(self.data, validation=True)
                        trouble = self._validate(validation)
                        if trouble:
                            batches = self._go_back(trouble, samples, workers)
                            continue
                        if recipe.patience and self.stale >= recipe.patience:
                            self._say("early stop", {"stale": float(self.stale)})
                            return True
                    monitor.step(run.step / recipe.updates, note)
        finally:
            if run.healthy():
                self.save()
            self.journal.close()
        return True

    def _validation(self) -> Samples | None:
        """The samples of the next validation, so that a run that cannot be judged fails at once.

        None when no validation is to come.
        """
        updates = self.recipe.updates
        to_come = self.run.step < updates and self._to_validate(updates)
        return self.recipe.samples(self.data, validation=True) if to_come else None

    def _to_validate(self, step: int) -> bool:
        """Every so many updates, and the last weights too, which are served; never in a shorter run."""
        every, updates = self.recipe.validate_every, self.recipe.updates
        return step % every == 0 or (step == updates and every <= updates)

    def save(self) -> None:
        """Keep the state to go on from."""
        self._count_time()
        if self.processes.first:
            self._state().save(self.out)

    def finish(self, command: str) -> None:
        """Write the averaged (or, with early stopping, the best) networks, and the model that is served."""
        recipe, run = self.recipe, self.run
        best = State.load(self.out, _BEST) if recipe.patience else None
        if best is not None:
            run.average.load(best.tree["average"])
        modules = recipe.networks()
        for name, module in modules.items():
            module.load_state_dict({k: v.cpu() for k, v in run.average.of(name).items()})
        folder.write_networks(self.out, modules)
        training = Training(
            command=command,
            recipe=recipe.name,
            updates=run.step,
            minutes=round(run.seconds / 60, 1),
            device=torch.cuda.get_device_name()
            if run.device.type == "cuda"
            else f"CPU ({platform.machine()})",
            seed=recipe.seed,
        )
        folder.write_done(self.out, dataclasses.asdict(training))
        card, model = recipe.card(training), recipe.model(modules)
        if card is not None and model is not None:
            registry.save(self.out / "models" / recipe.name, data_sources.told(recipe, card, self.out), model)

    def _batches(self, samples: Samples, workers: int) -> Batches:
        run = self.run
        return Batches(
            samples,
            batch=self.recipe.batch,
            start=run.step * run.repeats,
            stop=self.recipe.updates * run.repeats,
            workers=workers,
            rank=self.processes.rank,
            world=self.processes.world,
        )

    def _look(self, batches: Batches) -> tuple[str, str]:
        """Log what happened since the last look; what is wrong, and a remark for the progress bar."""
        before = self.run.seconds
        self._count_time()
        spent = max(self.run.seconds - before, 1e-9)
        numbers = self.run.logs()
        losses = {k: v for k, v in numbers.items() if k == "loss" or k.endswith(".loss")}
        self.right = next((v for k, v in numbers.items() if k.endswith("right")), None)
        numbers |= {"per_s": _LOG_EVERY / spent, "waiting": min(1.0, batches.waited / spent)}
        batches.waited = 0.0
        self._say("train", numbers)
        said = ", ".join(f"{k} {v:.3g}" for k, v in losses.items())
        wrong = everyone(not all(math.isfinite(v) for v in numbers.values()))
        return ("not finite: " + said if wrong else ""), f"{said}, {numbers['per_s']:.2g}/s"

    def _validate(self, samples: Samples) -> str:
        """Judge, keep what is good and what is best; says what is wrong."""
        found = self.run.validate(samples)
        self._say("validation", found.numbers)
        if found.pictures is not None:
            self.journal.pictures(found.pictures, step=self.run.step)
        right = {} if self.right is None else {"right": self.right}
        trouble = self.watch.trouble({**found.numbers, **right})
        if trouble:
            return trouble
        value = found.numbers.get(self.recipe.metric, math.inf)
        better = -value if self.recipe.best == "high" else value
        self.stale = 0 if better < self.best else self.stale + 1
        if self.processes.first:
            self._state().save(self.out, _GOOD)
            if better < self.best:
                State({"average": self.run.average.tensors, "step": self.run.step}).save(self.out, _BEST)
        self.best = min(self.best, better)
        return ""

    def _go_back(self, trouble: str, samples: Samples, workers: int) -> Batches:
        """Return to the last good weights, at half the pace.

        Raises:
            ModelError: when there are none, or it happened too often.
        """
        run, good = self.run, State.load(self.out, _GOOD)
        self._say("watch", {"trouble": trouble, "rollbacks": float(run.rollbacks)})
        if good is None or run.rollbacks >= self.recipe.rollbacks:
            raise ModelError(
                f"The training went wrong at update {run.step}",
                expected="finite losses and varied samples",
                got=trouble,
                action="start again with a smaller lr or more stabilisers; metrics.jsonl says how it went",
            )
        run.roll_back(good.tree)
        return self._batches(samples, workers)

    def _state(self) -> State:
        tree = self.run.state()
        best = None if math.isinf(self.best) else self.best
        tree["counters"] |= {"stale": self.stale, "best": best, "varied": self.watch.varied}
        return State(tree)

    def _take_up(self, state: State | None) -> None:
        if state is None:
            return
        self.run.restore(state.tree)
        counters: Mapping[str, Any] = state.tree["counters"]
        self.stale = int(counters["stale"])
        self.watch.varied = bool(counters.get("varied", False))  # states of before have none
        self.best = math.inf if counters["best"] is None else float(counters["best"])

    def _count_time(self) -> None:
        now = time.monotonic()
        self.run.seconds += now - self._clock
        self._clock = now

    def _say(self, kind: str, numbers: Mapping[str, float | str | Tensor]) -> None:
        values = {k: float(v) if isinstance(v, Tensor) else v for k, v in numbers.items()}
        self.journal.numbers(kind, step=self.run.step, seconds=self.run.seconds, values=values)
