"""Makes what the benchmarks run on: modules, bundles and packages of the same content, the same on every machine.

Runs in a process of its own (`python corpus.py small|medium|large|huge DIR COUNT|BYTES`): the one that measures
stays small.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB
FILE_SIZE = 16 * MIB
"""Bytes of each file of a large module."""

PACKAGES = 500
"""Packages that are made and signed; where there are more bundles, each has several names."""

_POOL = 8 * MIB
_TOML = """\
schema = "modseal/module@1"
vendor = "Acme"
name = "{name}"
version = "1.0-1"
level = "partner"
summary = "Benchmark"
description = "Benchmark"
released = 2026-01-31T12:00:00Z

[[payload]]
root = "files"
prefix = "opt/{name}"
"""

_SPEC_HEAD = """\
%global _binary_payload w9.zstdio
%global __os_install_post %{nil}
%global _build_id_links none
Name: bench
Version: 1.0
Release: 1
Summary: Benchmark
License: none
BuildArch: noarch
AutoReqProv: no
%description
Benchmark
"""
_SPEC_PACKAGE = """\
%package -n {name}
Summary: Benchmark
AutoReqProv: no
%description -n {name}
Benchmark
%files -n {name}
/opt/{name}
"""
_SPEC_INSTALL = """\
mkdir -p %{{buildroot}}/opt
cp -al '{files}' %{{buildroot}}/opt/{name}
"""


def small_modules(folder: Path, count: int) -> list[Path]:
    """Modules of 20 KB: three files that pack to two thirds."""
    source = random.Random(1)
    words = [source.randbytes(source.randint(2, 9)).hex() for _ in range(2000)]
    modules = [folder / f"small-{number:04}" for number in range(count)]
    for module in modules:
        for name in ("driver", "tool", "readme"):
            text = " ".join(source.choices(words, k=450)).encode()
            _write(module / "files" / name, iter([source.randbytes(2500), text]))
        _describe(module)
    return modules


def medium_modules(folder: Path, count: int) -> list[Path]:
    """Modules of about 10 MB, a third noise, half text, the rest zeros: bundles of about 5 MB."""
    source = random.Random(3)
    words = [source.randbytes(source.randint(2, 6)).hex() for _ in range(20_000)]
    text = " ".join(source.choices(words, k=_POOL // 8)).encode()
    modules = [folder / f"medium-{number:04}" for number in range(count)]
    for module in modules:
        for number in range(2):
            _write(module / "files" / f"part-{number}", _mix(source, text, 5 * MIB))
        _describe(module)
    return modules


def large_module(folder: Path, size: int) -> Path:
    """A module of that many bytes: a third noise, half text, the rest zeros; packs to about half."""
    module = folder / "large"
    source = random.Random(2)
    words = [source.randbytes(source.randint(2, 6)).hex() for _ in range(20_000)]
    text = " ".join(source.choices(words, k=_POOL // 8)).encode()
    for number in range(-(-size // FILE_SIZE)):
        length = min(FILE_SIZE, size - number * FILE_SIZE)
        _write(module / "files" / f"part-{number:03}", _mix(source, text, length))
    _describe(module)
    return module


def _mix(source: random.Random, text: bytes, size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        start = source.randrange(len(text) - MIB)
        yield source.randbytes(341 * KIB) + text[start : start + 512 * KIB] + bytes(171 * KIB)


def sparse_module(folder: Path, size: int) -> Path:
    """A module with one file of zeros that takes no room on the disk."""
    module = folder / "huge"
    _write(module / "files" / "image", iter(()))
    os.truncate(module / "files" / "image", size)
    _describe(module)
    return module


def host_module(module: Path, size: int) -> Path:
    """A module of 10,000 files of this size in 100 folders, none like another."""
    source = random.Random(size)
    for number in range(10_000):
        path = module / "files" / "opt" / "app" / f"d{number % 100:02}" / f"f{number:05}"
        _write(path, iter([source.randbytes(size)]))
    _describe(module)
    return module


def sized_module(module: Path, sizes: list[int]) -> None:
    """A module of files with these sizes, a third noise and the rest text, in folders of a hundred."""
    source = random.Random(4)
    for number, size in enumerate(sizes):
        noise = source.randbytes(min(size, MIB) // 3)
        block = (noise + b"All work and no play makes a dull module. " * (MIB // 40))[: min(size, MIB)]
        blocks = (block[: min(MIB, size - start)] for start in range(0, size, MIB))
        _write(module / "files" / f"d{number // 100:03}" / f"f{number:05}", blocks)
    _describe(module)


def members(archive: Path, paths: list[Path]) -> None:
    """Copy the first members of a bundle, each to a file."""
    data, start = archive.read_bytes(), 8
    for path in paths:
        size = int(data[start + 48 : start + 58])
        path.write_bytes(data[start + 60 : start + 60 + size])
        start += 60 + size + size % 2


def _describe(module: Path) -> None:
    (module / "module.toml").write_text(_TOML.format(name=module.name))


def _write(path: Path, blocks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(blocks)


def signed_bundles(modules: list[Path], keys: Path) -> None:
    """A signed `.seal` and `.vib` beside each module, made by modseal itself in one process for each core."""
    from modseal.cli.main import run

    signer = ["--key", str(keys / "partner/signer.key"), "--cert", str(keys / "partner/signer.pem")]

    def make(module: Path) -> None:
        for kind in ("seal", "vib"):
            bundle = str(module.with_suffix(f".{kind}"))
            if run(["pack", str(module), "-o", bundle, "--format", kind]) or run(["sign", bundle, *signer]):
                sys.exit(f"bench: {bundle} could not be made")

    _on_all_cores(modules, make)


def many_bundles(folder: Path, keys: Path, count: int) -> None:
    """That many different `.seal` of 2 KB: one module under as many names, each signed."""
    from dataclasses import replace

    from modseal.cli.main import run
    from modseal.format import ar, cms, manifest_json
    from modseal.format.source import BytesSource
    from modseal.signing import block, fitness, material
    from modseal.signing.keys import FileSigner

    module, bundle = folder / "many", folder / "many.seal"
    sized_module(module, [300])
    if run(["pack", str(module), "-o", str(bundle)]):
        sys.exit("bench: a bundle could not be made")
    data = bundle.read_bytes()
    first, _, *rest = ar.read(BytesSource(data))
    manifest = manifest_json.decode(data[first.offset : first.offset + first.size])
    payloads = b"".join(
        ar.encode_header(one.name, one.size) + data[one.offset : one.offset + one.size] + ar.padding(one.size)
        for one in rest
    )
    certificate = material.read_certificate(keys / "partner/signer.pem")
    signer = FileSigner(certificate, (), (), material.read_key(keys / "partner/signer.key", None).key)
    algorithm = fitness.choose_algorithm(certificate)

    def make(number: int) -> None:
        content = manifest_json.encode(replace(manifest, name=f"many-{number:06}"))
        signed = cms.join_blocks((block.build(content, signer, algorithm, None),))
        parts = [ar.MAGIC]
        for name, member in (("manifest.json", content), ("sig.pkcs7", signed)):
            parts += [ar.encode_header(name, len(member)), member, ar.padding(len(member))]
        path = folder / f"many-{number // 1000:03}" / f"{number:06}.seal"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join([*parts, payloads]))

    there = 1000 * len(list(folder.glob("many-*")))
    _on_all_cores(range(there, count), make)


def _on_all_cores(things: Sequence[T], make: Callable[[T], None]) -> None:
    """Call `make` with each thing, in one process for each core."""
    workers = os.cpu_count() or 1
    children = []
    for share in range(workers):
        child = os.fork()
        if child:
            children.append(child)
            continue
        try:
            for thing in things[share::workers]:
                make(thing)
        except BaseException:  # noqa: BLE001 - a fork that returned would go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if sum(os.waitpid(child, 0)[1] for child in children):  # each of them is waited for
        sys.exit("bench: bundles could not be made")


def rpm_command(modules: list[Path], folder: Path) -> list[str]:
    """The call of `rpmbuild` that packs each module as an unsigned package of its name, into `folder`/rpm."""
    top = folder / "rpmbuild"
    top.mkdir(exist_ok=True)
    install = "".join(_SPEC_INSTALL.format(name=module.name, files=module / "files") for module in modules)
    packages = "".join(_SPEC_PACKAGE.format(name=module.name) for module in modules)
    spec = top / f"{modules[0].name}.spec"
    spec.write_text(f"{_SPEC_HEAD}{packages}%install\n{install}")
    macros = {"_topdir": top, "_rpmdir": folder / "rpm", "_dbpath": top / "db", "_tmppath": top / "tmp"}
    return ["rpmbuild", "-bb", "--quiet", *(f"--define={key} {value}" for key, value in macros.items()), str(spec)]


def rpm_path(module: Path, folder: Path) -> Path:
    """Where `rpm_command` puts the package of a module."""
    return folder / "rpm" / "noarch" / f"{module.name}-1.0-1.noarch.rpm"


def last_member(archive: Path, out: Path) -> None:
    """Copy the last member of a bundle, its payload, to a file."""
    with archive.open("rb") as file, out.open("wb") as copy:
        start, size = 8, 0
        file.seek(start)
        while header := file.read(60):
            start, size = file.tell(), int(header[48:58])
            file.seek(size + size % 2, os.SEEK_CUR)
        file.seek(start)
        while size and (block := file.read(min(MIB, size))):
            copy.write(block)
            size -= len(block)


def main() -> None:
    """Make the modules that are asked for, and of small ones the bundles and, where rpm is there, the packages."""
    what, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "large":
        large_module(folder, size)
    elif what == "host":
        host_module(folder, size)
    elif what == "huge":
        sparse_module(folder, size)
    elif what == "many":
        many_bundles(folder, folder / "keys", size)
    else:
        modules = (medium_modules if what == "medium" else small_modules)(folder, size)
        signed_bundles(modules, folder / "keys")
        if shutil.which("rpmbuild") and shutil.which("rpmkeys"):
            subprocess.run(rpm_command(modules[:PACKAGES], folder), check=True)
        for module in modules:
            shutil.rmtree(module)


if __name__ == "__main__":
    main()
