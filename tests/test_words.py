"""One word, one thing: what a class is called tells which one is meant, wherever it is read."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import modseal

PACKAGE = Path(modseal.__file__).parent


def classes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path.relative_to(PACKAGE)))
    return found


def test_no_two_classes_of_the_package_have_one_name() -> None:
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}
