"""The files of a policy (PEM-01 to PEM-05): what a damaged or misplaced part of one could let in. Any damage is
in tests/trust/test_damaged_policies.py (PEM-06)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import crls, trust_bundles
from builders.bundles import judge, make
from builders.pki import Identity, ca, issue, leaf, new_key, root, signer
from builders.policies import write
from builders.transcript import run
from modseal.errors import PolicyError
from modseal.policy.rotation import policy_of
from modseal.policy.sources import load

OTHER = ca("Other CA", key=new_key("p256", 60))
REVOKED = make("seal", signer())


def pem(content: bytes, label: str = "X509 CRL") -> bytes:
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label.encode(), base64.encodebytes(content), label.encode())


FIRST, SECOND = pem(crls.make(OTHER)), pem(crls.make(root(), signer()))


def policy(folder: Path, lists: bytes, more: str = "", *, anchor: bytes = b"") -> Path:
    """A policy with two CAs and one file of CRLs."""
    (folder / "lists.pem").write_bytes(lists)
    (folder / "other.pem").write_bytes(OTHER.pem)
    path = write(folder, more=f'[revocation]\ncrls = ["lists.pem"]\n{more}')
    path.write_text(path.read_text().replace("\n[[anchor]]", '\nintermediates = ["other.pem"]\n[[anchor]]', 1))
    if anchor:
        (folder / "root.pem").write_bytes(anchor)
    return path


def unusable(path: Path, *words: str) -> None:
    """The policy cannot be used, by any command, and it says where and why."""
    with pytest.raises(PolicyError) as caught:
        load(str(path))
    told = caught.value.failure.detail
    assert all(word in told for word in words), told
    done = run("policy", "check", path.name, cwd=path.parent)
    assert done.code == 3
    assert told.removeprefix(f"{path.parent}/").split(" (and ")[0] in done.err


def test_the_undamaged_policy_rejects_the_revoked_signer(tmp_path: Path) -> None:
    """What the other tests break."""
    assert judge(REVOKED, load(str(policy(tmp_path, FIRST + SECOND)))).primary.code == "revoked"


@pytest.mark.parametrize(
    "second",
    [
        SECOND[:-1].rsplit(b"\n", 2)[0],
        SECOND[: len(SECOND) // 2],
        SECOND[:30],
        SECOND.replace(b"M", b"!", 1),
        SECOND.replace(b"CRL-----\n", b"CRL-----\nProc-Type: 4,CRL\n\n", 1),
        SECOND.replace(b"X509 CRL", b"CRL"),
        SECOND.replace(b"X509 CRL", b"CERTIFICATE"),
        SECOND.replace(b"-----BEGIN", b"----BEGIN"),
        SECOND.replace(b"-----END", b"----END"),
        SECOND.replace(b"END X509 CRL", b"END CRL"),
        SECOND.replace(b"\n", b"\n\n"),
        SECOND.replace(b"\n", b""),
        crls.make(root(), signer()),
    ],
    ids=range(13),
)
def test_PEM_01_a_second_list_that_is_not_whole_refuses_the_policy(second: bytes, tmp_path: Path) -> None:
    first_line_of_second = FIRST.count(b"\n") + 1
    unusable(policy(tmp_path, FIRST + second), "policy.toml:10: revocation.crls: lists.pem: line ")
    with pytest.raises(PolicyError) as caught:
        load(str(tmp_path / "policy.toml"))
    assert int(caught.value.failure.detail.split("line ")[1].split(":")[0]) >= first_line_of_second


@pytest.mark.parametrize("after", [crls.make(root(), signer()), SECOND, b"\n", b"\0"], ids=range(4))
def test_PEM_01_der_is_one_value_and_nothing_after_it(after: bytes, tmp_path: Path) -> None:
    unusable(policy(tmp_path, crls.make(OTHER) + after), "lists.pem: the file has bytes after the end")


@pytest.mark.parametrize("glue", [lambda a, b: a + b, lambda a, b: b + a], ids=["after", "before"])
@pytest.mark.parametrize(
    ("stranger", "words"),
    [
        (SECOND, "a CRL: name it in a file of its own, under `crls` in [revocation]"),
        (root(1).pem, "2 certificates; an anchor is one"),
        (root(1).pem.replace(b"CERT", b"TRUSTED CERT"), "openssl x509"),
        (pem(b"\x30\x00", "PKCS7"), "openssl pkcs7"),
        (pem(b"\x30\x00", "PUBLIC KEY"), "a public key"),
    ],
    ids=range(5),
)
def test_PEM_02_an_anchors_file_has_one_certificate_and_nothing_else(
    stranger: bytes, words: str, glue: Callable[[bytes, bytes], bytes], tmp_path: Path
) -> None:
    unusable(policy(tmp_path, FIRST + SECOND, anchor=glue(root().pem, stranger)), "root.pem", words)


def test_PEM_02_a_certificate_among_crls_is_told(tmp_path: Path) -> None:
    unusable(policy(tmp_path, FIRST + root().pem + SECOND), "a certificate, which an anchor")


@pytest.mark.parametrize("name", ["root.pem", "other.pem", "lists.pem"])
@pytest.mark.parametrize("der", [False, True])
def test_PEM_03_no_file_of_a_policy_has_a_private_key(name: str, der: bool, tmp_path: Path) -> None:
    path = policy(tmp_path, FIRST + SECOND)
    own = b"" if der else (tmp_path / name).read_bytes()
    key = base64.b64decode(b"".join(signer().key_pem.split(b"\n")[1:-2])) if der else signer().key_pem
    for data in (own + key, key + own):
        (tmp_path / name).write_bytes(data)
        unusable(path, name, "a private key, which belongs to its owner alone")
        _makes_no_trust_bundle(tmp_path, signer())


def test_PEM_03_the_policy_itself_has_no_private_key(tmp_path: Path) -> None:
    path = policy(tmp_path, FIRST + SECOND)
    path.write_text(path.read_text() + "".join(f"# {line}\n" for line in signer().key_pem.decode().splitlines()))
    unusable(path, "a private key, which belongs to its owner alone")
    _makes_no_trust_bundle(tmp_path, signer())


def _makes_no_trust_bundle(folder: Path, secret: Identity) -> None:
    keeper = trust_bundles.A
    (folder / "keeper.key").write_bytes(keeper.key_pem)
    (folder / "keeper.pem").write_bytes(keeper.pem)
    before = sorted(folder.iterdir())
    options = ("--root-key", "keeper.key", "--root-cert", "keeper.pem", "--version", "1", "--expires", "2030-01-01")
    done = run("policy", "bundle", "policy.toml", *options, "-o", "1.trust", cwd=folder)
    assert done.code == 3
    assert sorted(folder.iterdir()) == before
    assert secret.key_pem.split(b"\n")[1].decode() not in done.out + done.err


def test_PEM_03_a_trust_bundle_that_carries_a_private_key_is_not_taken_in() -> None:
    contents = trust_bundles.files(**{"anchors/root.pem": root().pem + signer().key_pem})
    with pytest.raises(PolicyError, match="a private key"):
        policy_of(trust_bundles.make(contents=contents), "trust bundle")


@pytest.mark.parametrize(
    "text",
    [
        SECOND.split(b"\n", 1)[1],
        SECOND.split(b"\n", 1)[1].rsplit(b"-----END", 1)[0],
        b"".join(b"# " + line + b"\n" for line in SECOND.splitlines()),
        b" " + SECOND,
        SECOND.replace(b"-----", b""),
        b"> " + SECOND.replace(b"\n", b"\n> "),
        "–".encode() + SECOND[5:],
    ],
    ids=range(7),
)
def test_PEM_04_text_does_not_hide_a_block(text: bytes, tmp_path: Path) -> None:
    for lists in (text + FIRST, FIRST + text, FIRST + text + FIRST):
        unusable(policy(tmp_path, lists), "lists.pem: line ")


def test_PEM_04_text_at_the_end_is_the_beginning_of_something(tmp_path: Path) -> None:
    unusable(policy(tmp_path, SECOND + b"# the CRL of Other CA\n"), "text after which no block follows")


# One byte of a well-formed file.


def test_PEM_05_no_byte_of_a_crl_can_be_changed(tmp_path: Path) -> None:
    """Every byte, so also those of the issuer's name, of the serial number and of the signature."""
    path, content = policy(tmp_path, FIRST + SECOND), crls.make(root(), signer())
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        (tmp_path / "lists.pem").write_bytes(FIRST + pem(bytes(changed)))
        with pytest.raises(PolicyError):
            load(str(path))


