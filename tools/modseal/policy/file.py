"""Policies from TOML: the one file that the pipeline, the gate, the host and the audit share.

`shape` says what may stand in it. The files that a policy names (certificates, CRLs) are read here, relative to the
policy; from then on a policy is values only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from modseal.errors import FormatError, PolicyError
from modseal.format import pem, rules, toml_text
from modseal.format.level import Level
from modseal.format.shape import Problem, quote
from modseal.pki.algorithms import ALGORITHMS
from modseal.pki.certificate import Certificate
from modseal.pki.purpose import MINIMUM_RSA_BITS
from modseal.pki.revocation import RevocationRules
from modseal.policy import material as policy_material
from modseal.policy.shape import FINGERPRINT, PATH_LISTS, SHAPE
from modseal.trust.deny import Deny, fingerprints
from modseal.trust.policy import Allowance, Anchor, Policy, PolicyBytes
from modseal.trust.powers import May, Power

if TYPE_CHECKING:
    from modseal.format.recall import Recall
    from modseal.pki.crl import Crl


def parse(data: bytes, source: str, read: Callable[[str], bytes], *, built_in: bool = False) -> Policy:
    """A policy from TOML; `read` gives the bytes of the files that it names. Raises `PolicyError`.

    Only a built-in policy may do without anchors: a file that can accept nothing is a mistake.
    """
    try:
        document = toml_text.parse(data)
    except toml_text.TomlError as error:
        raise PolicyError(error.describe(source)) from None
    if pem.has_private_key(data):
        raise PolicyError(f"{source}: it has {pem.PRIVATE_KEY}").because("private-key-in-policy")
    problems = document.problems(SHAPE, source)
    if problems:
        raise PolicyError(_summary(problems), problems)
    files: dict[str, bytes] = {}

    def kept(name: str) -> bytes:
        """Each file is read once, so that the policy says what its origin says."""
        if name not in files:
            files[name] = read(name)
        return files[name]

    reader = _PolicyReader(document, source, kept)
    policy = replace(reader.policy(), origin=PolicyBytes(data, tuple(files.items()), built_in))
    if not (policy.anchors or policy.allow_unsigned_community or built_in):
        reader.found.append(f"{source}: needs at least one [[anchor]], or nothing could be accepted")
    if reader.found:
        raise PolicyError(_summary(tuple(reader.found)), tuple(reader.found))
    return policy


def _summary(problems: tuple[str, ...]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return problems[0] + more


class _PolicyReader:
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
        if "unsigned" in self._values and not self._values.get("allow-unsigned-community"):
            self._problem(("unsigned",), "has a meaning only with allow-unsigned-community = true")
        list_name = self._get("paths", "list", "")
        path_list = PATH_LISTS.get(list_name, ())
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
            community_paths=(*path_list, *self._prefixes(("paths", "community"), self._get("paths", "community", ()))),
            community_list=list_name,
            allowances=tuple(self._allowances()),
            unsigned_may=self._may(("unsigned", "may"), self._get("unsigned", "may", {})),
            recalls=tuple(self._recalls()),
            recall_floors=dict(self._get("recall", "lowest", {})),
        )
        for problem in () if self.found else policy_material.unproved_crls(policy):
            self._problem(("revocation", "crls"), problem)
        return policy

    def _get(self, table: str, key: str, default: Any) -> Any:
        return self._values.get(table, {}).get(key, default)

    def _problem(self, path: tuple[str | int, ...], message: str) -> None:
        self.found.append(self._document.describe(Problem(path, message), self._source))

    def _file(self, path: tuple[str | int, ...], name: str) -> bytes | None:
        if "\0" in name:
            self._problem(path, f"{quote(name)} is not a file name")
            return None
        try:
            return self._read(name)
        except OSError as error:
            self._problem(path, f"{name}: {error.strerror}")
        return None

    def _anchors(self) -> Iterator[Anchor]:
        seen: set[str] = set()
        for index, table in enumerate(self._values.get("anchor", [])):
            path = ("anchor", index)
            if table["name"] in seen:
                self._problem((*path, "name"), f"two anchors have the name {table['name']!r}")
            seen.add(table["name"])
            fingerprint, certificate = table.get("fingerprint"), None
            if ("certificate" in table) == (fingerprint is not None):
                self._problem(path, "needs either 'certificate' (a CA) or 'fingerprint' (an exact signer), not both")
            elif fingerprint is None:
                certificate = self._ca((*path, "certificate"), table["certificate"])
                if table.get("accept-expired"):
                    self._problem((*path, "accept-expired"), "is only for a fingerprint: a CA's validity always counts")
            yield Anchor(
                name=table["name"],
                grants=Level.parse(table["grants"]),
                certificate=certificate,
                fingerprint=fingerprint.removeprefix("sha256:") if fingerprint else None,
                vendors=tuple(table.get("vendors", ())),
                names=tuple(table.get("names", ())),
                accept_expired=table.get("accept-expired", False),
                may=self._may((*path, "may"), table.get("may", {})),
            )

    def _may(self, path: tuple[str | int, ...], table: dict[str, Any]) -> May:
        return May(
            tuple(self._prefixes((*path, "paths"), table.get("paths", ()))),
            frozenset(power for power in Power if table.get(power) is True),
            frozenset(power for power in Power if table.get(power) is False),
        )

    def _prefixes(self, path: tuple[str | int, ...], prefixes: Iterable[str]) -> Iterator[str]:
        """Prefixes in the form in which paths begin with them: what could not be the path of a folder is a mistake."""
        for prefix in prefixes:
            folder = prefix.removesuffix("/")
            if failure := rules.check_path(folder):
                self._problem(path, f"{quote(prefix)} is not a path prefix: {failure.detail}")
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
                f"{name} is not a CA certificate; to trust exactly this signer, use "
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
        """Only self-signed CAs: OpenSSL, the second verifier of a token, ends a chain nowhere else."""
        path = ("time", "anchors")
        for name in self._get("time", "anchors", []):
            for certificate in self._certificates_of(path, [name]):
                if not policy_material.is_root(certificate):
                    self._problem(path, f"{name}: {certificate.subject} is not a self-signed CA certificate")
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
            if wanted not in names and FINGERPRINT.problems(wanted):
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

    def _recalls(self) -> Iterator[Recall]:
        path, names = ("recall", "files"), self._get("recall", "files", [])
        if not names:
            return
        from modseal.format import recall  # not loaded where no policy needs it

        for name in names:
            data = self._file(path, name)
            try:
                yield from [recall.decode(data)] if data is not None else ()
            except FormatError as error:
                self._problem(path, f"{name}: {error}")

    def _allowances(self) -> Iterator[Allowance]:
        for index, table in enumerate(self._values.get("allow", [])):
            path = ("allow", index)
            if ("sha256" in table) == ("modules" in table):
                self._problem(path, "needs either 'sha256' (one bundle) or 'modules' (names), not both")
            try:
                expires = date.fromisoformat(table["expires"])
            except ValueError:
                self._problem((*path, "expires"), f"{table['expires']} is not a calendar date")
                continue
            yield Allowance(
                rule=table["rule"],
                reason=table["reason"],
                expires=expires,
                sha256=table.get("sha256"),
                modules=tuple(table.get("modules", ())),
                line=self._document.line(path),
            )
