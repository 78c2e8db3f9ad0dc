"""SBOM and provenance from `pack` to the gate: required by a policy, printed only once they are proved, in DSSE."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from builders.transcript import Transcript, run, run_process
from cli.conftest import key_options
from modseal.format import ar
from modseal.packing import documents
from modseal.packing.pack import pack

pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed")

TYPES = {"sbom": "application/vnd.cyclonedx+json", "provenance": "application/vnd.in-toto+json"}
NAMES = {"sbom": "sbom.cdx.json", "provenance": "provenance.json"}
BUILDER = ("--provenance", "--builder-id", "https://ci.example/1")
CI = {"GITHUB_ACTIONS": "", "GITLAB_CI": ""}
"""The tests may themselves run in a job of CI."""
POLICY = ("--policy", "keys/strict.toml")
both = pytest.mark.parametrize("what", ["sbom", "provenance"])


@pytest.fixture
def place(desk: Path) -> Path:
    """The vendor's folder with `a.seal` packed with both attestations and signed, and a policy that requires both."""
    assert run("pack", "module", "-o", "a.seal", "--sbom", *BUILDER, cwd=desk, env=CI).code == 0
    assert run("sign", "a.seal", *key_options("partner"), cwd=desk).code == 0
    required = ", ".join(f'"{one}"' for one in TYPES.values())
    policy = (desk / "keys/policy.toml").read_text()
    (desk / "keys/strict.toml").write_text(f"{policy}\n[attachments]\nrequired = [{required}]\n")
    return desk


def member(path: Path, name: str) -> tuple[int, int]:
    """Where a member's bytes are."""
    with path.open("rb") as file:
        from modseal.format.source import FileSource

        return next((one.offset, one.size) for one in ar.read(FileSource(file.fileno())) if one.name == name)


def content(path: Path, name: str) -> bytes:
    offset, size = member(path, name)
    return path.read_bytes()[offset : offset + size]


def edit(path: Path, name: str) -> None:
    offset, _ = member(path, name)
    data = bytearray(path.read_bytes())
    data[offset + 3] ^= 1
    path.write_bytes(data)


def remove(path: Path, name: str) -> None:
    offset, size = member(path, name)
    data = path.read_bytes()
    path.write_bytes(data[: offset - ar.HEADER_SIZE] + data[offset + size + size % 2 :])


def reasons(place: Path) -> list[str]:
    """Why `verify` refuses the bundle."""
    done = run("verify", "a.seal", *POLICY, "--format", "json", cwd=place)
    assert done.code == 1
    (result,) = json.loads(done.out)["results"]
    assert result["verdict"] == "rejected"
    return [check["code"] for check in result["checks"] if check["status"] == "failed"]


def refused(done: Transcript, code: str) -> None:
    assert done.code == 1
    assert done.out == ""
    assert code in done.err


@both
def test_a_policy_can_require_it(place: Path, what: str) -> None:
    assert run("verify", "a.seal", *POLICY, cwd=place).code == 0
    options = {"sbom": ("--sbom",), "provenance": BUILDER}
    for one, given in options.items():
        assert run("pack", "module", "-o", f"{one}.seal", *given, cwd=place, env=CI).code == 0
        assert run("sign", f"{one}.seal", *key_options("partner"), cwd=place).code == 0
    (other,) = options.keys() - {what}
    done = run("verify", f"{other}.seal", *POLICY, cwd=place)
    assert done.code == 1
    assert f"the policy requires the attachment '{TYPES[what]}'" in done.out


@both
def test_an_edited_one_is_refused(place: Path, what: str) -> None:
    edit(place / "a.seal", NAMES[what])
    assert reasons(place) == ["attachment-mismatch"]
    refused(run("sbom", "a.seal", "--show", what, *POLICY, cwd=place, prefixed=False), "attachment")
    refused(run("sbom", "a.seal", "--show", what, "--unverified", cwd=place, prefixed=False), "attachment")


@both
def test_a_removed_one_is_refused(place: Path, what: str) -> None:
    remove(place / "a.seal", NAMES[what])
    assert reasons(place) == ["missing-member"]


@both
def test_it_is_printed_byte_for_byte_once_the_bundle_is_accepted(place: Path, what: str) -> None:
    done = run_process("sbom", "a.seal", "--show", what, *POLICY, cwd=place)
    assert (done.code, done.err) == (0, "")
    assert done.out.encode() == content(place / "a.seal", NAMES[what])
    assert json.loads(done.out)


def test_unproved_is_said_on_standard_error(place: Path) -> None:
    done = run_process("sbom", "a.seal", "--unverified", cwd=place)
    assert done.code == 0
    assert done.err == "modseal: a.seal: unproved: the signature was not verified\n"
    assert done.out.encode() == content(place / "a.seal", NAMES["sbom"])


def test_a_bundle_that_the_policy_refuses_prints_nothing(place: Path) -> None:
    assert run("pack", "module", "-o", "b.seal", "--sbom", cwd=place).code == 0
    refused(run("sbom", "b.seal", *POLICY, cwd=place, prefixed=False), "signature member is empty")


