"""Policies from TOML: a closed shape, every problem with its line, files read relative to the policy."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.pki import Encoding, ca, crl, leaf, root, signer
from builders.reencode import mirrored_certificate
from modseal.errors import PolicyError
from modseal.format import rules
from modseal.format.level import Level
from modseal.pki.algorithms import ALGORITHMS
from modseal.policy.file import parse
from modseal.policy.shape import PATH_LISTS
from modseal.policy.sources import load
from modseal.trust.policy import Allowance, Policy
from modseal.trust.powers import May, Power

FILES = {
    "root.pem": root().pem,
    "root.der": root().der,
    "two.pem": root().pem + root(1).pem,
    "leaf.pem": signer().pem,
    "crl.pem": crl(root()).public_bytes(Encoding.PEM),
    "crl.der": crl(root(1)).public_bytes(Encoding.DER),
    "text.pem": b"nothing\n",
    "broken.pem": b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
}
HEAD = 'schema = "modseal/policy@1"\nminimum-level = "partner"\n'
ANCHOR = '[[anchor]]\nname = "Root"\ncertificate = "root.pem"\ngrants = "accepted"\n'
GOOD = HEAD + ANCHOR


def read(name: str) -> bytes:
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory", name)
    return FILES[name]


def policy(text: str) -> Policy:
    return parse(text.encode(), "p.toml", read)


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as raised:
        policy(text)
    assert raised.value.exit_code == 3
    return raised.value.problems


def test_the_shortest_policy_has_strict_defaults() -> None:
    found = policy(GOOD)
    assert (found.minimum_level, found.allow_unsigned_community, found.minimum_signers) == (Level.PARTNER, False, 1)
    (anchor,) = found.anchors
    assert (anchor.name, anchor.grants, anchor.certificate) == ("Root", Level.ACCEPTED, root().parsed)
    assert found.places.line(("anchor", 0)) == 3
    assert found.algorithms == frozenset(ALGORITHMS)
    assert (found.timestamp_required, found.revocation.required, found.revocation.crls) == (False, False, ())


def test_every_key_is_read() -> None:
    found = policy(f"""{HEAD}allow-unsigned-community = true
