"""Lists of what a target has: each form that tools print is read alike, and anything else is refused as what it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal.errors import FormatError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile import lists
from modseal.profile.candidates import Candidate

BASE = Candidate("esx-base", "8.0.2-0.0.22380479", "VMware")
AGENT = Candidate("acme-agent", "1.0", "Acme")

TABLE = """\
Name        Version             Vendor  Acceptance Level  Install Date  Platforms
----------  ------------------  ------  ----------------  ------------  ---------
esx-base    8.0.2-0.0.22380479  VMware  VMwareCertified   2024-01-01    host
acme-agent  1.0                 Acme    PartnerSupported  2024-01-02    host
"""
CSV = """\
AcceptanceLevel,CreationDate,ID,InstallDate,Name,Platforms,Status,Vendor,Version,
VMwareCertified,2023-08-31,VMware_bootbank_esx-base,2024-01-01,esx-base,"host,",,VMware,8.0.2-0.0.22380479,
PartnerSupported,2023-09-01,Acme_bootbank_acme-agent,2024-01-02,acme-agent,"host,",,Acme,1.0,
"""
JSON = json.dumps(
    [
        {"AcceptanceLevel": "VMwareCertified", "Name": one.name, "Version": one.version, "Vendor": one.vendor}
        for one in (BASE, AGENT)
    ]
)
HOST = json.dumps(
    {
        "schema": "modseal/host-list@1",
        "generation": 1,
        "modules": [{"vendor": one.vendor, "name": one.name, "version": one.version} for one in (BASE, AGENT)],
    }
)


def xml(*structures: str, kind: str = "VIBSummaryExt") -> str:
    body = "".join(f'<structure typeName="{kind}">{one}</structure>' for one in structures)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<output xmlns="http://www.vmware.com/Products/ESX/5.0/esxcli">'
        f'<root><list type="structure">{body}</list></root></output>\n'
    )


def field(name: str, value: str | list[str]) -> str:
    if isinstance(value, str):
        return f'<field name="{name}"><string>{value}</string></field>'
    items = "".join(f"<string>{one}</string>" for one in value)
    return f'<field name="{name}"><list type="string">{items}</list></field>'


XML = xml(
    *(
        field("Name", one.name)
        + field("Version", one.version)
        + field("Vendor", one.vendor)
        + field("Platforms", ["host"])
        for one in (BASE, AGENT)
    )
)

ID = "Acme_bootbank_acme-agent_1.0"
RELATED = Relationships(
    depends=(Constraint("esx-version", ">=", "8.0.0"), Constraint("vmkapi_2_8_0_0")),
    replaces=(Constraint("acme-old"),),
    provides=(Constraint("acme-api", "=", "2"), Constraint("acme-plugin")),
)
GET_TEXT = f"""\
{ID}
   Name: acme-agent
   Version: 1.0
   Type: bootbank
   Vendor: Acme
   Acceptance Level: PartnerSupported
   Summary: An agent: the best
   Depends: esx-version >= 8.0.0, vmkapi_2_8_0_0
   Conflicts:
   Replaces: acme-old
   Provides: acme-api = 2, acme-plugin
   Maintenance Mode Required: True

