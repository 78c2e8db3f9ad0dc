"""Steps 0, 7 and 8: whether a bundle is whole and exactly what its manifest declares, independent of its signers.

`examine` asks for it with what the policy allows; `examine_integrity` for those who pack, sign or unpack unverified.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.format.ar import Member
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Entry, Kind, Manifest, Payload
from modseal.format.payload import Measured
from modseal.trust.contents import attachment_failure, by_path, file_failures, payload_failures
from modseal.trust.examination import Check, Examination, Judgement, collect, failed, passed, unexamined
from modseal.trust.granted import Demand, demand_of, undeclared_modes
from modseal.trust.signature import verify_member
from modseal.values import dataclass


def read_manifest(kind: Kind, data: bytes) -> Manifest:
    """The manifest of a bundle of this kind. Raises `FormatError`."""
    # Imported here: the two readers are long, and most runs need one of them.
    if kind == "seal":
        from modseal.format.manifest_json import decode
    else:
        from modseal.format.descriptor import decode
    return decode(data)


class Bundle(Protocol):
    """What an examination needs of an open bundle. The implementer reads; it decides nothing."""

    @property
    def container(self) -> tuple[Member, ...] | Failure:
        """The members, or why the container cannot be read."""

    @property
    def kind(self) -> Kind:
        """Which format it is, by its first member."""

    @property
    def manifest(self) -> bytes:
        """The manifest member's raw bytes."""

    @property
    def signature(self) -> bytes:
        """The signature member's raw bytes."""

    @property
    def partial(self) -> bool:
        """Whether payloads are kept elsewhere, as a host does: one that is not here cannot be judged then."""

    def measure(
        self,
        payload: Payload,
        member: Member,
        *,
        up_to: int | None,
        to_sink: bool,
        raw: bool = False,
        declared: Iterable[Entry] = (),
    ) -> Measured:
        """Digests and listing of a payload's member.

        It is unpacked to its end, or until `up_to` bytes of it are. `to_sink` says that its files may be written where
        the opener wants them. `raw` asks for the SHA-256 of the member's bytes, declared or not. `declared` are the
        entries that the manifest says it has (`format.payload.measure`).
        """

    def digest(self, member: Member) -> bytes:
        """The SHA-256 of a member."""

    def sha256(self) -> str:
        """The SHA-256 of the whole file, lower-case hex."""


@dataclass(frozen=True)
class Contents:
    """A manifest, and its payloads as they were measured; without those that have no member.

    `exempt` says that the policy accepts it unsigned: no signer vouches for what the manifest declares.
    """

    manifest: Manifest
    payloads: tuple[tuple[Payload, Member, Measured], ...]
    exempt: bool = False

    @cached_property
    def demand(self) -> Demand:
        """What the module does."""
        return demand_of(self.manifest, self.measured, signed=not self.exempt)

    @property
    def measured(self) -> list[tuple[Payload, Measured]]:
        """What was measured of each payload."""
        return [(payload, result) for payload, _, result in self.payloads]


def examine_integrity(bundle: Bundle, at: datetime) -> Examination:
    """Only steps 0, 7 and 8: signatures are not required, and nothing about the origin is proved.

    Signers are named where their signatures verify, and trusted nowhere.
    """
    members = bundle.container
    if isinstance(members, Failure):
        return unreadable(members, at, (7, 8))
    named = verify_member(bundle.signature, bundle.manifest, kind=bundle.kind).signers
    signers = tuple(map(Judgement, named))
    container = container_check(members)
    try:
        manifest = read_manifest(bundle.kind, bundle.manifest)
    except FormatError as error:
        rest = [unexamined(step, "not examined: the manifest cannot be read") for step in (7, 8)]
        return Examination((container, failed(1, "manifest", error.failure), *rest), None, False, None, signers, at)
    contents = measure(bundle, manifest, members, whole=True, to_sink=True)
    checks = content_checks(bundle, members, contents, undeclared_modes(contents.demand))
    checks = sorted((container, *checks), key=lambda check: check.step)
    return Examination(tuple(checks), manifest, False, None, signers, at)


def unreadable(failure: Failure, at: datetime, steps: Iterable[int]) -> Examination:
    """The examination of a file that is not a bundle; `steps` cannot be examined."""
    rest = [unexamined(step, "not examined: the container cannot be read") for step in steps]
    return Examination((failed(0, "archive", failure), *rest), None, False, None, (), at)


def container_check(members: tuple[Member, ...]) -> Check:
    """(0) The container was read."""
    return passed(0, "archive", f"{len(members)} members in an accepted form")


def measure(
    bundle: Bundle,
    manifest: Manifest,
    members: tuple[Member, ...],
    *,
    whole: bool,
    to_sink: bool,
    exempt: bool = False,
    raw: bool = False,
) -> Contents:
    """Unpack and measure every payload: `whole`, or no more of them together than `limits.UNTRUSTED_UNPACKED` bytes.

    The limit is for the module: 120 payloads that each come close to it would take a gigabyte of memory.
    """
    left = limits.UNTRUSTED_UNPACKED
    found: list[tuple[Payload, Member, Measured]] = []
    declared: dict[str | None, list[Entry]] = {}
    for name, entries in groupby(manifest.files, attrgetter("payload")):
        declared.setdefault(name, []).extend(entries)
    for payload, member in _pair(manifest, members):
        up_to = None if whole else max(0, left)
        # A `.vib` does not say which payload has which of its files.
        its = declared.get(payload.name) or declared.pop(None, [])
        measured = bundle.measure(payload, member, up_to=up_to, to_sink=to_sink, raw=raw, declared=its)
        left -= limits.UNTRUSTED_UNPACKED if measured.unpacked_size is None else measured.unpacked_size
        found.append((payload, member, measured))
    return Contents(manifest, tuple(found), exempt)


