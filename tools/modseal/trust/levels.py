"""The level rule: what a claim, a grant and a minimum give.

`proven` is the claim once the grant covers it, else nothing: a signer who may grant more does not
raise a module above what its manifest claims, and a claim does not raise itself.
"""

from __future__ import annotations

from modseal.errors import Failure
from modseal.format.level import Level


def prove(claimed: Level, granted: Level) -> Level | None:
    """The proven level of a claim under a grant."""
    return claimed if claimed <= granted else None


def level_failure(claimed: Level, granted: Level, minimum: Level) -> Failure | None:
    """Why a claim under a grant does not reach a minimum, or None where it does."""
    proven = prove(claimed, granted)
    evidence = {"claimed": str(claimed), "granted": str(granted), "minimum": str(minimum)}
    if proven is None:
        return Failure(
            "level-not-granted", f"the manifest claims {claimed}, the signer's anchor grants {granted}", evidence
        )
    if proven < minimum:
        return Failure("level-below-minimum", f"the proven level {proven} is below the minimum {minimum}", evidence)
    return None