intermediates = ["two.pem"]
{ANCHOR}vendors = ["A*"]
names = ["a", "b"]
[[anchor]]
name = "Pin"
fingerprint = "sha256:{signer().fingerprint}"
grants = "VMwareCertified"
accept-expired = true
[algorithms]
allow = ["ed25519"]
minimum-rsa-bits = 3072
[time]
require-timestamp = true
[revocation]
crls = ["crl.pem", "crl.der"]
required = true
maximum-age-days = 7
[signers]
minimum = 2
required = ["Pin", "sha256:{"0" * 64}"]
[deny]
digests = ["sha256:{"1" * 64}"]
signers = ["sha256:{"2" * 64}", "key-sha256:{"3" * 64}", "sha256:{root(1).fingerprint}"]
certificates = ["leaf.pem"]
names = ["bad-*"]
[versions]
acme = "1.2"
"with.dot" = "3"
[attachments]
required = ["sbom.json"]
[paths]
community = ["opt/acme", "srv/"]
list = "esxi-5"
""")
    one, pinned = found.anchors
    assert (one.vendors, one.names, one.accept_expired) == (("A*",), ("a", "b"), False)
    assert (pinned.fingerprint, pinned.grants, pinned.accept_expired) == (signer().fingerprint, Level.CERTIFIED, True)
    assert found.intermediates == (root().parsed, root(1).parsed)
    assert (found.algorithms, found.minimum_rsa_bits, found.timestamp_required) == (frozenset({"ed25519"}), 3072, True)
    assert (len(found.revocation.crls), found.revocation.required, found.revocation.maximum_age) == (
        2,
        True,
        timedelta(days=7),
    )
    assert (found.minimum_signers, found.required_signers) == (2, ("Pin", "0" * 64))
    deny, keys = found.deny, (rules.key_name(one.parsed.key_der) for one in (signer(), root(1)))
    assert (deny.digests, deny.signers, deny.names) == ({"1" * 64}, {"2" * 64, root(1).fingerprint}, ("bad-*",))
    assert deny.certificates == (signer().parsed, root(1).parsed)
    assert deny.all_keys == {"key-sha256:" + "3" * 64, *keys}
    assert deny.signers_without_key == {"2" * 64}
    assert found.floors == {"acme": "1.2", "with.dot": "3"}
    assert found.required_attachments == ("sbom.json",)
    assert found.community_paths == (*PATH_LISTS["esxi-5"], "opt/acme/", "srv/")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD + "extra = 1\n", 7, "unknown key 'extra'"),
        (HEAD + "extra = 1\n" + ANCHOR, 3, "unknown key 'extra'"),
        (GOOD + "[algorithm]\n", 7, "unknown key 'algorithm'; did you mean 'algorithms'?"),
        (GOOD + "[signers]\nminimum = 0\n", 8, "signers.minimum"),
        (GOOD + "[signers]\nminimum = true\n", 8, "signers.minimum"),
        (GOOD + '[signers]\nrequired = ["Nobody"]\n', 8, "neither an anchor's name nor a fingerprint"),
        (GOOD + '[algorithms]\nallow = ["rsa-pkcs1-sha1"]\n', 8, "algorithms.allow[0]"),
        (GOOD + "[algorithms]\nminimum-rsa-bits = 1024\n", 8, "minimum-rsa-bits"),
        (GOOD + "[algorithms]\nallow = []\n", 8, "algorithms.allow"),
        (GOOD + "[paths]\ncommunity = []\n", 8, "paths.community"),
        (GOOD + '[deny]\nnames = ["\u0435vil-*"]\n', 8, "deny.names[0]"),
        (GOOD + '[deny]\nnames = ["evil\u200b"]\n', 8, "deny.names[0]"),
        (GOOD + '[deny]\nnames = ["evil agent"]\n', 8, "deny.names[0]"),
        (GOOD + '[deny]\nnames = ["[evil"]\n', 8, "deny.names[0]"),
        (GOOD + '[deny]\ndigests = ["00"]\n', 8, "deny.digests[0]"),
        (GOOD + f'[deny]\nsigners = ["{"0" * 64}"]\n', 8, "'key-sha256:' (a public key) or 'sha256:' (a certificate)"),
        (GOOD + f'[deny]\ndigests = ["key-sha256:{"0" * 64}"]\n', 8, "deny.digests[0]"),
        (GOOD + '[deny]\ncertificates = ["absent.pem"]\n', 8, "absent.pem: No such file"),
        (GOOD + '[deny]\ncertificates = ["text.pem"]\n', 8, "text.pem: no CERTIFICATE"),
        (GOOD + '[versions]\n"a b" = "1"\n', 8, "versions"),
        (GOOD + "[versions]\na = 1\n", 8, "versions.a"),
        (GOOD + '[revocation]\ncrls = ["absent.pem"]\n', 8, "absent.pem: No such file"),
        (GOOD + '[revocation]\ncrls = ["root.pem"]\n', 8, "root.pem"),
        (GOOD + '[paths]\nlist = "esxi-99"\n', 8, "paths.list"),
        (GOOD + ANCHOR, 8, "two anchors have the name 'Root'"),
        (GOOD.replace("root.pem", "leaf.pem"), 5, f'fingerprint = "sha256:{signer().fingerprint}"'),
        (GOOD.replace("root.pem", "two.pem"), 5, "two.pem has 2 certificates"),
        (GOOD.replace("root.pem", "text.pem"), 5, "text.pem: no CERTIFICATE"),
        (GOOD.replace("root.pem", "broken.pem"), 5, "broken.pem"),
        (GOOD.replace("root.pem", "absent.pem"), 5, "absent.pem: No such file"),
        (GOOD + "accept-expired = true\n", 7, "only for a fingerprint"),
        (GOOD + f'fingerprint = "sha256:{"0" * 64}"\n', 3, "not both"),
        (HEAD + '[[anchor]]\nname = "x"\ngrants = "partner"\n', 3, "needs either"),
        (GOOD.replace('"accepted"', '"trusted"'), 6, "anchor[0].grants"),
        (GOOD.replace("policy@1", "policy@2"), 1, "schema"),
    ],
    ids=lambda value: (
        value if isinstance(value, int) else ""
    ),  # the keys are new in every process, and so are texts that name them
)
def test_a_problem_has_its_line(text: str, line: int, words: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"p.toml:{line}: "), problem
    assert words in problem


def test_a_policy_that_can_accept_nothing_is_a_mistake() -> None:
    assert "at least one [[anchor]]" in problems(HEAD)[0]
    assert policy(HEAD + "allow-unsigned-community = true\n").anchors == ()


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(GOOD + "a = 1\nb = 2\n[signers]\nminimum = 99\n")) == 3


@pytest.mark.parametrize(
    "data", [b"\xff", b"a = ", b"a = 1\na = 2\n", b"[x]\n[x]\n", b"a = " + b"[" * 5000, b"a = 1e", b"\0"]
)
def test_what_is_no_toml_is_a_policy_error(data: bytes) -> None:
    with pytest.raises(PolicyError) as raised:
        parse(data, "p.toml", read)
    assert re.match(r"p\.toml(:[0-9]+)?: ", str(raised.value))


@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(lambda text: (GOOD + text).encode("utf-8", "surrogatepass"))
    )
)
@settings(max_examples=200)
def test_any_bytes_give_a_policy_or_a_policy_error(data: bytes) -> None:
    found: Policy | PolicyError
    try:
        found = parse(data, "p.toml", read)
    except PolicyError as error:
        found = error
    assert isinstance(found, Policy) or found.problems


def test_files_are_relative_to_the_policy(tmp_path: Path) -> None:
    (tmp_path / "deep" / "anchors").mkdir(parents=True)
    (tmp_path / "deep" / "anchors" / "root.pem").write_bytes(root().pem)
    (tmp_path / "deep" / "p.toml").write_text(GOOD.replace("root.pem", "anchors/root.pem"))
    assert load(str(tmp_path / "deep" / "p.toml")).anchors[0].certificate == root().parsed


def test_the_built_in_policies_read_no_files_and_trust_no_ca() -> None:
    strict, vmware = load("strict"), load("vmware")
    assert strict.anchors == ()
    assert [anchor.grants for anchor in vmware.anchors] == [
        Level.CERTIFIED,
        Level.CERTIFIED,
        Level.ACCEPTED,
        Level.ACCEPTED,
    ]
    assert all(anchor.fingerprint and anchor.certificate is None for anchor in vmware.anchors)
    assert (vmware.community_list, vmware.community_paths) == ("esxi-8", PATH_LISTS["esxi-8"])
    assert {strict.minimum_level, vmware.minimum_level} == {Level.PARTNER}


def test_a_missing_policy_names_the_built_in_ones() -> None:
    with pytest.raises(PolicyError, match="strict or vmware"):
        load("absent.toml")


def test_an_anchor_in_der_is_read() -> None:
    assert policy(GOOD.replace("root.pem", "root.der")).anchors[0].certificate == root().parsed


def test_a_pin_of_a_ca_or_leaf_needs_no_file() -> None:
    for identity in (ca("x"), leaf("y")):
        text = HEAD + f'[[anchor]]\nname = "p"\nfingerprint = "sha256:{identity.fingerprint}"\ngrants = "partner"\n'
        assert list(policy(text).pins) == [identity.fingerprint]


# [deny]: what is known of a certificate that is listed by its fingerprint.


def test_the_key_of_a_listed_fingerprint_is_denied_where_the_policy_has_the_certificate() -> None:
    """In whichever encoding: the file has one of a certificate, the list its twin's fingerprint."""
    twin = hashlib.sha256(mirrored_certificate(root(1).der)).hexdigest()
    for fingerprint in (root(1).fingerprint, twin):
        listed = f'[deny]\nsigners = ["sha256:{fingerprint}"]\n'
        assert policy(GOOD + listed).deny.signers_without_key == {fingerprint}
        known = policy(GOOD.replace(ANCHOR, 'intermediates = ["two.pem"]\n' + ANCHOR) + listed).deny
        assert (known.signers_without_key, known.all_keys) == (set(), {rules.key_name(root(1).parsed.key_der)})


