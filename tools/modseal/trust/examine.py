"""The main path: examine a bundle under a policy at a time, step by step.

Read `examine` top to bottom; its numbers are those of docs/verification.md, of the reports and of the
policy. It does no I/O and reads no clock: the bundle's bytes come through `Bundle`, the time is given.
The manifest is parsed after step 1, from the very bytes that step 1 verified. When step 1 fails the
rest is still examined as far as it can be, for diagnosis; nothing later mends the verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from modseal.errors import Failure, FormatError
from modseal.format import descriptor, manifest_json, rules
from modseal.format.ar import Member
from modseal.format.level import Level
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Kind, Manifest, Payload, View
from modseal.format.payload import Measured
from modseal.pki import purpose
from modseal.pki.effort import Effort
from modseal.pki.path import NoPath, Path, find_paths, revocation_failures
from modseal.trust import contents, granted, timestamp
from modseal.trust.examination import (
    STEPS,
    Check,
    Examination,
    Status,
    collect,
    failed,
    passed,
    set_aside,
    skipped,
    unexamined,
)
from modseal.trust.granted import Demand
from modseal.trust.levels import level_failure, prove
from modseal.trust.policy import Anchor, Policy, matches_any
from modseal.trust.signature import Signatures, Signer, verify_member
from modseal.trust.timestamp import SigningTime
from modseal.trust.version import version_key

_DECODE: dict[Kind, Callable[[bytes], Manifest]] = {"seal": manifest_json.decode, "vib": descriptor.decode}


class Bundle(Protocol):
    """What `examine` needs of an open bundle. The implementer reads; it decides nothing."""

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

    def measure(
        self, payload: Payload, member: Member, *, proved: bool, bounded: bool = False, raw: bool = False
    ) -> Measured:
        """Digests and listing of a payload's member; `raw` asks for the SHA-256 of its bytes, declared or not.

        `proved` says that the manifest is, `bounded` that the verdict cannot be `accepted` any more, so that it is
        enough to unpack some of it.
        """

    def digest(self, member: Member) -> bytes:
        """The SHA-256 of a member."""

    def sha256(self) -> str:
        """The SHA-256 of the whole file, lower-case hex."""


_MAY_SUFFICE = "a signer that is undecided may suffice"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What steps 2 to 6 found of a signer under one anchor."""

    path: Path | None
    checks: tuple[Check, ...]
    proven: Level | None = None

    @property
    def trusted(self) -> bool:
        return all(check.status in _SETTLED for check in self.checks)

    @property
    def open(self) -> bool:
        """Not trusted yet, for something that we lack: nothing speaks against this signer."""
        return not self.trusted and all(check.status is not Status.FAILED for check in self.checks)


@dataclass(frozen=True, slots=True)
class _Judged:
    """One verified signer and its outcomes under each anchor that a path leads to: at least one, the best first."""

    signer: Signer
    outcomes: tuple[_Outcome, ...]

    @property
    def trusted(self) -> bool:
        return self.outcomes[0].trusted

    @property
    def open(self) -> bool:
        """Whether it could still be trusted under another anchor, or at all."""
        return any(one.open for one in self.outcomes)

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """Those that it is trusted under."""
        return tuple(one.path.anchor for one in self.outcomes if one.trusted and one.path)

    def under(self, anchor: Anchor | None) -> _Judged:
        """The same with the outcome under this anchor as the best, if it is trusted under it."""
        if anchor not in self.anchors:
            return self
        return replace(self, outcomes=tuple(sorted(self.outcomes, key=lambda one: _anchor_of(one) != anchor)))


_SETTLED = (Status.PASSED, Status.NOT_APPLICABLE)


