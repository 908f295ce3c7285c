"""From a finished run to a model that the server offers: a version below the user's models.

``FOLDER/NAME/VERSION/`` holds card and weights, ``FOLDER/NAME/default.txt`` names the version in use, as
`registry` reads them. A version once published is never written again.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from medgan_core import registry
from medgan_core.card import Figure, ModelCard, Training
from medgan_core.errors import ModelError, ResourceError, UsageError
from medgan_core.parsing import parse
from medgan_core.registry import CARD, POINTER, Model, Registry
from medgan_core.training import RECIPES, data_sources, folder
from medgan_core.training.recipe import Recipe
from medgan_core.whole_files import replacing

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")


def publish(
    run: Path,
    *,
    name: str,
    version: str | None = None,
    default: bool = False,
    models: Path | None = None,
    figures: tuple[Figure, ...] = (),
    recipes: Mapping[str, type[Recipe]] = RECIPES,
) -> tuple[ModelCard, bool]:
    """Make the served model of a finished run a version of a published one.

    A shipped model of that name is copied there first (see `keep`) and stays in use unless `default` is
    asked for. The card gets the figures that the recipe takes from the run's validation, unless some are
    given or it has some. The files are made aside, loaded once for a check of hash and architecture, and put
    in place whole.

    Args:
        run: its folder.
        name: of the published model, lower-case words with hyphens.
        version: ``major.minor.patch``; None takes the card's, or the next one that is free.
        default: make it the version in use; the first one of a name that is not shipped always is.
        models: folder of models; None for `registry.user_folder`.
        figures: what was measured.
        recipes: those there are, by name.

    Returns:
        The card as published, and whether it is the version in use.

    Raises:
        UsageError: when the run is not finished or has no model to serve, or on a name or version that
            cannot be used.
        ModelError: when the run's model is damaged.
        ResourceError: when the folder cannot be written.
    """
    base = registry.user_folder() if models is None else models
    place = _place(base, name)
    source = _served(run, recipes)
    version = _free(place, source.card.version) if version is None else _new(place, version)
    card = source.card if figures or source.card.figures else _measured(run, source.card, recipes)
    card = replace(card, name=name, version=version, figures=figures or card.figures)
    shipped = Registry([registry.SHIPPED])
    if name in shipped.names():
        keep(name, shelf=shipped, models=base)
    return card, _put(base, card, source.folder / card.weights.file, default=default)


def keep(name: str, *, shelf: Registry, models: Path | None = None) -> ModelCard:
    """Have the version in use among those of the folder of models, so that one can go back to it.

    A shipped model is copied there; from then on a later shipped version does not come into use by itself.

    Args:
        name: of the model.
        shelf: where it is found.
        models: folder of models; None for `registry.user_folder`.

    Returns:
        The card of the version in use.

    Raises:
        UsageError: when there is no such model, or the folder holds one of that name without versions.
        ModelError: when it is damaged.
        ResourceError: when the folder cannot be written.
    """
    base = registry.user_folder() if models is None else models
    place, model = _place(base, name), shelf.load(name)
    if not (place / POINTER).is_file():
        _put(base, model.card, model.folder / model.card.weights.file, default=True)
    return model.card


def published(name: str, *, shelf: Registry, models: Path | None = None) -> list[tuple[ModelCard, bool]]:
    """The versions of a model, lowest first, each with whether it is the one in use.

    Args:
        name: of the model.
        shelf: where the one in use is found.
        models: folder of models; None for `registry.user_folder`.

    Raises:
        UsageError: when there is no such model.
        ModelError: when a card is damaged.
    """
    used = shelf.card(name)
    place = (registry.user_folder() if models is None else models) / name
    cards = [ModelCard.load(place / version / CARD) for version in versions(place)] or [used]
    return [(card, card.version == used.version) for card in cards]


def check(name: str, *, models: Path | None = None) -> None:
    """Raise `UsageError` when no version of this name can be put into the folder of models."""
    _place(registry.user_folder() if models is None else models, name)


def use(name: str, version: str, *, models: Path | None = None) -> ModelCard:
    """Choose which published version of a model is the one in use, to go back to an earlier one, too.

    Args:
        name: of the model.
        version: one that is published.
        models: folder of models; None for `registry.user_folder`.

    Returns:
        The version's card.

    Raises:
        UsageError: when there is no such model or version.
        ModelError: when the version is damaged; the pointer then stays as it is.
    """
    place = _place(registry.user_folder() if models is None else models, name)
    known = versions(place)
    if version not in known:
        raise UsageError(
            f"There is no version {version} of a published model {name!r}",
            expected="one of " + ", ".join(known) if known else "a model that medgan publish wrote",
            got=version,
            action="choose a version that is there",
        )
    card = ModelCard.load(place / version / CARD)
    weights = place / version / Path(card.weights.file).name
    if not weights.is_file() or registry.sha256(weights) != card.weights.sha256:
        raise ModelError(
            f"The weights of {name} {version} are not those its card names",
            expected=f"sha256 {card.weights.sha256[:12]}...",
            got="other weights" if weights.is_file() else "no such file",
            action="choose another version, or publish the run again",
        )
    with replacing(place / POINTER) as draft:
        draft.write_text(version + "\n", encoding="utf-8")
    return card


def versions(place: Path) -> list[str]:
    """Published versions below a model's folder, lowest first."""
    found = (path.parent.name for path in place.glob(f"*/{CARD}"))
    return sorted((v for v in found if _VERSION.fullmatch(v)), key=_numbers)


