"""What an audit attests: only what it found, bound to its report, and read back with every word checked."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import bundles
from builders.audits import audit_of, folder_of
from builders.pki import NOW, Identity, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from builders.reports import save
from modseal import limits
from modseal.auditing import vsa
from modseal.auditing.attest import Attested, Report, attest
from modseal.auditing.finding import Severity
from modseal.auditing.report_file import ReportFile
from modseal.auditing.run import Audit
from modseal.errors import FormatError, RefusedError, UsageError
from modseal.format import dsse
from modseal.format.level import Level
from modseal.policy import sources as policy_sources
from modseal.signing import dsse as signing_dsse
from modseal.signing import fitness

LATER = NOW + timedelta(hours=1)
MEDIUM = Severity.MEDIUM
AUDITOR = leaf("Auditor", key=new_key("p256", 900))


def policy_of(folder: Path, minimum: str = "community") -> Any:
    """A policy that was read from a file, as an attested one must be."""
    (folder / "root.pem").write_bytes(root().pem)
    text = f'schema = "modseal/policy@1"\nminimum-level = "{minimum}"\n\n[[anchor]]\nname = "A"\n'
    (folder / "p.toml").write_text(f'{text}certificate = "root.pem"\ngrants = "certified"\n')
    return policy_sources.load(str(folder / "p.toml"))


@dataclasses.dataclass
class Desk:
    """An auditor's folder: the depot, what was found in it, and where the attestation goes."""

    folder: Path
    audit: Audit
    report: ReportFile
    passed: bool

    def attest(self, by: Identity = AUDITOR, **changes: Any) -> Attested:
        report = Report("r.json", "application/json", self.report.sha256)
        values: dict[str, Any] = {"passed": self.passed, "fail_on": MEDIUM} | changes
        at = values.pop("at", LATER)
        return attest(values.pop("audit", self.audit), report, by.signer(), self.folder / "a.vsa", at, **values)

    @property
    def path(self) -> Path:
        return self.folder / "a.vsa"

    def statement(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(dsse.decode(self.path.read_bytes(), "a.vsa").payload)
        return values

    def check(self, by: Identity = AUDITOR, report: ReportFile | None = None) -> vsa.Attestation:
        return vsa.check(self.path.read_bytes(), "a.vsa", by.parsed, report or self.report)

    def refused(self, **changes: Any) -> str:
        with pytest.raises(FormatError) as caught:
            self.check(**changes)
        assert caught.value.failure.code == "bad-attestation"
        return caught.value.failure.detail

    def sign_again(self, edit: Callable[[dict[str, Any]], object], kind: str = dsse.STATEMENT) -> None:
        """The auditor's own key over another statement: what only a careful reader notices."""
        values = self.statement()
        edit(values)
        row = fitness.choose_algorithm(AUDITOR.signer().certificate)
        self.path.write_bytes(signing_dsse.envelope(json.dumps(values).encode(), AUDITOR.signer(), row, kind))


def desk_of(folder: Path, *, fail_on: Severity = MEDIUM, **choices: Any) -> Desk:
    audit = audit_of([folder / "depot"], policy_of(folder), **choices)
    passed = not audit.doubt and not (audit.worst and audit.worst >= fail_on)
    return Desk(folder, audit, save(audit, folder / "r.json"), passed)


@pytest.fixture
def good(tmp_path: Path) -> Desk:
    """Three good bundles."""
    folder_of(tmp_path / "depot", 3)
    desk = desk_of(tmp_path)
    assert desk.passed
    return desk


@pytest.fixture
def bad(tmp_path: Path) -> Desk:
    """Two good bundles, one that is not signed, and a link to nowhere, which has no digest."""
    folder_of(tmp_path / "depot", 2)
    (tmp_path / "depot" / "9.seal").write_bytes(bundles.make("seal").unsigned().data)
    (tmp_path / "depot" / "gone.seal").symlink_to("nowhere")
    return desk_of(tmp_path)


# What is written.


def test_a_passed_audit_speaks_of_every_accepted_bundle(good: Desk) -> None:
    done = good.attest()
    assert (done.passed, done.bundles, done.path) == (True, 3, good.path)
    statement = good.statement()
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    expected = [(one["bundle"], {"sha256": one["sha256"]}) for one in good.audit.results()]
    assert [(one["name"], one["digest"]) for one in statement["subject"]] == expected
    predicate = statement["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"] == ["MODSEAL_LEVEL_PARTNER"]
    assert predicate["timeVerified"] == "2026-01-01T01:00:00Z"
    digest = good.audit.policy.origin.digest if good.audit.policy.origin else ""
    assert predicate["policy"]["digest"] == {"sha256": digest}
    assert predicate["policy"]["uri"] == f"urn:modseal:policy:sha256:{digest}"
    assert predicate["verifier"]["id"] == f"urn:modseal:key:sha256:{done.key_id}"
    assert predicate["urn:modseal:audit:1"] == {
        "report": {
            "name": "r.json",
            "mediaType": "application/json",
            "digest": {"sha256": good.report.sha256},
        },
        "at": "2026-01-01T00:00:00Z",
        "failOn": "medium",
        "bundles": 3,
    }


def test_it_says_nothing_of_slsa_and_of_no_attestations(good: Desk) -> None:
    """No level of ours may start with SLSA_, and no attestation was looked at."""
    good.attest()
    predicate = good.statement()["predicate"]
    assert not {"slsaVersion", "inputAttestations", "dependencyLevels"} & predicate.keys()
    assert "SLSA_" not in json.dumps(predicate)
    extensions = predicate.keys() - {
        *("verifier", "timeVerified", "resourceUri", "policy", "verificationResult", "verifiedLevels")
    }
    assert all(":" in name for name in extensions), "the name of an extension field is a URI"


def test_a_failed_audit_lists_all_that_has_a_digest(bad: Desk) -> None:
    done = bad.attest()
    assert (done.passed, done.bundles) == (False, 3)
    predicate = bad.statement()["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert predicate[vsa.DETAILS]["bundles"] == 4
    assert [Path(one["name"]).name for one in bad.statement()["subject"]] == ["000.seal", "001.vib", "9.seal"]
    assert bad.check().result == "FAILED"


def test_what_a_baseline_knows_is_not_said_to_have_passed(tmp_path: Path) -> None:
    folder_of(tmp_path / "depot", 2)
    (tmp_path / "depot" / "9.seal").write_bytes(bundles.make("seal").unsigned().data)
    known = frozenset(one.fingerprint for one in desk_of(tmp_path).audit.findings())
    desk = desk_of(tmp_path, known=known)
    assert desk.passed
    assert desk.attest().bundles == 2
    assert desk.statement()["predicate"][vsa.DETAILS]["bundles"] == 3
    assert desk.check().result == "PASSED"


def test_the_level_is_the_lowest_of_all(tmp_path: Path) -> None:
    folder_of(tmp_path / "depot", 1, claimed_level=Level.CERTIFIED)
    for more, expected in ((None, "CERTIFIED"), (Level.COMMUNITY, "COMMUNITY"), (Level.ACCEPTED, "ACCEPTED")):
        if more:
            (tmp_path / "depot" / "9.seal").write_bytes(bundles.make("seal", claimed_level=more).data)
        desk = desk_of(tmp_path)
        desk.attest()
        assert desk.statement()["predicate"]["verifiedLevels"] == [f"MODSEAL_LEVEL_{expected}"]


def test_an_accepted_bundle_without_a_proven_level_brings_the_level_down() -> None:
    rows = [
        {"bundle": "a", "sha256": "1" * 64, "verdict": "accepted", "proven_level": level} for level in ("partner", None)
    ]
    assert vsa._subjects(rows, passed=True)[1] == "none"


def test_the_same_bundle_twice_is_one_subject(tmp_path: Path) -> None:
    (path,) = folder_of(tmp_path / "depot", 1)
    audit = audit_of([path, path], policy_of(tmp_path))
    desk = Desk(tmp_path, audit, save(audit, tmp_path / "r.json"), passed=True)
    assert desk.attest().bundles == 1
    assert desk.check().subjects == 1


def test_the_caller_says_where_bundles_are_fetched_and_who_judges(good: Desk) -> None:
    good.attest(resource="https://depot.example/1", verifier="https://ci.example/audit")
    found = good.check()
    assert (found.resource, found.verifier) == ("https://depot.example/1", "https://ci.example/audit")


@pytest.mark.parametrize("name", ["resource", "verifier"])
def test_what_is_no_uri_is_usage(good: Desk, name: str) -> None:
    with pytest.raises(UsageError, match="must be a URI"):
        good.attest(**{name: "no uri"})
    assert not good.path.exists()


def test_securesystemslib_verifies_it(good: Desk) -> None:
    library = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    done = good.attest()
    envelope = library.Envelope.from_dict(json.loads(good.path.read_bytes()))
    key = SSlibKey.from_crypto(AUDITOR.signer().certificate.public_key(), keyid=done.key_id)
    assert envelope.verify([key], 1) == {key.keyid: key}
    assert json.loads(envelope.payload) == good.statement()
    with pytest.raises(VerificationError):
        envelope.verify([SSlibKey.from_crypto(signer().signer().certificate.public_key(), keyid=done.key_id)], 1)


# What is not attested.


def test_an_interrupted_audit_attests_nothing(good: Desk) -> None:
    with pytest.raises(UsageError, match="interrupted"):
        good.attest(audit=dataclasses.replace(good.audit, complete=False))
    assert not good.path.exists()


def test_an_audit_of_nothing_attests_nothing(tmp_path: Path) -> None:
    (tmp_path / "depot").mkdir()
    desk = desk_of(tmp_path)
    with pytest.raises(UsageError, match="no bundle that could be attested"):
        desk.attest()
    assert not desk.path.exists()


def test_a_caller_cannot_have_a_failed_audit_pass(bad: Desk) -> None:
    assert not bad.attest(passed=True).passed
    assert bad.statement()["predicate"]["verificationResult"] == "FAILED"


def test_the_threshold_is_the_audits(tmp_path: Path) -> None:
    folder_of(tmp_path / "depot", 1)  # without a timestamp, which is a finding of low severity
    low = desk_of(tmp_path, fail_on=Severity.LOW)
    assert not low.passed
    assert not low.attest(fail_on=Severity.LOW).passed
    assert not low.attest(passed=True, fail_on=Severity.LOW).passed
    assert low.attest(passed=True).passed


@pytest.mark.parametrize(
    "who",
    [
        leaf("Expired", key=new_key("p256", 900), end=NOW - timedelta(days=1)),
        leaf("TLS server", key=new_key("p256", 900), purposes=None),
    ],
    ids=["expired", "wrong purpose"],
)
def test_an_unfit_certificate_attests_nothing(good: Desk, who: Identity) -> None:
    with pytest.raises(RefusedError) as caught:
        good.attest(who)
    assert caught.value.failure.code == "unfit-certificate"
    assert not good.path.exists()


def test_a_bundle_is_not_overwritten(good: Desk) -> None:
    path = good.folder / "depot" / "000.seal"
    before = path.read_bytes()
    report = Report(None, "text/plain", good.report.sha256)
    with pytest.raises(UsageError, match="is one of the bundles"):
        attest(good.audit, report, AUDITOR.signer(), path, LATER, passed=True, fail_on=MEDIUM)
    assert path.read_bytes() == before


def test_a_policy_that_was_not_read_from_a_file_cannot_be_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "depot", 1)
    audit = audit_of([tmp_path / "depot"], trusting(anchor(root())))
    with pytest.raises(UsageError, match="policy"):
        Desk(tmp_path, audit, save(audit, tmp_path / "r.json"), passed=True).attest()


def test_an_envelope_that_no_reader_would_take_is_not_written(good: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(good.attest().path.read_bytes())
    monkeypatch.setattr(limits, "ENVELOPE_SIZE", size)
    good.attest()  # ECDSA is deterministic where the library has that; else it differs by a byte or two
    monkeypatch.setattr(limits, "ENVELOPE_SIZE", size - 8)
    good.path.unlink()
    with pytest.raises(RefusedError) as caught:
        good.attest()
    assert caught.value.failure.code == "limit-exceeded"
    assert not good.path.exists()


# What is read.


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "ed25519", "ml-dsa-44"])
def test_it_is_verified_with_every_kind_of_key(good: Desk, kind: str) -> None:
    who = leaf("Auditor", key=new_key(kind, 901))
    done = good.attest(who)
    found = good.check(who)
    assert (found.result, found.levels, found.subjects) == ("PASSED", ("MODSEAL_LEVEL_PARTNER",), 3)
    assert (found.algorithm, found.key_id, found.signer) == (done.algorithm, done.key_id, done.subject)
    assert "did not sign it" in good.refused(by=leaf("Auditor", key=new_key(kind, 902)))


