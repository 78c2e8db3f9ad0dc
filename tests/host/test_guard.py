"""The guard on a file system of its own: what runs, what does not, and that nothing hangs."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import pytest

import modseal.host
import modseal.host.guard
from builders import guards, hosts
from builders.guards import Guarded, eventually
from builders.hosts import Host
from builders.pki import NOW
from modseal import limits
from modseal.errors import UndecidedError, UsageError
from modseal.host.admission import interpreter
from modseal.host.fanotify import Fanotify
from modseal.host.guard import Guard
from modseal.host.guard_log import GuardLog

_WHY = guards.why_impossible()
pytestmark = pytest.mark.skipif(bool(_WHY), reason=str(_WHY))

TRUE = Path(shutil.which("true") or "/bin/true").read_bytes()
ECHO = Path(shutil.which("echo") or "/bin/echo").read_bytes()
SHELL = Path(os.path.realpath(shutil.which("sh") or "/bin/sh")).read_bytes()


def installed(folder: Path) -> Host:
    found = hosts.host(folder)
    script = f"#!{folder}/guarded/sh\nexit 0\n".encode()
    files = {"run": TRUE, "sh": SHELL, "script": script, "nul": script.replace(b"/sh\n", b"/sh\0x\n")}
    found.installed(found.bundle(files={f"opt/acme-agent/{name}": content for name, content in files.items()}))
    return found


def put_files(guard: Guarded) -> Guarded:
    guard.put("run", TRUE)
    guard.put("sh", SHELL)
    guard.put("script", f"#!{guard.mount}/sh\nexit 0\n".encode())
    return guard


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return installed(tmp_path)


@pytest.fixture
def own_guard(host: Host) -> Iterator[Guarded]:
    """A guard for tests that change its host, its mounts or itself."""
    with guards.guarded(host) as found:
        yield put_files(found)


@pytest.fixture(scope="module")
def one_guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guards.guarded(installed(tmp_path_factory.mktemp("guard"))) as found:
        yield found


@pytest.fixture
def guard(one_guard: Guarded) -> Guarded:
    assert one_guard.process.poll() is None
    return put_files(one_guard.for_another_test())


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


def test_capabilities_that_no_module_can_bring_do_not_run(guard: Guarded) -> None:
    capabilities = struct.pack("<5I", 0x02000001, 1 << 1, 0, 0, 0)  # cap_dac_override, effective: capabilities(7)
    path = guard.put("lending", TRUE)
    assert guard.runs(path)
    code = f"import os; os.setxattr({str(path)!r}, 'security.capability', {capabilities!r})"
    if guard.run(sys.executable, "-I", "-S", "-c", code).returncode:
        pytest.skip("this file system keeps no capabilities")
    assert not guard.runs(path)
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


def test_a_script_whose_interpreters_name_ends_with_a_nul_runs_as_linux_runs_it(guard: Guarded) -> None:
    assert guard.runs(guard.put("nul", f"#!{guard.mount}/sh\0x\nexit 0\n".encode()))
    assert guard.codes()


def test_scripts_that_start_at_the_same_time_all_run(guard: Guarded) -> None:
    """Each answer wakes all threads that wait, and nothing is shown of one that runs."""
    once = 'i=0; while [ $i -lt 60 ]; do "$0" || echo "$?"; i=$((i+1)); done'
    at_once = 'for each in 1 2 3 4 5 6; do sh -c "$0" "$1" & done; wait'
    assert guard.run("sh", "-c", at_once, once, guard.mount / "script").stdout == b""
    assert guard.codes()


CALLED = "import os; os.chdir({folder!r}); os.execv({name!r}, [{name!r}, {code!r}])"


@pytest.mark.parametrize("name", ["-c", "-s", "+c"])
def test_a_script_does_not_run_by_a_name_that_its_interpreter_takes_for_an_option(guard: Guarded, name: str) -> None:
    (guard.run("ln", "-s", guard.mount / "script", guard.mount / name)).check_returncode()
    code = CALLED.format(folder=str(guard.mount), name=name, code="echo EVIL")
    done = guard.run(sys.executable, "-I", "-S", "-c", code, input=b"echo EVIL\n")
    assert b"EVIL" not in done.stdout
    assert guard.codes("interpreter-direct")


def test_an_interpreter_that_was_given_an_option_all_the_same_is_killed(host: Host) -> None:
    """The name that a thread calls its program by can be changed by another one before the guard reads it."""
    with guards.guarded(host, before="Starts.has_unsafe_name = lambda *given: False") as guard:
        put_files(guard)
        guard.run("ln", "-s", guard.mount / "script", guard.mount / "-c").check_returncode()
        code = CALLED.format(folder=str(guard.mount), name="-c", code="while :; do :; done")
        assert guard.run(sys.executable, "-I", "-S", "-c", code).returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert guard.codes("interpreter-direct")
        assert guard.runs(guard.mount / "script")


SLOW_TO_FOLLOW_NAMES = """
import os, time
import modseal.host.starts as starts
def slow(function):
    def waiting(*given):
        while str(given[-1]).endswith("guarded/sh") and not os.path.exists({end!r}):
            time.sleep(0.05)
        return function(*given)
    return waiting
