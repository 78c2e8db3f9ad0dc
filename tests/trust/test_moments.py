"""Between two neighbouring moments the time of verification decides nothing: what an audit's cache rests on.

Random certificates, CRLs, timestamps and pins begin and end within a few weeks; the bundle is then examined at two
times between two neighbouring moments, and all that is found must be the same. Each kind of moment is also taken
away, and then the examinations must differ.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from builders import crls
from builders.bundles import Bundle, judge, make
from builders.pki import EPOCH, FAR, NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from builders.rules import record
from builders.tsa import authority, stamped, token, tsa_root
from modseal.auditing.as_of import AsOf
from modseal.pki.revocation import RevocationRules
from modseal.trust import moments
from modseal.trust.policy import Policy
from modseal.trust.timestamp import CLOCK_TOLERANCE

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
DAYS = 40
"""Everything in a random case begins and ends within so many days after `NOW`."""
CASES = 60
TIMES = 6
"""Random cases, and pairs of times that each is examined at."""


@dataclass(frozen=True)
class Case:
    """A bundle and the policy that it is examined under."""

    bundle: Bundle
    policy: Policy


def outcome(case: Case, at: datetime) -> object:
    """All that an examination and the rules find, but for the sentences, which may name the time."""
    found = judge(case.bundle, case.policy, at)
    checks = [(check.id, check.status, check.code, check.evidence.get("certificate")) for check in found.checks]
    told = [(one.rule, one.severity, one.fingerprint) for one in record(case.bundle, case.policy, at).findings]
    return found.verdict, found.proven_level, found.trusted, checks, told


def told(case: Case, at: datetime, shown: datetime) -> tuple[bytes, ...]:
    """What an audit keeps at one time, as a report at another has it: to the byte, with every sentence."""
    kept, as_of = record(case.bundle, case.policy, at), AsOf(shown)
    return tuple(map(as_of.filled, (kept.values, *(text.line('""') for text in kept.texts))))


def listed(case: Case) -> set[datetime]:
    """The moments of a case, whenever it is examined."""
    signers = judge(case.bundle, case.policy, NOW).signers
    return {*moments.of_policy(case.policy), *moments.of_signers(signers)}


# Random cases.


class Maker:
    """Makes case number n: always the same but for keys and random bits of signatures."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)

    def sometimes(self, one_in: int = 2) -> bool:
        return self.chance.randrange(one_in) == 0

    def time(self) -> datetime:
        return NOW + timedelta(seconds=self.chance.randrange(DAYS * 86400))

    def validity(self) -> dict[str, Any]:
        """Sometimes all of the time; else it begins or ends in the middle."""
        if self.sometimes():
            return {}
        start, end = sorted((self.time(), self.time() + SECOND))
        return self.chance.choice(({"start": start}, {"end": end}, {"start": start, "end": end}))

    def case(self) -> Case:
        base = ca("Root", key=new_key("p256", 301), **self.validity())
        issuing = ca("Issuing", issuer=base, key=new_key("p256", 302), **self.validity())
        cross = ca("Issuing", issuer=base, key=new_key("p256", 302), **self.validity())
        signers = [self.signer(self.chance.choice((base, issuing))) for _ in range(self.chance.choice((1, 1, 2)))]
        good = make("seal")
        blocks = b"".join(self.block(good, one.with_chain(issuing, cross)) for one in signers)
        return Case(good.with_signature(blocks), self.policy(base, issuing, signers))

    def signer(self, issuer: Identity) -> Identity:
        return leaf("Signer", issuer=issuer, key=new_key("p256", 310 + self.chance.randrange(4)), **self.validity())

    def block(self, good: Bundle, one: Identity) -> bytes:
        tsa = authority(key=new_key("p256", 320), **self.validity())
        times = [self.time() for _ in range(self.chance.choice((0, 0, 1, 2)))]

        def at(time: datetime) -> Callable[[bytes], bytes]:
            return lambda signature: token(signature, time, tsa)

        return good.with_block(stamped(good.manifest_bytes, one, *map(at, times))).signature

    def policy(self, base: Identity, issuing: Identity, signers: list[Identity]) -> Policy:
        anchors = [anchor(base)]
        if self.sometimes(4):
            anchors.append(pin(signers[0], accept_expired=self.sometimes()))
        lists = tuple(self.crl(one, signers) for one in (base, issuing, tsa_root()) if self.sometimes())
        return trusting(
            *anchors,
            intermediates=(issuing.parsed,) if self.sometimes() else (),
            timestamp_anchors=(tsa_root().parsed,) if self.sometimes() else (),
            timestamp_required=self.sometimes(8),
            minimum_signers=self.chance.choice((1, 1, 2)),
            revocation=RevocationRules(
                crls.read(*lists),
                required=self.sometimes(4),
                maximum_age=timedelta(days=self.chance.randrange(1, DAYS)) if self.sometimes() else None,
                accept_signed_before=self.sometimes(),
            ),
        )

    def crl(self, issuer: Identity, signers: list[Identity]) -> bytes:
        start, end = sorted((self.time(), self.time() + SECOND))
        start = start if self.sometimes(3) else EPOCH
        reason = [(x509.CRLReason(x509.ReasonFlags.superseded), False)]
        serial = signers[0].certificate.serial_number
        entries = [crls.revoked(serial, self.time(), reason)] if self.sometimes(3) else []
        return crls.make(issuer, *entries, start=start, end=end if self.sometimes() else FAR)


