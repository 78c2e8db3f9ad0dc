"""`descriptor.xml`: every genuine form is read, nothing else is, and VMware's newest form is written."""

import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import descriptor, rules, stage_descriptor, vib_rules
from modseal.format.level import Level
from modseal.format.manifest import (
    Attachment,
    Constraint,
    Digest,
    Entry,
    FileType,
    Manifest,
    Payload,
    Platform,
    Relationships,
    VibFields,
    View,
)

GENUINE = Path(__file__).parents[2] / ".." / "shared" / "real" / "vib"
DESCRIPTORS = sorted(GENUINE.glob("*/descriptor.xml"))
NEWEST = "VMW_bootbank_vmkusb-nic-fling_1.15-1vmw.900.0.84947163"
genuine = pytest.mark.skipif(not DESCRIPTORS, reason="the genuine descriptors are not on this machine")

SHA256 = bytes(range(32))
SHA1 = bytes(range(20))
OLD_DIGESTS = (Digest("sha256", View.RAW, SHA256), Digest("sha1", View.UNPACKED, SHA1))
DIGESTS = (Digest("sha256", View.UNPACKED, SHA256), *OLD_DIGESTS)

TAGS = {
    ("sha256", View.RAW): 'checksum-type="sha-256"',
    ("sha256", View.UNPACKED): 'verify-process="gunzip" checksum-type="sha-256"',
    ("sha256", View.GUNZIP1): 'checksum-type="sha-256-gunzip1"',
    ("sha1", View.RAW): 'checksum-type="sha-1"',
    ("sha1", View.UNPACKED): 'checksum-type="sha-1" verify-process="gunzip"',
}

GOOD = f"""<vib version="5.0">
  <type>bootbank</type>
  <name>acme-agent</name>
  <version>1.2.3-4</version>
  <vendor>Acme_Inc</vendor>
  <summary>Agent &amp; more</summary>
  <description>Line one
line &lt;two&gt; &#233;</description>
  <release-date>2026-01-31T12:00:00.000001+00:00</release-date>
  <urls>
    <url key="kb">https://example.com/?a=1&amp;b=2</url>
  </urls>
  <relationships>
    <depends>
      <constraint name="esx-version" relation="&gt;=" version="5.0.0"/>
      <constraint version="2" name='other' relation="&lt;&lt;" />
    </depends>
    <conflicts></conflicts>
    <replaces><constraint name="old-agent"/></replaces>
    <provides><provide name="agent" version="1.2"/><provide name="thing"/></provides>
    <compatibleWith />
  </relationships>
  <software-tags><tag>driver</tag><tag>PCIID ................0c0300</tag></software-tags>
  <system-requires>
    <maintenance-mode>false</maintenance-mode>
    <softwarePlatform version="8.*" locale="" productLineID="embeddedEsx" />
  </system-requires>
  <file-list>
    <file>opt/acme/agent</file>
    <file>opt/acme/data</file>
  </file-list>
  <acceptance-level>community</acceptance-level>
  <live-install-allowed>true</live-install-allowed>
  <live-remove-allowed>false</live-remove-allowed>
  <cimom-restart>false</cimom-restart>
  <stateless-ready>true</stateless-ready>
  <overlay>false</overlay>
  <payloads>
    <payload name="payload1" type="vgz" size="371" uncompressed-size="1024">
      <checksum checksum-type="sha-256" verify-process="gunzip">{SHA256.hex()}</checksum>
      <checksum checksum-type="sha-256">{SHA256.hex()}</checksum>
      <checksum checksum-type="sha-1" verify-process="gunzip">{SHA1.hex()}</checksum>
    </payload>
  </payloads>
  <!-- made with a tool -->
</vib>
"""

MANIFEST = Manifest(
    kind="vib",
    vendor="Acme_Inc",
    name="acme-agent",
    version="1.2.3-4",
    claimed_level=Level.COMMUNITY,
    summary="Agent & more",
    description="Line one\nline <two> \u00e9",
    released="2026-01-31T12:00:00.000001+00:00",
    relationships=Relationships(
        depends=(Constraint("esx-version", ">=", "5.0.0"), Constraint("other", "<<", "2")),
        replaces=(Constraint("old-agent"),),
        provides=(Constraint("agent", "=", "1.2"), Constraint("thing")),
    ),
    payloads=(Payload("payload1", "vgz", 371, 1024, digests=DIGESTS),),
    files=(Entry("opt/acme/agent"), Entry("opt/acme/data")),
    vib=VibFields(
        urls=(("kb", "https://example.com/?a=1&b=2"),),
        tags=("driver", "PCIID ................0c0300"),
        platforms=(Platform("8.*"),),
        live_install_allowed=True,
    ),
)

