"""The command `medgan serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from medgan_core.errors import MedganError
from monailabel_app.access import require_loopback


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
        _run(_folder(studies), tuple(device or ["auto"]), max_upload_mb << 20, host, port)
    except MedganError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_status) from None


def _folder(studies: str) -> str:
    """The studies folder, made if missing; an address is left as it is."""
    if studies.startswith(("http://", "https://")):
        return studies
    from medgan_core.registry import user_folder

    folder = Path(studies).resolve() if studies else user_folder().parent / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _run(studies: str, devices: tuple[str, ...], upload_limit: int, host: str, port: int) -> None:
    # Imported here: `medgan --help` must not wait for MONAI Label.
    import uvicorn

    from monailabel_app.server import create_app
    from monailabel_app.service import Options, Service

    service = Service(Options(studies=studies, devices=devices, upload_limit=upload_limit))
    try:
        config = uvicorn.Config(
            create_app(service),
            host=host,
            port=port,
            log_level="warning",
            # Event streams would be waited for; they end when their connection is closed.
            timeout_graceful_shutdown=2,
        )
        typer.echo(f"MedGAN server: http://{f'[{host}]' if ':' in host else host}:{port}")
        typer.echo(f"Studies: {studies}")
        typer.echo("Models: " + (", ".join(card.name for card in service.cards()[0]) or "none is installed"))
        typer.echo("Ctrl-C stops it.")
        uvicorn.Server(config).run()
    except KeyboardInterrupt:
        pass
    finally:
        service.close()
    typer.echo("Stopped.")
