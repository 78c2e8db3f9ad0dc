"""Signing with keys in a PKCS#11 token: SoftHSM2, as a real module in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders import policies, softhsm
from builders.bundles import make
from builders.pki import root, signer
from builders.softhsm import KINDS, LABEL, MODULE, PIN, SoftHsm
from builders.transcript import SOURCE, Transcript, run, run_process
from modseal.bundle.open import open_bundle
from modseal.causes import CAUSES, CauseName
from modseal.errors import KeyMaterialError, ModsealError, RefusedError, UsageError
from modseal.pki import algorithms
from modseal.pki.algorithms import ALGORITHMS, SignatureAlgorithm
from modseal.signing import fitness, keys, pkcs11, pkcs11_token, pkcs11_uri
from signing.pki import kind_for

WRONG = "0000-wrong"
URI = "pkcs11:token=release%20token"
CHOICES = [
    *((kind, None) for kind in KINDS),
    *(("rsa", f"rsa-{form}-sha{bits}") for form in ("pkcs1", "pss") for bits in (256, 384, 512)),
    ("p256", "ecdsa-p256-sha384"),
    ("p384", "ecdsa-p384-sha512"),
]


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """Made once: a process can start SoftHSM with one configuration only."""
    pytest.importorskip("pkcs11", reason="no python-pkcs11")
    if not MODULE or not shutil.which("softhsm2-util"):
        pytest.skip("no softhsm2")
    folder = tmp_path_factory.mktemp("hsm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        yield softhsm.make(folder)


@pytest.fixture
def place(hsm: SoftHsm, tmp_path: Path) -> Path:
    """A folder with an unsigned bundle, a policy that trusts the token's certificates, and the PIN in a file."""
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    policies.write(tmp_path)
    for name, text in (("pin", PIN + "\n"), ("wrong", WRONG)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def uri(label: str | None = "p256", pin: str | None = "pin", more: str = "") -> str:
    named = f";object={label}" if label else ""
    return f"{URI}{named}{more}?module-path={MODULE}" + (f"&pin-source=file:{pin}" if pin else "")


def opened(label: str, cert: Path | None = None) -> pkcs11.TokenSigner:
    return pkcs11.open(uri(label, pin=None), cert, (), PIN.encode)


def refused(place: Path, hsm: SoftHsm, key: str, *more: str) -> str:
    """The one line that a failed `modseal sign` says, in a process of its own."""
    done = run_process("sign", "a", "--key", key, *more, cwd=place, env=hsm.env)
    assert done.code == 3, done.err
    line, following = done.err.splitlines()
    assert following.startswith("modseal: next: ")
    assert_no_pin(done)
    return line


def assert_no_pin(done: Transcript) -> None:
    for secret in (PIN, WRONG, softhsm.SO_PIN):
        assert secret not in done.out + done.err


# What works.


@pytest.mark.parametrize(("kind", "algorithm"), CHOICES)
def test_each_kind_of_key_in_the_token_signs_what_verifies(place: Path, kind: str, algorithm: str | None) -> None:
    choice = ("--algorithm", algorithm) if algorithm else ()
    done = run("sign", "a", "--key", uri(kind), *choice, cwd=place)
    assert (done.code, done.unusual) == (0, "")
    assert f"CN=Token {kind} signer" in done.out
    assert run("verify", "a", "--policy", "policy.toml", cwd=place).code == 0


def test_a_process_of_its_own_signs_what_verifies(place: Path, hsm: SoftHsm) -> None:
    done = run_process("sign", "a", "--key", uri("rsa"), cwd=place, env=hsm.env)
    assert (done.code, done.unusual) == (0, "")
    assert run("verify", "a", "--policy", "policy.toml", cwd=place).code == 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
@pytest.mark.parametrize(("kind", "algorithm"), [choice for choice in CHOICES if choice[0] != "ed25519"])
def test_openssl_verifies_what_the_token_signed(place: Path, kind: str, algorithm: str | None) -> None:
    assert run("sign", "a", "--key", uri(kind), *(("--algorithm", algorithm) if algorithm else ()), cwd=place).code == 0
    with open_bundle(place / "a") as bundle:
        (place / "sig").write_bytes(bundle.signature)
        (place / "content").write_bytes(bundle.manifest)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", "sig", "-content", "content"]
    command += ["-CAfile", "root.pem", "-purpose", "any", "-cades", "-out", "out"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (place / "content").write_bytes((place / "content").read_bytes() + b" ")
    assert subprocess.run(command, cwd=place, capture_output=True).returncode != 0


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if not name.startswith("ml-dsa")])
def test_every_mechanism_that_the_token_has_makes_the_signature(hsm: SoftHsm, name: str) -> None:
    row, token_signer = ALGORITHMS[name], opened(kind_for(name))
    slot = token_signer._token.session.token.slot
    offered = [way for way in pkcs11._ways(row, b"data") if way[0] in slot.get_mechanisms()]
    assert offered
    for mechanism, parameter, message in offered:
        signature = token_signer._key.sign(message, mechanism=mechanism, mechanism_param=parameter)
        value = pkcs11._as_der(signature) if row.family == "ecdsa" else signature
        algorithms.verify(row, token_signer.certificate.public_key(), value, b"data")


