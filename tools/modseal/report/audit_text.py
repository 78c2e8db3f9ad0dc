"""An audit as text: a table of the bundles, then the findings by rule, each with its evidence and next step."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.audit.run import Audit


def render(audit: Audit, _verbose: bool = False) -> Iterator[bytes]:
    """The text in pieces."""
    for finding in audit.findings():
        yield f"{finding.severity} {finding.rule} {finding.bundle} {finding.detail}\n".encode()
    yield f"{audit.summary.plain()}\n".encode()
