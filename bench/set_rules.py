"""What the rules that see more than one bundle cost for many bundles: `python bench/set_rules.py [BUNDLES]`.

Made-up records go through each rule; no file is read. Memory is the growth of the process's resident set.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
import time

from modseal.auditing import rules
from modseal.auditing.rule import Row
from modseal.format.manifest import Entry, FileType
from modseal.format.together import footprint
from modseal.trust.examination import Verdict

SHAPES = {
    "ordinary: 20 files in 4 directories, one of them its own": (20, 1),
    "every module has 5 directories of its own": (20, 5),
    "every module has 20 directories of its own": (20, 20),
}


def row(number: int, files: int, own: int) -> Row:
    """A bundle with so many files, in as many directories that no other has."""
    name = f"module-{number:06}"
    shared = ("usr/lib/vmware/vmkmod", "etc/vmware/driver.map.d", "usr/share/hwdata/driver.pciids.d")
    places = (*(f"opt/{name}/{place}" for place in range(own)), *(shared if own == 1 else ()))
    entries = [Entry(f"{places[at % len(places)]}/{name}-{at}.bin", type=FileType.FILE) for at in range(files)]
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Row(
        bundle=f"/srv/depot/vib20/{name}/Vendor_bootbank_{name}_1.2.3-1OEM.800.1.0.20613240.vib",
        sha256=digest,
        size=1_000_000,
        verdict=Verdict.ACCEPTED,
        id=f"Vendor_bootbank_{name}_1.2.3",
        vendor="Vendor",
        name=name,
        version="1.2.3",
        proved=True,
        manifest_sha256=hashlib.sha256(digest.encode()).hexdigest(),
        keys=("RSA-2048",),
        footprint=footprint(entries),
    )


def measure(id_: str, shape: str, count: int) -> str:
    """A line of the table: the rule, MiB, seconds, and what it found."""
    start = rules.BY_ID[id_].start
    assert start, id_
    files, own = SHAPES[shape]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state = start()
    for number in range(count):
        state.see(row(number, files, own))
    hits = list(state.hits())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    undecided = " (undecided: too many directories)" if any(hit.undecided for hit in hits) else ""
    return f"| `{id_}` | {shape} | {count:,} | {grown:.0f} | {time.monotonic() - began:.0f} | {len(hits)}{undecided} |"


def main(count: str = "100000") -> None:
    """Each rule in a process of its own, with the ordinary shape; the rule of paths with every shape."""
    print("| rule | bundles | number | MiB | s, making the records included | found |\n|---|---|---|---|---|---|")
    for rule in rules.SET_RULES:
        for number in range(len(SHAPES) if rule.id == "path-of-another-kind" else 1):
            subprocess.run([sys.executable, __file__, "--one", rule.id, str(number), count], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(measure(sys.argv[2], list(SHAPES)[int(sys.argv[3])], int(sys.argv[4])))
    else:
        main(*sys.argv[1:])
