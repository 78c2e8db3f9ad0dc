"""Steps 1 to 6: each verified signer by itself, under each anchor; then all of them together against the policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from modseal import limits
from modseal.codes import CODES, CodeName
from modseal.errors import Evidence, Failure
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.manifest import Manifest
from modseal.format.times import time_text
from modseal.pki import purpose
from modseal.pki.effort import Effort
from modseal.pki.path import NoPath, revocation_failures
from modseal.trust.anchors import AnchoredPath, anchored_paths
from modseal.trust.examination import (
    SETTLED,
    AnchorOutcome,
    Check,
    Judgement,
    collect,
    failed,
    passed,
    set_aside,
    unexamined,
)
from modseal.trust.levels import LevelClaim, level_failure, prove
from modseal.trust.policy import Anchor, Policy
from modseal.trust.signature import Signatures, VerifiedSigner
from modseal.trust.signing_time import SigningTime
from modseal.values import dataclass


def signature_checks(unsigned: bool, signers: tuple[VerifiedSigner, ...], failures: tuple[Failure, ...]) -> list[Check]:
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


def judge(signer: VerifiedSigner, claim: LevelClaim, policy: Policy, at: datetime, effort: Effort) -> Judgement:
    """Steps 2 to 6 for one signer, under each anchor that a path leads to."""
    # (2) The time that validity is judged at. signingTime is never proof.
    effort.step = 2
    signed = signing_time(signer, policy, at, effort)
    checks = _time_checks(signer, signed, at)
    stamp = signed.stamp
    proven = stamp.time if stamp else None
    # (3) A chain to an anchor, (4) fit for code signing, (5) and not revoked, at that time.
    paths = _standings(signer, policy, at, proven, effort)
    if isinstance(paths, NoPath):
        if _may_be_older(signed) and all(failure.code == "expired" for failure in paths.failures):
            checks.append(unexamined(3, "not examined: it has expired, and the timestamp may prove that it had not"))
        else:
            checks += [failed(3, "path", failure) for failure in paths.failures]
        checks += [unexamined(step, "not examined: no path to an anchor") for step in (4, 5, 6)]
        return Judgement(signer, stamp, (AnchorOutcome(None, tuple(checks)),))
    # (6) The claim, under each anchor that a path leads to.
    outcomes = [_judge_claim(path, claim, policy, checks) for path in paths]
    best, *others = sorted(outcomes, key=_rank) if len(outcomes) > 1 else outcomes
    # A denied path that is not needed is none: it stands for no anchor either.
    allowed = (one for one in others if one.path and not any(map(policy.deny.entry, one.path.certificates)))
    return Judgement(signer, stamp, (best, *allowed))


def signing_time(signer: VerifiedSigner, policy: Policy, at: datetime, effort: Effort) -> SigningTime:
    """(2) What proves when a signer signed, for a verification at this time. `signingTime` is never proof."""
    if len(signer.timestamps) > limits.TIMESTAMPS_PER_SIGNER:  # under every policy: what a file may hold is one rule
        detail = f"{len(signer.timestamps)} timestamp tokens, {limits.TIMESTAMPS_PER_SIGNER} are allowed"
        evidence: Evidence = {**signer.evidence, "reason": "limit-exceeded"}
        return SigningTime(failures=(Failure("bad-timestamp", detail, evidence),))
    if not policy.timestamp_anchors and not policy.timestamp_required:
        return SigningTime(ignored=len(signer.timestamps))
    if not signer.timestamps:
        detail = "the policy requires a timestamp and there is none"
        missing = Failure("untrusted-time", detail, signer.evidence)
        return SigningTime(failures=(missing,) if policy.timestamp_required else ())
    from modseal.trust.timestamp import judge_tokens  # imported here: most bundles have no timestamp

    return judge_tokens(signer, policy, at, effort)


@dataclass(frozen=True, slots=True)
class Standing:
    """What steps 3 to 5 found of a signer's path to one anchor, whatever it has signed."""

    path: AnchoredPath
    checks: tuple[Check, ...]
    sound: bool


