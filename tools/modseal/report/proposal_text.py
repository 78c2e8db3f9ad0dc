"""What `modseal init` wrote, as text: what was guessed, and the next command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from modseal.packing.proposal import Proposal
from modseal.report.text import safe, safe_name


def module(written: Proposal) -> str:
    """A new module.toml, without a final newline."""
    return "\n".join(_module(written))


def _module(written: Proposal) -> Iterator[str]:
    spec = written.spec
    yield f"{safe_name(written.path)}: {safe(spec.vendor)} {spec.name} {spec.version}, claims {spec.level}"
    for payload in spec.payloads:
        yield f"  packs the tree {safe(payload.root)}{f' as {safe(payload.prefix)}' if payload.prefix else ''}"
    for file in spec.files:
        yield f"  packs {safe(file.source)} as {safe(file.path)}"
    if written.left_out:
        yield f"  leaves out {', '.join(map(safe, written.left_out))}"
    for key in written.guessed:
        yield f"  correct the {key}, which is a guess: line {spec.document.line((key,))}"
    yield f"  next: modseal pack {_word(written.path.parent)}"


def policy(path: Path, *, is_empty: bool) -> str:
    """A new policy, without a final newline."""
    state = "accepts nothing yet: write an [[anchor]] as the file shows" if is_empty else "read it before you use it"
    return f"{safe_name(path)}: {state}\n  next: modseal policy check {_word(path)}"


def _word(path: Path) -> str:
    """A path as a shell takes it."""
    return safe(shlex.quote(str(path)))