def _put(base: Path, card: ModelCard, weights: Path, *, default: bool) -> bool:
    """Write a version: made aside, loaded once, put in place whole; whether it is the one in use then."""
    name, place = card.name, base / card.name
    draft = base / f".draft-{uuid.uuid4().hex}"
    try:
        (draft / name).mkdir(parents=True)
        shutil.copyfile(weights, draft / name / card.weights.file)
        card.save(draft / name / CARD)
        Registry([draft]).load(name)
        place.mkdir(exist_ok=True)
        (draft / name).rename(place / card.version)
        used = default or not (place / POINTER).is_file()
        if used:
            use(name, card.version, models=base)
            Registry([base]).load(name)
    except OSError as error:
        raise ResourceError(
            f"{name} {card.version} could not be published",
            expected="a folder of models with room and permission",
            got=error.strerror or str(error),
            action="check the folder (medgan publish writes below $MEDGAN_MODELS)",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return used


def _served(run: Path, recipes: Mapping[str, type[Recipe]]) -> Model:
    """The model that the loop wrote into a finished run's folder, or would write today."""
    folder.done(run)
    recipe = str(folder.resolved(run)["recipe"])
    if not (run / "models" / recipe / CARD).is_file() and not _made(run, recipe, recipes):
        raise UsageError(
            f"A run of {recipe} has no model for the server",
            expected="a recipe that gives a model and its card",
            got=recipe,
            action="draw its images with medgan sample; for the server, give the recipe `model` and `card`",
        )
    return Registry([run / "models"]).load(recipe)


def _made(run: Path, name: str, recipes: Mapping[str, type[Recipe]]) -> bool:
    """Write the model of a run that was finished before its recipe had one to serve; False if it has none."""
    if name not in recipes:
        return False
    recipe = folder.rebuilt(run, recipes)
    card = recipe.card(parse(Training, folder.done(run), where="done.json"))
    model = recipe.model(folder.trained(run, recipe))
    if card is None or model is None:
        return False
    registry.save(run / "models" / name, data_sources.told(recipe, card, run), model)
    return True


def _measured(run: Path, card: ModelCard, recipes: Mapping[str, type[Recipe]]) -> ModelCard:
    """The card with what the recipe makes of the validation of the weights that are served.

    That of a tuning stays as it is: its recipe's words on whom validation sees are not true of a site.
    """
    lines = [] if folder.is_tuning(run) else folder.metrics(run, "validation")
    if not lines or str(folder.resolved(run)["recipe"]) not in recipes:
        return card
    recipe, line = folder.rebuilt(run, recipes), lines[-1]
    if recipe.patience:
        choose = max if recipe.best == "high" else min
        line = choose((one for one in lines if recipe.metric in one), key=lambda one: one[recipe.metric])
    elif line["step"] != folder.done(run)["updates"]:
        return card
    numbers = {key: value for key, value in line.items() if isinstance(value, float)}
    return recipe.measured(card, numbers, str(folder.done(run)["command"]))


def _place(base: Path, name: str) -> Path:
    """The model's folder of versions, which need not be there yet."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "This cannot be a model's name",
            expected="lower-case words and numbers with hyphens, such as knee-mr-denoise",
            got=name,
            action="choose another name",
        )
    if (base / name / CARD).is_file():
        raise UsageError(
            f"The folder of {name!r} holds a model without versions, which would hide others",
            expected="a folder with a folder for every version",
            got=f"{CARD} in {name}",
            action="choose another name, or move that model's files into a folder named by its version",
        )
    return base / name


def _new(place: Path, version: str) -> str:
    """The version, when it can be written."""
    if not _VERSION.fullmatch(version):
        raise UsageError(
            "This is no version",
            expected="major.minor.patch, such as 1.0.0",
            got=version,
            action="correct it",
        )
    known = _known(place)
    if version in known or (place / version).exists():
        raise UsageError(
            f"{place.name} {version} is published already, and a version is never written again",
            expected="a version other than " + ", ".join(known),
            got=version,
            action="leave --version out to take the next free one",
        )
    return version


def _free(place: Path, first: str) -> str:
    """The next patch after all there are."""
    known = _known(place)
    if not known:
        return first
    major, minor, patch = max(map(_numbers, known))
    return f"{major}.{minor}.{patch + 1}"


def _known(place: Path) -> list[str]:
    """Published versions of a model, and that of a shipped one of its name."""
    shipped = Registry([registry.SHIPPED])
    own = [shipped.card(place.name).version] if place.name in shipped.names() else []
    return sorted({*versions(place), *own}, key=_numbers)


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch
