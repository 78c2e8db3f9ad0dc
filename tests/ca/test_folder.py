"""The folder of a CA: private, all or nothing, one change at a time."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from builders.bundles import snapshot
from modseal.ca import folder as authority_folder
from modseal.ca import request
from modseal.ca.authority import Authority, issue_certificate, make_crl, make_issuing, make_root
from modseal.ca.folder import create, opened, read, read_key, require_public, write_new_key
from modseal.ca.index import Index
from modseal.errors import InputError, KeyMaterialError, UsageError
from modseal.signing import key_file
from signing.pki import new_key

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROOT = make_root(request.authority_name("Root", "Test"), new_key("p256", 1), 7300, NOW)
KEY = key_file.encode_key(new_key("p256", 1), None)


def pem(authority: Authority) -> bytes:
    return authority.certificate.public_bytes(Encoding.PEM)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    create(tmp_path / "ca", ROOT, KEY, pem(ROOT))
    return tmp_path / "ca"


def below(parent: Authority) -> tuple[Authority, Index]:
    name = request.authority_name("Issuing", "Test")
    return make_issuing(parent, new_key("p256", 1), name, new_key("p256", 2), 30, NOW)


def issue(folder: Path, output: Path, number: int = 0) -> None:
    asked = request.make_request(request.parse_subject(f"CN=Signer {number}"), new_key("p256"))
    with opened(folder) as own:
        made, index = issue_certificate(own.authority, new_key("p256", 1), asked, 30, NOW)
        own.publish(index, output, made.public_bytes(Encoding.PEM))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_the_key_and_the_folder_are_for_their_owner_alone_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    old = os.umask(umask)
    try:
        create(tmp_path / "ca", ROOT, KEY, pem(ROOT))
        write_new_key(tmp_path / "key", KEY)
        issue(tmp_path / "ca", tmp_path / "cert")
    finally:
        os.umask(old)
    modes = {"ca": 0o700, "ca/ca.key": 0o600, "ca/ca.pem": 0o644, "ca/index.json": 0o644, "key": 0o600, "cert": 0o644}
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in modes} == modes


def test_a_ca_is_read_as_it_was_made(ca: Path) -> None:
    assert read(ca) == ROOT
    assert read_key(ca, None)[0].public_key() == new_key("p256", 1).public_key()
    assert sorted(path.name for path in ca.iterdir()) == ["ca.key", "ca.pem", "index.json"]


def test_what_is_issued_is_known_before_it_is_handed_out(ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    replaced = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new, **at: (written.append(new), replaced(old, new, **at)))
    issue(ca, ca.parent / "cert")
    assert written == ["index.json", "cert"]
    assert [entry.subject for entry in read(ca).index.entries] == ["CN=Signer 0"]


def failing(name: str, call: str, kind: int) -> Callable[..., Any]:
    """A function of `os` that fails for one file."""
    real = getattr(os, call)

    def fail(*arguments: Any, **at: Any) -> Any:
        if arguments[-1] == name:
            raise OSError(kind, os.strerror(kind))
        return real(*arguments, **at)

    return fail


@pytest.mark.parametrize("name", ["index.json", "cert"])
def test_where_a_file_cannot_be_written_nothing_changes(name: str, ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(ca.parent)
    monkeypatch.setattr(os, "replace", failing(name, "replace", errno.ENOSPC))
    with pytest.raises(InputError, match="No space left"):
        issue(ca, ca.parent / "cert")
    assert snapshot(ca.parent) == before


def test_a_missing_folder_for_the_output_changes_nothing(ca: Path) -> None:
    before = snapshot(ca.parent)
    with pytest.raises(InputError, match="No such file"):
        issue(ca, ca.parent / "none" / "cert")
    assert snapshot(ca.parent) == before


@pytest.mark.parametrize("call", ["rename", "replace"])
def test_a_ca_that_cannot_be_written_leaves_nothing_and_its_parent_as_it_was(
    call: str, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(ca.parent)
    name = "below" if call == "rename" else "index.json"
    with monkeypatch.context() as patch, opened(ca) as parent:
        patch.setattr(os, call, failing(name, call, errno.EACCES))
        made, index = below(parent.authority)
        with pytest.raises(InputError, match="Permission denied"):
            create(ca.parent / "below", made, KEY, pem(made), (parent, index))
    assert snapshot(ca.parent) == before


def test_a_parent_knows_the_ca_below_it(ca: Path) -> None:
    with opened(ca) as parent:
        made, index = below(parent.authority)
        create(ca.parent / "below", made, KEY, pem(made), (parent, index))
    assert [(entry.subject, entry.purpose) for entry in read(ca).index.entries] == [("CN=Issuing,O=Test", "ca")]


def test_of_many_changes_at_once_none_is_forgotten(ca: Path) -> None:
    def crl(number: int) -> int:
        with opened(ca) as own:
            _, index = make_crl(own.authority, new_key("p256", 1), 30, NOW)
            own.publish(index, ca.parent / f"crl-{number}", b"crl")
        return index.crl_number

    with ThreadPoolExecutor(8) as pool:
        issued = [pool.submit(issue, ca, ca.parent / f"cert-{number}", number) for number in range(12)]
        numbers = list(pool.map(crl, range(12)))
        for each in issued:
            each.result()
    assert sorted(numbers) == list(range(1, 13))
    assert {entry.subject for entry in read(ca).index.entries} == {f"CN=Signer {number}" for number in range(12)}


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    before = snapshot(tmp_path)
    for name in ("key", "link"):
        with pytest.raises(UsageError, match="never replaced"):
            write_new_key(tmp_path / name, KEY)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_key_that_cannot_be_written_leaves_nothing(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_new_key(tmp_path / "key", KEY)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="No such file"):
        write_new_key(tmp_path / "none" / "key", KEY)


def test_no_output_takes_the_place_of_a_key_or_of_what_the_ca_needs(ca: Path) -> None:
    key = ca.parent / "signer.key"
    key.write_bytes(b"Bag Attributes\n" + KEY)
    (ca.parent / "alias").symlink_to(ca / "index.json")
    before = snapshot(ca.parent)
    for output in (key, ca / "ca.key", ca / "ca.pem", ca / "index.json", ca.parent / "alias", ca):
        with pytest.raises(UsageError, match=r"name (another|a) file"):
            issue(ca, output)
    assert snapshot(ca.parent) == before
    require_public(ca.parent / "new", ca)


def test_only_a_new_or_an_empty_folder_becomes_a_ca(ca: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    for path in (ca, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(UsageError, match=r"is not empty|is not a folder"):
            create(path, ROOT, KEY, pem(ROOT))
    create(tmp_path / "empty", ROOT, KEY, pem(ROOT))
    assert read(tmp_path / "empty") == ROOT
    with chdir(tmp_path):
        create(Path("relative"), ROOT, KEY, pem(ROOT))


@pytest.mark.parametrize("name", ["ca.pem", "index.json", "ca.key"])
def test_a_ca_with_a_missing_or_damaged_file_is_said(name: str, ca: Path) -> None:
    good = (ca / name).read_bytes()
    for data in (b"", b"nonsense", good[: len(good) // 2]):
        (ca / name).write_bytes(data)
        with pytest.raises(KeyMaterialError, match=name):
            read_key(ca, None)
    (ca / name).unlink()
    with pytest.raises(InputError, match=name):
        read_key(ca, None)


def test_a_key_of_another_ca_is_refused(ca: Path) -> None:
    (ca / "ca.key").write_bytes(key_file.encode_key(new_key("p256", 2), None))
    with pytest.raises(KeyMaterialError, match="is not the key of"):
        read_key(ca, None)


def test_two_certificates_are_no_ca(ca: Path) -> None:
    (ca / "ca.pem").write_bytes(pem(ROOT) * 2)
    with pytest.raises(KeyMaterialError, match="2 certificates"):
        read(ca)


def test_a_folder_that_is_no_ca_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError), opened(path):
            pass


def test_a_large_index_is_refused(ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority_folder.authority_index, "INDEX_SIZE", 10)
    with pytest.raises(KeyMaterialError, match="over 10 bytes"):
        read(ca)


def test_restoring_writes_what_was_there(ca: Path) -> None:
    with opened(ca) as own:
        own.publish(replace(own.authority.index, crl_number=7))
        assert read(ca).index.crl_number == 7
        own.restore()
    assert read(ca) == ROOT
