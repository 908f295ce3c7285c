"""A run in progress: networks, their average, optimisers and counters, and one update of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from medgan_core.errors import UsageError
from medgan_core.training.average import Average
from medgan_core.training.loading import Batch
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.optimisers.acgd import ACGD, COMPETITIVE
from medgan_core.training.player import Player, build_optimiser
from medgan_core.training.processes import Processes
from medgan_core.training.recipe import Findings, Recipe
from medgan_core.training.state import plain_state, restore

VALIDATION_SEED = 7919


class Run:
    """What a recipe trains.

    Args:
        recipe: settings, networks, players, losses.
        device: where to train.
        processes: this process among all.
    """

    def __init__(self, recipe: Recipe, device: torch.device, processes: Processes) -> None:
        self.recipe, self.device, self.processes = recipe, device, processes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            modules = recipe.networks()
        for module in modules.values():
            _place(module, device)
        self.networks = Networks(modules, device)
        self.average = Average(modules, recipe.ema)
        self.players = recipe.players()
        self.optimisers = {p.name: self._optimiser(p) for p in self.players}
        self._steps = {p.name: self._stepper(p) for p in self.players}
        self.repeats = max(p.steps for p in self.players)
        self.step, self.seconds = 0, 0.0
        self.rollbacks, self.pace = 0, 1.0
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}

    def start_from(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Begin with the weights of earlier networks, by name.

        Raises:
            UsageError: when they are those of other networks.
        """
        for name, state in states.items():
            try:
                self.networks.modules[name].load_state_dict(state)
            except RuntimeError as error:
                raise UsageError(
                    f"The weights to begin with do not fit the network {name!r}",
                    expected="a run or model with the same settings of its networks",
                    got=str(error).splitlines()[-1].strip(),
                    action="correct init, or the settings that differ from its recipe.json",
                ) from error
        modules = self.networks.modules
        self.average.load({f"{n}.{k}": v for n, m in modules.items() for k, v in m.state_dict().items()})

    def update(self, batches: list[Batch]) -> None:
        """One step of every player (several, where a player asks for them)."""
        rate = self.recipe.lr * self.pace * schedule(self.recipe, self.step)
        done = self.step / max(1, self.recipe.updates)
        for number, player in enumerate(self.players):
            if not player.phase[0] <= done < player.phase[1]:
                continue
            for group in self.optimisers[player.name].param_groups:
                group["lr"] = rate * player.rate
            for repeat in range(player.steps):
                self._move(player, batches[repeat], self._moment(number, repeat))
        self.step += 1
        self.average.update(self.step)

    def validate(self, samples: Any) -> Findings:
        """Judge the averaged weights, with the same random numbers at every validation."""
        moment = Moment.at(
            self.step,
            self.recipe.updates,
            seed=(self.recipe.seed, VALIDATION_SEED),
            device=self.device,
        )
        with self.average.applied(), torch.no_grad():
            return self.recipe.validate(self.networks, samples, moment)

    def logs(self) -> dict[str, float]:
        """Means of what was logged since the last call."""
        means = {k: float(v) / self._counts[k] for k, v in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def healthy(self) -> bool:
        """False when anything logged since the last call of `logs` is not finite."""
        return all(math.isfinite(float(v)) for v in self._sums.values())

    def state(self) -> dict[str, Any]:
        """Everything that going on needs."""
        return {
            "networks": {k: m.state_dict() for k, m in self.networks.modules.items()},
            "average": self.average.tensors,
            "optimisers": {k: plain_state(o) for k, o in self.optimisers.items()},
            "counters": {
                "step": self.step,
                "seconds": round(self.seconds, 1),
                "rollbacks": self.rollbacks,
                "pace": self.pace,
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        for name, module in self.networks.modules.items():
            module.load_state_dict(state["networks"][name])
        self.average.load(state["average"])
        for name, optimiser in self.optimisers.items():
            restore(optimiser, state["optimisers"][name])
        counters = state["counters"]
        self.step, self.seconds = int(counters["step"]), float(counters["seconds"])
        self.rollbacks, self.pace = int(counters["rollbacks"]), float(counters["pace"])
        self._sums, self._counts = {}, {}

    def roll_back(self, state: Mapping[str, Any]) -> None:
        """Go back to a good state and on from there more slowly, with other random numbers."""
        rollbacks, pace, seconds = self.rollbacks + 1, self.pace / 2, self.seconds
        self.restore(state)
        self.rollbacks, self.pace, self.seconds = rollbacks, pace, seconds

    def _move(self, player: Player, batch: Batch, moment: Moment) -> None:
        optimiser = self.optimisers[player.name]
        with self.networks.moving(*player.networks, *player.against):
            loss, logs = self._steps[player.name](batch, moment)
            if isinstance(optimiser, ACGD):
                taken = optimiser.step(loss)  # it differentiates the loss itself, for both sides
                logs = {**logs, "plain": float(taken.kind != COMPETITIVE), "solve": float(taken.iterations)}
            else:
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(self._parameters(*player.networks), self.recipe.clip)
                logs = {**logs, "gradient": norm}
                optimiser.step()
        self.recipe.after_step(player.name, self.networks)
        prefix = f"{player.name}." if len(self.players) > 1 else ""
        for key, value in {"loss": loss, **logs}.items():
            number = value.detach() if isinstance(value, Tensor) else value
            self._sums[prefix + key] = self._sums.get(prefix + key, 0.0) + number
            self._counts[prefix + key] = self._counts.get(prefix + key, 0) + 1

    def _moment(self, player: int, repeat: int) -> Moment:
        return Moment.at(
            self.step,
            self.recipe.updates,
            seed=(self.recipe.seed, self.step, player, repeat, self.rollbacks),
            device=self.device,
            rank=self.processes.rank,
            world=self.processes.world,
        )

    def _optimiser(self, player: Player) -> torch.optim.Optimizer:
        own, against = self._parameters(*player.networks), self._parameters(*player.against)
        return build_optimiser(player, own, against, lr=self.recipe.lr)

    def _parameters(self, *names: str) -> list[nn.Parameter]:
        return [p for name in names for p in self.networks.modules[name].parameters()]

    def _stepper(self, player: Player) -> nn.Module:
        step = PlayerStep(self.recipe, player, self.networks)
        if self.processes.world == 1 or player.against:
            return step
        with self.networks.moving(*player.networks):
            return DistributedDataParallel(step, find_unused_parameters=True, broadcast_buffers=False)


class PlayerStep(nn.Module):
    """A player's loss as one module, so that gradients are averaged over processes by one wrapper.

    Its parameters are those of the player's networks; the others are only used.
    """

    def __init__(self, recipe: Recipe, player: Player, networks: Networks) -> None:
        super().__init__()
        self._recipe, self._player = recipe, player
        self.own = nn.ModuleDict({name: networks.modules[name] for name in player.networks})
        self._networks = (networks,)  # in a tuple: a plain attribute, no second owner of the modules

    def forward(self, batch: Batch, moment: Moment) -> tuple[Tensor, dict[str, float | Tensor]]:
        """The loss on a batch, and numbers to log."""
        loss, logs = self._recipe.loss(self._player.name, self._networks[0], batch, moment)
        return loss, {k: v.detach() if isinstance(v, Tensor) else v for k, v in logs.items()}


def schedule(recipe: Recipe, step: int) -> float:
    """Share of the highest learning rate: linear up, then constant or half a cosine down to 0.01."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    if recipe.schedule == "constant":
        return 1.0
    done = (step - recipe.warmup) / max(1, recipe.updates - recipe.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _place(module: nn.Module, device: torch.device) -> None:
    """To the device, channels last, which is faster for convolutions there and here."""
    three = any(isinstance(m, nn.Conv3d) for m in module.modules())
    layout = torch.channels_last_3d if three else torch.channels_last
    module.to(device)
    for parameter in module.parameters():
        if parameter.dim() == (5 if three else 4):
            parameter.data = parameter.data.contiguous(memory_format=layout)
