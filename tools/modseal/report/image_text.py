"""What `modseal image` says, as text."""

from __future__ import annotations

from modseal.image.build import Built
from modseal.report.text import safe


def built(found: Built) -> str:
    """An image: its root hash, its modules, and the size of each part."""
    total = sum(found.sizes.values())
    lines = [f"{safe(found.name)} version {found.version}", f"root {found.root}"]
    lines += [f"module {safe(one)}" for one in found.modules]
    lines += [f"{name:8}{size / 1e6:8.1f} MB" for name, size in (*found.sizes.items(), ("together", total))]
    return "\n".join(lines)
