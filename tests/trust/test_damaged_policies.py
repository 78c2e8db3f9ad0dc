"""Any damage to a file of a policy: what was not accepted is not accepted then (PEM-06).

`MODSEAL_DAMAGES` sets how many damages are tried for each policy. Two things cannot be seen, and are left out: a whole
block that is gone, and a policy whose text says something else.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import crls, trust_bundles, tsa
from builders.bundles import Bundle, judge, make
from builders.pki import ca, leaf, new_key, root, signer
from modseal.errors import ModsealError, PolicyError
from modseal.format import toml_text, trust_bundle
from modseal.format.level import Level
from modseal.policy.file import parse
from modseal.policy.rotation import policy_of
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

COUNT = int(os.environ.get("MODSEAL_DAMAGES", "60"))
ISSUING = ca("Issuing CA", issuer=root(), key=new_key("p256", 80))
BELOW = leaf("Below", issuer=ISSUING, key=new_key("p256", 81))
REVOKED, DENIED = signer("p256", 5), signer("p256", 6)
HEAD = 'schema = "modseal/policy@1"\nminimum-level = "partner"\n'
ANCHOR = '[[anchor]]\nname = "Root"\ncertificate = "root.pem"\ngrants = "partner"\nvendors = ["*"]\n'


def block(content: bytes) -> bytes:
    return b"-----BEGIN X509 CRL-----\n%s-----END X509 CRL-----\n" % base64.encodebytes(content)


LISTS = (
    b"# of the root\n"
    + block(crls.make(root(), REVOKED))
    + b"\nof the issuing CA:\n"
    + block(crls.make(ISSUING, BELOW))
)
FILES: Mapping[str, bytes] = {
    "root.pem": b"The root of tests\n" + root().pem,
    "issuing.pem": ISSUING.pem + root(1).pem,
    "lists.pem": LISTS,
    "old.pem": block(crls.make(root())) + block(crls.make(root(), REVOKED)),
    "root.crl": crls.make(root(), REVOKED),
    "tsa.pem": tsa.tsa_root().pem,
}
POLICIES = {
    "lists": HEAD + 'intermediates = ["issuing.pem"]\n' + ANCHOR + '[revocation]\ncrls = ["lists.pem"]\n',
    "two lists of one CA": HEAD + ANCHOR + '[revocation]\ncrls = ["old.pem"]\n',
    "two lists of one CA, required": HEAD + ANCHOR + '[revocation]\ncrls = ["old.pem"]\nrequired = true\n',
    "required": HEAD + ANCHOR + '[revocation]\ncrls = ["root.crl"]\nrequired = true\n',
    "DER and deny": HEAD
    + ANCHOR
    + f'[revocation]\ncrls = ["root.crl"]\n[deny]\nsigners = ["sha256:{DENIED.fingerprint}"]\n',
    "time": HEAD + ANCHOR + '[time]\nanchors = ["tsa.pem"]\nrequire-timestamp = true\n',
    "pin": HEAD
    + f'[[anchor]]\nname = "Pin"\nfingerprint = "sha256:{signer().fingerprint}"\ngrants = "partner"\n'
    + '[deny]\nnames = ["evil-*"]\n[signers]\nrequired = ["Pin"]\n',
}


def stamped(bundle: Bundle) -> Bundle:
    return bundle.with_block(tsa.stamped(bundle.manifest_bytes, signer(), tsa.token))


GOOD = make("seal", signer(), claimed_level=Level.PARTNER)
BUNDLES = (
    GOOD,
    stamped(GOOD),
    make("seal", REVOKED, claimed_level=Level.PARTNER),
    make("seal", BELOW.with_chain(ISSUING), claimed_level=Level.PARTNER),
    make("seal", DENIED, claimed_level=Level.PARTNER),
    make("seal", leaf("Stranger", issuer=root(4)), claimed_level=Level.PARTNER),
    make("seal", signer(), claimed_level=Level.CERTIFIED),
    make("vib", signer(), claimed_level=Level.COMMUNITY),
    make("seal", signer(), claimed_level=Level.PARTNER, name="evil-agent"),
)


def read(text: bytes, files: Mapping[str, bytes]) -> Policy:
    def content(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(2, "No such file", name)
        return files[name]

    return parse(text, "policy.toml", content)


def accepted(policy: Policy) -> list[bool]:
    return [judge(bundle, policy).verdict is Verdict.ACCEPTED for bundle in BUNDLES]


BEFORE = {name: accepted(read(text.encode(), FILES)) for name, text in POLICIES.items()}


def widened(name: str, text: bytes, files: Mapping[str, bytes]) -> list[int]:
    """The bundles that are accepted now, and were not before."""
    try:
        policy = read(text, files)
    except PolicyError:
        return []
    after = accepted(policy)
    return [number for number, (was, now) in enumerate(zip(BEFORE[name], after, strict=True)) if now and not was]


@st.composite
def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, flipped, deleted from, added to, or two parts exchanged."""
    kind = draw(st.sampled_from(["cut", "head", "flip", "delete", "insert", "replace", "repeat"]))
    start = draw(st.integers(0, len(data) - 1))
    end = min(start + draw(st.integers(1, 400) | st.integers(1, 4)), len(data))
    if kind == "cut":
        return data[:start]
    if kind == "head":
        return data[start:]
    if kind == "flip":
        return data[:start] + bytes([data[start] ^ (1 << draw(st.integers(0, 7)))]) + data[start + 1 :]
    if kind == "delete":
        return data[:start] + data[end:]
    if kind == "repeat":
        return data[:end] + data[start:]
    new = draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\n", b"#", b"-", b"=", b"\r\n", b"-----", b" "]))
    return data[:start] + new + data[start if kind == "insert" else end :]


