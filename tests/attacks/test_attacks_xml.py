"""Attack catalogue, section 5: the XML descriptor. Each test is named by the id of its row.

Each descriptor is properly signed, so only the reader stands between the trick and its effect.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from builders.bundles import Bundle, accepted, judge, make, refused
from builders.policies import trusting
from modseal import limits
from modseal.format.level import Level

ENTITIES = "<!DOCTYPE vib [{}]>"


def with_text(old: str, new: str) -> Bundle:
    return make("vib").edit_text(old, new)


def with_head(head: str) -> Bundle:
    return with_text("<vib ", head + "<vib ")


def bad(bundle: Bundle, folder: Path, code: str = "bad-manifest") -> str:
    """The detail of a refusal: for the manifest alone, nothing proved."""
    found = refused(bundle, trusting(), code, folder)
    assert (found.manifest, found.proven_level) == (None, None)
    assert found.primary is not None
    assert found.primary.step == 1
    return found.primary.detail


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE vib SYSTEM "http://127.0.0.1:9/evil.dtd">',
        '<!DOCTYPE vib PUBLIC "-//X" "file:///etc/passwd">',
        "<!DOCTYPE vib>",
        ENTITIES.format('<!ENTITY x SYSTEM "file:///etc/passwd">'),
        ENTITIES.format('<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;'),
    ],
)
def test_XML_01_any_document_type_is_refused(head: str, tmp_path: Path) -> None:
    assert "document type" in bad(with_head(head), tmp_path)


def test_XML_01_an_entity_that_nobody_declared_is_refused(tmp_path: Path) -> None:
    bad(with_text("<summary>Agent", "<summary>&xxe;"), tmp_path)


def test_XML_02_entity_bombs_cost_nothing(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    quadratic = ENTITIES.format(f'<!ENTITY a "{"a" * 100_000}">')
    bundles = [
        with_head(ENTITIES.format('<!ENTITY l0 "lol">' + levels)).edit_text("<summary>Agent", "<summary>&l11;"),
        with_head(quadratic).edit_text("<summary>Agent", "<summary>" + "&a;" * 10_000),
    ]
    for bundle in bundles:
        start = time.process_time()
        judge(bundle, trusting())
        assert time.process_time() - start < 0.1
        bad(bundle, tmp_path)


@pytest.mark.parametrize(
    ("element", "second"),
    [
        ("acceptance-level", "community"),
        ("name", "other"),
        ("version", "9"),
        ("vendor", "Other"),
        ("summary", ""),
        ("overlay", "true"),
    ],
)
def test_XML_03_a_second_element_is_refused(element: str, second: str, tmp_path: Path) -> None:
    twin = f"<{element}>{second}</{element}>"
    assert "more than once" in bad(with_text(f"</{element}>", f"</{element}>{twin}"), tmp_path)


@pytest.mark.parametrize("where", ["<urls />", "<file-list>", "</vib>"])
def test_XML_03_a_level_somewhere_else_is_refused(where: str, tmp_path: Path) -> None:
    wrapped = "<acceptance-level>certified</acceptance-level>"
    bad(with_text(where, wrapped + where if where == "</vib>" else where + wrapped), tmp_path)


def test_XML_03_a_whole_descriptor_inside_another_is_refused(tmp_path: Path) -> None:
    inner = make("vib").manifest_bytes.decode()
    bad(with_text("<summary>Agent", f"<summary>{inner}"), tmp_path)
    bad(with_text("</vib>", f"{inner}</vib>"), tmp_path)
    bad(with_text("</vib>", f"</vib>{inner}"), tmp_path)


def test_XML_03_a_repeated_attribute_is_refused(tmp_path: Path) -> None:
    bad(with_text('<vib version="5.0"', '<vib version="5.0" version="5.0"'), tmp_path)


def test_XML_04_values_come_from_the_verified_bytes(tmp_path: Path) -> None:
    """The bytes that were verified are the bytes that are read: one flipped letter of them is noticed."""
    good = make("vib")
    changed = good.with_member("descriptor.xml", data=good.manifest_bytes.replace(b"<vendor>Acme", b"<vendor>Acne"))
    found = refused(changed, trusting(), "content-digest-mismatch", tmp_path)
    assert found.manifest is not None
    assert (found.manifest.vendor, found.manifest_signed) == ("Acne", False)


@pytest.mark.parametrize(
    "value",
    [
        "cert<!-- -->ified",
        "cert<?x y?>ified",
        "<![CDATA[certified]]>",
        "certi&#0;fied",
        "certified\0",
        "certified ",
        " certified",
        "Certified",
        "VMwareCertified",
        "certi\u200bfied",
        "",
        "certified\n",
        "<b>certified</b>",
    ],
)
def test_XML_05_a_level_is_one_plain_word(value: str, tmp_path: Path) -> None:
    bad(with_text("<acceptance-level>partner", f"<acceptance-level>{value}"), tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<vib ", '<vib xmlns="urn:x" '),
        ("<vib ", '<vib xmlns:a="urn:x" '),
        ("<vib ", '<a:vib xmlns:a="urn:x" '),
        ("<name>", '<name xml:lang="en">'),
        ("<name>", "<!-- c --><name><!-- c -->"),
        ("<name>", "<?target data?><name>"),
    ],
)
def test_XML_05_namespaces_comments_and_instructions_are_refused(old: str, new: str, tmp_path: Path) -> None:
    bad(with_text(old, new), tmp_path)


def test_XML_05_a_character_reference_is_the_character_it_stands_for() -> None:
    """The one parser resolves it, and every value is compared after that."""
    found = accepted(with_text("<acceptance-level>partner", "<acceptance-level>par&#116;ner"), trusting())
    assert found.proven_level is Level.PARTNER


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-32"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: ('<?xml version="1.0" encoding="UTF-7"?>' + text).encode(),
        lambda text: ('<?xml version="1.0" encoding="UTF-16"?>' + text).encode(),
        lambda text: ('<?xml version="1.0" encoding="ISO-8859-1"?>' + text).encode("latin-1"),
        lambda text: ('<?xml version="1.1"?>' + text).encode(),
        lambda text: ('<?xml version="1.0" standalone="yes"?>' + text).encode(),
        lambda text: text.encode().replace(b"Agent<", b"Agent\xc0\xaf<"),
        lambda text: text.encode().replace(b"Agent<", b"Agent\xed\xa0\x80<"),
        lambda text: text.encode().replace(b"Agent<", b"Agent\xff<"),
        lambda text: text.encode() + b"\0",
        lambda text: b" " + ('<?xml version="1.0"?>' + text).encode(),
    ],
)
def test_XML_06_nothing_but_utf8_is_read(encode: object, tmp_path: Path) -> None:
    bundle = make("vib")
    text = bundle.manifest_bytes.decode()
    bad(bundle.with_manifest_bytes(encode(text)), tmp_path)  # type: ignore[operator]


def test_XML_06_a_declaration_of_utf8_is_fine() -> None:
    accepted(with_head('<?xml version="1.0" encoding="utf-8"?>\n'), trusting())


def test_XML_07_huge_values_and_depths_are_refused(tmp_path: Path) -> None:
    start = time.process_time()
    bad(with_text("<summary>Agent", "<summary>" + "a" * (limits.TEXT_LENGTH + 1)), tmp_path)
    bad(with_text("<vib ", f'<vib a="{"x" * 1_000_000}" '), tmp_path)
    bad(with_text("<name>", "<name>" * 10_000), tmp_path)
    bad(with_text("<vib ", "<vib " + " ".join(f'a{n}=""' for n in range(10_000)) + " "), tmp_path)
    bad(
        with_text("<software-tags />", "<software-tags>" + "<tag>t</tag>" * (limits.ITEMS + 1) + "</software-tags>"),
        tmp_path,
    )
    refused(make("vib").with_manifest_bytes(b" " * (limits.MANIFEST_SIZE + 1)), trusting(), "limit-exceeded", tmp_path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("number", ["9" * 20, "9" * 5000, "-1", "+1", "1e3", " 1", "0x10", "1_0", "01", "\u0661", ""])
def test_XML_07_numbers_have_one_form(number: str, tmp_path: Path) -> None:
    bundle = make("vib")
    size = len(bundle.members[2].data)
    bad(bundle.edit_text(f' size="{size}"', f' size="{number}"'), tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "/opt/acme/agent",
        "../agent",
        "opt/../agent",
        "opt//agent",
        "opt/acme/*",
        "opt/acme/agent ",
        " opt/a",
        "opt\\acme",
        "opt/acme/",
        ".",
        "",
        "opt/\u202eagent",
        "opt/a\u0301",
        "opt/a?",
    ],
)
def test_XML_08_unsafe_paths_are_refused(path: str, tmp_path: Path) -> None:
    bad(with_text("<file>opt/acme/agent</file>", f"<file>{path}</file>"), tmp_path, "unsafe-path")


def test_XML_08_colliding_paths_are_refused(tmp_path: Path) -> None:
    bad(with_text("<file>opt/acme/conf</file>", "<file>opt/acme/Agent</file>"), tmp_path, "unsafe-path")
