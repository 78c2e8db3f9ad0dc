from __future__ import annotations

from dataclasses import replace

from builders.bundles import make
from builders.rules import found
from modseal.format.manifest import Payload, VibFields


def test_each_quirk_is_counted_once_for_a_bundle() -> None:
    good = make("vib")
    (payload,) = good.manifest.payloads
    booted: tuple[Payload, ...] = (replace(payload, boot_order=3, vfat_name="a.gz"),)
    odd = good.with_manifest(vib=VibFields(has_version=False, packed_size=1), payloads=booted)
    quirks = [finding.evidence["quirk"] for finding in found("descriptor-quirk", odd)]
    assert sorted(map(str, quirks)) == ["boot-order", "no-version", "packed-size", "vfat-name"]
    assert not found("descriptor-quirk", good)
    assert not found("descriptor-quirk", make("seal"))
