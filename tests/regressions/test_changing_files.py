"""A file that somebody writes to while it is read: what is reported and written is what was judged."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from builders.bundles import KINDS, Kind, make
from builders.pki import NOW
from builders.policies import trusting
from modseal.bundle import open as opening
from modseal.bundle.extract import extract
from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import verify
from modseal.errors import FormatError
from modseal.format import source
from modseal.format.source import BytesSource, FileSource, HashedSource
from modseal.trust.examination import Verdict
from modseal.trust.examine import examine

POLICY = trusting()


@pytest.fixture(autouse=True)
def _read_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As files are that are too large to be kept: a small one is read once, when it is opened."""
    monkeypatch.setattr(source, "WHOLE", -1)


class _Swapping(FileSource):
    """A file of which every byte is read once as it was signed; from then on it has others."""

    seen: set[int]

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        self.seen = getattr(self, "seen", set())
        again = offset in self.seen
        self.seen.add(offset)
        return bytes(byte ^ 0x55 for byte in data) if again else data


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_file_is_read_once_and_its_digest_is_that_of_what_was_read(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    path = tmp_path / "a"
    data = make(kind).data
    path.write_bytes(data)
    policy = replace(POLICY, deny=replace(POLICY.deny, digests=frozenset({hashlib.sha256(data).hexdigest()})))
    with path.open("rb") as file:
        opened = FileSource(file.fileno())
        path.write_bytes(bytes(len(data)))
        bundle = OpenBundle(opened, "a", with_digest=True)
        assert examine(bundle, POLICY, NOW).verdict is Verdict.ACCEPTED
        assert bundle.sha256() == hashlib.sha256(data).hexdigest()
        assert examine(OpenBundle(opened, "a"), policy, NOW).verdict is Verdict.REJECTED


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_of_a_report_is_that_of_the_bytes_that_were_judged(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    data = make(kind).data
    path.write_bytes(data)
    monkeypatch.setattr(opening, "FileSource", _Swapping)
    result = verify(path, POLICY, NOW, with_digest=True)
    assert result.verdict is Verdict.ACCEPTED
    assert result.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_the_deny_list_is_asked_about_the_bytes_that_were_judged(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    data = make(kind).data
    path.write_bytes(data)
    denied = frozenset({hashlib.sha256(data).hexdigest()})
    monkeypatch.setattr(opening, "FileSource", _Swapping)
    policy = replace(POLICY, deny=replace(POLICY.deny, digests=denied))
    assert verify(path, policy, NOW, with_digest=False).verdict is Verdict.REJECTED
    assert extract(path, tmp_path / "out", policy, NOW).verdict is Verdict.REJECTED


def test_a_layout_is_not_taken_from_a_payload_that_changed_after_it_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.vib"
    path.write_bytes(make("vib").data)
    monkeypatch.setattr(opening, "FileSource", _Swapping)
    with pytest.raises(FormatError):
        extract(path, tmp_path / "out", POLICY, NOW, stage=True)
    assert [each.name for each in tmp_path.iterdir()] == ["a.vib"]


def test_a_file_that_is_cut_while_it_is_hashed_is_undecided_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.seal"
    path.write_bytes(make("seal").data)

    def cut(_self: object) -> str:
        raise FormatError("truncated", "cut meanwhile")

    monkeypatch.setattr(HashedSource, "sha256", cut)
    assert verify(path, POLICY, NOW, with_digest=True).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [(0, 8), (8, 60), (68, 60), (128, 1), (100, 300), (400, 600)],
        [(900, 60), (0, 1000), (0, 1000)],
        [(500, 400), (10, 20)],
        [(64, 64), (0, 64), (128, 872)],
    ],
)
def test_a_hashed_source_has_the_digest_of_the_whole_in_whatever_order_it_is_read(reads: list[tuple[int, int]]) -> None:
    data = bytes(range(250)) * 4
    source = HashedSource(BytesSource(data))
    for offset, length in reads:
        assert source.read(offset, length) == data[offset : offset + length]
    assert source.sha256() == hashlib.sha256(data).hexdigest()
    assert source.sha256() == hashlib.sha256(data).hexdigest()
