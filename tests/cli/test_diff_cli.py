"""`modseal diff`: what differs between two bundles, and whether any of it is proved."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from builders.bundles import make
from builders.json_schemas import require_closed
from builders.pki import signer
from builders.terminal import on_terminal
from builders.transcript import run
from cli.conftest import key_options
from modseal.bundle.diff_shape import PARTS
from modseal.format.manifest import Platform, VibFields

UNPROVED = "UNPROVED: what is compared is what the files say of themselves"
POLICY = ("--policy", "keys/policy.toml")
PUBLISHED = json.loads((Path(__file__).parents[2] / "schemas/diff.schema.json").read_text())


def changes(desk: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run("diff", *arguments, "--format", "json", cwd=desk)
    return done.code, json.loads(done.out)


def rows(found: dict[str, Any], *but: str) -> list[tuple[str, ...]]:
    """The differences, but for those of these parts."""
    return [tuple(change.values()) for change in found["changes"] if change["part"] not in ("bundle", *but)]


def packed(desk: Path, name: str, spec: str, *, sign: str = "", kind: str = "seal") -> None:
    (desk / "module/module.toml").write_text(spec)
    assert run("pack", "module", "-o", name, "--format", kind, cwd=desk).code == 0
    if sign:
        assert run("sign", name, *key_options(sign), cwd=desk).code == 0


@pytest.fixture
def spec(signed: Path) -> str:
    return (signed / "module/module.toml").read_text()


def test_a_copy_is_the_same_and_the_same_alone_is_0(signed: Path) -> None:
    shutil.copy(signed / "a.seal", signed / "b.seal")
    done = run("diff", "a.seal", "b.seal", cwd=signed)
    assert done.code == 0
    first, *rest = done.out.splitlines()
    assert re.fullmatch("a.seal and b.seal are the same, byte for byte: sha256 [0-9a-f]{64}", first)
    assert rest == [f"  {UNPROVED}; --policy proves them"]


def test_a_new_version_shows_fields_and_files(signed: Path, spec: str) -> None:
    files = signed / "module/files/opt/acme"
    (files / "conf").write_text("level = 2, and more\n")
    (files / "conf").chmod(0o755)
    (files / "agent").unlink()
    (files / "tool").write_text("new")
    (files / "current").unlink()
    (files / "current").symlink_to("tool")
    new = spec.replace("1.2.3-4", "1.3").replace('"partner"', '"community"')
    packed(signed, "b.seal", new + '[[depends]]\nname = "x"\nrelation = ">="\nversion = "2"\n', sign="partner")
    code, found = changes(signed, "a.seal", "b.seal")
    assert (code, found["equal"], found["proved"]) == (1, False, False)
    listed = rows(found, "payload", "signer")
    digests = [row for row in listed if row[2] == "sha256"]
    assert [(row[0], row[1]) for row in digests] == [("file", "opt/acme/conf")]
    assert sorted(row for row in listed if row not in digests) == sorted(
        [
            ("field", "version", "", "1.2.3-4", "1.3"),
            ("field", "claimed level", "", "partner", "community"),
            ("field", "depends x >= 2", "", None, ""),
            ("file", "opt/acme/agent", "", listed_whole(found, "opt/acme/agent"), None),
            ("file", "opt/acme/conf", "mode", "-rw-r--r--", "-rwxr-xr-x"),
            ("file", "opt/acme/conf", "size", "10", "20"),
            ("file", "opt/acme/current", "target", "conf", "tool"),
            ("file", "opt/acme/tool", "", None, listed_whole(found, "opt/acme/tool")),
        ]
    )


def listed_whole(found: dict[str, Any], name: str) -> str:
    """What is said of a file that came or went: everything."""
    (change,) = (change for change in found["changes"] if change["name"] == name)
    whole = change["before"] or change["after"]
    assert re.fullmatch(r"mode -rw[x-]r-[x-]r-[x-], payload base, size \d+, sha256 [0-9a-f]{64}", whole)
    return str(whole)


def test_a_signature_more_is_a_signer_more_and_nothing_else(signed: Path) -> None:
    shutil.copy(signed / "a.seal", signed / "b.seal")
    assert run("sign", "b.seal", *key_options("certified"), cwd=signed).code == 0
    code, found = changes(signed, "a.seal", "b.seal")
    ((part, name, what, before, after),) = rows(found)
    assert (code, part, what, before) == (1, "signer", "", None)
    assert name.startswith("CN=Example certified signer,O=modseal example sha256:")
    assert "timestamps 0" in after


def test_two_blocks_of_one_certificate_are_two_signers(tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(make("seal", signer()).data)
    (tmp_path / "b.seal").write_bytes(make("seal", signer(), signer()).data)
    _, found = changes(tmp_path, "a.seal", "b.seal")
    assert [row[1][-4:] for row in rows(found) if row[0] == "signer" and row[3] is None] == [" (2)"]


def test_with_a_policy_both_are_proved_and_the_levels_are_compared(signed: Path, spec: str) -> None:
    packed(signed, "b.seal", spec.replace('"partner"', '"community"'), sign="community")
    code, found = changes(signed, "a.seal", "b.seal", *POLICY)
    assert (code, found["proved"]) == (1, True)
    assert [found[side]["verdict"] for side in ("left", "right")] == ["accepted", "accepted"]
    assert ("verdict", "proven level", "", "partner", "community") in rows(found)
    done = run("diff", "a.seal", "b.seal", *POLICY, cwd=signed)
    assert "UNPROVED" not in done.out
    assert "  a.seal: accepted\n  b.seal: accepted\n" in done.out


def test_the_same_accepted_bundle_is_0_and_proved(signed: Path) -> None:
    code, found = changes(signed, "a.seal", "a.seal", *POLICY)
    assert (code, found["equal"], found["proved"]) == (0, True, True)


def test_what_a_policy_rejects_is_1_and_stays_unproved_though_it_is_the_same(desk: Path) -> None:
    done = run("diff", "a.seal", "a.seal", *POLICY, cwd=desk)
    assert done.code == 1
    assert done.out.splitlines()[1:] == [
        "  a.seal: rejected: the signature member is empty",
        "  a.seal: rejected: the signature member is empty",
        f"  {UNPROVED}",
    ]


def test_a_forged_manifest_is_compared_and_never_called_proved(signed: Path) -> None:
    (signed / "b.seal").write_bytes((signed / "a.seal").read_bytes().replace(b'"acme-agent"', b'"acme-agend"'))
    code, found = changes(signed, "a.seal", "b.seal", *POLICY)
    assert (code, found["proved"], found["right"]["verdict"]) == (1, False, "rejected")
    assert ("field", "name", "", "acme-agent", "acme-agend") in rows(found)


def test_a_seal_and_a_vib_of_one_module_are_compared_file_by_file(signed: Path) -> None:
    code, found = changes(signed, "a.seal", "a.vib")
    assert code == 1
    parts = {(row[0], row[1]) for row in rows(found)}
    assert ("file", "opt/acme/current") in parts  # a .vib has no links
    assert ("file", "opt/acme/agent") not in parts  # the same file
    assert ("field", "vib type") in parts


def test_what_only_a_vib_says_is_compared_in_words(tmp_path: Path) -> None:
    old = VibFields(platforms=(Platform("8.*"),))
    new = VibFields(platforms=(Platform("8.*"), Platform("9.*", locale="de")), maintenance_mode=True, packed_size=5)
    (tmp_path / "a.vib").write_bytes(make("vib", vib=old).data)
    (tmp_path / "b.vib").write_bytes(make("vib", vib=new).data)
    _, found = changes(tmp_path, "a.vib", "b.vib")
    assert rows(found, "signer") == [
        ("field", "vib maintenance mode", "", "no", "yes"),
        ("field", "vib platforms", "", "8.* embeddedEsx", "8.* embeddedEsx; 9.* embeddedEsx de"),
        ("field", "vib packed size", "", "none", "5"),
    ]


@pytest.mark.parametrize("order", [("a.seal", "x"), ("x", "a.seal")])
def test_what_is_no_bundle_is_3_and_nothing_counts_as_new_or_gone(signed: Path, order: tuple[str, str]) -> None:
    (signed / "x").write_text("no bundle\n")
    code, found = changes(signed, *order)
    assert (code, found["complete"], rows(found)) == (3, False, [])
    assert "x: not read in full: not-a-bundle" in run("diff", *order, cwd=signed).out


def test_what_is_not_there_is_said(signed: Path) -> None:
    done = run("diff", "a.seal", "none", cwd=signed)
    assert (done.code, done.out, "none" in done.err) == (3, "", True)


def test_a_damaged_payload_is_3(signed: Path) -> None:
    data = bytearray((signed / "a.seal").read_bytes())
    data[-20] ^= 1
    (signed / "b.seal").write_bytes(data)
    code, found = changes(signed, "a.seal", "b.seal")
    assert (code, found["right"]["problems"] != []) == (3, True)


def test_a_difference_that_no_part_shows_is_still_one(signed: Path) -> None:
    """The order of two blocks: the same signers, other bytes."""
    for name, order in (("b.seal", ("partner", "certified")), ("c.seal", ("certified", "partner"))):
        assert run("pack", "module", "-o", name, cwd=signed).code == 0
        for who in order:
            assert run("sign", name, *key_options(who), cwd=signed).code == 0
    done = run("diff", "b.seal", "c.seal", cwd=signed)
    assert (done.code, "differ" in done.out, "sha256" in done.out) == (1, True, True)


def test_hostile_texts_are_shown_as_escapes(tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(make(summary="plain").data)
    (tmp_path / "b.seal").write_bytes(make(summary="accepted\n\tb.seal: accepted").data)
    out = run("diff", "a.seal", "b.seal", cwd=tmp_path).out
    assert "summary: plain -> accepted\\n\\tb.seal: accepted" in out


def test_many_files_are_cut_in_the_text_and_not_in_the_json(signed: Path, spec: str) -> None:
    for number in range(100):
        (signed / f"module/files/f{number:03}").write_text("x")
    packed(signed, "b.seal", spec)
    assert "... and 60 more of part file; --format json has them all" in run("diff", "a.seal", "b.seal", cwd=signed).out
    assert len([row for row in rows(changes(signed, "a.seal", "b.seal")[1]) if row[0] == "file"]) == 100


def test_verdicts_have_colour_on_a_terminal(signed: Path) -> None:
    seen = on_terminal("diff", "a.seal", "a.vib", *POLICY, cwd=signed)
    assert seen.out.count("\x1b[1;32maccepted\x1b[0m") == 2


def test_the_json_schema_is_closed_and_names_every_part() -> None:
    require_closed(PUBLISHED)
    assert PUBLISHED["properties"]["changes"]["items"]["properties"]["part"]["enum"] == list(PARTS)


@pytest.mark.parametrize("policy", [(), POLICY], ids=["unproved", "proved"])
def test_what_is_printed_fits_the_published_schema(signed: Path, spec: str, policy: tuple[str, ...]) -> None:
    """Of two formats, of a bundle with other files and attachments, of a damaged one, and of what is no bundle."""
    (signed / "module/files/opt/acme/new").write_text("x")
    (signed / "module/notes.txt").write_text("notes")
    packed(
        signed, "other.seal", f'{spec}\n[[attachment]]\nname = "notes"\nfile = "notes.txt"\nmedia-type = "text/plain"\n'
    )
    data = bytearray((signed / "a.seal").read_bytes())
    data[-5] ^= 1
    (signed / "damaged.seal").write_bytes(data)
    (signed / "text").write_text("no bundle")
    (signed / os.fsdecode(b"\xff.seal")).write_bytes((signed / "a.vib").read_bytes())
    seen: set[str] = set()
    for other in ("a.seal", "a.vib", "other.seal", "damaged.seal", "text", os.fsdecode(b"\xff.seal")):
        for pair in (("a.seal", other), (other, "a.seal")):
            found = json.loads(run("diff", *pair, *policy, "--format", "json", cwd=signed).out)
            jsonschema.validate(found, PUBLISHED)
            seen |= {change["part"] for change in found["changes"]}
    assert seen == set(PARTS) - ({"verdict"} if not policy else set())


def test_the_json_says_what_it_is(signed: Path) -> None:
    _, found = changes(signed, "a.seal", "a.vib")
    assert found.keys() == {"schema", "proved", "complete", "equal", "left", "right", "changes"}
    assert found["schema"] == "modseal/diff@1"
