"""What `verify` and `audit` say of a fixed corpus, as one JSON document: equal before and after a change of structure.

    MODSEAL_RECORD=CORPUS pytest tests/attacks          writes the corpus: each bundle that an attack test judges
    python tests/snapshot.py CORPUS [FOLDER...] > FILE  what the command line says of it, and of more folders

Folders hold cases (`bundle`, `policy.toml`, `at`), or bundles that are judged under the built-in policies.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from modseal.cli.main import run


def main() -> None:
    """Print the document; keys are places below the folders."""
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    found: dict[str, Any] = {}
    for folder in map(Path, sys.argv[1:]):
        for policy in sorted(folder.rglob("policy.toml")):
            case = policy.parent
            if (case / "bundle").exists():
                found[case.name] = _case(case)
        for bundle in sorted([*folder.rglob("*.vib"), *folder.rglob("*.seal")]):
            for name in ("strict", "vmware"):
                found[f"{bundle.name} {name}"] = _commands(bundle.parent, bundle.name, name, "2026-06-01T00:00:00Z")
    json.dump(found, sys.stdout, indent=1, sort_keys=True)


def _case(case: Path) -> Any:
    return _commands(case, "bundle", "policy.toml", (case / "at").read_text())


def _commands(folder: Path, bundle: str, policy: str, at: str) -> Any:
    with contextlib.chdir(folder):
        options = ["--policy", policy, "--at", at, "--format", "json"]
        return [_run("verify", bundle, *options), _run("audit", bundle, *options, "--no-cache", "--jobs", "1")]


def _run(*arguments: str) -> Any:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    text = out.getvalue()
    return {"exit": code, "out": json.loads(text) if text else None, "err": err.getvalue()}


if __name__ == "__main__":
    main()
