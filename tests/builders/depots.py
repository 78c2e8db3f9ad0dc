"""Depots for tests: `make` gives a good offline bundle of our own bundles, its methods break one thing.

The layout is that of genuine ones (docs/depots.md): `index.xml`, `vendor-index.xml`, `metadata.zip` and
`vib20/<name>/<id>.vib`. Whoever changes a bundle leaves the metadata as it was, and the other way round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from builders import bundles, zips
from builders.bundles import Bundle
from modseal.depot import compare
from modseal.depot.compare import DepotBundle
from modseal.depot.files import DepotFiles, in_zip
from modseal.depot.metadata import Metadata
from modseal.errors import Failure
from modseal.format import descriptor
from modseal.format.manifest import Manifest, VibFields
from modseal.format.source import BytesSource

METADATA = "metadata.zip"
LISTING = "metadata.zip/vmware.xml"


@dataclass(frozen=True)
class Depot:
    """The files of a depot, and the documents in its `metadata.zip`. `method` is that of all entries."""

    files: Mapping[str, bytes]
    documents: Mapping[str, bytes]
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    method: int = zips.DEFLATED
    order: tuple[str, ...] = ("index.xml", "vendor-index.xml", METADATA)

    @property
    def contents(self) -> dict[str, bytes]:
        """Every file by its path, `metadata.zip` too."""
        files = {METADATA: zips.write(self.documents, self.method), **self.files}
        return dict(sorted(files.items(), key=lambda item: (item[0] not in self.order, item[0])))

    @property
    def data(self) -> bytes:
        """The zip file."""
        return zips.write(self.contents, self.method)

    def write(self, path: Path) -> Path:
        """The depot as a zip file."""
        path.write_bytes(self.data)
        return path

    def unpack(self, folder: Path) -> Path:
        """The depot as a folder."""
        for name, data in self.contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder

    def with_file(self, name: str, data: bytes) -> Depot:
        """A file of the depot, or of its `metadata.zip` by `metadata.zip/NAME`, replaced or added."""
        if name.startswith(f"{METADATA}/"):
            return replace(self, documents={**self.documents, name.removeprefix(f"{METADATA}/"): data})
        return replace(self, files={**self.files, name: data})

    def without(self, name: str) -> Depot:
        if name.startswith(f"{METADATA}/"):
            inner = name.removeprefix(f"{METADATA}/")
            return replace(self, documents={key: data for key, data in self.documents.items() if key != inner})
        return replace(self, files={key: data for key, data in self.files.items() if key != name})

    def __getitem__(self, name: str) -> bytes:
        inner = name.removeprefix(f"{METADATA}/")
        return self.documents[inner] if inner != name else self.files[name]

    def edit(self, name: str, old: str, new: str) -> Depot:
        """A text of one document replaced, everywhere in it."""
        assert old.encode() in self[name], f"{old} is not in {name}"
        return self.with_file(name, self[name].replace(old.encode(), new.encode()))

    def edit_all(self, old: str, new: str) -> Depot:
        """A text replaced in every document of the metadata."""
        changed = {name: data.replace(old.encode(), new.encode()) for name, data in self.documents.items()}
        return replace(self, documents=changed)

    @property
    def open(self) -> DepotFiles:
        """The depot as modseal reads it, from memory."""
        return in_zip(BytesSource(self.data), "depot.zip")

    @property
    def bulletin(self) -> str:
        """The name of the first bulletin's document."""
        return next(f"{METADATA}/{name}" for name in self.documents if name.startswith("bulletins/"))

    @property
    def described(self) -> str:
        """The name of the first bundle's document in `vibs/`."""
        return next(f"{METADATA}/{name}" for name in self.documents if name.startswith("vibs/"))

    @property
    def bundle(self) -> str:
        """The path of the first bundle."""
        return next(iter(self.bundles))


def make(
    *made: Bundle,
    vendor: str = "Acme",
    code: str = "ACM",
    method: int = zips.DEFLATED,
    folder: str = "vib20",
    last: bool = False,
) -> Depot:
    """A good depot of these bundles (of one where none is given), with a component for each.

    `last` puts the place of each bundle at the end of its description, as TGZ2VIB5 does.
    """
    held = made or (bundles.make("vib"),)
    by_path = {_path(one.manifest, folder): one for one in held}
    documents = {"vendor-index.xml": VENDOR_INDEX.encode()}
    listed = "".join(_bulletin(one.manifest, vendor, _listed(path, one)) for path, one in by_path.items())
    documents["vmware.xml"] = (
        f"<metadataResponse>\n  <version>3.0</version>\n  <timestamp>2026-01-31T12:00:00.000000</timestamp>\n"
        f"{listed}</metadataResponse>\n"
    ).encode()
    for path, one in by_path.items():
        manifest = one.manifest
        named = f"<vibID>{escape(manifest.id)}</vibID>"
        number = int(hashlib.sha256(manifest.id.encode()).hexdigest()[:15], 16)
        documents[f"bulletins/{component(manifest)}.xml"] = _bulletin(manifest, vendor, named).strip().encode()
        documents[f"vibs/{manifest.name}-{number}.xml"] = _described(path, one, last=last)
    files = {"index.xml": INDEX.format(vendor=escape(vendor), code=escape(code)).encode(),
             "vendor-index.xml": VENDOR_INDEX.encode(),
             **{path: one.data for path, one in by_path.items()}}  # fmt: skip
    return Depot(files, documents, by_path, method)