def examine(bundle: Bundle, policy: Policy, at: datetime) -> Examination:
    """All checks of a bundle under a policy, at an aware time in UTC."""
    # (0) container: exactly the members of the format, in order, nothing else.
    members = bundle.container
    if isinstance(members, Failure):
        return _unreadable(members, at)
    checks = [passed(0, "archive", f"{len(members)} members in an accepted form")]

    # (1) signature: whoever signed exactly the manifest member's raw bytes.
    effort = Effort()
    signatures = verify_member(bundle.signature, bundle.manifest, policy.intermediates, bundle.kind, effort)
    unsigned = not bundle.signature
    # Only now is the manifest parsed, from the very bytes that were verified.
    try:
        manifest = _DECODE[bundle.kind](bundle.manifest)
    except FormatError as error:
        checks += _signature_checks(unsigned, signatures.signers, signatures.failures)
        checks += [failed(1, "manifest", error.failure)]
        checks += [unexamined(step, "not examined: the manifest cannot be read") for step in range(2, len(STEPS))]
        return Examination(tuple(checks), None, False, None, signatures.signers, (), at)
    checks += [failed(1, "manifest", failure) for failure in (manifest.vib.unknown if manifest.vib else ())]
    checks += _member_checks(manifest, members)
    exempt = unsigned and manifest.claimed_level is Level.COMMUNITY and policy.allow_unsigned_community
    if exempt:
        detail = "unsigned community module; the policy allows it"
        checks += [skipped(step, "signers", detail) for step in range(1, 6)]
    else:
        checks += _signature_checks(unsigned, signatures.signers, signatures.failures)

    # (2) time to (6) level, for each signer by itself, then for all of them together.
    judged = [_judge(signer, manifest, policy, at, effort) for signer in signatures.signers]
    trusted = [one for one in judged if one.trusted]
    awaited = _awaited(policy, judged, trusted)
    rest: list[Check] = []
    if effort.exhausted_at is not None:  # whoever else is trusted: what was not looked at may be anything
        rest.append(failed(effort.exhausted_at, "effort", effort.failure))
    if not judged and not exempt:
        rest += [unexamined(step, "not examined: no verified signer") for step in range(2, 6)]
    undecided = all(check.status is not Status.FAILED for check in checks if check.step == 1)
    if awaited and trusted:
        rest += [unexamined(6, "not examined: a signer that the policy needs is undecided")]
    else:
        rest += _level_checks(manifest, policy, judged, trusted, exempt=exempt, undecided=undecided)
    rest += _expected_checks(manifest, signatures)

    # (7) payloads: size and every digest of each, and of every attachment.
    pairs = _pair(manifest, members)
    proved = bool(signatures.signers)
    hopeless = not trusted and not exempt
    denying = bool(policy.deny.digests)  # else nobody asks for the digest of a payload as a whole
    measured = [
        (payload, member, bundle.measure(payload, member, proved=proved or exempt, bounded=hopeless, raw=denying))
        for payload, member in pairs
    ]
    rest += _payload_checks(bundle, manifest, members, measured)

    # (8) files: exactly the declared ones, none of them unsafe, and nothing that the policy does not grant.
    found = [(payload, result) for payload, _, result in measured]
    demand = granted.demand_of(manifest, found, signed=not exempt)
    holders = [None] if exempt else [anchor for one in trusted for anchor in one.anchors]
    power = granted.judge(demand, holders, policy.unsigned_may)
    rest += _file_checks(manifest, policy, found, demand, power.unsafe)
    rest += power.checks
    # Where an anchor allows it all, the signers whom it vouches for are shown under it.
    needed = [one.under(power.anchor) for one in awaited]
    judged = [one.under(power.anchor) for one in judged]
    for one in judged:
        found_out = one.outcomes[0].checks
        if one in needed or not (trusted or awaited):
            checks += found_out
        else:
            checks += (set_aside(check) if trusted else set_aside(check, _MAY_SUFFICE) for check in found_out)

    # (9) restrictions: deny list, version floor, required attachments.
    denials = [*_digest_denials(bundle, policy, measured), *_signer_denials(policy, judged)]
    rest += _restriction_checks(manifest, policy, denials)

    checks += rest
    checks.sort(key=lambda check: check.step)
    return Examination(
        checks=tuple(checks),
        manifest=manifest,
        manifest_proved=proved,
        proven_level=_proven(judged),
        signers=signatures.signers,
        trusted=tuple((one.signer.certificate.fingerprint, one.anchors[0].name) for one in judged if one.trusted),
        at=at,
    )


