"""`modseal image` and `modseal attest`, as they are called: what is refused, and that nothing is left."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import images, pki
from builders.transcript import run
from image.test_spec import GOOD
from modseal.boot import attestation
from modseal.causes import CAUSES
from modseal.image.expect import expect

SEND = ("image", "send", "update")
GET = ("attest", "get", "--nonce", "0123456789abcdef", "-o", "a")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("rsa", "p256"):
        made = pki.issue("owner", key=pki.new_key(kind))
        (tmp_path / f"{kind}.pem").write_bytes(made.pem)
        (tmp_path / f"{kind}.key").write_bytes(made.key_pem)
        (tmp_path / f"{kind}.key").chmod(0o600)
    policy = 'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n'
    (tmp_path / "policy.toml").write_text(policy)
    for name in ("pk", "kek"):
        (tmp_path / f"{name}.pem").write_bytes((tmp_path / "rsa.pem").read_bytes())
    for name in ("x", "x-1-py3-none-any.whl"):
        (tmp_path / name).write_bytes(images.empty_store())
    return tmp_path


def spec(folder: Path, kind: str = "rsa", digest: str = "0" * 64) -> None:
    text = GOOD.replace("db.key", f"{kind}.key").replace("db.pem", f"{kind}.pem").replace("0" * 64, digest)
    (folder / "host.toml").write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("kind", "digest", "said"),
    [
        ("rsa", "0" * 64, "is named"),
        ("rsa", hashlib.sha256(images.empty_store()).hexdigest(), "no Debian package"),
        ("p256", "0" * 64, "RSA"),
    ],
)
def test_what_cannot_be_built_is_refused_and_leaves_nothing(folder: Path, kind: str, digest: str, said: str) -> None:
    spec(folder, kind, digest)
    before = left(folder)
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert done.code == 1, done
    assert said in done.err
    assert left(folder) == before


def test_a_mistake_in_the_spec_is_named_with_its_line(folder: Path) -> None:
    (folder / "host.toml").write_text(GOOD.replace("version = 3", "version = -3"))
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert done.code == 1
    assert "host.toml:3: version" in done.err
    assert "build the image again" in done.err


@pytest.mark.parametrize("nonce", ["", "00", "0g" * 8, "0" * 17, "AB" * 8])
def test_a_nonce_has_one_form(folder: Path, nonce: str) -> None:
    done = run("attest", "get", "http://127.0.0.1:9", "--nonce", nonce, "-o", "a", cwd=folder)
    assert done.code == 2
    assert "hexadecimal" in done.err


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://",
        "http://h:0",
        "http://h h",
        "ftp://h",
        "http://u:secret@h",
        "",
    ],
)
@pytest.mark.parametrize("words", [SEND, GET], ids=["send", "get"])
def test_an_address_that_is_none_is_a_mistake_of_the_call(folder: Path, words: tuple[str, ...], address: str) -> None:
    (folder / "update").write_bytes(images.request())
    before = left(folder)
    done = (
        run(*words[:2], address, *words[2:], cwd=folder) if words[0] == "attest" else run(*words, address, cwd=folder)
    )
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "is not the address of a host: " in done.err
    assert "give one such as http://192.0.2.7:9090" in done.err
    assert "secret" not in done.err
    assert left(folder) == before


def test_what_a_host_says_without_proof_is_not_shown(folder: Path) -> None:
    images.built(folder / "image")
    (folder / "a.json").write_bytes(images.attestation())
    (folder / "expected.json").write_bytes(attestation.encode_expected(expect(folder / "image")))
    key = pki.new_key("p256", 7).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    (folder / "host.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    words = ("--expect", "expected.json", "--key", "host.pem", "--nonce", "0123456789abcdef")
    done = run("attest", "verify", "a.json", *words, cwd=folder)
    assert done.code == 1
    assert done.out == ""
    assert "another key" in done.err
    assert "nginx" not in done.err


@pytest.fixture
def answering() -> Iterator[tuple[str, list[tuple[str, bytes]], dict[str, object]]]:
    """A host's address; what it was sent; and what it answers, to be changed."""
    got: list[tuple[str, bytes]] = []
    says: dict[str, object] = {"outcome": "accepted", "version": 2, "generation": 5}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(says).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", got, says
        server.shutdown()
        thread.join()


Answering = tuple[str, list[tuple[str, bytes]], dict[str, object]]


