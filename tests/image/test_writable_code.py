"""No file of an image asks for memory that is writable and code, wherever in the image it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import elf_files, hosts, image_builds
from builders.elf_files import CODE, DATA, STACK, program
from builders.pki import NOW
from modseal.errors import RefusedError
from modseal.format.manifest import FileType
from modseal.host import export
from modseal.image import generation, initramfs, root, writable_code
from modseal.image.debian import PackageFile

STACK_OF_CODE = program((CODE, DATA, (STACK[0], 7, 0, 0)))


@pytest.mark.parametrize(
    "data",
    [
        program(),
        program((CODE, DATA, STACK, STACK)),
        program((STACK,)),
        program(type_=2),
        program(type_=1, rows=()),  # an object, as kernel modules are
        program(type_=1, rows=(), machine=247),  # of eBPF
        b"",
        b"\x7fEL",
        b"#!/usr/bin/site-agent\n",
        b"MZ" + bytes(100),
    ],
)
def test_what_linkers_make_and_what_nobody_starts_is_fine(data: bytes) -> None:
    writable_code.require_none("opt/acme/run", data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (STACK_OF_CODE, "it asks for a stack that is code"),
        (program((CODE, (STACK[0], 1, 0, 0))), "it asks for a stack that is code"),
        (program((CODE, (STACK[0], 7, 0, 0), STACK)), "it asks for a stack that is code"),
        (program((CODE, STACK, (STACK[0], 7, 0, 0))), "it asks for a stack that is code"),
        (program((CODE, DATA)), "it does not say that its stack is no code"),
        (program(()), "it does not say that its stack is no code"),
        (program((CODE, STACK, (1, 7, 4096, 4096))), "a part of it is writable and code"),
        (program((CODE, STACK, (1, 3, 0, 4096))), "a part of it is writable and code"),
        (program((STACK, (1, 5, 4096, 8192))), "larger in memory than in the file"),
        (program((STACK, (1, 1, 0, 1))), "larger in memory than in the file"),
        (program(machine=3), "another machine"),
        (b"\x7fELF", "its header is cut off"),
        (program(type_=0), "neither a program nor a library"),
    ],
)
def test_what_asks_for_writable_code_or_leaves_that_open_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(RefusedError, match=f"^/opt/acme/data.bin of acme: .*{why}") as caught:
        writable_code.require_none("opt/acme/data.bin", data, "acme")
    assert caught.value.failure.code == "writable-code"
    assert caught.value.failure.evidence == {"path": "opt/acme/data.bin", "module": "acme"}


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_root_has_no_such_file(tmp_path: Path, mode: int) -> None:
    brought = PackageFile("usr/lib/x/liba.so", FileType.FILE, mode, STACK_OF_CODE)
    with pytest.raises(RefusedError, match=r"^/usr/lib/x/liba\.so: ") as caught:
        root.write(tmp_path / "root", {brought.path: brought})
    assert caught.value.failure.evidence == {"path": brought.path}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["usr/bin/python3.11", initramfs.LOADER, "usr/lib/x86_64-linux-gnu/libc.so.6"])
def test_process_1_is_started_from_no_such_file(name: str) -> None:
    files = {path: PackageFile(path, FileType.FILE, 0o755, data) for path, data in image_builds.PYTHON.items()}
    files[initramfs.LOADER] = PackageFile(initramfs.LOADER, FileType.FILE, 0o755, elf_files.program())
    initramfs.build(files, {}, [])
    files[name] = PackageFile(name, FileType.FILE, 0o755, STACK_OF_CODE)
    with pytest.raises(RefusedError, match="a stack that is code"):
        initramfs.build(files, {}, [])


@pytest.mark.parametrize("content", [STACK_OF_CODE, STACK_OF_CODE.ljust(5 << 20, b"\0")], ids=["small", "large"])
def test_a_module_has_no_such_file_whatever_its_name(tmp_path: Path, content: bytes) -> None:
    host = hosts.host(tmp_path)
    good = {"opt/acme-agent/run": elf_files.program(), "opt/acme-agent/empty": b""}
    host.installed(host.bundle(files=good))
    host.installed(host.bundle("other", files={"opt/other/notes.txt": content}))
    with host.store() as store:
        bad, fine = sorted(export.proved_modules(store, NOW), key=lambda one: one.name != "other")
        generation._require_no_writable_code(store, fine)
        with pytest.raises(RefusedError, match=r"^/opt/other/notes\.txt of other: "):
            generation._require_no_writable_code(store, bad)