def between(chance: random.Random, holds: tuple[datetime, datetime]) -> datetime | None:
    """A whole second strictly between two moments; None where there is none."""
    first, last = max(holds[0], NOW - 200 * DAY), min(holds[1], NOW + 200 * DAY)
    seconds = int((last - first) / SECOND)
    return first + chance.randrange(1, seconds) * SECOND if seconds > 1 else None


@pytest.mark.parametrize("number", range(CASES))
def test_nothing_changes_between_two_moments(number: int) -> None:
    case, chance = Maker(number).case(), random.Random(number)
    for _ in range(TIMES):
        at = NOW + timedelta(seconds=chance.randrange(-100 * 86400, (DAYS + 10) * 86400))
        holds = record(case.bundle, case.policy, at).holds
        other = between(chance, holds) if holds else None
        if holds and other:
            assert outcome(case, at) == outcome(case, other), (at, other, holds)
            assert told(case, at, other) == told(case, other, other), (at, other, holds)


def test_the_random_cases_are_of_all_kinds() -> None:
    """Else the test above could pass because nothing is ever accepted, or nothing ever changes."""
    verdicts: set[str] = set()
    codes: set[str] = set()
    for number in range(CASES):
        case = Maker(number).case()
        for at in (NOW - DAY, NOW + DAYS * DAY / 2, NOW + (DAYS + 1) * DAY):
            found = judge(case.bundle, case.policy, at)
            verdicts.add(found.verdict)
            codes |= {check.code for check in found.checks if check.code}
    assert verdicts == {"accepted", "rejected", "undecided"}
    assert codes >= {"expired", "not-yet-valid", "crl-stale", "crl-not-yet-valid", "revoked", "untrusted-time"}


# Each kind of moment matters.


def of_crls(*lists: bytes, **rules: Any) -> Policy:
    return trusting(revocation=RevocationRules(crls.read(*lists), **rules))


def made(identity: Identity | None = None, policy: Policy | None = None) -> Case:
    return Case(make("seal", identity or signer()), policy or trusting())


CHANGE = NOW + 10 * DAY


def timestamped() -> Case:
    good = make("seal")
    bundle = good.with_block(stamped(good.manifest_bytes, signer(), lambda signature: token(signature, CHANGE)))
    return Case(bundle, trusting(timestamp_anchors=(tsa_root().parsed,)))


def embedded(**validity: Any) -> Case:
    issuing = ca("Issuing", issuer=root(), **validity)
    return made(leaf("Below", issuer=issuing).with_chain(issuing))


def in_policy(**validity: Any) -> Case:
    issuing = ca("Issuing", issuer=root(), **validity)
    return made(leaf("Below", issuer=issuing), trusting(intermediates=(issuing.parsed,)))


def under(**validity: Any) -> Case:
    top = ca("Top", **validity)
    return made(leaf("Below", issuer=top), trusting(top))


