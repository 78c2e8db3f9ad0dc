"""What people and tools write beside a bundle: module specs, policies, visor layouts."""

from __future__ import annotations

from modseal.bundle import layout
from modseal.errors import PolicyError, SpecError
from modseal.format.manifest import Entry, FileType
from modseal.packing import spec
from modseal.policy import file as policy_file
from modseal.report import policy_text
from targets.base import Target, attempt, read_fixture

_TYPES = {"0": FileType.FILE, "7": FileType.FILE, "2": FileType.SYMLINK, "5": FileType.DIRECTORY}


def module_spec(data: bytes) -> None:
    """A `module.toml`."""
    attempt(lambda given: spec.parse(given, "module.toml"), data, SpecError)


def policy(data: bytes) -> None:
    """A policy, which can be shown with the weakest bundle that it accepts."""
    found = attempt(lambda given: policy_file.parse(given, "policy.toml", read_fixture), data, PolicyError)
    if found:
        policy_text.render(found)
        policy_text.weakest(found)


def visor_layout(data: bytes) -> None:
    """A layout file: written again it says the same."""
    read = attempt(lambda given: layout.decode(given, "x.layout.json"), data, SpecError)
    if read:
        found, modes = read
        entries = [Entry(path, _TYPES[fields.typeflag], modes[path]) for path, fields in found.fields.items()]
        assert layout.decode(layout.encode(found, entries), "x.layout.json") == read


TARGETS = (
    Target("module-spec", module_spec, dictionary="spec.dict"),
    Target("policy", policy, dictionary="policy.dict"),
    Target("visor-layout", visor_layout, dictionary="layout.dict"),
)
