"""A signed depot as an OCI image layout (image-spec 1.1, image-layout.md): each bundle an artifact.

    oci-layout              the version of the layout
    index.json              one entry: the depot, tagged with its name
    blobs/sha256/DIGEST     an image index; a manifest for depot.json, signatures and recalls; one for each bundle

A file of the depot is a layer, and its path in the depot is the layer's `org.opencontainers.image.title`, as `oras`
writes it. So tools that know OCI copy a depot whole by its tag, to a registry and back, or one bundle by its digest.
Nothing here is trusted: digests find blobs, and what a blob is worth the depot's own index says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format import rules
from modseal.format.shape import quote

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


def read(content: Any, sizes: dict[str, int]) -> tuple[dict[str, Blob], set[str]]:
    """The files of the depot in a layout by their paths, and the paths of all blobs that the layout names.

    `content` gives the bytes of a small file of the layout. Raises `FormatError` (index-invalid).
    """
    found: dict[str, Blob] = {}
    named: set[str] = {LAYOUT, INDEX}
    _walk(_document(content(INDEX), INDEX), content, sizes, found, named, 0)
    return found, named


def _walk(index: Any, content: Any, sizes: dict[str, int], found: dict[str, Blob], named: set[str], depth: int) -> None:
    if depth >= _DEPTH:
        raise _bad("image indexes are nested too deeply")
    for entry in _list(index, "manifests"):
        path = _path(entry)
        named.add(path)
        if len(named) > 4 * limits.DEPOT_BUNDLES:
            raise _bad(f"it names more than {4 * limits.DEPOT_BUNDLES} blobs")
        document = _document(content(path), path)
        if document.get("mediaType") == INDEX_TYPE:
            _walk(document, content, sizes, found, named, depth + 1)
            continue
        if isinstance(document.get("config"), dict):
            named.add(_path(document["config"]))
        for layer in _list(document, "layers"):
            blob = _path(layer)
            named.add(blob)
            title = layer.get("annotations", {}).get(TITLE) if isinstance(layer.get("annotations"), dict) else None
            if not isinstance(title, str):
                continue  # nobody's file: a layer of an image, for example
            rules.require(rules.check_path(title))
            one = Blob(title, sizes.get(blob, 0), blob.rpartition("/")[2])
            if found.setdefault(title, one) != one:
                raise _bad(f"two layers are called {quote(title, limits.PATH_LENGTH)}")


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
        raise _bad(f"{quote(str(descriptor.get('digest')))} is no SHA-256 digest")
    return place(match[1])


def _document(data: bytes, name: str) -> Any:
    with foreign(lambda why: _bad(f"{name} is not JSON: {why}")):
        document = json.loads(data)
    if not isinstance(document, dict):
        raise _bad(f"{name} is no JSON object")
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