def _unreadable(failure: Failure, at: datetime) -> Examination:
    rest = [unexamined(step, "not examined: the container cannot be read") for step in range(1, len(STEPS))]
    return Examination((failed(0, "archive", failure), *rest), None, False, None, (), (), at)


def _member_checks(manifest: Manifest, members: tuple[Member, ...]) -> list[Check]:
    """(0) The members are the manifest, the signature, then the declared ones in their order."""
    declared = [
        MANIFEST_MEMBER[manifest.kind],
        SIGNATURE_MEMBER,
        *(payload.name for payload in manifest.payloads),
        *(a.name for a in manifest.attachments),
    ]
    actual = [member.name for member in members]
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


def _signature_checks(unsigned: bool, signers: tuple[Signer, ...], failures: tuple[Failure, ...]) -> list[Check]:
    """(1) Every block must verify; one that we cannot judge is set aside where another block verified.

    Not where another signer of the same block did: a block is one statement of all its signers.
    """
    if unsigned:
        return [failed(1, "blocks", Failure("unsigned", "the signature member is empty"))]
    checks = [
        passed(1, "block", f"block {s.block}: {s.algorithm} by {s.certificate.subject}", **s.evidence) for s in signers
    ]
    for failure in failures:
        check = failed(1, "block", failure)
        unjudged = failure.code == "unsupported-algorithm"
        beside = any(signer.block != failure.evidence.get("block") for signer in signers)
        checks.append(set_aside(check) if beside and unjudged else check)
    return checks


def _judge(signer: Signer, manifest: Manifest, policy: Policy, at: datetime, effort: Effort) -> _Judged:
    """Steps 2 to 6 for one signer, under each anchor that a path leads to."""
    # (2) The time that validity is judged at. signingTime is never proof.
    effort.step = 2
    signed = timestamp.judge(signer, policy, at, effort)
    checks = _time_checks(signer, signed, at)
    proven = signed.stamp.time if signed.stamp else None
    # (3) A chain to an anchor, valid at that time.
    effort.step, verified_at = 3, at if proven else None
    paths = find_paths(
        signer.certificate, signer.embedded, policy, proven or at, verified_at=verified_at, effort=effort
    )
    if isinstance(paths, NoPath):
        checks += [failed(3, "path", failure) for failure in paths.failures]
        checks += [unexamined(step, "not examined: no path to an anchor") for step in (4, 5, 6)]
        return _Judged(signer, (_Outcome(None, tuple(checks)),))
    outcomes = [_judge_path(signer, path, manifest, policy, at, proven, checks, effort) for path in paths]
    best, *others = sorted(outcomes, key=_badness)
    # A denied path that is not needed is none: it stands for no anchor either.
    return _Judged(signer, (best, *(one for one in others if not _is_denied(one, policy))))


def _judge_path(
    signer: Signer,
    path: Path,
    manifest: Manifest,
    policy: Policy,
    at: datetime,
    proven: datetime | None,
    before: list[Check],
    effort: Effort,
) -> _Outcome:
    """Steps 4 to 6 under one anchor, after the checks of step 2."""
    passed_path = passed(3, "path", _path_text(path), **signer.evidence, anchor=path.anchor.name, pinned=path.pinned)
    checks = [*before, passed_path]
    # (4) What the certificate and the algorithm may be used for.
    checks += collect(4, "use", _purpose_failures(signer, path, policy), "fit for code signing")
    # (5) Revocation of every certificate below the anchor.
    effort.step = 5
    failures = revocation_failures(path, policy, at, proven, effort)
    checks += collect(5, "crl", failures, _revocation_text(path, policy))
    sound = all(check.status in _SETTLED for check in checks) and not any(_scope_failures(path, manifest))
    # (6) The claim against the grant, and the anchor's scope.
    checks += collect(
        6, "grant", _grant_failures(path, manifest, policy), f"{path.anchor.name} grants {path.anchor.grants}"
    )
    return _Outcome(path, tuple(checks), prove(manifest.claimed_level, path.anchor.grants) if sound else None)


def _badness(outcome: _Outcome) -> tuple[bool, bool, bool, int]:
    """Trusted first, then who may still be, what proves the claim, what fails least; else the order of the paths."""
    return (
        not outcome.trusted,
        not outcome.open,
        outcome.proven is None,
        sum(one.status not in _SETTLED for one in outcome.checks),
    )


