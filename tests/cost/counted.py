"""Counts what a `verify` costs, in a process of its own: `cold BUNDLE POLICY`, or `warm POLICY BUNDLE...`.

`cold` prints the modules that are loaded when a whole command is done, `warm` how often each function of modseal is
called for the last bundle, when those before it have filled the caches. Times would be noise; these are the same on
every machine.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from types import FrameType


def cold(bundle: str, policy: str) -> list[str]:
    from modseal.cli.main import run

    assert run(["verify", bundle, "--policy", policy, "--quiet"]) == 0
    return sorted(sys.modules)


def warm(policy: str, *bundles: str) -> dict[str, int]:
    from datetime import UTC, datetime

    import modseal
    from modseal.bundle.verify import verify
    from modseal.policy.sources import load

    rules, at = load(policy), datetime.now(UTC)
    root = str(Path(modseal.__file__).parent)
    *before, last = map(Path, bundles)
    for path in before * 5:  # more often than `modseal.values` waits with what it writes for a class
        assert verify(path, rules, at, with_digest=False).verdict == "accepted"
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        # Since Python 3.12 a comprehension is no call, so none of them counts.
        if event == "call" and code.co_filename.startswith(root) and not code.co_name.endswith("comp>"):
            calls[f"{frame.f_globals['__name__']}.{code.co_qualname}"] += 1

    sys.setprofile(count)
    result = verify(last, rules, at, with_digest=False)
    sys.setprofile(None)
    assert result.verdict == "accepted"
    return dict(sorted(calls.items()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"cold": cold, "warm": warm}[sys.argv[1]](*sys.argv[2:])))
