"""What a `verify` costs is counted and kept in record.json: what a change adds to it is seen, and named.

Where more is needed, `MODSEAL_COST=write pytest tests/cost` writes the record again, and the change shows what it
costs. The record is of modseal's own modules and functions; of others, it has what click and cryptography.x509
do not load themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builders import policies
from builders.bundles import KINDS, make
from builders.transcript import SOURCE
from modseal.format.cms import split_blocks
from modseal.format.manifest import Kind

HERE = Path(__file__).parent
RECORD = HERE / "record.json"


def run(*arguments: str) -> Any:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, *arguments], env={**environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def record(name: str, value: Any) -> Any:
    """What the record says of this; it is written first where that is asked for."""
    known = json.loads(RECORD.read_text("utf-8"))
    if os.environ.get("MODSEAL_COST") == "write":
        known[name] = value
        RECORD.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")
    return known[name]


def added(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """What is called more often than before, as lines that name it."""
    more = {name: count - before.get(name, 0) for name, count in now.items()}
    return [f"{count:+} {name}" for name, count in sorted(more.items(), key=lambda one: -one[1]) if count > 0]


@pytest.fixture(scope="module")
def floor() -> set[str]:
    """What the two libraries load, without which there is no command line and no certificate."""
    return set(run("-c", "import click, cryptography.x509, json, sys; print(json.dumps(sorted(sys.modules)))"))


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return policies.write(tmp_path)


def bundles(folder: Path, kind: Kind) -> Sequence[Path]:
    """Four modules of one signer: none of them has been seen before, and their certificate has.

    Their signatures have one length, of which ECDSA has several: the first block of each length is read as a whole.
    """
    paths = [folder / f"{number}.{kind}" for number in range(4)]
    length = 0
    for number, path in enumerate(paths):
        while True:
            one = make(kind, payload_type={"seal": "tar+zstd", "vib": "vgz"}[kind], version=f"1.0-{number}")
            (block,) = split_blocks(one.members[1].data, kind)
            length = length or len(block)
            if len(block) == length:
                break
        path.write_bytes(one.data)
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_a_cold_verify_loads_no_module_that_it_did_not_load_before(
    tmp_path: Path, policy: Path, floor: set[str], kind: Kind
) -> None:
    modules = run(str(HERE / "counted.py"), "cold", str(bundles(tmp_path, kind)[0]), str(policy))
    # What is compiled has other names in other builds, and comes with what uses it.
    loaded = {name for name in modules if not name.startswith("_") and not name.endswith("__mypyc")} - floor
    known = set(record(f"cold {kind}", sorted(loaded)))
    assert sorted(loaded - known) == [], "a cold verify loads these now: import them where they are used"


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_verify_calls_no_function_more_often_than_before(tmp_path: Path, policy: Path, kind: Kind) -> None:
    paths = bundles(tmp_path, kind)
    calls = run(str(HERE / "counted.py"), "warm", str(policy), *map(str, paths))
    before = record(f"warm {kind}", calls)
    more = sum(calls.values()) - sum(before.values())
    assert more <= 0, f"{more} calls more for each .{kind}:\n" + "\n".join(added(before, calls))
    assert sum(calls.values()) > 100, "nothing was counted"


def test_a_regression_names_what_it_added() -> None:
    assert added({"a": 3, "b": 2}, {"a": 4, "b": 1, "c": 5}) == ["+5 c", "+1 a"]
