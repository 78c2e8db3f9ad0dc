"""What the page for people shows of installed modules: all that counts for trust, for each of them."""

from __future__ import annotations

from typing import Any

from modseal.bundle.values import check_values
from modseal.host import values
from modseal.host.look import ShownModule, ShownModules, ShownOne
from modseal.trust.examination import Verdict

INVENTORY, PROOF = "modseal/host-inventory@1", "modseal/host-proof@1"
RECALLED, NOT_RECALLED, UNKNOWN = "recalled", "not recalled", "unknown"
"""`UNKNOWN`: the module is not proved to be the one that it says it is, or a list of recalls does not count."""


def inventory(found: ShownModules) -> dict[str, Any]:
    """The modules, each with its verdict, its signers and what speaks against it. `recalls` are the lists kept."""
    listed = values.list_values(found)
    return {
        **listed,
        "schema": INVENTORY,
        "recalls": len(found.state.recalls),
        "modules": [_module(one, listed["findings"], judged=found.judged) for one in found.modules or ()],
    }


def proof(found: ShownOne) -> dict[str, Any]:
    """One module, with each check of its verification; none where it is damaged."""
    checks = found.module.module.examination.checks if found.module.module and found.judged else ()
    return {
        **values.get_values(found),
        "schema": PROOF,
        "recall": _recall(found.module, judged=found.judged),
        "checks": [check_values(check) for check in checks],
    }


def _module(one: ShownModule, findings: list[dict[str, Any]], *, judged: bool) -> dict[str, Any]:
    examination = one.module.examination if one.module and judged else None
    primary = examination.primary if examination else None
    own = [finding for finding in findings if finding["module"] == one.recorded.name]
    return {
        **values.shown_values(one, judged=judged),
        "signers": values.signer_values(one.module) if one.module else [],
        "recall": _recall(one, judged=judged),
        "problem": check_values(primary) if primary else own[0] if own else None,
    }


def _recall(one: ShownModule, *, judged: bool) -> str:
    """Whether a recall withdraws a module, as far as that is proved."""
    if one.module is None or not judged:
        return UNKNOWN
    if any(check.code == "recalled" for check in one.module.examination.checks):
        return RECALLED
    return NOT_RECALLED if one.module.examination.verdict is Verdict.ACCEPTED else UNKNOWN
