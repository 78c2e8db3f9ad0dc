"""Steps 7 and 8 as comparisons of values: declared with measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modseal.errors import Failure
from modseal.format.level import Level
from modseal.format.manifest import Attachment, Digest, Entry, FileType, Manifest, Payload, View
from modseal.format.payload import Measured
from modseal.trust import contents

SHA, OTHER = bytes(range(32)), bytes(32)
RAW, UNPACKED = Digest("sha256", View.RAW, SHA), Digest("sha256", View.UNPACKED, SHA)
PAYLOAD = Payload("p", "vgz", 10, 20, digests=(UNPACKED, RAW))
ENTRIES = (
    Entry("opt", FileType.DIRECTORY, 0o755, payload="p"),
    Entry("opt/f", FileType.FILE, 0o644, 3, SHA, payload="p"),
    Entry("opt/l", FileType.SYMLINK, 0o777, target="f", payload="p"),
)
MEASURED = Measured({("sha256", View.RAW): SHA, ("sha256", View.UNPACKED): SHA}, 10, 20, ENTRIES, (), True)
SEAL = Manifest("seal", "V", "n", "1", Level.PARTNER, payloads=(PAYLOAD,), files=ENTRIES)
VIB = replace(SEAL, kind="vib", files=(Entry("opt/f"), Entry("opt/l")))


def payload_codes(payload: Payload = PAYLOAD, measured: Measured = MEASURED, size: int = 10) -> list[str]:
    return [failure.code for failure in contents.payload_failures(payload, measured, size)]


def file_codes(manifest: Manifest = SEAL, measured: Measured = MEASURED) -> list[str]:
    return [failure.code for failure in contents.by_path(contents.file_failures(manifest, [(PAYLOAD, measured)]))]


def test_what_is_as_declared_has_no_failure() -> None:
    assert payload_codes() == file_codes() == file_codes(VIB) == []


def test_each_difference_of_a_payload_has_its_code() -> None:
    assert payload_codes(size=11) == ["payload-size-mismatch"]
    assert payload_codes(measured=replace(MEASURED, unpacked_size=21)) == ["unpacked-size-mismatch"]
    assert payload_codes(replace(PAYLOAD, digests=(replace(RAW, value=OTHER), UNPACKED))) == ["payload-digest-mismatch"]
    both = replace(PAYLOAD, digests=(replace(RAW, value=OTHER), replace(UNPACKED, value=OTHER)))
    assert payload_codes(both) == ["payload-digest-mismatch"] * 2


def test_an_undeclared_unpacked_size_is_not_compared() -> None:
    assert payload_codes(replace(PAYLOAD, unpacked_size=None)) == []


def test_sha1_alone_binds_nothing() -> None:
    sha1 = Digest("sha1", View.UNPACKED, bytes(20))
    measured = replace(MEASURED, digests={("sha1", View.UNPACKED): bytes(20)})
    assert payload_codes(replace(PAYLOAD, digests=(sha1,)), measured) == ["weak-digest"]
    inner = Digest("sha256", View.GUNZIP1, SHA)
    assert "weak-digest" in payload_codes(replace(PAYLOAD, digests=(inner,)))


def test_damage_stands_for_the_digests_that_it_made_impossible() -> None:
    damage = Failure("bad-payload", "damaged")
    measured = replace(MEASURED, digests={("sha256", View.RAW): SHA}, unpacked_size=None, failures=(damage,))
    assert payload_codes(measured=measured) == ["bad-payload"]
    tampered = replace(measured, digests={("sha256", View.RAW): OTHER})
    assert payload_codes(measured=tampered) == ["payload-digest-mismatch", "bad-payload"]


def test_a_digest_that_could_not_be_computed_is_never_skipped() -> None:
    assert payload_codes(measured=replace(MEASURED, digests={})) == ["unsupported-payload"] * 2


def test_failures_of_the_listing_belong_to_step_8() -> None:
    measured = replace(MEASURED, failures=(Failure("bad-listing", "x"), Failure("bad-payload", "y")), listed=False)
    assert payload_codes(measured=measured) == ["bad-payload"]
    assert file_codes(measured=measured) == ["bad-listing"]


def test_a_listing_that_ended_without_a_reason_is_a_failure() -> None:
    assert file_codes(measured=replace(MEASURED, listed=False)) == ["bad-listing"]


def test_an_attachment_is_compared_by_size_and_digest() -> None:
    attachment = Attachment("a", "text/plain", 5, SHA)
    assert contents.attachment_failure(attachment, 5, SHA) is None
    for size, digest in ((4, SHA), (5, OTHER)):
        failure = contents.attachment_failure(attachment, size, digest)
        assert failure is not None
        assert failure.code == "attachment-mismatch"


@pytest.mark.parametrize("manifest", [SEAL, VIB])
def test_extra_and_missing_files_are_both_told(manifest: Manifest) -> None:
    extra = Entry("opt/x", FileType.FILE, 0o644, 0, SHA, payload="p")
    assert file_codes(manifest, replace(MEASURED, entries=(*ENTRIES, extra))) == ["file-undeclared"]
    assert file_codes(manifest, replace(MEASURED, entries=ENTRIES[:-1])) == ["file-missing"]
    incomplete = replace(MEASURED, entries=ENTRIES[:-1], listed=False, failures=(Failure("bad-payload", "x"),))
    assert file_codes(manifest, incomplete) == []


def test_a_descriptor_declares_no_directories() -> None:
    assert file_codes(VIB, replace(MEASURED, entries=ENTRIES[1:])) == []
    assert file_codes(SEAL, replace(MEASURED, entries=ENTRIES[1:])) == ["file-missing"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("mode", 0o600), ("size", 4), ("sha256", OTHER), ("payload", "q"), ("type", FileType.DIRECTORY)],
)
def test_every_property_of_an_entry_is_compared_in_a_seal(field: str, value: object) -> None:
    changed = (ENTRIES[0], replace(ENTRIES[1], **{field: value}), ENTRIES[2])  # type: ignore[arg-type]
    (failure,) = contents.file_failures(SEAL, [(PAYLOAD, replace(MEASURED, entries=changed))])
    assert (failure.code, failure.evidence["field"], failure.evidence["path"]) == ("file-mismatch", field, "opt/f")


def test_another_target_of_a_link_is_a_mismatch() -> None:
    changed = (*ENTRIES[:2], replace(ENTRIES[2], target="g"))
    assert file_codes(SEAL, replace(MEASURED, entries=changed)) == ["file-mismatch"]


def test_unsafe_comes_before_what_merely_differs() -> None:
    unsafe = Entry("../x", FileType.FILE, 0o644, 0, SHA, payload="p")
    assert file_codes(SEAL, replace(MEASURED, entries=(*ENTRIES, unsafe))) == ["unsafe-path", "file-undeclared"]


def test_collisions_over_all_payloads_are_found() -> None:
    second = replace(MEASURED, entries=(Entry("OPT/F", FileType.FILE, 0o644, 3, SHA, payload="q"),))
    found = contents.file_failures(SEAL, [(PAYLOAD, MEASURED), (replace(PAYLOAD, name="q"), second)])
    assert "unsafe-path" in [failure.code for failure in found]


def payload_failures(payload: Payload = PAYLOAD, measured: Measured = MEASURED, size: int = 10) -> list[Failure]:
    return list(contents.payload_failures(payload, measured, size))


def test_a_difference_of_a_payload_shows_what_was_declared_and_what_is_there() -> None:
    (size,) = payload_failures(size=11)
    assert (size.code, size.evidence) == ("payload-size-mismatch", {"payload": "p", "declared": 10, "actual": 11})
    assert size.detail == "payload 'p' has 11 bytes, 10 are declared"
    (unpacked,) = payload_failures(measured=replace(MEASURED, unpacked_size=21))
    assert (unpacked.code, unpacked.evidence) == (
        "unpacked-size-mismatch",
        {"payload": "p", "declared": 20, "actual": 21},
    )
    assert unpacked.detail == "payload 'p' unpacks to 21 bytes, 20 are declared"
    (digest,) = payload_failures(replace(PAYLOAD, digests=(replace(RAW, value=OTHER), UNPACKED)))
    assert (digest.code, digest.detail) == (
        "payload-digest-mismatch",
        f"payload 'p': the sha256 of its {View.RAW} bytes differs",
    )
    assert digest.evidence == {
        "payload": "p",
        "algorithm": "sha256",
        "view": str(View.RAW),
        "declared": OTHER.hex(),
        "actual": SHA.hex(),
    }
    (missing, _) = payload_failures(measured=replace(MEASURED, digests={}))
    assert missing.evidence == {"payload": "p", "view": str(PAYLOAD.digests[0].view)}
    (weak,) = payload_failures(replace(PAYLOAD, digests=(replace(RAW, algorithm="sha1"),)), replace(
        MEASURED, digests={("sha1", View.RAW): SHA}
    ))  # fmt: skip
    assert (weak.code, weak.evidence) == ("weak-digest", {"payload": "p"})
    assert weak.detail == "payload 'p' has no SHA-256 over its bytes"


def test_a_payload_without_digests_is_bound_by_its_chunks() -> None:
    assert payload_codes(replace(PAYLOAD, digests=())) == []


def test_an_unpacked_size_that_could_not_be_measured_is_not_compared() -> None:
    measured = replace(MEASURED, unpacked_size=None)
    assert payload_codes(measured=measured) == []


def test_a_difference_of_an_attachment_shows_both_digests() -> None:
    failure = contents.attachment_failure(Attachment("a", "text/plain", 5, SHA), 5, OTHER)
    assert failure == Failure(
        "attachment-mismatch",
        "attachment 'a' differs from its declaration",
        {"attachment": "a", "declared": SHA.hex(), "actual": OTHER.hex()},
    )


def test_a_difference_of_a_file_shows_the_first_field_that_differs() -> None:
    def difference(**changes: object) -> Failure:
        changed = (ENTRIES[0], replace(ENTRIES[1], **changes), ENTRIES[2])  # type: ignore[arg-type]
        (failure,) = contents.file_failures(SEAL, [(PAYLOAD, replace(MEASURED, entries=changed))])
        return failure

    for changes, field, declared, actual in (
        ({"mode": 0o600, "size": 9}, "mode", str(0o644), str(0o600)),
        ({"size": 9, "sha256": OTHER}, "size", "3", "9"),
        ({"sha256": OTHER, "payload": "q"}, "sha256", SHA.hex(), OTHER.hex()),
        ({"target": "x", "payload": "q"}, "target", "None", "x"),
        ({"payload": "q"}, "payload", "p", "q"),
        ({"type": FileType.DIRECTORY, "mode": 0o777}, "type", str(FileType.FILE), str(FileType.DIRECTORY)),
    ):
        failure = difference(**changes)
        assert failure.detail == f"'opt/f' has another {field} than declared"
        assert failure.evidence == {"path": "opt/f", "field": field, "declared": declared, "actual": actual}


def test_failures_of_files_name_their_path() -> None:
    extra = Entry("opt/x", FileType.FILE, 0o644, 0, SHA, payload="p")
    measured = replace(MEASURED, entries=(*ENTRIES[:2], extra))
    found = contents.by_path(contents.file_failures(SEAL, [(PAYLOAD, measured)]))
    assert found == [
        Failure("file-missing", "'opt/l' is declared but in no payload", {"path": "opt/l"}),
        Failure("file-undeclared", "'opt/x' is in a payload but not declared", {"path": "opt/x"}),
    ]
    (unlisted,) = contents.file_failures(SEAL, [(PAYLOAD, replace(MEASURED, listed=False))])
    assert unlisted == Failure("bad-listing", "payload 'p' could not be listed", {"payload": "p"})


def test_failures_are_in_the_order_of_kind_code_and_path() -> None:
    def failure(code: str, path: str | None = None) -> Failure:
        return Failure(code, "x", {} if path is None else {"path": path})

    ordered = [
        failure("bad-listing"),
        failure("unsafe-mode", "z"),
        failure("unsafe-path", "a"),
        failure("unsafe-path", "b"),
        failure("file-mismatch", "c"),
        failure("file-missing", "a"),
        failure("file-missing", "b"),
        failure("file-undeclared", "a"),
    ]
    assert contents.by_path(reversed(ordered)) == ordered


def test_an_incomplete_listing_excuses_missing_files_in_any_order() -> None:
    broken = replace(MEASURED, entries=(), listed=False, failures=(Failure("bad-payload", "x"),))
    other = replace(PAYLOAD, name="q")
    for measured in ([(PAYLOAD, broken), (other, MEASURED)], [(other, MEASURED), (PAYLOAD, broken)]):
        assert [failure.code for failure in contents.file_failures(SEAL, measured)] == []
    both = [(PAYLOAD, replace(MEASURED, entries=())), (other, replace(MEASURED, entries=()))]
    assert {failure.code for failure in contents.file_failures(SEAL, both)} == {"file-missing"}


def test_payloads_of_a_vib_may_share_folders_and_those_of_a_seal_may_not() -> None:
    again = Entry("opt", FileType.DIRECTORY, 0o755, payload="q")
    other = replace(PAYLOAD, name="q")

    def found(manifest: Manifest, *entries: Entry) -> list[str]:
        measured = [(PAYLOAD, MEASURED), (other, replace(MEASURED, entries=entries))]
        return [failure.code for failure in contents.file_failures(manifest, measured)]

    assert found(VIB, again) == []
    assert "unsafe-path" in found(SEAL, again)
    assert "unsafe-path" in found(VIB, again, again)
    assert "unsafe-path" in found(VIB, replace(again, type=FileType.FILE))
    assert "unsafe-path" in found(VIB, replace(again, payload="p"))
    file = replace(ENTRIES[1], path="opt/d")
    listed = replace(VIB, files=(*VIB.files, Entry("opt/d")))
    clash = [(PAYLOAD, replace(MEASURED, entries=(*ENTRIES, file))), (other, replace(MEASURED, entries=(
        replace(again, path="opt/d"),
    )))]  # fmt: skip
    assert [failure.code for failure in contents.file_failures(listed, clash)] == ["unsafe-path"]