STAGE = """<?xml version="1.0" encoding="utf-8"?>
<!-- a stage -->
<vib version="5.0">
  <name>acme-agent</name>
  <version>1.2.3-4</version>
  <vendor>Acme</vendor>
  <summary>Agent</summary>
  <description>Agent</description>
  <relationships><depends></depends><conflicts/><replaces/><provides/><compatibleWith/></relationships>
  <software-tags></software-tags>
  <system-requires><maintenance-mode>false</maintenance-mode></system-requires>
  <file-list>
    <!-- filled in later -->
    <file></file>
  </file-list>
  <acceptance-level>community</acceptance-level>
  <live-install-allowed>true</live-install-allowed>
  <live-remove-allowed>true</live-remove-allowed>
  <cimom-restart>false</cimom-restart>
  <stateless-ready>true</stateless-ready>
  <overlay>false</overlay>
  <payloads><payload name="payload1" type="vgz"></payload></payloads>
</vib>
"""


def swapped(old, new, text=GOOD, count=1):
    assert old in text
    return text.replace(old, new, count).encode()


def refusal(data, code="bad-manifest", read=descriptor.decode):
    with pytest.raises(FormatError) as caught:
        read(data)
    assert caught.value.failure.code == code
    return caught.value.failure.detail


def test_an_indented_descriptor_is_read_in_full():
    assert descriptor.decode(GOOD.encode()) == MANIFEST


def test_a_manifest_is_written_on_one_line_in_the_newest_form():
    data = descriptor.encode(MANIFEST)
    assert data.startswith(b'<vib version="5.0"><type>bootbank</type><name>acme-agent</name>')
    assert data.endswith(b"</checksum></payload></payloads></vib>")
    for part in (
        b"<conflicts />",
        b'<constraint name="esx-version" relation="&gt;=" version="5.0.0" />',
        b'<provide name="agent" version="1.2" /><provide name="thing" />',
        b"line &lt;two&gt; \xc3\xa9</",
        b'<softwarePlatform locale="" productLineID="embeddedEsx" version="8.*" />',
        b'<payload name="payload1" size="371" type="vgz" uncompressed-size="1024">',
    ):
        assert part in data
    assert descriptor.decode(data) == MANIFEST


def test_checksums_are_written_in_the_order_that_old_and_new_hosts_need():
    digests = (*reversed(DIGESTS), Digest("sha256", View.GUNZIP1, SHA256))
    payload = replace(MANIFEST.payloads[0], type="vzstd", digests=digests, compression_option="level=18")
    data = descriptor.encode(replace(MANIFEST, payloads=(payload,)))
    assert b'<payload compression-option="level=18" name="payload1" size="371" type="vzstd"' in data
    written = descriptor.decode(data).payloads[0].digests
    assert written == (*DIGESTS, Digest("sha256", View.GUNZIP1, SHA256))


def test_directories_are_not_listed():
    files = (Entry("opt/acme", FileType.DIRECTORY, 0o755), Entry("opt/acme/agent", FileType.FILE, 0o755))
    assert descriptor.decode(descriptor.encode(replace(MANIFEST, files=files))).files == (Entry("opt/acme/agent"),)


@pytest.mark.parametrize(
    "date",
    [
        "2012-08-02T03:00:43.163460",
        "2017-07-02T13:01:28+00:00",
        "2024-03-28T13:01:57",
        "2018-04-16T09:22:27.000000+00:00",
        "2018-04-16T09:22:27-08:00",
    ],
)
def test_every_genuine_form_of_date_is_kept_as_text(date):
    assert descriptor.decode(swapped("2026-01-31T12:00:00.000001+00:00", date)).released == date


@pytest.mark.parametrize(
    "sequence",
    [
        OLD_DIGESTS,
        DIGESTS,
        (*DIGESTS, Digest("sha256", View.GUNZIP1, SHA256)),
        (OLD_DIGESTS[0], DIGESTS[0], OLD_DIGESTS[1]),
        OLD_DIGESTS[:1],
        (OLD_DIGESTS[0], Digest("sha1", View.RAW, SHA1)),
    ],
)
def test_every_genuine_sequence_of_checksums_is_read_in_its_order(sequence):
    lines = "".join(
        f"<checksum {TAGS[digest.algorithm, digest.view]}>{digest.value.hex()}</checksum>" for digest in sequence
    )
    start, end = GOOD.index("      <checksum"), GOOD.index("    </payload>")
    assert descriptor.decode((GOOD[:start] + lines + GOOD[end:]).encode()).payloads[0].digests == sequence


def test_lists_may_be_empty_in_either_style():
    root = ET.fromstring(GOOD)
    for name in ("urls", "software-tags", "file-list", "payloads"):
        parent = root.find(name)
        for child in list(parent):
            parent.remove(child)
    requires = root.find("system-requires")
    requires.remove(requires.find("softwarePlatform"))
    value = descriptor.decode(ET.tostring(root))
    assert descriptor.decode(ET.tostring(root, short_empty_elements=False)) == value
    assert (value.vib.urls, value.vib.tags, value.files, value.payloads, value.vib.platforms) == ((), (), (), (), ())
    assert descriptor.decode(descriptor.encode(value)) == value


