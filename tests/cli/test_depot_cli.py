"""`modseal depot` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

from builders.transcript import run


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
