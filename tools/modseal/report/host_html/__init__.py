"""The pages of a served host, for people: HTML without a script, of documents that the host gave.

`serve` asks for them and sends them. They look like an audit's page and have its rules: nothing is loaded, every text
is escaped (`report.html`), and the Content-Security-Policy allows this one style, by its digest. Names, subjects and
facts of the log are written by whoever made a bundle or asked for something.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from importlib import resources

import modseal
from modseal.report.host_html import generations, home, log, modules, tasks, upload
from modseal.report.host_html.parts import HostPage
from modseal.report.html import Child, Markup, element, joined, prose
from modseal.serve import routes
from modseal.serve.roles import Role
from modseal.serve.shown import PageRefusal, Pages, Shown

_SLOT = re.compile(r"\{\{ ([a-z]+) \}\}")
_MADE: Mapping[str, Callable[[Shown], HostPage]] = {
    routes.HOME_PAGE: home.page,
    routes.MODULES_PAGE: modules.page,
    routes.MODULE_PAGE: modules.one,
    routes.GENERATIONS_PAGE: generations.page,
    routes.LOG_PAGE: log.page,
    routes.TASKS_PAGE: tasks.page,
    routes.TASK_PAGE: tasks.one,
    routes.UPLOAD_PAGE: upload.page,
}
_NAV = (
    (routes.HOME_PAGE, "State"),
    (routes.MODULES_PAGE, "Modules"),
    (routes.GENERATIONS_PAGE, "Generations"),
    (routes.LOG_PAGE, "Log"),
    (routes.TASKS_PAGE, "Tasks"),
    (routes.UPLOAD_PAGE, "Upload"),
)
_UPLOADS = next(route.role for route in routes.ROUTES if route.path == routes.UPLOAD_PAGE)


def show(shown: Shown) -> str:
    """A page of documents."""
    role = Role.named(shown.who["role"])
    who = joined("Your certificate: ", element("bdi", shown.who["name"]), f", {role}.")
    return _framed(_MADE[shown.path](shown), _nav(shown.path, role), who)


def refuse(refused: PageRefusal) -> str:
    """Why there is no page, and what to do."""
    title = _TITLES.get(refused.status, "This did not work")
    detail = refused.detail[:1].upper() + refused.detail[1:]
    step = refused.next_step or _NEXT.get(refused.status, _ELSE)
    code = joined(" ", element("code", refused.code)) if refused.code else None
    main = joined(
        element("h1", title),
        element("div", element("p", detail, code), element("p", element("b", "Next: "), prose(step)), class_="alarm"),
    )
    return _framed(HostPage(title, main), _nav("", Role.READER), "")


_TITLES = {
    400: "This request cannot be read",
    403: "This is not allowed",
    404: "This is not there",
    405: "This is not done here",
    408: "The request did not come to its end",
    409: "The host refuses this",
    413: "This is too large",
    429: "Too many requests",
    500: "This went wrong",
    503: "The host cannot say this now",
}
_NEXT = {
    400: "Open the page that you come from again, and fill its form in anew.",
    403: "Open the form on this host's own page again, and send it from there.",
    404: "Look at the lists above: what is there has a link.",
    405: "Use the links above.",
    408: "Send it again; if that fails too, use `modseal remote HOST install`.",
    413: "Raise `upload` in the host's serve.toml, or install the bundle on the host itself.",
    429: "Wait a minute, then load the page again.",
}
_ELSE = "Load the page again; if it stays so, see the service's own messages (`journalctl -u modseal-serve`)."


def _nav(path: str, role: Role) -> Markup:
    section = "/" + path.split("/")[1] if path else None
    links = (
        element("a", word, href=to, aria_current="page" if to == section else None)
        for to, word in _NAV
        if to != routes.UPLOAD_PAGE or role >= _UPLOADS
    )
    return element("nav", *links, aria_label="Pages")


def _framed(page: HostPage, nav: Markup, who: Child) -> str:
    refresh = Markup('<meta http-equiv="refresh" content="2">\n') if page.changes else None
    slots: dict[str, Child] = {
        "refresh": refresh,
        "title": f"{page.title} - modseal host",
        "style": _STYLE,
        "nav": nav,
        "main": page.main,
        "who": who,
        "version": modseal.__version__,
    }
    return "".join(
        piece if number % 2 == 0 else joined(slots[piece]) for number, piece in enumerate(_SLOT.split(_FRAME))
    )


def _file(name: str) -> str:
    return resources.files("modseal.report").joinpath(name).read_text("ascii")


_FRAME = _file("host_html/frame.html")
_STYLE = Markup(_file("audit_html/report.css") + _file("host_html/host.css"))
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
PAGES = Pages(_POLICY, show, refuse)
"""What `modseal serve` shows people."""
