"""modseal packs, signs, verifies and audits signed modules.

What stands in `__all__` is the public interface (docs/api.md); everything else may change. Names are imported when they
are used first (PEP 562), so that `import modseal` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from modseal.api import audit, extract, inspect, load_policy, pack, sign, verify
    from modseal.auditing.finding import Finding, Severity
    from modseal.auditing.run import Audit
    from modseal.bundle.inspect import Inspection
    from modseal.bundle.verify import Result
    from modseal.errors import (
        Failure,
        FormatError,
        InputError,
        InternalError,
        KeyMaterialError,
        ModsealError,
        PolicyError,
        RefusedError,
        SpecError,
        UndecidedError,
        UsageError,
    )
    from modseal.format.level import Level
    from modseal.packing.pack import Packed
    from modseal.packing.sign import Signed
    from modseal.trust.examination import Check, Examination, Status, Verdict
    from modseal.trust.policy import Policy

_ROOMS = {
    "modseal.api": ("audit", "extract", "inspect", "load_policy", "pack", "sign", "verify"),
    "modseal.auditing.finding": ("Finding", "Severity"),
    "modseal.auditing.run": ("Audit",),
    "modseal.bundle.inspect": ("Inspection",),
    "modseal.bundle.verify": ("Result",),
    "modseal.errors": (
        "Failure",
        "FormatError",
        "InputError",
        "InternalError",
        "KeyMaterialError",
        "ModsealError",
        "PolicyError",
        "RefusedError",
        "SpecError",
        "UndecidedError",
        "UsageError",
    ),
    "modseal.format.level": ("Level",),
    "modseal.packing.pack": ("Packed",),
    "modseal.packing.sign": ("Signed",),
    "modseal.trust.examination": ("Check", "Examination", "Status", "Verdict"),
    "modseal.trust.policy": ("Policy",),
}
_PLACES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Audit",
    "Check",
    "Examination",
    "Failure",
    "Finding",
    "FormatError",
    "InputError",
    "Inspection",
    "InternalError",
    "KeyMaterialError",
    "Level",
    "ModsealError",
    "Packed",
    "Policy",
    "PolicyError",
    "RefusedError",
    "Result",
    "Severity",
    "Signed",
    "SpecError",
    "Status",
    "UndecidedError",
    "UsageError",
    "Verdict",
    "__version__",
    "audit",
    "extract",
    "inspect",
    "load_policy",
    "pack",
    "sign",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'modseal' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
