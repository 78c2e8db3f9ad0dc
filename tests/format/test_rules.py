"""Names, paths, modes and links: each rule accepts the genuine and refuses the hostile."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import characters, rules
from modseal.format.level import Level
from modseal.format.manifest import Attachment, Constraint, Entry, FileType, Manifest, Payload, Relationships


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
        "\u00e9" * 127 + "a",
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


@settings(max_examples=300)
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
    for target, more in (("b", []), ("/b", ["unsafe-link"])):
        assert codes(rules.check_entry(Entry("a", FileType.SYMLINK, 0o10000, target=target))) == ["unsafe-mode", *more]


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
        [file("a"), directory("a/b")],
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


def test_a_tree_of_many_folders_is_judged_entry_by_entry(monkeypatch):
    monkeypatch.setattr(rules, "_USUAL_FOLDERS", 2)
    many = [file("a/b/x"), file("c/d/x"), file("e/f/x")]
    assert list(rules.check_tree(many)) == []
    for bad in (file("C/y"), file("e/f"), file("a/b/x"), file("c/d/X")):
        assert set(codes(rules.check_tree([*many, bad]))) == {"unsafe-path"}, bad
    long = f"{'x' * limits.PATH_LENGTH}/y"
    assert set(codes(rules.check_tree([file(long), file(long)]))) == {"unsafe-path"}


@pytest.mark.parametrize(
    ("path", "target", "led"),
    [
        ("a", "b", "b"),
        ("a/l", "b", "a/b"),
        ("a/l", "../b/./c", "b/c"),
        ("l", ".", ""),
        ("a/l", "..", ""),
        ("a/l", "../..", ".."),
        ("a/l", "/etc", "/etc"),
    ],
)
def test_a_link_leads_to_a_path_from_where_it_lies(path, target, led):
    assert rules.link_leads_to(path, target) == led


def test_one_id_has_one_content():
    assert list(rules.check_contents([("a:1", "00"), ("b:1", "11"), ("a:1", "00")])) == []
    (failure,) = rules.check_contents([("a:1", "00"), ("b:1", "00"), ("a:1", "11")])
    assert failure.code == "bundle-conflict"
    assert failure.evidence == {"id": "a:1", "sha256": "11", "other": "00"}


def test_a_directory_sorts_before_its_content_and_its_content_before_its_sibling():
    paths = ["a.txt", "a/b", "a", "a-b", "a/b/c", "b"]
    assert sorted(paths, key=rules.sort_key) == ["a", "a/b", "a/b/c", "a-b", "a.txt", "b"]


@settings(max_examples=200)
@given(st.text(max_size=12))
def test_paths_that_fold_alike_are_alike_in_nfc_and_case(text):
    assert rules.fold(text) == rules.fold(unicodedata.normalize("NFC", text))
    assert rules.fold(rules.fold(text)) == rules.fold(text)


@settings(max_examples=300)
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


def test_the_directories_above_a_path_are_named_from_the_nearest():
    assert list(rules.parents("a/b/c")) == ["a/b", "a"]
    assert list(rules.parents("a/b")) == ["a"]
    assert list(rules.parents("a")) == []


def found(failures):
    return [(failure.code, failure.detail) for failure in failures]


def test_a_collision_of_directories_names_both_spellings():
    (failure,) = rules.check_tree([file("a/b/Lib/x"), file("a/b/lib/deep/y")])
    assert failure.detail == "'a/b/Lib/x' lies in 'a/b/Lib', which collides with 'a/b/lib'"
    assert failure.evidence == {"path": "a/b/Lib/x", "other": "a/b/lib"}
    (failure,) = rules.check_tree([file("A/x"), file("a/y")])
    assert failure.detail == "'a/y' lies in 'a', which collides with 'A'"


def test_a_path_below_a_file_names_the_file():
    (failure,) = rules.check_tree([file("a/b/c/d"), link("a/b")])
    assert failure.detail == "'a/b/c/d' lies below 'a/b', which is not a directory"
    (failure,) = rules.check_tree([file("a"), file("a.b"), file("a/c")])
    assert failure.evidence == {"path": "a/c", "other": "a"}
    assert list(rules.check_tree([directory("a"), file("a-b"), file("a.b"), file("a/c"), file("ab")])) == []


def test_only_the_same_names_collide():
    assert list(rules.check_tree([file("a/b"), file("ab"), file("b/a"), file("a.b/c"), file("c/b")])) == []
    (failure,) = rules.check_tree([file("b/readme"), file("a/README"), file("b/README")])
    assert failure.evidence == {"path": "b/README", "other": "b/readme"}


@pytest.mark.parametrize(
    ("label", "field", "limit", "item"),
    [
        ("payloads", "payloads", "PAYLOADS", Payload("a", "x", 1, 1)),
        ("attachments", "attachments", "ATTACHMENTS", Attachment("a", "x/y", 1, bytes(32))),
        ("files", "files", "FILES", file("a")),
    ],
)
def test_each_list_has_its_own_limit(monkeypatch, label, field, limit, item):
    monkeypatch.setattr(limits, limit, 0)
    first, *_ = rules.check_module(module(**{field: (item,)}))
    assert (first.code, first.detail) == ("bad-manifest", f"there are 1 {label}, and may be at most 0")
    assert first.evidence == {"count": 1}
    monkeypatch.setattr(limits, limit, 1)
    assert list(rules.check_module(module(**{field: (item,)}))) == []


def test_each_relationship_has_its_own_label_and_limit(monkeypatch):
    for label in ("depends", "conflicts", "replaces", "provides"):
        wrong = Relationships(**{label: (Constraint("a b"),)})
        (failure,) = rules.check_module(module(relationships=wrong))
        assert failure.detail.startswith(f"{label} names ")
        fine = Relationships(**{label: (Constraint("a", "=", "1"), Constraint("b"))})
        assert list(rules.check_module(module(relationships=fine))) == []
        monkeypatch.setattr(limits, "ITEMS", 1)
        (failure,) = rules.check_module(module(relationships=fine))
        assert failure.detail == f"there are 2 {label}, and may be at most 1"
        monkeypatch.undo()


def test_texts_have_their_labels_and_limits():
    for label in ("summary", "description"):
        (failure,) = rules.check_module(module(**{label: "\x01"}))
        assert failure.detail.startswith(f"the {label} ")
        assert list(rules.check_module(module(**{label: "s" * limits.TEXT_LENGTH}))) == []
    (failure,) = rules.check_module(module(vendor=""))
    assert failure.detail.startswith("the vendor ")
    most = limits.NAME_LENGTH
    assert list(rules.check_identity("v" * most, "n" * most, "1" * most)) == []
    assert list(rules.check_line("x", "y" * 5, 5)) == []
    assert found(rules.check_line("x", "y" * 6, 5)) == [
        ("bad-manifest", "the x has 6 characters, and must have at most 5")
    ]
    assert codes(rules.check_text("x", "y" * 6, 5)) == ["bad-manifest"]
    assert list(rules.check_text("x", "a\tb\n", 5)) == []
    for text in ("a\tb", "a\nb", " a", "a ", "", "\u00a0a"):
        assert codes(rules.check_line("x", text)) == ["bad-manifest"], text


@pytest.mark.parametrize("relation", ["<<", "<=", "=", ">=", ">>"])
def test_every_relation_is_known_and_only_equality_is_provided(relation):
    one = Constraint("a", relation, "1")
    assert list(rules.check_constraint("depends", one)) == []
    assert codes(rules.check_constraint("provides", one)) == ([] if relation == "=" else ["bad-manifest"])


def test_member_names_that_differ_by_case_alone_are_refused():
    assert found(rules.check_members(["base", "Base", "BASE"])) == [
        ("bad-manifest", "the member names 'base' and 'Base' differ by case alone"),
        ("bad-manifest", "the member names 'base' and 'BASE' differ by case alone"),
    ]
    assert found(rules.check_members(["Sig.PKCS7", "Manifest.json"])) == [
        ("bad-manifest", "the member name 'Sig.PKCS7' is reserved"),
        ("bad-manifest", "the member name 'Manifest.json' is reserved"),
    ]


def test_reserved_and_repeated_members_are_told_apart():
    assert found(rules.check_members(["a", "a", "sig.pkcs7", "a b"])) == [
        ("bad-manifest", "two members are named 'a'"),
        ("bad-manifest", "the member name 'sig.pkcs7' is reserved"),
        ("bad-manifest", "the member name 'a b' is not 1 to 15 of A-Z a-z 0-9 . _ -, and neither . nor .."),
    ]


@pytest.mark.parametrize("name", [".", "..", "", "a/b", "a\n", "caf\u00e9"])
def test_a_member_name_is_plain(name):
    assert codes(rules.check_members([name])) == ["bad-manifest"]


@pytest.mark.parametrize("name", ["...", ".a", "-", "_", "a" * 15, "A.b-c_9"])
def test_a_plain_member_name_is_accepted(name):
    assert list(rules.check_members([name])) == []


def test_a_link_is_judged_by_where_its_own_path_lies():
    for path, target, safe in (
        ("a/b", "../c", True),
        ("a", "../c", False),
        ("a/b/c", "../../../x", False),
        ("a/b/c", ".//../x", True),
        ("a/b", "..", True),
        ("a/b/c", "../..", True),
        ("a/b/c", "../../..", False),
        ("a/b", "./../x", True),
        ("a/b", "x" * limits.LINK_LENGTH, True),
        ("a/b", "x" * (limits.LINK_LENGTH + 1), False),
        ("a/b", "\u00e9" * 50, True),
        ("a/b", "\u00e9" * 51, False),
        ("a/b", "x\\y", False),
        ("a/b", "x/./y", True),
        ("a/b", "x//y", True),
        ("a/b", "x/..", False),
        ("a/b", "./x/..", False),
    ):
        assert (rules.check_link(path, target) is None) is safe, (path, target)


def test_a_mode_is_shown_in_octal_and_links_only_below_a_sound_path():
    (failure,) = rules.check_entry(Entry("a", FileType.FILE, 0o10000))
    assert failure.detail.endswith("has mode 10000")
    assert codes(rules.check_entry(Entry("a", FileType.FILE, 0o7777))) == []
    assert codes(rules.check_entry(Entry("a", FileType.FILE, None))) == []
    assert codes(rules.check_entry(link("/a", "/b"))) == ["unsafe-path"]
    assert codes(rules.check_entry(Entry("a", FileType.FILE, 0o644, target="/x"))) == []


def test_folding_is_by_case_and_normal_form():
    assert rules.fold("A/B") == "a/b"
    assert rules.fold("\u00c9") == rules.fold("e\u0301") == "\u00e9"
    assert rules.fold("\u1e9e") == "ss"
    assert rules.shown("a\u00e9\n'") == "a\\xe9\\n'"
    assert rules.shown("x" * 300) == "x" * limits.PATH_LENGTH


def test_expected_signers_are_few_and_named_by_digest():
    key = "key-sha256:" + "0" * 64
    most = tuple(f"key-sha256:{number:064x}" for number in range(limits.EXPECTED_SIGNERS + 1))
    first, *_ = rules.check_expected_signers(most)
    assert first.detail == f"there are {len(most)} expected signers, and may be at most {limits.EXPECTED_SIGNERS}"
    assert list(rules.check_expected_signers(most[1:])) == []
    for wrong in ("", "0" * 64, key.upper(), key + "0", key[:-1], " " + key):
        assert codes(rules.check_expected_signers((wrong,))) == ["bad-manifest"], wrong
    for order in ((most[1], most[0]), (key, key)):
        assert codes(rules.check_expected_signers(order)) == ["bad-manifest"]


@pytest.mark.parametrize("text", ["a", "A-z 0~", "caf\u00e9", "\u65e5\u672c", "\U0001f600"])
def test_what_can_be_seen_is_printable(text):
    assert characters.is_printable(text)


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\x1f",
        "\x7f",
        "\x80",
        "\u200b",
        "\u202e",
        "\ue000",
        "\u0378",
        "\u2028",
        "\u2029",
        "\ud800",
    ],
)
def test_what_cannot_be_seen_is_not_printable(text):
    assert not characters.is_printable(text)
    assert not characters.is_printable("a" + text + "\u00e9")
