"""A signed depot as an OCI image layout (image-spec 1.1, image-layout.md): each bundle an artifact.

    oci-layout              the version of the layout
    index.json              one entry: the depot, tagged with its name
    blobs/sha256/DIGEST     an image index; a manifest for each bundle, and one for all other files

A file of the depot is a layer, and its path in the depot is the layer's `org.opencontainers.image.title`, as `oras`
writes it. So tools that know OCI copy a depot whole by its tag, to a registry and back, or one bundle by its digest.
Nothing here is trusted: digests find blobs, and what a blob is worth the depot's own index says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format import rules
from modseal.format.shape import quote
from modseal.values import dataclass

LAYOUT, INDEX = "oci-layout", "index.json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
TITLE, REFERENCE = "org.opencontainers.image.title", "org.opencontainers.image.ref.name"
DEPOT_TYPE = "application/vnd.modseal.depot.v1"
BUNDLE_TYPES = {"seal": "application/vnd.modseal.seal.v1", "vib": "application/vnd.modseal.vib.v1"}
_FILE_TYPE = "application/octet-stream"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_DEPTH = 3
"""Image indexes within one another: `index.json`, the depot's, and one more that a tool may put around it."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a depot, where it is kept by its digest."""

    path: str
    size: int
    sha256: str


def layout(name: str, files: Sequence[Blob]) -> tuple[list[tuple[str, bytes]], tuple[str, bytes]]:
    """The documents of the layout of a depot by their paths, and last of all its `index.json`."""
    documents: dict[str, bytes] = {LAYOUT: _json({"imageLayoutVersion": "1.0.0"}), _place(EMPTY): EMPTY}
    own = [one for one in files if not one.path.startswith("bundles/")]
    bundles = [one for one in files if one.path.startswith("bundles/")]
    manifests = [
        _manifest(DEPOT_TYPE, own, documents),
        *(_manifest(BUNDLE_TYPES[one.path.rpartition(".")[2]], [one], documents) for one in bundles),
    ]
    inner = _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "artifactType": DEPOT_TYPE, "manifests": manifests})
    documents[_place(inner)] = inner
    entry = {**_descriptor(INDEX_TYPE, inner), "annotations": {REFERENCE: name}}
    outer = _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]})
    return list(documents.items()), (INDEX, outer)


def read(content: Callable[[str], bytes], sizes: Mapping[str, int]) -> tuple[dict[str, Blob], set[str]]:
    """The files of the depot in a layout by their paths, and the paths of all blobs that lead to one.

    Whatever else the layout names belongs to no depot. `content` gives the bytes of a small file of the layout.
    Raises `FormatError` (index-invalid).
    """
    reader = _OciReader(content, sizes)
    reader.follow(INDEX, 0)
    return reader.found, reader.named | {LAYOUT, INDEX}


class _OciReader:
    """What was found so far. Each document is followed once, however often it is listed."""

    def __init__(self, content: Callable[[str], bytes], sizes: Mapping[str, int]) -> None:
        self.found: dict[str, Blob] = {}
        self.named: set[str] = set()
        self._content, self._sizes = content, sizes
        self._followed: set[str] = set()
        self._entries = 0

    def follow(self, path: str, depth: int) -> None:
        """Follow an image index or a manifest; it is named if all that it lists is."""
        if path in self._followed:
            return
        self._followed.add(path)
        document = _document(self._content(path), path)
        if path == INDEX or document.get("mediaType") == INDEX_TYPE:
            if depth >= _DEPTH:
                raise _bad("image indexes are nested too deeply")
            below = [_path(entry) for entry in self._list(document, "manifests")]
            for each in below:
                self.follow(each, depth + 1)
        else:
            below = list(map(self._layer, self._list(document, "layers")))
            config = document.get("config")
            if isinstance(config, dict) and _path(config) == _place(EMPTY):
                self.named.add(_place(EMPTY))
        if below and self.named.issuperset(below):
            self.named.add(path)

    def _layer(self, layer: dict[str, Any]) -> str:
        """The path of a layer's blob, which is a file of the depot if it has a title."""
        blob = _path(layer)
        title = layer.get("annotations", {}).get(TITLE) if isinstance(layer.get("annotations"), dict) else None
        if isinstance(title, str):
            rules.require(rules.check_path(title))
            one = Blob(title, self._sizes.get(blob, 0), blob.rpartition("/")[2])
            if self.found.setdefault(title, one) != one:
                raise _bad(f"two layers are called {quote(title, limits.PATH_LENGTH)}")
            self.named.add(blob)
        return blob

    def _list(self, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
        values = _list(document, key)
        self._entries += len(values)
        if self._entries > limits.OCI_ENTRIES:
            raise _bad(f"it lists more than {limits.OCI_ENTRIES} manifests and layers")
        return values


def _list(document: Any, key: str) -> list[dict[str, Any]]:
    values = document.get(key, [])
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise _bad(f"its {key} are no list of objects")
    return values


def place(sha256: str) -> str:
    """Where the blob with this digest is."""
    return f"blobs/sha256/{sha256}"


def _path(descriptor: dict[str, Any]) -> str:
    match = _DIGEST.fullmatch(str(descriptor.get("digest")))
    if match is None:
        raise _bad(f"{quote(str(descriptor.get('digest')))} is not a SHA-256 digest")
    return place(match[1])


def _document(data: bytes, name: str) -> Any:
    with foreign(lambda _: _bad(f"{name} is not JSON in UTF-8, or nested too deeply")):
        document = json.loads(data.decode("utf-8"))
    if not isinstance(document, dict):
        raise _bad(f"{name} is not JSON object")
    return document


def _bad(detail: str) -> FormatError:
    return FormatError("index-invalid", f"the OCI image layout cannot be used: {detail}")


def _manifest(artifact: str, files: Sequence[Blob], documents: dict[str, bytes]) -> dict[str, Any]:
    layers = [
        {
            "mediaType": artifact if artifact != DEPOT_TYPE else _FILE_TYPE,
            "digest": f"sha256:{one.sha256}",
            "size": one.size,
            "annotations": {TITLE: one.path},
        }
        for one in files
    ]
    data = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": artifact,
            "config": _descriptor(EMPTY_TYPE, EMPTY),
            "layers": layers,
        }
    )
    documents[_place(data)] = data
    return {**_descriptor(MANIFEST_TYPE, data), "artifactType": artifact}


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def _place(data: bytes) -> str:
    return place(hashlib.sha256(data).hexdigest())


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
