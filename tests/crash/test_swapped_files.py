"""No gap between verification and use: a bundle that changes on disk while it is read gives verified bytes or none.

Another process swaps and rewrites the file all the while. Then, sizes around 2^31 and 2^32, as sparse files:
`make big` hashes all of them, the ordinary run reads only around the edges.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders.bundles import make, snapshot
from builders.pki import NOW
from builders.policies import trusting
from modseal import limits
from modseal.bundle.extract import extract
from modseal.bundle.open import open_bundle
from modseal.bundle.verify import verify
from modseal.errors import FormatError, InputError
from modseal.format import ar, payload
from modseal.format.manifest import Digest, Payload, View
from modseal.format.source import FileSource
from modseal.trust.examination import Verdict

SWAPS, ROUNDS, PATIENCE = (20_000, 400, 120.0) if os.environ.get("MODSEAL_BIG") else (1500, 40, 20.0)
BIG = bool(os.environ.get("MODSEAL_BIG"))
EDGES = [2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 1]

Change = Callable[[int], None]


@contextmanager
def changing(change: Change) -> Iterator[Callable[[], int]]:
    """Another process that calls `change` with 0, 1, 2, ... until the end; gives how often it has."""
    counter = mmap.mmap(-1, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        number = 0
        while True:
            change(number)
            number += 1
            counter[:] = number.to_bytes(8, "little")
    try:
        yield lambda: int.from_bytes(counter[:], "little")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def swap(path: Path, good: bytes, bad: bytes) -> Change:
    """One file renamed over the other."""

    def change(number: int) -> None:
        other = path.with_suffix(".new")
        other.write_bytes((good, bad)[number % 2])
        os.replace(other, path)

    return change


def rewrite(path: Path, good: bytes, bad: bytes) -> Change:
    """The same file, its bytes changed in place from somewhere on."""
    descriptor = os.open(path, os.O_RDWR)
    start = next(index for index, (one, other) in enumerate(zip(good, bad, strict=True)) if one != other)

    def change(number: int) -> None:
        os.pwrite(descriptor, (good, bad)[number % 2][start:], start)
        time.sleep(0.0002 * (number % 3))

    return change


def cut(path: Path, good: bytes, _bad: bytes) -> Change:
    """The same file, cut and filled again."""
    descriptor = os.open(path, os.O_RDWR)

    def change(number: int) -> None:
        if number % 2:
            os.pwrite(descriptor, good, 0)
        else:
            os.ftruncate(descriptor, len(good) // 2)
        time.sleep(0.0002)

    return change


@pytest.mark.parametrize("kind", ["seal", "vib"])
@pytest.mark.parametrize("how", [swap, rewrite, cut])
def test_a_file_that_changes_all_the_while_gives_verified_bytes_or_none(
    tmp_path: Path, kind: str, how: Callable[[Path, bytes, bytes], Change]
) -> None:
    files = {"opt": None, **{f"opt/{name}": os.urandom(40_000) for name in "abcdef"}}
    made = make(kind, files=files)  # type: ignore[arg-type]
    [*_, member] = made.members
    turned = bytes(byte ^ 0xFF for byte in member.data[-100_000:])
    bad = made.with_member(member.name, data=member.data[:-100_000] + turned).data
    path = tmp_path / "bundle"
    path.write_bytes(made.data)
    expected = {str(Path(name)): data if data is not None else "folder" for name, data in files.items()}
    verdicts = []
    end = time.monotonic() + PATIENCE
    with changing(how(path, made.data, bad)) as count:
        while (count() < SWAPS or len(verdicts) < ROUNDS) and time.monotonic() < end:
            out = tmp_path / "out" / str(len(verdicts))
            out.parent.mkdir(exist_ok=True)
            try:
                verdicts.append(extract(path, out, trusting(), NOW).verdict)
            except InputError:
                verdicts.append(Verdict.UNDECIDED)
            if verdicts[-1] is Verdict.ACCEPTED:
                assert snapshot(out) == expected
            assert out.exists() == (verdicts[-1] is Verdict.ACCEPTED)
        changes = count()
    assert [each for each in out.parent.iterdir() if each.name.startswith(".")] == []
    accepted = verdicts.count(Verdict.ACCEPTED)
    print(f"{kind} {how.__name__}: {changes} changes, {len(verdicts)} extractions, {accepted} accepted")  # noqa: T201
    assert changes > 50
    assert len(verdicts) > 5


# Sizes around 2^31 and 2^32.


def sparse(path: Path, size: int, last: bytes = b"\x01") -> None:
    """An archive of one member with zeros and one last byte, and one more member behind it."""
    header = ar.MAGIC + ar.encode_header("big", size)
    with path.open("wb") as file:
        file.write(header)
        file.seek(len(header) + size - 1)
        file.write(last + ar.padding(size) + ar.encode_header("end", 3) + b"end\n")


@pytest.mark.parametrize("size", EDGES)
def test_members_around_two_and_four_gibibytes_are_read_to_their_last_byte(tmp_path: Path, size: int) -> None:
    sparse(tmp_path / "a", size)
    with (tmp_path / "a").open("rb") as file:
        source = FileSource(file.fileno())
        big, end = ar.read(source)
        assert (big.size, end.span(source).read(0, 3)) == (size, b"end")
        span = big.span(source)
        assert span.read(size - 3, 3) == b"\0\0\1"
        with pytest.raises(FormatError):
            span.read(size - 3, 4)
    with (tmp_path / "a").open("r+b") as file:
        file.truncate(size)
        with pytest.raises(FormatError) as caught:
            ar.read(FileSource(file.fileno()))
        assert caught.value.failure.code == "truncated"


@pytest.mark.skipif(not BIG, reason="hashes 4 GiB several times: make big")
@pytest.mark.parametrize("size", [2**31 + 1, 2**32 + 1])
def test_the_last_byte_of_a_large_payload_is_covered_by_its_digest(tmp_path: Path, size: int) -> None:
    """A payload that is not looked into, so that its bytes alone count."""
    digest = hashlib.sha256()
    left = size - 1
    while left:
        digest.update(bytes(min(left, 16 * limits.MIB)))
        left -= min(left, 16 * limits.MIB)
    digest.update(b"\x01")
    declared = Payload("big", "boot", size, None, digests=(Digest("sha256", View.RAW, digest.digest()),))
    for last, same in ((b"\x01", True), (b"\x02", False)):
        sparse(tmp_path / "a", size, last)
        with (tmp_path / "a").open("rb") as file:
            source = FileSource(file.fileno())
            found = payload.measure(declared, ar.read(source)[0].span(source))
        assert (found.digests["sha256", View.RAW] == digest.digest()) is same


@pytest.mark.skipif(not BIG, reason="packs 4 GiB twice: make big")
@pytest.mark.parametrize("size", [2**31 + 1, 2**32 + 1])
def test_the_last_byte_of_a_large_file_is_covered(tmp_path: Path, size: int) -> None:
    """Two modules that differ in the last byte of a sparse file; the payload of one under the manifest of the other."""
    from modseal.packing.pack import pack

    (tmp_path / "files").mkdir()
    (tmp_path / "module.toml").write_text(
        'schema = "modseal/module@1"\nvendor = "A"\nname = "a"\nversion = "1"\nlevel = "community"\nsummary = "S"\n'
        '[[payload]]\nname = "base"\nroot = "files"\n'
    )
    for name, last in (("good", b"\x01"), ("bad", b"\x02")):
        with (tmp_path / "files/big").open("wb") as file:
            file.seek(size - 1)
            file.write(last)
        pack(tmp_path / "module.toml", tmp_path / name, "seal", environ={})
    policy = trusting(allow_unsigned_community=True)
    assert verify(tmp_path / "good", policy, NOW, with_digest=False).verdict is Verdict.ACCEPTED
    with open_bundle(tmp_path / "good") as good, open_bundle(tmp_path / "bad") as bad:
        manifest, _, payload_member = good.members
        other = bad.members[2]
        assert other.size == payload_member.size
        start = good.source.read(0, manifest.offset + payload_member.offset - manifest.offset)
        (tmp_path / "mixed").write_bytes(start + bad.source.read(other.offset, bad.source.size - other.offset))
    found = verify(tmp_path / "mixed", policy, NOW, with_digest=False)
    assert found.verdict is Verdict.REJECTED
    assert found.examination
    assert found.examination.primary
    assert found.examination.primary.code == "payload-digest-mismatch"