REMEMBERED_STANDINGS = 256
"""Signers whose standing under a policy at a time is remembered: 2,000 bundles of one signer judge it once."""


def _standings(
    signer: VerifiedSigner, policy: Policy, at: datetime, proven: datetime | None, effort: Effort
) -> tuple[Standing, ...] | NoPath:
    """Steps 3 to 5 of a signer, under each anchor that a path leads to; or why there is none.

    Nothing that it has signed counts here, so the answer is remembered with the policy, and charged all the same.
    """
    effort.step = 3
    key = (signer.certificate, signer.embedded, signer.block, signer.algorithm, at, proven)
    known: tuple[tuple[Standing, ...] | NoPath, int] | None = policy.standings.get(key)
    if known and effort.spent + known[1] <= limits.EFFORT:
        effort.spend(known[1])
        return known[0]
    before = effort.spent
    paths = anchored_paths(
        signer.certificate, signer.embedded, policy, proven or at, verified_at=at if proven else None, effort=effort
    )
    found: tuple[Standing, ...] | NoPath = (
        paths
        if isinstance(paths, NoPath)
        else tuple(_standing(signer, path, policy, at, proven, effort) for path in paths)
    )
    if effort.exhausted_at is None:
        _remember(policy, key, (found, effort.spent - before))
    return found


def _remember(policy: Policy, key: object, found: object) -> None:
    if len(policy.standings) >= REMEMBERED_STANDINGS:
        policy.standings.clear()
    policy.standings[key] = found


def _standing(
    signer: VerifiedSigner, path: AnchoredPath, policy: Policy, at: datetime, proven: datetime | None, effort: Effort
) -> Standing:
    path_text = f"{len(path.certificates)} certificates up to {path.anchor.name}"
    if path.pinned:
        path_text = f"the policy pins this exact certificate as {path.anchor.name}"
    checks = [passed(3, "path", path_text, **signer.evidence, anchor=path.anchor.name, pinned=path.pinned)]
    # (4) What the certificate and the algorithm may be used for.
    checks += collect(4, "use", _purpose_failures(signer, path, policy), "fit for code signing")
    # (5) Revocation of every certificate below the anchor.
    effort.step = 5
    failures = revocation_failures(path.path, policy.path_rules, at, proven, effort)
    checks += collect(5, "crl", failures, _revocation_text(path, policy))
    return Standing(path, tuple(checks), all(check.status in SETTLED for check in checks))


def _judge_claim(standing: Standing, claim: LevelClaim, policy: Policy, before: list[Check]) -> AnchorOutcome:
    """(6) The claim against the grant, and the anchor's scope; `before` are the checks of step 2."""
    checks, anchor = [*before, *standing.checks], standing.path.anchor
    scope = list(_scope_failures(standing.path, claim))
    sound = not scope and standing.sound and all(check.status in SETTLED for check in before)
    failure = level_failure(claim.level, anchor.grants, policy.minimum_level, claim.says)
    checks += collect(6, "grant", [failure, *scope] if failure else scope, f"{anchor.name} grants {anchor.grants}")
    return AnchorOutcome(standing.path, tuple(checks), prove(claim.level, anchor.grants) if sound else None)


def _rank(outcome: AnchorOutcome) -> tuple[bool, bool, bool, int]:
    """Sorts trusted outcomes first, then undecided ones, those that prove the claim, those with the fewest failures."""
    return (
        not outcome.trusted,
        not outcome.undecided,
        outcome.proven_level is None,
        sum(one.status not in SETTLED for one in outcome.checks),
    )


def _time_checks(signer: VerifiedSigner, signed: SigningTime, at: datetime) -> list[Check]:
    """(2) Every token that decides something, then the time that the rest is judged at."""
    checks = [failed(2, "timestamp", failure) for failure in signed.failures]
    checks += [set_aside(failed(2, "timestamp", failure), "another timestamp suffices") for failure in signed.set_aside]
    if signed.stamp:
        detail = f"signed at {time_text(signed.stamp.time)} or before, as {signed.stamp.authority.subject} attests"
        checks.append(passed(2, "timestamp", detail, **signer.evidence, **signed.stamp.evidence))
    elif not signed.failures:
        note = f" ({signed.ignored} timestamps ignored: the policy names no timestamp anchor)" if signed.ignored else ""
        detail = f"judged at the time of verification, {time_text(at)}{note}"
        checks.append(passed(2, "verification", detail, **signer.evidence))
    return checks