def test_a_certificate_file_goes_before_the_tokens_own(place: Path, hsm: SoftHsm) -> None:
    (place / "cert.pem").write_bytes(hsm.identities["uncertified"].pem)
    done = run("sign", "a", "--key", uri("uncertified"), "--cert", "cert.pem", cwd=place)
    assert (done.code, done.unusual) == (0, "")
    assert run("verify", "a", "--policy", "policy.toml", cwd=place).code == 0


def test_of_many_certificates_in_a_file_the_keys_own_is_taken(place: Path, hsm: SoftHsm) -> None:
    for kind in KINDS:
        others = [identity.pem for name, identity in hsm.identities.items() if name != kind]
        (place / "cert.pem").write_bytes(b"".join([root().pem, *others, hsm.identities[kind].pem]))
        chosen = opened(kind, place / "cert.pem")
        assert chosen.certificate == hsm.identities[kind].certificate
        assert chosen.chain == (root().certificate,)


def test_a_key_is_named_by_its_id_or_by_all_that_rfc_7512_has(place: Path) -> None:
    token = opened("p256")._token.session.token
    facts = {
        "manufacturer": token.manufacturer_id,
        "serial": token.serial.decode(),
        "model": token.model,
        "slot-id": f"00{token.slot.slot_id}",
        "slot-manufacturer": token.slot.manufacturer_id,
    }
    more = "".join(f";{name}={value.replace(' ', '%20')}" for name, value in facts.items())
    assert run("sign", "a", "--key", uri(None, more=more + ";type=private;id=%02"), cwd=place).code == 0


def test_a_key_that_wants_the_pin_for_each_signature_gets_it(place: Path) -> None:
    assert run("sign", "a", "--key", uri("always"), cwd=place).code == 0
    always, row = opened("always"), ALGORITHMS["ecdsa-p256-sha256"]
    for _ in range(2):
        algorithms.verify(row, always.certificate.public_key(), always.sign(row, b"data"), b"data")
    with pytest.raises(KeyMaterialError, match="not logged in"):
        replace(always, _pin=None).sign(row, b"data")
    assert opened("p256")._pin is None


def test_signers_share_one_login_that_ends_with_the_last_of_them(hsm: SoftHsm) -> None:
    first, second = opened("p256"), opened("rsa")
    assert first._token is second._token
    del first
    row = fitness.choose_algorithm(second.certificate)
    algorithms.verify(row, second.certificate.public_key(), second.sign(row, b"data"), b"data")
    with pytest.raises(KeyMaterialError, match="the PIN is wrong"):
        pkcs11.open(uri(pin=None), None, (), WRONG.encode)
    del second
    assert not [token for token in pkcs11_token._logged_in.values() if LABEL in token.name]
    with pytest.raises(KeyMaterialError, match="the PIN is wrong"):
        pkcs11.open(uri(pin=None), None, (), WRONG.encode)


