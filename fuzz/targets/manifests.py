"""The two manifests: `manifest.json` and `descriptor.xml`."""

from __future__ import annotations

from modseal.errors import FormatError
from modseal.format import descriptor, manifest_json, stage_descriptor
from targets.base import Target, attempt


def json_manifest(data: bytes) -> None:
    """A `manifest.json` has one encoding."""
    manifest = attempt(manifest_json.decode, data)
    assert manifest is None or manifest_json.encode(manifest) == data


def xml_descriptor(data: bytes) -> None:
    """What is written of a descriptor says the same, and is read to the same bytes again."""
    attempt(stage_descriptor.decode, data)
    manifest = attempt(descriptor.decode, data)
    if not manifest:
        return
    try:
        written = descriptor.encode(manifest)
    except FormatError as error:
        raise AssertionError(f"read, but not written: {error}") from error
    assert descriptor.decode(written) == manifest
    assert descriptor.encode(descriptor.decode(written)) == written


TARGETS = (
    Target("manifest-json", json_manifest, dictionary="json.dict"),
    Target("descriptor", xml_descriptor, dictionary="xml.dict"),
)