os.stat, starts.open_below = slow(os.stat), slow(starts.open_below)
"""


def test_a_program_does_not_wait_for_a_script_whose_interpreter_cannot_be_reached(host: Host, tmp_path: Path) -> None:
    """The path of an interpreter can lead through a file system whose server answers nobody."""
    end = tmp_path / "end"
    with guards.guarded(host, before=SLOW_TO_FOLLOW_NAMES.format(end=str(end))) as guard:
        put_files(guard)
        enter = ["nsenter", "--target", guard.namespace, "--mount", str(guard.mount / "script")]
        with subprocess.Popen(enter) as process:
            assert eventually(lambda: waits_in(process.pid, "load_script"))
            assert guard.runs(guard.mount / "run")
            assert process.poll() is None
            end.touch()
        assert process.returncode == 0


NOTHING_TO_SEE_OF_A_USER = """
import os, time
from modseal.host import stacks, starts, guard_log, guard_looks
def slow(function, *names):
    def waiting(path, *given, **named):
        folder, name = os.path.split(str(path))
        while name in names and folder.startswith("/proc/") and os.stat(folder).st_uid == 65534:
            if os.path.exists({end!r}):
                break
            time.sleep(0.1)
        return function(path, *given, **named)
    return waiting
stacks.text_of = starts.text_of = slow(stacks.text_of, "stack", "syscall", "stat")
os.open, os.readlink = slow(os.open, "exe", "root"), slow(os.readlink, "exe", "root")
"""


@pytest.mark.parametrize("name", ["run", "script"])
def test_a_thread_of_which_nothing_is_shown_holds_up_nobody_elses_start(host: Host, tmp_path: Path, name: str) -> None:
    """Linux shows nothing while execve closes a file, and the server of a file of FUSE never has to say that it has."""
    end = tmp_path / "end"
    with guards.guarded(host, before=NOTHING_TO_SEE_OF_A_USER.format(end=str(end))) as guard:
        put_files(guard)
        user = ["nsenter", "--target", guard.namespace, "--mount", "setpriv", "--reuid", "65534", "--clear-groups"]
        others = [subprocess.Popen([*user, str(guard.mount / name)], stderr=subprocess.DEVNULL) for _ in range(6)]
        assert not guard.run(*user[4:], guard.put("evil", ECHO)).stdout
        until = time.monotonic() + 2 * limits.GUARD_LEASE_TIME + limits.GUARD_TICK
        while time.monotonic() < until:
            assert guard.runs(guard.mount / "script")
            assert guard.runs(guard.put("other", TRUE))
        end.touch()
        for other in others:
            other.wait()


BROKEN = """
from modseal.host.guard_mounts import GuardedMounts
Starts.expect = GuardedMounts.hold_opens = lambda *given, **named: 1 / 0
"""


def test_what_cannot_be_logged_is_answered_all_the_same(host: Host) -> None:
    before = "from modseal.host.guard import GuardLog; GuardLog.judged = lambda *given, **named: 1 / 0"
    with guards.guarded(host, before=before) as guard:
        assert guard.run("timeout", "30", guard.put("other", ECHO)).returncode == 126
        assert "ZeroDivisionError" in guard.said("guard-error")["detail"]
        assert guard.runs(guard.put("run", TRUE))


NO_MORE_THREADS = """
import threading
begin = Guard.__init__
def begin_and_then(*given, **named):
    begin(*given, **named)
    threading.Thread.start = lambda _: 1 / 0
