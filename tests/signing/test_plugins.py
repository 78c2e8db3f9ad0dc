"""Key plug-ins: the interface, whatever a plug-in does wrong, and the example for AWS KMS against moto."""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from builders import policies
from builders.bundles import make
from builders.pki import Identity, ca, leaf, new_key, root, signer
from builders.softhsm import InToken
from builders.transcript import run
from modseal.causes import CAUSES
from modseal.errors import KeyMaterialError, ModsealError, RefusedError, UsageError
from modseal.pki import algorithms
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import keys, plugins
from modseal.signing.plugins import PluginSigner

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "kms-plugin"
SECRET = "token-71b2"
SPECS = {"RSA_2048": "rsa", "ECC_NIST_P256": "p256", "ECC_NIST_P384": "p384", "ECC_NIST_P521": "p521"}
ROW = ALGORITHMS["ecdsa-p256-sha256"]


def install(folder: Path, package: str, *points: str) -> None:
    """What an installer leaves of a package: its metadata with entry points, in a folder of sys.path."""
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join([f"[{plugins.GROUP}]", *points, ""]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages can be installed into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


Serve = Callable[..., None]


@pytest.fixture
def serve(site: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Install a plug-in for `test:` keys whose key is what is given, or whose factory is."""
    install(site, "test-plugin", "test = served_here:factory")

    def served(factory: Callable[[str], Any] | None = None, **changes: Any) -> None:
        good = signer()
        members = {"certificate": good.certificate, "chain": (), "public_key": good.key.public_key()}
        members["sign"] = lambda algorithm, data: good.key.sign(data, ec.ECDSA(hashes.SHA256()))
        key = SimpleNamespace(**(members | changes))
        module = SimpleNamespace(factory=factory or (lambda reference: key))
        monkeypatch.setitem(sys.modules, "served_here", module)  # type: ignore[arg-type]

    return served


def written(folder: Path, *identities: Identity) -> Path:
    path = folder / "cert.pem"
    path.write_bytes(b"".join(identity.pem for identity in identities))
    return path


# The interface.


def test_a_plug_in_signs_what_verifies(serve: Serve) -> None:
    serve()
    made = keys.open("test:anything")
    assert isinstance(made, PluginSigner)
    algorithms.verify(ROW, made.certificate.public_key(), made.sign(ROW, b"data"), b"data")


def test_the_whole_reference_goes_to_the_plug_in(serve: Serve) -> None:
    seen: list[str] = []
    serve(lambda reference: seen.append(reference) or SimpleNamespace(certificate=None, chain=(), public_key=None))
    with pytest.raises(KeyMaterialError, match="the test: key has no certificate"):
        keys.open("test:a/b?c=d&e#f")
    assert seen == ["test:a/b?c=d&e#f"]


def test_a_certificate_file_goes_before_the_plug_ins_own(serve: Serve, tmp_path: Path) -> None:
    serve()
    renewed = leaf("Renewed", key=signer().key)
    assert keys.open("test:", written(tmp_path, signer("p384"), renewed)).certificate == renewed.certificate


def test_the_plug_ins_chain_is_embedded_where_it_leads_up(serve: Serve, tmp_path: Path) -> None:
    stranger, above = ca("Stranger"), root()
    serve(chain=[stranger.certificate, above.certificate])
    assert keys.open("test:").chain == (above.certificate,)
    serve(certificate=None, chain=[above.certificate])
    made = keys.open("test:", written(tmp_path, signer()))
    assert (made.certificate, made.chain) == (signer().certificate, (above.certificate,))


def test_a_certificate_of_another_key_is_refused(serve: Serve, tmp_path: Path) -> None:
    serve()
    with pytest.raises(RefusedError, match="belongs to the private key"):
        keys.open("test:", written(tmp_path, signer("p384")))
    serve(certificate=signer("p384").certificate)
    with pytest.raises(RefusedError, match="no certificate in the test: key belongs"):
        keys.open("test:")


def test_a_plug_in_that_tells_no_public_key_is_held_to_its_certificate_by_the_block(
    serve: Serve, tmp_path: Path
) -> None:
    serve(public_key=None, certificate=signer("p256", 1).certificate)
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    done = run("sign", "a", "--key", "test:", cwd=tmp_path)
    assert (done.code, "does not verify" in done.err) == (1, True)


def test_an_algorithm_of_another_key_is_usage(serve: Serve) -> None:
    serve()
    with pytest.raises(UsageError, match="not one for ed25519"):
        keys.open("test:").sign(ALGORITHMS["ed25519"], b"data")


def test_a_file_with_such_a_name_is_a_file(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test:key").write_bytes(signer().key_pem)
    assert not isinstance(keys.open("test:key", written(tmp_path, signer())), PluginSigner)


def test_built_in_schemes_are_not_for_plug_ins(site: Path, tmp_path: Path) -> None:
    install(site, "greedy", "file = greedy:factory", "pkcs11 = greedy:factory")
    (tmp_path / "key").write_bytes(signer().key_pem)
    assert keys.open(f"file:{tmp_path}/key", written(tmp_path, signer()))
    with pytest.raises(UsageError, match="pkcs11: URI is not usable"):
        keys.open("pkcs11:greedy")


def test_a_plug_in_that_is_not_asked_for_is_not_imported(site: Path, serve: Serve) -> None:
    install(site, "quiet", "quiet = quiet_plugin:factory")
    (site / "quiet_plugin.py").write_text("raise SystemExit('imported')")
    serve()
    keys.open("test:")
    assert "quiet_plugin" not in sys.modules


# What goes wrong.


def test_a_scheme_without_a_plug_in_points_to_other_ways() -> None:
    with pytest.raises(UsageError, match=r"no plug-in for vault: keys is installed; .* sign in two steps") as caught:
        keys.open(f"vault:{SECRET}")
    assert SECRET not in str(caught.value)


def test_two_plug_ins_for_one_scheme_are_refused(site: Path) -> None:
    install(site, "one", "double = one:factory")
    install(site, "two", "double = two:factory")
    with pytest.raises(UsageError, match="several plug-ins serve double: keys; uninstall all but one of one, two"):
        keys.open("double:a")


def test_a_plug_in_that_cannot_be_imported_is_said(site: Path) -> None:
    install(site, "broken", "absent = no_such_module:factory", "nameless = sys:no_such_name")
    with pytest.raises(
        KeyMaterialError, match="the plug-in for absent: keys failed with ModuleNotFoundError"
    ) as caught:
        keys.open("absent:a")
    assert caught.value.failure.next_step == CAUSES["plugin-broken"]
    with pytest.raises(KeyMaterialError, match="the plug-in for nameless: keys failed with AttributeError"):
        keys.open("nameless:a")


def fail(*arguments: object) -> Any:
    raise OSError(f"cannot use {SECRET}")


@pytest.mark.parametrize(
    "changes",
    [
        {"factory": fail},
        {"factory": lambda reference: None},
        {"certificate": b"bytes"},
        {"chain": [None, "text"]},
        {"chain": None},
    ],
)
def test_a_plug_in_that_does_not_keep_the_interface_is_said(serve: Serve, changes: dict[str, Any]) -> None:
    serve(**changes)
    with pytest.raises(KeyMaterialError, match="the plug-in for test: keys") as caught:
        keys.open(f"test:{SECRET}")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("sign", [fail, lambda *_: None, lambda *_: b"", lambda *_: "text"])
def test_a_plug_in_that_does_not_sign_is_said_in_one_line(serve: Serve, sign: Any, tmp_path: Path) -> None:
    serve(sign=sign)
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    done = run("sign", "a", "--key", f"test:{SECRET}", cwd=tmp_path)
    assert (done.code, len(done.err.splitlines())) == (3, 2)
    assert "the plug-in for test: keys" in done.err
    assert done.err.endswith(f"next: {CAUSES['plugin-failed' if sign is fail else 'plugin-broken']}\n")
    assert SECRET not in done.err


@pytest.mark.parametrize("error", [UsageError("say this"), KeyMaterialError("say this")])
def test_our_errors_pass_with_their_sentence(serve: Serve, error: ModsealError) -> None:
    def factory(reference: str) -> Any:
        raise error

    serve(factory)
    with pytest.raises(type(error), match="say this"):
        keys.open("test:")


def test_a_signer_shows_neither_key_nor_reference(serve: Serve) -> None:
    serve()
    assert "Key" not in repr(keys.open(f"test:{SECRET}"))
    assert SECRET not in repr(keys.open(f"test:{SECRET}"))


# The example.


@pytest.fixture
def kms(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example as it would be installed, and a KMS without keys."""
    pytest.importorskip("boto3", reason="no boto3")
    moto = pytest.importorskip("moto", reason="no moto")
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"][plugins.GROUP]
    install(site, "modseal-awskms", *(f"{name} = {value}" for name, value in points.items()))
    monkeypatch.syspath_prepend(EXAMPLE)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with moto.mock_aws():
        import boto3

        yield boto3.client("kms")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "a").write_bytes(make("seal").unsigned().data)
    policies.write(folder)
    return folder


def new_kms_key(kms: Any, spec: str) -> tuple[str, Identity]:
    """The ARN of a key in KMS, and a certificate for it."""
    made = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    kms.create_alias(AliasName="alias/release", TargetKeyId=made["KeyId"])
    public = load_der_public_key(kms.get_public_key(KeyId=made["KeyId"])["PublicKey"])
    return made["Arn"], leaf(f"KMS {spec} signer", key=InToken(public))


@pytest.mark.parametrize("spec", SPECS)
def test_each_kind_of_key_in_kms_signs_what_verifies(kms: Any, place: Path, spec: str) -> None:
    _, identity = new_kms_key(kms, spec)
    written(place, identity)
    done = run("sign", "a", "--key", "awskms:alias/release", "--cert", "cert.pem", cwd=place)
    assert (done.code, done.unusual) == (0, "")
    assert f"CN=KMS {spec} signer" in done.out
    assert run("verify", "a", "--policy", "policy.toml", cwd=place).code == 0


@pytest.mark.parametrize("name", ["rsa-pkcs1-sha256", "rsa-pkcs1-sha384", "rsa-pkcs1-sha512"])
def test_each_rsa_algorithm_of_kms_is_a_choice(kms: Any, place: Path, name: str) -> None:
    arn, identity = new_kms_key(kms, "RSA_2048")
    written(place, identity)
    done = run("sign", "a", "--key", f"awskms:{arn}", "--cert", "cert.pem", "--algorithm", name, cwd=place)
    assert (done.code, done.unusual) == (0, "")
    assert run("verify", "a", "--policy", "policy.toml", cwd=place).code == 0


def test_the_region_of_an_arn_goes_before_the_usual_one(kms: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arn, identity = new_kms_key(kms, "ECC_NIST_P256")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    written(place, identity)
    assert run("sign", "a", "--key", f"awskms:{arn}", "--cert", "cert.pem", "-o", "b", cwd=place).code == 0
    done = run("sign", "a", "--key", "awskms:alias/release", "--cert", "cert.pem", cwd=place)
    assert (done.code, "KMS refuses: NotFoundException" in done.err) == (3, True)


class Kms:
    """KMS as AWS documents it, where moto differs: PSS salts as long as the digest, and digests to sign."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def sign(self, **request: Any) -> dict[str, bytes]:
        form, _, bits = request["SigningAlgorithm"].rpartition("_SHA_")
        kind = getattr(hashes, f"SHA{bits}")()
        assert request["MessageType"] == "DIGEST" or len(request["Message"]) <= 4096
        digest = utils.Prehashed(kind) if request["MessageType"] == "DIGEST" else kind
        if form == "ECDSA":
            return {"Signature": self.key.sign(request["Message"], ec.ECDSA(digest))}
        pss = padding.PSS(padding.MGF1(kind), kind.digest_size)
        chosen = {"RSASSA_PSS": pss, "RSASSA_PKCS1_V1_5": padding.PKCS1v15()}[form]
        return {"Signature": self.key.sign(request["Message"], chosen, digest)}


@pytest.mark.parametrize("size", [4096, 4097])
@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name.startswith(("rsa", "ecdsa-p256"))])
def test_kms_signs_a_message_or_the_digest_of_a_long_one(kms: Any, name: str, size: int) -> None:
    from modseal_awskms import KmsKey

    key, row = new_key("rsa" if name.startswith("rsa") else "p256"), ALGORITHMS[name]
    signature = KmsKey(key.public_key(), Kms(key), "id").sign(row, bytes(size))
    algorithms.verify(row, key.public_key(), signature, bytes(size))


def test_kms_failures_are_one_line_without_a_secret(kms: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(place, signer())
    arn, identity = new_kms_key(kms, "ECC_NIST_P256")
    cases = {
        "awskms:": (2, "names no key"),
        "awskms:alias/absent": (3, "KMS refuses: NotFoundException"),
        f"awskms:{arn}": (1, "belongs to the private key"),
    }
    for key, (code, message) in cases.items():
        done = run("sign", "a", "--key", key, "--cert", "cert.pem", cwd=place)
        assert (done.code, message in done.err.splitlines()[0]) == (code, True), done.err
        assert SECRET not in done.err
    done = run("sign", "a", "--key", f"awskms:{arn}", cwd=place)
    assert (done.code, "the awskms: key has no certificate" in done.err) == (3, True)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    done = run("sign", "a", "--key", "awskms:alias/release", "--cert", "cert.pem", cwd=place)
    assert (done.code, "KMS cannot be used: NoRegionError" in done.err) == (3, True)
    assert identity


def test_an_algorithm_that_kms_lacks_is_said(kms: Any) -> None:
    import modseal_awskms

    with pytest.raises(KeyMaterialError, match="KMS cannot sign with ed25519"):
        modseal_awskms.KmsKey(None, None, "id").sign(ALGORITHMS["ed25519"], b"data")


def test_the_example_keeps_the_interface() -> None:
    """Its entry point is in the group, and names what is in its one module."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    points = project["project"]["entry-points"]
    assert list(points) == [plugins.GROUP]
    (value,) = points[plugins.GROUP].values()
    entry = importlib.metadata.EntryPoint("awskms", value, plugins.GROUP)
    assert f"def {entry.attr}(" in (EXAMPLE / f"{entry.module}.py").read_text()
