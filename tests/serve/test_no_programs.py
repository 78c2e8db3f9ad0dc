"""A host on which nothing can be started any more is managed all the same: both processes of the service are forks."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from builders.pki import leaf, root
from builders.served import make
from modseal.serve import routes

NO_PROGRAMS = """
import ctypes, struct
LOAD, IF_EQUAL, RETURN, KILL, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
EXECVE, EXECVEAT = 59, 322
rules = [(LOAD, 0, 0, 0), (IF_EQUAL, 2, 0, EXECVE), (IF_EQUAL, 1, 0, EXECVEAT),
    (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
held = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in rules))
program = struct.pack("=H6xQ", len(rules), ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
"""
"""Whoever starts a program from here on is killed, with all that it has forked (seccomp(2), on x86-64)."""


def test_who_starts_a_program_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", NO_PROGRAMS + "import os; os.execv('/bin/true', ['true'])"])
    assert done.returncode == -signal.SIGSYS


def test_a_host_is_managed_without_starting_a_program(tmp_path: Path) -> None:
    one = make(tmp_path).start(NO_PROGRAMS)
    task = one.ended(one.push(one.host.bundle("acme-agent", "1.0")))
    assert task["TaskState"] == "Completed", task
    refused = one.ended(one.push(one.host.bundle("stranger", "1.0", leaf(issuer=root(7)))))
    assert refused["Messages"][0]["Oem"]["Modseal"]["code"] == "no-path"
    assert one.ended(one.ask("POST", f"{routes.ACTIONS}.Verify", "operator"))["TaskState"] == "Completed"
    assert one.ended(one.ask("POST", f"{routes.ACTIONS}.Rollback", "operator"))["TaskState"] == "Completed"
    assert one.stop() == (0, "")


def test_the_process_that_speaks_to_clients_has_nothing_open_that_its_parent_had_besides(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of another service")
    one = make(tmp_path).start(f"import os\nos.open({str(secret)!r}, os.O_RDONLY)\n")
    assert one.ask("GET", routes.MANAGER).status == 200
    held = [path.readlink() for path in Path(f"/proc/{one.front}/fd").iterdir()]
    assert len(held) > 3
    assert secret not in held
    assert one.stop() == (0, "")
