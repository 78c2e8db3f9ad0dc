"""The guard on a file system of its own: what runs, what does not, and that nothing hangs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path

import pytest

import modseal.host
from builders import guards, hosts
from builders.guards import Guarded, eventually
from builders.hosts import Host
from builders.pki import NOW
from modseal import limits
from modseal.errors import UndecidedError, UsageError
from modseal.host.fanotify import Fanotify
from modseal.host.guard import Guard, GuardLog

_WHY = guards.why_impossible()
pytestmark = pytest.mark.skipif(bool(_WHY), reason=str(_WHY))

TRUE = Path(shutil.which("true") or "/bin/true").read_bytes()
ECHO = Path(shutil.which("echo") or "/bin/echo").read_bytes()
SHELL = Path(os.path.realpath(shutil.which("sh") or "/bin/sh")).read_bytes()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    script = f"#!{tmp_path}/guarded/sh\nexit 0\n".encode()
    files = {"opt/acme-agent/run": TRUE, "opt/acme-agent/sh": SHELL, "opt/acme-agent/script": script}
    found.installed(found.bundle(files=files))
    return found


@pytest.fixture
def guard(host: Host) -> Iterator[Guarded]:
    with guards.guarded(host) as found:
        found.put("run", TRUE)
        found.put("sh", SHELL)
        found.put("script", f"#!{found.mount}/sh\nexit 0\n".encode())
        yield found


def test_a_program_runs_if_its_content_is_installed(guard: Guarded) -> None:
    assert guard.runs(guard.mount / "run")
    assert guard.runs(guard.put("another-name", TRUE))
    assert guard.codes()


@pytest.mark.parametrize("content", [TRUE + b"\0", TRUE[:-1], ECHO, bytes([TRUE[0], *TRUE[1:-1], TRUE[-1] ^ 1])])
def test_other_content_does_not_run(guard: Guarded, content: bytes) -> None:
    assert not guard.runs(guard.put("other", content))
    assert guard.codes("content-not-installed")


def test_a_denial_says_what_who_and_why(guard: Guarded) -> None:
    path = guard.put("other", ECHO)
    assert not guard.runs(path)
    line = guard.said("denied")
    assert (line["path"], line["user"], line["generation"]) == (str(path), 0, 1)
    assert line["program"] == os.path.realpath(shutil.which("sh") or "")


def test_a_file_that_is_written_again_after_it_ran_is_judged_again(guard: Guarded) -> None:
    path = guard.put("other", TRUE)
    assert guard.runs(path)
    guard.put("other", ECHO)
    assert not guard.runs(path)
    guard.run("cp", "--preserve=all", guard.mount / "run", guard.mount / "new").check_returncode()
    guard.run("mv", guard.mount / "new", path).check_returncode()
    assert guard.runs(path)


def test_a_mount_namespace_of_its_own_helps_nobody(guard: Guarded) -> None:
    path = guard.put("other", ECHO)
    done = guard.run("unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0"; exec "$0"/other', guard.mount)
    assert done.returncode == 126, done
    assert not guard.runs(path)


def test_rights_that_no_module_lends_do_not_run(guard: Guarded) -> None:
    assert not guard.runs(guard.put("lending", TRUE, 0o4755))
    assert guard.codes("rights-not-installed")


def test_an_interpreter_runs_installed_scripts_only(guard: Guarded) -> None:
    shell, script = guard.mount / "sh", guard.mount / "script"
    assert guard.runs(script)
    for command in ((shell,), (shell, "-c", "true"), (shell, script)):
        assert not guard.runs(*command)
    other = guard.put("other", f"#!{shell}\nexit 0 \n".encode())
    assert not guard.runs(other)
    assert guard.runs(script)
    assert guard.codes(*["interpreter-direct"] * 3, "content-not-installed")


ABOUT_TO_OPEN = """
import os
step = Guard.{step}
def exchanged(*given):
    step(*given)
    if os.path.exists({evil!r}):
        os.rename({evil!r}, {name!r})
