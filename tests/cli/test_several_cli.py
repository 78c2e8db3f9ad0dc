"""`sign` and `timestamp` for several bundles: each for itself, one line each, the worst exit status."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders import policies
from builders.bundles import make
from builders.pki import EPOCH, leaf, signer
from builders.transcript import Transcript, run
from builders.tsa import OPENSSL, OpensslTsa, serving, tsa, tsa_root

NOTE = "the file has changed: publish this SHA-256; the one from before no longer holds"
NAMES = ("a.seal", "b.vib", "c.seal")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with three unsigned bundles, a broken one, and a signer."""
    policies.write(tmp_path)
    for name in NAMES:
        kind = "vib" if name.endswith("vib") else "seal"
        (tmp_path / name).write_bytes(make(kind, name=name[0]).unsigned().data)
    (tmp_path / "broken.seal").write_bytes(make("seal").unsigned().data[:-10])
    (tmp_path / "signer.pem").write_bytes(signer().pem)
    (tmp_path / "signer.key").write_bytes(signer().key_pem)
    (tmp_path / "signer.key").chmod(0o600)
    return tmp_path


def sign(work: Path, *arguments: object, leaves: tuple[str, ...] = ()) -> Transcript:
    return run("sign", *arguments, "--key", "signer.key", "--cert", "signer.pem", cwd=work, leaves=leaves)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verified(work: Path, *names: str) -> int:
    return run("verify", *names, "--policy", "policy.toml", cwd=work).code


def test_several_bundles_are_signed_with_one_line_each(work: Path) -> None:
    done = sign(work, *NAMES)
    assert (done.code, done.unusual) == (0, "")
    *lines, last = done.out.splitlines()
    assert [line.split(": ")[0] for line in lines] == list(NAMES)
    assert [line.rpartition("sha256 ")[2] for line in lines] == [sha256(work / name) for name in NAMES]
    assert last == NOTE
    assert verified(work, *NAMES) == 0


@pytest.mark.parametrize(
    ("bad", "code"),
    [("broken.seal", 1), ("missing.seal", 3), ("signed.seal", 2)],
    ids=["rejected", "undecided", "usage"],
)
def test_one_that_fails_does_not_stop_the_others(work: Path, bad: str, code: int) -> None:
    (work / "signed.seal").write_bytes(make("seal", signer()).data)
    before = (work / bad).read_bytes() if (work / bad).exists() else None
    done = sign(work, "a.seal", bad, "c.seal", leaves=("a.seal", "c.seal"))
    assert done.code == code, done
    assert [line.split(": ")[0] for line in done.out.splitlines()[:-1]] == ["a.seal", "c.seal"]
    assert done.err.splitlines()[0].startswith(f"modseal: {bad}: ")
    assert verified(work, "a.seal", "c.seal") == 0
    assert (work / bad).read_bytes() == before if before is not None else not (work / bad).exists()


def test_the_worst_exit_status_counts(work: Path) -> None:
    assert sign(work, "a.seal", "missing.seal", "broken.seal", leaves=("a.seal",)).code == 1
    assert sign(work, "a.seal", "missing.seal").code == 3
    assert sign(work, "a.seal").code == 2


def test_an_unfit_certificate_is_said_once_and_nothing_is_signed(work: Path) -> None:
    old = leaf("Past", start=EPOCH, end=datetime(2024, 2, 1, tzinfo=UTC))
    (work / "signer.pem").write_bytes(old.pem)
    (work / "signer.key").write_bytes(old.key_pem)
    done = sign(work, *NAMES)
    assert done.code == 1
    assert len(done.err.splitlines()) == 2
    assert "is expired at 20" in done.err
    assert ": valid until 2024-02-01T00:00:00Z" in done.err


def test_a_folder_takes_the_signed_bundles(work: Path) -> None:
    (work / "out").mkdir()
    before = [sha256(work / name) for name in NAMES]
    done = sign(work, *NAMES, "-o", "out")
    assert done.code == 0
    assert [line.split(": ")[0] for line in done.out.splitlines()[:-1]] == [f"out/{name}" for name in NAMES]
    assert [sha256(work / name) for name in NAMES] == before
    assert verified(work, *(f"out/{name}" for name in NAMES)) == 0
    again = sign(work, "a.seal", "-o", "out")
    assert again.unusual == "modseal: warning: out/a.seal was there already, and is replaced\n"


def test_several_bundles_and_one_output_file_are_usage(work: Path) -> None:
    done = sign(work, *NAMES, "-o", "out.seal")
    assert done.code == 2
    assert "out.seal is not a folder, and 3 bundles need one" in done.err


def test_two_bundles_of_one_name_in_a_folder_are_usage(work: Path) -> None:
    (work / "out").mkdir()
    (work / "other").mkdir()
    (work / "other/a.seal").write_bytes((work / "a.seal").read_bytes())
    done = sign(work, "a.seal", "other/a.seal", "-o", "out")
    assert done.code == 2
    assert "a.seal and other/a.seal would both be written to out/a.seal" in done.err


@pytest.mark.parametrize("mode", ["--prepare", "--dsse"])
def test_what_makes_one_file_is_for_one_bundle(work: Path, mode: str) -> None:
    key = ("--key", "signer.key") if mode == "--dsse" else ()
    done = run("sign", *NAMES, *key, "--cert", "signer.pem", mode, "f", cwd=work)
    assert done.code == 2
    assert f"{mode} is for one bundle, and 3 are named" in done.err


def test_the_blocks_of_several_bundles_are_listed_and_removed(work: Path) -> None:
    assert sign(work, *NAMES).code == 0
    done = run("sign", *NAMES, "--list", cwd=work)
    assert [line for line in done.out.splitlines() if line[0] != " "] == [
        f"{name}: 1 signature block; this says nothing about trust; `modseal verify` does" for name in NAMES
    ]
    done = run("sign", *NAMES, "--remove", signer().fingerprint, cwd=work)
    assert done.code == 0
    assert [sha256(work / name) in done.out for name in NAMES] == [True, True, True]
    assert (work / "a.seal").read_bytes() == make("seal", name="a").unsigned().data


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpensslTsa]:
    with serving(OpensslTsa(tmp_path_factory.mktemp("authority") / "tsa", tsa())) as running:
        yield running


@pytest.mark.skipif(not OPENSSL, reason="no openssl")
def test_several_bundles_get_timestamps_with_one_line_each(work: Path, server: OpensslTsa) -> None:
    (work / "tsa.pem").write_bytes(tsa_root().pem)
    assert sign(work, "a.seal", "b.vib").code == 0
    arguments = ("timestamp", "a.seal", "c.seal", "b.vib", "--tsa", server.url, "--tsa-anchor", "tsa.pem")
    done = run(*arguments, cwd=work, leaves=("a.seal", "b.vib"))
    assert done.code == 2
    assert "c.seal: not signed; sign it first" in done.err
    assert done.out.splitlines() == [
        *(f"{name}: 1 timestamp added, sha256 {sha256(work / name)}" for name in ("a.seal", "b.vib")),
        NOTE,
    ]
