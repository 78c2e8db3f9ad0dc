"""The level rule: what a claim, a grant and a minimum give.

`proven` is the claim once the grant covers it, else nothing: a signer who may grant more does not
raise a module above what its manifest claims, and a claim does not raise itself.
"""

from __future__ import annotations

from modseal.errors import Failure
from modseal.format.level import Level
from modseal.values import dataclass


def prove(claimed: Level, granted: Level) -> Level | None:
    """The proven level of a claim under a grant."""
    return claimed if claimed <= granted else None


@dataclass(frozen=True, slots=True)
class LevelClaim:
    """What signed bytes claim: a level, and the modules that they speak of, each by its vendor and name.

    A manifest speaks of one module. `says` is how messages begin.
    """

    level: Level
    modules: tuple[tuple[str, str], ...]
    says: str = "the manifest claims"


def level_failure(claimed: Level, granted: Level, minimum: Level, says: str = "the manifest claims") -> Failure | None:
    """Why a claim under a grant does not reach a minimum, or None where it does. `says` is as in `LevelClaim`."""
    proven = prove(claimed, granted)
    if proven is not None and proven >= minimum:
        return None
    evidence = {"claimed": str(claimed), "granted": str(granted), "minimum": str(minimum)}
    if proven is None:
        return Failure("level-not-granted", f"{says} {claimed}, the signer's anchor grants {granted}", evidence)
    return Failure("level-below-minimum", f"the proven level {proven} is below the minimum {minimum}", evidence)
