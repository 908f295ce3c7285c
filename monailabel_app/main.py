"""The MONAI Label app: every model of the registry as an infer task.

MONAI Label loads this file by its path and looks for a direct subclass of `MONAILabelApp`. Its folder is on
``sys.path`` only meanwhile, so everything is imported from the installed package.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.utils.others.generic import remove_file

from medgan_core import __version__
from medgan_core.errors import MedganError
from medgan_core.registry import Registry
from monailabel_app.dicom.datastore import open_datastore
from monailabel_app.jobs.labels import METHODS
from monailabel_app.kept_sessions import KeptSessions
from monailabel_app.problems import UnknownModelError
from monailabel_app.scoring import LabelScoring
from monailabel_app.stock import is_upload
from monailabel_app.strategies import ASKING, First, Random, Ranked
from monailabel_app.studies import image_path
from monailabel_app.study_folder import StudyFolder
from monailabel_app.tasks import InlineRunner, ModelTask, Runner

logger = logging.getLogger(__name__)


class MedganApp(MONAILabelApp):  # type: ignore[misc]
    """Deep generative models for medical volumes.

    Args:
        app_dir: folder of this file.
        studies: folder of the datastore, or the address of a DICOMweb server.
        conf: options of ``start_server --conf``; none is needed.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        self.registry = Registry()
        self.runner: Runner = InlineRunner(self.registry)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=dict(conf),
            name="MedGAN",
            description="Deep generative models for medical volumes: translation, denoising, synthesis",
            version=__version__,
        )

    def init_datastore(self) -> Any:
        """The folder of studies, watched if the settings say so; or the datastore of a PACS."""
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        return StudyFolder(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def _load_sessions(self, load: bool = False) -> KeptSessions | None:
        if not load:
            return None
        return KeptSessions(settings.MONAI_LABEL_SESSION_PATH, settings.MONAI_LABEL_SESSION_EXPIRY)

    def cleanup_sessions(self) -> None:
        """Remove sessions whose time is over, also when none was asked for since the server started."""
        if self._sessions is not None:
            self._sessions.remove_expired()

    def _init_dicomweb_datastore(self) -> Any:
        """The PACS as datastore: every modality is listed, and nothing is downloaded at the start."""
        return open_datastore(self.studies)

    def init_infers(self) -> dict[str, ModelTask]:
        """A task for every model whose card can be read."""
        tasks = {}
        for name in self.registry.names():
            try:
                card = self.registry.card(name)
            except MedganError as error:
                logger.warning("model %s is left out: %s", name, error)
                continue
            if card.task != "gate":  # Gates check the inputs of other models; nobody runs one.
                tasks[name] = ModelTask(card, self.stored, lambda: self.runner)
        return tasks

    def init_strategies(self) -> dict[str, First | Random | Ranked]:
        """What chooses the image to label next."""
        ranked = {name: Ranked(name, self.registry, self.stored, lambda: self.runner) for name in ASKING}
        return {"first": First(), "random": Random(), **ranked}

    @property
    def strategies(self) -> Mapping[str, First | Random | Ranked]:
        """What chooses the image to label next, by name."""
        known: Mapping[str, First | Random | Ranked] = self._strategies
        return known

    def init_scoring_methods(self) -> dict[str, LabelScoring]:
        """Checks of submitted labels."""
        return {
            method: LabelScoring(method, self.stored, self.registry, lambda: self.runner)
            for method in METHODS
        }

    def async_scoring(self, method: str | None, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Nothing: MONAI Label would score all labels at every start and every choice of an image."""
        return {}

    def stored(self, image_id: str) -> Path:
        """Where an image of the datastore lies; `UnknownImageError` when it does not."""
        return image_path(self.datastore(), self.studies, image_id)

    def info(self) -> dict[str, Any]:
        """What the app offers now: models that were published since it started are there."""
        self._infers = self.init_infers()
        information: dict[str, Any] = super().info()
        return information

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Run a model; see `monailabel_app.stock.read_request` for what a request may hold.

        An image is one of the datastore, of a session, or an upload; other paths of this machine are refused.

        Raises:
            MedganError: when the request or the input is refused, or the run fails.
        """
        uploads = [str(request[key]) for key in ("image", "label") if is_upload(str(request.get(key, "")))]
        try:
            result: dict[str, Any] = super().infer(self._checked(request, uploads), datastore)
        except BaseException:
            # MONAI Label removes an upload only when all goes well.
            for path in uploads:
                remove_file(path)
            raise
        return result

    def _checked(self, request: Mapping[str, Any], uploads: list[str]) -> dict[str, Any]:
        request = dict(request)
        if request.get("model") not in self._infers:
            self._infers = self.init_infers()
        if request.get("model") not in self._infers:
            raise UnknownModelError(
                f"There is no model called {request.get('model')!r}",
                expected="one of " + (", ".join(self._infers) or "(no model is installed)"),
                got=str(request.get("model")),
                action="choose a model that GET /info/ lists",
            )
        for key in ("image", "label"):
            image = str(request.get(key) or "")
            if image and image not in uploads and not self._of_session(image):
                path = self.stored(image)
                # An id may also be the name of a file in the server's working folder, which would win.
                request[key] = str(path) if os.path.exists(image) else image
        return request

    def _of_session(self, image: str) -> bool:
        sessions = self.sessions()
        return sessions is not None and Path(image).resolve().is_relative_to(
            Path(sessions.store_path).resolve()
        )
