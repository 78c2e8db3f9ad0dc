"""Every limit has a reason beside it, is used, and has a test that goes just under and just over it."""

from __future__ import annotations

import ast
import importlib
from itertools import pairwise
from pathlib import Path

import modseal
from limits import cover
from modseal import limits

PACKAGE = Path(modseal.__file__).parent
UNITS = {"KIB", "MIB", "GIB"}
BODY = ast.parse((PACKAGE / "limits.py").read_text()).body
NAMES = [node.targets[0].id for node in BODY if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
LIMITS = [name for name in NAMES if name not in UNITS]


def test_every_limit_has_a_test_at_its_edge() -> None:
    for module in (
        "test_limits_audit",
        "test_limits_boot",
        "test_limits_bytes",
        "test_limits_depot",
        "test_limits_managed",
        "test_limits_manifest",
        "test_limits_remote",
        "test_limits_trust",
        "test_limits_untrusted",
        "test_limits_html",
        "test_limits_reports",
        "test_limits_host",
        "test_limits_guard",
        "test_limits_images",
        "test_limits_solver",
        "test_limits_serve",
    ):
        importlib.import_module(f"limits.{module}")
    for module in (
        "serve.test_connections",
        "serve.test_pushes",
        "serve.test_webhooks",
    ):  # which show it anyway
        importlib.import_module(module)
    assert set(LIMITS) == cover.COVERED


def test_every_limit_has_its_reason_beside_it() -> None:
    for node, reason in pairwise(BODY):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in LIMITS:
            assert isinstance(reason, ast.Expr), node.targets[0].id
            assert isinstance(reason.value, ast.Constant)
            assert len(str(reason.value.value)) > 30


def test_every_limit_is_enforced_somewhere() -> None:
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "limits.py")
    assert [name for name in LIMITS if f"limits.{name}" not in text] == []
    assert all(isinstance(getattr(limits, name), int) for name in LIMITS)