"""
GET_VALUES = {
    "Name": "acme-agent",
    "Version": "1.0",
    "Vendor": "Acme",
    "Depends": ["esx-version >= 8.0.0", "vmkapi_2_8_0_0"],
    "Conflicts": [],
    "Replaces": ["acme-old"],
    "Provides": ["acme-api = 2", "acme-plugin"],
}
GET_JSON = json.dumps([GET_VALUES])
GET_XML = xml("".join(field(name, value) for name, value in GET_VALUES.items()), kind="VIBExt")
GET_CSV = (
    "Conflicts,Depends,Name,Provides,Replaces,Vendor,Version,\n"
    ',"esx-version >= 8.0.0,vmkapi_2_8_0_0,",acme-agent,"acme-api = 2,acme-plugin,","acme-old,",Acme,1.0,\n'
)


@pytest.mark.parametrize("text", [TABLE, CSV, JSON, XML, HOST], ids=["table", "csv", "json", "xml", "host"])
@pytest.mark.parametrize("change", [str, lambda text: "\ufeff" + text.replace("\n", "\r\n")], ids=["plain", "windows"])
def test_a_list_says_names_versions_and_vendors(text: str, change: type[str]) -> None:
    assert lists.decode(change(text).encode()) == ((BASE, AGENT), False)


@pytest.mark.parametrize("text", [GET_TEXT, GET_JSON, GET_XML, GET_CSV], ids=["text", "json", "xml", "csv"])
def test_what_get_prints_also_says_what_each_needs_and_offers(text: str) -> None:
    assert lists.decode(text.encode()) == ((Candidate("acme-agent", "1.0", "Acme", RELATED),), True)


def test_one_vib_that_was_taken_out_of_its_list_is_read() -> None:
    assert lists.decode(json.dumps(GET_VALUES).encode())[0][0].name == "acme-agent"


COMPONENTS = """\
Name  Display Name  Version  Display Version  Vendor
----  ------------  -------  ---------------  ------
A-b   A driver      1.0      1.0              Acme
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "this is no list of installed modules"),
        ("nothing of use\n", "this is no list of installed modules"),
        (TABLE.splitlines()[0] + "\n" + TABLE.splitlines()[1], "no module is listed"),
        ("[]", "no module is listed"),
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("7" * 5000, "this is no list of installed modules"),
        ('{"Name": "a", "Name": "b"}', "this is no JSON"),
        ('{"schema": "modseal/report@1", "results": []}', "this is a 'modseal/report@1', and no modseal/host-list@1"),
        ('["a"]', "this JSON is no list of modules"),
        ('{"schema": "modseal/host-list@1"}', "this JSON is no list of modules"),
        ('[{"Name": "a"}]', "a module's version is missing"),
        ('[{"Name": "a", "Version": 1}]', "a module's version is missing"),
        ('[{"Name": "a", "Version": "%s"}]' % ("9" * 5000), "a module's version is"),
        ('[{"Name": "a b", "Version": "1"}]', "a module's name is 'a b'"),
        ('[{"Name": "a", "Version": "1", "Vendor": null}]', "the vendor of 'a' is none"),
        ('[{"Name": "a", "Version": "1"}, {"Name": "a", "Version": "2"}]', "it lists 'a' twice"),
        ('[{"Name": "a", "Version": "1", "Depends": ["b >"]}]', "depends has 'b >', which is no constraint"),
        ('[{"Name": "a", "Version": "1", "Depends": [7]}]', "no list of texts"),
        ('[{"Name": "a", "Version": "1", "Provides": ["b >= 1"]}]', "provides of 'b' has a relation"),
        ("<a/>", "this is no XML as esxcli writes it"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><output/>', "this is no XML as esxcli writes it"),
        ("Name,Version\na,1,2\n", "not as many values"),
        ('Name,Version\n"a,1\n', "this is no CSV"),
        (f"{GET_TEXT}   Name: other\n", "one VIB has 'Name' twice"),
        (COMPONENTS, "this lists components"),
        ("!<arch>\n", "this is a bundle"),
        ("PK\x03\x04", "this archive is neither a depot"),
    ],
)
def test_what_is_something_else_is_refused_by_what_it_is(text: str, why: str) -> None:
    with pytest.raises(FormatError, match=why) as refused:
        lists.decode(text.encode())
    assert refused.value.failure.code == "list-invalid"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(FormatError, match="no text in UTF-8"):
        lists.decode(b"Name\xff")


_GOOD = st.sampled_from([one.encode() for one in (TABLE, CSV, JSON, XML, HOST, GET_TEXT, GET_JSON, GET_XML, GET_CSV)])


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A good list with a piece of it exchanged."""
    data = draw(_GOOD)
    start, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    return (
        data[:start]
        + draw(st.binary(max_size=8) | st.sampled_from([b"\n", b",", b'"', b"<", b"{", b" ", b"\0"]))
        + data[end:]
    )


@given(st.binary() | st.text().map(str.encode) | _damaged())
def test_any_bytes_are_a_list_or_a_format_error(data: bytes) -> None:
    try:
        modules, _ = lists.decode(data)
    except FormatError:
        return
    assert len({one.name for one in modules}) == len(modules) > 0
