"""A private key or passphrase reaches nothing but the signature: no output, log, traceback, argument or environment.

Each run is a process of its own that watches itself: it logs at the lowest level, records with an audit hook what is
started, sent, put into the environment or opened for writing, and shows at its end what a person with `ps` would see.
"""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from builders.bundles import make
from builders.pki import signer
from builders.transcript import SOURCE
from modseal.errors import KeyMaterialError
from modseal.signing import keys, material

PASSPHRASE = "zwoelf-Boxkaempfer"
WATCHER = textwrap.dedent(
    """
    import json, logging, os, sys
    seen = []
    names = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty", "os.putenv",
             "socket.connect", "socket.sendto", "syslog.syslog")
    def hook(event, arguments):
        written = event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if event in names or (written and not arguments[0].startswith("/dev/")):
            seen.append([event, repr(arguments)])
    logging.basicConfig(level=1, stream=sys.stderr, format="LOG %(message)s")
    if "crash" in sys.argv[1]:
        from modseal.signing import block
        def crash(*_):
            raise RuntimeError("a defect")
        block.complete = crash
    from modseal.cli.main import run
    sys.addaudithook(hook)
    try:
        code = run(sys.argv[2:])
    except RuntimeError as error:
        import traceback
        traceback.print_exc()
        code = 99
    with open("/proc/self/cmdline", "rb") as file:
        command = file.read().decode()
    with open("/proc/self/environ", "rb") as file:
        first = file.read().decode()
    print(json.dumps({"code": code, "seen": seen, "environ": [dict(os.environ), first], "command": command}))
    """
)


def needles() -> list[bytes]:
    """What must not be seen: the passphrase, and the private key in the forms that a program would show it in."""
    private = signer("p256").key
    number = private.private_numbers().private_value
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pem = signer("p256").key_pem.splitlines()[1:-1]
    texts = [PASSPHRASE, base64.b64encode(PASSPHRASE.encode()).decode(), PASSPHRASE.encode().hex()]
    texts += [str(number), f"{number:x}", der.hex(), base64.b64encode(der).decode()]
    return [text.encode() for text in texts] + pem + [number.to_bytes(32, "big")]


def clean(data: bytes) -> None:
    for needle in needles():
        assert needle not in data, needle
        assert repr(needle)[2:-1].encode() not in data


def test_the_watch_sees_a_secret_in_any_of_its_forms() -> None:
    for seen in (PASSPHRASE.encode() + b"!", signer("p256").key_pem, repr(needles()[-1]).encode()):
        with pytest.raises(AssertionError):
            clean(seen)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A bundle, an encrypted key as PEM and PKCS #12, a certificate, and the passphrase in a file."""
    who = signer("p256")
    lock = BestAvailableEncryption(PASSPHRASE.encode())
    files = {
        "a": make("seal").unsigned().data,
        "key.pem": who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock),
        "plain.pem": who.key_pem,
        "key.p12": pkcs12.serialize_key_and_certificates(b"me", who.key, who.certificate, None, lock),
        "cert.pem": who.pem,
        "secret": PASSPHRASE.encode() + b"\n",
        "wrong": PASSPHRASE.encode() + b"x\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    return tmp_path


LOCKED = ("--key", "key.pem", "--cert", "cert.pem", "--passphrase-file")
RUNS = {
    "pem": (0, (*LOCKED, "secret")),
    "pkcs12": (0, ("--key", "key.p12", "--passphrase-file", "secret")),
    "plain": (0, ("--key", "plain.pem", "--cert", "cert.pem")),
    "wrong passphrase": (3, (*LOCKED, "wrong")),
    "another certificate": (1, ("--key", "key.pem", "--cert", "other.pem", "--passphrase-file", "secret")),
    "usage": (2, (*LOCKED, "secret", "--algorithm", "ed25519")),
    "crash": (99, (*LOCKED, "secret")),
}


@pytest.mark.parametrize("which", list(RUNS))
def test_no_secret_leaves_the_process(which: str, place: Path) -> None:
    code, arguments = RUNS[which]
    (place / "other.pem").write_bytes(signer("rsa").pem)
    before = set(place.iterdir())
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "MODSEAL_TRACEBACK": "1"}
    command = [sys.executable, "-B", "-c", WATCHER, which, "sign", "a", *arguments, "-o", "out"]
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["code"] == code, done.stderr
    clean(done.stdout + done.stderr)
    events = [event for event, _ in report["seen"]]
    assert set(events) <= {"open"}
    assert [written for _, written in report["seen"] if ".modseal-" not in written] == []
    left = set(place.iterdir()) - before
    assert left == ({place / "out"} if code == 0 else set())
    for path in left:
        clean(path.read_bytes())


def test_a_passphrase_that_is_typed_is_not_shown(place: Path) -> None:
    own, other = pty.openpty()
    command = [sys.executable, "-c", "from modseal.cli.main import main; main()", "sign", "a", *LOCKED[:-1]]
    process = subprocess.Popen(
        command, cwd=place, env={**os.environ, "PYTHONPATH": str(SOURCE)}, stdin=other, stdout=other, stderr=other,
        start_new_session=True,
    )  # fmt: skip
    os.close(other)
    shown = _read_until(own, b"Passphrase: ")
    os.write(own, PASSPHRASE.encode() + b"\n")
    shown += _read_until(own, b"1 block")
    assert process.wait(30) == 0
    os.close(own)
    clean(shown)


def _read_until(descriptor: int, words: bytes) -> bytes:
    found, end = b"", time.monotonic() + 30
    while words not in found and time.monotonic() < end:
        found += os.read(descriptor, 1024)
    assert words in found
    return found


def test_a_traceback_of_a_wrong_passphrase_has_no_local_values_of_ours(place: Path) -> None:
    for name in ("key.pem", "key.p12"):
        with pytest.raises(KeyMaterialError) as caught:
            keys.open(str(place / name), place / "cert.pem", (), lambda: PASSPHRASE.encode() + b"x")
        error = caught.value
        assert error.__cause__ is None
        assert error.__suppress_context__
        clean("".join(traceback.format_exception(error)).encode())
        clean(repr((error, error.args, error.failure)).encode())


def test_a_signer_shows_no_key_in_any_form(place: Path) -> None:
    found = keys.open(str(place / "key.pem"), place / "cert.pem", (), PASSPHRASE.encode)
    for text in (repr(found), str(found), f"{found}", ascii(found), repr([found]), repr({"signer": found})):
        clean(text.encode())
        assert "_key" not in text
    loaded = material.read_key(place / "key.pem", PASSPHRASE.encode)
    clean(repr(loaded).encode())
    assert "key=" not in repr(loaded)


def test_the_passphrase_is_no_option(place: Path) -> None:
    """What stands on a command line, everybody on the machine can read."""
    from modseal.cli.sign import sign

    names = {name for one in sign.params for name in one.opts}
    assert names & {"--passphrase", "--password", "--pin"} == set()
    assert all(not getattr(one, "envvar", None) for one in sign.params)