def test_an_update_is_sent_whole_and_what_the_host_says_is_shown(folder: Path, answering: Answering) -> None:
    address, got, _ = answering
    update = images.request(b"content" * 99999)
    (folder / "update").write_bytes(update)
    done = run("image", "send", "update", address, cwd=folder)
    assert (done.code, done.out) == (0, "accepted: the host restarts, and tries version 2, generation 5\n")
    assert got == [("/update", update)]


@pytest.mark.parametrize(("outcome", "code"), [("rejected", 1), ("undecided", 3)])
def test_a_refusal_is_shown_with_its_next_step(folder: Path, answering: Answering, outcome: str, code: int) -> None:
    address, _, says = answering
    says.clear()
    says |= {"outcome": outcome, "code": "version-downgraded", "detail": "not\x1bnewer"}
    (folder / "update").write_bytes(images.request())
    done = run("image", "send", "update", address, cwd=folder)
    assert done.code == code
    assert done.out.startswith(f"{outcome}: version-downgraded: not")
    assert "\x1b" not in done.out
    assert "next: " in done.out


def test_an_answer_of_another_kind_is_no_answer(folder: Path, answering: Answering) -> None:
    address, _, says = answering
    says["outcome"] = "fine"
    (folder / "update").write_bytes(images.request())
    done = run("image", "send", "update", address, cwd=folder)
    assert (done.code, done.out) == (3, "")
    assert "answers with something that no host says (HTTP 200)" in done.err
    assert CAUSES["host-answer"] in done.err


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 413 Content Too Large\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n[[[", b"hello\r\n"]
)
def test_what_is_no_host_is_told_so(folder: Path, answer: bytes) -> None:
    (folder / "update").write_bytes(images.request())
    with answering_early(answer) as address:
        done = run("image", "send", "update", address, cwd=folder)
    assert (done.code, done.out) == (3, "")
    assert "TPM" not in done.err


def test_a_host_that_answers_before_it_has_everything_is_heard(folder: Path) -> None:
    """It closes the connection, which breaks in the midst of what is sent."""
    body = json.dumps({"outcome": "undecided", "detail": "send it again later"}).encode()
    (folder / "update").write_bytes(images.request(bytes(8 << 20)))
    with answering_early(b"HTTP/1.0 503 Service Unavailable\r\n\r\n" + body) as address:
        done = run("image", "send", "update", address, cwd=folder)
    assert (done.code, done.out) == (3, "undecided: send it again later\n"), done.err


@contextmanager
def answering_early(answer: bytes) -> Iterator[str]:
    """The address of something that answers so as soon as it has read a little of what it is sent."""

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.recv(1000)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("words", [SEND, GET], ids=["send", "get"])
def test_a_host_that_is_not_there_is_looked_for_and_nothing_else(folder: Path, words: tuple[str, ...]) -> None:
    (folder / "update").write_bytes(images.request())
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        done = run(*words, f"http://127.0.0.1:{port}", cwd=folder)
    assert done.code == 3
    assert f"does not answer on port {port}: Connection refused" in done.err
    assert CAUSES["host-silent"] in done.err
    assert "TPM" not in done.err


def test_a_host_without_a_tpm_is_told_so(folder: Path) -> None:
    with answering_early(b"HTTP/1.0 404 Not Found\r\n\r\n") as address:
        done = run(*GET, address, cwd=folder)
    assert done.code == 3
    assert CAUSES["host-without-tpm"] in done.err
    assert "a" not in left(folder)


def test_what_a_stranger_answers_is_no_attestation_of_a_file(folder: Path) -> None:
    with answering_early(b"HTTP/1.0 200 OK\r\n\r\n<html>") as address:
        done = run(*GET, address, cwd=folder)
    assert done.code == 1
    assert CAUSES["host-answer"] in done.err
    assert "a" not in left(folder)


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 1, CAUSES["no-request"]),
        (b"MZ and a program", 1, CAUSES["no-request"]),
        (b"modseal-request 9\n", 1, CAUSES["no-request"]),
        (b"modseal-request 9999999 256\n", 1, CAUSES["no-request"]),
        (b" " + images.request(), 1, CAUSES["no-request"]),
        ("folder", 3, CAUSES["folder"]),
        ("pipe", 3, CAUSES["not-a-file"]),
        ("nothing", 3, CAUSES["not-found"]),
    ],
)
def test_what_is_no_request_is_not_sent(
    folder: Path, answering: Answering, content: bytes | str, code: int, said: str
) -> None:
    address, got, _ = answering
    if isinstance(content, bytes):
        (folder / "update").write_bytes(content)
    elif content == "folder":
        (folder / "update").mkdir()
    elif content == "pipe":
        os.mkfifo(folder / "update")
    done = run(*SEND, address, cwd=folder)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert got == []