Guard.__init__ = begin_and_then
"""


def test_a_system_that_has_no_threads_left_does_not_end_the_guard(host: Host) -> None:
    """Whoever may start as many as the system can have takes them all."""
    with guards.guarded(host, before=NO_MORE_THREADS) as guard:
        assert guard.runs(guard.put("run", TRUE))
        assert not guard.runs(guard.put("other", TRUE[::-1]))
        assert guard.codes("content-not-installed")


def test_whatever_goes_wrong_denies_that_program_and_does_not_end_the_guard(host: Host) -> None:
    with guards.guarded(host, before=BROKEN) as guard:
        put_files(guard)
        for _ in range(2):
            assert not guard.runs(guard.mount / "script")
        assert "ZeroDivisionError" in guard.said("guard-error")["detail"]  # of the loop itself
        assert guard.process.poll() is None
        assert guard.codes(*["content-unreadable"] * 2)


ABOUT_TO_OPEN = """
import os
step = {step}
def exchanged(*given):
    step(*given)
    if os.path.exists({evil!r}):
        os.rename({evil!r}, {name!r})
{step} = exchanged
"""


def exchanging(host: Host, step: str, name: str) -> AbstractContextManager[Guarded]:
    """A guard beside which somebody exchanges a name for another file, right after a step of the guard."""
    mount = host.root.parent / "guarded"
    return guards.guarded(host, before=ABOUT_TO_OPEN.format(step=step, evil=f"{mount}/evil", name=f"{mount}/{name}"))


@pytest.mark.parametrize("called", ["script", "link", "folder/script"])
def test_a_script_that_is_exchanged_before_its_interpreter_opens_it_does_not_run(host: Host, called: str) -> None:
    with exchanging(host, "Guard._await", called) as guard:
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


TWICE = """
import os, sys
for program, *arguments in ({first!r}, {second!r}):
    try:
        os.execv(program, [program, *arguments])
    except OSError as error:
        print(os.path.basename(program), error.strerror, flush=True)