def _may_be_older(signed: SigningTime) -> bool:
    """Whether a timestamp may yet prove an earlier time, once what we lack is there, such as its authority's CRL."""
    return signed.stamp is None and any(CODES[failure.code].undecided for failure in signed.failures)


def _purpose_failures(signer: VerifiedSigner, path: AnchoredPath, policy: Policy) -> Iterator[Failure]:
    """A pin replaces the certificate's own statement of purpose (X5-02), never the strength of key or algorithm."""
    if not path.pinned:
        yield from purpose.leaf_failures(signer.certificate)
    yield from purpose.key_failures(signer.certificate, policy.minimum_rsa_bits)
    if signer.algorithm not in policy.algorithms:
        detail = f"the policy does not allow {signer.algorithm}"
        yield Failure("algorithm-not-allowed", detail, {**signer.evidence, "algorithm": signer.algorithm})


def _revocation_text(path: AnchoredPath, policy: Policy) -> str:
    if path.pinned:
        return "a pin is withdrawn in the policy, not by a CRL"
    issuers = {crl.issuer for crl in policy.revocation.crls}
    if any(certificate.issuer_name in issuers for certificate in path.certificates[:-1]):
        return "not revoked"
    return "the policy names no CRL of these issuers and requires none"


def _scope_failures(path: AnchoredPath, claim: LevelClaim) -> Iterator[Failure]:
    """The first vendor and the first name that the anchor may not speak for."""
    anchor = path.anchor
    for vendor in dict.fromkeys([vendor for vendor, _ in claim.modules]) if anchor.vendors else ():
        if not anchor.speaks_for_vendor(vendor):
            detail = f"{anchor.name} may not speak for vendor {vendor!r}"
            yield Failure("vendor-out-of-scope", detail, {"anchor": anchor.name, "vendor": vendor})
            break
    for name in dict.fromkeys([name for _, name in claim.modules]) if anchor.names else ():
        if not anchor.speaks_for_name(name):
            detail = f"{anchor.name} may not speak for module {name!r}"
            yield Failure("name-out-of-scope", detail, {"anchor": anchor.name, "name": name})
            break


@dataclass(frozen=True, slots=True)
class Judged:
    """All verified signers of some bytes: each judged by itself, who is trusted, and whose verdict is needed.

    `checks` are of all of them together (steps 2 to 6); those of each signer are added by `signer_checks`.
    """

    signers: tuple[Judgement, ...]
    trusted: tuple[Judgement, ...]
    pending: tuple[Judgement, ...]
    checks: tuple[Check, ...]

    def signer_checks(self, anchor: Anchor | None = None) -> Iterator[Check]:
        """Steps 2 to 6 of each signer, under the anchor that vouches for the whole where it is one of its own.

        Those of signers who are not needed are set aside.
        """
        why = "another signer suffices" if self.trusted else "a signer that is undecided may suffice"
        for one in self.signers:
            needed = one in self.pending or not (self.trusted or self.pending)
            found = one.under(anchor).outcomes[0]
            yield from found.checks if needed or found.trusted else (set_aside(check, why) for check in found.checks)


def judge_all(
    signatures: Signatures,
    claim: LevelClaim,
    policy: Policy,
    at: datetime,
    effort: Effort,
    *,
    exempt: bool,
    undecided: bool,
) -> Judged:
    """Steps 2 to 6: each verified signer by itself, then all together.

    `exempt` says that nobody has to have signed, `undecided` that step 1 failed nothing.
    """
    judged = tuple(judge(signer, claim, policy, at, effort) for signer in signatures.signers)
    trusted = tuple(one for one in judged if one.trusted)
    pending = tuple(needed_but_undecided(policy, judged, trusted))
    checks = []
    if effort.exhausted_at is not None:  # what was not looked at could be anything
        checks.append(failed(effort.exhausted_at, "effort", effort.failure))
    if not judged and not exempt:
        checks += [unexamined(step, "not examined: no verified signer") for step in range(2, 6)]
    if pending and trusted:
        checks.append(unexamined(6, "not examined: a signer that the policy needs is undecided"))
    else:
        checks += level_checks(claim, policy, judged, trusted, exempt=exempt, undecided=undecided)
    return Judged(judged, trusted, pending, tuple(checks))


