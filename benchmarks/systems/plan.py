"""Which trainings stand behind docs/systems.md: each is one `medgan train` command with the preset ``cpu``.

What is not said here is the recipe's default. Runs of one system come first, then the repeats over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Samples of one run that another one trains on, in the folder ``drawn/RUN`` below that of all runs.

    Args:
        run: name of the run that draws.
        count: how many (of each class, where it draws classes).
    """

    run: str
    count: int

    @property
    def place(self) -> str:
        """Their folder, below the folder of all runs."""
        return f"drawn/{self.run}"

    def command(self, runs: str = "runs/systems") -> list[str]:
        """The words of the command line behind `medgan`."""
        return [
            *("sample", f"{runs}/{self.run}", "--count", str(self.count)),
            *("--out", f"{runs}/{self.place}", "--device", "cpu"),
        ]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One training.

    Args:
        name: of the run's folder, below the folder of all runs.
        recipe: which recipe.
        settings: that differ from the recipe's defaults; ``{runs}`` stands for the folder of all runs.
        needs: what has to be drawn before, from runs that come earlier in the plan.
    """

    name: str
    recipe: str
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: Drawn | None = None

    def command(self, data: str = "DATA", runs: str = "runs/systems") -> list[str]:
        """The words of the command line behind `medgan`."""
        values = {key: value.replace("{runs}", runs) for key, value in self.settings.items()}
        chosen = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        place = ["--data", data, "--out", f"{runs}/{self.name}", "--preset", "cpu", "--resume"]
        return ["train", self.recipe, *place, *chosen]

    def short(self) -> str:
        """The command without what all of them share, as the page shows it."""
        chosen = [f"--set {key}={value}" for key, value in self.settings.items()]
        return " ".join([f"medgan train {self.recipe}", *chosen])


def _run(name: str, recipe: str, **settings: object) -> Planned:
    return Planned(name=name, recipe=recipe, settings={k: str(v) for k, v in settings.items()})


FOLDS = (0, 1, 2)
TRAINED_ON = {"real": 0.0, "generated": 1.0, "both": 0.5}
"""Share of generated images that a network behind a downstream score is trained on."""

_DRAWN = 600


def downstream(trained_on: str, seed: int, fold: int | None = None) -> Planned:
    """A segmentation of crops (SPADE draws for it), or a classifier of the patches of a fold (a flow does).

    Args:
        trained_on: a key of `TRAINED_ON`.
        seed: of the training.
        fold: whose patients are left out, of the classifier and of its flow; None for the segmentation.
    """
    recipe, generator = ("segmentation", "spade") if fold is None else ("classifier", f"flow-patch-{fold}")
    name = "-".join([recipe, trained_on, *([] if fold is None else [str(fold)]), str(seed)])
    settings = {"updates": "1000" if fold is None else "800"}
    if fold is not None:
        settings["fold"] = str(fold)
    if seed:
        settings["seed"] = str(seed)
    if not (mix := TRAINED_ON[trained_on]):
        return Planned(name=name, recipe=recipe, settings=settings)
    drawn = Drawn(run=generator, count=_DRAWN)
    settings |= {"generated": f"{{runs}}/{drawn.place}", "mix": str(mix)}
    return Planned(name=name, recipe=recipe, settings=settings, needs=drawn)


def detector(fold: int) -> str:
    """Name of the denoising autoencoder that looks for what is unusual in the patients of a fold."""
    return f"dae-{fold}" if fold else "dae"


CYCLE: dict[str, object] = {
    **{"generator": "unet", "blocks": 2, "widths": "16,32,64,96"},
    **{"identity": 0, "l1": 2, "discriminator_rate": 3, "pool": 1},
}
"""Of four trainings, the settings that gave a slice the other contrast at all; the recipe's own, the
paper's, kept its contrast within the updates two cores can do."""


