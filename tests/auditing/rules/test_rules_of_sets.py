"""The rules about bundles beside each other."""

from __future__ import annotations

import hashlib

import pytest

from builders.bundles import Bundle, make
from builders.pki import leaf, root, signer
from builders.rules import found_beside
from modseal import limits
from modseal.auditing.finding import Finding, Severity
from modseal.format.manifest import Kind

GOOD = make("seal")


def told(findings: list[Finding]) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.bundle, finding.related) for finding in findings]


# same-id-other-content.


def test_one_id_with_two_contents_is_told_of_each_after_the_first() -> None:
    other = GOOD.with_manifest(description="built again")
    findings = found_beside("same-id-other-content", {"a": GOOD, "b": other, "c": GOOD, "d": other})
    assert told(findings) == [("b", ("a",)), ("d", ("a",))]


def test_another_version_or_format_is_another_id() -> None:
    newer = GOOD.with_manifest(version="1.2.3-5")
    assert found_beside("same-id-other-content", {"a": GOOD, "b": newer, "c": make("vib"), "d": b"no bundle"}) == []


# same-manifest-other-bytes.


def test_a_manifest_with_other_signatures_is_told() -> None:
    again = GOOD.signed(signer(), signer("p384"))
    (finding,) = found_beside("same-manifest-other-bytes", {"a": GOOD, "b": again})
    assert told([finding]) == [("b", ("a",))]
    assert finding.sha256 != finding.evidence["other"]


def test_the_same_bytes_or_another_manifest_are_not() -> None:
    other = GOOD.with_manifest(description="other")
    assert found_beside("same-manifest-other-bytes", {"a": GOOD, "b": GOOD, "c": other, "d": b"x"}) == []


# same-content-twice.


def test_a_file_under_two_names_is_told() -> None:
    findings = found_beside("same-content-twice", {"a": GOOD, "b": GOOD, "c": make("vib"), "d": GOOD})
    assert told(findings) == [("b", ("a",)), ("d", ("a",))]
    assert len({finding.fingerprint for finding in findings}) == 1  # it is about the bytes, not the names


def test_files_that_differ_are_not() -> None:
    assert found_beside("same-content-twice", {"a": GOOD, "b": GOOD.signed(signer("p384"))}) == []


# path-of-another-kind.


LINK = make("vib", name="tools", files={"opt/x/link": "../../etc/cron.d"})
EVIL = {"opt/x/link/evil": b"* * * * * root sh"}


@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_a_file_below_another_bundle_s_link_names_both_bundles_the_path_and_the_digest(kind: Kind) -> None:
    below = make(kind, name="evil", files=EVIL)
    for order in (("a", "b"), ("b", "a")):
        (finding,) = found_beside("path-of-another-kind", {name: {"a": LINK, "b": below}[name] for name in order})
        assert told([finding]) == [("a", ("b",))]
        assert finding.severity is Severity.HIGH
        assert finding.sha256 == hashlib.sha256(LINK.data).hexdigest()
        assert finding.evidence == {
            "path": "opt/x/link",
            "target": "../../etc/cron.d",
            "other": hashlib.sha256(below.data).hexdigest(),
        }


def test_a_file_where_another_bundle_has_a_directory_is_told() -> None:
    one = make("seal", name="one", files={"opt/x": b"file"})
    (finding,) = found_beside("path-of-another-kind", {"a": one, "b": make("seal", name="two", files=EVIL), "c": b"x"})
    assert finding.detail == "'opt/x' is a file, and in b a directory"


def test_versions_of_one_module_and_paths_beside_each_other_are_not_told() -> None:
    other = make("vib", name="tools", version="2", files=EVIL)
    assert found_beside("path-of-another-kind", {"a": LINK, "b": other, "c": GOOD}) == []


def test_of_one_bundle_so_many_are_told_and_then_how_many_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FINDINGS", 2)
    one = make("seal", name="one", files={f"opt/{n}": "x" for n in range(5)})
    other = make("seal", name="two", files={f"opt/{n}/f": b"" for n in range(5)})
    findings = found_beside("path-of-another-kind", {"a": one, "b": other})
    assert [finding.detail for finding in findings][2:] == ["and 3 more paths that clash"]
    assert len(findings) == 3


def test_what_cannot_be_compared_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DIRECTORIES", 1)
    (finding,) = found_beside("path-of-another-kind", {"a": LINK, "b": GOOD})
    assert finding.undecided
    assert "more than 1 directories" in finding.detail


# algorithm-leaving.


def by(*names: str) -> Bundle:
    return make("seal", *map(signer, names))


def test_algorithms_that_leave_are_told_once_for_each_kind_of_key() -> None:
    bundles = {"a": by("p256"), "b": by("rsa"), "c": by("p256"), "d": by("ed25519")}
    findings = found_beside("algorithm-leaving", bundles)
    keys = {str(finding.evidence["keys"]): finding for finding in findings}
    assert keys.keys() == {"ECDSA P-256", "RSA-2048", "Ed25519"}
    assert told([keys["ECDSA P-256"]]) == [("a", ("c",))]
    assert keys["ECDSA P-256"].detail.startswith("2 bundles are trusted through ECDSA P-256 alone")
    assert "deprecated after 2030, disallowed after 2035" in keys["RSA-2048"].detail
    assert "deprecated" not in keys["Ed25519"].detail


def test_one_signature_that_lasts_is_enough() -> None:
    assert found_beside("algorithm-leaving", {"a": by("p256", "ml-dsa-65"), "b": by("ml-dsa-44")}) == []


def test_signers_who_are_not_trusted_do_not_matter() -> None:
    stranger = make("seal", leaf("Stranger", issuer=root(7)))
    assert found_beside("algorithm-leaving", {"a": stranger, "b": GOOD.unsigned()}) == []


def test_a_thousand_bundles_are_one_finding_that_names_ten() -> None:
    from builders.rules import record
    from modseal.auditing.rules.keys import Leaving

    state = Leaving()
    row = record(GOOD).row
    for number in range(1000):
        state.see(row._replace(bundle=f"{number}"))
    (hit,) = state.hits()
    assert hit.detail.startswith("1000 bundles")
    assert (hit.bundle, len(hit.related)) == ("0", 9)


def test_the_finding_is_known_again_when_the_depot_grew_or_moved() -> None:
    few, more = ({"a": GOOD}, {"x/a": GOOD, "x/b": make("vib")})
    before, after = (found_beside("algorithm-leaving", bundles)[0] for bundles in (few, more))
    assert before.detail != after.detail
    assert before.fingerprint == after.fingerprint