Guard.{step} = exchanged
"""


def exchanging(host: Host, step: str, name: str) -> AbstractContextManager[Guarded]:
    """A guard beside which somebody exchanges a name for another file, right after a step of the guard."""
    mount = host.root.parent / "guarded"
    return guards.guarded(host, before=ABOUT_TO_OPEN.format(step=step, evil=f"{mount}/evil", name=f"{mount}/{name}"))


@pytest.mark.parametrize("called", ["script", "link", "folder/script"])
def test_a_script_that_is_exchanged_before_its_interpreter_opens_it_does_not_run(host: Host, called: str) -> None:
    with exchanging(host, "_await", called) as guard:
        guard.put("sh", SHELL)
        script = guard.put("script", f"#!{guard.mount}/sh\nexit 0\n".encode())
        guard.run("sh", "-c", "mkdir folder; cp -p script folder; ln -s script link", guard.mount)
        assert guard.run(guard.mount / called).returncode == 0
        guard.put("evil", b"echo EVIL\n")
        done = guard.run(guard.mount / called)
        assert b"EVIL" not in done.stdout
        assert done.returncode != 0
        assert guard.codes("content-not-installed")
        guard.put("evil", script.read_bytes() if script.exists() else f"#!{guard.mount}/sh\nexit 0\n".encode())
        assert guard.run(guard.mount / called).returncode == 126  # the evil file is still there, and is judged


PYTHON = Path(sys.executable).resolve()


@pytest.mark.parametrize(("step", "denied"), [("_await", 2), ("_opened", 1)])
def test_python_opens_its_script_twice_and_both_times_the_same(tmp_path: Path, step: str, denied: int) -> None:
    host = hosts.host(tmp_path)
    script = f"#!{tmp_path}/guarded/python -I\nprint('GOOD')\n".encode()
    host.installed(host.bundle(files={"opt/acme-agent/python": PYTHON.read_bytes(), "opt/acme-agent/script": script}))
    with exchanging(host, step, "script") as guard:
        guard.put("python", PYTHON.read_bytes())
        path = guard.put("script", script)
        home = {**os.environ, "PYTHONHOME": sys.base_prefix, "LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"}
        assert guard.run(path, env=home).stdout == b"GOOD\n"
        guard.put("evil", b"print('EVIL')\n")
        done = guard.run(path, env=home)
        assert b"EVIL" not in done.stdout
        assert guard.codes(*["content-not-installed"] * denied)


def test_a_script_reads_what_it_likes_once_it_runs(host: Host, tmp_path: Path) -> None:
    script = f'#!{tmp_path}/guarded/sh\nread line < {tmp_path}/guarded/data; echo "$line"\n'.encode()
    host.installed(host.bundle("reader", files={"opt/reader/script": script}))
    with guards.guarded(host) as guard:
        guard.put("sh", SHELL)
        guard.put("data", b"line\n", 0o644)
        assert guard.run(guard.put("script", script)).stdout == b"line\n"
        assert guard.codes()


def holds_opens(guard: Guarded) -> bool:
    """Whether the kernel asks this guard before any file is opened (FAN_OPEN_PERM)."""
    infos = Path(f"/proc/{guard.process.pid}/fdinfo").iterdir()
    masks = [int(word[5:], 16) for one in infos for word in one.read_text().split() if word.startswith("mask:")]
    return any(mask & 0x10000 for mask in masks)


def test_opens_are_held_while_a_script_is_awaited_and_no_longer(guard: Guarded) -> None:
    assert not holds_opens(guard)
    assert guard.runs(guard.mount / "script")
    assert eventually(lambda: not holds_opens(guard))


def test_a_script_is_awaited_as_long_as_its_interpreter_lives(host: Host, tmp_path: Path) -> None:
    """It can be stopped before it opens the script, for longer than any deadline."""
    slow = f"#!{tmp_path}/guarded/sh\nsleep 3\n".encode()
    host.installed(host.bundle("slow", files={"opt/slow/script": slow}))
    with guards.guarded(host, deadline=0.5, before="Guard._opened = lambda *given: None") as guard:
        guard.put("sh", SHELL)
        script = guard.put("slow", slow)
        process = subprocess.Popen(["nsenter", "--target", guard.namespace, "--mount", str(script)])
        assert eventually(lambda: holds_opens(guard))
        time.sleep(1.5)
        assert holds_opens(guard)
        assert process.wait() == 0
        assert eventually(lambda: not holds_opens(guard))


_MAPPED = """
import mmap, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
view = mmap.mmap(descriptor, 0)
os.close(descriptor)
view[0]  # the page is there, and writable: tmpfs is told of no later write
print("mapped", flush=True)
sys.stdin.readline()
view[-1] ^= 1
view.close() if len(sys.argv) > 2 else None
print("changed", flush=True)
sys.stdin.readline()
"""


def mapping(guard: Guarded, path: Path, *options: str) -> subprocess.Popen[bytes]:
    enter = ["nsenter", "--target", guard.namespace, "--mount", sys.executable, "-c", _MAPPED, str(path), *options]
    found = subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert found.stdout is not None
    assert found.stdout.readline() == b"mapped\n"
    return found


def test_a_file_that_somebody_could_change_by_a_mapping_does_not_run(guard: Guarded) -> None:
    path = guard.put("other", TRUE)
    with mapping(guard, path) as process:
        assert not guard.runs(path)
        process.communicate(b"\n\n")
    assert guard.codes("content-writable")


@pytest.mark.parametrize("change", ["mode", "group", "owner", "acl"])
def test_content_counts_only_in_files_that_nobody_but_root_can_write(guard: Guarded, change: str) -> None:
    """An owner could cut a script off and write to it while its interpreter reads on, or to a library in use."""
    path = guard.put("other", TRUE)
    assert guard.runs(path)
    commands = {
        "mode": ("chmod", "0777", path),
        "group": ("chmod", "0775", path),
        "owner": ("chown", "65534", path),
        "acl": ("setfacl", "-m", "u:65534:rw", path),
    }
    if change == "acl" and shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    if guard.run(*map(str, commands[change])).returncode:
        pytest.skip("this file system keeps no access lists")
    assert not guard.runs(path)
    assert guard.codes("content-writable")


def test_audit_denies_nothing_and_says_what_it_would(host: Host) -> None:
    with guards.guarded(host, audit=True) as guard:
        assert guard.runs(guard.put("other", ECHO))
        assert guard.said("would-deny")["code"] == "content-not-installed"
        assert guard.said("started")["audit"] is True


def test_a_new_generation_holds_at_once(guard: Guarded, host: Host) -> None:
    path = guard.put("other", ECHO)
    assert not guard.runs(path)
    host.installed(host.bundle("other", files={"opt/other/run": ECHO}))
    assert guard.runs(path)
    host.rollback()
    assert not guard.runs(path)
    assert guard.runs(guard.mount / "run")


def test_a_module_that_the_policy_no_longer_accepts_does_not_run(guard: Guarded, host: Host) -> None:
    assert host.set_policy(more='[deny]\nnames = ["acme-agent"]\n') == ("acme-agent",)
    assert not guard.runs(guard.mount / "run")
    assert guard.said("module-refused")["module"] == "acme-agent"


def test_a_store_that_is_damaged_lets_nothing_run(guard: Guarded, host: Host) -> None:
    current = host.root / "var/lib/modseal/current"
    before = os.readlink(current)
    current.unlink()
    assert not guard.runs(guard.mount / "run")
    assert guard.said("not-proved")
    current.symlink_to(before)
    assert eventually(lambda: guard.runs(guard.mount / "run"))


SLOW_TO_FOLLOW = """
import time
follow = Guard._follow_state
def slow(self):
    found = follow(self)
    time.sleep(0.5)
    return found