def test_a_bundle_without_one_says_so(place: Path) -> None:
    assert run("pack", "module", "-o", "b.seal", cwd=place).code == 0
    refused(run("sbom", "b.seal", "--unverified", cwd=place), "b.seal: has no SBOM")
    refused(run("sbom", "b.seal", "--unverified", "--show", "provenance", cwd=place), "b.seal: has no provenance")


@pytest.mark.parametrize("options", [(), (*POLICY, "--unverified")])
def test_either_a_policy_or_unverified(place: Path, options: tuple[str, ...]) -> None:
    assert run("sbom", "a.seal", *options, cwd=place).code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--provenance",), "--provenance needs --builder-id"),
        (("--builder-id", "urn:x"), "--builder-id has no effect without --provenance"),
        (("--sbom", "--format", "vib"), "a .vib carries no attachments"),
    ],
)
def test_what_cannot_be_meant_is_usage(desk: Path, options: tuple[str, ...], words: str) -> None:
    (desk / "module/files/opt/acme/current").unlink()  # a .vib cannot have links
    done = run("pack", "module", "-o", "b", *options, cwd=desk, env=CI)
    assert done.code == 2
    assert words in done.err


def test_a_terminal_is_not_steered(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from modseal.cli import sbom

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    sbom._print(b'{"a": "\x1b[2J"}\n\xff')
    assert "\x1b" not in capsys.readouterr().out


def test_what_is_looked_for_is_what_pack_writes() -> None:
    from modseal.cli.sbom import _WANTED
    from modseal.packing import provenance
    from modseal.packing import sbom as packer

    assert (_WANTED["sbom"].name, _WANTED["sbom"].media_type) == (packer.NAME, packer.MEDIA_TYPE)
    assert (_WANTED["provenance"].name, _WANTED["provenance"].media_type) == (provenance.NAME, provenance.MEDIA_TYPE)


# DSSE.


def test_the_envelope_has_the_provenance_and_names_the_bundle(place: Path) -> None:
    before = (place / "a.seal").read_bytes()
    done = run("sign", "a.seal", "--dsse", "a.json", *key_options("partner"), cwd=place)
    assert (done.code, done.err) == (0, "")
    assert (place / "a.seal").read_bytes() == before
    plain = json.loads((place / "a.json").read_text())
    statement = json.loads(base64.b64decode(plain["payload"]))
    embedded = json.loads(content(place / "a.seal", NAMES["provenance"]))
    bundle = {"name": "a.seal", "digest": {"sha256": hashlib.sha256(before).hexdigest()}}
    assert statement == {**embedded, "subject": [bundle, *embedded["subject"]]}
    assert plain["signatures"][0]["keyid"] in done.out


def test_the_tools_of_in_toto_verify_the_envelope(place: Path) -> None:
    library = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    from cryptography.x509 import load_pem_x509_certificate
    from securesystemslib.signer import SSlibKey

    assert run("sign", "a.seal", "--dsse", "a.json", *key_options("partner"), cwd=place).code == 0
    plain = json.loads((place / "a.json").read_text())
    certificate = load_pem_x509_certificate((place / "keys/partner/signer.pem").read_bytes())
    key_id = plain["signatures"][0]["keyid"]
    scheme = "rsa-pkcs1v15-sha256" if "RSA" in type(certificate.public_key()).__name__ else None
    key = SSlibKey.from_crypto(certificate.public_key(), keyid=key_id, scheme=scheme)
    assert key_id in library.Envelope.from_dict(plain).verify([key], 1)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--dsse", "e"), 2, "--dsse needs --key"),
        (("--dsse", "a.seal", *key_options("partner")), 2, "a.seal is the bundle"),
        (("--dsse", "e", "--list"), 2, "exclude each other"),
        (("--dsse", "e", "-o", "x", *key_options("partner")), 2, "--output does not go with --dsse"),
        (("--dsse", "e", *key_options("expired")), 1, "cannot sign"),
    ],
)
def test_an_envelope_that_cannot_be_is_refused(place: Path, options: tuple[str, ...], code: int, words: str) -> None:
    done = run("sign", "a.seal", *options, cwd=place)
    assert done.code == code
    assert words in done.err


def test_a_bundle_that_is_broken_or_says_nothing_gets_no_envelope(place: Path) -> None:
    options = ("--dsse", "e", *key_options("partner"))
    assert run("pack", "module", "-o", "b.seal", cwd=place).code == 0
    refused(run("sign", "b.seal", *options, cwd=place), "has no provenance")
    edit(place / "a.seal", NAMES["provenance"])
    refused(run("sign", "a.seal", *options, cwd=place), "provenance.json")
    assert "e" not in os.listdir(place)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"_type": "https://in-toto.io/Statement/v1", "subject": []}', "nonsense"]
)
def test_what_is_no_statement_gets_no_envelope(place: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "module/own.json").write_text(text)
    with (place / "module/module.toml").open("a") as file:
        file.write(f'[[attachment]]\nname = "own"\nfile = "own.json"\nmedia-type = "{TYPES["provenance"]}"\n')
    monkeypatch.setattr(documents, "find_spec", lambda name: None)  # as a packer does that cannot check it
    pack(place / "module", place / "b.seal", None, environ={})
    done = run("sign", "b.seal", "--dsse", "e", *key_options("partner"), cwd=place)
    assert done.code == 1
    assert "own" in done.err