def _is_denied(outcome: _Outcome, policy: Policy) -> bool:
    return outcome.path is not None and any(map(policy.deny.entry, outcome.path.certificates))


def _anchor_of(outcome: _Outcome) -> Anchor | None:
    return outcome.path.anchor if outcome.path else None


def _time_checks(signer: Signer, signed: SigningTime, at: datetime) -> list[Check]:
    """(2) Every token that decides something, then the time that the rest is judged at."""
    checks = [failed(2, "timestamp", failure) for failure in signed.failures]
    checks += [set_aside(failed(2, "timestamp", failure), "another timestamp suffices") for failure in signed.set_aside]
    if signed.stamp:
        detail = (
            f"signed at {signed.stamp.time:%Y-%m-%dT%H:%M:%SZ} or before, as {signed.stamp.authority.subject} attests"
        )
        checks.append(passed(2, "timestamp", detail, **signer.evidence, **signed.stamp.evidence))
    elif not signed.failures:
        note = f" ({signed.ignored} timestamps ignored: the policy names no timestamp anchor)" if signed.ignored else ""
        detail = f"judged at the time of verification, {at:%Y-%m-%dT%H:%M:%SZ}{note}"
        checks.append(passed(2, "verification", detail, **signer.evidence))
    return checks


def _path_text(path: Path) -> str:
    if path.pinned:
        return f"the policy pins this exact certificate as {path.anchor.name}"
    return f"{len(path.certificates)} certificates up to {path.anchor.name}"


def _purpose_failures(signer: Signer, path: Path, policy: Policy) -> Iterator[Failure]:
    """A pin replaces the certificate's own statement of purpose (X5-02), never the strength of key or algorithm."""
    if not path.pinned:
        yield from purpose.leaf_failures(signer.certificate)
    yield from purpose.key_failures(signer.certificate, policy.minimum_rsa_bits)
    if signer.algorithm not in policy.algorithms:
        detail = f"the policy does not allow {signer.algorithm}"
        yield Failure("algorithm-not-allowed", detail, {**signer.evidence, "algorithm": signer.algorithm})


def _revocation_text(path: Path, policy: Policy) -> str:
    if path.pinned:
        return "a pin is withdrawn in the policy, not by a CRL"
    issuers = {crl.issuer for crl in policy.revocation.crls}
    if any(certificate.issuer_name in issuers for certificate in path.certificates[:-1]):
        return "not revoked"
    return "the policy names no CRL of these issuers and requires none"


def _grant_failures(path: Path, manifest: Manifest, policy: Policy) -> Iterator[Failure]:
    anchor = path.anchor
    failure = level_failure(manifest.claimed_level, anchor.grants, policy.minimum_level)
    if failure:
        yield failure
    yield from _scope_failures(path, manifest)


def _scope_failures(path: Path, manifest: Manifest) -> Iterator[Failure]:
    anchor = path.anchor
    if not anchor.speaks_for_vendor(manifest.vendor):
        detail = f"{anchor.name} may not speak for vendor {manifest.vendor!r}"
        yield Failure("vendor-out-of-scope", detail, {"anchor": anchor.name, "vendor": manifest.vendor})
    if not anchor.speaks_for_name(manifest.name):
        detail = f"{anchor.name} may not speak for module {manifest.name!r}"
        yield Failure("name-out-of-scope", detail, {"anchor": anchor.name, "name": manifest.name})


def _level_checks(
    manifest: Manifest, policy: Policy, judged: list[_Judged], trusted: list[_Judged], *, exempt: bool, undecided: bool
) -> list[Check]:
    """(6) The claim of an unsigned module, and how many distinct signers are trusted."""
    if exempt:
        if policy.minimum_level > Level.COMMUNITY:
            detail = f"an unsigned module proves no level; the minimum is {policy.minimum_level}"
            return [failed(6, "grant", Failure("level-below-minimum", detail, {"minimum": str(policy.minimum_level)}))]
        # Who wants several signers, or certain ones, has not allowed a module with none.
        needed = _signer_failures(policy, []) if policy.minimum_signers > 1 or policy.required_signers else ()
        return collect(6, "grant", needed, "unsigned community module; no level is proven")
    if undecided and not judged:
        return [unexamined(6, "not examined: no signature can be judged")]
    if not judged:
        detail = f"the manifest claims {manifest.claimed_level}, and no signature grants it"
        return [failed(6, "grant", Failure("level-not-granted", detail, {"claimed": str(manifest.claimed_level)}))]
    return (
        collect(6, "signers", _signer_failures(policy, trusted), f"{len(_keys(trusted))} trusted signers")
        if trusted
        else []
    )


