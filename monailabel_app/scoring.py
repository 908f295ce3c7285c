"""MONAI Label's scoring: which labels of the datastore a method looks at, and where its scores are noted."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException
from monailabel.interfaces.tasks.scoring import ScoringMethod

from medgan_core import candidates
from medgan_core.errors import UsageError
from medgan_core.registry import Registry
from monailabel_app.jobs.labels import DICE, METHODS
from monailabel_app.jobs.scoring import Scoring
from monailabel_app.jobs.work import REPORT
from monailabel_app.studies import is_plain
from monailabel_app.study_folder import StudyFolder
from monailabel_app.tasks import Runner


class LabelScoring(ScoringMethod):  # type: ignore[misc]
    """A method of `monailabel_app.jobs.labels` as MONAI Label calls it.

    Args:
        method: its name.
        stored: where an image of the datastore lies, by id.
        registry: where models are.
        runner: does the work; asked for at every call, as the server sets it after the app is made.
    """

    def __init__(
        self, method: str, stored: Callable[[str], Path], registry: Registry, runner: Callable[[], Runner]
    ) -> None:
        super().__init__(METHODS[method])
        self._method, self._stored, self._registry, self._runner = method, stored, registry, runner

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Score, note the scores in the datastore, and return them by image."""
        work = scoring_work(datastore, self._stored, self._registry, self._method, request)
        folder = Path(tempfile.mkdtemp(prefix="medgan-"))
        try:
            self._runner()(work, folder)
            scores = read_scores(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        note_scores(datastore, work, scores)
        return scores


def scoring_work(
    datastore: Any,
    stored: Callable[[str], Path],
    registry: Registry,
    method: str,
    params: Mapping[str, Any],
) -> Scoring:
    """The work of a method over all submitted labels.

    Args:
        datastore: MONAI Label's; of a PACS the labels that came through this server.
        stored: where an image of it lies, by id.
        registry: where models are.
        method: ``dice`` or ``labels``.
        params: ``y``, the tag of submitted labels (``final``). They are compared with what the model of the
            name ``model`` makes of their images now ("" for the first that suggests), or with those under
            the tag ``y_pred`` (``original`` for ``dice``, none for ``labels``).

    Raises:
        UsageError: when a tag is none, or there is no such model.
    """
    tag = _tag(params, "y", DefaultLabelTag.FINAL.value)
    model = params.get("model")
    predictor = "" if model is None else candidates.find(registry, str(model)).name
    own = (
        "" if predictor else _tag(params, "y_pred", DefaultLabelTag.ORIGINAL.value if method == DICE else "")
    )
    labels = _files(datastore, tag)
    references = {image: path for image, path in _files(datastore, own).items() if image in labels}
    if method == DICE and not predictor:
        labels = {image: labels[image] for image in references}
        return Scoring(model=method, labels=labels, references=references, tag=tag)
    images = {image: str(stored(image)) for image in labels}
    return Scoring(
        model=method, labels=labels, images=images, references=references, tag=tag, predictor=predictor
    )


def read_scores(folder: Path) -> dict[str, Any]:
    """The scores, by image, of a scoring that left its results in the folder."""
    scores: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))["scores"]
    return scores


def note_scores(datastore: Any, work: Scoring, scores: Mapping[str, Any]) -> None:
    """Keep the scores: Dice with the image, as MONAI Label's own method does; checks with the label.

    Those of what was removed meanwhile are left out.
    """
    for image, score in scores.items():
        with suppress(ImageNotFoundException, LabelNotFoundException):
            if work.model == DICE:
                datastore.update_image_info(image, {DICE: score})
            else:
                datastore.update_label_info(image, work.tag, {"checks": score})


def _files(datastore: Any, tag: str) -> dict[str, str]:
    """Path of the label under a tag by its image's id, sorted by id."""
    found = {
        # Not the PACS's own, which would fetch: a final label lies here as it came, beside the DICOM SEG.
        image: StudyFolder.get_label_uri(datastore, image, tag)
        for image in sorted(StudyFolder.list_images(datastore))
    }
    return {image: path for image, path in found.items() if path and Path(path).is_file()}


def _tag(params: Mapping[str, Any], key: str, default: str) -> str:
    tag = params.get(key, default)
    if not isinstance(tag, str) or (tag and not is_plain(tag)) or "/" in tag:
        raise UsageError(
            f"The parameter {key!r} is not valid",
            expected="the tag of labels in the datastore",
            got=repr(tag)[:200],
            action="choose a tag that GET /datastore/ lists",
        )
    return tag