def test_the_refusal_names_line_and_column():
    assert refusal(swapped("<vendor>", "<vendr>")) == (
        "line 5, column 3: <vendr> is not known in <vib>; did you mean 'vendor'?"
    )
    assert refusal(swapped("opt/acme/data", "/opt/acme/data"), "unsafe-path").startswith("line 30, column 5: the path")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<vib ", '<!DOCTYPE vib SYSTEM "http://example.com/x.dtd"><vib ', "document type"),
        ("<vib ", "<!DOCTYPE vib [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><vib ", "document type"),
        ("<vib ", "<?php x?><vib ", "processing instruction"),
        ("<type>", "<?x y?><type>", "processing instruction"),
        ("acme-agent", "acme<!-- x -->-agent", "a comment stands in <name>"),
        ("community", "comm<!---->unity", "a comment stands in <acceptance-level>"),
        ("<file>", "<!-- x --><file>", "a comment stands in <file-list>"),
        ("<vib ", "<!-- x --><vib ", "a comment stands outside the root"),
        ("acme-agent", "<![CDATA[acme-agent]]>", "CDATA"),
        ("acme-agent", "acme&agent;", "undefined entity"),
        ('<vib version="5.0"', '<vib version="5.0" xmlns="http://example.com"', "unknown attribute 'xmlns'"),
        ('<vib version="5.0"', '<vib version="5.0" xmlns:x="u"', "unknown attribute 'xmlns:x'"),
        ("<name>acme-agent</name>", "<x:name>acme-agent</x:name>", "<x:name> is not known"),
        ("<vib ", '<?xml version="1.0" encoding="ISO-8859-1"?><vib ', "XML declaration"),
        ("<vib ", '<?xml version="1.0" encoding="UTF-16"?><vib ', "XML declaration"),
        ("<vib ", '<?xml version="1.1"?><vib ', "XML"),
        ("<vib ", '<?xml version="1.0" standalone="yes"?><vib ', "XML declaration"),
        ("<vib ", "\ufeff<vib ", "byte order mark"),
        ("acme-agent", "acme\0agent", "NUL byte"),
        ("acme-agent", "acme&#0;agent", "it is not XML"),
        ("Agent &amp; more", "Agent &#8238; more", "control or invisible"),
        ("</vib>", "", "it is not XML"),
        ("</vib>", "</vib><vib/>", "junk after document element"),
        ("<vib version", "<bib version", "<bib> is not known as the root; did you mean 'vib'?"),
        ("<vendor>Acme_Inc</vendor>", "<vendor>Acme_Inc</vendor>" * 2, "<vendor> stands more than once"),
        (
            "<acceptance-level>community</acceptance-level>",
            "",
            "<acceptance-level> is missing before <live-install-allowed>",
        ),
        ("  <payloads>", "  <payloads/><payloads>", "<payloads> stands more than once"),
        (
            "<type>bootbank</type>\n  <name>acme-agent</name>",
            "<name>acme-agent</name><type>bootbank</type>",
            "<type> is missing before <name>",
        ),
        (
            "<overlay>false</overlay>",
            "<overlay>false</overlay><overlay>true</overlay>",
            "<overlay> stands more than once",
        ),
        (
            "<overlay>false</overlay>",
            "<overlay>false</overlay><cimom-restart>true</cimom-restart>",
            "stands after <overlay>",
        ),
        ("<overlay>false</overlay>", "<overlay>0</overlay>", "<overlay> is '0', not one of false, true"),
        ("<overlay>false</overlay>", "<overlay> false</overlay>", "not one of"),
        ("<overlay>false</overlay>", "<overlay><name>x</name></overlay>", "<name> is not known in <overlay>"),
        ("<type>bootbank", "<type>base", "is not one of bootbank, locker, meta"),
        ("community", "CommunitySupported", "not one of"),
        ('locale="" ', "", "lacks the attribute locale"),
        ("<file-list>", "<file-list>x", "has the text 'x'"),
        ("<urls>", "<urls>\u00a0", "has the text"),
        ("2026-01-31T12:00:00.000001+00:00", "2026-01-31", "is not like"),
        ("2026-01-31T12:00:00.000001+00:00", "2026-02-31T12:00:00+00:00", "is not like"),
        ("2026-01-31T12:00:00.000001+00:00", "", "release-date is missing"),
        ("acme-agent</name>", "acme agent</name>", "the name 'acme agent' is not"),
        ("1.2.3-4", "1.2.3 4", "the version"),
        ("Acme_Inc", "Acme/Inc", "has a slash"),
        ("Acme_Inc", "", "the vendor ''"),
        ('relation="&gt;="', 'relation="=&gt;"', "a relation that is not"),
        (' version="5.0.0"', "", "a relation or a version without the other"),
        ("<provide name", "<constraint name", "<constraint> is not known in <provides>"),
        ('name="payload1"', 'name="sig.pkcs7"', "is reserved"),
        ('name="payload1"', 'name="../payload"', "the member name"),
        ('type="vgz"', 'type="v gz"', "not a plain word"),
        ('size="371"', 'size="0371"', "not a plain decimal number"),
        ('size="371"', 'size="-1"', "not a plain decimal number"),
        ('size="371"', 'size="1e3"', "not a plain decimal number"),
        ('size="371"', 'size="\u0663"', "not a plain decimal number"),
        ('size="371"', 'size="99999999999"', "has a size over"),
        ('size="371"', f'size="{"9" * 5000}"', "not a plain decimal number"),
        ('size="371" ', "", "lacks the attribute size"),
        ('uncompressed-size="1024"', 'uncompressed-size="999999999999999"', "has an uncompressed-size over"),
        (
            'checksum-type="sha-256">',
            'checksum-type="sha-256" verify-process="gunzip">',
            "two checksums of the same kind",
        ),
        (f'"sha-256">{SHA256.hex()}', f'"sha-256">{SHA256.hex().upper()}', "64 lower-case hexadecimal digits"),
        (f'"sha-256">{SHA256.hex()}', f'"sha-256">{SHA1.hex()}', "64 lower-case hexadecimal digits"),
        (f'"sha-256">{SHA256.hex()}', f'"sha-256"> {SHA256.hex()}', "64 lower-case hexadecimal digits"),
        ("<tag>driver</tag>", "<tag></tag>", "the tag ''"),
    ],
)
def test_a_good_descriptor_with_one_thing_broken_is_refused(old, new, words):
    assert words in refusal(swapped(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'version="5.0"',
            'version="6.0"',
            "line 1, column 1: modseal does not know the attribute version '6.0' of <vib>",
        ),
        (
            "<maintenance-mode>",
            '<maintenance-mode install="true">',
            "does not know the attribute install of <maintenance-mode>, which says 'true'",
        ),
        (
            "<softwarePlatform",
            "<hwplatform vendor='x'><model>R1</model></hwplatform><softwarePlatform",
            "line 26, column 5: modseal does not know <hwplatform> in <system-requires>, which says 'R1'",
        ),
        ("<overlay>", "<solution/><overlay>", "does not know <solution> in <vib>"),
        ("</payload>", "<signature>x</signature></payload>", "<signature> in <payload>, which says 'x'"),
        ("<vib version", "<vib " + "a" * 5_000 + '="1" version', "does not know the attribute aaa"),
        ('version="5.0"', f'version="{"5" * 5_000_000}"', "does not know the attribute version"),
        ("<overlay>", f"<a>{'<a>' * 9}{'x' * 5_000_000}{'</a>' * 9}</a><overlay>", "does not know <a>"),
    ],
)
def test_what_is_not_known_is_noted_with_its_place_and_text_and_the_rest_is_read(old, new, words):
    found = descriptor.decode(swapped(old, new))
    (unknown,) = found.vib.unknown
    assert unknown.code == "unsupported-descriptor"
    assert words in unknown.detail
    assert len(unknown.detail) < 300
    assert replace(found, vib=replace(found.vib, unknown=())) == MANIFEST
    with pytest.raises(FormatError):
        descriptor.encode(found)


