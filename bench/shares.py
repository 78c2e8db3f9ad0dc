"""Where the time of many small bundles goes, by module: `python bench/shares.py FOLDER_WITH_BUNDLES POLICY KIND`.

Prints JSON: for each module its part of the time (percent), the calls for each bundle, and the first calls of all. The
profiler makes calls of Python functions dearer than they are, so that parts are shares of work, not of time on a clock.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def main() -> None:
    """Verify all bundles of a kind once to fill the caches, and once under the profiler."""
    from modseal.bundle.verify import verify
    from modseal.policy.sources import load

    folder, policy, kind = sys.argv[1:]
    rules, at = load(policy), datetime.now(UTC)
    bundles = sorted(Path(folder).glob(f"*.{kind}"))
    for path in bundles:
        verify(path, rules, at, with_digest=False)
    profile = cProfile.Profile()
    profile.enable()
    for path in bundles:
        verify(path, rules, at, with_digest=False)
    profile.disable()
    print(json.dumps(shares(pstats.Stats(profile), len(bundles))))


def shares(stats: Any, count: int) -> list[dict[str, Any]]:
    """The modules with the largest parts."""
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for (file, _, name), (_, number, own, _, _) in stats.stats.items():
        parts = Path(file).parts
        module = (
            "/".join(parts[parts.index("modseal") + 1 :]) if "modseal" in parts else name if file == "~" else parts[-1]
        )
        seconds[module] += own
        calls[module] += number
    whole = sum(seconds.values())
    first = sorted(seconds, key=lambda module: -seconds[module])[:14]
    return [
        {
            "module": module.strip("<>"),
            "percent": round(100 * seconds[module] / whole, 1),
            "calls": round(calls[module] / count, 1),
        }
        for module in first
    ]


if __name__ == "__main__":
    main()
