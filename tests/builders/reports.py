"""JSON reports of audits as files, and changes to them as somebody might make them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modseal.auditing.report_file import ReportFile, load
from modseal.auditing.run import Audit
from modseal.report import audit_json


def save(audit: Audit, path: Path) -> ReportFile:
    """An audit's report as a file, and read back."""
    path.write_bytes(b"".join(audit_json.render(audit)))
    return load(path)


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> ReportFile:
    """The report once somebody has edited its values; its layout stays as modseal writes it."""
    document = json.loads(path.read_bytes())
    edit(document)
    path.write_bytes(written(document))
    return load(path)


def written(document: dict[str, Any]) -> bytes:
    """A report's values in the layout of `modseal audit`."""
    head = {key: value for key, value in document.items() if key not in ("results", "findings")}
    lists = (
        f'"{name}": ['
        + ",".join(f"\n    {json.dumps(row)}" for row in document[name])
        + ("\n  ]" * bool(document[name]))
        + "]" * (not document[name])
        for name in ("results", "findings")
    )
    return (json.dumps(head, indent=2).removesuffix("\n}") + ",\n  " + ",\n  ".join(lists) + "\n}\n").encode()
