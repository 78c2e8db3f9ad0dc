"""Attacks by a signer of low standing, and by nobody's signature: more than the policy grants. Named by their rows.

Each goes through verify, extract and audit (`refused`, and conftest.py).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.bundles import KINDS, MTIME, Bundle, Member, accepted, inputs, make, refused
from builders.pki import leaf, root, signer
from builders.policies import anchor, trusting
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Entry, FileType, Kind, Relationships
from modseal.format.payload_writer import write_vib_payload
from modseal.trust.policy import Policy
from modseal.trust.powers import May, Power

kinds = pytest.mark.parametrize("kind", KINDS)
signed = pytest.mark.parametrize("signed", [True, False])
COMMUNITY = anchor(root(), Level.COMMUNITY, "Community CA")
AGENT = {"opt/acme/agent": b"agent"}
OBJECT = b"\x7fELF\2\1\1" + bytes(9) + b"\1\0" + bytes(46)
Files = Mapping[str, bytes | str | None]


def policy(**changes: Any) -> Policy:
    return trusting(COMMUNITY, allow_unsigned_community=True, **changes)


def module(kind: Kind, files: Files, modes: Mapping[str, int] = {}, *, signed: bool = True, **changes: Any) -> Bundle:
    """A community module, by a community signer or by nobody."""
    made = make(kind, files=files, modes=modes, claimed_level=Level.COMMUNITY, **changes)
    return made if signed else made.unsigned()


def with_payload(bundle: Bundle, files: Files, modes: Mapping[str, int] = {}, *, declared: bool = True) -> Bundle:
    """A `.vib` with one more payload, signed by the same signers; its files are perhaps not declared."""
    out = io.BytesIO()
    payload, entries = write_vib_payload("payload2", "vgz", inputs(files, modes), MTIME, out)
    more = [Entry(entry.path) for entry in entries if entry.type is not FileType.DIRECTORY]
    manifest = bundle.manifest
    added = bundle.insert(3, Member("payload2", out.getvalue()))
    return added.with_manifest(
        payloads=(*manifest.payloads, payload), files=(*manifest.files, *(more if declared else ()))
    )


# POW-01, POW-02: [paths].


@kinds
@signed
@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
def test_POW_01_folders_outside_the_allowed_paths_are_refused(
    kind: Kind, signed: bool, mode: int, tmp_path: Path
) -> None:
    files = {"etc/cron.d": None, **AGENT}
    bundle = module(kind, files, {"etc/cron.d": mode}, signed=signed)
    refused(bundle, policy(community_paths=("opt/",)), "path-not-allowed", tmp_path)


@kinds
@signed
def test_POW_01_a_folder_that_lends_rights_is_refused_anywhere(kind: Kind, signed: bool, tmp_path: Path) -> None:
    code = "power-not-granted" if kind == "seal" and signed else "unsafe-mode"
    for path in ("etc/cron.d", "opt/acme"):
        for allowed in ((), ("opt/", "etc/")):
            bundle = module(kind, {path: None, "opt/x": b""}, {path: 0o4777}, signed=signed)
            refused(bundle, policy(community_paths=allowed), code, tmp_path)


@kinds
@signed
@pytest.mark.parametrize("mode", [0o777, 0o700, 0o1755])
def test_POW_01_folders_above_the_allowed_paths_keep_their_mode(
    kind: Kind, signed: bool, mode: int, tmp_path: Path
) -> None:
    files = {"etc": None, "etc/vmware": None, "etc/vmware/pciid/x": b""}
    rules = policy(community_paths=("etc/vmware/pciid/",))
    accepted(module(kind, files, signed=signed), rules)
    for path in ("etc", "etc/vmware"):
        refused(module(kind, files, {path: mode}, signed=signed), rules, "path-not-allowed", tmp_path)


@kinds
@signed
@pytest.mark.parametrize("target", ["../../etc/cron.d", "../../etc", "../.."])
def test_POW_02_a_link_out_of_the_allowed_paths_is_refused(
    kind: Kind, signed: bool, target: str, tmp_path: Path
) -> None:
    rules = policy(community_paths=("opt/",))
    refused(module(kind, {"opt/x/link": target, **AGENT}, signed=signed), rules, "path-not-allowed", tmp_path)
    accepted(module(kind, {"opt/x/link": "../acme", **AGENT}, signed=signed), rules)


@kinds
@pytest.mark.parametrize("target", ["../../lib/modules", "../../etc/udev/rules.d", "../.."])
def test_POW_02_a_link_into_a_guarded_place_needs_its_power(kind: Kind, target: str, tmp_path: Path) -> None:
    refused(module(kind, {"opt/x/link": target}), policy(), "power-not-granted", tmp_path)


@kinds
@signed
def test_POW_02_a_link_in_the_place_of_a_folder_is_refused(kind: Kind, signed: bool, tmp_path: Path) -> None:
    rules = policy(community_paths=("etc/vmware/pciid/", "opt/"))
    for path in ("etc", "etc/vmware", "etc/vmware/pciid"):
        up = "../" * path.count("/")
        refused(module(kind, {path: f"{up}opt", **AGENT}, signed=signed), rules, "path-not-allowed", tmp_path)


# POW-03: a file whose parent is a link.


@pytest.mark.parametrize("below", ["opt/x/link/evil", "opt/x/LINK/evil", "opt/X/link/evil", "OPT/x/link/a/evil"])
def test_POW_03_a_file_below_a_link_of_another_payload_is_refused(below: str, tmp_path: Path) -> None:
    rules, link = policy(community_paths=("opt/", "OPT/")), {"opt/x/link": "../y"}
    for files in ((link, {below: b"evil"}), ({below: b"evil"}, link)):
        undeclared = with_payload(module("vib", files[0]).with_manifest(files=()), files[1], declared=False)
        refused(undeclared, rules, "unsafe-path", tmp_path)
    named = with_payload(module("vib", link), {"opt/z": b"evil"})
    refused(named.edit_text("opt/z", below), rules, "unsafe-path", tmp_path)


def test_POW_03_a_folder_of_one_payload_over_the_link_of_another_is_refused(tmp_path: Path) -> None:
    """A descriptor declares no folders: the payloads alone show it."""
    for folder in ("opt/x/link", "opt/x/LINK", "opt/x/link/below"):
        for first, second in (({"opt/x/link": "../y"}, {folder: None}), ({folder: None}, {"opt/x/link": "../y"})):
            bundle = with_payload(module("vib", first), second)
            refused(bundle, policy(), "unsafe-path", tmp_path)


# POW-04 to POW-06: what only a named grant allows.


@kinds
@signed
@pytest.mark.parametrize(
    "files",
    [
        {"opt/acme/readme.txt": OBJECT},
        {"opt/acme/acme.ko": b"x"},
        {"usr/lib/vmware/vmkmod/acme": b"x"},
        {"etc/modules-load.d/acme.conf": b"acme"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_POW_04_a_kernel_module_of_a_community_signer_is_refused(
    kind: Kind, signed: bool, files: Files, tmp_path: Path
) -> None:
    refused(module(kind, files, signed=signed), policy(), "power-not-granted", tmp_path)
    may = May(granted=frozenset({Power.KERNEL_MODULES}))
    rules = trusting(replace(COMMUNITY, may=may), allow_unsigned_community=True, unsigned_may=may)
    accepted(module(kind, files, signed=signed), rules)


def test_POW_04_the_second_payload_is_looked_into_as_well(tmp_path: Path) -> None:
    refused(with_payload(module("vib", AGENT), {"opt/a": OBJECT}), policy(), "power-not-granted", tmp_path)


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_POW_05_setuid_of_a_community_signer_is_refused_however_well_it_is_declared(mode: int, tmp_path: Path) -> None:
    refused(module("seal", AGENT, dict.fromkeys(AGENT, mode)), policy(), "power-not-granted", tmp_path)


def test_POW_05_a_shared_folder_hides_no_mode(tmp_path: Path) -> None:
    bundle = with_payload(module("vib", {"opt/x": None, **AGENT}), {"opt/x": None}, {"opt/x": 0o4777})
    refused(bundle, policy(), "unsafe-mode", tmp_path)
    plain = {"etc": None, **AGENT}
    wide = with_payload(module("vib", plain), {"etc": None}, {"etc": 0o777})
    refused(wide, policy(community_paths=("opt/", "etc/x/")), "path-not-allowed", tmp_path)


@kinds
@signed
@pytest.mark.parametrize("path", ["etc/udev/rules.d/9.rules", "usr/lib/tmpfiles.d/acme.conf", "dev/acme", "DEV/acme"])
def test_POW_06_rules_that_make_devices_are_refused(kind: Kind, signed: bool, path: str, tmp_path: Path) -> None:
    refused(module(kind, {path: b""}, signed=signed), policy(), "power-not-granted", tmp_path)


@kinds
@signed
def test_POW_06_a_guarded_folder_that_anybody_can_write_to_is_refused(kind: Kind, signed: bool, tmp_path: Path) -> None:
    files = {"etc/udev": None, "etc/udev/rules.d": None}
    accepted(module(kind, files, signed=signed), policy())
    for path in files:
        bundle = module(kind, files, {path: 0o777}, signed=signed)
        refused(bundle, policy(), "power-not-granted", tmp_path)


# POW-07, POW-08.


@kinds
def test_POW_07_two_signers_do_not_add_their_powers_up(kind: Kind, tmp_path: Path) -> None:
    files = {"etc/udev/a.rules": b"", "opt/acme/a.ko": b""}
    two = (signer(), leaf("Second", issuer=root(1)))
    bundle = make(kind, *two, files=files, claimed_level=Level.COMMUNITY)
    one = replace(COMMUNITY, may=May(granted=frozenset({Power.DEVICES})))
    other = replace(anchor(root(1), Level.COMMUNITY, "Other"), may=May(granted=frozenset({Power.KERNEL_MODULES})))
    refused(bundle, trusting(one, other, minimum_signers=2), "power-not-granted", tmp_path)


@kinds
def test_POW_07_a_stranger_who_may_do_everything_elsewhere_adds_nothing(kind: Kind, tmp_path: Path) -> None:
    two = (signer(), leaf("Second", issuer=root(1)))
    bundle = make(kind, *two, files={"opt/acme/a.ko": b""}, claimed_level=Level.COMMUNITY)
    elsewhere = anchor(root(1), name="Elsewhere", vendors=("Elsewhere",))
    refused(bundle, trusting(COMMUNITY, elsewhere), "power-not-granted", tmp_path)


@kinds
def test_POW_08_the_module_of_another_vendor_is_not_replaced(kind: Kind, tmp_path: Path) -> None:
    over = Relationships(replaces=(Constraint("acme-agent"), Constraint("other-agent")))
    bundle = module(kind, AGENT, relationships=over)
    mine = replace(COMMUNITY, names=("acme-*",))
    accepted(bundle, trusting(replace(mine, may=May(granted=frozenset({Power.REPLACE})))))
    found = refused(bundle, trusting(mine), "power-not-granted", tmp_path)
    assert found.primary is not None
    assert found.primary.evidence["path"] == "other-agent"


@kinds
def test_POW_08_nobody_can_tell_whose_module_is_replaced_where_an_anchor_has_vendors_alone(
    kind: Kind, tmp_path: Path
) -> None:
    bundle = module(kind, AGENT, relationships=Relationships(replaces=(Constraint("other-agent"),)))
    kept = May(refused=frozenset({Power.REPLACE}))
    refused(bundle, trusting(replace(COMMUNITY, vendors=("Acme",), may=kept)), "power-not-granted", tmp_path)
    accepted(bundle, trusting(replace(COMMUNITY, may=kept)))
    accepted(bundle, trusting(replace(COMMUNITY, vendors=("Acme",), names=("acme-*", "other-*"), may=kept)))
