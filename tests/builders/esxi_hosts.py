"""Installed ESXi hosts for tests: `make` gives a good one, its methods break one thing, `write` lays it out in files.

A host takes a `.vib` apart: descriptor and signature go into `var/db/esximg`, payloads into the boot bank.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from builders.bundles import Bundle
from builders.bundles import make as make_bundle
from modseal.format.manifest import Manifest

PLACE = "var/db/esximg"


@dataclass(frozen=True)
class Host:
    """What a host has: documents of its database and files of its boot bank, by their paths in each."""

    database: Mapping[str, bytes] = field(default_factory=dict)
    bank: Mapping[str, bytes] = field(default_factory=dict)

    def with_document(self, path: str, data: bytes | None) -> Host:
        """Another document under this path of the database; none where it is None."""
        return replace(self, database=_changed(self.database, path, data))

    def with_boot_file(self, name: str, data: bytes | None) -> Host:
        """Another file in the boot bank, none where it is None."""
        return replace(self, bank=_changed(self.bank, name, data))

    def edit_document(self, path: str, old: str, new: str) -> Host:
        """With text replaced in a document, which has it once."""
        text = self.database[path].decode()
        assert text.count(old) == 1, (path, old)
        return self.with_document(path, text.replace(old, new).encode())

    def write(self, root: Path) -> Path:
        """The root of a host's file system: the database and, in `bootbank`, the boot bank."""
        for path, data in self.database.items():
            _write(root / PLACE / path, data)
        for name, data in self.bank.items():
            _write(root / "bootbank" / name, data)
        return root

    def write_bank(self, folder: Path) -> Path:
        """A boot bank as a host boots from it, with the database in `imgdb.tgz`."""
        for name, data in self.bank.items():
            _write(folder / name, data)
        _write(folder / "imgdb.tgz", self.archive())
        return folder

    def archive(self, *more: tuple[str, bytes], under: str = f"{PLACE}/") -> bytes:
        """`imgdb.tgz`, as Python's tarfile writes it, with more documents; `under` goes before the name of each."""
        return self.archive_with(*(entry(under + path, data) for path, data in more))

    def archive_with(self, *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
        """`imgdb.tgz` with more entries of any kind at its end."""
        out = io.BytesIO()
        documents = (entry(f"{PLACE}/{path}", data) for path, data in self.database.items())
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for member, data in (*documents, *more):
                archive.addfile(member, io.BytesIO(data))
        return out.getvalue()


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """An entry of an archive."""
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(data), kind, link
    return member, data


def make(*bundles: Bundle, level: str = "partner") -> Host:
    """A host on which these bundles are installed (by default two good ones), all in the profile."""
    chosen = bundles or (make_bundle("vib"), make_bundle("vib", name="acme-net", files={"opt/acme/net": b"net"}))
    database: dict[str, bytes] = {}
    bank: dict[str, bytes] = {}
    for number, bundle in enumerate(chosen):
        path = document(bundle.manifest, number)
        database[path] = bundle.manifest_bytes
        database[f"{path}.sig"] = bundle.signature
        for payload in bundle.manifest.payloads:
            bank[boot_file(payload.name, number)] = bundle[payload.name].data
    bank["boot.cfg"] = f"kernel={next(iter(bank), 'b.b00')}\nmodules={' --- '.join([*bank, 'imgdb.tgz'])}\n".encode()
    database["profiles/Test-1.0"] = profile({bundle.manifest: number for number, bundle in enumerate(chosen)}, level)
    return Host(database, bank)


def document(manifest: Manifest, number: int = 0) -> str:
    """The path of a VIB's descriptor in the database."""
    return f"vibs/{manifest.name}--{number}.xml"


def boot_file(payload: str, number: int = 0) -> str:
    """What a payload is called in the boot bank."""
    return f"{payload[:8]}.v{number:02}"


def profile(manifests: Mapping[Manifest, int], level: str = "partner") -> bytes:
    """The image profile of a host with these modules."""
    vibs = "".join(
        f"<vib><vib-id>{manifest.id}</vib-id><payloads>"
        + "".join(
            f'<payload payload-name="{payload.name}">{boot_file(payload.name, number)}</payload>'
            for payload in manifest.payloads
        )
        + "</payloads></vib>"
        for manifest, number in manifests.items()
    )
    return (
        "<imageprofile><name>Test-1.0</name><creator>Test</creator><profileID>1</profileID>"
        "<creationtime>2026-01-31T12:00:00+00:00</creationtime><modifiedtime>2026-01-31T12:00:00+00:00</modifiedtime>"
        f"<serialno>1</serialno><description /><readonly>false</readonly><viblist>{vibs}</viblist>"
        f"<acceptancelevel>{level}</acceptancelevel></imageprofile>"
    ).encode()


def _changed(files: Mapping[str, bytes], path: str, data: bytes | None) -> dict[str, bytes]:
    rest = {name: content for name, content in files.items() if name != path}
    return rest if data is None else {**rest, path: data}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