def test_more_that_is_not_known_than_anybody_reads_is_refused():
    assert len(descriptor.decode(swapped("<overlay>", "<new/>" * limits.PROBLEMS + "<overlay>")).vib.unknown) == 100
    assert "too much that is not known" in refusal(swapped("<overlay>", "<new/>" * 101 + "<overlay>"))


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ('<vib version="5.0"', "<vib", {"has_version": False}),
        (GOOD[GOOD.index("  <file-list>") : GOOD.index("  <acceptance")], "", {"lists_files": False}),
        ("  <system-requires>", "<packed-size>371</packed-size><system-requires>", {"packed_size": 371}),
    ],
)
def test_what_genuine_files_have_is_read_and_written_again(old, new, change):
    expected = replace(MANIFEST, vib=replace(MANIFEST.vib, **change))
    if "lists_files" in change:
        expected = replace(expected, files=())
    assert descriptor.decode(swapped(old, new)) == expected
    assert descriptor.decode(descriptor.encode(expected)) == expected


def test_the_attributes_and_checksums_of_base_images_are_read_and_written_again():
    text = swapped('type="vgz"', 'type="boot" boot-order="200" vfat-name="useropts.gz"').decode()
    measured = f'<checksum checksum-type="sha-256" verify-process="txt-mle">{SHA256.hex()}</checksum>'
    data = swapped("    </payload>", f"{measured}</payload>", text)
    (payload,) = descriptor.decode(data).payloads
    assert (payload.boot_order, payload.vfat_name) == (200, "useropts.gz")
    assert payload.digests[-1] == Digest("sha256", View.TXT_MLE, SHA256)
    again = descriptor.encode(descriptor.decode(data))
    assert b'boot-order="200"' in again
    assert descriptor.decode(again).payloads == (payload,)


