"""What somebody who owns an ESXi host could write into it: no lie makes the audit of the host clean."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import esxi_hosts, policies
from builders.audits import audit_of
from builders.bundles import make
from builders.esxi_hosts import PLACE, Host, entry
from modseal.auditing.finding import Finding, Severity
from modseal.auditing.run import Audit, Outcome
from modseal.policy.sources import load
from modseal.trust.policy import Policy

AGENT, NET = make("vib"), make("vib", name="acme-net", files={"opt/acme/net": b"net"})
HOST = esxi_hosts.make(AGENT, NET)
DOCUMENT, OTHER = esxi_hosts.document(AGENT.manifest), esxi_hosts.document(NET.manifest, 1)
PROFILE = "profiles/Test-1.0"
FORGED = AGENT.manifest_bytes.replace(b">partner<", b">certified<")
MODULES = "kernel=payload1.v00\nmodules=payload1.v01 --- useropts.gz --- state.tgz --- imgdb.tgz\n"

PLATFORM = '<softwarePlatform locale="" version="8.*" productLineID="embeddedEsx" />'

Put = Callable[[Host], Path]


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


@pytest.fixture(params=["root", "bank"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Put:
    """Writes a host as the root of its file system, or as a boot bank with the database in its archive."""
    if request.param == "root":
        return lambda host: host.write(tmp_path / "host")
    return lambda host: host.write_bank(tmp_path / "bank")


def outcome(audit: Audit) -> Outcome:
    return audit.outcome(Severity.HIGH)


def of_rule(audit: Audit, rule: str) -> list[Finding]:
    return [finding for finding in audit.findings() if finding.rule == rule]


def archived(folder: Path, archive: bytes) -> Path:
    """A boot bank with another archive."""
    bank = HOST.write_bank(folder / "bank")
    (bank / "imgdb.tgz").write_bytes(archive)
    return bank


# The image profile.


def test_a_payload_that_only_the_profile_knows_makes_no_boot_file_known(policy: Policy, put: Put) -> None:
    phantom = '<payload payload-name="extra">extra.v00</payload></payloads>'
    host = HOST.edit_document(PROFILE, "payload1.v00</payload></payloads>", f"payload1.v00</payload>{phantom}")
    audit = audit_of([put(host.with_boot_file("extra.v00", b"code"))], policy)
    assert outcome(audit) is Outcome.FAILED
    [undeclared], [stray] = of_rule(audit, "profile-payload-undeclared"), of_rule(audit, "boot-file-unlisted")
    assert undeclared.evidence == {"id": AGENT.manifest.id, "payload": "extra", "file": "extra.v00"}
    assert stray.evidence == {"file": "extra.v00"}


def test_a_vib_that_only_the_profile_knows_makes_no_boot_file_known(policy: Policy, put: Put) -> None:
    phantom = '<vib><vib-id>Acme_bootbank_x_1</vib-id><payloads><payload payload-name="x">x.v00</payload></payloads>'
    host = HOST.edit_document(PROFILE, "</viblist>", f"{phantom}</vib></viblist>").with_boot_file("x.v00", b"code")
    audit = audit_of([put(host)], policy)
    assert outcome(audit) is Outcome.FAILED
    assert [finding.evidence for finding in of_rule(audit, "boot-file-unlisted")] == [{"file": "x.v00"}]
    assert of_rule(audit, "profile-vib-missing")


def test_a_profile_that_lists_a_payload_twice_is_none(policy: Policy, put: Put) -> None:
    again = '<payload payload-name="payload1">extra.v00</payload><payload payload-name="payload1">payload1.v00'
    host = HOST.edit_document(PROFILE, '<payload payload-name="payload1">payload1.v00', again)
    audit = audit_of([put(host.with_boot_file("extra.v00", b"code"))], policy)
    assert outcome(audit) is Outcome.FAILED
    assert any("twice" in finding.detail for finding in of_rule(audit, "bad-metadata"))


# Descriptors.


def test_a_descriptor_that_was_rewritten_is_not_proven_as_claimed(policy: Policy, put: Put) -> None:
    host = HOST.with_document(DOCUMENT, FORGED).with_document(f"{DOCUMENT}.orig", AGENT.manifest_bytes)
    audit = audit_of([put(host)], policy)
    assert outcome(audit) is Outcome.FAILED
    assert audit.hosts[0]["vibs_as_claimed"] == 1


def test_a_signed_original_under_two_names_is_said_and_neither_is_proven_as_claimed(policy: Policy, put: Put) -> None:
    host = HOST
    for path, data in ((DOCUMENT, AGENT.manifest_bytes), ("vibs/tool--9.xml", AGENT.manifest_bytes)):
        host = host.with_document(path, data).with_document(f"{path}.sig", AGENT.signature)
    audit = audit_of([put(host)], policy)
    assert outcome(audit) is Outcome.FAILED
    [finding] = of_rule(audit, "vib-in-database-twice")
    assert finding.evidence == {"id": AGENT.manifest.id, "times": 2}
    assert [name.rpartition("/")[2] for name in finding.related] == ["acme-agent--0.xml", "tool--9.xml"]
    assert audit.hosts[0]["vibs_as_claimed"] == 1


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('<vib version="5.0">', '<vib version="7.0">', "unknown parts"),
        ('<vib version="5.0">', "<vib>", "version of the format"),
        ("<acceptance-level>", '<acceptance-level reviewed="yes">', "unknown parts"),
        ("<release-date>", "<creation-date>2020</creation-date><release-date>", "unknown parts"),
        ("<system-requires>", "<packed-size>5</packed-size><system-requires>", "packed size"),
        ("</maintenance-mode>", f"</maintenance-mode>{PLATFORM}", "platforms"),
    ],
)
def test_what_the_shown_descriptor_has_besides_is_a_note(
    policy: Policy, put: Put, old: str, new: str, field: str
) -> None:
    shown = AGENT.manifest_bytes.decode().replace(old, new, 1).encode()
    assert shown != AGENT.manifest_bytes
    host = HOST.with_document(DOCUMENT, shown).with_document(f"{DOCUMENT}.orig", AGENT.manifest_bytes)
    audit = audit_of([put(host)], policy)
    assert [finding.evidence["field"] for finding in of_rule(audit, "descriptor-reformed")] == [field]
    assert (outcome(audit), of_rule(audit, "descriptor-rewritten")) == (Outcome.PASSED, [])


@pytest.mark.parametrize(
    "stray", ["vibs/EVIL.XML", "vibs/gone.xml.sig", "vibs/gone.xml.orig", "VIBS/evil.xml", "vibs/x"]
)
def test_what_a_host_could_take_for_a_descriptor_is_undecided(policy: Policy, put: Put, stray: str) -> None:
    audit = audit_of([put(HOST.with_document(stray, FORGED))], policy)
    assert outcome(audit) is Outcome.UNDECIDED
    assert {
        str(finding.evidence["file"]).rpartition("esximg/")[2] for finding in of_rule(audit, "host-files-unclear")
    } <= {
        stray,
        "VIBS",  # a folder is named as a whole
    }
    assert of_rule(audit, "host-files-unclear")


def test_a_link_in_a_database_is_undecided(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    (root / PLACE / "vibs/two.xml").symlink_to("acme-agent--0.xml")
    audit = audit_of([root], policy)
    assert outcome(audit) is Outcome.UNDECIDED
    assert [finding.evidence["file"] for finding in of_rule(audit, "host-files-unclear")] == ["vibs/two.xml"]


# Payloads.


def test_a_payload_that_was_exchanged_is_not_proven_as_claimed(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_boot_file("payload1.v00", b"code"))], policy)
    assert outcome(audit) is Outcome.FAILED
    [host], [level] = audit.hosts, of_rule(audit, "host-level-not-proven")
    assert (host["proven_level"], host["vibs_as_claimed"]) == (None, 1)
    assert (level.evidence["below"], level.undecided) == (1, False)


def test_a_payload_that_is_not_there_leaves_the_level_of_the_host_undecided(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_boot_file("payload1.v00", None))], policy)
    assert outcome(audit) is Outcome.UNDECIDED
    [host], [level] = audit.hosts, of_rule(audit, "host-level-not-proven")
    assert (host["proven_level"], host["vibs_as_claimed"]) == (None, 1)
    assert level.undecided


def test_a_payload_that_a_host_keeps_and_no_vib_declares_is_said(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    for name in ("evil", "payload1.v00"):
        path = root / "var/db/payloads/vgz" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"code")
    audit = audit_of([root], policy)
    assert [one.evidence["file"] for one in of_rule(audit, "boot-file-unlisted")] == ["var/db/payloads/vgz/evil"]
    assert [one.evidence["file"] for one in of_rule(audit, "host-files-unclear")] == [
        "var/db/payloads/vgz/payload1.v00"
    ]


# The boot bank.


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (MODULES, None),
        (MODULES + "# modules=evil.tgz\n", None),
        ("prefix=/\n" + MODULES.replace("=p", "=/p"), None),
        (MODULES.replace("modules=", "modules=evil.tgz --- "), "evil.tgz"),
        (MODULES.replace("useropts.gz", "evil.gz --- useropts.gz -x"), "evil.gz"),
        (MODULES.replace("kernel=", "kernel=tmp/"), "tmp/payload1.v00"),
        (MODULES.replace("\n", "\r\n"), None),
        (MODULES.replace("=payload1.v00", "=useropts.gz"), "useropts.gz"),
        (MODULES.replace("=payload1.v00", "=state.tgz"), "state.tgz"),
        (MODULES.replace("=payload1.v00", "=imgpayld.tgz"), "imgpayld.tgz"),
        (MODULES + "crypto=useropts.gz\n", "useropts.gz"),
        (MODULES + "acpitables=features.gz\n", "features.gz"),
        ("prefix=tmp\n" + MODULES, "tmp/payload1.v00"),
    ],
)
def test_what_the_boot_loader_loads_is_a_payload_of_a_vib(
    policy: Policy, put: Put, config: str, named: str | None
) -> None:
    audit = audit_of([put(HOST.with_boot_file("boot.cfg", config.encode()))], policy)
    found = [finding.evidence["file"] for finding in of_rule(audit, "boot-file-unlisted")]
    assert found[:1] == ([] if named is None else [named])
    assert outcome(audit) is (Outcome.PASSED if named is None else Outcome.FAILED)


@pytest.mark.parametrize(
    "config",
    [
        None,
        b"",
        b"modules=payload1.v00\n",
        MODULES.encode("utf-16"),
        MODULES.encode() + b"#\x0bmodules=evil.tgz\n",
        MODULES.encode() + b"#\xe2\x80\xa8modules=evil.tgz\n",
        MODULES.encode() + b"\0",
        *(
            MODULES.encode() + line + b"\n"
            for line in (
                *(b"kern=evil.gz", b"k=evil.gz", b"=evil.gz", b"mod=evil.gz", b"p=/evil", b"pref=/other"),
                *(b"modules=evil.tgz", b"kernel=payload1.v00", b" kernel=evil.gz", b"KERNEL=evil.gz", b"evil"),
                *(b"title=x\rkernel=evil.gz", b"title=x\r\r", b"crypto=payload1.v00 x", b"crypto=evil.efi"),
                *(b"title=\xc2\xa0", b"build=\xff", b"title=\t"),
            )
        ),
        MODULES.replace("kernel=", "kernel =").encode(),
        MODULES.replace("kernel=payload1.v00", "kernel=payload1.v00 x").encode(),
        MODULES.replace("kernel=payload1.v00", "kernel=payload1.v00\u00a0x").encode(),
        MODULES.replace(" --- useropts", "\r--- useropts").encode(),
        MODULES.replace(" --- useropts", "---useropts").encode(),
        MODULES.encode() + b"acpitables=evil.bin --- more.bin\n",
    ],
)
def test_a_configuration_of_the_boot_loader_that_does_not_tell_what_boots_is_undecided(
    policy: Policy, put: Put, config: bytes | None
) -> None:
    audit = audit_of([put(HOST.with_boot_file("boot.cfg", config))], policy)
    assert outcome(audit) is Outcome.UNDECIDED
    assert of_rule(audit, "host-files-unclear")


@pytest.mark.parametrize("elsewhere", ["sub/payload1.v00", "../altbootbank/payload1.v00"])
def test_a_boot_file_in_another_folder_is_not_known_by_a_payload_that_the_host_keeps(
    policy: Policy, tmp_path: Path, elsewhere: str
) -> None:
    changed = HOST.edit_document(PROFILE, ">payload1.v00<", f">{elsewhere}<")
    config = MODULES.replace("kernel=payload1.v00", f"kernel={elsewhere}").encode()
    root = changed.with_boot_file("boot.cfg", config).with_boot_file("payload1.v00", None).write(tmp_path / "host")
    kept = root / "var/db/payloads/vgz/payload1"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(HOST.bank["payload1.v00"])
    audit = audit_of([root], policy)
    assert outcome(audit) is Outcome.FAILED
    assert [one.evidence["file"] for one in of_rule(audit, "boot-file-unlisted")] == [elsewhere]
    assert [one.evidence["file"] for one in of_rule(audit, "host-files-unclear")] == [elsewhere]


@pytest.mark.parametrize("config", [MODULES.encode(), None])
@pytest.mark.parametrize("place", ["var/db/payloads/vgz", "."])
def test_payloads_that_lie_elsewhere_do_not_tell_what_the_boot_bank_has(
    policy: Policy, tmp_path: Path, config: bytes | None, place: str
) -> None:
    root = Host(HOST.database, {"boot.cfg": config} if config else {}).write(tmp_path / "host")
    (root / place).mkdir(parents=True, exist_ok=True)
    for name in ("payload1.v00", "payload1.v01"):
        (root / place / name).write_bytes(HOST.bank[name])
    assert outcome(audit_of([root], policy)) is Outcome.UNDECIDED


def test_good_documents_beside_the_database_of_a_boot_bank_do_not_hide_it(policy: Policy, tmp_path: Path) -> None:
    """A host boots with `imgdb.tgz`."""
    bank = esxi_hosts.make(AGENT, NET.unsigned()).write_bank(tmp_path / "bank")
    for path, data in HOST.database.items():
        (bank / path).parent.mkdir(exist_ok=True)
        (bank / path).write_bytes(data)
    audit = audit_of([bank], policy)
    assert outcome(audit) is Outcome.FAILED
    assert of_rule(audit, "host-databases-differ")
    assert of_rule(audit, "forced-vib")


def test_a_payload_that_boots_and_was_not_copied_is_not_said_to_be_of_no_vib(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_boot_file("payload1.v00", None))], policy)
    assert of_rule(audit, "boot-file-unlisted") == []


def test_a_link_in_a_boot_bank_and_names_that_differ_by_case_are_undecided(policy: Policy, put: Put) -> None:
    path = put(HOST)
    bank = path if (path / "imgdb.tgz").exists() else path / "bootbank"
    (bank / "evil.v00").symlink_to("payload1.v00")
    assert outcome(audit_of([path], policy)) is Outcome.UNDECIDED
    (bank / "evil.v00").unlink()
    (bank / "PAYLOAD1.V00").write_bytes(b"code")
    audit = audit_of([path], policy)
    assert outcome(audit) is not Outcome.PASSED
    assert of_rule(audit, "host-files-unclear")


def tgz(*entries: tuple[str, bytes]) -> bytes:
    return Host().archive_with(*(entry(path, data) for path, data in entries))


@pytest.mark.parametrize(
    ("state", "file"),
    [
        (tgz(("local.tgz", tgz(("etc/ssh/keys-root/authorized_keys", b"key"))), ("local.tgz.ve", b"sealed")), None),
        (tgz((f"./{PLACE}/vibs/tool.xml", FORGED)), f"state.tgz!/{PLACE}/vibs/tool.xml"),
        (tgz(("local.tgz", tgz((f"{PLACE}/{DOCUMENT}", FORGED)))), f"state.tgz!/local.tgz!/{PLACE}/{DOCUMENT}"),
        (tgz((f"etc/../{PLACE}/x", b"")), f"state.tgz!/etc/../{PLACE}/x"),
        (Host().archive_with(entry("var", kind=tarfile.SYMTYPE, link="tmp")), "state.tgz!/var"),
        (tgz(("local.tgz", b"text")), "state.tgz"),
        (b"text", "state.tgz"),
    ],
    ids=["settings", "document", "document-in-local", "dots", "link", "local-is-text", "text"],
)
def test_what_the_settings_of_a_host_lay_over_its_database_is_undecided(
    policy: Policy, put: Put, state: bytes, file: str | None
) -> None:
    audit = audit_of([put(HOST.with_boot_file("state.tgz", state))], policy)
    assert outcome(audit) is (Outcome.UNDECIDED if file else Outcome.PASSED)
    assert [one.evidence["file"] for one in of_rule(audit, "host-files-unclear")] == ([file] if file else [])


# `imgdb.tgz`.


@pytest.mark.parametrize(
    "before", ["./", f"./{PLACE}/../esximg/", f"/{PLACE}/", f"{PLACE}//", f"{PLACE}/./", f"././{PLACE}/"]
)
@pytest.mark.parametrize("path", [DOCUMENT, "vibs/tool.xml"])
def test_another_spelling_of_a_name_in_an_archive_is_undecided(
    policy: Policy, tmp_path: Path, before: str, path: str
) -> None:
    audit = audit_of([archived(tmp_path, HOST.archive((path, FORGED), under=before))], policy)
    assert outcome(audit) is not Outcome.PASSED
    rules = {finding.rule for finding in audit.findings()}
    assert rules & ({"duplicate-member", "host-files-unclear"} if path == DOCUMENT else {"host-files-unclear"})


def test_an_archive_of_names_below_a_point_is_read(policy: Policy, tmp_path: Path) -> None:
    whole = Host({}, HOST.bank).archive_with(
        entry("./", kind=tarfile.DIRTYPE),
        entry(f"./{PLACE}/vibs/", kind=tarfile.DIRTYPE),
        *(entry(f"./{PLACE}/{path}", data) for path, data in HOST.database.items()),
    )
    assert outcome(audit_of([archived(tmp_path, whole)], policy)) is Outcome.PASSED


@pytest.mark.parametrize(
    "entries",
    [
        [entry(f"{PLACE}/x", FORGED), entry(f"{PLACE}/{DOCUMENT}", kind=tarfile.LNKTYPE, link=f"{PLACE}/x")],
        [entry(f"{PLACE}/{DOCUMENT}", kind=tarfile.SYMTYPE, link="../x")],
        [entry("y", kind=tarfile.LNKTYPE, link=f"{PLACE}/{DOCUMENT}"), entry("y", FORGED)],
        [entry("var/db/other", kind=tarfile.SYMTYPE, link="esximg"), entry(f"var/db/other/{DOCUMENT}", FORGED)],
        [entry(f"{PLACE}/{DOCUMENT}", kind=tarfile.FIFOTYPE)],
        [entry(f"{PLACE}/{DOCUMENT}", kind=tarfile.DIRTYPE)],
        [entry(f"{PLACE}/{DOCUMENT}/x", FORGED)],
        [entry("etc/rc.local.d/local.sh", b"evil")],
        [entry("var/db/payloads/boot/evil", b"evil")],
        [entry(f"{PLACE}/VIBS/tool.xml", FORGED)],
        [entry(f"{PLACE}/vibs/tool.xml\n", FORGED)],
    ],
    ids=[
        "hard-link",
        "link",
        "link-written-to",
        "link-to-folder",
        "fifo",
        "folder",
        "below",
        "etc",
        "payload",
        "case",
        "control",
    ],
)
def test_what_another_reader_of_an_archive_could_see_is_undecided(
    policy: Policy, tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    audit = audit_of([archived(tmp_path, HOST.archive_with(*entries))], policy)
    assert outcome(audit) is Outcome.UNDECIDED
    assert of_rule(audit, "host-files-unclear")
    assert audit.summary.verdicts == {"accepted": 2}


def header(name: str, data: bytes, change: Callable[[bytearray], None], form: int = tarfile.GNU_FORMAT) -> bytes:
    """One entry of a tar with a changed header."""
    member, _ = entry(name, data)
    block = bytearray(member.tobuf(form))
    change(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % 512)


def first(block: bytes) -> bytes:
    """The archive of the host after an entry."""
    return gzip.compress(block + gzip.decompress(HOST.archive()))


def put_at(offset: int, data: bytes) -> Callable[[bytearray], None]:
    def change(block: bytearray) -> None:
        block[offset : offset + len(data)] = data

    return change


@pytest.mark.parametrize(
    "archive",
    [
        first(header(f"{PLACE}/{DOCUMENT}", FORGED, put_at(345, b"elsewhere"))),
        first(header(f"{PLACE}/vibs/x.xml", FORGED, put_at(124, b"0o%o \0" % len(FORGED)))),
        first(header(f"{PLACE}/vibs/x.xml", FORGED, put_at(257, b"visor  \0"))),
    ],
    ids=["prefix", "size", "visor"],
)
def test_headers_that_readers_understand_differently_are_undecided(
    policy: Policy, tmp_path: Path, archive: bytes
) -> None:
    assert outcome(audit_of([archived(tmp_path, archive)], policy)) is not Outcome.PASSED


@pytest.mark.parametrize("records", [{"path": f"{PLACE}/vibs/y.txt"}, {"size": "0"}])
def test_pax_records_that_name_or_measure_an_entry_are_undecided(
    policy: Policy, tmp_path: Path, records: dict[str, str]
) -> None:
    member, data = entry(f"{PLACE}/bulletins/x.xml", b"")
    member.pax_headers = records
    audit = audit_of([archived(tmp_path, HOST.archive_with((member, data)))], policy)
    assert outcome(audit) is Outcome.UNDECIDED


def test_entries_behind_the_end_of_an_archive_are_undecided(policy: Policy, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, data in HOST.database.items():
            archive.addfile(entry(f"{PLACE}/{path}", data)[0], io.BytesIO(data))
        end = out.tell()
    hidden = header(f"{PLACE}/{DOCUMENT}", FORGED, lambda _: None)
    tar = out.getvalue()[:end] + bytes(1024) + hidden
    bank = archived(tmp_path, gzip.compress(tar + bytes(-len(tar) % 10240)))
    audit = audit_of([bank], policy)
    assert outcome(audit) is Outcome.UNDECIDED
    assert of_rule(audit, "trailing-bytes")


# Two databases.


def test_the_database_of_the_boot_bank_is_compared_with_the_copied_one(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    (root / "bootbank/imgdb.tgz").write_bytes(HOST.archive())
    for path in (root, root / PLACE):
        audit = audit_of([path], policy)
        assert (outcome(audit), len(audit.hosts), audit.summary.bundles) == (Outcome.PASSED, 1, 2)
    forged = HOST.with_document("vibs/tool.xml", FORGED).with_document("vibs/tool.xml.sig", b"")
    (root / "bootbank/imgdb.tgz").write_bytes(forged.archive())
    for path in (root, root / PLACE):
        audit = audit_of([path], policy)
        assert (outcome(audit), len(audit.hosts)) == (Outcome.FAILED, 2)
        [finding] = of_rule(audit, "host-databases-differ")
        assert finding.evidence == {"differing": 2, "documents": "vibs/tool.xml, vibs/tool.xml.sig"}
        [implant] = of_rule(audit, "forced-vib")
        assert implant.bundle == f"{root}/bootbank/imgdb.tgz!/{PLACE}/vibs/tool.xml"


def test_a_second_database_that_cannot_be_read_is_undecided(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    for archive in (b"text", HOST.archive_with(entry(f"{PLACE}/vibs/x", kind=tarfile.SYMTYPE, link="y"))):
        (root / "bootbank/imgdb.tgz").write_bytes(archive)
        audit = audit_of([root / PLACE], policy)
        assert outcome(audit) is Outcome.UNDECIDED
        assert of_rule(audit, "host-databases-differ") == []


def test_a_folder_with_a_boot_bank_alone_is_a_host_that_can_be_named(tmp_path: Path) -> None:
    from modseal.auditing.esxi import require_container

    HOST.write_bank(tmp_path / "copy/bootbank")
    assert require_container(str(tmp_path / "copy")) == str(tmp_path / "copy/bootbank/imgdb.tgz")
    shutil.rmtree(tmp_path / "copy")
