"""What a program's start costs more under the guard and under fapolicyd, side by side: `make exec-cost` (root).

Both judge by content: the guard of `modseal host guard`, and Debian's fapolicyd with the trust file that is exported
for it (integrity = sha256). The same programs lie on one tmpfs in a mount namespace of its own. Each round starts a
program many times without a daemon, then with each daemon in turn, all in one process; what is added is the difference
to the same round without. The figures go to docs/exec-cost.json, and docs/generate.py makes a table of them.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from builders import fapolicyd, guards, hosts
from builders.pki import NOW
from modseal.packing.host_export import write

TABLE = Path(__file__).resolve().parents[1] / "docs/exec-cost.json"
ROUNDS, STARTS, WARM = 15, 150, 20
TINY = 'void _start(void) { __asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall"); }'


def main() -> int:
    why = fapolicyd.why_impossible() or (None if shutil.which("gcc") else "gcc is not installed")
    if why:
        print(f"exec-cost: {why}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="modseal-exec-cost-") as name:
        folder = Path(name)
        programs = {"opt/m/tiny": tiny(folder), "opt/m/true": Path("/bin/true").read_bytes()}
        host = hosts.host(folder)
        host.installed(host.bundle("m", files=programs, modes=dict.fromkeys(programs, 0o755)))
        write(host.root, "fapolicyd", folder / "out", NOW)
        with fapolicyd.system(folder) as system:
            _, root, _ = system
            (root / "opt/m").mkdir(parents=True)
            for path, data in programs.items():
                (root / path).write_bytes(data)
                (root / path).chmod(0o755)
            daemons: dict[str, Callable[[], AbstractContextManager[object]]] = {
                "none": nullcontext,
                "guard": lambda: guarded(host.root, system),
                "fapolicyd": lambda: fapolicyd.running(folder, system, folder / "out/modseal.trust"),
            }
            found = {path: measure(root / path, daemons) for path in programs}
    rows = [row(Path(path).name, times) for path, times in found.items()]
    load = f"{os.getloadavg()[0]:.0f}"
    about = {
        "machine": f"{os.cpu_count()} cores, load {load}, Linux {platform.release()}",
        "date": time.strftime("%Y-%m-%d"),
    }
    TABLE.write_text(json.dumps(about | {"rounds": ROUNDS, "starts": STARTS, "rows": rows}, indent=1) + "\n", "utf-8")
    for one in rows:
        print(one)
    return 0


def tiny(folder: Path) -> bytes:
    """A static program that does nothing."""
    command = ["gcc", "-O2", "-static", "-s", "-nostartfiles", "-x", "c", "-", "-o", str(folder / "tiny")]
    subprocess.run(command, input=TINY.encode(), check=True)
    return (folder / "tiny").read_bytes()


@contextmanager
def guarded(root: Path, system: tuple[Path, Path, str]) -> Iterator[None]:
    """The guard of a user's own command, for the file system that fapolicyd has in its turn."""
    mount, _, namespace = system
    with (root.parent / "guard.log").open("wb") as log:
        code = guards.serve_code(root, mount)
        enter = ["nsenter", "--target", namespace, "--mount", sys.executable, "-c", code]
        with subprocess.Popen(enter, stdout=log) as process:
            assert guards.eventually(lambda: b'"started"' in Path(log.name).read_bytes())
            try:
                yield
            finally:
                process.terminate()


def measure(program: Path, daemons: dict[str, Callable[[], AbstractContextManager[object]]]) -> dict[str, list[float]]:
    """Microseconds of a start, by daemon and round: what the fastest tenth stays below, as others use the machine."""
    found: dict[str, list[float]] = {name: [] for name in daemons}
    for _ in range(ROUNDS):
        for name, start in daemons.items():
            with start():
                for _ in range(WARM):
                    started(program)
                found[name].append(statistics.quantiles((started(program) for _ in range(STARTS)), n=10)[0])
    return found


def started(program: Path) -> float:
    before = time.perf_counter_ns()
    _, status = os.waitpid(os.posix_spawn(program, [program], {}), 0)
    assert status == 0, f"{program} did not run: {status}"
    return (time.perf_counter_ns() - before) / 1000


def row(program: str, times: dict[str, list[float]]) -> dict[str, object]:
    """The median of a start alone, and of what each daemon adds to it in the same round, with the spread."""
    added = {name: [there - alone for there, alone in zip(times[name], times["none"], strict=True)]
             for name in times if name != "none"}  # fmt: skip
    return {"program": program, "alone": round(statistics.median(times["none"]))} | {
        name: [round(statistics.median(values)), round(min(values)), round(max(values))]
        for name, values in added.items()
    }


if __name__ == "__main__":
    sys.exit(main())