"""
"""Two starts by one thread. The second is tried only where the first has failed."""


def test_a_start_that_failed_is_no_leave_to_start_the_interpreter(guard: Guarded) -> None:
    """The arguments are too long, which the kernel finds between the script and its interpreter."""
    script, shell = f"{guard.mount}/script", f"{guard.mount}/sh"
    code = TWICE.format(first=(script, "x" * 200_000), second=(shell, "-c", "echo EVIL"))
    done = guard.run(sys.executable, "-I", "-S", "-", input=code.encode())
    assert done.stdout == b"script Argument list too long\nsh Operation not permitted\n"
    assert guard.codes("interpreter-direct")


def test_a_script_is_not_exchanged_for_one_that_begins_like_a_program_either(host: Host) -> None:
    """A shell says that it does not know the command of the first line, and goes on with the second one."""
    with exchanging(host, "Guard._await", "script") as guard:
        guard.put("sh", SHELL)
        script = guard.put("script", f"#!{guard.mount}/sh\nexit 0\n".encode())
        guard.put("evil", b"\x7fELF\necho EVIL\n")
        assert b"EVIL" not in guard.run(script).stdout
        assert guard.codes("content-not-installed")


def test_a_script_whose_interpreter_is_a_script_is_not_exchanged_either(host: Host, tmp_path: Path) -> None:
    runner = f'#!{tmp_path}/guarded/sh\n. "$1"\n'.encode()
    inner = f"#!{tmp_path}/guarded/runner\necho GOOD\n".encode()
    host.installed(host.bundle("nested", files={"opt/nested/runner": runner, "opt/nested/inner": inner}))
    with exchanging(host, "Guard._await", "inner") as guard:
        guard.put("sh", SHELL)
        guard.put("runner", runner)
        path = guard.put("inner", inner)
        assert guard.run(path).stdout == b"GOOD\n"
        assert eventually(lambda: not holds_opens(guard))
        guard.put("evil", b"echo EVIL\n")
        assert b"EVIL" not in guard.run(path).stdout
        assert guard.codes("content-not-installed")


PYTHON = Path(sys.executable).resolve()


@pytest.mark.parametrize(("step", "denied"), [("Guard._await", 2), ("Starts.opened", 1)])
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


def waits_in(process: int, function: str) -> bool:
    """Whether a process is within a function of the kernel."""
    return f"{function}+" in Path(f"/proc/{process}/stack").read_text()


def holds_opens(guard: Guarded) -> bool:
    """Whether the kernel asks this guard before any file is opened (FAN_OPEN_PERM)."""
    text = ""
    for info in Path(f"/proc/{guard.process.pid}/fdinfo").iterdir():
        with suppress(OSError):  # it is closed by now
            text += info.read_text()
    masks = [int(word[5:], 16) for word in text.split() if word.startswith("mask:")]
    return any(mask & 0x10000 for mask in masks)


def test_opens_are_held_while_a_script_is_awaited_and_no_longer(guard: Guarded) -> None:
    assert not holds_opens(guard)
    assert guard.runs(guard.mount / "script")
    assert eventually(lambda: not holds_opens(guard))


def test_a_script_is_awaited_as_long_as_its_interpreter_lives(host: Host, tmp_path: Path) -> None:
    """It can be stopped before it opens the script, for longer than any deadline."""
    slow = f"#!{tmp_path}/guarded/sh\nread line\n".encode()
    host.installed(host.bundle("slow", files={"opt/slow/script": slow}))
    with guards.guarded(host, deadline=0.5, before="Starts.opened = lambda *given: None") as guard:
        guard.put("sh", SHELL)
        script = guard.put("slow", slow)
        enter = ["nsenter", "--target", guard.namespace, "--mount", str(script)]
        process = subprocess.Popen(enter, stdin=subprocess.PIPE)
        assert eventually(lambda: holds_opens(guard))
        time.sleep(1.5)
        assert holds_opens(guard)
        process.communicate(b"\n")
        assert process.returncode == 0
        assert eventually(lambda: not holds_opens(guard))


SLOW_TO_COUNT = """
import time
any_new = Starts.any_new
def slow(self):
    for _ in self._awaited:
        time.sleep(0.02)
    return any_new(self)
Starts.any_new = slow
"""


def test_scripts_that_start_while_the_guard_counts_others_do_not_end_it(host: Host) -> None:
    with guards.guarded(host, before=SLOW_TO_COUNT) as guard:
        script = put_files(guard).mount / "script"
        done = guard.run("sh", "-c", 'for each in $(seq 8); do "$0" || echo "$?" & done; wait', script)
        assert done.stdout == b""
        assert guard.process.poll() is None


WITHOUT_LOADER = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.unshare(0x20000)  # CLONE_NEWNS
libc.mount(b"none", {folder!r}, b"tmpfs", 0, None)
try:
    os.execv({script!r}, ["script"])
except FileNotFoundError:
    print("no loader", flush=True)
sys.stdin.read()
"""


