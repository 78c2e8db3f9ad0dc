"""The unit of the service under a real systemd, in a container with this machine's network: `make host-system`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from builders import served
from builders.debian import NEEDED, boot_command
from builders.debian import debian as debian_root
from builders.hosts import Host
from builders.policies import write
from builders.served import Served
from builders.transcript import run
from modseal.serve import routes

pytestmark = NEEDED
UNIT = "modseal-serve.service"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A host whose systemd has started the service, with the unit as it is in the package."""
    root, folder = debian_root(tmp_path_factory), tmp_path_factory.mktemp("served")
    prepared = served.make(folder)
    assert run("host", "init", "--root", root, "--policy", write(folder), cwd=folder).code == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        prepared.port = free.getsockname()[1]
    config = root / "etc/modseal"
    config.mkdir(exist_ok=True)
    for name in ("ca.pem", "server.pem", "server.key"):
        shutil.copy(folder / name, config)
    (config / "serve.toml").write_text(
        f'schema = "modseal/serve@1"\nport = {prepared.port}\ncertificate = "server.pem"\nkey = "server.key"\n'
        '[[client]]\nca = "ca.pem"\ngrants = "admin"\n'
    )
    unit = resources.files("modseal.host").joinpath("units", UNIT).read_text("utf-8")
    (root / "etc/systemd/system" / UNIT).write_text(unit)
    for other in ("probe.service", "modseal-host-verify.service"):
        (root / "etc/systemd/system" / other).unlink(missing_ok=True)
    subprocess.run(["systemctl", "--quiet", f"--root={root}", "enable", UNIT], check=True)
    machine = subprocess.Popen(
        boot_command(root), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and machine.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", prepared.port), timeout=5).close()
                break
            time.sleep(0.2)
        else:
            machine.kill()
            raise AssertionError(f"nothing answers: {_journal(root)} {(machine.communicate()[0] or b'')[-3000:]!r}")
        prepared.host, prepared.process = Host(root), machine
        yield prepared
        _inside(prepared, "systemctl", "--no-block", "poweroff")
        machine.communicate(timeout=120)
    finally:
        if machine.poll() is None:
            machine.kill()
            machine.communicate()


def _journal(root: Path) -> str:
    command = ["journalctl", "-q", "-D", str(root / "var/log/journal"), "-u", UNIT, "-o", "cat"]
    return subprocess.run(command, capture_output=True, text=True).stdout[-3000:]


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(one) for one in found]


def _inside(one: Served, *command: str) -> str:
    """What a command of the container says."""
    assert one.process
    [leader] = _children(one.process.pid)
    done = subprocess.run(
        ["nsenter", "-t", str(leader), "-m", "-p", "-u", "-i", *command], capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


def _processes(one: Served) -> tuple[dict[str, str], dict[str, str]]:
    """The status of both processes as the kernel has it: the one with the rights, and its child."""
    inner = re.search(r"MainPID=(\d+)", _inside(one, "systemctl", "show", UNIT, "-p", "MainPID"))
    assert inner
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            status = dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)
            if status.get("NSpid", "").split()[1:] == [inner[1]] and b"serve" in path.with_name("cmdline").read_bytes():
                [child] = _children(int(path.parent.name))
                lines = Path(f"/proc/{child}/status").read_text().splitlines()
                return status, dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    raise AssertionError("it does not run")


def test_a_host_is_managed_under_its_unit(one: Served) -> None:
    root, folder = one.host.root, one.folder
    one.host = Host(folder / "root")  # bundles are written beside it
    task = one.ended(one.push(one.host.bundle("acme-agent", "1.0")))
    assert task["TaskState"] == "Completed", (task, _journal(root))
    for action in ("Verify", "Rollback"):
        task = one.ended(one.ask("POST", f"{routes.ACTIONS}.{action}", "operator"))
        assert task["TaskState"] == "Completed", (action, task, _journal(root))
    assert one.ask("GET", routes.INVENTORY).document["Members"] == []
    assert one.ask("POST", f"{routes.ACTIONS}.SetAcceptance", "admin", {"Level": "partner"}).status == 200
    assert len(one.ask("GET", routes.ENTRIES).document["Members"]) >= 3
    assert one.ask("GET", routes.MANAGER, "reader").status == 200
    assert "modseal: serving https://127.0.0.1:" in _journal(root)


