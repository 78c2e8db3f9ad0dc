"""A real Dask cluster on loopback: a scheduler and workers, each a process of its own, to be killed at will.

Also what its workers load from here: targets that end the worker that opens them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from builders.transcript import SOURCE
from modseal.auditing.target import Opened
from modseal.files.identity import Identity

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",  # deaths that one batch may be near; 3 by itself
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
}
_RUN = "import sys; from distributed.cli.dask_{0} import main; sys.exit(main())"


@dataclass
class DaskCluster:
    """A scheduler that runs, and its workers in the order in which they were added."""

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start the scheduler."""
        address = self.folder / "scheduler.json"
        self._process("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-show", "--no-dashboard",
                      "--scheduler-file", str(address))  # fmt: skip
        self._wait(lambda: address.exists() and '"address"' in address.read_text())
        self.address = f"tcp://{address.read_text().split('tcp://')[1].partition(chr(34))[0]}"

    def add_worker(self, before: str = "", **environment: str) -> None:
        """Start a worker without anybody who would start it again; `before` is Python that it runs first."""
        log = self.folder / f"log-{len(self.processes)}"
        worker = self._process("worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
                               "--no-dashboard", "--local-directory", str(self.folder), "--death-timeout", "60",
                               before=before, **environment)  # fmt: skip
        self.workers.append(worker)
        self._wait(lambda: "Registered to" in log.read_text("utf-8", "replace"))

    def remove_worker(self) -> None:
        """Kill the worker that was added last."""
        worker = self.workers.pop()
        worker.kill()
        worker.wait()

    def alive(self) -> int:
        """How many workers run."""
        return sum(worker.poll() is None for worker in self.workers)

    def stop(self) -> None:
        """Kill all that runs."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _process(self, what: str, *arguments: str, before: str = "", **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"log-{len(self.processes)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", before + _RUN.format(what), *arguments],
                env={**ENVIRONMENT, **environment},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.processes.append(process)
        return process

    def _wait(self, there: Any) -> None:
        for _ in range(1200):
            if there():
                return
            assert self.processes[-1].poll() is None, (self.folder / f"log-{len(self.processes) - 1}").read_text()
            time.sleep(0.05)
        raise AssertionError("the cluster does not start")


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[DaskCluster]:
    """A cluster, until the block ends."""
    made = DaskCluster(folder)
    try:
        made.start()
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        made.stop()


@dataclass(frozen=True)
class Deadly:
    """A bundle that nobody survives who opens it."""

    name: str
    size: int = 0
    salt: str = ""

    def open(self) -> AbstractContextManager[Opened]:
        _die()

    def identity(self) -> Identity | None:
        return None


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def state(dask_scheduler: Any) -> tuple[int, list[str]]:
    """Of a scheduler, run there: how many tasks it has, and which plugins of modseal."""
    return len(dask_scheduler.tasks), [name for name in dask_scheduler.worker_plugins if name.startswith("modseal")]
