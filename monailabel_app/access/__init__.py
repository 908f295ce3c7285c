"""Who may talk to the server, and what each may do.

`roles` says who and what, `tokens` and `oidc` recognise clients, `policy` decides whether a server may start,
`guard` checks every request.
"""

from monailabel_app.access.guard import AccessGuard
from monailabel_app.access.hosts import is_loopback
from monailabel_app.access.oidc import Oidc
from monailabel_app.access.policy import Access
from monailabel_app.access.roles import Client, Role, client_of
from monailabel_app.access.tokens import Tokens

__all__ = ["Access", "AccessGuard", "Client", "Oidc", "Role", "Tokens", "client_of", "is_loopback"]
