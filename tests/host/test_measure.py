"""What is measured at boot replays to one value; the unit that does it is one that systemd understands."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from builders import hosts
from builders.hosts import Host
from builders.transcript import run
from modseal.errors import FormatError, RefusedError
from modseal.host import measure
from modseal.host.measure import Measurement
from modseal.host.verify import Verification, verify


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle())
    return found


def measured(host: Host) -> list[Measurement]:
    return list(measure.measurements(host.verify()))


def test_a_log_replays_to_the_value_of_the_register(host: Host) -> None:
    found = measured(host)
    assert [one.event["what"] for one in found] == ["policy", "level", "module", "image", "verdict"]
    lines = b"".join(one.line() for one in found)
    assert list(measure.replay(lines, "log")) == found
    value = bytes(32)
    for one in found:
        value = hashlib.sha256(value + one.digest).digest()
    assert measure.extend(measure.START, found) == value


def test_the_value_is_that_of_the_state_and_not_of_the_time(host: Host) -> None:
    first = measured(host)
    assert measured(host) == first
    (host.image / "opt/acme-agent/bin/run").write_bytes(b"x")
    assert measure.extend(measure.START, measured(host)) != measure.extend(measure.START, first)
    host.rollback(0)
    assert [one.event["what"] for one in measured(host)] == ["policy", "level", "image", "verdict"]


def image_of(host: Host) -> object:
    (found,) = [one.event["sha256"] for one in measured(host) if one.event["what"] == "image"]
    return found


def test_the_image_that_is_merged_is_named_by_all_that_it_has(host: Host, tmp_path: Path) -> None:
    first = image_of(host)
    (tmp_path / "twin").mkdir()
    twin = hosts.host(tmp_path / "twin")
    twin.installed(twin.bundle("removed"), twin.bundle())
    twin.remove("removed")
    assert image_of(twin) == first, "equal images have one digest, whatever was before them"
    program = host.image / "opt/acme-agent/bin/run"
    before = program.read_bytes()
    for change, undo in (
        (lambda: program.write_bytes(before[::-1]), lambda: program.write_bytes(before)),
        (lambda: program.chmod(0o700), lambda: program.chmod(0o644)),
        ((host.image / "opt/\udcff").touch, (host.image / "opt/\udcff").unlink),
    ):
        change()
        assert image_of(host) != first
        undo()
        assert image_of(host) == first


def test_an_image_that_another_link_leads_to_is_not_named(host: Host) -> None:
    (host.root / "var/lib/extensions/modseal").unlink()
    (host.root / "var/lib/extensions/modseal").symlink_to("/tmp")
    assert image_of(host) is None
    (host.root / "var/lib/modseal/states/1/state.json").unlink()
    assert [one.event["what"] for one in measured(host)] == ["module", "image", "verdict"]


def test_a_change_meanwhile_is_not_measured(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed_after(*given: Any) -> Verification:
        found = verify(*given)
        host.rollback(0)
        host.set_policy(more='[deny]\nnames = ["acme-agent"]\n')
        return found

    before = measured(host)
    monkeypatch.setattr("modseal.host.verify.verify", changed_after)
    folder = host.root.parent
    assert run("host", "verify", "--root", "root", "--at-boot", "--event-log", "boot.jsonl", cwd=folder).code == 0
    assert (folder / "boot.jsonl").read_bytes() == b"".join(one.line() for one in before)


def test_a_changed_log_is_refused(host: Host) -> None:
    lines = b"".join(one.line() for one in measured(host))
    with pytest.raises(RefusedError, match="digest") as error:
        measure.replay(lines.replace(b"partner", b"certified"), "log")
    assert error.value.failure.code == "log-broken"
    for bad in (b"{}\n", b"[]", b"\xff", b'{"digest":"0","event":{}}\n', lines[:-1]):
        with pytest.raises((FormatError, RefusedError)):
            measure.replay(bad, "log")


def test_the_command_writes_the_log_and_replays_it(host: Host) -> None:
    folder = host.root.parent
    done = run("host", "verify", "--root", "root", "--at-boot", "--event-log", "boot.jsonl", cwd=folder)
    assert (done.code, done.out.count("\n")) == (0, 1)
    replayed = run("host", "replay", "boot.jsonl", cwd=folder)
    value = measure.extend(measure.START, measure.replay((folder / "boot.jsonl").read_bytes(), "log"))
    assert replayed.out.splitlines()[-1] == f"sha256:13 = {value.hex()}"
    assert run("host", "replay", "boot.jsonl", "--start", "00" * 32, cwd=folder).out == replayed.out
    assert run("host", "replay", "boot.jsonl", "--start", "00", cwd=folder).code == 2
    assert run("host", "verify", "--root", "root", "--event-log", "x", cwd=folder).code == 2


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    text = run("host", "unit", cwd=tmp_path).out
    assert "ExecStart=/usr/bin/modseal host verify --at-boot" in text
    assert "\nTimeoutStartSec=" in text  # systemd gives a unit of this type any time
    program = tmp_path / "modseal"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "modseal-host-verify.service"
    unit.write_text(text.replace("/usr/bin/modseal", str(program)).replace("Documentation=", "#"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    about = [line for line in done.stderr.splitlines() if "modseal" in line]
    assert (done.returncode, about) == (0, []), done.stderr


@pytest.mark.skipif(not (shutil.which("swtpm") and shutil.which("tpm2_pcrextend")), reason="needs swtpm and tpm2-tools")
def test_a_tpm_comes_to_the_same_value(host: Host, tmp_path: Path) -> None:
    """A real (software) TPM is extended by each digest, and its quote is checked against the replayed log."""
    state = Path(tempfile.mkdtemp(prefix="tpm"))  # the path of a socket has at most 107 bytes (unix(7))
    socket = f"path={state}/socket"
    daemon = subprocess.Popen(
        [
            *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "startup-clear"),
            *("--ctrl", f"type=unixio,{socket}.ctrl", "--server", f"type=unixio,{socket}"),
        ]
    )
    try:
        _wait_for(state / "socket")
        found = measured(host)
        tool = Tool(f"swtpm:{socket}", tmp_path)
        command = ("host", "verify", "--root", "root", "--at-boot", "--tpm", "--event-log", "boot.jsonl")
        assert run(*command, cwd=host.root.parent, env={"TPM2TOOLS_TCTI": f"swtpm:{socket}"}).code == 0
        assert measure.replay((host.root.parent / "boot.jsonl").read_bytes(), "log") == tuple(found)
        value = measure.extend(measure.START, found).hex()
        assert value.upper() in tool.run("pcrread", f"sha256:{measure.PCR}").upper()
        tool.run("createek", "-c", "ek", "-G", "ecc")
        tool.run(
            "createak",
            "-C",
            "ek",
            "-c",
            "key",
            "-G",
            "ecc",
            "-g",
            "sha256",
            "-s",
            "ecdsa",
            "-u",
            "key.pem",
            "-f",
            "pem",
        )
        tool.run("flushcontext", "-t")
        nonce = "00112233"
        pcr = f"sha256:{measure.PCR}"
        tool.run("quote", "-c", "key", "-l", pcr, "-q", nonce, "-m", "quote", "-s", "signature", "-o", "pcrs")
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(state)
    # From here on without the TPM: what somebody does who is not on the host.
    tool.run("checkquote", "-u", "key.pem", "-m", "quote", "-s", "signature", "-f", "pcrs", "-q", nonce)
    assert bytes.fromhex(value) in (tmp_path / "pcrs").read_bytes()
    digest = hashlib.sha256(bytes.fromhex(value)).digest()
    assert digest in (tmp_path / "quote").read_bytes(), "the quote is of another value"


class Tool:
    """tpm2-tools that speak to one TPM, in one folder."""

    def __init__(self, tcti: str, folder: Path) -> None:
        self._tcti, self._folder = tcti, folder

    def run(self, name: str, *arguments: str) -> str:
        command = [f"tpm2_{name}", *arguments]
        if name != "checkquote":
            command[1:1] = ["-T", self._tcti]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout


def _wait_for(path: Path) -> None:
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not come")