Guard._follow_state = slow
"""


def test_what_starts_after_a_switch_is_judged_by_what_holds_then(host: Host) -> None:
    host.installed(host.bundle("other", files={"opt/other/run": ECHO}))
    with guards.guarded(host, before=SLOW_TO_FOLLOW) as guard:
        path, other = guard.put("run", TRUE), guard.put("other", ECHO)
        assert guard.runs(other)
        enter = ["nsenter", "--target", guard.namespace, "--mount", str(path)]
        with subprocess.Popen(enter) as earlier:  # the guard is busy with it
            time.sleep(0.2)
            host.rollback(1)
            assert not guard.runs(other)
        assert earlier.returncode == 0


def test_two_thousand_programs_in_a_row(guard: Guarded) -> None:
    other = guard.put("other", ECHO)
    loop = (
        'i=0; while [ $i -lt 1000 ]; do "$0" || echo wrong; "$1" 2>/dev/null && echo wrong; i=$((i+1)); done; echo end'
    )
    assert guard.run("sh", "-c", loop, guard.mount / "run", other).stdout == b"end\n"


def test_many_programs_and_switches_at_once_neither_hang_nor_let_anything_through(guard: Guarded, host: Host) -> None:
    other = guard.put("other", ECHO)
    host.installed(host.bundle("harmless", files={"opt/harmless": b"data"}))
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            host.rollback(1)
            host.rollback(2)

    loop = 'i=0; while [ $i -lt 500 ]; do "$0" || echo "$?"; i=$((i+1)); done'
    switching = threading.Thread(target=switch)
    switching.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            allowed = [pool.submit(guard.run, "sh", "-c", loop, guard.mount / "run") for _ in range(2)]
            denied = [pool.submit(guard.run, "sh", "-c", loop, other) for _ in range(2)]
    finally:
        stop.set()
        switching.join()
    assert [one.result().stdout for one in allowed] == [b""] * 2
    assert [one.result().stdout for one in denied] == [b"126\n" * 500] * 2


SLOW = "import time; read = Guard._read; Guard._read = lambda *given: time.sleep(2) or read(*given)"


@pytest.mark.parametrize("allow_late", [False, True])
def test_what_is_not_judged_within_the_deadline_is_denied_unless_it_is_to_run(host: Host, allow_late: bool) -> None:
    with guards.guarded(host, deadline=0.3, before=SLOW, allow_late=allow_late) as guard:
        assert guard.runs(guard.put("run", TRUE)) is allow_late
        assert guard.codes("guard-late")


def test_a_file_that_cannot_be_read_does_not_run(host: Host) -> None:
    with guards.guarded(host, before="Guard._read = lambda *given: 1 / 0") as guard:
        assert not guard.runs(guard.put("run", TRUE))
        assert guard.codes("content-unreadable")


FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))\n" + SLOW


def test_more_waiting_programs_than_files_can_be_open_do_not_end_the_guard(host: Host) -> None:
    with guards.guarded(host, before=FEW_FILES) as guard:
        path, other = guard.put("run", TRUE), guard.put("other", ECHO)
        guard.run("sh", "-c", 'for each in $(seq 40); do "$0" & done; wait', path)
        assert "Too many open files" in guard.said("denied")["detail"]
        assert eventually(lambda: guard.runs(path))
        assert not guard.runs(other)


BAD_DISK = """
import os
read = os.pread
def pread(*given):
    if os.path.exists({bad!r}):
        raise OSError(5, "bad disk")
    return read(*given)
