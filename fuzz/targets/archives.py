"""Whole files: the container, the trust bundle, and a bundle on the main path with everything in it."""

from __future__ import annotations

import functools

from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import Result
from modseal.errors import Failure, ModsealError
from modseal.format import ar, trust_bundle
from modseal.format.source import BytesSource
from modseal.policy import rotation
from modseal.report import json_report, text
from modseal.trust.examination import Verdict
from modseal.trust.examine import examine
from targets.base import NOW, SEEDS, Target, attempt, certificates, policy


def container(data: bytes) -> None:
    """Every byte belongs to a member or to its header; plain members give the same bytes again."""
    bundle = OpenBundle(BytesSource(data), "fuzz")
    if isinstance(bundle.container, Failure):
        return
    members = bundle.container
    assert len(ar.MAGIC) + sum(ar.HEADER_SIZE + one.size + one.size % 2 for one in members) == len(data)
    assert len({one.name for one in members}) == len(members)
    if all(one.plain for one in members):
        contents = ((one, data[one.offset : one.offset + one.size]) for one in members)
        parts = (ar.encode_header(one.name, one.size) + content + ar.padding(one.size) for one, content in contents)
        assert ar.MAGIC + b"".join(parts) == data


def trust(data: bytes) -> None:
    """A trust bundle has one form; taking it in asks for its signers, or refuses."""
    bundle = attempt(trust_bundle.decode, data)
    if not bundle:
        return
    assert trust_bundle.encode(bundle) == data
    keeper = certificates("keeper.pem")[0].fingerprint
    if attempt(lambda _: rotation.advance(None, [bundle], {keeper}, NOW), data, ModsealError):
        assert bundle.signed in _declared(), "a trust bundle that nobody signed was taken in"


def whole(data: bytes) -> None:
    """A verdict on any bytes, which the reports can print; nothing signed is accepted but what was signed."""
    bundle = OpenBundle(BytesSource(data), "fuzz")
    examination = examine(bundle, policy(), NOW)
    result = Result("fuzz", None, examination)
    if len(data) % 4 == 0:  # costly, and independent of the rest
        json_report.render([result], "fuzz", NOW)
        text.render(result, verbose=True)
    if examination.verdict is Verdict.ACCEPTED and bundle.signature:
        assert (bundle.manifest, _contents(bundle)) in _signed(), "a bundle that nobody signed was accepted"


def _contents(bundle: OpenBundle) -> tuple[bytes, ...]:
    return tuple(bundle.source.read(one.offset, one.size) for one in bundle.members[2:])


@functools.cache
def _signed() -> frozenset[tuple[bytes, tuple[bytes, ...]]]:
    paths = (SEEDS / "bundle").iterdir()
    bundles = [OpenBundle(BytesSource(path.read_bytes()), path.name) for path in paths]
    return frozenset((bundle.manifest, _contents(bundle)) for bundle in bundles if bundle.signature)


@functools.cache
def _declared() -> frozenset[bytes]:
    paths = (SEEDS / "trust-bundle").iterdir()
    return frozenset(trust_bundle.decode(path.read_bytes()).signed for path in paths)


TARGETS = (
    Target("archive", container, mutator="archive"),
    Target("trust-bundle", trust, 8192, mutator="archive", dictionary="trust.dict"),
    Target("bundle", whole, 16384, mutator="archive"),
)