def test_PEM_05_a_damaged_list_does_not_hide_behind_a_good_one(tmp_path: Path) -> None:
    damaged = bytearray(crls.make(root(), signer()))
    damaged[-1] ^= 1
    unusable(policy(tmp_path, pem(crls.make(root())) + pem(bytes(damaged))), "did not sign this CRL as it is")


def of(issuer: Identity, *revoked: Identity) -> bytes:
    return pem(crls.make(issuer, *revoked, extensions=crls.key_id(issuer)))


def test_PEM_05_a_crl_counts_with_its_issuers_certificate_alone(tmp_path: Path) -> None:
    stranger = of(root(7))
    unusable(policy(tmp_path, SECOND + stranger), "name it under 'intermediates'")
    # Where every issuer must have one, a bundle may bring the issuer: the one list is missed if it is damaged.
    assert load(str(policy(tmp_path, SECOND + stranger, "required = true\n")))
    assert load(str(policy(tmp_path, SECOND + stranger + stranger, "required = true\n")))
    unusable(policy(tmp_path, SECOND + stranger + of(root(7), signer()), "required = true\n"), "under 'intermediates'")


def renamed(content: bytes) -> bytes:
    """One letter of the issuer's name is another."""
    assert content.count(b"Test root") == 1
    return content.replace(b"Test root", b"Tesu root")