def test_what_an_anchor_may_do_is_read() -> None:
    found = policy(f"""{GOOD}[anchor.may]
paths = ["opt/acme", "srv/"]
setuid = true
replace = false
[[anchor]]
name = "Same CA"
certificate = "root.pem"
grants = "community"
""")
    first, second = found.anchors
    assert first.may == May(("opt/acme/", "srv/"), frozenset({Power.SETUID}), frozenset({Power.REPLACE}))
    assert first.powers == frozenset(Power) - {Power.REPLACE}
    assert second.may == May()
    assert second.powers == {Power.AUTOSTART, Power.INTERPRETERS}


def test_what_unsigned_modules_may_do_needs_that_they_are_allowed() -> None:
    may = "[unsigned.may]\nkernel-modules = true\n"
    assert policy(f"{HEAD}allow-unsigned-community = true\n{may}").unsigned_may.granted == {Power.KERNEL_MODULES}
    (problem,) = problems(GOOD + may)
    assert "allow-unsigned-community = true" in problem
    (problem,) = problems(GOOD.replace(ANCHOR, f"allow-unsigned-community = false\n{ANCHOR}") + may)
    assert "allow-unsigned-community = true" in problem


@pytest.mark.parametrize(
    "text", ["sudo = true", "setuid = 1", 'setuid = "yes"', "paths = []", 'paths = "opt/"', "kernel_modules = true"]
)
def test_other_powers_and_values_are_refused(text: str) -> None:
    assert len(problems(f"{GOOD}[anchor.may]\n{text}\n")) == 1
    assert len(problems(f"{HEAD}allow-unsigned-community = true\n[unsigned.may]\n{text}\n")) == 1


