"""`modseal sign` beyond a key at hand: two steps, the list of blocks, removing one, and expected signers."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from builders import policies
from builders.bundles import KINDS, make, snapshot
from builders.pki import Identity, leaf, root, signer
from builders.transcript import Transcript, run
from cli.conftest import SPEC, key_options
from modseal.bundle.open import OpenBundle
from modseal.format import rules
from modseal.format.manifest import Kind
from modseal.format.source import BytesSource
from modseal.pki.algorithms import ALGORITHMS

kinds = pytest.mark.parametrize("kind", KINDS)
POLICY = ("--policy", "policy.toml")
TIME = {"SOURCE_DATE_EPOCH": "1750000000"}
PREPARE = ("sign", "a", "--prepare", "f", "--cert", "cert.pem")
ATTACH = ("sign", "a", "--attach", "sig", "--prepared", "f")
DIRECT = ("sign", "a", "--key", "key.pem", "--cert", "cert.pem")


def key(identity: Identity) -> str:
    return rules.key_name(identity.parsed.key_der)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An unsigned bundle, a policy, and the files of a signer."""
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    policies.write(tmp_path)
    write(tmp_path, signer("rsa"))
    return tmp_path


def write(folder: Path, identity: Identity) -> None:
    for name, data in (("key.pem", identity.key_pem), ("cert.pem", identity.pem)):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)


def sign_elsewhere(folder: Path, identity: Identity | None = None, algorithm: str = "rsa-pkcs1-sha256") -> None:
    value = (identity or signer("rsa")).signer().sign(ALGORITHMS[algorithm], (folder / "f").read_bytes())
    (folder / "sig").write_bytes(value)


def refused(done: Transcript, code: int, *words: str) -> None:
    """One line that says why, and at most one that says what next."""
    lines = done.err.splitlines()
    assert (done.code, done.out) == (code, "")
    assert len(lines) <= 2
    assert all(line.startswith("modseal: next: ") for line in lines[1:])
    for word in words:
        assert word in lines[0]


# Two steps.


@kinds
def test_two_steps_and_one_give_the_same_bytes(kind: Kind, place: Path) -> None:
    (place / "a").write_bytes(make(kind).unsigned().data)
    done = run(*PREPARE, cwd=place, env=TIME)
    assert (done.code, done.unusual) == (0, "")
    assert "f: to be signed by CN=Test rsa signer 0,O=Test with rsa-pkcs1-sha256, sha256 " in done.out
    assert {path for path in snapshot(place) if path.startswith("f")} == {"f", "f.txt", "f.json"}
    sign_elsewhere(place)
    done = run(*ATTACH, "-o", "two", cwd=place)
    assert (done.code, done.unusual) == (0, "")
    sha256 = hashlib.sha256((place / "two").read_bytes()).hexdigest()
    line = f"two: signed by CN=Test rsa signer 0,O=Test with rsa-pkcs1-sha256, 1 block, sha256 {sha256}\n"
    assert done.out == f"{line}the file has changed: publish this SHA-256; the one from before no longer holds\n"
    assert run(*DIRECT, "-o", "one", cwd=place, env=TIME).code == 0
    assert (place / "two").read_bytes() == (place / "one").read_bytes()
    assert run("verify", "two", *POLICY, cwd=place).code == 0


def test_the_bundle_is_completed_in_place_where_no_output_is_named(place: Path) -> None:
    assert run(*PREPARE, cwd=place).code == 0
    sign_elsewhere(place)
    assert run(*ATTACH, cwd=place).code == 0
    assert run("verify", "a", *POLICY, cwd=place).code == 0


def test_the_summary_shows_what_is_signed_and_how(place: Path) -> None:
    assert run(*PREPARE, cwd=place, env=TIME).code == 0
    text = (place / "f.txt").read_text()
    for words in (
        "acme-agent", "Acme", "1.2.3-4", "partner", "opt/acme/agent", "rsa-pkcs1-sha256", "2025-06-15T15:06:40Z",
        signer("rsa").fingerprint, "openssl dgst -sha256 -sign KEY -out SIGNATURE f", "--attach SIGNATURE --prepared f",
    ):  # fmt: skip
        assert words in text


