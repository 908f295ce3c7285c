"""Objectives of the adversarial game, by name.

Every objective takes raw outputs of the discriminator (no sigmoid), of any shape: a number per image or a map
of patches. Each player minimises its own loss. Where ``zero_sum`` holds, both losses come from one function V
that the discriminator maximises and the generator minimises; `game_value` gives it to optimisers that solve
for both players at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus

from medgan_core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The losses of the two players.

    Args:
        discriminator: (outputs on real images, outputs on generated images) to a scalar to minimise.
        generator: outputs on generated images to a scalar to minimise.
        zero_sum: the generator's loss is minus the discriminator's, apart from what does not depend on the
            generator.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    zero_sum: bool


def game_value(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """V, the one function of a zero-sum game: the generator minimises it, the discriminator maximises it.

    Args:
        objective: one whose `zero_sum` holds.
        real_logits: outputs on real images, any shape.
        fake_logits: outputs on generated images, any shape.

    Returns:
        Scalar, minus the discriminator's loss.

    Raises:
        UsageError: when the two losses do not come from one function.
    """
    if not objective.zero_sum:
        raise UsageError(
            "This adversarial objective is not zero-sum",
            expected="one of " + ", ".join(name for name, o in OBJECTIVES.items() if o.zero_sum),
            got=next((name for name, o in OBJECTIVES.items() if o == objective), "another objective"),
            action="choose a zero-sum objective, or an optimiser that moves one player at a time",
        )
    return -objective.discriminator(real_logits, fake_logits)


def cross_entropy_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``-E[log D(x)] - E[log(1 - D(G(z)))]`` with D the sigmoid (Goodfellow et al. 2014, eq. 1)."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def minimax_generator(fake_logits: Tensor) -> Tensor:
    """``E[log(1 - D(G(z)))]`` (Goodfellow et al. 2014, eq. 1): flat where the discriminator is sure."""
    return -softplus(fake_logits).mean()


def non_saturating_generator(fake_logits: Tensor) -> Tensor:
    """``-E[log D(G(z))]`` (Goodfellow et al. 2014, section 3): steep where the discriminator is sure."""
    return softplus(-fake_logits).mean()


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2`` (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((real_logits - 1) ** 2).mean() + 0.5 * (fake_logits**2).mean()


def least_squares_generator(fake_logits: Tensor) -> Tensor:
    """``E[(D(G(z)) - 1)^2] / 2`` (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((fake_logits - 1) ** 2).mean()


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]`` (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``E[D(G(z))] - E[D(x)]`` (Arjovsky et al. 2017, eq. 2), D held 1-Lipschitz by other means."""
    return fake_logits.mean() - real_logits.mean()


def wasserstein_generator(fake_logits: Tensor) -> Tensor:
    """``-E[D(G(z))]`` (Arjovsky et al. 2017, eq. 2; Miyato et al. 2018, eq. 17 for the hinge)."""
    return -fake_logits.mean()


def bounded_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``-V`` with ``V = E[D(x)] + E[1 - D(G(z))]``: the discriminator maximises V.

    D is the raw output and has to be 1-Lipschitz (spectral norm). Then ``|V - 1|`` is at most the
    Wasserstein-1 distance of real and generated images (Kantorovich and Rubinstein), which is finite as
    intensities are bounded; hence the name. V is the Wasserstein objective plus one.
    """
    return -(real_logits.mean() + (1 - fake_logits).mean())


def bounded_generator(fake_logits: Tensor) -> Tensor:
    """``E[1 - D(G(z))]``, the part of V that depends on the generator: the generator minimises V.

    Both players share V and only its sign differs, so what one wins the other loses: the game is zero-sum.
    """
    return (1 - fake_logits).mean()


OBJECTIVES: dict[str, Objective] = {
    "minimax": Objective(
        discriminator=cross_entropy_discriminator, generator=minimax_generator, zero_sum=True
    ),
    "non-saturating": Objective(
        discriminator=cross_entropy_discriminator, generator=non_saturating_generator, zero_sum=False
    ),
    "least-squares": Objective(
        discriminator=least_squares_discriminator, generator=least_squares_generator, zero_sum=False
    ),
    "hinge": Objective(discriminator=hinge_discriminator, generator=wasserstein_generator, zero_sum=False),
    "wasserstein": Objective(
        discriminator=wasserstein_discriminator, generator=wasserstein_generator, zero_sum=True
    ),
    "bounded": Objective(discriminator=bounded_discriminator, generator=bounded_generator, zero_sum=True),
}
"""Objectives by name."""