def test_its_sandbox_is_on(one: Served) -> None:
    """As the kernel says of the processes, and not as the unit does."""
    parent, child = _processes(one)
    assert one.process
    [leader] = _children(one.process.pid)
    own = re.search(r"Seccomp_filters:\t(\d+)", Path(f"/proc/{leader}/status").read_text())
    assert own
    for status in (parent, child):
        assert status["Seccomp"] == "2", "a filter"
        assert int(status["Seccomp_filters"]) > int(own[1]), "besides that of the container"
        assert status["NoNewPrivs"] == "1"
    assert parent["Uid"].split()[0] == "0"
    assert set(child["Uid"].split()) == {"65534"}
    assert int(child["CapBnd"], 16) == int(child["CapEff"], 16) == int(child["CapPrm"], 16) == 0
    unit = resources.files("modseal.host").joinpath("units", UNIT).read_text("utf-8")
    [named] = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    assert int(parent["CapBnd"], 16).bit_count() == len(named.split())


TRIES = """
import ctypes, mmap, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def ask(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
tries = {
    "nothing": lambda: None,
    "a file of the system": lambda: open("/etc/new", "w"),
    "a home": lambda: open("/root/new", "w"),
    "a mount": lambda: ask(libc.mount(b"none", b"/media", b"tmpfs", 0, None)),
    "a namespace": lambda: ask(libc.unshare(0x10000000)),
    "a packet socket": lambda: socket.socket(17, 3),
    "a kernel setting": lambda: open("/proc/sys/kernel/hostname", "w"),
    "code in writable memory": lambda: mmap.mmap(-1, 4096, prot=7),
    "a trace": lambda: ask(libc.ptrace(0, 0, 0, 0)),
    "a disk": lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(7, 0)),
}
for name, attempt in tries.items():
    process = os.fork()
    if not process:
        try:
            attempt()
        except (OSError, PermissionError):
            os._exit(1)
        os._exit(0)
    if os.waitpid(process, 0)[1] == 0:
        print(name)
"""


def test_what_the_service_does_not_need_it_cannot_do(one: Served) -> None:
    """Its sandbox around a program that tries. The first try is to do nothing."""
    unit = resources.files("modseal.host").joinpath("units", UNIT).read_text("utf-8")
    service = unit.partition("[Service]\n")[2].partition("\n\n")[0].splitlines()
    other = ("#", "Type", "Exec", "Timeout", "KillMode", "Restart")
    properties = [word for line in service if not line.startswith(other) for word in ("-p", line)]
    command = ("systemd-run", "-q", "--wait", "--pipe")
    assert len(_inside(one, *command, "python3", "-c", TRIES).splitlines()) >= 6, "without it, they do succeed"
    assert _inside(one, *command, *properties, "python3", "-c", TRIES).splitlines() == ["nothing"]


def test_how_much_is_exposed_is_what_the_documentation_says(one: Served) -> None:
    said = _inside(one, "systemd-analyze", "security", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    page = Path(__file__).parents[2].joinpath("docs/remote.md").read_text()
    assert f"gives {found[1]} " in page, found[0]


def test_it_starts_again_when_it_is_killed(one: Served) -> None:
    killed, _ = _processes(one)
    os.kill(int(killed["Pid"]), signal.SIGKILL)
    until, found = time.monotonic() + 60, killed
    while found["Pid"] == killed["Pid"] and time.monotonic() < until:
        time.sleep(0.2)
        with contextlib.suppress(AssertionError, ValueError, OSError):
            found, _ = _processes(one)
    assert found["Pid"] != killed["Pid"]
    assert one.ask("GET", routes.MANAGER).status == 200