def test_the_command_of_the_summary_works(place: Path) -> None:
    for kind in ("rsa", "p256", "p384", "ed25519"):
        write(place, signer(kind))
        assert run(*PREPARE, cwd=place).code == 0
        line = next(one for one in (place / "f.txt").read_text().splitlines() if one.startswith("  openssl "))
        subprocess.run(line.replace("KEY", "key.pem").replace("SIGNATURE", "sig").split(), cwd=place, check=True)
        assert run(*ATTACH, "-o", kind, cwd=place).code == 0
        assert run("verify", kind, *POLICY, cwd=place).code == 0


def test_a_hostile_text_reaches_no_terminal_by_the_summary(place: Path) -> None:
    (place / "a").write_bytes(make("seal", summary="x\n  signer  somebody").unsigned().data)
    assert run(*PREPARE, cwd=place).code == 0
    assert "  summary        x\\n  signer  somebody" in (place / "f.txt").read_text().splitlines()


@pytest.mark.parametrize("value", [b"", b"nonsense", bytes(256)])
def test_a_signature_that_does_not_verify_is_refused(value: bytes, place: Path) -> None:
    assert run(*PREPARE, cwd=place).code == 0
    (place / "sig").write_bytes(value)
    refused(run(*ATTACH, cwd=place), 1, "sig is no rsa-pkcs1-sha256 signature")


def test_another_bundle_is_refused(place: Path) -> None:
    assert run(*PREPARE, cwd=place).code == 0
    sign_elsewhere(place)
    (place / "a").write_bytes(make("seal", version="2").unsigned().data)
    refused(run(*ATTACH, cwd=place), 1, "another bundle")


@pytest.mark.parametrize("who", ["expired", "wrong-eku"])
def test_an_unfit_certificate_is_refused_before_anything_is_written(who: str, desk: Path) -> None:
    done = run("sign", "a.seal", "--prepare", "f", "--cert", f"keys/{who}/signer.pem", cwd=desk)
    refused(done, 1, "cannot sign")


def test_what_was_not_prepared_is_usage(place: Path) -> None:
    (place / "sig").write_bytes(b"x")
    (place / "f.json").write_text("{}")
    refused(run(*ATTACH, cwd=place), 2, "f.json is not what")
    (place / "f.json").unlink()
    refused(run(*ATTACH, cwd=place), 3, "f.json: No such file")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name the key with --key"),
        (("--cert", "cert.pem"), "name the key with --key"),
        (("--key", "key.pem", "--list"), "--key and --list exclude each other"),
        (("--prepare", "f", "--attach", "sig"), "--prepare and --attach exclude each other"),
        (("--list", "--remove", "x"), "--list and --remove exclude each other"),
        (("--prepare", "f"), "--prepare needs --cert"),
        (("--prepare", "f", "--cert", "cert.pem", "-o", "b"), "--output does not go with --prepare"),
        (("--prepare", "f", "--cert", "cert.pem", "--tsa", "http://x/"), "--tsa does not go with --prepare"),
        (("--prepare", "f", "--cert", "cert.pem", "--passphrase-file", "x"), "--passphrase-file does not go"),
        (("--attach", "sig"), "--attach needs --prepared"),
        (("--attach", "sig", "--prepared", "f", "--cert", "cert.pem"), "--cert does not go with --attach"),
        (("--attach", "sig", "--prepared", "f", "--algorithm", "ed25519"), "--algorithm does not go with --attach"),
        (("--attach", "s", "--prepared", "f", "--tsa", "http://x/", "--timestamp-later"), "--tsa exclude each other"),
        (("--key", "key.pem", "--prepared", "f"), "--prepared does not go with --key"),
        (("--list", "-o", "b"), "--output does not go with --list"),
        (("--remove", "x", "--cert", "cert.pem"), "--cert does not go with --remove"),
        (("--remove", "x"), "is not a fingerprint"),
        (("--remove", "00" * 31), "is not a fingerprint"),
        (("--remove", "00" * 32), "no block by sha256:0000"),
    ],
)
def test_options_that_do_not_go_together_are_usage(arguments: tuple[str, ...], words: str, place: Path) -> None:
    refused(run("sign", "a", *arguments, cwd=place), 2, words)


def test_the_prepared_file_must_not_be_the_bundle(place: Path) -> None:
    refused(run("sign", "a", "--prepare", "a", "--cert", "cert.pem", cwd=place), 2, "a is the bundle")


