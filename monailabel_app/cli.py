"""The command `medgan serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medgan_core.errors import MedganError
from monailabel_app.access import require_loopback

if TYPE_CHECKING:
    from monailabel_app.service import Service


def register(app: typer.Typer) -> None:
    """Add `serve` to the command line."""
    app.command()(serve)


def serve(
    studies: Annotated[
        str, typer.Option(help="Folder of images, or address of a DICOMweb server; made if missing.")
    ] = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; this machine only, for now.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    models: Annotated[
        Path | None, typer.Option(help="Folder of published models (default: $MEDGAN_MODELS).")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="auto, cpu, cuda or cuda:N; again for a worker more.")
    ] = None,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Largest uploaded file.")] = 2048,
) -> None:
    """Serve the models to 3D Slicer and other clients, until Ctrl-C."""
    try:
        require_loopback(host)
        if models is not None:
            # By the environment, so that the workers and MONAI Label's own subprocesses see the same models.
            os.environ["MEDGAN_MODELS"] = str(models.resolve())
        service = _service(studies or str(_default_studies()), tuple(device or ["auto"]), max_upload_mb << 20)
    except MedganError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_status) from None
    _run(service, host, port)


def _default_studies() -> Path:
    from medgan_core.registry import user_folder

    return user_folder().parent / "studies"


def _service(studies: str, devices: tuple[str, ...], upload_limit: int) -> Service:
    from monailabel_app.service import Options, Service

    if not studies.startswith(("http://", "https://")):
        folder = Path(studies).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        studies = str(folder)
    return Service(Options(studies=studies, devices=devices, upload_limit=upload_limit))


def _run(service: Service, host: str, port: int) -> None:
    import uvicorn

    from monailabel_app.server import create_app

    try:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(service),
                host=host,
                port=port,
                log_level="warning",
                # Event streams would be waited for; they end when their connection is closed.
                timeout_graceful_shutdown=2,
            )
        )
        typer.echo(f"MedGAN server: http://{f'[{host}]' if ':' in host else host}:{port}")
        typer.echo(f"Studies: {service.options.studies}")
        typer.echo("Models: " + (", ".join(service.registry.names()) or "none is installed"))
        typer.echo("Ctrl-C stops it.")
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        service.close()
    typer.echo("Stopped.")
