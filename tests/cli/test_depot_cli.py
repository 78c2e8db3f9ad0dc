"""`modseal depot` as a user types it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from builders.transcript import Transcript, run
from cli.conftest import key_options


def test_an_offline_bundle_is_built_and_listed(signed: Path) -> None:
    built = run("depot", "build", "a.vib", "-o", "out.zip", cwd=signed)
    assert built.code == 0, built.err
    assert built.out.startswith("out.zip: offline bundle of 1 bundle, sha256 ")
    listed = run("depot", "list", "out.zip", cwd=signed)
    assert listed.code == 0
    assert listed.out.splitlines()[0] == "out.zip: offline bundle, 1 bundle, 0.0 MiB (unproved)"
    assert "  acme-agent 1.2.3-4  Acme  partner  vib20/acme-agent/Acme_bootbank_acme-agent_1.2.3-4.vib" in listed.out
    document = json.loads(run("depot", "list", "out.zip", "--format", "json", cwd=signed).out)
    assert document["proved"] is False
    assert [row["component"] for row in document["bundles"]] == ["Acme-acme-agent 1.2.3-4"]


def test_a_depot_that_cannot_be_read_whole_is_listed_with_its_fault(signed: Path) -> None:
    (signed / "folder").mkdir()
    (signed / "folder" / "index.xml").write_text("<vendorList>")
    listed = run("depot", "list", "folder", cwd=signed)
    assert listed.code == 1
    assert "bad-metadata" in listed.out


def test_pack_writes_an_offline_bundle_in_one_step(desk: Path) -> None:
    (desk / "module/files/opt/acme/current").unlink()  # a .vib cannot have links
    packed = run("pack", "module", "-o", "b.vib", "--offline-bundle", "b.zip", cwd=desk)
    assert packed.code == 0, packed.err
    assert packed.out.splitlines()[1].startswith("b.zip: offline bundle of 1 bundle, sha256 ")
    run("depot", "build", "b.vib", "-o", "c.zip", cwd=desk)
    assert (desk / "b.zip").read_bytes() == (desk / "c.zip").read_bytes()


def test_a_seal_goes_into_no_offline_bundle(desk: Path) -> None:
    packed = run("pack", "module", "--format", "seal", "--offline-bundle", "b.zip", cwd=desk)
    assert packed.code == 2
    assert "signed depot" in packed.err
    built = run("depot", "build", "a.seal", "-o", "b.zip", cwd=desk)
    assert built.code == 2
    assert "--key" in built.err


def test_a_component_needs_its_version(desk: Path) -> None:
    built = run("depot", "build", "a.vib", "-o", "b.zip", "--component", "tools", cwd=desk)
    assert built.code == 2
    assert "NAME=VERSION" in built.err


# Signed depots.

LATER = ("--expires", "2099-01-01")
POLICY = ("--policy", "keys/policy.toml")


def publish(folder: Path, *bundles: str, to: str = "depot", more: tuple[str, ...] = ()) -> None:
    done = run(
        "depot", "build", *bundles, "-o", to, "--name", "acme", *LATER, *key_options("partner"), *more, cwd=folder
    )
    assert done.code == 0, done.err


def check(folder: Path, depot: str = "depot", *more: str, leaves: tuple[str, ...] = ()) -> Transcript:
    return run("depot", "check", depot, *POLICY, *more, cwd=folder, leaves=leaves)


@pytest.mark.parametrize("to", ["depot", "depot.zip", "oci"])
def test_a_signed_depot_is_built_listed_and_proved(signed: Path, to: str) -> None:
    publish(signed, "a.seal", "a.vib", to=to, more=("--oci",) if to == "oci" else ())
    listed = run("depot", "list", to, cwd=signed)
    assert listed.out.splitlines()[0] == f"{to}: signed depot, 2 bundles, 0.0 MiB (unproved)"
    checked = check(signed, to)
    assert checked.code == 0, checked.out
    assert checked.out.splitlines()[0] == f"{to}: accepted"
    document = json.loads(check(signed, to, "--format", "json").out)
    assert document["verdict"] == "accepted"
    assert document["index"]["proved"] is True
    assert [one["verdict"] for one in document["results"]] == ["accepted", "accepted"]


def test_an_older_depot_is_refused_once_a_newer_one_was_seen(signed: Path) -> None:
    publish(signed, "a.seal")
    publish(signed, "a.seal", to="new", more=("--number", "2"))
    assert check(signed, "new", "--state", "seen").code == 0
    refused = check(signed, "depot", "--state", "seen")
    assert refused.code == 1
    assert "depot-rollback: version 1 is older than version 2, which was seen already" in refused.out


def test_what_is_added_withheld_or_swapped_is_refused(signed: Path) -> None:
    publish(signed, "a.seal", "a.vib")
    [seal] = (signed / "depot" / "bundles").glob("*.seal")
    kept = seal.read_bytes()
    (signed / "depot" / "bundles" / "more.seal").write_bytes(kept)
    assert "bundle-unlisted" in check(signed).out
    (signed / "depot" / "bundles" / "more.seal").unlink()
    seal.write_bytes((signed / "a.vib").read_bytes())
    swapped = check(signed)
    assert swapped.code == 1
    assert "bundle-digest-mismatch" in swapped.out
    seal.unlink()
    assert "bundle-missing" in check(signed).out
    seal.write_bytes(kept)
    assert check(signed).code == 0


def test_an_index_that_nobody_trusted_signed_is_refused(signed: Path) -> None:
    publish(signed, "a.seal")
    index = signed / "depot" / "depot.json"
    index.write_bytes(index.read_bytes().replace(b'"version":1', b'"version":9'))
    changed = check(signed)
    assert changed.code == 1
    assert "unsigned" in changed.out  # its signature is that of another index


def test_a_depot_of_another_name_is_refused(signed: Path) -> None:
    publish(signed, "a.seal")
    refused = check(signed, "depot", "--name", "other")
    assert refused.code == 1
    assert "depot-name-mismatch" in refused.out


def test_a_recall_refuses_a_module_everywhere(signed: Path) -> None:
    made = run(
        "depot", "recall", "acme-agent <= 1.2.3-4", "--vendor", "Acme", "--reason", "it burns", "--name", "acme",
        *LATER, *key_options("partner"), "-o", "acme.recall", cwd=signed,
    )  # fmt: skip
    assert made.code == 0, made.err
    for command in (("verify", "a.seal"), ("audit", "a.seal")):
        refused = run(*command, *POLICY, "--recall", "acme.recall", cwd=signed)
        assert refused.code == 1
        assert "recalled" in refused.out
    publish(signed, "a.seal", more=("--recall", "acme.recall"))
    refused = check(signed)
    assert refused.code == 1
    assert "acme, version 1, withdraws it: it burns" in refused.out


def test_a_depot_is_changed_version_by_version(signed: Path) -> None:
    publish(signed, "a.seal")
    added = run("depot", "add", "depot", "a.vib", *LATER, *key_options("partner"), cwd=signed)
    assert "version 2, 2 bundles" in added.out
    assert check(signed).code == 0
    gone = run("depot", "remove", "depot", "acme-agent=1.2.3-4", *LATER, *key_options("partner"), cwd=signed)
    assert "version 3, 0 bundles" in gone.out
    assert check(signed).code == 0
    assert not list((signed / "depot" / "bundles").iterdir())
    assert len(list((signed / "depot" / "signatures").iterdir())) == 1


def test_only_its_signers_may_publish_the_next_version(signed: Path) -> None:
    publish(signed, "a.seal")
    refused = run("depot", "add", "depot", "a.vib", *LATER, *key_options("certified"), cwd=signed)
    assert refused.code == 1
    assert "none of the signers is a root signer of version 1" in refused.err


def test_a_mirror_takes_only_what_is_proved_and_never_goes_back(signed: Path) -> None:
    publish(signed, "a.seal")
    publish(signed, "a.vib", to="new.zip", more=("--number", "2"))
    for source in ("depot", "new.zip"):
        assert run("depot", "mirror", source, "-o", "copy", *POLICY, cwd=signed).code == 0
    assert check(signed, "copy").code == 0
    back = run("depot", "mirror", "depot", "-o", "copy", *POLICY, cwd=signed)
    assert back.code == 1
    assert "older than version 2" in back.err
    (signed / "depot" / "depot.json").write_bytes(b"{}")
    assert run("depot", "mirror", "depot", "-o", "other", *POLICY, cwd=signed).code == 1


def test_depots_of_both_kinds_are_merged_and_compared(signed: Path) -> None:
    publish(signed, "a.seal")
    run("depot", "build", "a.vib", "-o", "offline.zip", cwd=signed)
    merged = run(
        "depot", "merge", "depot", "offline.zip", "-o", "all", "--name", "all", *LATER, *key_options("partner"),
        cwd=signed,
    )  # fmt: skip
    assert "all: depot all, version 1, 2 bundles" in merged.out
    assert check(signed, "all").code == 0
    different = run("depot", "diff", "depot", "all", cwd=signed)
    assert different.out.splitlines()[0] == "depot -> all: 1 difference (unproved)"
    assert "  + acme-agent 1.2.3-4  Acme  partner" in different.out


def test_an_offline_bundle_is_checked_by_its_bundles(signed: Path) -> None:
    run("depot", "build", "a.vib", "-o", "offline.zip", cwd=signed)
    checked = check(signed, "offline.zip")
    assert checked.code == 0
    assert "not signed: nobody says that this is all, or the newest" in checked.out


@pytest.mark.parametrize("how", ["stripped", "linked", "an offline bundle"])
def test_who_wants_a_signed_depot_takes_no_other(signed: Path, how: str) -> None:
    publish(signed, "a.seal")
    assert check(signed, "depot", "--state", "seen").code == 0
    before = (signed / "seen").read_bytes()
    index, name = signed / "depot" / "depot.json", "depot"
    if how == "an offline bundle":
        name = "offline.zip"
        run("depot", "build", "a.vib", "-o", name, cwd=signed)
    else:
        index.rename(signed / "kept.json")
    if how == "linked":
        index.symlink_to("../kept.json")
    for wanted in (("--state", "seen"), ("--name", "acme")):
        refused = check(signed, name, *wanted)
        assert refused.code == 1
        assert "index-invalid" in refused.out
        assert "has no depot.json that can be read" in refused.out
        assert ("unsafe-link" in refused.out) == (how == "linked")
        assert run("depot", "mirror", name, "-o", "copy", *POLICY, *wanted, cwd=signed).code == 1
    assert (signed / "seen").read_bytes() == before


def test_a_depot_that_was_changed_on_its_way_is_not_signed_anew(signed: Path) -> None:
    publish(signed, "a.seal")
    index = signed / "depot" / "depot.json"
    before = index.read_bytes()
    index.write_bytes(before.replace(b'"level":"partner"', b'"level":"accepted"'))
    refused = run("depot", "add", "depot", "a.vib", *LATER, *key_options("partner"), cwd=signed)
    assert refused.code == 1
    assert "version 1, the one before, has no signature" in refused.err
    index.write_bytes(before)
    (signed / "elsewhere").mkdir()
    (signed / "depot" / "recalls").symlink_to(signed / "elsewhere")
    refused = run("depot", "add", "depot", "a.vib", *LATER, *key_options("partner"), cwd=signed)
    assert refused.code == 1
    assert "is a symbolic link" in refused.err


def test_a_recall_takes_over_only_what_its_signer_said_before(signed: Path) -> None:
    common = ("depot", "recall", "acme-agent", "--vendor", "Acme", "--reason", "it burns", *LATER)
    first = run(*common, "--name", "acme", *key_options("certified"), "-o", "1.recall", cwd=signed)
    assert first.code == 0
    refused = run(*common, "--previous", "1.recall", *key_options("partner"), "-o", "2.recall", cwd=signed)
    assert refused.code == 1
    assert "is not signed by one of these keys" in refused.err
    again = run(*common, "--previous", "1.recall", *key_options("certified"), "-o", "2.recall", cwd=signed)
    assert "recall acme, version 2, 1 entry" in again.out
    older = run(
        *common, "--previous", "1.recall", "--number", "1", *key_options("certified"), "-o", "3.recall", cwd=signed
    )
    assert older.code == 1
    assert "is not newer than version 1" in older.err


def test_a_merge_under_a_policy_takes_only_what_is_accepted(signed: Path) -> None:
    run("depot", "build", "a.vib", "-o", "offline.zip", cwd=signed)
    common = ("depot", "merge", "offline.zip", "--name", "all", *LATER, *key_options("partner"))
    assert run(*common, *POLICY, "-o", "good", cwd=signed).code == 0
    refused = run(*common, "--policy", "strict", "-o", "bad", cwd=signed)
    assert refused.code == 1
    assert "no-anchors" in refused.err or "names no anchor" in refused.err


def test_a_depot_or_recall_that_nobody_could_use_is_not_made(signed: Path) -> None:
    past = ("--expires", "2020-01-01", *key_options("partner"))
    built = run("depot", "build", "a.seal", "-o", "depot", "--name", "acme", *past, cwd=signed)
    assert built.code == 2
    assert "2020-01-01T00:00:00Z is past" in built.err
    common = ("depot", "recall", "a", "--vendor", "Acme", "--reason", "x", "--name", "n")
    assert run(*common, *past, "-o", "a.recall", cwd=signed).code == 2


def recall(folder: Path, out: str, who: str, *more: str, module: str = "acme-agent") -> None:
    done = run(
        "depot", "recall", module, "--vendor", "Acme", "--reason", "it burns", "--name", "acme", *LATER,
        *key_options(who), "-o", out, *more, cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err


@pytest.mark.parametrize("kind", ["depot", "depot.zip", "oci"])
def test_a_swapped_recall_is_refused_and_never_signed_anew(signed: Path, kind: str) -> None:
    recall(signed, "a.recall", "partner")
    recall(signed, "other.recall", "certified", module="nothing")
    publish(signed, "a.seal", to=kind, more=("--recall", "a.recall", *(("--oci",) if kind == "oci" else ())))
    old, new = ((signed / name).read_bytes() for name in ("a.recall", "other.recall"))
    if kind == "depot.zip":
        swap_in_zip(signed / kind, old, new)
    else:
        [path] = [path for path in (signed / kind).rglob("*") if path.is_file() and path.read_bytes() == old]
        path.write_bytes(new)
    refused = check(signed, kind, "--state", "seen")
    assert refused.code == 1
    assert "bundle-digest-mismatch" in refused.out
    common = (*LATER, *key_options("partner"))
    for command in (
        ("add", kind, "a.vib", *common),
        ("remove", kind, "acme-agent", *common),
        ("merge", kind, "-o", "all", "--name", "all", *common),
        ("build", "a.vib", "-o", "next", "--name", "acme", "--previous", kind, "--recall", "a.recall", *common),
        ("mirror", kind, "-o", "copy", *POLICY),
    ):
        done = run("depot", *command, cwd=signed)
        assert done.code == 1, (command, done.err)
        assert "and the index lists" in done.out + done.err, command


def swap_in_zip(path: Path, old: bytes, new: bytes) -> None:
    """One file of a zip exchanged, the rest as it was."""
    with ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w") as archive:
        for name, data in held.items():
            archive.writestr(name, new if data == old else data)


def test_a_swapped_bundle_is_never_signed_anew(signed: Path) -> None:
    publish(signed, "a.seal")
    [seal] = (signed / "depot" / "bundles").glob("*.seal")
    seal.write_bytes((signed / "a.vib").read_bytes())
    common = (*LATER, *key_options("partner"))
    for command in (("add", "depot", "a.vib"), ("merge", "depot", "-o", "all", "--name", "all")):
        done = run("depot", *command, *common, cwd=signed)
        assert done.code == 1, done.err
        assert "and the index lists" in done.err


def test_a_recall_in_a_depot_is_replaced_only_by_its_own_signer(signed: Path) -> None:
    recall(signed, "1.recall", "partner")
    recall(signed, "2.recall", "certified", "--number", "2", module="nothing")
    recall(signed, "same.recall", "partner", module="nothing")
    publish(signed, "a.seal", more=("--recall", "1.recall"))
    publish(signed, "a.vib", to="other", more=("--recall", "2.recall"))
    common = (*LATER, *key_options("partner"))
    for command in (
        ("add", "depot", "--recall", "2.recall"),
        ("add", "depot", "--recall", "same.recall"),
        ("merge", "depot", "other", "-o", "all", "--name", "all"),
        ("build", "a.seal", "-o", "new", "--name", "acme", "--previous", "depot", "--recall", "2.recall"),
    ):
        refused = run("depot", *command, *common, cwd=signed)
        assert refused.code == 1, refused.err
        assert "of the recall acme has no signer" in refused.err or "two recalls are called" in refused.err, command
    recall(signed, "3.recall", "certified", "--number", "3", *key_options("partner"), module="nothing")
    added = run("depot", "add", "depot", "--recall", "3.recall", *common, cwd=signed)
    assert added.code == 0, added.err
    assert check(signed).code == 0


def test_a_mirror_in_a_zip_file_never_goes_back_either(signed: Path) -> None:
    publish(signed, "a.seal")
    publish(signed, "a.vib", to="new", more=("--number", "2"))
    for source in ("depot", "new"):
        assert run("depot", "mirror", source, "-o", "copy.zip", *POLICY, cwd=signed).code == 0
    before = (signed / "copy.zip").read_bytes()
    back = run("depot", "mirror", "depot", "-o", "copy.zip", *POLICY, cwd=signed)
    assert back.code == 1
    assert "older than version 2" in back.err
    assert (signed / "copy.zip").read_bytes() == before
    (signed / "mine.zip").write_bytes(b"my own file")
    strange = run("depot", "mirror", "depot", "-o", "mine.zip", *POLICY, cwd=signed)
    assert strange.code == 2
    assert "is not a depot" in strange.err
    assert (signed / "mine.zip").read_bytes() == b"my own file"


def test_a_zip_file_that_is_replaced_is_told(signed: Path) -> None:
    common = ("--name", "acme", *LATER, *key_options("partner"), "-o", "d.zip")
    said = "modseal: warning: d.zip was there already, and is replaced"
    for command in (("build", "a.vib", "-o", "d.zip"), ("build", "a.seal", *common), ("merge", "other", *common)):
        publish(signed, "a.seal", to="other") if not (signed / "other").exists() else None
        done = run("depot", *command, cwd=signed)
        assert done.code == 0, done.err
        assert (said in done.err) == (command[1] != "a.vib")


def test_a_check_at_a_later_time_is_not_remembered(signed: Path) -> None:
    publish(signed, "a.seal")
    assert check(signed, "depot", "--state", "seen").code == 0
    before = (signed / "seen").read_bytes()
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    assert check(signed, "depot", "--state", "seen", "--at", tomorrow).code == 0
    mirrored = run("depot", "mirror", "depot", "-o", "copy", *POLICY, "--state", "seen", "--at", tomorrow, cwd=signed)
    assert mirrored.code == 0
    assert (signed / "seen").read_bytes() == before
    assert check(signed, "depot", "--state", "seen").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reason", "x\ny"), "must be printable text on one line"),
        (("--vendor", " Acme"), "the vendor ' Acme'"),
        (("--name", "my list"), "name: is 'my list'"),
    ],
)
def test_who_writes_a_recall_is_told_of_mistakes_as_such(signed: Path, options: tuple[str, ...], said: str) -> None:
    refused = run(
        "depot", "recall", "a", "--vendor", "Acme", "--reason", "x", "--name", "n", *options, *LATER,
        *key_options("partner"), "-o", "a.recall", cwd=signed,
    )  # fmt: skip
    assert refused.code == 2
    assert said in refused.err
    assert "Get the recall again" not in refused.err


def test_a_name_that_no_depot_may_have_is_a_mistake_of_usage(signed: Path) -> None:
    common = (*LATER, *key_options("partner"), "-o", "depot")
    refused = run("depot", "build", "a.seal", "--name", "my depot", *common, cwd=signed)
    assert refused.code == 2
    assert "name: is 'my depot'" in refused.err


@pytest.mark.parametrize("versions", [">= 2.0, << 1.0", ">> 1.0, <= 1.0", "= 1.0, = 1.1", "= 1.0, << 1.00"])
def test_a_recall_of_no_version_at_all_is_not_made(signed: Path, versions: str) -> None:
    common = ("--vendor", "Acme", "--reason", "x", "--name", "n", *LATER, *key_options("partner"), "-o", "a.recall")
    refused = run("depot", "recall", f"a {versions}", *common, cwd=signed)
    assert refused.code == 2
    assert "no version is in" in refused.err
    assert run("depot", "recall", "a >= 1.0, <= 1.00, = 1.0", *common, cwd=signed).code == 0


def test_an_older_version_that_was_put_back_is_not_built_upon(signed: Path) -> None:
    """Else the publisher signs anew what was taken out: whoever checks the next version has no reason to refuse it."""
    seen = ("--state", "acme.state")
    publish(signed, "a.seal", "a.vib", more=seen)
    shutil.copytree(signed / "depot", signed / "earlier")
    removed = run("depot", "remove", "depot", "acme-agent", *LATER, *key_options("partner"), *seen, cwd=signed)
    assert removed.code == 0, removed.err
    shutil.rmtree(signed / "depot")
    shutil.copytree(signed / "earlier", signed / "depot")
    before = (signed / "acme.state").read_bytes()
    for command in (
        ("add", "depot", "a.seal"),
        ("remove", "depot", "acme-agent"),
        ("merge", "earlier", "-o", "new", "--name", "acme", "--previous", "depot"),
        ("build", "a.seal", "-o", "new", "--name", "acme", "--previous", "depot"),
        ("build", "a.seal", "-o", "new", "--name", "acme"),
    ):
        done = run("depot", *command, *LATER, *key_options("partner"), *seen, cwd=signed)
        assert done.code == 1, (command, done.err)
        assert "depot-rollback" in done.err or "was seen already" in done.err
        assert (signed / "acme.state").read_bytes() == before
        assert not (signed / "new").exists()
    assert check(signed, "earlier", *seen).code == 1