@pytest.mark.parametrize(
    ("attribute", "words"),
    [('boot-order="-1"', "not a plain decimal"), ('boot-order="4294967296"', "boot-order over"),
     ('vfat-name="../x"', "not like NAME.EXT"), ('vfat-name="useropts.gzip"', "not like NAME.EXT")],
)  # fmt: skip
def test_attributes_of_base_images_have_one_form(attribute, words):
    assert words in refusal(swapped('type="vgz"', f'type="vgz" {attribute}'))


def test_a_payload_needs_a_checksum():
    start, end = GOOD.index("      <checksum"), GOOD.index("    </payload>")
    assert "<checksum> is missing in <payload>" in refusal((GOOD[:start] + GOOD[end:]).encode())


def test_payload_names_are_unique():
    start, end = GOOD.index("    <payload "), GOOD.index("  </payloads>")
    assert "two members are named 'payload1'" in refusal((GOOD[:end] + GOOD[start:end] + GOOD[end:]).encode())


@pytest.mark.parametrize(
    "path",
    [
        "/opt/acme/x",
        "../x",
        "opt/../x",
        "opt//x",
        "opt/x/",
        "opt/x ",
        "",
        "opt/*",
        "opt\\x",
        "./x",
        "\nopt/x\n",
        "opt/acme/agent",
        "OPT/acme/x",
        "opt/acme/AGENT",
        "opt/acme/agent/x",
        "opt/&#8203;x",
    ],
)
def test_an_unsafe_path_is_refused_with_its_place(path):
    detail = refusal(swapped("opt/acme/data", path), "unsafe-path")
    assert detail.startswith("line ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7", "cp1252"])
def test_another_encoding_is_refused(encoding):
    text = GOOD.replace("Agent &amp; more", "\u00c4gent +ADw-").replace("&#233;", "\u00e9")
    if encoding == "utf-7":
        text = GOOD.encode("utf-7").decode("ascii")
        refusal(text.encode())
    else:
        refusal(text.encode(encoding))


def test_an_overlong_form_is_refused():
    assert "it is not UTF-8" in refusal(GOOD.encode().replace(b"opt/acme/data", b"opt\xc0\xafacme"))


@pytest.mark.parametrize(
    "bomb",
    [
        "<!DOCTYPE vib [<!ENTITY a 'aaaaaaaaaa'>"
        + "".join(f"<!ENTITY {chr(98 + i)} '{('&' + chr(97 + i) + ';') * 10}'>" for i in range(12))
        + "]><vib>&m;</vib>",
        "<!DOCTYPE vib [<!ENTITY a '" + "a" * 50_000 + "'>]><vib>" + "&a;" * 50_000 + "</vib>",
        "<!DOCTYPE vib [<!ENTITY % p SYSTEM 'file:///dev/zero'> %p;]><vib/>",
        "<vib>" * 100_000,
        '<vib version="5.0"><type>' * 50_000,
    ],
    ids=["laughs", "quadratic", "parameter", "deep", "deeper"],
)
def test_an_xml_bomb_is_refused_at_once(bomb):
    data = bomb.encode()
    times = []
    for _ in range(3):
        started = time.process_time()
        refusal(data)
        times.append(time.process_time() - started)
    assert min(times) < 0.01


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<vib version", "<vib " + "a" * 5_000_000 + '="1" version'),
        ("acme-agent", "a" * 5_000_000),
        ("<vib ", "<" + "v" * 5_000_000 + "ib "),
        ("opt/acme/data", "a/" * 2_500_000),
        ("<file>opt/acme/agent", "<file/>" * (limits.FILES + 1) + "<file>opt/acme/agent"),
        ("<tag>driver</tag>", "<tag>x</tag>" * (limits.ITEMS + 1)),
    ],
)
def test_huge_names_values_and_lists_are_refused_with_a_short_detail(old, new):
    started = time.process_time()
    with pytest.raises(FormatError) as caught:
        descriptor.decode(swapped(old, new))
    assert len(caught.value.failure.detail) < 400
    assert sum(len(str(value)) for value in caught.value.failure.evidence.values()) < 2000
    assert time.process_time() - started < 2