def test_an_algorithm_of_another_key_is_usage(hsm: SoftHsm) -> None:
    with pytest.raises(UsageError, match="not one for ed25519"):
        opened("p256").sign(ALGORITHMS["ed25519"], b"data")


def test_an_algorithm_that_the_token_lacks_is_said(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(algorithm: SignatureAlgorithm, data: bytes) -> Iterator[None]:
        return iter(())

    monkeypatch.setattr(pkcs11, "_ways", none)
    with pytest.raises(KeyMaterialError, match="cannot sign with ecdsa-p256-sha256"):
        opened("p256").sign(ALGORITHMS["ecdsa-p256-sha256"], b"data")


# The PIN.


def test_the_pin_may_come_from_the_passphrase_file(place: Path) -> None:
    done = run("sign", "a", "--key", uri(pin=None), "--passphrase-file", "pin", cwd=place)
    assert (done.code, done.unusual) == (0, "")


def test_a_pin_in_the_uri_is_warned_of(place: Path) -> None:
    done = run("sign", "a", "--key", uri(pin=None) + f"&pin-value={PIN}", cwd=place)
    assert done.code == 0
    assert "list processes" in done.err
    assert_no_pin(done)


def test_a_pin_file_that_others_can_read_is_warned_of(place: Path) -> None:
    (place / "pin").chmod(0o644)
    done = run("sign", "a", "--key", uri(), cwd=place)
    assert done.code == 0
    assert "other users can read or change pin" in done.err


def test_the_pin_is_asked_for_once(hsm: SoftHsm) -> None:
    asked: list[bytes] = []

    def prompt() -> bytes:
        asked.append(WRONG.encode())
        return asked[-1]

    with pytest.raises(KeyMaterialError, match="the PIN is wrong"):
        pkcs11.open(uri(pin=None), None, (), prompt)
    assert len(asked) == 1


@pytest.mark.parametrize(("pin", "message"), [(b"", "the PIN is wrong"), (b"\xff\xfe", "not UTF-8")])
def test_a_pin_that_can_be_none_is_said(hsm: SoftHsm, pin: bytes, message: str) -> None:
    with pytest.raises(KeyMaterialError, match=message):
        pkcs11.open(uri(pin=None), None, (), lambda: pin)


def test_no_way_to_ask_for_the_pin_is_said(place: Path, hsm: SoftHsm) -> None:
    with pytest.raises(KeyMaterialError, match="needs its PIN and none was given"):
        pkcs11.open(uri(pin=None))
    assert "--passphrase-file" in refused(place, hsm, uri(pin=None))


def test_the_pin_is_asked_for_at_the_terminal_and_not_echoed(place: Path, hsm: SoftHsm) -> None:
    script = f"""
import os, pty, sys
child, terminal = pty.fork()
if not child:
    os.execv(sys.executable, [sys.executable, "-c", "from modseal.cli.main import main; main()", *sys.argv[1:]])
shown = b""
while b"PIN: " not in shown:
    shown += os.read(terminal, 1024)
os.write(terminal, b"{PIN}" + bytes([10]))
try:
    while more := os.read(terminal, 1024):
        shown += more
except OSError:
    pass  # how a terminal ends on Linux
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-c", script, "sign", "a", "--key", uri(pin=None)]
    env = {"PYTHONPATH": str(SOURCE), **hsm.env}
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "signed by CN=Token p256 signer" in done.stdout
    assert PIN not in done.stdout + done.stderr


def test_a_wrong_pin_is_one_line_without_it(place: Path, hsm: SoftHsm) -> None:
    expected = f"modseal: the token '{LABEL}' cannot be used: the PIN is wrong"
    assert refused(place, hsm, uri(pin="wrong")) == expected
    assert refused(place, hsm, uri(pin=None), "--passphrase-file", "wrong") == expected
    assert refused(place, hsm, uri(pin=None) + f"&pin-value={WRONG}") == expected


def test_a_missing_pin_file_is_said(place: Path, hsm: SoftHsm) -> None:
    assert "absent cannot be read" in refused(place, hsm, uri(pin="absent"))


def test_the_pin_is_in_no_exception_and_no_representation(hsm: SoftHsm) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        pkcs11.open(uri(pin=None), None, (), WRONG.encode)
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.failure)
    assert WRONG not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert PIN not in repr(opened("always")) + str(opened("p256")._key.session)


def test_the_pin_is_not_in_the_process_list_or_the_environment(place: Path, hsm: SoftHsm) -> None:
    """What the process looks like from outside, at the moment that the token has just signed."""
    script = f"""
import pathlib, sys
from modseal.cli.main import run
from modseal.signing import pkcs11
make = pkcs11.TokenSigner.sign
def sign(*arguments):
    signature = make(*arguments)
    print(*(pathlib.Path("/proc/self", name).read_bytes() for name in ("cmdline", "environ")), *sys.argv)
    return signature
pkcs11.TokenSigner.sign = sign
sys.exit(run(["sign", "a", "--key", {uri()!r}]))
"""
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc")
    env = {"PYTHONPATH": str(SOURCE), **hsm.env}
    done = subprocess.run([sys.executable, "-c", script], cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "SOFTHSM2_CONF" in done.stdout
    assert PIN not in done.stdout + done.stderr


@pytest.mark.parametrize("traceback_wanted", ["", "1"])
def test_an_error_of_the_module_does_not_bring_its_text(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch, traceback_wanted: str
) -> None:
    import pkcs11 as library

    def fail(*arguments: object) -> None:
        raise library.GeneralError(f"login with {PIN} failed")

    monkeypatch.setattr(pkcs11, "_private_key", fail)
    with pytest.raises(KeyMaterialError, match="it failed with GeneralError") as caught:
        opened("p256")
    assert PIN not in "".join(traceback.format_exception(caught.value))


# What is refused.


@pytest.mark.parametrize(
    ("key", "message", "cause"),
    [
        (uri("absent"), "has no private key for the URI that may sign; it has: object=", "token-key-missing"),
        (uri("p256", more=";id=%03"), "has no private key for the URI that may sign", "token-key-missing"),
        (uri("deaf"), "has no private key for the URI that may sign", "token-key-missing"),
        (
            uri("twin"),
            "2 private keys of the token 'release token' match the URI; name one by its id: object=twin id=%1",
            "token-key-several",
        ),
        (uri(None), "private keys of the token 'release token' match the URI", "token-key-several"),
        (uri("uncertified"), "has no certificate with the key's id: name the certificate", "certificate-missing"),
        (uri("renewed"), "has 2 certificates with the key's id: name one with --cert", "certificate-missing"),
        (uri().replace("release", "lost"), "no token matches the URI; there are: ", "token-missing"),
        (uri().replace("token=release%20token;", ""), "2 tokens match the URI, add what tells", "token-several"),
        (f"{URI}?module-path=/nonexistent/module.so", "is not a PKCS#11 module: there is no such", "module-missing"),
        (f"{URI}?module-path={sys.executable}", "cannot be loaded as a PKCS#11 module", "module-unusable"),
        (f"{URI};object=p256", "no PKCS#11 module is named: add ?module-path=FILE, or set PKC", "module-missing"),
        (uri(pin="wrong"), "the PIN is wrong", "pin-wrong"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line_and_what_to_do(
    place: Path, hsm: SoftHsm, key: str, message: str, cause: CauseName
) -> None:
    done = run_process("sign", "a", "--key", key, cwd=place, env=hsm.env)
    said, step = done.err.splitlines()
    assert done.code == 3
    assert message in said
    assert step == f"modseal: next: {CAUSES[cause]}"


def test_the_module_may_be_named_in_the_environment(place: Path, hsm: SoftHsm) -> None:
    env = {**hsm.env, "PKCS11_MODULE_PATH": str(MODULE)}
    key = f"{URI};object=p256?pin-source=pin"
    assert run_process("sign", "a", "--key", key, cwd=place, env=env).code == 0


def test_a_certificate_of_another_key_is_refused_before_anything_is_signed(place: Path, hsm: SoftHsm) -> None:
    (place / "cert.pem").write_bytes(signer("p256").pem)
    for key in (uri("p256"), uri("rsa"), uri("ed25519")):
        done = run_process("sign", "a", "--key", key, "--cert", "cert.pem", cwd=place, env=hsm.env)
        assert (done.code, "belongs to the private key" in done.err) == (1, True)
    with pytest.raises(RefusedError, match="no certificate in the token 'release token' belongs to the private key"):
        opened("mismatched")


def test_a_token_that_tells_no_public_key_is_held_to_its_certificate_by_the_block(
    place: Path, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs11, "_public_values", lambda *arguments: ())
    before = (place / "a").read_bytes()
    done = run("sign", "a", "--key", uri("mismatched"), cwd=place)
    assert (done.code, "does not verify" in done.err) == (1, True)
    assert (place / "a").read_bytes() == before


def test_a_locked_token_is_said_and_its_pin_not_asked_for(place: Path, tmp_path: Path) -> None:
    locked = softhsm.empty(tmp_path / "locked")
    locked.initialize()
    locked.lock()
    message = refused(place, locked, uri())
    assert message.startswith(f"modseal: the token '{LABEL}' cannot be used: its PIN is locked; ")


def test_a_token_that_locks_now_is_said(hsm: SoftHsm) -> None:
    import pkcs11 as library

    with pytest.raises(KeyMaterialError, match="its PIN is locked"), pkcs11_token.converted("the token"):
        raise library.PinLocked


def test_the_last_try_is_said(hsm: SoftHsm) -> None:
    import pkcs11 as library

    def fail(user_pin: str) -> None:
        raise library.PinIncorrect

    after = SimpleNamespace(flags=library.TokenFlag.USER_PIN_FINAL_TRY)
    token = SimpleNamespace(open=fail, slot=SimpleNamespace(get_token=lambda: after))
    with pytest.raises(KeyMaterialError, match="the PIN is wrong; one more wrong PIN locks it"):
        pkcs11_token._open(library, "the token", token, WRONG)


def test_a_keypad_is_asked_and_not_the_user(hsm: SoftHsm) -> None:
    import pkcs11 as library

    flags = library.TokenFlag.LOGIN_REQUIRED | library.TokenFlag.PROTECTED_AUTHENTICATION_PATH
    for of_token, expected in ((flags, library.PROTECTED_AUTH), (library.TokenFlag(0), None)):
        token = SimpleNamespace(flags=of_token)
        assert pkcs11_token._pin(library, "it", token, pkcs11_uri.parse("pkcs11:"), None) == (expected, ())


def test_without_the_extra_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(UsageError, match=r"pip install modseal\[pkcs11\]"):
        keys.open("pkcs11:object=a?module-path=/lib/module.so")


def test_without_the_extra_it_is_one_line(place: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pkcs11", None)
        done = run("sign", "a", "--key", uri(), cwd=place)
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_a_long_reference_is_not_shown_as_a_file_name(tmp_path: Path) -> None:
    """The system refuses to look for such a file, and its error would have the name in it."""
    key = f"pkcs11:object={'a' * 5000}?module-path=/nonexistent&pin-value={PIN}"
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    done = run_process("sign", "a", "--key", key, cwd=tmp_path)
    assert done.code in (2, 3)
    assert PIN not in done.err


@pytest.mark.parametrize("kind", ["dsa", "ed448", "ml-dsa-44", "rsa"])
def test_a_certificate_of_any_kind_can_be_compared(kind: str) -> None:
    assert not pkcs11._belongs(signer(kind).certificate, (b"other",))
    assert pkcs11._belongs(signer(kind).certificate, ())


def test_each_failure_is_an_error_of_ours() -> None:
    for error in (RuntimeError, KeyError, ValueError, NotImplementedError):
        with pytest.raises(ModsealError), pkcs11_token.converted("the token"):
            raise error(PIN)