def _expected_checks(manifest: Manifest, signatures: Signatures) -> list[Check]:
    """(6) Every signer that the manifest expects has signed it: by key, and whether trusted here or not (SIG-05).

    While a block cannot be judged, it could be that of any of them.
    """
    if not manifest.expected_signers:
        return []
    present = {rules.key_name(signer.certificate.key_der) for signer in signatures.signers}
    unjudged = any(failure.code == "unsupported-algorithm" for failure in signatures.failures)
    failures = [_expected_failure(key, unjudged=unjudged) for key in manifest.expected_signers if key not in present]
    return collect(6, "expected", failures, "every signer that the manifest expects has signed")


def _expected_failure(key: str, *, unjudged: bool) -> Failure:
    if unjudged:
        detail = "whether a signer that the manifest expects has signed cannot be judged: a block has another algorithm"
        return Failure("unsupported-algorithm", detail, {"expected": key})
    return Failure("expected-signer-missing", "a signer that the manifest expects has not signed", {"expected": key})


def _keys(trusted: list[_Judged]) -> set[bytes]:
    """Distinct signers, each counted once however many certificates carry the key (CMS-07)."""
    return {one.signer.certificate.key_der for one in trusted}


def _awaited(policy: Policy, judged: list[_Judged], trusted: list[_Judged]) -> list[_Judged]:
    """Those who are needed, and for whom only something of ours is missing, such as a current CRL.

    Nobody has to ask the vendor for a signature that is there.
    """
    waiting = [one for one in judged if one.open]
    enough = bool(trusted) and not any(_signer_failures(policy, trusted))
    return [] if enough or any(_signer_failures(policy, trusted, waiting)) else waiting


def _signer_failures(policy: Policy, trusted: list[_Judged], waiting: Sequence[_Judged] = ()) -> Iterator[Failure]:
    """`waiting` are taken as if they were trusted wherever they may still be."""
    count = len(_keys([*trusted, *waiting]))
    if count < policy.minimum_signers:
        detail = f"{count} distinct trusted signers, the policy requires {policy.minimum_signers}"
        yield Failure("too-few-signers", detail, {"trusted": count, "required": policy.minimum_signers})
    present = {one.signer.certificate.fingerprint for one in (*trusted, *waiting)}
    present |= {anchor.name for one in trusted for anchor in one.anchors}
    present |= {out.path.anchor.name for one in waiting for out in one.outcomes if out.open and out.path}
    for wanted in policy.required_signers:
        if wanted not in present:
            yield Failure("required-signer-missing", f"{wanted} has not signed", {"required": wanted})


def _proven(judged: list[_Judged]) -> Level | None:
    """The claim, once a signer with a sound path (steps 1 to 5, and scope) grants it; the minimum is another matter."""
    return next((outcome.proven for one in judged for outcome in one.outcomes if outcome.proven), None)


