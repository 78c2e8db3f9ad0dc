"""Policies from TOML: the one file that the pipeline, the gate, the host and the audit share.

The shape is closed: an unknown key is an error, because a misspelt rule is a rule that does not hold.
The files that a policy names (certificates, CRLs) are read here, relative to the policy; from then on
a policy is values only.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.errors import FormatError, PolicyError
from modseal.format import pem, rules, toml_text
from modseal.format.level import Level
from modseal.format.shape import Array, Boolean, Integer, Problem, Table, Text, TextMap, quote
from modseal.trust import policy_material
from modseal.trust.algorithms import ALGORITHMS
from modseal.trust.certificate import Certificate
from modseal.trust.crl import Crl
from modseal.trust.deny import Deny, fingerprints
from modseal.trust.policy import Allowance, Anchor, Origin, Policy
from modseal.trust.powers import MEANINGS, May, Power
from modseal.trust.purpose import MINIMUM_RSA_BITS
from modseal.trust.revocation import RevocationRules

SCHEMA = "modseal/policy@1"
BUILT_IN = ("strict", "vmware")
STORE = "store:"
"""How a policy reference to a trust store starts."""

_ESXCLI_NAMES = ("VMwareCertified", "VMwareAccepted", "PartnerSupported", "CommunitySupported")
_LEVEL = Text(choices=(*map(str, sorted(Level, reverse=True)), *_ESXCLI_NAMES), about="An acceptance level.")
_FINGERPRINT_PATTERN = "sha256:[0-9a-f]{64}"
_FINGERPRINT = Text(re.compile(_FINGERPRINT_PATTERN), form="'sha256:' and 64 lower-case hex digits", most=71)
_DENIED = Text(
    re.compile(rf"(key-)?{_FINGERPRINT_PATTERN}"),
    form="'key-sha256:' (a public key) or 'sha256:' (a certificate) and 64 lower-case hex digits",
    most=75,
)
_FILE = Text(most=4096, about="A file, relative to the policy.")
_LABEL = Text(re.compile(r"[^\x00-\x1f\x7f]+"), form="printable text", most=200)
_PATTERNS = Array(_LABEL, least=1, about="Shell-style patterns; letter case counts.")
_MAY = Table(
    {},
    {
        "paths": Array(
            Text(most=limits.PATH_LENGTH),
            least=1,
            about="Prefixes below which its modules may create anything; absent: anywhere.",
        ),
        **{str(power): Boolean(about=MEANINGS[power]) for power in Power},
    },
    about="What its signers may do; what is absent is as docs/policy.md has it for the anchor's grant.",
)
_ANCHOR = Table(
    {"name": _LABEL, "grants": _LEVEL},
    {
        "certificate": _FILE,
        "fingerprint": _FINGERPRINT,
        "accept-expired": Boolean(about="Only with fingerprint: the pin outlives the certificate's validity."),
        "vendors": _PATTERNS,
        "names": _PATTERNS,
        "may": _MAY,
    },
    about="Whom this policy trusts: a CA certificate, or the fingerprint of an exact signer certificate.",
)
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_RULE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ALLOWANCE = Table(
    {
        "rule": Text(_RULE, form="the id of a rule of docs/audits.md", most=limits.NAME_LENGTH),
        "reason": Text(re.compile(r"[^\x00-\x1f\x7f]+"), form="printable text", most=1000),
        "expires": Text(_DATE, form="a date like 2026-01-31", about="The last day that it counts (UTC)."),
    },
    {
        "sha256": Text(re.compile(r"[0-9a-f]{64}"), form="64 lower-case hex digits", about="Of one exact bundle."),
        "modules": _PATTERNS,
    },
    about="A finding of an audit that is known and accepted. No failed check can be.",
)
SHAPE = Table(
    {"schema": Text(choices=(SCHEMA,)), "minimum-level": _LEVEL},
    {
        "allow-unsigned-community": Boolean(about="Accept unsigned modules that claim community and no more."),
        "anchor": Array(_ANCHOR, most=256),
        "unsigned": Table({}, {"may": _MAY}, about="Only with allow-unsigned-community."),
        "intermediates": Array(
            _FILE, about="PEM files with certificates that may stand between a signer and an anchor."
        ),
        "algorithms": Table(
            {},
            {
                "allow": Array(
                    Text(choices=sorted(ALGORITHMS)), least=1, about="Signature algorithms that are accepted."
                ),
                "minimum-rsa-bits": Integer(MINIMUM_RSA_BITS, limits.RSA_BITS),
            },
        ),
        "time": Table(
            {},
            {
                "anchors": Array(
                    _FILE,
                    least=1,
                    most=64,
                    about="PEM files with the root CAs of the timestamp authorities that are trusted.",
                ),
                "require-timestamp": Boolean(about="Refuse a signature whose time is not proven."),
            },
        ),
        "revocation": Table(
            {},
            {
                "crls": Array(_FILE, about="PEM or DER CRLs."),
                "required": Boolean(about="Every issuer below an anchor must have a current CRL."),
                "maximum-age-days": Integer(1, 36500),
                "accept-signed-before-revocation": Boolean(
                    about="A timestamp before the revocation counts, unless its reason says that the key was misused."
                ),
            },
        ),
        "signers": Table(
            {},
            {
                "minimum": Integer(1, limits.SIGNATURE_BLOCKS, about="Distinct trusted signers."),
                "required": Array(Text(most=200), about="Anchor names or signer fingerprints that must have signed."),
            },
        ),
        "deny": Table(
            {},
            {
                "digests": Array(_FINGERPRINT, about="SHA-256 of manifest members, payloads or whole files."),
                "signers": Array(_DENIED, about="Public keys, or certificates by their fingerprints."),
                "certificates": Array(_FILE, about="PEM files with certificates whose keys are denied."),
                "names": _PATTERNS,
            },
        ),
        "versions": TextMap(
            Text(rules.MODULE_NAME, form="a module name", most=limits.NAME_LENGTH),
            Text(rules.VERSION, form="a version", most=limits.NAME_LENGTH),
            about="The lowest accepted version of a module.",
        ),
        "attachments": Table({}, {"required": Array(Text(most=200), about="Names or media types.")}),
        "paths": Table(
            {},
            {
                "community": Array(
                    Text(most=limits.PATH_LENGTH), about="Prefixes that all that a community module creates is under."
                ),
                "list": Text(choices=("esxi-5",), about="A built-in list of such prefixes."),
            },
        ),
        "allow": Array(_ALLOWANCE, most=limits.ITEMS),
    },
)

PATH_LISTS: dict[str, tuple[str, ...]] = {
    "esxi-5": (
        "etc/vmware/shutdown/shutdown/",
        "etc/vmware/pciid/",
        "etc/vmware/vm-support/",
        "etc/vmware/firewall/",
        "etc/vmware/service/",
        "etc/cim/openwsman/",
        "opt/",
        "usr/lib/cim/",
        "usr/lib/pycim/",
        "usr/lib/hostprofiles/plugins/",
        "usr/lib/vmware/",
        "usr/lib/vmware-debug/",
        "var/lib/sfcb/registration/",
        "etc/vmware/driver.map.d/",
        "usr/share/hwdata/driver.pciids.d/",
    ),
}
"""Where a community VIB may install, by host version (docs/vib.md): data, because it changes with the host."""


def load(reference: str, now: datetime | None = None) -> Policy:
    """The policy of a file, a built-in one by its name, or the one in force in a trust store.

    A folder is a trust store, and so is `store:` (this machine's) or `store:DIR`; `now` is the clock that
    its trust bundle must be current at, and is read here where it is not given, so that no caller can
    leave that out. Raises `PolicyError`, and for a trust store what `trust_store.load_policy` raises.
    """
    if reference in BUILT_IN:
        from importlib import resources  # brings tempfile and more, which a policy file has no use for

        text = resources.files("modseal.trust").joinpath("builtin", f"{reference}.toml").read_bytes()
        return parse(text, f"built-in policy {reference}", _no_files, built_in=True)
    if reference.startswith(STORE) or os.path.isdir(reference):
        from modseal.trust import trust_store  # which reads its policies with `parse` below

        return trust_store.load_policy(trust_store.folder_of(reference, os.environ), now or datetime.now(UTC))
    path = Path(reference)
    try:
        data = read_bounded(path)
    except OSError as error:
        names = " or ".join(BUILT_IN)
        raise PolicyError(f"policy {reference}: {error.strerror}; give a file, or {names}") from None
    return parse(data, reference, lambda name: read_bounded(path.parent / name))


def read_bounded(path: Path) -> bytes:
    """A file's bytes, of a device or pipe no more than a file may have. Raises `OSError` (also for more than that)."""
    with path.open("rb") as file:
        data = file.read(limits.POLICY_FILE_SIZE + 1)
    if len(data) > limits.POLICY_FILE_SIZE:
        raise OSError(errno.EFBIG, f"over {limits.POLICY_FILE_SIZE} bytes")
    return data


def _no_files(name: str) -> bytes:
    raise FileNotFoundError(2, "a built-in policy names no files", name)


def parse(data: bytes, source: str, read: Callable[[str], bytes], *, built_in: bool = False) -> Policy:
    """A policy from TOML; `read` gives the bytes of the files that it names. Raises `PolicyError`.

    Only a built-in policy may do without anchors: a file that can accept nothing is a mistake.
    """
    try:
        document = toml_text.parse(data)
    except ValueError as error:
        raise PolicyError(f"{source}: {error}") from None
    if pem.has_private_key(data):
        raise PolicyError(f"{source}: it has {pem.PRIVATE_KEY}")
    problems = document.problems(SHAPE, source)
    if problems:
        raise PolicyError(_summary(problems), problems)
    files: dict[str, bytes] = {}

    def kept(name: str) -> bytes:
        """Each file is read once, so that the policy says what its origin says."""
        if name not in files:
            files[name] = read(name)
        return files[name]

    reader = _Reader(document, source, kept)
    policy = replace(reader.policy(), origin=Origin(data, tuple(files.items()), built_in))
    if not (policy.anchors or policy.allow_unsigned_community or built_in):
        reader.found.append(f"{source}: needs at least one [[anchor]], or nothing could be accepted")
    if reader.found:
        raise PolicyError(_summary(tuple(reader.found)), tuple(reader.found))
    return policy


def again(origin: Origin, source: str) -> Policy:
    """The policy that was read from these bytes, in another process. Raises `PolicyError`."""
    files = dict(origin.files)
    return parse(origin.text, source, files.__getitem__, built_in=origin.built_in)


def _summary(problems: tuple[str, ...]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return problems[0] + more


class _Reader:
    """Turns checked values into a `Policy`; collects every problem with its line."""

    def __init__(self, document: toml_text.TomlDocument, source: str, read: Callable[[str], bytes]) -> None:
        self._document = document
        self._values: Any = document.values
        self._source = source
        self._read = read
        self.found: list[str] = []

    def policy(self) -> Policy:
        anchors = tuple(self._anchors())
        intermediates = tuple(self._certificates_of(("intermediates",), self._values.get("intermediates", [])))
        timestamp_anchors = tuple(self._timestamp_anchors())
        named = (*(anchor.certificate for anchor in anchors if anchor.certificate), *intermediates, *timestamp_anchors)
        policy = Policy(
            source=self._source,
            minimum_level=Level.parse(self._values["minimum-level"]),
            anchors=anchors,
            allow_unsigned_community=self._values.get("allow-unsigned-community", False),
            intermediates=intermediates,
            algorithms=frozenset(self._get("algorithms", "allow", ALGORITHMS)),
            minimum_rsa_bits=self._get("algorithms", "minimum-rsa-bits", MINIMUM_RSA_BITS),
            timestamp_anchors=timestamp_anchors,
            timestamp_required=self._get("time", "require-timestamp", False),
            revocation=self._revocation(),
            minimum_signers=self._get("signers", "minimum", 1),
            required_signers=tuple(self._required_signers(anchors)),
            deny=self._deny(named),
            floors=dict(self._values.get("versions", {})),
            required_attachments=tuple(self._get("attachments", "required", ())),
            community_paths=self._community_paths(),
            allowances=tuple(self._allowances()),
            unsigned_may=self._unsigned_may(),
            lines=self._document.lines,
        )
        for problem in () if self.found else policy_material.unproved_crls(policy):
            self._problem(("revocation", "crls"), problem)
        return policy

    def _get(self, table: str, key: str, default: Any) -> Any:
        return self._values.get(table, {}).get(key, default)

    def _problem(self, path: tuple[str | int, ...], message: str) -> None:
        self.found.append(self._document.describe(Problem(path, message), self._source))

    def _file(self, path: tuple[str | int, ...], name: str) -> bytes | None:
        try:
            return self._read(name)
        except OSError as error:
            self._problem(path, f"{name}: {error.strerror}")
        except ValueError:  # a NUL in it
            self._problem(path, f"{quote(name)} is no name of a file")
        return None

    def _anchors(self) -> Iterator[Anchor]:
        seen: set[str] = set()
        for index, table in enumerate(self._values.get("anchor", [])):
            path = ("anchor", index)
            if table["name"] in seen:
                self._problem((*path, "name"), f"two anchors have the name {table['name']!r}")
            seen.add(table["name"])
            yield self._anchor(path, table)

    def _anchor(self, path: tuple[str | int, ...], table: dict[str, Any]) -> Anchor:
        fingerprint, certificate = table.get("fingerprint"), None
        if ("certificate" in table) == (fingerprint is not None):
            self._problem(path, "needs either 'certificate' (a CA) or 'fingerprint' (an exact signer), not both")
        elif fingerprint is None:
            certificate = self._ca((*path, "certificate"), table["certificate"])
            if table.get("accept-expired"):
                self._problem((*path, "accept-expired"), "is only for a fingerprint: a CA's validity always counts")
        return Anchor(
            name=table["name"],
            grants=Level.parse(table["grants"]),
            certificate=certificate,
            fingerprint=fingerprint.removeprefix("sha256:") if fingerprint else None,
            vendors=tuple(table.get("vendors", ())),
            names=tuple(table.get("names", ())),
            accept_expired=table.get("accept-expired", False),
            may=self._may((*path, "may"), table.get("may", {})),
            line=self._document.line(path),
        )

    def _may(self, path: tuple[str | int, ...], table: dict[str, Any]) -> May:
        return May(
            tuple(self._prefixes((*path, "paths"), table.get("paths", ()))),
            frozenset(power for power in Power if table.get(power) is True),
            frozenset(power for power in Power if table.get(power) is False),
        )

    def _unsigned_may(self) -> May:
        if "unsigned" in self._values and not self._values.get("allow-unsigned-community"):
            self._problem(("unsigned",), "has a meaning only with allow-unsigned-community = true")
        return self._may(("unsigned", "may"), self._get("unsigned", "may", {}))

    def _prefixes(self, path: tuple[str | int, ...], prefixes: Iterable[str]) -> Iterator[str]:
        """Prefixes in the form in which paths begin with them: what could not be the path of a folder is a mistake."""
        for prefix in prefixes:
            folder = prefix.removesuffix("/")
            if failure := rules.check_path(folder):
                self._problem(path, f"{quote(prefix)} is no prefix of paths: {failure.detail}")
            yield f"{folder}/"

    def _ca(self, path: tuple[str | int, ...], name: str) -> Certificate | None:
        certificates = list(self._certificates_of(path, [name]))
        if len(certificates) > 1:
            self._problem(path, f"{name} has {len(certificates)} certificates; an anchor is one")
        certificate = certificates[0] if certificates else None
        damage = policy_material.anchor_damage(certificate) if certificate else None
        if damage:
            self._problem(path, f"{name}: {damage}")
        if certificate and not certificate.is_ca:
            self._problem(
                path,
                f"{name} is no CA certificate; to trust exactly this signer, use "
                f'fingerprint = "sha256:{certificate.fingerprint}"',
            )
        return certificate

    def _certificates_of(self, path: tuple[str | int, ...], names: list[str]) -> Iterator[Certificate]:
        for name in names:
            data = self._file(path, name)
            try:
                yield from policy_material.read_certificates(data) if data is not None else ()
            except (FormatError, ValueError) as error:
                self._problem(path, f"{name}: {error}")

    def _timestamp_anchors(self) -> Iterator[Certificate]:
        """Self-signed CAs alone: OpenSSL, the second verifier of a token, ends a chain at nothing less."""
        path = ("time", "anchors")
        for name in self._get("time", "anchors", []):
            for certificate in self._certificates_of(path, [name]):
                if not policy_material.is_root(certificate):
                    self._problem(path, f"{name}: {certificate.subject} is no self-signed CA certificate")
                yield certificate

    def _revocation(self) -> RevocationRules:
        crls: list[Crl] = []
        path = ("revocation", "crls")
        for name in self._get("revocation", "crls", []):
            data = self._file(path, name)
            try:
                crls += policy_material.read_crls(data, name) if data is not None else ()
            except (FormatError, ValueError) as error:
                self._problem(path, f"{name}: {error}")
        days = self._get("revocation", "maximum-age-days", None)
        return RevocationRules(
            tuple(crls),
            self._get("revocation", "required", False),
            timedelta(days=days) if days else None,
            self._get("revocation", "accept-signed-before-revocation", False),
        )

    def _required_signers(self, anchors: tuple[Anchor, ...]) -> Iterator[str]:
        names = {anchor.name for anchor in anchors}
        for wanted in self._get("signers", "required", []):
            if wanted not in names and _FINGERPRINT.problems(wanted):
                self._problem(("signers", "required"), f"{wanted!r} is neither an anchor's name nor a fingerprint")
            yield wanted.removeprefix("sha256:")

    def _deny(self, named: tuple[Certificate, ...]) -> Deny:
        """The deny list; `named` are the policy's certificates, among which one may be that it has by fingerprint."""
        listed = self._get("deny", "signers", [])
        signers = frozenset(text.removeprefix("sha256:") for text in listed if text.startswith("sha256:"))
        given = self._certificates_of(("deny", "certificates"), self._get("deny", "certificates", []))
        return Deny(
            digests=frozenset(text.removeprefix("sha256:") for text in self._get("deny", "digests", [])),
            signers=signers,
            names=tuple(self._get("deny", "names", ())),
            keys=frozenset(text for text in listed if not text.startswith("sha256:")),
            certificates=(*given, *(one for one in named if fingerprints(one) & signers)),
        )

    def _allowances(self) -> Iterator[Allowance]:
        for index, table in enumerate(self._values.get("allow", [])):
            path = ("allow", index)
            if ("sha256" in table) == ("modules" in table):
                self._problem(path, "needs either 'sha256' (one bundle) or 'modules' (names), not both")
            try:
                expires = date.fromisoformat(table["expires"])
            except ValueError:
                self._problem((*path, "expires"), f"{table['expires']} is no day of the calendar")
                continue
            yield Allowance(
                rule=table["rule"],
                reason=table["reason"],
                expires=expires,
                sha256=table.get("sha256"),
                modules=tuple(table.get("modules", ())),
                line=self._document.line(path),
            )

    def _community_paths(self) -> tuple[str, ...]:
        named = PATH_LISTS.get(self._get("paths", "list", ""), ())
        return named + tuple(self._prefixes(("paths", "community"), self._get("paths", "community", ())))
