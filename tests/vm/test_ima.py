"""What is exported for IMA and fs-verity under Debian's own signed kernel, in QEMU, on an ext4 that has fs-verity.

There is no Secure Boot here: neither needs a key of the firmware.
"""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

from builders import guest, hosts
from builders.guest import put, put_program, run
from builders.pki import NOW
from modseal.packing.host_export import write
from modseal.signing import keys
from modseal.signing.signer import Signer

HERE = Path(__file__).parent
TRIES: list[dict[str, str]] = tomllib.loads((HERE / "ima.toml").read_text("utf-8"))["try"]
MARK = b"THE-BYTES-THAT-ARE-DAMAGED"
BUILT = {
    "CONFIG_IMA_APPRAISE": "y",
    "CONFIG_FS_VERITY_BUILTIN_SIGNATURES": "y",
    "CONFIG_INTEGRITY_TRUSTED_KEYRING": None,  # so the keyring is `_ima`, and takes any key until it is restricted
    "CONFIG_IMA_WRITE_POLICY": None,  # so a policy is loaded once
    "CONFIG_IMA_APPRAISE_MODSIG": None,  # so Debian's signature of a kernel module does not count
}


def test_what_the_kernel_is_built_with_is_what_the_documentation_says(kernel: Path) -> None:
    text = (kernel.parent / kernel.name.replace("vmlinuz", "config")).read_text()
    built = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_"))
    assert {name: built.get(name) for name in BUILT} == BUILT


def programs(folder: Path) -> dict[str, bytes]:
    (folder / "one.c").write_text(
        '#include <stdio.h>\n__attribute__((constructor)) static void begin(void) { puts("REACHED"); }\n'
    )
    run("gcc", "-O2", "-static", "-s", "-w", "-o", folder / "hello", HERE / "guest.c")
    run("gcc", "-O2", "-s", "-w", "-o", folder / "dynamic", HERE / "guest.c", "-ldl")
    run("gcc", "-O2", "-s", "-shared", "-fPIC", "-o", folder / "libone.so", folder / "one.c")
    hello = (folder / "hello").read_bytes()
    found = {"bin/hello": hello, "bin/second": hello + b"2", "bin/third": hello + b"3", "bin/verity": hello + MARK}
    found |= {"bin/dynamic": (folder / "dynamic").read_bytes(), "lib/libone.so": (folder / "libone.so").read_bytes()}
    return {f"opt/m/{name}": data for name, data in found.items()}


def signatures(folder: Path, files: dict[str, Path], owner: str) -> str:
    """`security.ima` as evmctl signs, for `setfattr --restore`: by path in the guest, of files here."""
    text = ""
    for name, file in files.items():
        copy = folder / "to-sign"
        put(copy, file)
        run("evmctl", "ima_sign", "-a", "sha256", "--sigfile", "--key", folder / f"{owner}.key", copy)
        value = Path(f"{copy}.sig").read_bytes().hex()
        text += f"# file: {name}\nsecurity.ima=0x{value}\n\n"
    return text


def signer_of(folder: Path, name: str) -> Signer:
    guest.new_key(folder, name)
    run("openssl", "x509", "-in", folder / f"{name}.pem", "-outform", "der", "-out", folder / f"{name}.der")
    return keys.open(str(folder / f"{name}.key"), folder / f"{name}.pem", (), None)


def disk(folder: Path) -> Path:
    """An ext4 with a system, an installed module, and what is exported for it."""
    owner, stranger = signer_of(folder, "owner"), signer_of(folder, "stranger")
    host = hosts.host(folder)
    content = programs(folder)
    host.installed(host.bundle("m", "1.0", files=content, modes=dict.fromkeys(content, 0o755)))
    root = guest.new_root(folder / "system")
    put_program(root, "busybox", "usr/bin/busybox")
    for name in run(root / "usr/bin/busybox", "--list").split():
        if name not in ("busybox", "setfattr"):
            (root / "usr/bin" / name).symlink_to("busybox")
    for name in ("keyctl", "setfattr", "fsverity"):
        put_program(root, name, f"usr/bin/{name}")
    put_program(root, "/bin/true", "usr/lib/true")
    system = {str(one.relative_to(root)): one for one in root.rglob("*") if one.is_file() and not one.is_symlink()}
    place = root / "x"
    place.mkdir()
    write(host.root, "ima", place / "ima", NOW, owner)
    write(host.root, "fsverity", place / "fsverity", NOW, owner)
    write(host.root, "fsverity", folder / "by-stranger", NOW, stranger)
    for name, data in content.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755)
    for one in (folder / "by-stranger/signatures").iterdir():
        put(place / "stranger" / one.name, one)
    for name in ("owner", "stranger"):
        put(place / f"{name}.der", folder / f"{name}.der")
    (place / "system.ima").write_text(signatures(folder, system, "owner"))
    for name in ("by-stranger", "by-other"):
        put(place / name, folder / "hello")
    (place / "by-other").write_bytes(content["opt/m/bin/hello"] + b"other")
    exported = (place / "ima/security.ima").read_text().split("\n\n")
    (value,) = (one.splitlines()[1] for one in exported if one.startswith("# file: opt/m/bin/hello\n"))
    (place / "stranger.ima").write_text(
        signatures(folder, {"x/by-stranger": folder / "hello"}, "stranger") + f"# file: x/by-other\n{value}\n\n"
    )
    (place / "script").write_text("#!/bin/sh\necho REACHED\n")
    (place / "script").chmod(0o755)
    digest = next(line for line in (place / "fsverity/digests.txt").read_text().splitlines() if "bin/verity" in line)
    head = [f"VERITY={digest.split()[0].removeprefix('sha256:')}", (HERE / "ima-head.sh").read_text()]
    lines = [f"t {one['name']} {shlex.quote(one['command'])}" for one in TRIES]
    end = ["echo RESULT end runs > /dev/console", "poweroff -f", ""]
    (place / "tries.sh").write_text("\n".join([*head, *lines, *end]))
    file = folder / "disk.ext4"
    run("mkfs.ext4", "-q", "-O", "verity", "-b", "4096", "-d", root, file, "64M")
    (folder / "at").write_text(str(file.read_bytes().index(MARK)))
    return file


@pytest.fixture(scope="module")
def results(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """What came of each try: `runs` or `denied`, and the last line that it has said."""
    for name in ("evmctl", "keyctl", "setfattr", "fsverity"):
        if not guest.has(name):
            pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("ima")
    top = folder / "top"
    put(top / "disk.ext4", disk(folder))
    put(top / "at", folder / "at")
    guest.put_kernel_modules(top, kernel, ["loop", "dummy"])
    (top / "mods/order").write_text("loop")
    put_program(top, "busybox", "bin/busybox")
    put(top / "init", HERE / "init-ima.sh")
    (top / "init").chmod(0o755)
    console = guest.boot(kernel, guest.initramfs(top, folder / "initrd"), "")
    (folder / "console.txt").write_text(console)
    found = guest.results(console)
    guest.record([{"by": one["kind"], "what": one["what"], "outcome": found[one["name"]][0],
                   "closed": one.get("closed", "")} for one in TRIES], "ima", kernel)  # fmt: skip
    return found


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one["name"])
def test_what_comes_of_a_try(results: dict[str, tuple[str, str]], one: dict[str, str]) -> None:
    outcome, said = results[one["name"]]
    assert outcome == one["outcome"], said
