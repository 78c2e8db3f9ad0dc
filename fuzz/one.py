"""One fuzz target under atheris; `run.py` starts it. Arguments: the target's name, then those of libFuzzer.

An input fails that makes anything else than the target allows, that takes more than `CPU_SECONDS`, or that needs
more memory than `ADDRESS_SPACE`.
"""

from __future__ import annotations

import os
import pkgutil
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import atheris

FOLDER = Path(__file__).parent
CPU_SECONDS = 1.0
"""For one input of a few KiB, with a reader that counts its branches. Most take under a millisecond."""
ADDRESS_SPACE = 1 << 30
"""Beyond what the process has once everything is loaded. The window of a `vzstd` may take 128 MiB of it."""


def main(arguments: list[str]) -> None:
    """Load the target with its branches counted, and fuzz it."""
    program, name, *options = arguments
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "tools")]
    with atheris.instrument_imports(include=["modseal", "tomli"]):
        _load_all()
        from targets import TARGETS
    target = TARGETS[name]
    if target.dictionary:
        options.append(f"-dict={FOLDER / 'dictionaries' / target.dictionary}")
    _limit_memory()
    mutator = {"custom_mutator": _mutator(target.mutator)} if target.mutator else {}
    atheris.Setup([program, f"-max_len={target.longest}", *options], _timed(target.run), **mutator)
    atheris.Fuzz()


def _load_all() -> None:
    """All of modseal: some modules are otherwise imported where they are used, after the instrumentation."""
    import modseal

    for module in pkgutil.walk_packages(modseal.__path__, "modseal."):
        import_module(module.name)


def _timed(run: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def timed(data: bytes) -> None:
        start = time.process_time()
        run(data)
        if (taken := time.process_time() - start) > CPU_SECONDS:
            raise AssertionError(f"an input of {len(data)} bytes took {taken:.1f} s")

    return timed


def _mutator(kind: str) -> Callable[[bytes, int, int], bytes]:
    from mutators import mutate

    return lambda data, most, seed: mutate(kind, data, most, seed, atheris.Mutate)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(sys.argv)
