"""A real `medgan serve` as a department runs it: with TLS of its own and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local_server import LocalServer
from MedGANLib.access import Access
from MedGANLib.client import Client

from monailabel_app.access import Role
from monailabel_app.access.tokens import new_token
from tests.certificates import certificate


@dataclass(frozen=True)
class Secured:
    """A server that was started, and how to get in.

    Args:
        server: the process.
        ca_file: its certificate, which signs itself.
        tokens: by role.
    """

    server: LocalServer
    ca_file: str
    tokens: dict[str, str]

    @property
    def address(self) -> str:
        """Where it answers."""
        return self.server.address

    def access(self, role: str) -> Access:
        """What a person of this role has."""
        return Access(self.address, self.tokens[role], self.ca_file)

    def client(self, role: str) -> Client:
        """A client of this role."""
        return Client(self.address, token=self.tokens[role], ca_file=self.ca_file)


def start_secured(folder: Path, models: Path) -> Secured:
    """Start a server with one token of every role; its process is to be ended."""
    cert, key = certificate(folder)
    made = {role.word: new_token(f"a-{role.word}", role) for role in Role}
    tokens = folder / "tokens"
    tokens.write_text("\n".join(entry.line for _, entry in made.values()), encoding="utf-8")
    tokens.chmod(0o600)
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--token-file", str(tokens)]
    server = LocalServer(
        folder,
        environment={"MEDGAN_MODELS": str(models)},
        options=options,
        ca_file=str(cert),
        start_s=400,
    )
    server.start()
    return Secured(server, str(cert), {role: text for role, (text, _) in made.items()})
