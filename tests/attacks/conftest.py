"""Every bundle that an attack test shows to be refused is audited too: its reports must say why.

The tests call `refused` of `builders.bundles`; here it also asks for the code, the evidence and the next step of
every check that did not pass, in each form of report for people and services.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.audits import audit_of
from builders.bundles import codes
from builders.pki import NOW
from builders.told import require_told
from modseal.trust.examination import Examination

_seen: set[tuple[str, ...]] = set()


@pytest.fixture(autouse=True)
def _refusals_are_reported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each test and set of codes: tests repeat an attack with other values hundreds of times."""
    if refused := getattr(request.module, "refused", None):
        monkeypatch.setattr(request.module, "refused", reporting(refused, request.function.__name__))


def reporting(refused: Callable[..., Examination], name: str) -> Callable[..., Examination]:
    """`refused`, and then an audit of the file that it has written."""

    @functools.wraps(refused)
    def both(bundle, policy, code, folder, at=NOW, *rest, **named) -> Examination:
        examination = refused(bundle, policy, code, folder, at, *rest, **named)
        found = (name, *codes(examination))
        if found not in _seen:
            _seen.add(found)
            require_reported(folder / "bundle", policy, examination)
        return examination

    return both


def require_reported(path: Path, policy, examination: Examination) -> None:
    """Assert that an audit of this file tells what its examination found."""
    audit = audit_of([path], policy, examination.at)
    (result,) = audit.results()
    assert result["verdict"] == examination.verdict
    require_told(audit, codes(examination))
