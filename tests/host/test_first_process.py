"""The first process, as far as it can be tried without being it; tests/vm has it start a guest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modseal.host import ways_round
from modseal.host.first_process import PARAMETERS, require_parameters
from modseal.host.ways_round import put, without


@pytest.mark.parametrize(
    "line",
    [
        "",
        "quiet",
        "proc_mem.force_override=ptrace",
        "xproc_mem.force_override=never",
        "proc_mem.force_override=never proc_mem.force_override=always",
        "proc_mem.force_override=never proc_mem.force_override",
    ],
)
def test_a_command_line_without_what_is_needed_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"no proc_mem\.force_override=never"):
        require_parameters(line)


@pytest.mark.parametrize("line", ["proc_mem.force_override=never\n", "a=b proc_mem.force_override=always {} c"])
def test_the_last_one_holds(line: str) -> None:
    require_parameters(line.format(*PARAMETERS))


def test_mac_admin_is_taken_from_what_helpers_may_have() -> None:
    assert without("4294967295 511", 33) == "4294967295 509"
    assert without("4294967295 509\n", 33) == "4294967295 509"
    assert without("0 0", 33) == "0 0"


@given(some.integers(0, 2**32 - 1), some.integers(0, 2**32 - 1), some.integers(0, 63))
def test_no_other_capability_is_touched(low: int, high: int, capability: int) -> None:
    kept = [int(word) for word in without(f"{low} {high}", capability).split()]
    assert (kept[0] | kept[1] << 32) == (low | high << 32) & ~(1 << capability)


def test_a_setting_that_the_kernel_does_not_keep_is_not_taken_for_set(tmp_path: Path) -> None:
    place = tmp_path / "setting"
    place.write_text("0\n")
    put(place, "1")
    assert place.read_text().strip() == "1"
    with pytest.raises(ValueError, match="does not keep 1"):
        put(Path("/dev/null"), "1")


CLOSE = """
import ctypes, mmap, pathlib, sys
from modseal.host import ways_round
ways_round._SYSTEM = pathlib.Path(sys.argv[1])
print(ways_round.close({"kernel/none": "1", "kernel/more": "2"}, (33, 16)))
print(ctypes.CDLL(None).prctl(23, 33, 0, 0, 0))
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("no new code")
"""


def test_all_ways_are_closed_at_once(tmp_path: Path) -> None:
    """In a process of its own; the settings of the kernel are files here."""
    if os.geteuid():
        pytest.skip("it takes root")
    values = dict.fromkeys((*ways_round.SETTINGS, "kernel/more"), "0")
    values |= {f"kernel/usermodehelper/{name}": "4294967295 511" for name in ("bset", "inheritable")}
    for name, value in values.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(value)
    done = subprocess.run([sys.executable, "-c", CLOSE, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['kernel/none']", "0", "no new code"]
    assert {name: (tmp_path / name).read_text() for name in ways_round.SETTINGS} == ways_round.SETTINGS
    assert (tmp_path / "kernel/more").read_text() == "2"
    assert (tmp_path / "kernel/usermodehelper/bset").read_text() == "4294901759 509"


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not here")
def test_a_system_that_cannot_be_closed_does_not_start() -> None:
    if os.geteuid() or PARAMETERS[0] in Path("/proc/cmdline").read_text():
        pytest.skip("it takes root, on a machine that is not made for it")
    before = {
        name: Path("/proc/sys", name).read_text() for name in ways_round.SETTINGS if Path("/proc/sys", name).exists()
    }
    code = "from modseal.host.first_process import main; main()"
    done = subprocess.run(["unshare", "--mount", sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("modseal-init: the system does not start: ")
    assert {name: Path("/proc/sys", name).read_text() for name in before} == before


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = """
import sys
before = set(sys.modules)
import modseal.host.first_process
own = {name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names}
print(*sorted(own))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["modseal", "modseal.host", "modseal.host.first_process", "modseal.host.ways_round"]
