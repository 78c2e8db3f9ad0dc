"""The initramfs: what is in it, in which order the kernel's modules come, and that cpio reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from modseal.errors import SpecError
from modseal.format.manifest import FileType
from modseal.image import initramfs
from modseal.image.debian import PackageFile


def files(*paths: str, **contents: bytes) -> dict[str, PackageFile]:
    return {path: PackageFile(path, FileType.FILE, 0o644, contents.get(path, b"x")) for path in paths}


def kernel(depends: dict[str, str], built_in: str = "") -> dict[str, PackageFile]:
    found = {
        f"usr/lib/modules/6/kernel/{name}.ko": b"ELF\0license=GPL\0depends=" + need.encode() + b"\0"
        for name, need in depends.items()
    }
    found["usr/lib/modules/6/modules.builtin"] = built_in.encode()
    return {path: PackageFile(path, FileType.FILE, 0o644, data) for path, data in found.items()}


def test_modules_come_after_what_they_depend_on_and_those_that_are_built_in_are_left_out() -> None:
    package = kernel({"dm-verity": "dm-mod,reed", "dm-mod": "", "reed": "", "other": ""}, "kernel/fs/ext4.ko\n")
    assert list(initramfs.kernel_modules(package, ["ext4", "dm-verity"])) == ["dm_mod", "reed", "dm_verity"]


def test_a_module_that_the_kernel_does_not_have_is_named() -> None:
    with pytest.raises(SpecError, match=r"^kernel\.modules: .*no module floppy") as caught:
        initramfs.kernel_modules(kernel({"dm-mod": ""}), ["floppy"])
    assert caught.value.failure.evidence["cause"] == "image-spec"


PACKAGES = files(
    "usr/bin/python3.11",
    "usr/lib64/ld-linux-x86-64.so.2",
    *(f"usr/lib/x86_64-linux-gnu/{name}" for name in initramfs._LIBRARIES),
    *(f"usr/lib/python3.11/{name}.py" for name in initramfs._STDLIB),
    "usr/lib/python3.11/lib-dynload/_ctypes.so",
)


def test_it_has_no_shell_and_nothing_but_what_opens_the_root(tmp_path: Path) -> None:
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed")
    data = initramfs.build(PACKAGES, kernel({"dm-mod": ""}), ["dm-mod"])
    listed = subprocess.run(
        ["cpio", "-it", "--quiet"], input=zstandard.ZstdDecompressor().decompressobj().decompress(data),
        capture_output=True, check=True,
    ).stdout.decode().splitlines()  # fmt: skip
    assert [one for one in listed if one.startswith("usr/bin/")] == ["usr/bin/python3"]
    assert [one for one in listed if one.startswith("modules/")] == ["modules/dm_mod.ko", "modules/order"]
    assert [one for one in listed if "/modseal/boot/" in one] == [
        f"usr/lib/modseal/modseal/boot/{name}.py" for name in ("__init__", "first", "mapper", "syscalls")
    ]


def test_the_same_files_give_the_same_bytes() -> None:
    first = initramfs.build(PACKAGES, kernel({"dm-mod": ""}), ["dm-mod"])
    assert initramfs.build(dict(reversed(PACKAGES.items())), kernel({"dm-mod": ""}), ["dm-mod"]) == first


@pytest.mark.parametrize("missing", ["usr/bin/python3.11", "usr/lib64/ld-linux-x86-64.so.2"])
def test_what_no_package_brings_is_named(missing: str) -> None:
    packages = {path: one for path, one in PACKAGES.items() if path != missing}
    with pytest.raises(SpecError, match=re.escape("no package brings")):
        initramfs.build(packages, kernel({}), [])


def test_the_first_program_imports_nothing_that_the_initramfs_does_not_have() -> None:
    code = "import sys; from modseal.boot import first; print(*(n for n in sys.modules if n.startswith('modseal')))"
    tools = Path(initramfs.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-IBSc", f"import sys; sys.path.append({str(tools)!r}); {code}"],
        capture_output=True,
        text=True,
    )
    assert sorted(done.stdout.split()) == ["modseal", "modseal.boot", "modseal.boot.first", "modseal.boot.mapper",
        "modseal.boot.syscalls"], done.stderr  # fmt: skip
