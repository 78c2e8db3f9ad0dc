"""A folder as an auditor may meet it: good bundles among tampered, unsigned, expired, malformed and unreadable ones.

`made_of` makes audits of any findings, without bundles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from builders.bundles import Bundle, Member, make
from builders.pki import NOW, ca, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from modseal.auditing import rules
from modseal.auditing.choice import RuleChoice
from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.auditing.spool import FindingSpool
from modseal.files.names import dumped, portable
from modseal.format.level import Level
from modseal.trust.policy import Policy


def policy() -> Policy:
    """One that grants partner to most, and has a floor."""
    return trusting(
        anchor(root(), Level.PARTNER, name="Acme release root"),
        anchor(root(1), Level.CERTIFIED, name="Certifier"),
        minimum=Level.COMMUNITY,
        floors={"acme-old": "2.0"},
    )


def bundles() -> Mapping[str, Bundle | bytes]:
    """Bundles by name, what is wrong with each in it."""
    good, vib = make("seal"), make("vib")
    stranger = leaf("Stranger", issuer=ca("Stranger root", key=new_key("p256", 70)))
    return {
        **{f"good/acme-{kind}-{n}.{kind}": make(kind, name=f"acme-{n}") for kind in ("seal", "vib") for n in range(5)},
        "good/certified.seal": make("seal", leaf("Certifying signer", issuer=root(1)), claimed_level=Level.CERTIFIED),
        "tampered/payload.seal": good.with_member("base", data=good["base"].data[:-1] + b"!"),
        "tampered/payload.vib": vib.with_member("payload1", data=vib["payload1"].data + b"\0\0"),
        "tampered/manifest.seal": good.with_member(
            "manifest.json", data=good.manifest_bytes.replace(b"An agent.", b"My agent.")
        ),
        "tampered/level.vib": vib.edit_text("partner", "certified"),
        "tampered/extra-member.seal": good.insert(3, Member("extra", b"x")),
        "tampered/trailing.vib": vib.data + b"trailing",
        "unsigned/claims-partner.vib": vib.unsigned(),
        "unsigned/community.seal": make("seal", claimed_level=Level.COMMUNITY, name="hobby").unsigned(),
        "signers/expired.seal": make("seal", leaf("Expired signer", end=NOW - timedelta(days=1)), name="acme-exp"),
        "signers/stranger.vib": make("vib", stranger, name="acme-str", vendor="Evil Corp"),
        "signers/no-purpose.seal": make("seal", leaf("TLS server", purposes=None), name="acme-tls"),
        "signers/two.seal": make("seal", signer(), stranger, name="acme-two"),
        "other/old-version.seal": make("seal", name="acme-old", version="1.0"),
        "other/same-version-other-content.seal": make("seal", files={"opt/acme/agent": b"another"}),
        "other/empty.seal": b"",
        "other/text.vib": b"this is no bundle\n",
        "other/cut.seal": good.data[:-10],
        "other/=cmd()\n\x1b[31m<b>&\udcff.seal": make("seal", name="acme-odd", summary="<script>").unsigned(),
        f"other/{'long-name-' * 9}of-a-module.seal": make("seal", name=f"acme-{'long-' * 8}name"),
    }


def write(folder: Path) -> Path:
    """All of them below a folder, a link to nowhere, and a file that is no bundle."""
    for name, bundle in bundles().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle if isinstance(bundle, bytes) else bundle.data)
    (folder / "other" / "gone.seal").symlink_to("nowhere")
    (folder / "readme.txt").write_text("no bundle")
    return folder


def finding(**changes: Any) -> Finding:
    """A failed check with some evidence."""
    values = {
        "rule": "payload-digest-mismatch",
        "kind": Kind.CHECK,
        "severity": Severity.HIGH,
        "detail": "chunk 0 of the payload has another digest",
        "next_step": "Get the bundle again.",
        "bundle": "depot/a.seal",
        "sha256": "ab" * 32,
        "step": 7,
        "evidence": {"payload": "base", "chunk": 0, "pinned": False, "anchor": None},
        **changes,
    }
    return Finding(**values)


def result(bundle: str = "depot/a.seal", **changes: Any) -> dict[str, Any]:
    """A bundle's result, as an audit keeps it."""
    return {
        "bundle": bundle,
        "sha256": "ab" * 32,
        "verdict": "rejected",
        "module": {"vendor": "Acme", "name": "agent", "version": "1.0", "proved": True},
        "claimed_level": "partner",
        "proven_level": "partner",
        "signers": [],
        "checks": [],
        "size": 1000,
        "format": "seal",
        "examined_at": "2026-01-01T00:00:00Z",
        **changes,
    }


def made_of(
    findings: Iterable[Finding],
    results: Iterable[Mapping[str, Any]] = (),
    *,
    source: str = "test policy",
    **changes: Any,
) -> Audit:
    """A finished audit with these findings and results."""
    audit = Audit(replace(policy(), source=source), NOW, ("depot",), RuleChoice(frozenset()), complete=True)
    names = set()
    for one in results:
        audit.result_spool.append(dumped({**one, "bundle": portable(one["bundle"])}).encode())
        audit.summary.bundles += 1
        audit.summary.verdicts[one["verdict"]] += 1
        names.add(one["bundle"])
    for each in findings:
        spool_of(each, audit, names).add(each)
        counter = audit.summary.findings if each.state is State.NEW else audit.summary.set_aside
        counter[str(each.severity if each.state is State.NEW else each.state)] += 1
    return replace(audit, **changes)


def spool_of(finding: Finding, audit: Audit, names: Collection[str]) -> FindingSpool:
    """Where an audit of bundles with these names keeps a finding."""
    rule = rules.BY_ID.get(finding.rule)
    return audit.finding_spool if finding.bundle in names and not (rule and rule.start) else audit.late_spool
