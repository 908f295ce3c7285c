"""The one training loop: whatever recipes share stands here, what only one knows stands there."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medgan_core import __version__, registry
from medgan_core.card import Training
from medgan_core.errors import ModelError, UsageError
from medgan_core.monitor import Monitor, Progress
from medgan_core.training.recipe import Recipe, Samples
from medgan_core.training.state import load_state, save_state

_SAVE_EVERY_S = 120.0
_LOG_EVERY = 20
_VALIDATE_EVERY = 500
_VALIDATION_BATCHES = 6


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
    """Train until the recipe's updates are done, or the minutes are over.

    The run folder keeps the resolved recipe, the metrics as JSON lines, the state to go on from, and in the
    end ``models/NAME`` with card and weights. Stopping and resuming gives what not stopping gives: sample n
    depends on the seed and n alone.

    Args:
        recipe: what to train.
        data: folder with the manifest.
        out: run folder.
        command: as it was typed, for the card.
        device: ``cpu`` or ``cuda``.
        resume: go on from the state in the run folder.
        max_minutes: stop (resumable) after so long.
        workers: processes that prepare samples; 0 for none. They are forked where the system can, so a
            process that runs compiled back ends as well should train without them.
        progress: called at every update.
        cancel: polled at every update; a cancelled run keeps its state.

    Returns:
        True when the model is finished.

    Raises:
        UsageError: when the run folder holds another run and resume is not asked for.
        ModelError: when the loss is not finite.
        CancelledError: when cancelled.
    """
    run = _Run(recipe, out, device, resume)
    samples = recipe.samples(data, validation=False)
    begin = time.monotonic()
    monitor = Monitor(progress, cancel)
    batches = _batches(samples, recipe, start=run.step, workers=workers)
    saved = time.monotonic()
    validation: Samples | None = None
    try:
        with monitor.stage(f"training {recipe.name}", 1.0):
            while run.step < recipe.updates:
                run.update(next(batches))
                if run.step % _VALIDATE_EVERY == 0:
                    validation = validation or recipe.samples(data, validation=True)
                    run.validate(validation)
                now = time.monotonic()
                if now - saved > _SAVE_EVERY_S:
                    run.save()
                    saved = now
                monitor.step(run.step / recipe.updates)
                if max_minutes is not None and now - begin > 60 * max_minutes:
                    return False
    finally:
        run.save()
    run.finish(command, device)
    return True


class _Run:
    """Weights, average, optimiser and counters of a run, and its folder."""

    def __init__(self, recipe: Recipe, out: Path, device: str, resume: bool) -> None:
        self.recipe, self.out, self.device = recipe, out, torch.device(device)
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.network = recipe.network()
        if recipe.init:
            _start_from(self.network, Path(recipe.init), recipe.name)
        three = getattr(self.network, "spatial_dims", 2) == 3
        layout = torch.channels_last_3d if three else torch.channels_last
        self.network.to(self.device).to(memory_format=layout)  # type: ignore[call-overload]
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.lr, weight_decay=1e-4, betas=(0.9, 0.99)
        )
        self.step, self.seconds = 0, 0.0
        self._sums: dict[str, float] = {}
        self._clock = time.monotonic()
        resolved = {"recipe": recipe.name, "version": __version__, **dataclasses.asdict(recipe)}
        file = out / "recipe.json"
        if file.is_file():
            self._go_on(file, resolved, resume)
        file.write_text(json.dumps(resolved, indent=2) + "\n", encoding="utf-8")

    def _go_on(self, file: Path, resolved: dict[str, Any], resume: bool) -> None:
        before = json.loads(file.read_text(encoding="utf-8"))
        same = before == json.loads(json.dumps(resolved))
        if not resume or not same:
            changed = [k for k in resolved if before.get(k) != json.loads(json.dumps(resolved[k]))]
            raise UsageError(
                "The run folder holds a run already",
                expected="a new folder, or the same recipe and --resume",
                got=f"{file.parent.name}" + (f", other {', '.join(changed)}" if changed else ""),
                action="choose another --out, or add --resume",
            )
        counters = load_state(self.out, network=self.network, average=self.average, optimiser=self.optimiser)
        if counters is not None:
            self.step, self.seconds = int(counters["step"]), float(counters["seconds"])

    def _forward(self, *inputs: Tensor) -> Tensor:
        """The network in mixed precision, its answer in fp32, so that losses are fp32."""
        with _autocast(self.device):
            out: Tensor = self.network(*inputs)
        return out.float()

    def update(self, batch: dict[str, Tensor]) -> None:
        """One step of the optimiser."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.lr * schedule(self.step, recipe.updates, recipe.warmup)
        self.network.train()
        loss, logs = recipe.loss(self._forward, {k: v.to(self.device) for k, v in batch.items()})
        if not torch.isfinite(loss):
            raise ModelError(
                f"The loss is not finite at update {self.step}",
                expected="a finite loss",
                got=str(float(loss)),
                action="resume with a smaller lr; the state before this update is kept",
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(recipe.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        for key, number in {"loss": float(loss.detach()), "gradient": float(norm), **logs}.items():
            self._sums[key] = self._sums.get(key, 0.0) + number
        if self.step % _LOG_EVERY == 0:
            self._log("train", {k: v / _LOG_EVERY for k, v in self._sums.items()})
            self._sums = {}

    def validate(self, samples: Samples) -> None:
        """Losses of the averaged weights on fixed samples of the patients left out."""
        kept = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        sums: dict[str, float] = {}
        size = self.recipe.batch
        for number in range(_VALIDATION_BATCHES):
            batch = _collate([samples[n] for n in range(number * size, (number + 1) * size)])
            with torch.no_grad():
                loss, logs = self.recipe.loss(self._forward, {k: v.to(self.device) for k, v in batch.items()})
            for key, value in {"loss": float(loss), **logs}.items():
                sums[key] = sums.get(key, 0.0) + value / _VALIDATION_BATCHES
        self.network.load_state_dict(kept)
        self._log("validation", sums)

    def save(self) -> None:
        """Keep the state to go on from."""
        self._count_time()
        save_state(
            self.out,
            network=self.network,
            average=self.average,
            optimiser=self.optimiser,
            counters={"step": self.step, "seconds": round(self.seconds, 1)},
        )

    def finish(self, command: str, device: str) -> None:
        """Write the averaged weights as a model with its card."""
        network = self.recipe.network()
        network.load_state_dict({k: v.cpu() for k, v in self.average.items()})
        training = Training(
            command=command,
            recipe=self.recipe.name,
            updates=self.step,
            minutes=round(self.seconds / 60, 1),
            device=torch.cuda.get_device_name() if device != "cpu" else f"CPU ({platform.machine()})",
            seed=self.recipe.seed,
        )
        registry.save(self.out / "models" / self.recipe.name, self.recipe.card(training), network)

    def _count_time(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now

    def _log(self, kind: str, numbers: dict[str, float]) -> None:
        self._count_time()
        line = {"kind": kind, "step": self.step, "seconds": round(self.seconds, 1)}
        line |= {k: float(f"{v:.6g}") for k, v in numbers.items()}
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def schedule(step: int, updates: int, warmup: int) -> float:
    """Share of the highest learning rate: linear up, then half a cosine down to 0.01."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, updates - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _start_from(network: nn.Module, run: Path, name: str) -> None:
    earlier = registry.Registry([run / "models"]).load(name).network
    network.load_state_dict(earlier.state_dict())


def _autocast(device: torch.device) -> Any:
    """bf16 where the device computes in it natively."""
    if device.type == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


class _Numbers:
    """Sample numbers in order, from a start on."""

    def __init__(self, start: int, stop: int) -> None:
        self._range = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range)

    def __len__(self) -> int:
        return len(self._range)


def _batches(samples: Samples, recipe: Recipe, *, start: int, workers: int) -> Iterator[dict[str, Tensor]]:
    loader: DataLoader[dict[str, Tensor]] = DataLoader(
        samples,  # type: ignore[arg-type]  # anything with __getitem__ serves
        batch_size=recipe.batch,
        sampler=_Numbers(start * recipe.batch, recipe.updates * recipe.batch),
        num_workers=workers,
        collate_fn=_collate,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )
    return iter(loader)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _collate(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([s[key] for s in samples]) for key in samples[0]}
