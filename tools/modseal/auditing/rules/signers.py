"""Rules about who stands for a bundle, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.trusted import Trusted
from modseal.errors import Evidence
from modseal.format.level import Level
from modseal.trust.examination import Status
from modseal.trust.moments import BEGINNING
from modseal.trust.policy import Policy


def _claim_above_proven(subject: Subject) -> Iterator[Hit]:
    """A claim above community that no trusted signer stands for."""
    manifest, proven = subject.manifest, subject.examination.proven_level
    if manifest and manifest.claimed_level > Level.COMMUNITY and (proven is None or proven < manifest.claimed_level):
        detail = f"the manifest claims {manifest.claimed_level}; proven is {proven or 'none'}"
        yield Hit(detail, {"claimed": str(manifest.claimed_level), "proven": str(proven) if proven else None})


CLAIM_ABOVE_PROVEN = Rule(
    id="claim-above-proven",
    severity=Severity.HIGH,
    title="Claims a higher level than is proven",
    what="The manifest claims a level above community, and no trusted signer grants it.",
    why="Tools that show the claimed level (`esxcli software vib list` among them) show it as if it were true. "
    "Implants have been installed that way: forced in, with the claim of a partner and an empty signature.",
    remedy="Do not use this bundle; ask the vendor it names whether they made it.",
    example="A `descriptor.xml` with `<acceptance-level>certified</acceptance-level>` beside an empty `sig.pkcs7`.",
    check=_claim_above_proven,
)


def _unknown_signer_beside(subject: Subject) -> Iterator[Hit]:
    """Verified signers that the policy does not trust, where it trusts another."""
    fingerprints = dict(subject.examination.trusted)
    for certificate in dict.fromkeys(signer.certificate for signer in subject.examination.signers):
        if fingerprints and certificate.fingerprint not in fingerprints:
            evidence = {"signer": certificate.fingerprint, "subject": certificate.subject}
            yield Hit(f"{certificate.subject} signed it too, whom the policy does not trust", evidence)


UNKNOWN_SIGNER_BESIDE = Rule(
    id="unknown-signer-beside",
    severity=Severity.INFO,
    title="A signer that is not trusted, beside one that is",
    what="The bundle has a good signature by somebody whom the policy does not trust, beside that of a trusted signer.",
    why="Signatures can be added by anybody: it takes nothing from the trusted one, and proves nothing. Often it is a "
    "vendor's newer or older certificate, whose anchor the policy lacks.",
    remedy="Ask the vendor whether the signer is theirs; if so, their anchor is missing in the policy.",
    example="A VIB with an old and a new signature of VMware, under a policy that pins the old signer alone.",
    check=_unknown_signer_beside,
)


def _signature_set_aside(subject: Subject) -> Iterator[Hit]:
    """Checks of step 1 that were set aside."""
    for one in subject.examination.checks:
        if one.step == 1 and one.code and one.status is Status.NOT_APPLICABLE:
            yield Hit(one.detail, {**one.evidence, "code": one.code})


SIGNATURE_SET_ASIDE = Rule(
    id="signature-set-aside",
    severity=Severity.LOW,
    title="A signature could not be judged",
    what="One of the signature blocks has an algorithm or a kind of key that this modseal, or this machine's library, "
    "does not know. Another block was verified, so this one was set aside.",
    why="That is how a vendor adds a newer signature without shutting out older verifiers. But it is also a block of "
    "which nobody here can say what it proves. Low, because it decides nothing.",
    remedy="Update modseal, and audit again: what is set aside here may be judged there.",
    example="A block with an algorithm of 2030 beside one with RSA.",
    check=_signature_set_aside,
)


WINDOW = timedelta(days=90)
"""A quarter of a year: long enough to ask a vendor for another signature, and to roll it out."""


def _signer_expires_soon(subject: Subject) -> Iterator[Hit]:
    """Trusted signers whose path ends within the window, unless those that remain suffice."""
    signers = subject.trusted
    ending = [one for one in signers if not one.endures and _window_start(one) <= subject.at]
    if _suffice([one for one in signers if one not in ending], subject.policy):
        return
    for one in ending:
        certificate = one.first_to_end
        end = f"{certificate.not_after:%Y-%m-%d}"
        whose = "" if certificate == one.signer.certificate else f", above {one.signer.certificate.subject},"
        detail = f"the certificate of {certificate.subject}{whose} ends on {end}, and the signature with it"
        evidence = {"signer": one.signer.certificate.fingerprint, "certificate": certificate.fingerprint}
        yield Hit(detail, {**evidence, "not_after": certificate.not_after.isoformat()})


def _signer_expires_soon_moments(subject: Subject) -> Iterator[datetime]:
    """When the window of each certificate begins."""
    for one in subject.trusted:
        if not one.endures:
            yield _window_start(one)


def _window_start(one: Trusted) -> datetime:
    """When its end is near enough to be told."""
    try:
        return one.first_to_end.not_after - WINDOW
    except OverflowError:  # a certificate of the year 1
        return BEGINNING


def _suffice(lasting: Sequence[Trusted], policy: Policy) -> bool:
    """Whether the policy asks for no more signers than these."""
    named = {one.path.anchor.name for one in lasting} | {one.signer.certificate.fingerprint for one in lasting}
    keys = {one.signer.certificate.key_der for one in lasting}
    return len(keys) >= policy.minimum_signers and named.issuperset(policy.required_signers)


SIGNER_EXPIRES_SOON = Rule(
    id="signer-expires-soon",
    severity=Severity.MEDIUM,
    title="A certificate that the signature needs ends within 90 days",
    what=f"A trusted signer's certificate, or one above it, ends within {WINDOW.days} days. No timestamp proves when "
    "the signature was made, the policy does not accept the expired certificate, and the other signers do not suffice.",
    why="On that day the same bytes under the same policy are refused as `expired`: in the pipeline, at the gate, and "
    "on every host at once.",
    remedy="Have the bundle timestamped while the certificate is valid (`modseal timestamp`), or signed again.",
    example="A bundle signed without a timestamp, whose signer's certificate ends next month.",
    check=_signer_expires_soon,
    moments=_signer_expires_soon_moments,
)


def _signer_expired_pinned(subject: Subject) -> Iterator[Hit]:
    """Trusted signers that have ended, where nothing but the pin speaks for them."""
    for one in subject.trusted:
        certificate = one.signer.certificate
        if one.endures and one.proven is None and certificate.not_after < subject.at:
            name = one.path.anchor.name
            detail = f"{certificate.subject} ended on {certificate.not_after:%Y-%m-%d}; the pin {name} accepts it still"
            yield Hit(detail, {"signer": certificate.fingerprint, "anchor": name})


def _signer_expired_pinned_moments(subject: Subject) -> Iterator[datetime]:
    """When each certificate ends."""
    return (one.signer.certificate.not_after for one in subject.trusted)


SIGNER_EXPIRED_PINNED = Rule(
    id="signer-expired-pinned",
    severity=Severity.LOW,
    title="Only a pin keeps an expired signer trusted",
    what="A trusted signer's certificate has ended, no timestamp proves that the signature is older, and the policy "
    "pins the certificate with `accept-expired = true`.",
    why="The policy's keeper wanted it so, and VMware's signatures before 2020 need it. But nothing proves when the "
    "signature was made: whoever finds the old key can sign today, and it is accepted. Low, because it is a decision "
    "of the policy and no fault of the bundle.",
    remedy="Narrow the pin with `names` and `vendors`, and drop it when nothing needs it any more.",
    example="A VIB of 2015 under the policy `vmware`: its signer's certificate ended on 2019-12-31.",
    check=_signer_expired_pinned,
    moments=_signer_expired_pinned_moments,
)


def _signer_expired_timestamped(subject: Subject) -> Iterator[Hit]:
    """Trusted signers whose path has ended since the time that a timestamp proves."""
    for one in subject.trusted:
        certificate = one.first_to_end
        if one.proven and certificate.not_after < subject.at:
            end, signed = f"{certificate.not_after:%Y-%m-%d}", f"{one.proven:%Y-%m-%d}"
            detail = f"{certificate.subject} ended on {end}; a timestamp of {signed} keeps the signature"
            yield Hit(detail, {"signer": one.signer.certificate.fingerprint, "certificate": certificate.fingerprint})


def _signer_expired_timestamped_moments(subject: Subject) -> Iterator[datetime]:
    """When the first certificate of each path ends."""
    return (one.first_to_end.not_after for one in subject.trusted)


SIGNER_EXPIRED_TIMESTAMPED = Rule(
    id="signer-expired-timestamped",
    severity=Severity.INFO,
    title="A timestamp keeps an expired signer trusted",
    what="A certificate that the signature needs has ended, and a timestamp of an authority that the policy trusts "
    "proves that the signature was made before.",
    why="This is what timestamps are for. It is told because the bundle is now trusted through the timestamp alone: "
    "whoever takes the authority out of `[time] anchors` refuses it.",
    remedy="Nothing needs to be done. Keep the timestamp authority in the policy for as long as the bundle is in use.",
    example="A release of 2023 whose signer's certificate ended in 2025.",
    check=_signer_expired_timestamped,
    moments=_signer_expired_timestamped_moments,
)


_TIMESTAMP_IGNORED = "Name the root of the timestamp authority under `[time] anchors`, if you trust it."


def _no_timestamp(subject: Subject) -> Iterator[Hit]:
    """Trusted signers below a CA without a timestamp that counts. A pin's keeper decides about its end himself."""
    for one in subject.trusted:
        if one.proven or one.path.pinned:
            continue
        signer = one.signer
        evidence: Evidence = {"signer": signer.certificate.fingerprint, "timestamps": len(signer.timestamps)}
        if signer.timestamps:
            detail = f"the timestamp of {signer.certificate.subject} is ignored: the policy names no timestamp anchor"
            yield Hit(detail, evidence, remedy=_TIMESTAMP_IGNORED)
        else:
            yield Hit(f"the signature of {signer.certificate.subject} has no timestamp", evidence)


NO_TIMESTAMP = Rule(
    id="no-timestamp",
    severity=Severity.LOW,
    title="No timestamp proves when it was signed",
    what="A trusted signer's signature has no timestamp, or none that the policy takes notice of. Signers that the "
    "policy pins are not meant: there the pin says what happens when the certificate ends.",
    why="Such a signature is good for as long as its certificate, a year or two, and the bundle is often in use for "
    "longer. Low, because nothing is wrong today; `signer-expires-soon` tells when it becomes urgent.",
    remedy="Timestamp the signature while its certificate is valid: `modseal timestamp`, or `--tsa` of `modseal sign`.",
    example="A `.seal` signed in a pipeline that has no access to a timestamp authority.",
    check=_no_timestamp,
)
