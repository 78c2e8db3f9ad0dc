"""An open bundle: what is read, from where, and what is refused before anything is examined."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders.bundles import KINDS, Member, make
from modseal import limits
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import Failure, FormatError, InputError
from modseal.format.manifest import Kind
from modseal.format.source import BytesSource

kinds = pytest.mark.parametrize("kind", KINDS)


def opened(data: bytes) -> OpenBundle:
    return OpenBundle(BytesSource(data), "test")


def code(data: bytes) -> str:
    container = opened(data).container
    assert isinstance(container, Failure)
    return container.code


@kinds
def test_a_good_bundle_has_its_parts(kind: Kind) -> None:
    good = make(kind)
    bundle = opened(good.data)
    assert bundle.kind == kind
    assert (bundle.manifest, bundle.signature) == (good.manifest_bytes, good.signature)
    assert [member.name for member in bundle.members] == [member.name for member in good.members]


@kinds
def test_digests_are_over_the_member_and_the_file(kind: Kind) -> None:
    import hashlib

    good = make(kind)
    bundle = opened(good.data)
    assert bundle.sha256() == hashlib.sha256(good.data).hexdigest()
    for member, expected in zip(bundle.members, good.members, strict=True):
        assert bundle.digest(member) == hashlib.sha256(expected.data).digest()


@kinds
def test_a_broken_container_is_a_value_and_its_members_raise(kind: Kind) -> None:
    bundle = opened(make(kind).data[:-3])
    assert isinstance(bundle.container, Failure)
    with pytest.raises(FormatError) as raised:
        _ = bundle.members
    assert raised.value.failure.code == bundle.container.code


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not-a-bundle"),
        (b"!<arch>\n", "not-a-bundle"),
        (b"PK\3\4", "not-a-bundle"),
        (b"!<arch>\n" + Member("other", b"x").encode(), "not-a-bundle"),
        (b"!<arch>\n" + Member("manifest.json", b"{}").encode(), "missing-member"),
        (b"!<arch>\n" + Member("manifest.json", b"{}").encode() + Member("other", b"").encode(), "missing-member"),
        (b"!<arch>\n" + Member("manifest.json", b"{}").encode() + b"cut", "truncated"),
    ],
)
def test_what_is_no_bundle_says_so(data: bytes, expected: str) -> None:
    assert code(data) == expected


@kinds
def test_the_manifest_and_the_signature_are_bounded(kind: Kind) -> None:
    good = make(kind)
    big = good.with_member(good.members[0].name, data=b" " * (limits.MANIFEST_SIZE + 1))
    assert code(big.data) == "limit-exceeded"
    assert code(good.with_signature(b" " * (limits.SIGNATURE_MEMBER_SIZE + 1)).data) == "limit-exceeded"


def test_too_many_members_are_refused() -> None:
    good = make("seal")
    more = good.with_members(*good.members, *(Member(f"m{number}", b"") for number in range(limits.MEMBERS)))
    assert code(more.data) == "limit-exceeded"


@kinds
def test_a_sink_gets_files_only_where_that_was_asked_for(kind: Kind) -> None:
    class Sink:
        def __init__(self) -> None:
            self.paths: list[str] = []

        def begin(self, entry: object) -> None:
            self.paths.append(entry.path)  # type: ignore[attr-defined]

        def write(self, data: bytes) -> None:
            pass

        def end(self, entry: object) -> None:
            pass

    good = make(kind)
    payload = good.manifest.payloads[0]
    for to_sink, expected in ((True, 3), (False, 0)):
        sink = Sink()
        bundle = OpenBundle(BytesSource(good.data), "test", sink)
        bundle.measure(payload, bundle.members[2], up_to=None, to_sink=to_sink)
        assert len(sink.paths) == expected


@pytest.mark.parametrize("name", ["absent", ".", "fifo", "/dev/null", "absent/below"])
def test_what_is_no_regular_file_cannot_be_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError) as raised, open_bundle(tmp_path / name):
        pass
    assert raised.value.failure.code == "io-error"


def test_the_descriptor_is_closed_however_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(make("seal").data)
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with open_bundle(path):
            pass
        with pytest.raises(ZeroDivisionError), open_bundle(path):
            _ = 1 / 0
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_symbolic_link_to_a_bundle_is_followed(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(make("seal").data)
    (tmp_path / "link").symlink_to("b")
    with open_bundle(tmp_path / "link") as bundle:
        assert bundle.kind == "seal"
