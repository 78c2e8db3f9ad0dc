"""Checking a signed depot: exactly what its index lists, and each bundle by its own signature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import recalls
from builders import signed_depots as depots
from builders.bundles import make
from builders.pki import NOW, Identity, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from modseal.depot.check import Checked, check
from modseal.depot.index import INDEX, rotation_path, signature_path
from modseal.format import recall as recall_format
from modseal.format.level import Level
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


def checked(held: dict[str, bytes], policy: Policy | None = None) -> Checked:
    return check(depots.files(held), policy or trusting(), NOW)


def codes(held: dict[str, bytes], policy: Policy | None = None) -> list[str]:
    found = checked(held, policy)
    assert found.verdict is not Verdict.ACCEPTED
    return [failure.code for failure in found.failures]


GOOD = depots.index()


def test_a_good_depot_is_accepted_and_each_bundle_proved() -> None:
    found = checked(depots.contents(GOOD))
    assert found.verdict is Verdict.ACCEPTED
    assert found.proved
    assert len(found.results) == 2


def test_a_withheld_bundle_is_missed() -> None:
    assert codes(depots.contents(GOOD, [depots.SEAL])) == ["bundle-missing"]


def test_an_added_bundle_is_seen() -> None:
    held = depots.contents(GOOD) | {"bundles/more.vib": depots.VIB.data}
    assert codes(held) == ["bundle-unlisted"]


def test_a_swapped_bundle_is_seen_even_if_it_is_a_good_one() -> None:
    held = depots.contents(GOOD)
    held[depots.entry(depots.SEAL).path] = make("seal", version="0.9").data
    assert codes(held) == ["bundle-digest-mismatch"]


def test_a_bundle_that_the_policy_does_not_accept_spoils_the_depot() -> None:
    bad = make("seal", name="other").signed(leaf("Stranger", issuer=root(3), key=new_key("p256", 77)))
    found = checked(depots.contents(depots.index(bad), [bad]))
    assert found.verdict is Verdict.REJECTED
    assert found.failures == ()
    assert found.results[0].examination
    assert found.results[0].examination.primary
    assert found.results[0].examination.primary.code == "no-path"


@pytest.mark.parametrize(
    ("field", "value"), [("version", "9.9"), ("vendor", "Other"), ("level", Level.CERTIFIED), ("summary", "better")]
)
def test_an_index_cannot_lie_about_a_bundle(field: str, value: object) -> None:
    lying = replace(depots.entry(depots.SEAL), **{field: value})  # type: ignore[arg-type]
    made = depots.signed(replace(depots.index(depots.SEAL), bundles=(lying,)), signer())
    assert codes(depots.contents(made, [depots.SEAL])) == ["metadata-mismatch"]


def test_an_index_that_nobody_signed_is_refused() -> None:
    held = depots.contents(GOOD)
    del held[signature_path(GOOD.sha256)]
    assert codes(held) == ["unsigned"]


def test_every_byte_of_the_index_counts() -> None:
    """Another byte makes another digest, whose signature is not there; and that of another index does not verify."""
    held = depots.contents(GOOD)
    changed = held[INDEX].replace(b'"version":1}', b'"version":8}')
    assert changed != held[INDEX]
    assert codes({**held, INDEX: changed}) == ["unsigned"]
    other = depots.index(version=8)
    held[signature_path(GOOD.sha256)] = other.signature
    assert codes(held) == ["content-digest-mismatch"]


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"schema":"modseal/depot@1"}', b"\xff", b" " * 9])
def test_what_is_no_index_is_refused(data: bytes) -> None:
    assert codes({**depots.contents(GOOD), INDEX: data}) == ["index-invalid"]


def test_an_anchor_that_could_not_get_a_module_accepted_signs_no_index() -> None:
    weak = trusting(anchor(root(), grants=Level.COMMUNITY), minimum=Level.PARTNER)
    assert codes(depots.contents(GOOD), weak) == ["level-not-granted"]


def test_a_recall_in_the_depot_withdraws_a_module() -> None:
    recall = recalls.make()
    found = checked(depots.contents(depots.index(recalls=[recall]), recalls=[recall]))
    verdicts = {result.bundle.rpartition(".")[2]: str(result.verdict) for result in found.results}
    assert verdicts == {"seal": "rejected", "vib": "accepted"}
    assert found.recalls == ("acme-recalls, version 1",)


# Every file that the index names is the one that it names, whatever signature it has of its own.

RECALL = recalls.make(recalls.entry("other"))
STRANGER = leaf("Stranger", issuer=root(3), key=new_key("p256", 77))


@pytest.mark.parametrize("by", [signer(), STRANGER], ids=["the same signer", "another signer"])
def test_a_swapped_recall_is_seen_even_if_its_name_and_version_are_right(by: Identity) -> None:
    held = depots.contents(depots.index(recalls=[RECALL]), recalls=[RECALL])
    other = recalls.make(recalls.entry("nothing"), by=[by])
    held[depots.recall_entry(RECALL).path] = recall_format.encode(other)
    assert codes(held) == ["bundle-digest-mismatch"]


def test_a_recall_that_was_signed_once_more_is_another_file() -> None:
    held = depots.contents(depots.index(recalls=[RECALL]), recalls=[RECALL])
    held[depots.recall_entry(RECALL).path] = recall_format.encode(replace(RECALL, signature=RECALL.signature * 2))
    assert codes(held) == ["bundle-digest-mismatch"]


def test_a_swapped_rotation_is_seen() -> None:
    earlier, other = depots.index(), depots.index(depots.SEAL)
    made = depots.index(version=2, rotations=[earlier])
    held = depots.contents(made, rotations=[earlier])
    held |= {rotation_path(1): other.signed, signature_path(other.sha256): other.signature}
    assert codes(held) == ["bundle-digest-mismatch"]


def test_an_index_cannot_lie_about_the_size_of_a_file() -> None:
    lying = replace(depots.entry(depots.SEAL), size=7)
    made = depots.signed(replace(depots.index(depots.SEAL), bundles=(lying,)), signer())
    assert codes(depots.contents(made, [depots.SEAL])) == ["metadata-mismatch"]
    listed = replace(depots.recall_entry(RECALL), size=7)
    made = depots.signed(replace(depots.index(recalls=[RECALL]), recalls=(listed,)), signer())
    assert codes(depots.contents(made, recalls=[RECALL])) == ["metadata-mismatch"]