def level_checks(
    claim: LevelClaim,
    policy: Policy,
    judged: Sequence[Judgement],
    trusted: Sequence[Judgement],
    *,
    exempt: bool,
    undecided: bool,
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
        detail = f"{claim.says} {claim.level}, and no signature grants it"
        return [failed(6, "grant", Failure("level-not-granted", detail, {"claimed": str(claim.level)}))]
    return (
        collect(6, "signers", _signer_failures(policy, trusted), f"{len(_keys(trusted))} trusted signers")
        if trusted
        else []
    )


def signer_denials(policy: Policy, judged: Iterable[Judgement]) -> Iterator[Failure]:
    """Every verified signer, trusted or not, and every CA on the path of one."""
    for one in judged if policy.deny.has_signers else ():
        path = one.path
        for failure in policy.deny.failures(path.certificates if path else (one.signer.certificate,)):
            yield replace(failure, evidence={**one.signer.evidence, **failure.evidence})


def expected_checks(manifest: Manifest, signatures: Signatures) -> list[Check]:
    """(6) Every signer that the manifest expects has signed it: by key, and whether trusted here or not (SIG-05).

    A block that cannot be judged could be that of any of them.
    """
    if not manifest.expected_signers:
        return []
    present = {rules.key_name(signer.certificate.key_der) for signer in signatures.signers}
    unjudged = any(failure.code == "unsupported-algorithm" for failure in signatures.failures)
    code: CodeName = "unsupported-algorithm" if unjudged else "expected-signer-missing"
    detail = "a signer that the manifest expects has not signed"
    if unjudged:
        detail = "whether a signer that the manifest expects has signed cannot be judged: a block has another algorithm"
    failures = [Failure(code, detail, {"expected": key}) for key in manifest.expected_signers if key not in present]
    return collect(6, "expected", failures, "every signer that the manifest expects has signed")


def _keys(trusted: Sequence[Judgement]) -> set[bytes]:
    """Distinct signers, each counted once however many certificates carry the key (CMS-07)."""
    return {one.signer.certificate.key_der for one in trusted}


def needed_but_undecided(
    policy: Policy, judged: Sequence[Judgement], trusted: Sequence[Judgement]
) -> Sequence[Judgement]:
    """The signers that the policy needs and that only lack something on our side, such as a current CRL.

    Then the verdict is undecided, and does not tell the user to ask the vendor for a signature that is there.
    """
    waiting = [one for one in judged if one.undecided]
    if not waiting:
        return []
    enough = bool(trusted) and not any(_signer_failures(policy, trusted))
    return [] if enough or any(_signer_failures(policy, trusted, waiting)) else waiting


def _signer_failures(
    policy: Policy, trusted: Sequence[Judgement], waiting: Sequence[Judgement] = ()
) -> Iterator[Failure]:
    """Why the signers do not satisfy `[signers]`; those of `waiting` count as trusted wherever they still may be."""
    count = len(_keys([*trusted, *waiting]))
    if count < policy.minimum_signers:
        detail = f"{count} distinct trusted signers, the policy requires {policy.minimum_signers}"
        yield Failure("too-few-signers", detail, {"trusted": count, "required": policy.minimum_signers})
    present = {one.signer.certificate.fingerprint for one in (*trusted, *waiting)}
    present |= {anchor.name for one in trusted for anchor in one.anchors}
    present |= {out.path.anchor.name for one in waiting for out in one.outcomes if out.undecided and out.path}
    for wanted in policy.required_signers:
        if wanted not in present:
            yield Failure("required-signer-missing", f"{wanted} has not signed", {"required": wanted})