def test_a_rollback_that_cannot_be_signed_leaves_nothing(folder: Path) -> None:
    images.owned(folder)
    (folder / "db.key").unlink()
    before = left(folder)
    done = run("image", "rollback", "host.toml", "--running", "2", "2", "--to", "1", "1", "-o", "back", cwd=folder)
    assert done.code == 3
    assert left(folder) == before


def test_a_rollback_to_no_version_is_refused(folder: Path) -> None:
    images.owned(folder)
    for word in ("0", "-1"):
        done = run("image", "rollback", "host.toml", "--running", "2", "2", "--to", "1", word, "-o", "b", cwd=folder)
        assert (done.code, left(folder).count("b")) == (2, 0), done.err


@pytest.mark.parametrize("to", [("2", "2"), ("3", "3"), ("1", "3"), ("3", "1")])
def test_a_rollback_that_leads_not_back_is_not_signed(folder: Path, to: tuple[str, str]) -> None:
    images.owned(folder)
    before = left(folder)
    done = run("image", "rollback", "host.toml", "--running", "2", "2", "--to", *to, "-o", "back", cwd=folder)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"modseal: --running and --to: version 2, generation 2 to version {to[0]}, generation {to[1]} "
        "is no way back: one number must be lower, and none higher\n"
    )
    assert left(folder) == before


@pytest.mark.parametrize("name", ["host.toml", "db.pem", "db.key"])
def test_a_rollback_replaces_nothing_that_it_is_made_of(folder: Path, name: str) -> None:
    images.owned(folder)
    before = (folder / name).read_bytes()
    done = run("image", "rollback", "host.toml", "--running", "2", "2", "--to", "1", "1", "-o", name, cwd=folder)
    assert (done.code, done.out) == (2, "")
    assert (folder / name).read_bytes() == before


@pytest.mark.parametrize("name", ["boot.efi", "firmware.fd", "image.json"])
def test_a_prediction_replaces_nothing_that_it_is_made_of(folder: Path, name: str) -> None:
    before = (images.built(folder / "image") / name).read_bytes()
    done = run("image", "expect", "image", "-o", f"image/{name}", cwd=folder)
    assert (done.code, done.out) == (2, "")
    assert "is read by this command" in done.err
    assert (folder / "image" / name).read_bytes() == before


def test_a_rollback_is_signed_by_a_key_that_hosts_know(folder: Path) -> None:
    """As a build is: by another one, no host was made."""
    images.owned(folder)
    (folder / "db.pem").write_bytes((folder / "p256.pem").read_bytes())
    (folder / "db.key").write_bytes((folder / "p256.key").read_bytes())
    before = left(folder)
    done = run("image", "rollback", "host.toml", "--running", "2", "2", "--to", "1", "1", "-o", "back", cwd=folder)
    assert (done.code, done.out) == (1, "")
    assert CAUSES["firmware-key"] in done.err
    assert left(folder) == before


@pytest.mark.parametrize("out", ["image", "nowhere/a"])
def test_a_host_is_not_asked_for_what_cannot_be_written(folder: Path, answering: Answering, out: str) -> None:
    (folder / "image").mkdir()
    done = run(*GET[:-1], out, answering[0], cwd=folder)
    assert done.code in (2, 3)
    assert out in done.err
    assert "does not answer" not in done.err


def test_another_file_than_the_named_one_is_to_be_got_again(folder: Path) -> None:
    spec(folder)
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert CAUSES["other-file"] in done.err


def test_what_is_no_store_of_variables_is_named(folder: Path) -> None:
    (folder / "x").write_bytes(bytes(999))
    spec(folder, digest=hashlib.sha256((folder / "x").read_bytes()).hexdigest())
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert done.code == 1
    assert "x: it is no variable store" in done.err
    assert CAUSES["firmware-store"] in done.err


def test_a_pipe_is_no_input_of_a_build(folder: Path) -> None:
    spec(folder)
    (folder / "x").unlink()
    os.mkfifo(folder / "x")  # nobody writes to it
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert done.code == 3
    assert "x: not a regular file" in done.err
