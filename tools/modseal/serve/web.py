"""The process that speaks to clients: reads requests, asks the host, and answers. It has no rights of its own."""

from __future__ import annotations

import asyncio
import difflib  # noqa: F401 - messages name what is alike, and an interpreter that is root's cannot be read later
import json
import sys
import time
import traceback
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from modseal import limits
from modseal.errors import ModsealError
from modseal.format.canonical_json import once
from modseal.host import values
from modseal.serve import csdl, frames, openapi, page, redfish, routes
from modseal.serve.ask import AskedHost, Refusal
from modseal.serve.connections import Unsent
from modseal.serve.pushes import Pushes, parameters
from modseal.serve.roles import ROLES, Role
from modseal.serve.routes import ROUTES, Route
from modseal.serve.shown import FIELDS, PageRefusal, Pages
from modseal.serve.signatures import WebhookKeys
from modseal.serve.spec import ServeSpec
from modseal.serve.tasks import DONE, REFUSED, RUNNING
from modseal.serve.webhooks import Destination

_CLIENTS_COUNTED = 4096
"""Clients whose requests are counted; of more, those that asked longest ago are forgotten."""

_EVENTS_PAUSE = 1
"""Seconds between two looks for new events, which each prove the caller again."""

_EVENTS_SECONDS = 3600
"""A stream of events ends then; its reader begins a new one, with a certificate that is looked at anew."""