def test_a_changed_payload_is_not_signed(good: Desk) -> None:
    good.attest()
    envelope = json.loads(good.path.read_bytes())
    payload = base64.b64decode(envelope["payload"]).replace(b"PARTNER", b"CERTIFIED")
    good.path.write_bytes(json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}).encode())
    assert "did not sign it" in good.refused()


def test_it_is_about_this_report_alone(good: Desk, tmp_path: Path) -> None:
    good.attest()
    (tmp_path / "other").mkdir()
    data = (good.folder / "r.json").read_bytes().replace(b'"left_out": 0', b'"left_out": 1')
    (tmp_path / "other" / "r.json").write_bytes(data)
    from modseal.auditing.report_file import load

    assert "it is about another report" in good.refused(report=load(tmp_path / "other" / "r.json"))


def test_the_certificate_must_have_been_valid_and_for_signing(good: Desk) -> None:
    good.attest()
    key = new_key("p256", 900)
    assert "expired" in good.refused(by=leaf("Auditor", key=key, end=NOW))
    assert "codeSigning" in good.refused(by=leaf("Auditor", key=key, purposes=None))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda one: one.update(_type="https://in-toto.io/Statement/v0.1"), "not a verification summary"),
        (lambda one: one.update(predicateType="https://slsa.dev/provenance/v1"), "not a verification summary"),
        (lambda one: one["subject"].pop(), "does not list what the report has"),
        (lambda one: one["subject"].append(one["subject"][0]), "does not list what the report has"),
        (lambda one: one["subject"][0]["digest"].update(sha256="0" * 64), "does not list what the report has"),
        (lambda one: one["predicate"].update(verifiedLevels=["MODSEAL_LEVEL_CERTIFIED"]), "does not list"),
        (lambda one: one["predicate"].update(verifiedLevels=["SLSA_BUILD_LEVEL_3"]), "does not list"),
        (lambda one: one["predicate"].update(verificationResult="FAILED"), "does not list"),
        (lambda one: one["predicate"].update(timeVerified="now"), "is not one of `modseal audit --attest`"),
        (lambda one: one["predicate"].pop("policy"), "has no policy"),
        (lambda one: one["predicate"]["policy"]["digest"].update(sha256="0" * 64), "another policy or time"),
        (lambda one: one["predicate"]["policy"].update(name="other"), "another policy or time"),
        (lambda one: one["predicate"][vsa.DETAILS].update(at="2020-01-01T00:00:00Z"), "another policy or time"),
        (lambda one: one["predicate"][vsa.DETAILS].update(bundles=2), "does not list"),
        (lambda one: one["predicate"][vsa.DETAILS].update(failOn="low"), "says PASSED, and the report does not"),
        (lambda one: one["predicate"]["verifier"].update(id=f"{vsa.VERIFIER}{'0' * 64}"), "another verifier"),
        (lambda one: one.update(predicate=[]), "is not one of"),
        (lambda one: one["predicate"].update({vsa.DETAILS: 7}), "is not one of"),
    ],
)
def test_a_statement_that_says_otherwise_than_the_report_is_refused(
    good: Desk, edit: Callable[[dict[str, Any]], object], words: str
) -> None:
    good.attest()
    good.sign_again(edit)
    assert words in good.refused()


def test_a_signed_failure_cannot_be_made_a_pass(bad: Desk) -> None:
    bad.attest()
    bad.sign_again(lambda one: one["predicate"].update(verificationResult="PASSED"))
    assert "says PASSED, and the report does not" in bad.refused()


def test_another_payload_type_is_refused(good: Desk) -> None:
    good.attest()
    good.sign_again(lambda _one: None, "application/json")
    assert "not an in-toto statement" in good.refused()


def test_one_of_several_signatures_is_enough_and_none_is_not(good: Desk) -> None:
    good.attest()
    plain = json.loads(good.path.read_bytes())
    stranger = {"keyid": plain["signatures"][0]["keyid"], "sig": base64.b64encode(b"x" * 64).decode()}
    good.path.write_bytes(json.dumps(plain | {"signatures": [stranger, *plain["signatures"]]}).encode())
    assert good.check().result == "PASSED"
    good.path.write_bytes(json.dumps(plain | {"signatures": [stranger]}).encode())
    assert "did not sign it" in good.refused()