def _pair(manifest: Manifest, members: tuple[Member, ...]) -> list[tuple[Payload, Member]]:
    """Each declared payload with its member.

    One that lacks its member is compared with one that nobody declared, in order, so that a renamed
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


def _payload_checks(
    bundle: Bundle, manifest: Manifest, members: tuple[Member, ...], measured: list[tuple[Payload, Member, Measured]]
) -> list[Check]:
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
        failures += contents.payload_failures(payload, result, member.size)
    present = {payload.name for payload, _, _ in measured}
    failures += [
        Failure("payload-missing", f"payload {p.name!r} is not in the archive", {"payload": p.name})
        for p in manifest.payloads
        if p.name not in present
    ]
    by_name = {member.name: member for member in members}
    for attachment in manifest.attachments:
        found = by_name.get(attachment.name)
        failure = contents.attachment_failure(attachment, found.size, bundle.digest(found)) if found else None
        failures += [failure] if failure else []
    count = len(measured) + len(manifest.attachments)
    return collect(7, "content", failures, f"{count} payloads and attachments match every size and digest")


def _file_checks(
    manifest: Manifest,
    policy: Policy,
    measured: list[tuple[Payload, Measured]],
    demand: Demand,
    unsafe: Iterable[Failure],
) -> list[Check]:
    missing = len(measured) < len(manifest.payloads)
    failures = contents.by_path((*contents.file_failures(manifest, measured), *unsafe))
    if missing:
        failures = [f for f in failures if f.code != "file-missing"]
    if not failures and not demand.complete:
        checks = [unexamined(8, "not all payloads could be listed")]
    else:
        checks = collect(8, "entries", failures, _listing_text(manifest, measured))
    placement = granted.placement_failures(manifest, demand.entries, policy.community_paths)
    return checks + [failed(8, "placement", failure) for failure in contents.by_path(placement)]


def _listing_text(manifest: Manifest, measured: list[tuple[Payload, Measured]]) -> str:
    if manifest.vib and not manifest.files:
        count = sum(len(result.entries) for _, result in measured)
        missing = "the list of files is empty" if manifest.vib.lists_files else "the descriptor has no list of files"
        return f"{missing}; the {count} entries of the payloads are bound by their checksums"
    return f"exactly the {len(manifest.files)} declared entries"


def _restriction_checks(manifest: Manifest, policy: Policy, denials: list[Failure]) -> list[Check]:
    failures = [*denials, *_floor_failures(manifest, policy)]
    if matches_any(manifest.name, policy.deny.names):
        failures.append(Failure("denied", f"the deny list has the module {manifest.name!r}", {"name": manifest.name}))
    present = {attachment.name for attachment in manifest.attachments} | {a.media_type for a in manifest.attachments}
    failures += [
        Failure("attachment-missing", f"the policy requires the attachment {wanted!r}", {"attachment": wanted})
        for wanted in policy.required_attachments
        if wanted not in present
    ]
    return collect(9, "policy", failures, "not denied, not below a floor, nothing required is missing")


def _digest_denials(
    bundle: Bundle, policy: Policy, measured: list[tuple[Payload, Member, Measured]]
) -> Iterator[Failure]:
    """By what the signature covers; and by the whole file, which is another one as soon as a block is added to it."""
    if not policy.deny.digests:
        return
    manifest = hashlib.sha256(bundle.manifest).hexdigest()
    found = [("manifest", manifest)]
    for payload, _, result in measured:
        raw = result.digests.get(("sha256", View.RAW))
        found += [(f"payload {payload.name!r}", raw.hex())] if raw else []
    denied = [(what, digest) for what, digest in found if digest in policy.deny.digests]
    for what, digest in denied:
        yield Failure("denied", f"the deny list has the SHA-256 of its {what}", {"sha256": digest})
    whole = bundle.sha256()
    if whole in policy.deny.digests:
        advice = (
            "" if denied else f"; better deny its manifest, sha256:{manifest}, which stays when the file is changed"
        )
        yield Failure("denied", f"the deny list has the SHA-256 of the file{advice}", {"sha256": whole})


def _signer_denials(policy: Policy, judged: list[_Judged]) -> Iterator[Failure]:
    """Every verified signer, trusted or not, and every CA on the path of one."""
    for one in judged:
        path = one.outcomes[0].path
        for failure in policy.deny.failures(path.certificates if path else (one.signer.certificate,)):
            yield replace(failure, evidence={**one.signer.evidence, **failure.evidence})


def _floor_failures(manifest: Manifest, policy: Policy) -> Iterator[Failure]:
    floor = policy.floors.get(manifest.name)
    if floor is not None and version_key(manifest.version) < version_key(floor):
        detail = f"version {manifest.version} is older than the floor {floor}"
        yield Failure("version-below-floor", detail, {"version": manifest.version, "floor": floor})
