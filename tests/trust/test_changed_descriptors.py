"""A descriptor with one element removed, doubled, moved or renamed: a verdict with a code, and no signature holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from builders.bundles import Bundle, codes, judge, make
from builders.pki import signer
from builders.policies import trusting
from modseal.codes import CODES
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Platform, Relationships, VibFields
from modseal.trust.examination import Examination, Verdict

GOOD = make(
    "vib",
    claimed_level=Level.COMMUNITY,
    relationships=Relationships(
        depends=(Constraint("base", ">=", "2.0"), Constraint("zstd")), provides=(Constraint("acme", "=", "1"),)
    ),
    vib=VibFields(
        urls=(("kb", "https://example.test"), ("website", "https://acme.test")),
        tags=("driver", "module"),
        platforms=(Platform("8.*"), Platform("9.0")),
        packed_size=99,
    ),
)
BOOTED = GOOD.with_manifest(
    payloads=tuple(replace(one, boot_order=3, vfat_name="a.gz") for one in GOOD.manifest.payloads)
)
POLICY = trusting(allow_unsigned_community=True)
DATA = BOOTED.manifest_bytes
SIGNED = BOOTED.signed(signer())
COUNT = len(list(ET.fromstring(DATA).iter()))
places = st.integers(0, COUNT - 1)


def parents(root: ET.Element) -> dict[ET.Element, ET.Element]:
    return {child: parent for parent in root.iter() for child in parent}


def element(root: ET.Element, place: int) -> tuple[ET.Element, ET.Element]:
    """An element that is not the root, and its parent."""
    found = list(root.iter())[place]
    return found, parents(root).get(found, root)


def removed(root: ET.Element, place: int, _other: int) -> None:
    one, parent = element(root, max(1, place))
    parent.remove(one)


def doubled(root: ET.Element, place: int, _other: int) -> None:
    one, parent = element(root, max(1, place))
    parent.insert(list(parent).index(one), one)


def moved(root: ET.Element, place: int, other: int) -> None:
    one, parent = element(root, max(1, place))
    parent.remove(one)
    rest = list(root.iter())
    target = rest[other % len(rest)]
    target.insert(other % (len(target) + 1), one)


def renamed(root: ET.Element, place: int, other: int) -> None:
    one, _ = element(root, place)
    names = ("hwplatform", "installdate", "Name", *(each.tag for each in root.iter()))
    one.tag = names[other % len(names)]


def attribute_removed(root: ET.Element, place: int, other: int) -> None:
    one, _ = element(root, place)
    names = sorted(one.attrib)
    assume(bool(names))
    del one.attrib[names[other % len(names)]]


def attribute_added(root: ET.Element, place: int, other: int) -> None:
    one, _ = element(root, place)
    names = ("vendor", "key", "name", "size", "version", "boot-order", "checksum-type")
    one.set(names[other % len(names)], "1")


CHANGES = (removed, doubled, moved, renamed, attribute_removed, attribute_added)
Change = Callable[[ET.Element, int, int], None]


def changed(change: Change, place: int, other: int) -> bytes:
    root = ET.fromstring(DATA)
    change(root, place, other)
    return ET.tostring(root)


def require_verdict(found: Examination) -> None:
    assert found.verdict in Verdict
    if found.verdict is not Verdict.ACCEPTED:
        assert codes(found)
        assert set(codes(found)) <= CODES.keys()
        assert "internal-error" not in codes(found)


def every_place() -> Iterator[tuple[Change, int]]:
    return ((change, place) for change in (removed, doubled) for place in range(1, COUNT))


def test_the_good_one_is_accepted_signed_and_unsigned() -> None:
    assert judge(SIGNED, trusting()).verdict is Verdict.ACCEPTED
    assert judge(BOOTED.unsigned(), POLICY).verdict is Verdict.ACCEPTED
    assert judge(unsigned(changed(lambda *_: None, 0, 0)), POLICY).verdict is Verdict.ACCEPTED


def unsigned(data: bytes) -> Bundle:
    return BOOTED.with_manifest_bytes(data).unsigned()


def test_each_element_removed_or_doubled_gives_a_verdict_and_a_signature_holds_for_none() -> None:
    for change, place in every_place():
        data = changed(change, place, 0)
        require_verdict(judge(unsigned(data), POLICY))
        assert judge(SIGNED.with_member("descriptor.xml", data=data), trusting()).verdict is Verdict.REJECTED


@given(st.sampled_from(CHANGES), places, st.integers(0, 10_000))
def test_any_change_gives_a_verdict_and_a_signature_holds_for_none(change: Change, place: int, other: int) -> None:
    data = changed(change, place, other)
    assume(data != DATA)  # it may be moved to where it was
    require_verdict(judge(unsigned(data), POLICY))
    found = judge(SIGNED.with_member("descriptor.xml", data=data), trusting(allow_unsigned_community=True))
    require_verdict(found)
    assert found.verdict is not Verdict.ACCEPTED


@pytest.mark.parametrize("name", ["hwplatform", "installdate", "config-schema", "payload-signature"])
def test_an_element_that_is_new_everywhere_is_undecided_with_its_name_and_text(name: str) -> None:
    data = DATA.replace(b"</vib>", f"<{name}>text of it</{name}></vib>".encode())
    found = judge(unsigned(data), POLICY)
    assert found.verdict is Verdict.UNDECIDED
    [check] = (check for check in found.checks if check.code == "unsupported-descriptor")
    assert (check.step, check.id) == (1, "signature.manifest")
    assert f"<{name}> in <vib>, which says 'text of it'" in check.detail
    assert "line 1, column" in check.detail
