"""Names, paths, modes and links: each rule accepts the genuine and refuses the hostile."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Entry, FileType, Manifest, Payload, Relationships


def file(path):
    return Entry(path, FileType.FILE, 0o644)


def directory(path):
    return Entry(path, FileType.DIRECTORY, 0o755)


def link(path, target="x"):
    return Entry(path, FileType.SYMLINK, 0o777, target=target)


def codes(failures):
    return [failure.code for failure in failures]


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "usr/lib/vmware/vmkmod/vmkusb_nic_fling",
        "usr/bin/[",
        "etc/.hidden",
        "a b/c",
        "a/...",
        "..a",
        "caf\u00e9/\u65e5\u672c",
        "a" * 255,
        "/".join(["a"] * limits.PATH_DEPTH),
        "a:b",
        "~",
        "-rf",
        "\u00a0x".strip(),
    ],
)
def test_a_plain_relative_path_is_accepted(path):
    assert rules.check_path(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "//a",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "..",
        "../a",
        "a/../b",
        "a/..",
        " a",
        "a ",
        "a /b",
        "a\t",
        "a\nb",
        "a\0b",
        "a\x7f",
        "a\\b",
        "C:\\x",
        "a\u202eb",
        "a\u200bb",
        "a\ufeff",
        "\ud800",
        "e\u0301",
        "a\u2028b",
        "\ue000",
        "\u0378",
        "a" * 256,
        "\u00e9" * 128,
        "/".join(["a"] * (limits.PATH_DEPTH + 1)),
        "usr/lib/*",
        "a?",
        "\u2003a",
    ],
)
def test_any_other_path_is_unsafe(path):
    failure = rules.check_path(path)
    assert failure is not None
    assert failure.code == "unsafe-path"
    assert str(failure.evidence["path"]).isascii()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("usr/bin/vi", "vim"),
        ("usr/bin/vi", "../lib/vim"),
        ("a/b/c", "../../x"),
        ("a/b/c", "../.."),
        ("bin", "usr/bin"),
        ("a/X11", "."),
        ("a/b", "./c"),
        ("lib64", "usr/lib64/"),
    ],
)
def test_a_link_inside_the_module_is_accepted(path, target):
    assert rules.check_link(path, target) is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "/etc/passwd"),
        ("a", ".."),
        ("a", "../x"),
        ("a/b", "../../x"),
        ("a/b", ".././../x"),
        ("a", ""),
        ("a", "x" * 101),
        ("a", "b\0c"),
        ("a", "b\\c"),
        ("a", "\ud800"),
        ("a", "b\x1b[0m"),
        ("a/b/c", "l/../../x"),
        ("a/b", "c/.."),  # where `..` goes depends on what the name before it is
    ],
)
def test_a_link_that_leads_out_or_might_is_unsafe(path, target):
    failure = rules.check_link(path, target)
    assert failure is not None
    assert failure.code == "unsafe-link"


def test_links_that_each_look_harmless_cannot_climb_out_together():
    """`top` leads to the root; through it, `..` would climb above the root."""
    assert rules.check_link("a/b/top", "../..") is None
    assert rules.check_link("a/b/out", "top/../etc") is not None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), min_size=1, max_size=6), st.integers(0, 3))
def test_an_accepted_target_resolves_inside_the_root(parts, depth):
    target = "/".join(parts)
    if rules.check_link("/".join(["d"] * depth + ["l"]), target) is None:
        position = depth
        for part in target.split("/"):
            position += -1 if part == ".." else part not in ("", ".")
            assert position >= 0


def test_an_entry_has_twelve_mode_bits_at_most():
    assert codes(rules.check_entry(Entry("a", FileType.FILE, 0o4755))) == []
    assert codes(rules.check_entry(Entry("a", FileType.FILE, 0o100644))) == ["unsafe-mode"]
    assert codes(rules.check_entry(Entry("a", FileType.FILE, -1))) == ["unsafe-mode"]


def test_an_entry_reports_its_path_and_its_link():
    assert codes(rules.check_entry(Entry("/a", FileType.FILE))) == ["unsafe-path"]
    assert codes(rules.check_entry(link("a", "/b"))) == ["unsafe-link"]
    assert codes(rules.check_entry(link("a", None))) == ["unsafe-link"]


@pytest.mark.parametrize(
    "entries",
    [
        [file("a"), file("b")],
        [directory("a"), file("a/b"), directory("a/c"), link("a/c/d")],
        [file("a/b/c"), file("a/d")],
        [file("a/b"), directory("a")],
        [Entry("a/b"), Entry("a/c")],
        [file("stra\u00dfe"), file("strand")],
    ],
)
def test_a_sound_tree_is_accepted(entries):
    assert list(rules.check_tree(entries)) == []


@pytest.mark.parametrize(
    "entries",
    [
        [file("a"), file("a")],
        [file("a"), directory("a")],
        [file("README"), file("readme")],
        [file("\u00e9"), file("\u00c9")],
        [file("stra\u00dfe"), file("STRASSE")],
        [file("k"), file("\u212a")],  # the Kelvin sign
        [file("a"), file("a/b")],
        [link("a"), file("a/b")],
        [file("a/b/c/d"), link("a/b")],
        [Entry("a"), Entry("a/b")],  # a .vib lists files only
        [directory("Lib"), file("lib/x")],
        [file("Lib/x"), file("lib/y")],
        [file("a/Lib/x"), file("a/lib/deep/y")],
        [link("LIB"), file("lib/x")],
    ],
)
def test_colliding_entries_are_unsafe(entries):
    assert set(codes(rules.check_tree(entries))) == {"unsafe-path"}
    assert set(codes(rules.check_tree(reversed(entries)))) == {"unsafe-path"}


def test_a_directory_sorts_before_its_content_and_its_content_before_its_sibling():
    paths = ["a.txt", "a/b", "a", "a-b", "a/b/c", "b"]
    assert sorted(paths, key=rules.sort_key) == ["a", "a/b", "a/b/c", "a-b", "a.txt", "b"]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12))
def test_paths_that_fold_alike_are_alike_in_nfc_and_case(text):
    assert rules.fold(text) == rules.fold(unicodedata.normalize("NFC", text))
    assert rules.fold(rules.fold(text)) == rules.fold(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=20))
def test_any_text_is_judged_without_an_exception(text):
    rules.check_path(text)
    rules.check_link("a/b", text)
    list(rules.check_identity(text, text, text))
    list(rules.check_constraint("depends", Constraint(text, text, text)))
    list(rules.check_members([text, text]))


def module(**changes):
    values = {
        "kind": "seal",
        "vendor": "VMware, Inc.",
        "name": "acme-agent",
        "version": "1.0-1~rc2",
        "claimed_level": Level.PARTNER,
        **changes,
    }
    return Manifest(**values)


def test_a_module_with_plain_names_is_sound():
    assert list(rules.check_module(module())) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"vendor": ""},
        {"vendor": " Acme"},
        {"vendor": "Acme\n"},
        {"vendor": "A" * 129},
        {"vendor": "a/b"},
        {"vendor": "a\\b"},
        {"vendor": "Ac\u202eme"},
        {"vendor": "\ud800"},
        {"name": ""},
        {"name": "-x"},
        {"name": "a b"},
        {"name": "n" * 129},
        {"name": "\u0661"},
        {"version": "1/2"},
        {"version": ""},
        {"summary": "a\0"},
        {"summary": "s" * (limits.TEXT_LENGTH + 1)},
        {"description": "\uffff"},
        {"description": "a\rb"},
        {"relationships": Relationships(depends=(Constraint("a b"),))},
        {"relationships": Relationships(depends=(Constraint("a", "="),))},
        {"relationships": Relationships(depends=(Constraint("a", None, "1"),))},
        {"relationships": Relationships(conflicts=(Constraint("a", "==", "1"),))},
        {"relationships": Relationships(replaces=(Constraint("a", "<<", "1 2"),))},
        {"relationships": Relationships(provides=(Constraint("a", ">=", "1"),))},
        {"relationships": Relationships(compatible_with=(Constraint("a"),) * (limits.ITEMS + 1))},
        {"payloads": (Payload("sig.pkcs7", "x", 1, 1),)},
        {"payloads": (Payload("manifest.json", "x", 1, 1),)},
        {"payloads": (Payload("descriptor.xml", "x", 1, 1),)},
        {"payloads": (Payload("a", "x", 1, 1), Payload("a", "x", 1, 1))},
        {"payloads": (Payload("sixteen-letters-", "x", 1, 1),)},
        {"payloads": tuple(Payload(f"p{index}", "x", 1, 1) for index in range(limits.PAYLOADS + 1))},
    ],
)
def test_a_module_with_one_thing_broken_is_refused_for_that_alone(changes):
    assert codes(rules.check_module(module(**changes))) == ["bad-manifest"]


def test_a_description_may_have_lines_and_any_script():
    assert list(rules.check_module(module(description="One\n\tTwo \u0645\u06cc\u200c\u062e \U0001f600"))) == []


def test_require_raises_a_failure_with_its_code_and_evidence():
    rules.require(None)
    with pytest.raises(FormatError) as caught:
        rules.require(rules.check_path("/a"))
    assert (caught.value.failure.code, caught.value.failure.evidence["path"]) == ("unsafe-path", "/a")