@pytest.mark.parametrize("prefix", ["/", "/opt/", "opt//", "../opt", "opt/./x", "opt/*", " opt"])
def test_a_prefix_that_no_path_starts_with_is_a_mistake(prefix: str) -> None:
    for table in (f"[anchor.may]\npaths = ['{prefix}']\n", f"[paths]\ncommunity = ['{prefix}']\n"):
        (problem,) = problems(GOOD + table)
        assert "is not a path prefix" in problem


def test_two_pins_of_one_signer_are_read_and_two_names_are_not() -> None:
    fingerprint = f'fingerprint = "sha256:{signer().fingerprint}"\ngrants = "partner"\n'
    pins = [f'[[anchor]]\nname = "{name}"\n{fingerprint}' for name in ("a", "b", "a")]
    found = policy(HEAD + pins[0] + pins[1])
    assert found.pins == {signer().fingerprint: found.anchors}
    (problem,) = problems(HEAD + pins[0] + pins[2])
    assert "two anchors have the name 'a'" in problem


# [[allow]]: what an audit may find without it counting.

ALLOW = '[[allow]]\nrule = "startup-script"\nreason = "read it"\nexpires = "2026-12-31"\n'
BY_DIGEST = f'sha256 = "{"1" * 64}"\n'


def test_an_allowance_is_read_with_its_line() -> None:
    more = '[[allow]]\nrule = "no-timestamp"\nreason = "daily"\nexpires = "2024-02-29"\nmodules = ["nightly-*"]\n'
    one, two = policy(GOOD + ALLOW + BY_DIGEST + more).allowances
    assert one == Allowance("startup-script", "read it", date(2026, 12, 31), sha256="1" * 64, line=7)
    assert two == Allowance("no-timestamp", "daily", date(2024, 2, 29), modules=("nightly-*",), line=12)


def test_a_policy_without_allowances_allows_nothing() -> None:
    assert policy(GOOD).allowances == ()


def test_an_allowance_changes_what_the_policy_is() -> None:
    """Two reports under policies that differ in it must not look as if they were under the same."""
    plain, allowing = policy(GOOD).origin, policy(GOOD + ALLOW + BY_DIGEST).origin
    assert plain is not None
    assert allowing is not None
    assert plain.digest != allowing.digest


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (ALLOW, 7, "needs either 'sha256' (one bundle) or 'modules' (names), not both"),
        (ALLOW + BY_DIGEST + 'modules = ["x"]\n', 7, "not both"),
        (ALLOW + "modules = []\n", 11, "allow[0].modules"),
        (ALLOW + 'sha256 = "sha256:00"\n', 11, "64 lower-case hex digits"),
        (ALLOW + BY_DIGEST + "until = 1\n", 12, "unknown key 'until'"),
        (ALLOW.replace('expires = "2026-12-31"\n', "") + BY_DIGEST, 7, "expires"),
        (ALLOW.replace('reason = "read it"\n', "") + BY_DIGEST, 7, "reason"),
        (ALLOW.replace('"read it"', '""') + BY_DIGEST, 9, "reason"),
        (ALLOW.replace('"startup-script"', '"Startup Script"') + BY_DIGEST, 8, "the id of a rule"),
        (ALLOW.replace("2026-12-31", "2026-02-30") + BY_DIGEST, 10, "2026-02-30 is not a calendar date"),
        (ALLOW.replace("2026-12-31", "31.12.2026") + BY_DIGEST, 10, "a date like"),
        (ALLOW.replace('"2026-12-31"', "2026-12-31") + BY_DIGEST, 10, "allow[0].expires"),
    ],
)
def test_a_problem_of_an_allowance_has_its_line(text: str, line: int, words: str) -> None:
    (problem,) = problems(GOOD + text)
    assert problem.startswith(f"p.toml:{line}: "), problem
    assert words in problem