_STREAMS = 8
"""Streams of events that one client has at one time: more would take the connections of all others."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_STATUS = {
    "role-missing": 403,
    "role-too-low": 403,
    "host-locked-down": 403,
    "not-installed": 404,
    "unknown-item": 404,
    "upload-too-large": 413,
}
_EXIT_STATUS = {1: 409, 2: 400, 3: 503}
_SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "OData-Version": "4.0",
}
_SAME_SITE = ("same-origin", "none")


class HostService:
    """The handlers of all routes."""

    def __init__(
        self, host: AskedHost, spec: ServeSpec, spool: int, pages: Pages, webhooks: Sequence[WebhookKeys] = ()
    ) -> None:
        self._host, self._spec = host, spec
        self._destinations = [Destination(one) for one in webhooks]
        self._pages = page.ServedPages(pages)
        self._asked: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._pushes = Pushes(spool, spec.upload)
        self._streams: Counter[bytes] = Counter()
        self._unsent = Unsent()
        self.active: dict[object, int] = {}

    def followers(self) -> list[asyncio.Task[None]]:
        """What sends the lines of the log: each address for itself, beside all else."""
        return [asyncio.create_task(_kept_on(one, self._host)) for one in self._destinations]

    def app(self) -> web.Application:
        """All routes, behind what holds for each request."""
        app = web.Application(middlewares=[self._guarded], client_max_size=limits.SERVE_BODY)
        for route in ROUTES:
            app.router.add_route(route.method, route.path, self._handler(route))
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        protocol = request.protocol
        self.active[protocol] = self.active.get(protocol, 0) + 1
        try:
            self._require_rate(request)
            self._require_same_site(request)
            _require_plain_body(request)
            self._unsent.asks_again(protocol)
            response = await handler(request)
            self._unsent.answer(protocol, _certificate(request), _length(response))
        except Refusal as refusal:
            response = self._refused(request, refusal.problem, refusal.exit)
        except ModsealError as error:
            response = self._refused(request, values.problem_values(error.failure), error.exit_code)
        except web.HTTPException as error:
            response = self._denied(request, error.reason, error.status, error.headers)
        except TimeoutError:
            response = self._denied(request, "the rest of the request did not come", 408)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug ends one request and no other
            sys.stderr.write("".join(traceback.format_exception(error)))
            response = self._denied(request, "a bug of modseal: the service's log has it", 500)
        finally:
            self.active[protocol] -= 1
            if not self.active[protocol]:
                del self.active[protocol]
        if not response.prepared:
            for name, value in _SAFE.items():
                response.headers.setdefault(name, value)
        return response

    def _denied(self, request: web.Request, reason: str, status: int, headers: Mapping[str, str] = {}) -> web.Response:
        """What the host was not asked for."""
        kept = {name: value for name, value in headers.items() if name in ("Retry-After", "Allow")}
        if page.is_wanted(request):
            return self._pages.refuse(PageRefusal(status, reason), kept)
        kind = "Base.1.18.InternalError" if status == HTTPStatus.INTERNAL_SERVER_ERROR else "Base.1.18.GeneralError"
        return _json(redfish.error(kind, reason), status, kept)

    def _refused(self, request: web.Request, problem: Mapping[str, Any], exit_code: int) -> web.Response:
        """What the host was asked for, and refuses or cannot say."""
        code = str(problem.get("code"))
        is_full = problem.get("evidence", {}).get("cause") == "no-space"
        status = 507 if is_full else _STATUS.get(code, _EXIT_STATUS.get(exit_code, 503))
        headers = {"Retry-After": "60"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        if page.is_wanted(request):
            detail, step = str(problem.get("detail")), str(problem.get("next_step"))
            return self._pages.refuse(PageRefusal(status, detail, step, code), headers)
        shown = redfish.message(problem)
        return _json(redfish.error(shown["MessageId"], shown["Message"], [shown], problem), status, headers)

    def _require_rate(self, request: web.Request) -> None:
        """So many requests of one client in a minute, and no more."""
        who, minute = _certificate(request), int(time.monotonic() // 60)
        before, count = self._asked.pop(who, (minute, 0))
        count = count + 1 if before == minute else 1
        self._asked[who] = (minute, count)
        if len(self._asked) > _CLIENTS_COUNTED:
            self._asked.popitem(last=False)
        if count > self._spec.requests:
            raise web.HTTPTooManyRequests(headers={"Retry-After": "60"}, reason="too many requests in a minute")

    def _require_same_site(self, request: web.Request) -> None:
        """A browser has the certificate whoever makes it ask: what changes something must come from our own page."""
        if request.method in ("GET", "HEAD"):
            return
        origin, site = request.headers.get(hdrs.ORIGIN), request.headers.get("Sec-Fetch-Site")
        if origin not in (None, f"https://{request.host}") or (site is not None and site not in _SAME_SITE):
            raise web.HTTPForbidden(reason="a page from elsewhere has made this request")

    def _handler(self, route: Route) -> Handler:
        if route.path == routes.PUSH:
            return self._push
        if route.path == routes.EVENTS:
            return self._events
        if route.path in routes.PAGES:
            return self._upload if route.method == "POST" else self._page(route)

        async def handle(request: web.Request) -> web.StreamResponse:
            names: dict[str, Any] = dict(request.match_info)
            if route.method == "POST":
                names |= await _body(request)
            if route.operation == "modules" and "pending" in request.query:
                names["pending"] = _flag(request.query.getall("pending"))
            if route.method == "DELETE":
                names = {"Names": [names["name"]]}
            if route.operation == "log" and "number" in names:
                names["number"] = _number(names["number"])
            takes_nothing = route.operation == "whoami"
            reply = await self._ask(request, route.operation, {} if takes_nothing else names)
            if route.method in ("POST", "DELETE"):
                return _done(reply["document"])
            return self._shown(route, names, reply)

        return handle

    async def _ask(
        self, request: web.Request, operation: str, arguments: Mapping[str, Any], descriptors: Sequence[int] = ()
    ) -> dict[str, Any]:
        return await self._host.ask(_certificate(request), operation, arguments, descriptors)

    def _shown(self, route: Route, names: Mapping[str, Any], reply: Mapping[str, Any]) -> web.Response:
        found = reply["document"]
        match route.path:
            case "/metrics":
                return web.Response(text=redfish.metrics(found), content_type="text/plain")
            case "/openapi.json":
                return _json(openapi.describe())
            case "/redfish":
                return _json({"v1": f"{routes.ROOT}/"})
            case path if path.endswith("/$metadata"):
                return web.Response(text=csdl.metadata(), content_type="application/xml")
            case routes.SCHEMA:
                return web.Response(text=csdl.own_types(), content_type="application/xml")
            case path if path.endswith("/odata"):
                value = [{"name": "Service", "kind": "Singleton", "url": f"{routes.ROOT}/"}]
                return _json({"@odata.context": f"{routes.ROOT}/$metadata", "value": value})
            case routes.MONITOR:
                return _monitored(found)
            case routes.SUBSCRIPTIONS:
                return _json(redfish.subscriptions(len(self._destinations)))
            case routes.SUBSCRIPTION:
                return _json(self._subscription(names["number"]))
            case path:
                return _json(_resource(path, names, found, reply["verdict"], self._spec.upload))

    def _subscription(self, text: object) -> redfish.Resource:
        number = _number(text)
        if number >= len(self._destinations):
            raise web.HTTPNotFound(reason="there is no such subscription")
        one = self._destinations[number]
        state = {"sent": one.sent, "dropped": one.dropped, "failure": one.failure}
        return redfish.subscription(number, {"destination": one.shown, **state})

    def _page(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            ask = partial(self._ask, request)
            return await self._pages.show(route, dict(request.match_info), request, _certificate(request), ask)

        return handle

    async def _push(self, request: web.Request) -> web.StreamResponse:
        await self._require_installer(request)
        fields = ("UpdateParameters",)
        async with self._pushes.received(request, _certificate(request), fields, parameters) as push:
            reply = await self._ask(request, "install", push.arguments, push.descriptors)
        return _done(reply["document"])

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """The form of the page: the reply leads to the page of the task."""
        await self._require_installer(request)
        certificate = _certificate(request)
        arguments = partial(self._pages.arguments, certificate)
        async with self._pushes.received(request, certificate, FIELDS, arguments, named=True) as push:
            reply = await self._ask(request, "install", push.arguments, push.descriptors)
        place = f"{routes.TASKS_PAGE}/{reply['document']['id']}"
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": place})

    async def _require_installer(self, request: web.Request) -> None:
        """Raises `RefusedError` (role-too-low) before anything is spooled."""
        who = (await self._ask(request, "whoami", {}))["caller"]
        routes.require_role("install", Role.named(who["role"]), who["name"])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        who = _certificate(request)
        if self._streams[who] >= _STREAMS:
            raise web.HTTPTooManyRequests(headers={"Retry-After": "60"}, reason="too many streams of events")
        self._streams[who] += 1
        try:
            return await self._stream(request)
        finally:
            self._streams[who] -= 1
            if not self._streams[who]:
                del self._streams[who]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: what is written to the log from now on, or since `Last-Event-ID`."""
        state = (await self._ask(request, "state", {}))["document"]
        after = _number(request.headers.get("Last-Event-ID", str(state["event"])))
        response = web.StreamResponse(headers={**_SAFE, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        ends = time.monotonic() + _EVENTS_SECONDS
        while time.monotonic() < ends:
            try:
                found = (await self._ask(request, "events", {"after": after}))["document"]["events"]
            except (Refusal, ModsealError):
                break  # a second answer cannot begin here: whoever asks again is told why
            lines = b""
            for event in found:
                after = event["number"]
                lines += f"id: {after}\ndata: {json.dumps(redfish.event(str(after), [event]))}\n\n".encode()
            try:
                await asyncio.wait_for(response.write(lines or b": nothing new\n\n"), frames.IDLE_SECONDS)
            except TimeoutError:  # it takes nothing
                if request.transport:
                    request.transport.abort()
                break
            await asyncio.sleep(_EVENTS_PAUSE)
        return response


async def _kept_on(one: Destination, host: AskedHost) -> None:
    while True:
        try:
            await one.follow(host)
        except Exception as error:  # noqa: BLE001 - a bug stops no other address, and this one for a minute
            sys.stderr.write("".join(traceback.format_exception(error)))
            await asyncio.sleep(60)


def _resource(
    path: str, names: Mapping[str, Any], found: Mapping[str, Any], verdict: str, upload: int
) -> redfish.Resource:
    """The resource of a path of the table."""
    match path:
        case routes.UPDATE:
            return redfish.update_service(upload)
        case routes.INVENTORY:
            return redfish.inventory(found)
        case routes.MODULE:
            return redfish.module(found, verdict)
        case routes.MANAGER:
            return redfish.manager(found)
        case routes.GENERATIONS | routes.ACCEPTANCE | routes.LOCKDOWN | routes.POLICY | routes.RECALLS:
            return redfish.own(path, found)
        case routes.ENTRIES:
            return redfish.entries(found)
        case routes.ENTRY:
            return redfish.entry(found["events"][0])
        case routes.TASKS:
            return redfish.tasks(found)
        case routes.TASK:
            return redfish.task(found)
        case routes.ROLE:
            if names["name"] not in ROLES:
                raise web.HTTPNotFound(reason="there is no such role")
            return redfish.role(names["name"])
        case _:
            return redfish.FIXED.get(path) or redfish.service_root(found)


def _certificate(request: web.Request) -> bytes:
    """The client's, which TLS has demanded and held against the CAs."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    found = tls.getpeercert(binary_form=True) if tls else None
    if not found:
        raise web.HTTPForbidden(reason="there is no client certificate")
    return bytes(found)


def _length(response: web.StreamResponse) -> int:
    body = response.body if isinstance(response, web.Response) else b""
    return len(body) if isinstance(body, bytes) else 0


def _require_plain_body(request: web.Request) -> None:
    if hdrs.CONTENT_ENCODING in request.headers:
        raise web.HTTPUnsupportedMediaType(reason="a compressed body is not unpacked here")


async def _body(request: web.Request) -> dict[str, Any]:
    """The arguments in a body of JSON; none where there is no body."""
    data = await asyncio.wait_for(request.read(), frames.IDLE_SECONDS)
    if not data:
        return {}
    try:
        found = json.loads(data.decode(), parse_float=_whole, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(reason="the body is not JSON") from None
    if not isinstance(found, dict):
        raise web.HTTPBadRequest(reason="the body is not an object")
    return found


def _flag(words: list[str]) -> bool:
    if words not in (["true"], ["false"]):
        raise web.HTTPBadRequest(reason="pending is true or false")
    return words == ["true"]


def _whole(text: str) -> float:
    """A number with a fraction; JSON has no other whole numbers, so that `3.0` is one."""
    found = float(text)
    return int(found) if found.is_integer() else found


def _number(text: object) -> int:
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > 15:
        raise web.HTTPNotFound(reason="there is no such number")
    return int(text)


def _json(document: object, status: int = 200, headers: Mapping[str, str] = {}) -> web.Response:
    kept = {name: value for name, value in headers.items() if name in ("Retry-After", "Allow", "Location")}
    return web.Response(text=json.dumps(document), status=status, content_type="application/json", headers=kept)


def _done(document: Mapping[str, Any]) -> web.Response:
    """A task that has begun, or what was done at once."""
    if document.get("schema") == "modseal/task@1":
        return _monitored(document)
    return _json(redfish.oem(document))


def _monitored(task: Mapping[str, Any]) -> web.Response:
    """What whoever waits for a task is told: to come again, or what became of it."""
    if task["state"] == RUNNING:
        return _json(redfish.task(task), 202, {"Location": redfish.monitor(task), "Retry-After": "1"})
    if task["state"] == DONE:
        return _json(redfish.task(task))
    return _json(redfish.task_failure(task), 409 if task["state"] == REFUSED else 503)
