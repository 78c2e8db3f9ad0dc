"""What is exported for the kernel, held against the tools that it is for: fsverity, veritysetup, evmctl, openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import hosts
from builders.pki import NOW
from modseal import limits
from modseal.errors import ModsealError, RefusedError, UndecidedError
from modseal.format import verity
from modseal.host import export
from modseal.packing.host_export import write
from modseal.signing import keys
from modseal.signing.signer import Signer

FILES = {"opt/a/run": b"#!/bin/sh\n" + b"x" * 5000, "opt/a/empty": b"", "opt/a/large": b"y" * 700_000}


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def run(name: str, *arguments: object, cwd: Path | None = None) -> str:
    command = [tool(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def host(tmp_path: Path) -> hosts.Host:
    made = hosts.host(tmp_path)
    made.installed(made.bundle("acme-a", "1.0", files=FILES))
    return made


@pytest.fixture(scope="module")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernel-keys")
    command = (
        "req",
        "-new",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=owner",
        "-sha256",
        "-days",
        "3650",
    )
    run("openssl", *command, "-keyout", folder / "k.pem", "-out", folder / "c.pem")
    run("openssl", "x509", "-in", folder / "c.pem", "-outform", "der", "-out", folder / "c.der")
    return folder


@pytest.fixture
def signer(key_files: Path) -> Signer:
    return keys.open(str(key_files / "k.pem"), key_files / "c.pem", (), None)


def folder(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 3_000_000])
def test_the_digest_is_that_of_fsverity(tmp_path: Path, size: int) -> None:
    data = bytes(i * i % 251 for i in range(1000)) * (size // 1000 + 1)
    (tmp_path / "f").write_bytes(data[:size])
    leaves = verity.Leaves()
    leaves.update(data[:size])
    said = run("fsverity", "digest", tmp_path / "f").split()[0]
    assert said == f"sha256:{verity.fsverity_digest(leaves).hex()}"


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=9000), max_size=5))
def test_the_pieces_that_data_comes_in_do_not_matter(pieces: list[bytes]) -> None:
    whole, parts = verity.Leaves(), verity.Leaves()
    whole.update(b"".join(pieces))
    for piece in pieces:
        parts.update(piece)
    assert verity.fsverity_digest(whole) == verity.fsverity_digest(parts)


@pytest.mark.parametrize("blocks", [1, 2, 128, 129, 16385])
def test_veritysetup_makes_the_same_tree(tmp_path: Path, blocks: int) -> None:
    data = b"".join(i.to_bytes(4096, "big") for i in range(blocks))
    image = tmp_path / "image"
    image.write_bytes(data)
    root, tree = verity.dm_verity([data], bytes(range(16)))
    uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f"
    said = run("veritysetup", "format", "--salt=-", f"--uuid={uuid}", f"--hash-offset={len(data)}", image, image)
    assert f"Root hash:      \t{root.hex()}" in said
    assert image.read_bytes()[len(data) :].rstrip(b"\0") == tree.rstrip(b"\0")


def test_fsverity_signs_the_same(host: hosts.Host, tmp_path: Path, signer: Signer, key_files: Path) -> None:
    write(host.root, "fsverity", tmp_path / "out", NOW, signer)
    lines = (tmp_path / "out/digests.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["/opt/a/empty", "/opt/a/large", "/opt/a/run"]
    for line in lines:
        digest, path = line.split()
        installed = host.image / path[1:]
        assert run("fsverity", "digest", installed).split()[0] == digest
        theirs = tmp_path / "sig"
        run("fsverity", "sign", installed, theirs, f"--key={key_files / 'k.pem'}", f"--cert={key_files / 'c.pem'}")
        assert (tmp_path / f"out/signatures/{digest[7:]}.p7s").read_bytes() == theirs.read_bytes()


def test_evmctl_accepts_the_signatures(host: hosts.Host, tmp_path: Path, signer: Signer, key_files: Path) -> None:
    write(host.root, "ima", tmp_path / "out", NOW, signer)
    blocks = (tmp_path / "out/security.ima").read_text().strip().split("\n\n")
    assert len(blocks) == len(FILES)
    for block in blocks:
        name, value = block.splitlines()
        copy = tmp_path / "copy"
        shutil.copy(host.image / name.removeprefix("# file: "), copy)
        Path(f"{copy}.sig").write_bytes(bytes.fromhex(value.removeprefix("security.ima=0x")))
        run("evmctl", "ima_verify", "--sigfile", "--key", key_files / "c.der", copy)
        copy.write_bytes(copy.read_bytes() + b"!")
        with pytest.raises(AssertionError):
            run("evmctl", "ima_verify", "--sigfile", "--key", key_files / "c.der", copy)


def test_the_images_are_what_veritysetup_verifies(
    host: hosts.Host, tmp_path: Path, signer: Signer, key_files: Path
) -> None:
    tool("mkfs.erofs")
    out = tmp_path / "out"
    write(host.root, "ipe", out, NOW, signer)
    root, offset, name = (out / "roothashes.txt").read_text().split()
    run("veritysetup", "verify", f"--hash-offset={offset}", out / name, out / name, root)
    run("fsck.erofs", f"--extract={tmp_path / 'there'}", out / name)
    assert folder(tmp_path / "there") == FILES
    certificate = key_files / "c.pem"
    policy = out / "modseal.pol"
    command = ("smime", "-verify", "-inform", "der", "-in", f"{policy}.p7b", "-CAfile", certificate, "-purpose", "any")
    assert run("openssl", *command) == policy.read_text()
    assert policy.read_text().splitlines()[-1] == f"op=EXECUTE dmverity_roothash=sha256:{root} action=ALLOW"


def test_an_image_has_every_file_of_its_module(tmp_path: Path) -> None:
    tool("mkfs.erofs")
    made, files = hosts.host(tmp_path), {"usr/lib/extension-tool/run": b"#!/bin/sh\n"}
    made.installed(made.bundle("acme-a", "1.0", files=files))
    write(made.root, "ipe", tmp_path / "out", NOW)
    (image,) = (tmp_path / "out/images").iterdir()
    run("fsck.erofs", f"--extract={tmp_path / 'there'}", image)
    assert folder(tmp_path / "there") == files


def test_the_same_generation_gives_the_same_bytes(host: hosts.Host, tmp_path: Path) -> None:
    tool("mkfs.erofs")
    for name in ("one", "two"):
        write(host.root, "ipe", tmp_path / name, NOW)
    assert folder(tmp_path / "one") == folder(tmp_path / "two")


def test_the_lines_for_fapolicyd_say_what_sha256sum_says(host: hosts.Host, tmp_path: Path) -> None:
    write(host.root, "fapolicyd", tmp_path / "out", NOW)
    for line in (tmp_path / "out/modseal.trust").read_text().splitlines():
        path, size, sha256 = line.split()
        installed = host.image / path[1:]
        assert (str(installed.stat().st_size), sha256) == (size, run("sha256sum", installed).split()[0])


@pytest.mark.parametrize("kind", ["ipe", "ima", "fsverity", "fapolicyd"])
def test_a_module_that_the_policy_no_longer_accepts_ends_the_export(
    host: hosts.Host, tmp_path: Path, kind: str
) -> None:
    host.set_policy(minimum="certified")
    with pytest.raises(RefusedError) as caught:
        write(host.root, kind, tmp_path / "out", NOW)  # type: ignore[arg-type]
    assert caught.value.failure.evidence["module"] == "acme-a"
    assert not (tmp_path / "out").exists()


def test_a_changed_object_is_not_exported(host: hosts.Host, tmp_path: Path, signer: Signer) -> None:
    (host.image / "opt/a/run").write_bytes(b"evil")
    for kind in ("ima", "fsverity", "ipe"):
        with pytest.raises(UndecidedError, match="was changed"):
            write(host.root, kind, tmp_path / "out", NOW, signer)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()


def test_a_policy_that_the_kernel_would_refuse_for_its_size_is_none() -> None:
    roots = [i.to_bytes(32, "big") for i in range(560)]
    assert len(export.ipe_policy(1, roots[:500])) < limits.IPE_POLICY_SIZE
    with pytest.raises(ModsealError, match=str(limits.IPE_POLICY_SIZE)) as caught:
        export.ipe_policy(1, roots)
    assert caught.value.failure.code == "limit-exceeded"


def test_the_version_grows_with_every_change(host: hosts.Host, tmp_path: Path) -> None:
    assert [export.ipe_version(one) for one in (7, 65_536, 65_536**2 + 1)] == ["0.0.7", "0.1.0", "1.0.1"]
    host.installed(host.bundle("acme-b", "1.0"))
    write(host.root, "ipe", tmp_path / "before", NOW)
    host.rollback()
    write(host.root, "ipe", tmp_path / "after", NOW)
    versions = [
        int((tmp_path / one / "modseal.pol").read_text().splitlines()[0].rpartition(".")[2])
        for one in ("before", "after")
    ]
    assert versions[0] < versions[1]