def component(manifest: Manifest) -> str:
    return f"{manifest.vendor}-{manifest.name}_{manifest.version}"


INDEX = """<vendorList>
  <vendor>
    <name>{vendor}</name>
    <code>{code}</code>
    <indexfile>vendor-index.xml</indexfile>
    <patchUrl></patchUrl>
    <relativePath></relativePath>
    <content>
      <name>VMware ESX</name>
      <type>http://www.vmware.com/depotmanagement/esx</type>
    </content>
  </vendor>
</vendorList>
"""

VENDOR_INDEX = """<metaList>
  <metadata>
    <productId>embeddedEsx</productId>
    <version>8.*</version>
    <locale></locale>
    <url>metadata.zip</url>
    <channelName>default</channelName>
  </metadata>
</metaList>
"""


def _path(manifest: Manifest, folder: str) -> str:
    return "/".join(filter(None, (folder, folder and manifest.name, f"{manifest.id}.vib")))


def _bulletin(manifest: Manifest, vendor: str, vibs: str) -> str:
    name = f"{manifest.vendor}-{manifest.name}"
    return (
        f"<bulletin><id>{escape(component(manifest))}</id><vendor>{escape(vendor)}</vendor>"
        f"<summary>{escape(manifest.summary)}</summary><severity>general</severity><category>enhancement</category>"
        "<urgency>important</urgency><releaseType>extension</releaseType>"
        f"<description>{escape(manifest.description)}</description><kbUrl>https://example.test/kb</kbUrl>"
        "<contact>support@example.test</contact>"
        f'<componentNameSpec name={quoteattr(name)} uiString="A component"/>'
        f'<componentVersionSpec version={quoteattr(manifest.version)} uiString="1"/>'
        "<releaseDate>2026-01-31T12:00:00+00:00</releaseDate>"
        '<platforms><softwarePlatform version="8.*" locale="" productLineID="embeddedEsx"/></platforms>'
        f"<vibList>{vibs}</vibList></bulletin>\n"
    )


def _listed(path: str, bundle: Bundle) -> str:
    manifest = bundle.manifest
    vib = manifest.vib or VibFields()
    reboot = not (vib.live_install_allowed and vib.live_remove_allowed)
    tags = "".join(f"<tag>{escape(tag)}</tag>" for tag in vib.tags)
    return (
        f"<vib><vibVersion>1.4.5</vibVersion><vibID>{escape(manifest.id)}</vibID><name>{manifest.name}</name>"
        f"<version>{manifest.version}</version><vendor>{escape(manifest.vendor)}</vendor><vibType>{vib.type}</vibType>"
        f"<summary>{escape(manifest.summary)}</summary><systemReqs>{_flag('maintenanceMode', vib.maintenance_mode)}"
        '<swPlatform version="8.*" locale="" productLineID="embeddedEsx"/></systemReqs>'
        f"{_relationships(bundle)}<postInstall>{_flag('rebootRequired', reboot)}"
        f"{_flag('hostdRestart', vib.cimom_restart)}</postInstall><softwareTags>{tags}</softwareTags>"
        f"<vibFile><sourceUrl></sourceUrl><relativePath>{escape(path)}</relativePath>"
        f"<packedSize>{len(bundle.data)}</packedSize><checksum><checksumType>sha-256</checksumType>"
        f"<checksum>{hashlib.sha256(bundle.data).hexdigest()}</checksum></checksum></vibFile></vib>"
    )


def _flag(name: str, value: bool) -> str:
    return f"<{name}>{'true' if value else 'false'}</{name}>"


def _relationships(bundle: Bundle) -> str:
    text = bundle.manifest_bytes.decode()
    return text[text.index("<relationships>") : text.index("</relationships>")] + "</relationships>"


def _described(path: str, bundle: Bundle, *, last: bool) -> bytes:
    text = bundle.manifest_bytes.decode()
    place = (
        f"<relative-path>{escape(path)}</relative-path><packed-size>{len(bundle.data)}</packed-size>"
        f'<checksum checksum-type="sha-256">{hashlib.sha256(bundle.data).hexdigest()}</checksum>'
    )
    mark = "</vib>" if last else "<system-requires>"
    return text.replace(mark, place + mark).encode()


# What modseal says of them.


def found(depot: DepotFiles, *, proved: bool = True) -> list[DepotBundle]:
    """The facts of every bundle of an open depot, as an audit has them."""
    facts = []
    for path in depot.bundles:
        with depot.open(path) as source:
            data = source.read(0, source.size)
        manifest = descriptor.decode(bundles.OpenBundle(BytesSource(data), path).manifest)
        facts.append(DepotBundle(path, len(data), hashlib.sha256(data).hexdigest(), manifest, proved))
    return facts


def failures(depot: Depot, *, proved: bool = True) -> list[Failure]:
    """Every disagreement of a depot."""
    opened = depot.open
    return [*opened.failures, *compare.compare(opened.metadata, opened.paths, found(opened, proved=proved))]


def metadata(depot: Depot) -> Metadata:
    return depot.open.metadata