def list_of(**dates: datetime) -> bytes:
    return crls.make(root(), **dates)  # type: ignore[arg-type]


KINDS: dict[str, Callable[[], tuple[Case, datetime]]] = {
    "signer begins": lambda: (made(leaf("Late", start=CHANGE)), CHANGE),
    "signer ends": lambda: (made(leaf("Short", end=CHANGE)), CHANGE),
    "embedded CA begins": lambda: (embedded(start=CHANGE), CHANGE),
    "embedded CA ends": lambda: (embedded(end=CHANGE), CHANGE),
    "CA of the policy begins": lambda: (in_policy(start=CHANGE), CHANGE),
    "CA of the policy ends": lambda: (in_policy(end=CHANGE), CHANGE),
    "anchor begins": lambda: (under(start=CHANGE), CHANGE),
    "anchor ends": lambda: (under(end=CHANGE), CHANGE),
    "CRL begins": lambda: (made(policy=of_crls(list_of(start=CHANGE))), CHANGE),
    "CRL ends": lambda: (made(policy=of_crls(list_of(end=CHANGE))), CHANGE),
    "CRL becomes too old": lambda: (
        made(policy=of_crls(list_of(start=NOW), maximum_age=10 * DAY)),
        CHANGE,
    ),
    "clock passes a timestamp": lambda: (timestamped(), CHANGE - CLOCK_TOLERANCE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_moment_that_matters_is_listed(kind: str) -> None:
    case, moment = KINDS[kind]()
    assert outcome(case, moment - SECOND) != outcome(case, moment + SECOND), "it does not matter"
    holds = moments.between(listed(case), moment - SECOND)
    assert holds is not None
    assert holds[1] == moment
    assert record(case.bundle, case.policy, moment).holds is None


REMOVED: dict[str, tuple[str, Callable[..., Iterable[datetime]]]] = {
    "certificates": ("_of_certificates", lambda _certificates: ()),
    "CRLs": ("_of_crls", lambda _policy: ()),
    "timestamps": ("_of_tokens", lambda _tokens: ()),
}


@pytest.mark.parametrize(
    ("kind", "removed"),
    [(kind, "timestamps" if "clock" in kind else "CRLs" if "CRL" in kind else "certificates") for kind in KINDS],
)
def test_without_a_moment_the_audit_would_keep_what_no_longer_holds(
    kind: str, removed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random test can fail: with one kind of moment left out, two times look the same that are not."""
    case, moment = KINDS[kind]()
    monkeypatch.setattr(moments, *REMOVED[removed])
    holds = moments.between(listed(case), moment - SECOND)
    assert holds is not None
    assert holds[0] < moment < holds[1]
    assert outcome(case, moment - SECOND) != outcome(case, moment + SECOND)


# The edges.


def test_without_any_moment_a_verdict_holds_for_ever() -> None:
    assert moments.between((), NOW) == (moments.BEGINNING, moments.END)


def test_the_neighbours_are_the_nearest_on_both_sides() -> None:
    times = [NOW + number * DAY for number in (5, -3, 2, -7, 9)]
    assert moments.between(times, NOW) == (NOW - 3 * DAY, NOW + 2 * DAY)
    assert moments.between(times, NOW + 2 * DAY) is None


def test_a_crl_that_never_becomes_too_old_and_a_token_that_is_none_are_no_moments() -> None:
    late = datetime(9999, 12, 1, tzinfo=UTC)
    policy = of_crls(list_of(start=late, end=datetime(9999, 12, 31, tzinfo=UTC)), maximum_age=100 * DAY)
    assert late in moments.of_policy(policy)
    assert max(moments.of_policy(policy)) == datetime(9999, 12, 31, tzinfo=UTC)
    case = made()
    (one,) = judge(case.bundle, case.policy).signers
    broken = replace(one, timestamps=(b"\x30\x00", b"nothing"))
    assert moments.of_signers([broken]) == moments.of_signers([one])


def test_the_anchors_of_timestamps_are_listed_too() -> None:
    policy = trusting(timestamp_anchors=(ca("TSA root", end=CHANGE).parsed,))
    assert CHANGE in moments.of_policy(policy)
