"""What a build of the package takes from the documentation: the readme, and the pages that `modseal help` shows.

In the repository the links of README.md are relative, so that they lead to the pages of the same commit. A build makes
them absolute, below the address that pyproject.toml has for the documentation.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    from hatchling.metadata.plugin.interface import MetadataHookInterface
except ModuleNotFoundError:  # what else reads this file has no use for the hooks
    BuildHookInterface = MetadataHookInterface = object

_LINK = re.compile(r"\]\((?!https?://|#)([^)]+)\)")
_NOT_SHIPPED = ("mutation.md", "performance.md")


def absolute(text: str, documentation: str) -> str:
    """A page of the repository's root with absolute links; `documentation` is the address of its folder docs."""
    root = documentation.removesuffix("/docs")
    return _LINK.sub(lambda link: f"]({root}/{link[1]})", text)


def pages(root: Path) -> dict[str, str]:
    """The pages by their files, each with its place in the wheel."""
    beside = {path: path.name for path in (root / "docs").glob("*.md") if path.name not in _NOT_SHIPPED}
    how_to = {path: f"how-to/{path.name}" for path in (root / "docs/how-to").glob("*.md")}
    found = {**beside, **how_to, root / "README.md": "readme.md"}
    return {str(path): f"modseal/pages/{name}" for path, name in found.items()}


class Readme(MetadataHookInterface):  # type: ignore[misc]
    """What hatchling calls for the metadata of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Give the project its readme."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        text = absolute(text, metadata["urls"]["Documentation"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class Pages(BuildHookInterface):  # type: ignore[misc]
    """What hatchling calls for the content of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the pages; an editable wheel has none, and the checkout's are read."""
        if version != "editable":
            build_data["force_include"].update(pages(Path(self.root)))
