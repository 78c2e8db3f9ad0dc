"""What the pages for people are made of, as whoever makes them gets it: the HTML is written in the room of reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modseal.values import dataclass

Document = Mapping[str, Any]

TOKEN, ACTION, DRY_RUN = "token", "Action", "DryRun"
FIELDS = frozenset({TOKEN, ACTION, DRY_RUN})
"""Of the form, before its bundles."""

VERIFIED = "verified"
"""The document of the first page that is the newest task of a verification that has ended; None without one."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page is made of: its path (of `routes.PAGES`), who looks (as `Broker` says), documents by operation.

    A page of which only a part is shown begins `before` a number. `token` is for a form.
    """

    path: str
    who: Document
    documents: Mapping[str, Any]
    before: int | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class PageRefusal:
    """Why there is no page: an HTTP status, what is wrong, and, where they are known, the next step and the code."""

    status: int
    detail: str
    next_step: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Pages:
    """Makes pages. `policy` is their Content-Security-Policy, which knows the digest of their style."""

    policy: str
    show: Callable[[Shown], str]
    refuse: Callable[[PageRefusal], str]
