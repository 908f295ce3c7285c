"""The command `medgan serve`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medgan_core.errors import MedganError
from monailabel_app.token_cli import token

if TYPE_CHECKING:
    from monailabel_app.service import Options

if TYPE_CHECKING:
    from monailabel_app.access import Access


class Executors(StrEnum):
    """Who does the jobs."""

    PROCESS = "process"
    RAY = "ray"


def register(app: typer.Typer) -> None:
    """Add `serve` and `token` to the command line."""
    app.command()(serve)
    app.command()(token)


def serve(
    studies: Annotated[
        str, typer.Option(help="Folder of images, or address of a DICOMweb server; made if missing.")
    ] = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs tokens and TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    models: Annotated[
        Path | None, typer.Option(help="Folder of published models (default: $MEDGAN_MODELS).")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of jobs and their files; one server at a time uses it.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="auto, cpu, cuda or cuda:N, with commas between; one worker for each."),
    ] = None,
    executor: Annotated[Executors, typer.Option(help="Who does the jobs.")] = Executors.PROCESS,
    address: Annotated[str, typer.Option(help="Of the Ray cluster; 'local' starts one here.")] = "local",
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Largest uploaded file.")] = 2048,
    model_memory_mb: Annotated[
        int | None, typer.Option(min=1, help="What a worker's loaded models may take (default: a quarter).")
    ] = None,
    keep_hours: Annotated[float, typer.Option(min=0.0, help="How long finished jobs are kept.")] = 24.0,
    quota_gb: Annotated[float, typer.Option(min=0.0, help="Room for uploads and results together.")] = 20.0,
    token_file: Annotated[
        Path | None, typer.Option(help="Clients and their roles (medgan token); also $MEDGAN_TOKENS.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate with its chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate, PEM.")] = None,
    tls_proxy: Annotated[
        str | None, typer.Option(help="Address of the proxy that does TLS; no other may connect.")
    ] = None,
    oidc_issuer: Annotated[str, typer.Option(help="Identity provider whose tokens are believed.")] = "",
    oidc_audience: Annotated[str, typer.Option(help="The provider's name for this server.")] = "",
    oidc_jwks: Annotated[str, typer.Option(help="Its keys, where it has no discovery address.")] = "",
    oidc_role_claim: Annotated[
        str, typer.Option(help="Where its tokens list roles (medgan-read, medgan-run, ...).")
    ] = "roles",
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Web page that may use the server (https://host); repeatable.")
    ] = None,
) -> None:
    """Serve the models to 3D Slicer and other clients, until Ctrl-C."""
    # Here and below imports wait until they are needed: `medgan --help` must not wait for them.
    from monailabel_app.access import Access, Oidc, Tokens

    try:
        oidc = None
        if oidc_issuer:
            oidc = Oidc(
                issuer=oidc_issuer, audience=oidc_audience, jwks=oidc_jwks, role_claim=oidc_role_claim
            )
        access = Access(
            host=host,
            tokens=Tokens.load(token_file),
            oidc=oidc,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_proxy=tls_proxy,
            origins=tuple(cors_origin or ()),
        )
        if models is not None:
            # By the environment, so that the workers and MONAI Label's own subprocesses see the same models.
            os.environ["MEDGAN_MODELS"] = str(models.resolve())
        # Imported here, as in `_run`: `medgan --help` must not wait for MONAI Label and torch.
        from monailabel_app.jobs.retention import Retention
        from monailabel_app.service import Options, data_folder

        options = Options(
            studies=_folder(studies),
            folder=(data_dir or data_folder()).resolve(),
            devices=tuple(name for text in device or ["auto"] for name in text.split(",")),
            ray=address if executor is Executors.RAY else None,
            model_memory=None if model_memory_mb is None else model_memory_mb << 20,
            upload_limit=max_upload_mb << 20,
            retention=Retention(keep_s=keep_hours * 3600, quota=int(quota_gb * 2**30)),
        )
        _run(options, access, port)
    except MedganError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_status) from None


def _folder(studies: str) -> str:
    """The studies folder, made if missing; an address is left as it is."""
    if studies.startswith(("http://", "https://")):
        from monailabel_app.dicom.settings import PacsSettings

        PacsSettings.from_environment(studies, os.environ)  # wrong settings are said before the server starts
        return studies
    from medgan_core.registry import user_folder

    folder = Path(studies).resolve() if studies else user_folder().parent / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _run(options: Options, access: Access, port: int) -> None:
    import uvicorn

    from monailabel_app.server import create_app
    from monailabel_app.service import Service

    service = Service(options)
    try:
        config = uvicorn.Config(
            create_app(service, access),
            host=access.host,
            port=port,
            ssl_certfile=access.tls_cert,
            ssl_keyfile=access.tls_key,
            # The guard reads the proxy's word itself, and only of the proxy that was named.
            proxy_headers=False,
            server_header=False,
            log_level="warning",
            # Event streams would be waited for; they end when their connection is closed.
            timeout_graceful_shutdown=2,
        )
        host = f"[{access.host}]" if ":" in access.host else access.host
        typer.echo(f"MedGAN server: {access.scheme}://{host}:{port}")
        typer.echo(f"Studies: {options.studies}")
        typer.echo("Models: " + (", ".join(card.name for card in service.cards()[0]) or "none is installed"))
        typer.echo("Ctrl-C stops it.")
        uvicorn.Server(config).run()
    except KeyboardInterrupt:
        pass
    finally:
        service.close()
    typer.echo("Stopped.")
