"""The pages for people: which documents each is made of, and who may send what its form has.

Nothing is decided here, and no HTML is written: the process with the rights gives the documents, and `Pages`, which
comes from the room of reports, makes a page of them. A page has no script and loads nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any

from aiohttp import hdrs, web

from modseal.errors import UsageError
from modseal.serve import routes
from modseal.serve.roles import Role
from modseal.serve.routes import Route
from modseal.serve.shown import ACTION, DRY_RUN, TOKEN, VERIFIED, Document, PageRefusal, Pages, Shown
from modseal.values import dataclass

Ask = Callable[[str, Document], Awaitable[dict[str, Any]]]
"""Asks the host for an operation with arguments, in the name of whoever has sent the request."""


@dataclass(frozen=True, slots=True)
class ServedPages:
    """The pages of one process, whose forms no other process takes: `secret` is its own."""

    pages: Pages
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    async def show(
        self, route: Route, arguments: Document, request: web.Request, certificate: bytes, ask: Ask
    ) -> web.Response:
        """The page of a route. Raises what `ask` raises."""
        operation = route.operation
        if route.path == routes.UPLOAD_PAGE:
            operation = "whoami"
        reply = await ask(operation, arguments)
        who = reply["caller"]
        routes.require_role(route.operation, Role.named(who["role"]), who["name"])
        documents = {operation: reply["document"]}
        if route.path == routes.HOME_PAGE:
            documents["tasks"] = (await ask("tasks", {}))["document"]
            documents[VERIFIED] = await _newest_verification(documents["tasks"], ask)
        if route.path == routes.UPLOAD_PAGE:
            documents["keys"] = (await ask("keys", {}))["document"]
        before = request.query.get("before", "")
        number = int(before) if before.isascii() and before.isdigit() and len(before) <= 15 else None
        shown = Shown(route.path, who, documents, number, self.token(certificate))
        return self._response(self.pages.show(shown), 200)

    def refuse(self, refused: PageRefusal, headers: Mapping[str, str] = {}) -> web.Response:
        """Why there is no page, as one."""
        return self._response(self.pages.refuse(refused), refused.status, headers)

    def token(self, certificate: bytes) -> str:
        """What a form of a client has, so that nobody else can make the client send one."""
        return hmac.digest(self.secret, hashlib.sha256(certificate).digest(), "sha256").hex()

    def arguments(self, certificate: bytes, fields: Mapping[str, bytes]) -> dict[str, Any]:
        """Those of an installation, from the fields of the form.

        Raises `HTTPForbidden` where the form is not one that this process has given to this client, `UsageError`.
        """
        if not hmac.compare_digest(fields.get(TOKEN, b""), self.token(certificate).encode()):
            raise web.HTTPForbidden(reason=_FOREIGN)
        try:
            action = fields.get(ACTION, b"install").decode("ascii")
        except UnicodeDecodeError:
            raise UsageError("Action is install or update") from None
        return {"Action": action, "DryRun": DRY_RUN in fields}

    def _response(self, text: str, status: int, headers: Mapping[str, str] = {}) -> web.Response:
        more = {
            "Content-Security-Policy": self.pages.policy,
            # Not no-referrer: browsers would send the form without its origin.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return web.Response(text=text, status=status, content_type="text/html", headers={**headers, **more})


async def _newest_verification(tasks: Document, ask: Ask) -> Document | None:
    ended = [one for one in tasks["tasks"] if one["operation"] == "verify" and one["ended"] is not None]
    if not ended:
        return None
    newest = max(ended, key=lambda one: str(one["ended"]))
    return dict((await ask("task", {"id": newest["id"]}))["document"])


_FOREIGN = "this form was not given to this certificate, or the service was restarted since"


def is_wanted(request: web.Request) -> bool:
    """Whether a page is the answer: to a path that has one, or to a browser that looks for one where nothing is."""
    resource = request.match_info.route.resource
    if resource is not None:
        return resource.canonical in routes.PAGES
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")