os.pread = pread
"""


@pytest.mark.parametrize("content", [ECHO, TRUE])  # judged by its size alone, and by another thread that reads it
def test_a_library_whose_start_cannot_be_read_is_denied_at_once(host: Host, tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad"
    with guards.guarded(host, before=BAD_DISK.format(bad=str(bad)), libraries=True) as guard:
        path = guard.put("library.so", content)
        bad.touch()
        assert guard.run("timeout", "5", "cat", path).returncode == 1
        assert guard.codes("content-unreadable")
        assert guard.process.poll() is None


def test_files_in_memory_lie_on_no_file_system_that_can_be_guarded() -> None:
    kernel, memory = Fanotify(), os.memfd_create("memory")
    try:
        with pytest.raises(UndecidedError) as error:
            kernel.mark(f"/proc/self/fd/{memory}", opens=False)
        assert error.value.failure.code == "guard-impossible"
        with pytest.raises(UsageError):
            kernel.mark("/nowhere/at/all", opens=False)
    finally:
        kernel.close()
        os.close(memory)


def test_libraries_are_held_when_they_are_opened(host: Host) -> None:
    with guards.guarded(host, libraries=True) as guard:
        path = guard.put("library.so", b"text")
        assert guard.run("cat", path).stdout == b"text"
        path = guard.put("other.so", ECHO)
        assert guard.run("cat", path).returncode == 1
        assert guard.run("cat", guard.put("own.so", TRUE)).stdout == TRUE
        assert guard.codes("content-not-installed")


def test_a_guard_that_dies_stops_nobody(guard: Guarded) -> None:
    guard.process.send_signal(signal.SIGSTOP)
    waiting = subprocess.Popen(
        ["nsenter", "--target", guard.namespace, "--mount", str(guard.mount / "run")], stderr=subprocess.DEVNULL
    )
    time.sleep(0.3)
    assert waiting.poll() is None  # nobody answers
    guard.process.send_signal(signal.SIGCONT)
    assert waiting.wait(timeout=30) == 0


@pytest.mark.parametrize(("mount", "said"), [("/", "would stop"), ("", "not where a file system is mounted")])
def test_only_a_file_system_without_the_running_system_is_guarded(host: Host, mount: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Guard(host.root, [Path(mount or host.root)], lambda: NOW, StringIO())


class _Stuck(StringIO):
    """What is read by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.released.wait(30)
        return super().write(text)


def test_the_log_does_not_wait_for_its_reader_and_counts_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_LOG_LINES", 3)
    stream = _Stuck()
    log = GuardLog(stream, lambda: NOW)
    for number in range(10):
        log.write("denied", number=number)
    assert log.lost >= 6
    stream.released.set()
    while "3" not in stream.getvalue() and log.lost:
        log.write("after")
    log.close()
    assert '"lost": ' in stream.getvalue()


def test_nothing_runs_from_memory_once_the_kernel_is_told_so(guard: Guarded) -> None:
    code = f"import os; os.write(f := os.memfd_create('x'), {TRUE!r}); os.execve(f, ['x'], {{}})"
    told = 'echo 2 >/proc/sys/vm/memfd_noexec && exec "$0" -c "$1"'
    isolated = ("unshare", "--pid", "--fork", "--mount-proc")
    if not os.path.exists("/proc/sys/vm/memfd_noexec"):
        pytest.skip("this kernel has no vm.memfd_noexec")
    assert guard.run(*isolated, "sh", "-c", told, sys.executable, code).returncode == 1
    assert guard.run(*isolated, sys.executable, "-c", code).returncode == 0  # the sysctl is what stops it, and no guard


def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    unit = Path(modseal.host.__file__).parent / "units/modseal-guard.service"
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    # Its pages of the manual need not be installed here.
    said = [line for line in done.stderr.splitlines() if "modseal-guard" in line and "man modseal" not in line]
    assert said == [], done.stderr
