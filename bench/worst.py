"""The worst input of every kind at its size limit, and what reading it costs: `make worst`.

Each input is written to a file and read by the command that reads it, in a process of its own. What is measured is the
processor time of that process (user and system, in all threads), best of three: it says what the input costs, whatever
else the machine does. The figures go to docs/worst.json, from which docs/generate.py makes the table of docs/limits.md.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import worst_files
import worst_manifests
import worst_signatures

from builders import policies, tsa
from builders.bundles import make

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "worst.json"
ROUNDS = 3
_RUN = "import sys; from modseal.cli.main import main; main()"


class Row(NamedTuple):
    """One input: what holds it, what it is, its bytes, and the command that reads it."""

    where: str
    what: str
    size: int
    command: Sequence[str]


def main() -> None:
    """Measure all inputs, or those whose description has one of the words given; write the table only for all."""
    words = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="modseal-worst-") as name:
        rows = [
            measured(row, name) for row in every(Path(name)) if not words or any(word in row.what for word in words)
        ]
    if not words:
        TABLE.write_text(json.dumps({**_about(), "rows": rows}, indent=1) + "\n", "utf-8")


def measured(row: Row, folder: str) -> dict[str, Any]:
    """The row with its seconds: the best of several runs."""
    runs = [_seconds(row.command, folder) for _ in range(ROUNDS)]
    seconds, status = min(runs)
    print(f"{seconds:6.2f} s  {row.size:>11,}  {status}  {row.where}: {row.what}", flush=True)
    return {"where": row.where, "what": row.what, "bytes": row.size, "seconds": round(seconds, 2), "exit": status}


def _seconds(command: Sequence[str], folder: str) -> tuple[float, int]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tools"), "XDG_CACHE_HOME": folder}
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, *command], cwd=folder, env=environ, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, process.returncode


def every(folder: Path) -> Iterator[Row]:
    """All inputs, each written when its turn comes and removed after it."""
    policies.write(folder, more='\n[time]\nanchors = ["tsa.pem"]\n')
    (folder / "tsa.pem").write_bytes(tsa.tsa_root().pem)
    good = make()
    yield from _bundles(folder, "an ordinary bundle", [("for comparison", good.data)])
    signed = ((one.what, good.with_signature(one.member).data) for one in worst_signatures.every(good.manifest_bytes))
    yield from _bundles(folder, "sig.pkcs7", signed)
    yield from _bundles(folder, "manifest.json", worst_manifests.json_manifests())
    yield from _bundles(folder, "descriptor.xml", worst_manifests.descriptors())
    yield from _bundles(folder, "archive", worst_manifests.archives())
    for where, what, size, command in worst_files.every(folder):
        yield Row(where, what, size, command)


def _bundles(folder: Path, where: str, bundles: Iterable[tuple[str, bytes]]) -> Iterator[Row]:
    path = folder / "worst.seal"
    for what, data in bundles:
        path.write_bytes(data)
        yield Row(where, what, len(data), ("verify", path.name, "--policy", "policy.toml"))


def _about() -> dict[str, str]:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]  # fmt: skip
    return {
        "machine": f"{models[0] if models else platform.machine()}, Python {platform.python_version()}",
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "commit": git("rev-parse", "--short=12", "HEAD"),
    }


if __name__ == "__main__":
    main()