def test_opens_are_held_no_longer_for_a_start_that_has_failed(guard: Guarded) -> None:
    """Its loader is not there, which the kernel finds after the guard has let the interpreter start."""
    loader = interpreter(SHELL)
    assert loader
    code = WITHOUT_LOADER.format(folder=os.path.dirname(loader).encode(), script=f"{guard.mount}/script")
    enter = ["nsenter", "--target", guard.namespace, "--mount", sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"no loader\n"
        assert eventually(lambda: not holds_opens(guard))
        assert process.poll() is None
        process.communicate()


NOT_ASKED_AFTER = """
import os, resource, sys
child = os.fork()
if not child:
    resource.setrlimit(resource.RLIMIT_AS, (200_000, 200_000))  # too little for any program
    os.execv(sys.argv[1], ["script"])
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print("ended", flush=True)
sys.stdin.readline()
"""


def test_opens_are_held_no_longer_for_a_start_that_has_ended_though_its_parent_does_not_ask(guard: Guarded) -> None:
    enter = ["nsenter", "--target", guard.namespace, "--mount", sys.executable, "-I", "-S", "-c", NOT_ASKED_AFTER]
    command = [*enter, str(guard.mount / "script")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ended\n"
        assert eventually(lambda: not holds_opens(guard))
        assert process.poll() is None
        process.communicate()


MANY_TO_LOOK_AT = """
import time
from modseal.host.guard_looks import Looks
from modseal.host.guard_sight import Sight
Sight.begun = lambda *_: []
Starts.starting, Starts.is_seen = (lambda _: list(range(80))), lambda *_: False
Looks.end_if_unsafe, Looks.failed = (lambda *_: time.sleep(0.7)), lambda *_: None
"""


def test_what_is_denied_does_not_wait_for_the_starts_that_are_to_be_looked_at(host: Host) -> None:
    """They wait for the guard, which says first what it has denied."""
    with guards.guarded(host, before=MANY_TO_LOOK_AT) as guard:
        assert not guard.runs(guard.put("other", ECHO))
        assert guard.said("denied")["program"] == os.path.realpath("/bin/sh")


_MAPPED = """
import mmap, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
view = mmap.mmap(descriptor, 0)
os.close(descriptor)
view[0]  # the page is there, and writable: tmpfs is told of no later write
print("mapped", flush=True)
sys.stdin.readline()
view[-1] ^= 1
print("changed", flush=True)
sys.stdin.readline()
"""


def mapping(guard: Guarded, path: Path) -> subprocess.Popen[bytes]:
    enter = ["nsenter", "--target", guard.namespace, "--mount", sys.executable, "-c", _MAPPED, str(path)]
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


def test_a_file_that_was_changed_by_a_mapping_after_it_ran_does_not_run(guard: Guarded) -> None:
    path = guard.put("other", TRUE)
    assert guard.runs(path)
    with mapping(guard, path) as process:
        process.communicate(b"\n\n")
    assert not guard.runs(path)
    assert guard.codes("content-not-installed")


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


SLOW_TO_KEEP = """
import time
keep = GuardedContents.keep
GuardedContents.keep = lambda *given: time.sleep(1) or keep(*given)
"""


def test_a_file_that_changes_owner_before_the_guard_has_noted_its_start_does_not_run_again(host: Host) -> None:
    with guards.guarded(host, before=SLOW_TO_KEEP) as guard:
        path = guard.put("other", TRUE)
        assert guard.runs(path)
        guard.run("chown", "65534", path).check_returncode()
        assert not guard.runs(path)
        assert guard.codes("content-writable")


def test_audit_denies_nothing_and_says_what_it_would(host: Host) -> None:
    with guards.guarded(host, audit=True) as guard:
        assert guard.runs(guard.put("other", ECHO))
        assert guard.said("would-deny")["code"] == "content-not-installed"
        assert guard.said("started")["audit"] is True


NO_STACKS = """
import modseal.host.guard
from modseal.errors import UndecidedError
def none():
    raise UndecidedError("guard-impossible", "no stacks")
modseal.host.guard.require_stacks = none
"""


def test_where_the_kernel_shows_no_stacks_there_is_a_report_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with guards.guarded(host, audit=True, before=NO_STACKS) as guard:
        guard.put("sh", SHELL)
        assert guard.runs(guard.put("script", f"#!{tmp_path}/guarded/sh\nexit 0\n".encode()))
        assert guard.codes()
    monkeypatch.setattr(
        modseal.host.guard, "require_stacks", Mock(side_effect=UndecidedError("guard-impossible", "no"))
    )
    with pytest.raises(UndecidedError, match="no"):
        Guard(host.root, [tmp_path / "guarded"], lambda: NOW, StringIO())


def test_a_new_generation_holds_at_once(own_guard: Guarded, host: Host) -> None:
    path = own_guard.put("other", ECHO)
    assert not own_guard.runs(path)
    host.installed(host.bundle("other", files={"opt/other/run": ECHO}))
    assert own_guard.runs(path)
    host.rollback()
    assert not own_guard.runs(path)
    assert own_guard.runs(own_guard.mount / "run")


def test_a_module_that_the_policy_no_longer_accepts_does_not_run(own_guard: Guarded, host: Host) -> None:
    assert host.set_policy(more='[deny]\nnames = ["acme-agent"]\n') == ("acme-agent",)
    assert not own_guard.runs(own_guard.mount / "run")
    assert own_guard.said("module-refused")["module"] == "acme-agent"


def test_a_store_that_is_damaged_lets_nothing_run(own_guard: Guarded, host: Host) -> None:
    current = host.root / "var/lib/modseal/current"
    before = os.readlink(current)
    current.unlink()
    assert not own_guard.runs(own_guard.mount / "run")
    assert own_guard.said("not-proved")
    current.symlink_to(before)
    assert eventually(lambda: own_guard.runs(own_guard.mount / "run"))


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


def test_many_programs_and_switches_at_once_neither_hang_nor_let_anything_through(
    own_guard: Guarded, host: Host
) -> None:
    other = own_guard.put("other", ECHO)
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
            allowed = [pool.submit(own_guard.run, "sh", "-c", loop, own_guard.mount / "run") for _ in range(2)]
            denied = [pool.submit(own_guard.run, "sh", "-c", loop, other) for _ in range(2)]
    finally:
        stop.set()
        switching.join()
    assert [one.result().stdout for one in allowed] == [b""] * 2
    assert [one.result().stdout for one in denied] == [b"126\n" * 500] * 2


SLOW = "import time; read = GuardedContents.read; GuardedContents.read = lambda *given: time.sleep(2) or read(*given)"


@pytest.mark.parametrize("allow_late", [False, True])
def test_what_is_not_judged_within_the_deadline_is_denied_unless_it_is_to_run(host: Host, allow_late: bool) -> None:
    with guards.guarded(host, deadline=0.3, before=SLOW, allow_late=allow_late) as guard:
        assert guard.runs(guard.put("run", TRUE)) is allow_late
        assert guard.codes("guard-late")


def test_a_file_that_cannot_be_read_does_not_run(host: Host) -> None:
    with guards.guarded(host, before="GuardedContents.read = lambda *given: 1 / 0") as guard:
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


def test_an_interpreter_is_known_by_what_names_it_and_by_its_content(host: Host, tmp_path: Path) -> None:
    """The module's own shell has an unknown name, and so has the copy of a shell of this system."""
    own = f"#!/opt/m/lsh\n# {tmp_path}\n".encode()
    by_link = f"#!{tmp_path}/link/qsh\n".encode()
    (tmp_path / "link").symlink_to("/opt/m")  # as /bin leads to /usr/bin
    files = {"opt/m/lsh": ECHO, "opt/m/script": own, "opt/m/copy": SHELL, "opt/m/qsh": TRUE, "opt/m/linked": by_link}
    host.installed(host.bundle("m", files=files, modes=dict.fromkeys(files, 0o755)))
    with guards.guarded(host) as guard:
        assert not guard.runs(guard.put("lsh", ECHO), "text")
        assert not guard.runs(guard.put("copy", SHELL), "-c", "exit 0")
        assert not guard.runs(guard.put("qsh", TRUE))
        assert guard.codes(*["interpreter-direct"] * 3)


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """Commands that mount and unmount an overlay over the guarded folder, as `systemd-sysext refresh` does."""
    lower = tmp_path / "lower"
    for name, content in (("run", TRUE), ("other", ECHO)):
        path = lower / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
    (tmp_path / "empty").mkdir()
    mount = f"mount -t overlay -o ro,lowerdir={lower}:{tmp_path}/empty none {tmp_path}/guarded"
    return [mount, f"umount --lazy {tmp_path}/guarded"]


def test_what_is_mounted_over_a_guarded_folder_is_guarded(own_guard: Guarded, layers: list[str]) -> None:
    mount, unmount = layers
    own_guard.run("sh", "-c", mount).check_returncode()
    first = own_guard.said("mount-guarded")
    assert own_guard.runs(own_guard.mount / "run")
    assert not own_guard.runs(own_guard.mount / "other")
    own_guard.run("sh", "-c", f"{unmount} && {mount}").check_returncode()
    device = own_guard.run("mountpoint", "-d", own_guard.mount).stdout.decode().strip()
    assert eventually(lambda: own_guard.lines()[-1].get("device") == device)
    assert not own_guard.runs(own_guard.mount / "other")
    assert first["mount"] == str(own_guard.mount)
    assert own_guard.codes(*["content-not-installed"] * 2)


def test_a_file_system_that_the_folders_name_leads_to_later_is_not_guarded(own_guard: Guarded) -> None:
    """With a script every file system with a guarded program is told to ask before files are opened."""
    above = own_guard.mount.parent
    script = f"""
        cd {above}
        mkdir below && mount -t tmpfs none below && mkdir below/guarded && cp {shutil.which("echo")} below/other
        ln -s {above}-moved/guarded/sh below/guarded/sh
        guarded/run && guarded/run  # the guard looks at what was mounted before it answers the second one
        mv {above} {above}-moved && ln -s {above}-moved/below {above}
        cd {above}-moved
        guarded/script && below/other not guarded
        rm {above} && mv {above}-moved {above}
    """
    done = own_guard.run("sh", "-c", script)
    assert (done.stdout, done.stderr) == (b"not guarded\n", b"")
    assert own_guard.codes()


def test_scripts_are_not_exchanged_on_a_file_system_that_something_is_mounted_over(host: Host, tmp_path: Path) -> None:
    """It can be mounted elsewhere as well, where nobody could tell the kernel any more to ask before each open."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = ABOUT_TO_OPEN.format(step="Guard._await", evil=f"{elsewhere}/evil", name=f"{elsewhere}/script")
    with guards.guarded(host, before=before) as guard:
        guard.put("sh", SHELL)
        guard.put("script", f"#!{guard.mount}/sh\nexit 0\n".encode())
        guard.put("evil-later", b"echo EVIL\n")
        over = f"mount --bind {guard.mount} {elsewhere} && mount -t tmpfs none {guard.mount} && ln -s {elsewhere}/sh sh"
        guard.run("sh", "-c", over.replace("ln -s", f"cd {guard.mount} && ln -s")).check_returncode()
        assert guard.said("mount-guarded")
        guard.run("mv", elsewhere / "evil-later", elsewhere / "evil").check_returncode()
        assert guard.run(elsewhere / "script").stdout == b""
        assert guard.codes("content-not-installed")


def test_a_folder_where_nothing_is_mounted_any_more_is_named_until_something_is(
    own_guard: Guarded, layers: list[str]
) -> None:
    mount, unmount = layers
    own_guard.run("sh", "-c", unmount).check_returncode()
    line = own_guard.said("not-guarded")
    assert (line["mount"], line["code"]) == (str(own_guard.mount), "guard-impossible")
    assert "not where a file system is mounted" in line["detail"]
    enter = ["nsenter", "--target", own_guard.namespace, "--mount", "sh", "-c"]
    subprocess.run([*enter, f"mount --bind /usr {own_guard.mount}"], check=True)
    assert eventually(lambda: "the system itself runs from" in own_guard.lines()[-1]["detail"])
    subprocess.run([*enter, f"umount {own_guard.mount} && {mount}"], check=True)
    assert own_guard.said("mount-guarded")
    assert not own_guard.runs(own_guard.mount / "other")


SLOW_TO_PROVE = """
import os, time
from modseal.host.guard_generation import ActiveGeneration
prove, begin = ActiveGeneration._prove, Guard._begin
def slow(self):
    while not os.path.exists({go!r}):
        time.sleep(0.05)
    return prove(self)
def noted(*given):
    begin(*given)
    open({held!r}, "w").close()
ActiveGeneration._prove, Guard._begin = slow, noted
"""


def test_what_waits_for_a_proof_runs_although_its_mount_is_taken_away(
    host: Host, tmp_path: Path, layers: list[str]
) -> None:
    """`systemd-sysext refresh` takes the mount of the last generation away while the new one is proved."""
    mount, unmount = layers
    host.installed(host.bundle("harmless", files={"opt/harmless": b"data"}))
    go, held = tmp_path / "go", tmp_path / "held"
    go.touch()
    with guards.guarded(host, before=SLOW_TO_PROVE.format(go=str(go), held=str(held))) as guard:
        guard.run("sh", "-c", mount).check_returncode()
        assert guard.said("mount-guarded")
        go.unlink()
        host.rollback(1)
        enter = ["nsenter", "--target", guard.namespace, "--mount", str(guard.mount / "run")]
        with subprocess.Popen(enter) as process:
            assert eventually(held.exists)
            guard.run("sh", "-c", unmount).check_returncode()
            assert process.poll() is None
            go.touch()
        assert process.returncode == 0


def test_mounts_change_under_load(own_guard: Guarded, host: Host, layers: list[str]) -> None:
    """What is installed always runs. Other things run in the moments until the guard is told of the new mount."""
    mount, unmount = layers
    own_guard.put("other", ECHO)
    host.installed(host.bundle("harmless", files={"opt/harmless": b"data"}))
    loop = 'i=0; while [ $i -lt 300 ]; do "$0" || echo "$?"; i=$((i+1)); done'
    with ThreadPoolExecutor(4) as pool:
        allowed = [pool.submit(own_guard.run, "sh", "-c", loop, own_guard.mount / "run") for _ in range(2)]
        other = pool.submit(own_guard.run, "sh", "-c", loop, own_guard.mount / "other")
        for number in (1, 2, 1, 2, 1):
            host.rollback(number)
            own_guard.run("sh", "-c", f"{mount} && sleep 0.1 && {unmount}").check_returncode()
    assert [one.result().stdout for one in allowed] == [b""] * 2
    assert other.result().stdout.count(b"126\n") > 250  # of 300, with ten changes of mounts
    own_guard.run("sh", "-c", mount).check_returncode()
    assert eventually(lambda: not own_guard.runs(own_guard.mount / "other"))


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


def test_programs_wait_for_a_guard_that_is_stopped_and_are_judged_when_it_goes_on(guard: Guarded) -> None:
    guard.process.send_signal(signal.SIGSTOP)
    waiting = subprocess.Popen(
        ["nsenter", "--target", guard.namespace, "--mount", str(guard.mount / "run")], stderr=subprocess.DEVNULL
    )
    time.sleep(0.3)
    assert waiting.poll() is None  # nobody answers
    guard.process.send_signal(signal.SIGCONT)
    assert waiting.wait(timeout=30) == 0


@pytest.mark.parametrize(("mount", "said"), [("/", "would stop"), ("", "not where a file system"), ("/no", "No such")])
def test_only_a_file_system_without_the_running_system_is_guarded(host: Host, mount: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Guard(host.root, [Path(mount or host.root)], lambda: NOW, StringIO())


@pytest.mark.parametrize(
    "command",
    [
        "mount -t overlay -o ro,lowerdir={empty}:/usr none /usr; M=/usr",  # as systemd-sysext merges modules into it
        "mount --bind / {empty}; M={empty}",
        "mount --bind /etc {empty}; M={empty}",  # another part of the file system that is marked as a whole
        "mount -t overlay -o ro,lowerdir={lower}:{empty} none {lib}; M={lib}",
    ],
)
def test_what_the_system_runs_from_is_not_guarded_wherever_it_is_mounted(
    host: Host, tmp_path: Path, command: str
) -> None:
    for name in ("empty", "lower"):
        (tmp_path / name).mkdir()
    lib = os.path.dirname(os.__file__)
    mount = command.format(empty=tmp_path / "empty", lower=lib, lib=lib)
    code = "from modseal.cli.main import main; main()"
    script = f'{mount}; exec {sys.executable} -c "{code}" host guard --root {host.root} --mount $M'
    unshared = ["unshare", "--mount", "--propagation", "private", "timeout", "20", "sh", "-c", script]
    done = subprocess.run(unshared, capture_output=True, text=True)
    assert done.returncode == 2, done
    assert "the system itself runs from this file system, and would stop" in done.stderr


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


def test_the_unit_starts_on_an_older_kernel_and_as_often_as_it_has_to() -> None:
    unit = (Path(modseal.host.__file__).parent / "units/modseal-guard.service").read_text().splitlines()
    assert "StartLimitIntervalSec=0" in unit
    before = [line for line in unit if line.startswith("ExecStartPre=")]
    assert before
    assert all(line.startswith("ExecStartPre=-") for line in before)  # Linux before 6.3 has no vm.memfd_noexec


def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    unit = Path(modseal.host.__file__).parent / "units/modseal-guard.service"
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    # Its pages of the manual need not be installed here.
    said = [line for line in done.stderr.splitlines() if "modseal-guard" in line and "man modseal" not in line]
    assert said == [], done.stderr