# The list of blocks.


@kinds
def test_the_list_shows_every_block_and_that_it_says_nothing_about_trust(kind: Kind, place: Path) -> None:
    stranger = leaf("Stranger", issuer=root(7))
    (place / "a").write_bytes(make(kind, signer(), stranger).data)
    done = run("sign", "a", "--list", cwd=place)
    assert (done.code, done.unusual) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "a: 2 signature blocks; this says nothing about trust; `modseal verify` does"
    assert [line for line in lines if line.startswith("  block")] == [
        "  block 1: verifies over this manifest",
        "  block 2: verifies over this manifest",
    ]
    for identity in (signer(), stranger):
        assert f"    fingerprint  sha256:{identity.fingerprint}" in lines
        assert f"    public key   {key(identity)}" in lines
    assert "    claimed time 2025-06-01T12:00:00Z, no timestamp" in lines
    assert "    algorithm    ecdsa-p256-sha256" in lines


@kinds
def test_an_unsigned_bundle_has_an_empty_list(kind: Kind, place: Path) -> None:
    (place / "a").write_bytes(make(kind).unsigned().data)
    assert run("sign", "a", "--list", cwd=place).out.startswith("a: 0 signature blocks; ")


@kinds
def test_a_block_for_another_manifest_is_listed_as_not_verifying(kind: Kind, place: Path) -> None:
    moved = make(kind, version="9").signature
    (place / "a").write_bytes(make(kind).with_signature(make(kind).signature + moved).data)
    done = run("sign", "a", "--list", cwd=place)
    assert done.code == 0
    assert "  block 1: verifies over this manifest" in done.out
    assert "  block 2: does NOT verify (content-digest-mismatch)" in done.out
    assert done.out.count(signer().fingerprint) == 2


def test_a_block_that_cannot_be_read_is_listed_without_a_signer(place: Path) -> None:
    from modseal.format import cms

    (place / "a").write_bytes(make("seal").with_signature(cms.join_blocks((b"\x30\x00",))).data)
    done = run("sign", "a", "--list", cwd=place)
    assert done.code == 0
    assert "does NOT verify (malformed-signature)" in done.out
    assert "signer       unknown" in done.out


def test_a_file_that_is_no_bundle_has_no_list(place: Path) -> None:
    (place / "a").write_bytes(b"nonsense")
    refused(run("sign", "a", "--list", cwd=place), 1)
    refused(run("sign", "absent", "--list", cwd=place), 3)


# Removing a block.


@kinds
@pytest.mark.parametrize("form", ["{}", "sha256:{}", "colons"])
def test_a_removed_block_is_shown_and_the_others_keep_their_bytes(kind: Kind, form: str, place: Path) -> None:
    stranger = leaf("Stranger", issuer=root(7))
    good = make(kind, signer(), signer("rsa"))
    three = make(kind, signer(), stranger, signer("rsa"))
    (place / "a").write_bytes(good.with_signature(three.signature).data)
    plain = stranger.fingerprint.upper()
    wanted = ":".join(plain[i : i + 2] for i in range(0, 64, 2)) if form == "colons" else form.format(plain.lower())
    before = OpenBundle(BytesSource((place / "a").read_bytes()), "a").signature
    done = run("sign", "a", "--remove", wanted, "-o", "b", cwd=place)
    assert (done.code, done.unusual) == (0, "")
    sha256 = hashlib.sha256((place / "b").read_bytes()).hexdigest()
    assert done.out.startswith(f"b: removed, 2 blocks left, sha256 {sha256}:\n  block 2: verifies over this manifest\n")
    assert stranger.fingerprint in done.out
    assert "CN=Stranger" in done.out
    after = OpenBundle(BytesSource((place / "b").read_bytes()), "b").signature
    begin = b"-----BEGIN "
    first, _, last = (begin + text for text in before.split(begin)[1:])
    assert after == first + last
    assert (place / "b").read_bytes() == good.with_signature(after).data
    assert run("verify", "b", *POLICY, cwd=place).code == 0


