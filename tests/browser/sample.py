"""A realistic audit for the HTML report: some sixty bundles of several vendors, a third of them not to be accepted.

Run as a program, it writes its report, to be looked at: `PYTHONPATH=tools:tests python tests/browser/sample.py OUT
[BUNDLES]`. More bundles than there are repeat the same ones under other names.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import chdir
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from builders import bundles, crls, pki
from builders.bundles import Bundle, make, tar_of
from builders.pki import NOW, Identity
from builders.policies import anchor
from modseal.auditing import rules
from modseal.auditing.choice import choose
from modseal.auditing.discover import discover
from modseal.auditing.engine import Serial
from modseal.auditing.run import Audit, run
from modseal.files.names import dumped, portable
from modseal.format.level import Level
from modseal.pki.algorithms import ALGORITHMS
from modseal.pki.revocation import RevocationRules
from modseal.trust.deny import Deny
from modseal.trust.policy import Allowance, Policy

AT = NOW + timedelta(days=45)
"""The time of the audit."""


@functools.cache
def vendor_root(vendor: str) -> Identity:
    return pki.ca(f"{vendor} root", subject=pki.name(f"{vendor} Release CA", vendor))


@functools.cache
def vendor_signer(vendor: str, kind: str, year: int, month: int) -> Identity:
    subject = pki.name(f"{vendor} code signing {year}", vendor)
    end = datetime(year, month, 20, 12, tzinfo=UTC)
    key = pki.new_key(kind, 500 + year)
    return pki.leaf(issuer=vendor_root(vendor), subject=subject, key=key, end=end)


class Vendor:
    """Who ships what, at which level, signed with which keys."""

    def __init__(self, name: str, level: Level, signers: Iterable[tuple[str, int, int]], modules: str) -> None:
        self.name, self.level, self.modules = name, level, modules.split()
        self._signers = tuple(signers)

    def signer(self, number: int) -> Identity:
        return vendor_signer(self.name, *self._signers[number % len(self._signers)])


ACME = Vendor(
    "Acme", Level.CERTIFIED, [("rsa", 2028, 5), ("p384", 2026, 3)], "acme-agent acme-monitor acme-net acme-tools"
)
NORTHWIND = Vendor(
    "Northwind Storage", Level.ACCEPTED, [("p256", 2027, 2), ("ml-dsa-65", 2029, 9)], "nwd-hba nwd-nvme nwd-multipath"
)
GLOBEX = Vendor("Globex", Level.PARTNER, [("ed25519", 2026, 8), ("p521", 2027, 11)], "globex-gpu globex-vswitch")
LAB = Vendor("Homelab", Level.COMMUNITY, [("p256", 2026, 12)], "lab-sensors lab-usb-nic")
VENDORS = (ACME, NORTHWIND, GLOBEX, LAB)


def policy() -> Policy:
    """What the sample is judged by."""
    anchors = tuple(
        anchor(vendor_root(each.name), each.level, f"{each.name} release CA", vendors=(each.name,)) for each in VENDORS
    )
    revoked = vendor_signer("Globex", "p256", 2028, 1).certificate.serial_number
    known = crls.make(vendor_root("Globex"), crls.revoked(revoked, AT - timedelta(days=9)))
    return Policy(
        "/etc/modseal/policy.toml",
        Level.COMMUNITY,
        anchors,
        algorithms=frozenset(ALGORITHMS),
        revocation=RevocationRules(crls.read(known)),
        deny=Deny(names=("acme-debug*",)),
        floors={"nwd-nvme": "2.0.0-1"},
        community_paths=("opt/acme",),
        allowances=(Allowance("claim-above-proven", "kept for the forensic team", date(2026, 6, 30), sha256="0" * 64),),
    )


def good() -> Iterator[tuple[str, Bundle]]:
    """Bundles to accept."""
    for vendor in VENDORS:
        for number, name in enumerate(vendor.modules):
            for minor in range(4):
                kind = bundles.KINDS[(number + minor) % 2]
                version = f"{2 + number}.{minor}.0-{minor + 1}"
                folder = vendor.name.split()[0].lower()
                made = make(
                    kind,
                    vendor.signer(number + minor),
                    vendor=vendor.name,
                    name=name,
                    version=version,
                    claimed_level=vendor.level,
                )
                yield f"{folder}/{name}-{version}.{kind}", made


def bad() -> Iterator[tuple[str, Bundle]]:
    """Bundles not to accept, each for a reason of its own."""
    acme = {"vendor": "Acme", "name": "acme-agent", "claimed_level": Level.CERTIFIED}
    one = make("seal", ACME.signer(0), version="3.0.0-1", **acme)
    yield "incoming/acme-agent-3.0.0-1.seal", one.with_member("base", data=one["base"].data[:-1] + b"!")
    yield "incoming/acme-agent-3.0.1-1.vib", make("vib", ACME.signer(0), version="3.0.1-1", **acme).unsigned()
    stranger = pki.leaf("Build server 7", issuer=pki.root(3))
    yield "incoming/acme-net-9.9.9-1.vib", make("vib", stranger, version="9.9.9-1", **{**acme, "name": "acme-net"})
    cut = make("seal", ACME.signer(1), version="3.0.2-1", **acme).data
    yield "incoming/acme-tools-4.0.0-1.seal", replace(one, members=(), magic=cut[:-200])
    yield "incoming/acme-debug-1.0.0-1.seal", make("seal", ACME.signer(0), **{**acme, "name": "acme-debug"})
    claim = {"vendor": "Globex", "name": "globex-gpu", "claimed_level": Level.CERTIFIED}
    yield "incoming/globex-gpu-7.0.0-1.vib", make("vib", GLOBEX.signer(0), version="7.0.0-1", **claim)
    partner = {"vendor": "Globex", "claimed_level": Level.PARTNER}
    revoked = vendor_signer("Globex", "p256", 2028, 1)
    yield "globex/globex-vswitch-1.9.0-1.seal", make("seal", revoked, name="globex-vswitch", **partner)
    expired = vendor_signer("Globex", "p256", 2025, 10)
    yield "globex/globex-vswitch-1.8.0-1.seal", make("seal", expired, name="globex-vswitch", **partner)
    storage = {"vendor": "Northwind Storage", "claimed_level": Level.ACCEPTED}
    yield (
        "northwind/nwd-nvme-1.4.0-2.vib",
        make("vib", NORTHWIND.signer(0), name="nwd-nvme", version="1.4.0-2", **storage),
    )
    other = make("seal", NORTHWIND.signer(0), name="nwd-hba", version="2.0.0-1", summary="Built twice", **storage)
    yield "mirror/nwd-hba-2.0.0-1.seal", other
    many = make(
        "seal", NORTHWIND.signer(1), name="nwd-multipath", files={f"opt/mp/{n:03}": b"" for n in range(120)}, **storage
    )
    swapped = make("seal", files={f"opt/mp/x{n:03}": b"" for n in range(120)})
    yield "mirror/nwd-multipath-8.0.0-1.seal", many.with_tar(tar_of(swapped))
    lab = {"vendor": "Homelab", "name": "lab-usb-nic", "claimed_level": Level.COMMUNITY}
    yield "lab/lab-usb-nic-0.1.0-1.seal", make("seal", LAB.signer(0), files={"etc/rc.d/nic": b"#!/bin/sh"}, **lab)


def write(folder: Path) -> None:
    """The bundles, as files below a folder, and a file that is none."""
    for name, bundle in (*good(), *bad()):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bundle.data)
    (folder / "incoming" / "notes.seal").write_bytes(b"no bundle at all\n")


def audit(folder: Path) -> Audit:
    """The audit of what `write` wrote."""
    rules_of = policy()
    result = Audit(rules_of, AT, (str(folder),), choose(rules_of, AT))
    return run(discover((str(folder),)), Serial(rules_of, AT), result)


def repeated(source: Audit, wanted: int) -> Audit:
    """A complete audit of as many bundles, which are those of another under other names."""
    made = Audit(source.policy, source.at, source.paths, source.choice, complete=True)
    results = list(source.results())
    findings = [one for one in source.findings() if one.rule not in {rule.id for rule in rules.SET_RULES}]
    for number in range(wanted):
        old = results[number % len(results)]
        name = f"{old['bundle']}.{number:06}"
        made.result_spool.append(dumped({**old, "bundle": portable(name)}).encode("ascii"))
        made.summary.add_result(old["size"], old["verdict"], old["proven_level"])
        for one in findings:
            if one.bundle == old["bundle"]:
                made.finding_spool.add(one.about(name))
                made.summary.add_finding(str(one.severity), one.state)
    return made


def main(out: str, wanted: str = "0") -> None:
    """Write the report."""
    from modseal.report.audit_html import render

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("depot").mkdir()
        write(Path("depot"))
        result = audit(Path("depot"))
    result = repeated(result, int(wanted)) if int(wanted) else result
    with open(out, "wb") as file:
        file.writelines(render(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