def test_a_descriptor_over_the_size_limit_is_refused_unread():
    refusal(b" " * (limits.MANIFEST_SIZE + 1), "limit-exceeded")


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "seal"},
        {"vib": None},
        {"attachments": (Attachment("a", "text/plain", 1, SHA256),)},
        {"released": ""},
        {"released": "2026-01-31T12:00:00Z"},
        {"vib": VibFields(type="other")},
        {"vib": VibFields(tags=("a\n",))},
        {"vib": VibFields(tags=("a",) * (limits.ITEMS + 1))},
        {"vib": VibFields(urls=(("", "x"),))},
        {"vib": VibFields(platforms=(Platform(""),))},
        {"vib": VibFields(platforms=(Platform("8.0", locale="a\tb"),))},
        {"payloads": (Payload("a", "vgz", 1, None),)},
        {"payloads": (Payload("a", "vgz", -1, None, digests=DIGESTS),)},
        {"payloads": (Payload("a", "vgz", 1, -1, digests=DIGESTS),)},
        {"payloads": (Payload("a", "", 1, 1, digests=DIGESTS),)},
        {"payloads": (Payload("a", "vgz", 1, 1, digests=(Digest("sha512", View.RAW, SHA256),)),)},
        {"payloads": (Payload("a", "vgz", 1, 1, digests=(Digest("sha256", View.RAW, SHA1),)),)},
        {"payloads": (Payload("a", "vgz", 1, 1, chunks=(SHA256,), digests=DIGESTS),)},
        {"payloads": (Payload("a", "vgz", 1, 1, mtime=5, digests=DIGESTS),)},
        {"payloads": (Payload("a", "vzstd", 1, 1, digests=DIGESTS, compression_option=""),)},
    ],
)
def test_encode_refuses_what_decode_would(changes):
    with pytest.raises(FormatError) as caught:
        descriptor.encode(replace(MANIFEST, **changes))
    assert caught.value.failure.code == "bad-manifest"


def test_a_descriptor_that_grows_over_the_limit_is_refused_on_encode(monkeypatch):
    monkeypatch.setattr(limits, "MANIFEST_SIZE", 100)
    with pytest.raises(FormatError) as caught:
        descriptor.encode(MANIFEST)
    assert caught.value.failure.code == "limit-exceeded"


# Stage folders.


def test_a_stage_is_read_without_what_the_packer_finds_out():
    value = stage_descriptor.decode(STAGE.encode())
    assert (value.vib.type, value.released, value.files, value.vib.urls) == ("bootbank", "", (), ())
    assert value.payloads == (Payload("payload1", "vgz", 0, None),)
    assert value.vib.live_install_allowed


def test_a_stage_is_not_a_descriptor():
    assert "outside the root" in refusal(STAGE.encode())
    assert "<type> is missing" in refusal(STAGE.replace("<!-- a stage -->", "").encode())


def test_a_complete_descriptor_is_a_stage_whose_found_out_parts_are_ignored():
    value = stage_descriptor.decode(GOOD.encode())
    assert value == replace(MANIFEST, files=(), payloads=(Payload("payload1", "vgz", 0, None),))


def test_a_stage_may_have_its_elements_in_any_order_and_lack_what_the_packer_finds_out():
    name, version = "  <name>acme-agent</name>\n", "  <version>1.2.3-4</version>\n"
    assert stage_descriptor.decode(swapped(name + version, version + name, STAGE)) == stage_descriptor.decode(
        STAGE.encode()
    )
    without = STAGE[: STAGE.index("  <file-list>")] + STAGE[STAGE.index("  <acceptance") :]
    without = without.replace("  <software-tags></software-tags>\n", "").replace(' version="5.0"', ' version="7.0"')
    assert stage_descriptor.decode(without.encode()).vib.tags == ()


def test_all_problems_of_a_stage_are_named_at_once_each_with_its_place():
    text = (
        STAGE.replace("<overlay>false", "<overlay>no")
        .replace("  <summary>Agent</summary>\n", "")
        .replace("<vendor>", "<vendr>")
        .replace("</vendor>", "</vendr>")
        .replace('type="vgz"', "")
    )
    with pytest.raises(stage_descriptor.StageError) as caught:
        stage_descriptor.decode(text.encode())
    details = [problem.detail for problem in caught.value.problems]
    assert [detail.split(":")[0] for detail in details] == [
        "line 6, column 3",
        "line 20, column 3",
        "line 21, column 13",
        "line 22, column 1",
        "line 22, column 1",
    ]
    assert "did you mean 'vendor'?" in details[0]
    assert all(
        words in detail
        for words, detail in zip(
            ("<vendr>", "<overlay> is 'no'", "lacks the attribute type", "<vendor> is missing", "<summary> is missing"),
            details,
            strict=True,
        )
    )


def test_problems_of_form_and_of_value_are_named_together():
    text = (
        STAGE.replace("<name>acme-agent", "<name>acme agent")
        .replace("<cimom-restart>", "<cimom-restart>x")
        .replace("<maintenance-mode>", "<maintenance-mode>x")
        .replace("  <summary>Agent</summary>\n", "")
        .replace('type="vgz"', 'type="vgz" boot-order="x"')
    )
    with pytest.raises(stage_descriptor.StageError) as caught:
        stage_descriptor.decode(text.encode())
    details = " ".join(problem.detail for problem in caught.value.problems)
    for words in ("acme agent", "<cimom-restart>", "<maintenance-mode>", "<summary> is missing", "the boot-order 'x'"):
        assert words in details
    assert len(caught.value.problems) == 5
    assert caught.value.manifest is not None
    assert [payload.name for payload in caught.value.manifest.payloads] == ["payload1"]