@kinds
def test_the_last_block_leaves_an_unsigned_bundle(kind: Kind, place: Path) -> None:
    (place / "a").write_bytes(make(kind).data)
    assert run("sign", "a", "--remove", signer().fingerprint, cwd=place).out.startswith(
        "a: removed, 0 blocks left, sha256 "
    )
    assert (place / "a").read_bytes() == make(kind).unsigned().data


def test_a_block_that_does_not_verify_can_be_removed(place: Path) -> None:
    moved = make("seal", signer("rsa"), version="9").signature
    good = make("seal")
    (place / "a").write_bytes(good.with_signature(good.signature + moved).data)
    assert run("verify", "a", *POLICY, cwd=place).code == 1
    assert run("sign", "a", "--remove", signer("rsa").fingerprint, cwd=place).code == 0
    assert (place / "a").read_bytes() == good.data


def test_a_block_that_two_have_signed_is_not_divided(place: Path) -> None:
    from builders import cms

    bundle = make("seal")
    both = cms.Block([cms.Signer(signer()), cms.Signer(signer("rsa"))], certificates=[signer().der, signer("rsa").der])
    bundle = bundle.unsigned().with_block(both.encode(bundle.manifest_bytes))
    (place / "a").write_bytes(bundle.data)
    refused(run("sign", "a", "--remove", signer().fingerprint, cwd=place), 2, "signed by another signer too")


# Expected signers.


@pytest.fixture
def expecting(desk: Path) -> Path:
    """A vendor's folder whose bundles expect the partner and the certified signer."""
    names = []
    for who in ("partner", "certified"):
        listed = run("sign", "a.seal", *key_options(who), "-o", "probe", cwd=desk)
        assert listed.code == 0
        found = run("sign", "probe", "--list", cwd=desk).out
        names.append(next(line.split()[-1] for line in found.splitlines() if "public key" in line))
    (desk / "probe").unlink()
    spec = SPEC.replace("\n[[payload]]", f"expected-signers = {names!r}\n\n[[payload]]")
    (desk / "module" / "module.toml").write_text(spec)
    assert run("pack", "module", "-o", "a.seal", cwd=desk).code == 0
    return desk


def test_what_is_still_expected_is_said_until_all_have_signed(expecting: Path) -> None:
    policy = ("--policy", "keys/policy.toml")
    first = run("sign", "a.seal", *key_options("partner"), cwd=expecting)
    assert first.out.count("still expected by the manifest: key-sha256:") == 1
    assert run("sign", "a.seal", "--list", cwd=expecting).out.count("still expected") == 1
    done = run("verify", "a.seal", *policy, cwd=expecting)
    assert (done.code, "6 level        failed         expected-signer-missing" in done.out) == (1, True)
    second = run("sign", "a.seal", *key_options("certified"), cwd=expecting)
    assert "still expected" not in second.out
    assert run("verify", "a.seal", *policy, cwd=expecting).code == 0


def test_removing_an_expected_signer_says_so_and_no_gate_lets_it_pass(expecting: Path) -> None:
    for who in ("partner", "certified"):
        assert run("sign", "a.seal", *key_options(who), cwd=expecting).code == 0
    shown = run("sign", "a.seal", "--list", cwd=expecting).out
    fingerprint = next(line.split()[-1] for line in shown.splitlines() if "fingerprint" in line)
    assert "still expected" in run("sign", "a.seal", "--remove", fingerprint, cwd=expecting).out
    assert run("verify", "a.seal", "--policy", "keys/policy.toml", cwd=expecting).code == 1


def test_a_vib_of_such_a_module_leaves_the_list_out_and_says_so(expecting: Path) -> None:
    (expecting / "module" / "files" / "opt" / "acme" / "current").unlink()  # a .vib cannot have links
    done = run("pack", "module", "-o", "b.vib", "--format", "vib", cwd=expecting)
    assert done.code == 0
    assert "a .vib cannot say which signers it expects" in done.err


def test_a_misspelt_key_name_is_a_problem_with_its_line(expecting: Path) -> None:
    spec = SPEC.replace("\n[[payload]]", 'expected-signers = ["sha256:00"]\n\n[[payload]]')
    (expecting / "module" / "module.toml").write_text(spec)
    done = run("pack", "module", "-o", "c.seal", cwd=expecting)
    assert done.code == 1
    assert "module.toml:7: expected-signers[0]: " in done.err.splitlines()[0]