def content_checks(
    bundle: Bundle, members: tuple[Member, ...], contents: Contents, unsafe: Iterable[Failure]
) -> list[Check]:
    """(0) exactly the declared members, (7) payloads and attachments as declared, (8) exactly the declared files.

    `unsafe` are unsafe modes that no signed manifest declares.
    """
    return [
        *_member_checks(contents.manifest, members, partial=bundle.partial),
        *_payload_checks(bundle, members, contents),
        *_file_checks(contents, unsafe),
    ]


def _member_checks(manifest: Manifest, members: tuple[Member, ...], *, partial: bool) -> list[Check]:
    """(0) The members are the manifest, the signature, then the declared ones in their order.

    Of a `partial` bundle, payloads may be kept elsewhere: step 7 says which.
    """
    declared = [
        MANIFEST_MEMBER[manifest.kind],
        SIGNATURE_MEMBER,
        *(payload.name for payload in manifest.payloads),
        *(a.name for a in manifest.attachments),
    ]
    actual = [member.name for member in members]
    if partial:
        elsewhere = {payload.name for payload in manifest.payloads}.difference(actual)
        declared = [name for name in declared if name not in elsewhere]
    failures = [
        Failure("unknown-member", f"member {name!r} is not declared", {"member": name})
        for name in actual
        if name not in declared
    ]
    failures += [
        Failure("missing-member", f"member {name!r} is declared but not there", {"member": name})
        for name in declared
        if name not in actual
    ]
    if not failures and actual != declared:
        failures = [Failure("member-order", "the members are not in the declared order", {"actual": " ".join(actual)})]
    return collect(0, "members", failures, "exactly the declared members, in order")


def _pair(manifest: Manifest, members: tuple[Member, ...]) -> list[tuple[Payload, Member]]:
    """Each declared payload with its member.

    A payload without its member is compared with an undeclared member, in order, so that a renamed
    payload is still diagnosed (step 0 has refused it already).
    """
    by_name = {member.name: member for member in members[2:]}
    declared = {payload.name for payload in manifest.payloads} | {a.name for a in manifest.attachments}
    strangers = [member for member in members[2:] if member.name not in declared]
    pairs: list[tuple[Payload, Member]] = []
    for payload in manifest.payloads:
        if payload.name in by_name:
            pairs.append((payload, by_name[payload.name]))
        elif strangers:
            pairs.append((payload, strangers.pop(0)))
    return pairs


def _payload_checks(bundle: Bundle, members: tuple[Member, ...], contents: Contents) -> list[Check]:
    """(7) Size and every digest of each payload, and of every attachment."""
    manifest, measured = contents.manifest, contents.payloads
    failures: list[Failure] = []
    for payload, member, result in measured:
        if member.name != payload.name:
            failures.append(
                Failure(
                    "payload-undeclared",
                    f"member {member.name!r} stands where payload {payload.name!r} is declared",
                    {"payload": payload.name, "member": member.name},
                )
            )
        failures += payload_failures(payload, result, member.size)
    present = {payload.name for payload, _, _ in measured}
    for payload in manifest.payloads:
        if payload.name not in present:
            evidence = {"payload": payload.name}
            if bundle.partial:
                failures.append(Failure("payload-absent", f"payload {payload.name!r} was not found", evidence))
            else:
                failures.append(Failure("payload-missing", f"payload {payload.name!r} is not in the archive", evidence))
    by_name = {member.name: member for member in members}
    for attachment in manifest.attachments:
        found = by_name.get(attachment.name)
        failure = attachment_failure(attachment, found.size, bundle.digest(found)) if found else None
        failures += [failure] if failure else []
    count = len(measured) + len(manifest.attachments)
    return collect(7, "content", failures, f"{count} payloads and attachments match every size and digest")


def _file_checks(contents: Contents, unsafe: Iterable[Failure]) -> list[Check]:
    """(8) Exactly the declared files, none of them unsafe."""
    manifest, measured = contents.manifest, contents.measured
    failures = by_path((*file_failures(manifest, measured), *unsafe))
    if len(measured) < len(manifest.payloads):
        failures = [failure for failure in failures if failure.code != "file-missing"]
    if not failures and not contents.demand.complete:
        return [unexamined(8, "not all payloads could be listed")]
    text = f"exactly the {len(manifest.files)} declared entries"
    if manifest.vib and not manifest.files:
        count = sum(len(result.entries) for _, result in measured)
        missing = "the list of files is empty" if manifest.vib.lists_files else "the descriptor has no list of files"
        text = f"{missing}; the {count} entries of the payloads are bound by their checksums"
    return collect(8, "entries", failures, text)