def test_a_given_text_takes_the_place_of_the_element_s_and_its_failure_names_its_source():
    given = {
        "version": stage_descriptor.GivenText("2.3", "--version"),
        "release-date": stage_descriptor.GivenText("2026-01-31T12:00:00+00:00", "--release-date"),
        "summary": stage_descriptor.GivenText("Other", "--set summary"),
    }
    value = stage_descriptor.decode(STAGE.encode(), given)
    assert (value.version, value.released, value.summary) == ("2.3", "2026-01-31T12:00:00+00:00", "Other")
    without = STAGE.replace("  <version>1.2.3-4</version>\n", "")
    assert stage_descriptor.decode(without.encode(), given) == value
    overlay = stage_descriptor.GivenText("no", "--set overlay")
    bad = {"version": stage_descriptor.GivenText("2 3", "--version"), "overlay": overlay}
    with pytest.raises(stage_descriptor.StageError) as caught:
        stage_descriptor.decode(STAGE.replace("<vendor>", "<vendor> ").encode(), bad)
    assert [problem.detail.split(": ")[0] for problem in caught.value.problems] == [
        "--set overlay",
        "--version",
        "line 6, column 3",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<vendor>", "<vendr>", "line 6, column 3: <vendr> is not known in <vib>; did you mean 'vendor'?"),
        ("<name>acme-agent", "<name>acme agent", "line 4, column 3: the name 'acme agent' is not"),
        ("community", "comunity", "not one of community, partner, accepted, certified; did you mean 'community'?"),
        ('name="payload1"', 'name="a-name-too-long-"', "the member name"),
        ("<!-- a stage -->", "<!DOCTYPE vib>", "document type"),
        ("acme-agent", "acme<!-- x -->-agent", "a comment stands in <name>"),
    ],
)
def test_a_stage_is_read_as_strictly_and_the_line_is_named(old, new, words):
    assert words in refusal(swapped(old, new, STAGE), read=stage_descriptor.decode)


# Genuine files.


def test_the_sample_of_this_test_is_equal_xml_after_encoding():
    """By an independent parser: nothing but white space, comments, and empty values differ."""
    assert ET.canonicalize(GOOD, strip_text=True) == ET.canonicalize(descriptor.encode(MANIFEST), strip_text=True)


@genuine
@pytest.mark.parametrize("path", DESCRIPTORS, ids=lambda path: path.parent.name)
def test_a_genuine_descriptor_is_read_and_differs_from_ours_in_style_only(path):
    raw = path.read_bytes()
    value = descriptor.decode(raw)
    assert value.id == path.parent.name
    assert descriptor.decode(descriptor.encode(value)) == value
    assert ET.canonicalize(raw) == ET.canonicalize(descriptor.encode(value))
    assert value == replace(stage_descriptor.decode(raw), files=value.files, payloads=value.payloads)


@genuine
def test_the_newest_genuine_descriptor_is_written_byte_for_byte():
    raw = (GENUINE / NEWEST / "descriptor.xml").read_bytes()
    assert descriptor.encode(descriptor.decode(raw)) == raw


# Promises about any input.