@pytest.mark.parametrize("issuer", [root(), root(7), ca("Nameless key", key=new_key("p256", 62), key_id=None)])
def test_PEM_05_the_second_list_of_a_ca_does_not_become_that_of_another_ca(tmp_path: Path, issuer: Identity) -> None:
    """Its issuer's name is damaged, and with `required` it looks like the one list of a CA that a bundle brings."""
    name = issuer.certificate.subject
    first, second = (
        crls.make(root(7), *revoked, name=name, key=issuer.key, extensions=crls.key_id(issuer))
        for revoked in ((), (signer(),))
    )
    damaged = second.replace(b"Test", b"Tesu", 1)
    assert damaged != second
    path = policy(tmp_path, pem(first) + pem(damaged), "required = true\n")
    if issuer != root(7):
        (tmp_path / "other.pem").write_bytes(issuer.pem)
    unusable(path, "name it under 'intermediates'")


def test_PEM_05_a_list_that_does_not_say_by_which_key_could_be_anybodys(tmp_path: Path) -> None:
    first = pem(crls.make(root()))
    damaged = pem(renamed(crls.make(root(), signer())))
    unusable(policy(tmp_path, first + damaged, "required = true\n"), "name it under 'intermediates'")


def test_PEM_05_no_byte_of_an_anchor_that_signed_itself_can_be_changed(tmp_path: Path) -> None:
    path = policy(tmp_path, FIRST + SECOND)
    good = load(str(path))
    for position in range(len(root().der)):
        changed = bytearray(root().der)
        changed[position] ^= 1
        (tmp_path / "root.pem").write_bytes(pem(bytes(changed), "CERTIFICATE"))
        try:
            found = load(str(path))
        except PolicyError:
            continue
        assert judge(REVOKED, found).verdict != "accepted", position
    assert good.anchors[0].certificate == root().parsed


def test_PEM_05_an_anchor_that_another_key_signed_is_taken_as_it_is(tmp_path: Path) -> None:
    """A CA's new key under its old name, as PKITS has it, and a CA below another one."""
    old = root()
    renewed = issue(
        "Test root 0",
        issuer=old,
        key=new_key("p256", 61),
        basic=(True, None),
        usage=("key_cert_sign", "crl_sign"),
        purposes=None,
        extensions=[(_issued_by(old), False)],
    )
    below = leaf("Below", issuer=renewed)
    lists = pem(crls.make(renewed))
    path = policy(tmp_path, lists, anchor=renewed.pem)
    assert judge(make("seal", below), load(str(path))).verdict == "accepted"


def _issued_by(issuer: Identity) -> object:
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def test_PEM_06_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    path = policy(tmp_path, FIRST + SECOND)
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    unusable(path, "starts with a byte order mark")
    path.write_bytes(text.encode("utf-16"))
    unusable(path, "text in UTF-16")


SECRET_TEXTS = {
    "openssl": "Private-Key: (256 bit)\npriv:\n    0a:1b:2c:3d\npub:\n    04:05\n",
    "openssl, its first line lost": "priv:\n    0a:1b:2c:3d\n",
    "openssl, rsa": "    privateExponent:\n    0a:1b\nprime1:\n    2c:3d\n",
    "jwk": '{"kty": "EC", "crv": "P-256", "x": "AA", "d":"c2VjcmV0"}\n',
    "jwk in lines": '{\n  "kty": "EC",\n  "d" : "c2VjcmV0"\n}\n',
    "age": "AGE-SECRET-KEY-1QQQQ\n",
    "putty": "PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\n",
}


@pytest.mark.parametrize("name", ["root.pem", "other.pem", "lists.pem"])
@pytest.mark.parametrize("text", SECRET_TEXTS.values(), ids=SECRET_TEXTS)
def test_PEM_03_a_private_key_in_another_form_is_no_explanatory_text(name: str, text: str, tmp_path: Path) -> None:
    path = policy(tmp_path, FIRST + SECOND)
    (tmp_path / name).write_bytes(text.encode() + (tmp_path / name).read_bytes())
    unusable(path, name, "a private key, which belongs to its owner alone")
    _makes_no_trust_bundle(tmp_path, signer())


@pytest.mark.parametrize("text", SECRET_TEXTS.values(), ids=SECRET_TEXTS)
def test_PEM_03_a_private_key_in_another_form_is_no_comment_of_a_policy(text: str, tmp_path: Path) -> None:
    path = policy(tmp_path, FIRST + SECOND)
    path.write_text("".join(f"# {line}\n" for line in text.splitlines()) + path.read_text())
    unusable(path, "a private key, which belongs to its owner alone")
    _makes_no_trust_bundle(tmp_path, signer())
