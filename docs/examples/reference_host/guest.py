"""Boots a host image in QEMU, and reads its serial line: with Secure Boot, without KVM, on one core.

    python docs/examples/reference_host/guest.py IMAGE-FOLDER [FILE]

With FILE it runs until it is ended, restarts included, and the port where it is managed is written there.
"""

from __future__ import annotations

import json
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
_TRIES = 40
UP = r"machine: up after"
_CONTROL = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]|[\x00-\x08\x0b-\x1f]")


def missing() -> str | None:
    """Which program is missing here to boot an image, if one is."""
    if not shutil.which("qemu-system-x86_64"):
        return "qemu-system-x86_64 is not installed"
    return None if FIRMWARE.exists() else "ovmf is not installed"


def free_port() -> int:
    """A port of the loopback interface that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _start_tpm(state: Path, place: Path) -> subprocess.Popen[bytes]:
    """A TPM in software, which waits for QEMU at `place`/tpm."""
    state.mkdir(exist_ok=True)
    started = subprocess.Popen(  # noqa: S603
        [str(shutil.which("swtpm")), "socket", "--tpm2", "--tpmstate", f"dir={state}", "--terminate",
         "--ctrl", f"type=unixio,path={place}/tpm"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (place / "tpm").exists():
        time.sleep(0.1)
    return started


class Guest:
    """A machine that runs from copies of a disk and of the firmware's variables; it ends with the block.

    `tpm` is a folder in which a TPM in software keeps its state. With `keep` it runs from the files themselves; without
    `restarts` it ends when the machine restarts. `watchdog` gives it one of hardware.
    """

    def __init__(
        self,
        disk: Path,
        variables: Path,
        *,
        memory: int = 384,
        tpm: Path | None = None,
        keep: bool = False,
        restarts: bool = False,
        watchdog: bool = False,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="guest-")
        place = Path(self._folder.name)
        self.disk, self.variables = (disk, variables) if keep else (place / "disk.img", place / "vars.fd")
        if not keep:
            subprocess.run([str(shutil.which("cp")), "--sparse=always", disk, self.disk], check=True)  # noqa: S603
            shutil.copy(variables, self.variables)
        self.web, self.management, self.serve = free_port(), free_port(), free_port()
        self._tpm = _start_tpm(tpm.absolute(), place) if tpm else None
        more = (
            "-chardev", f"socket,id=tpm,path={place}/tpm", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
            "-device", "tpm-tis,tpmdev=tpm0",
        ) if tpm else ()  # fmt: skip
        if not restarts:
            more = (*more, "-no-reboot")
        if watchdog:
            more = (*more, "-device", "i6300esb")
        self.lines: list[str] = []
        self.seconds = 0.0
        self._started = time.monotonic()
        flash = "if=pflash,format=raw,unit"
        forward = ",".join(
            f"hostfwd=tcp:127.0.0.1:{own}-:{its}"
            for own, its in ((self.web, 8080), (self.management, 9090), (self.serve, 8443))
        )
        self._process = subprocess.Popen(  # noqa: S603
            [str(shutil.which("qemu-system-x86_64")),
             "-M", "q35,smm=on", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(memory),
             "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
             "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1",
             "-drive", f"{flash}=0,readonly=on,file={FIRMWARE}", "-drive", f"{flash}=1,file={self.variables}",
             "-drive", f"if=none,id=disk,format=raw,file={self.disk}",
             "-device", "virtio-blk-pci,drive=disk",
             "-netdev", f"user,id=net,restrict=on,{forward}", "-device", "virtio-net-pci,netdev=net,romfile=", *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._queue.put(_CONTROL.sub("", line.decode(errors="replace")).rstrip())
        self._queue.put(None)

    def wait(self, pattern: str, seconds: float = 600, tell: Any = None) -> str | None:
        """The first line from here on that has the pattern; None where the machine ends, or the time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._queue.get(timeout=left)
            except queue.Empty:
                return None
            if line is None:
                return None
            self.lines.append(line)
            self.seconds = time.monotonic() - self._started
            if tell:
                tell(f"{self.seconds:6.1f}  {line}")
            if re.search(pattern, line):
                return line
        return None

    def get(self, port: int, path: str) -> bytes:
        """What a service answers."""
        for _ in range(_TRIES):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                    return bytes(answer.read())
            except OSError:  # it has started, and does not listen yet
                time.sleep(0.5)
        raise TimeoutError(f"nobody answers on {path}")

    def status(self) -> dict[str, Any]:
        """What the management interface says."""
        return dict(json.loads(self.get(self.management, "/status")))

    @property
    def runs(self) -> bool:
        """Whether the machine is there."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        if self._tpm:
            self._tpm.wait()  # it ends with its only client
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()


def main(folder: Path) -> int:
    """Boot an image, show what it says, ask its service and its management interface, and end it."""
    if why := missing():
        print(f"skipped: {why}")  # noqa: T201
        return 0
    with Guest(folder / "disk.img", folder / "firmware.fd") as guest:
        if not guest.wait(UP, tell=print):
            return 1
        print(guest.get(guest.web, "/").decode().strip())  # noqa: T201
        status = guest.status()
        print(json.dumps({name: status[name] for name in ("generation", "modules", "refused", "seconds")}, indent=2))  # noqa: T201
    return 0


def stay(folder: Path, file: Path) -> int:
    """Boot an image, show what it says, and write the port where it is managed to a file; until this is ended."""
    with Guest(folder / "disk.img", folder / "firmware.fd", restarts=True) as guest:
        if not guest.wait("serving https", tell=print):
            return 1
        file.write_text(str(guest.serve))
        while guest.wait("it never says this", 3600, tell=print) is None and guest.runs:
            pass
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(stay(Path(sys.argv[1]), Path(sys.argv[2])))
    sys.exit(main(Path(sys.argv[1])))