FREE = st.text("ab 1&<>\"'\n\t]\u00e9\u65e5\U0001f600", max_size=12)
LINE = st.text("ab 1&<>\"'_.*\u00e9\u65e5\U0001f600", max_size=8).map(lambda text: f"x{text}".strip())
WORD = st.from_regex("[a-zA-Z0-9][a-z0-9._-]{0,5}", fullmatch=True)
RELATED = st.just((None, None)) | st.tuples(st.sampled_from(rules.RELATIONS), WORD)
CONSTRAINTS = st.lists(st.builds(lambda name, pair: Constraint(name, *pair), WORD, RELATED), max_size=3).map(tuple)
PROVIDED = st.lists(
    st.builds(lambda name, version: Constraint(name, "=" if version else None, version), WORD, st.none() | WORD),
    max_size=2,
).map(tuple)
DIGEST_LISTS = st.sets(st.sampled_from(list(vib_rules.CHECKSUMS)), min_size=1).map(
    lambda keys: tuple(
        Digest(algorithm, view, SHA256 if algorithm == "sha256" else SHA1)
        for algorithm, view in vib_rules.CHECKSUMS
        if (algorithm, view) in keys
    )
)
PAYLOADS = st.lists(
    st.builds(
        Payload,
        st.from_regex(r"p[a-z0-9._-]{0,14}", fullmatch=True),
        st.sampled_from(["vgz", "tgz", "vzstd", "boot"]),
        st.integers(0, limits.MEMBER_SIZE),
        st.none() | st.integers(0, limits.UNPACKED_SIZE),
        digests=DIGEST_LISTS,
        compression_option=st.none() | LINE,
    ),
    max_size=3,
    unique_by=lambda payload: payload.name,
).map(tuple)
PATHS = st.lists(st.text("ab&<>\"'\u00e9 -.", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)
FIELDS = st.builds(
    VibFields,
    type=st.sampled_from(vib_rules.TYPES),
    urls=st.lists(st.tuples(LINE, FREE), max_size=2).map(tuple),
    tags=st.lists(LINE, max_size=3).map(tuple),
    maintenance_mode=st.booleans(),
    platforms=st.lists(st.builds(Platform, LINE, LINE, st.just("") | LINE), max_size=2).map(tuple),
    live_install_allowed=st.booleans(),
    live_remove_allowed=st.booleans(),
    cimom_restart=st.booleans(),
    stateless_ready=st.booleans(),
    overlay=st.booleans(),
)


def sound(paths):
    """Those of the paths that may stand together in one module."""
    entries = []
    for entry in map(Entry, paths):
        if not list(rules.check_entry(entry)) and not list(rules.check_tree([*entries, entry])):
            entries.append(entry)
    return tuple(entries)


MANIFESTS = st.builds(
    Manifest,
    kind=st.just("vib"),
    vendor=LINE,
    name=WORD,
    version=WORD,
    claimed_level=st.sampled_from(Level),
    summary=FREE,
    description=FREE,
    released=st.sampled_from(["2026-01-31T12:00:00", "2026-01-31T12:00:00.123456+01:00"]),
    relationships=st.builds(Relationships, CONSTRAINTS, CONSTRAINTS, CONSTRAINTS, PROVIDED, CONSTRAINTS),
    payloads=PAYLOADS,
    files=st.lists(PATHS, max_size=5).map(sound),
    vib=FIELDS,
)


@settings(max_examples=100)
@given(MANIFESTS)
def test_any_manifest_that_a_vib_can_hold_comes_back_as_it_was(value):
    data = descriptor.encode(value)
    assert descriptor.decode(data) == value
    assert ET.fromstring(data).findtext("summary") == value.summary  # an independent parser sees the same


def is_value_or_refused(data):
    for read in (descriptor.decode, stage_descriptor.decode):
        with suppress(FormatError):
            assert read(data).kind == "vib"


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_manifest_or_a_format_error(data):
    is_value_or_refused(data)
    is_value_or_refused(b'<vib version="5.0">' + data)


JUNK = st.sampled_from(
    [
        b"<",
        b">",
        b"</",
        b"&",
        b"&#x41;",
        b"&#1;",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"\xff",
        b"\0",
        b'"',
        b"<file/>",
        b"<vib>",
        b"</vib>",
        b"<?",
        b"\xef\xbb\xbf",
        b"&#xFFFF;",
        b"&#13;",
    ]
)


@settings(max_examples=300)
@given(st.data())
def test_a_good_descriptor_that_was_tampered_with_gives_a_manifest_or_a_format_error(data):
    document = data.draw(st.sampled_from([GOOD, STAGE])).encode()
    start = data.draw(st.integers(0, len(document)))
    length = data.draw(st.integers(0, 20))
    is_value_or_refused(document[:start] + data.draw(JUNK | st.binary(max_size=6)) + document[start + length :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<url key="kb">', '<url key="">'),
        ("<file>opt/acme/agent</file>", "<file></file>"),
        ("<tag>driver</tag>", "<tag></tag>"),
    ],
)
def test_an_empty_value_is_named_where_it_stands(old, new):
    text = swapped(old, new)
    with pytest.raises(FormatError) as caught:
        descriptor.decode(text)
    before = text.decode()[: text.decode().index(new)]
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    assert caught.value.failure.detail.startswith(f"line {line}, column {column}: ")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ('checksum-type="sha-512"', "checksum-type 'sha-512' of <checksum>"),
        ('checksum-type="md5"', "checksum-type 'md5' of <checksum>"),
        ('checksum-type="sha-256" verify-process="unxz"', "checksum-type 'sha-256' with verify-process 'unxz'"),
        ('checksum-type="sha-256" verify-process=""', "checksum-type 'sha-256' with verify-process ''"),
    ],
)
def test_a_checksum_of_an_unknown_kind_is_named_and_the_others_are_read(kind: str, words: str) -> None:
    found = descriptor.decode(swapped('checksum-type="sha-256">', f"{kind}>"))
    assert found.vib is not None
    (unknown,) = found.vib.unknown
    assert unknown.code == "unsupported-descriptor"
    assert words in unknown.detail
    assert SHA256.hex()[:20] in unknown.detail
    assert len(found.payloads[0].digests) == len(MANIFEST.payloads[0].digests) - 1


def test_a_payload_with_checksums_of_unknown_kinds_alone_is_no_worse() -> None:
    found = descriptor.decode(GOOD.replace('checksum-type="', 'checksum-type="new-').encode())
    assert found.payloads[0].digests == ()
    assert found.vib is not None
    assert {failure.code for failure in found.vib.unknown} == {"unsupported-descriptor"}