def blocks(data: bytes) -> list[bytes]:
    return re.findall(rb"-----BEGIN [^-]+-----[^-]+-----END [^-]+-----", data)


def lost_a_whole_block(before: bytes, after: bytes) -> bool:
    """Whether what is left are whole blocks, fewer than there were: no reader can see that."""
    old, new = blocks(before), blocks(after)
    return len(set(new)) < len(set(old)) and set(new) <= set(old)


def test_the_undamaged_policies_accept_something_and_refuse_something() -> None:
    for name, found in BEFORE.items():
        assert any(found), name
        assert not all(found), name
    assert not BEFORE["lists"][2]
    assert not BEFORE["lists"][3]
    assert not BEFORE["DER and deny"][4]


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "pin"])
def test_PEM_06_damage_to_a_named_file_never_widens_what_is_accepted(name: str) -> None:
    used = [file for file in FILES if f'"{file}"' in POLICIES[name]]

    @settings(max_examples=COUNT, database=None)
    @given(st.data())
    def try_one(data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(used))
        changed = data.draw(damage(FILES[file]))
        if not lost_a_whole_block(FILES[file], changed):
            assert widened(name, POLICIES[name].encode(), {**FILES, file: changed}) == []

    try_one()


@pytest.mark.parametrize("name", POLICIES)
def test_PEM_06_damage_to_the_policy_itself_widens_nothing_but_by_what_it_says(name: str) -> None:
    text = POLICIES[name].encode()
    values = toml_text.parse(text).values

    @settings(max_examples=COUNT, database=None)
    @given(damage(text))
    def try_one(changed: bytes) -> None:
        if widened(name, changed, FILES):
            assert toml_text.parse(changed).values != values

    try_one()


@pytest.mark.parametrize("name", POLICIES)
def test_PEM_06_a_misspelt_word_of_the_policy_refuses_it(name: str) -> None:
    """Every letter of every key and table."""
    text = POLICIES[name]
    words = re.finditer(r"^(?:\[+([a-z.]+)\]+|([a-z-]+) =)", text, re.MULTILINE)
    for word in words:
        for position in range(*word.span(1 if word[1] else 2)):
            for new in "x_":
                if text[position] != new:
                    with pytest.raises(PolicyError):
                        read((text[:position] + new + text[position + 1 :]).encode(), FILES)


CARRIED = {name: FILES[name] for name in ("root.pem", "issuing.pem", "lists.pem")}
IN_A_BUNDLE = trust_bundle.encode(trust_bundles.make(contents={"policy.toml": POLICIES["lists"].encode(), **CARRIED}))


@settings(max_examples=COUNT)
@given(damage(IN_A_BUNDLE))
def test_PEM_06_in_a_trust_bundle_no_damage_changes_a_file(changed: bytes) -> None:
    try:
        found = trust_bundle.decode(changed)
    except ModsealError:
        return
    if found.signed == trust_bundle.decode(IN_A_BUNDLE).signed:
        assert found.files == trust_bundle.decode(IN_A_BUNDLE).files
        assert accepted(policy_of(found, "policy.toml")) == BEFORE["lists"]