SYSTEMS: tuple[Planned, ...] = (
    _run("segmentation", "segmentation", updates=2000),
    _run("ae", "ae", updates=5000),
    _run("beta-vae", "beta-vae", updates=5000),
    _run("dcgan", "dcgan", updates=8000),
    _run("sngan", "sngan", updates=4000),
    _run("flow", "flow", updates=5000),
    _run("pix2pix", "pix2pix", updates=4000, fold=0),
    _run("spade", "spade", updates=3000),
    _run("f-anogan", "f-anogan", updates=2000),
    *(_run(detector(fold), "dae", fold=fold) for fold in FOLDS),
    _run("beta-vae-patch", "beta-vae", updates=3000, subject="patch", fold=0, latent=8),
    _run("inpaint", "inpaint", updates=4000, fold=0),
    _run("srgan-4x", "srgan", updates=2500, fold=0),
    _run("srgan-2x", "srgan", updates=2500, fold=0, factor=2),
    _run("cyclegan", "cyclegan", updates=6000, fold=0, **CYCLE),
    _run("gan", "gan", updates=4000),
    _run("wgan", "wgan", updates=2500),
    _run("wgan-gp", "wgan-gp", updates=1500),
    _run("progressive", "progressive", updates=5000),
    _run("gedgan", "gedgan", updates=1000),
    *(
        _run(f"ae-rate-{rate}", "ae", updates=2000, grid=True, latent=16, rate=rate)
        for rate in (0.004, 0.001, 0.0003)
    ),
    *(
        _run(f"flow-patch-{fold}", "flow", updates=2500, subject="patch", condition="class", fold=fold)
        for fold in FOLDS
    ),
    downstream("real", 0, 0),
)
"""One run per system, or one for each question it answers."""


SMALL: dict[str, object] = {"widths": "12,24,48", "ema": 0.99}
"""What every repeat has: networks small enough that three seeds of everything train in few hours."""

ABLATED: dict[str, dict[str, object]] = {
    "plain": {"structure": False, "interaction": "none"},
    "structure": {"structure": True, "interaction": "none"},
    "interaction": {"structure": False, "interaction": "competitive"},
    "both": {"structure": True, "interaction": "competitive"},
    "conjugate": {"structure": False, "interaction": "conjugate"},
}
"""GED-GAN with and without its two parts, and with the cheap variant of the second."""

ABLATION_UPDATES, LONGER = 300, 8
LONG = ("plain", "structure")
"""Variants whose updates are cheap are trained `LONGER` times as long too, about the time the others take."""

STRESSED: dict[str, dict[str, object]] = {
    "gan": {"lr": 1e-3},
    "dcgan": {"lr": 1e-3},
    "wgan": {"lr": 2.5e-4, "critic_steps": 2},
    "gedgan": {"lr": 1e-3, "interaction": "none"},
}
"""Recipes whose stability is tested, each at five times its own learning rate to provoke trouble."""

STABILISERS: dict[str, dict[str, object]] = {
    "bare": {"ema": 0, "clip": 1e6},
    "stabilised": {"augment": True, "r1": 0.1, "discriminator_rate": 2, "instance_noise": 0.1},
}
"""Without what keeps trainings stable, and with it. A moving average (0.99) and clipping of gradients are the
recipes' own, so they are taken away; the spectral norm of gedgan is part of its definition and stays."""


def ablation_run(variant: str, seed: int, *, long: bool = False) -> str:
    """Name of a run of the ablation."""
    return f"ablation-{variant}{'-long' if long else ''}-{seed}"


def stability_run(recipe: str, stabilisers: str, seed: int) -> str:
    """Name of a run of the stability test."""
    return f"stability-{recipe}-{stabilisers}-{seed}"


def repeats() -> Iterator[Planned]:
    """The repeats over seeds: the ablation of GED-GAN, stability, and what generated images are worth."""
    solve = {"solve_iterations": 8, "solve_tolerance": 0.01, "validate_every": 200}
    for seed, (variant, parts) in product(SEEDS, ABLATED.items()):
        for long in (False, True) if variant in LONG else (False,):
            updates = ABLATION_UPDATES * (LONGER if long else 1)
            settings = {"updates": updates, "seed": seed, **SMALL, **solve, **parts}
            yield _run(ablation_run(variant, seed, long=long), "gedgan", **settings)
    for seed, (recipe, own), (name, set_of) in product(SEEDS, STRESSED.items(), STABILISERS.items()):
        settings = {"updates": 600, "validate_every": 100, "seed": seed, **SMALL, **own, **set_of}
        yield _run(stability_run(recipe, name, seed), recipe, **settings)
    for seed, kind, fold in product(SEEDS, TRAINED_ON, (None, *FOLDS)):
        if (planned := downstream(kind, seed, fold)) not in SYSTEMS:
            yield planned


def everything() -> tuple[Planned, ...]:
    """All trainings, in the order they are run."""
    return (*SYSTEMS, *repeats())


def named(name: str) -> Planned:
    """The training of this name."""
    return next(planned for planned in everything() if planned.name == name)
