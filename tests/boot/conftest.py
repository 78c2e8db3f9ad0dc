"""A TPM in software for the tests of this folder."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modseal.boot.tpm_commands import Transport


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[Transport]:
    if not shutil.which("swtpm"):
        pytest.skip("swtpm is not installed")
    (tmp_path / "state").mkdir()
    place = tmp_path / "socket"
    server = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={tmp_path}/state", "--flags", "startup-clear",
         "--server", f"type=unixio,path={place}", "--ctrl", f"type=unixio,path={tmp_path}/control"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with socket.socket(socket.AF_UNIX) as client:
        for _ in range(100):
            try:
                client.connect(str(place))
                break
            except OSError:
                time.sleep(0.1)

        def send(request: bytes) -> bytes:
            client.sendall(request)
            return client.recv(4096)

        yield send
    server.terminate()
    server.wait()
