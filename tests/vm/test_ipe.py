"""The exported IPE policy and images under Debian's own signed kernel, in QEMU: what runs, and every way round.

The kernel is signed once more with a key of our own, which is in the firmware's db: so the kernel has it in its
`.platform` keyring. One guest has the policy alone; the other one starts `modseal-init` first, and then a real systemd.
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

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "tools/modseal"
MODULES = ("dm-mod", "dm-bufio", "reed_solomon", "libcrc32c", "lz4_decompress", "xxhash_generic", "loop", "erofs",
           "dm-verity", "overlay", "binfmt_misc")  # fmt: skip
TRIES: list[dict[str, str]] = tomllib.loads((HERE / "tries.toml").read_text("utf-8"))["try"]
UNIT = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\n"
OWN_UNIT = """CapabilityBoundingSet=~
AmbientCapabilities=CAP_MAC_ADMIN
MemoryDenyWriteExecute=no
ExecStart=-/bin/sh -c '/m/opt/m/bin/hello private /m/opt/m/bin/hello > /run/own 2>&1'
ExecStart=/bin/sh -c 'echo 0 > /sys/kernel/security/ipe/enforce'
"""


def programs(folder: Path) -> dict[str, bytes]:
    (folder / "one.c").write_text(
        '#include <stdio.h>\n__attribute__((constructor)) static void begin(void) { puts("REACHED"); }\n'
    )
    run("gcc", "-O2", "-static", "-s", "-w", "-o", folder / "hello", HERE / "guest.c")
    run("gcc", "-O2", "-s", "-w", "-o", folder / "dynamic", HERE / "guest.c", "-ldl")
    run("gcc", "-O2", "-s", "-shared", "-fPIC", "-o", folder / "libone.so", folder / "one.c")
    names = {"hello": "bin", "dynamic": "bin", "libone.so": "lib"}
    found = {f"opt/m/{place}/{name}": (folder / name).read_bytes() for name, place in names.items()}
    return found | {"opt/m/lib/data.evil": b"data"}


def system(top: Path) -> Path:
    """The guest's own system: a shell, systemd with one service, and modseal-init."""
    guest.new_root(top)
    put_program(top, "busybox", "usr/bin/busybox")
    for name in run(top / "usr/bin/busybox", "--list").split():
        if name != "busybox" and not (top / "usr/bin" / name).exists():
            (top / "usr/bin" / name).symlink_to("busybox")
    for name in ("veritysetup", "dmsetup", "setfattr"):
        (top / "usr/bin" / name).unlink(missing_ok=True)
        put_program(top, name, f"usr/bin/{name}")
    put_program(top, "/bin/true", "usr/lib/true")
    for name in ("m", "spare", "bad", "stranger", "mnt"):
        (top / name).mkdir()
    put_program(top, "/lib/systemd/systemd", "usr/lib/systemd/systemd")
    put_program(top, "systemctl", "usr/bin/systemctl")
    (top / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
    (top / "etc/machine-id").touch()
    units = top / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "default.target").write_text("[Unit]\nRequires=tries.service\n")
    (units / "tries.service").write_text(f"{UNIT}ExecStart=/bin/sh /run/x/tries.sh\n")
    python = guest.put_python(top, "typing, ctypes, pathlib, encodings.ascii, encodings.utf_8, __future__")
    for name in ("__init__.py", "host/__init__.py", "host/first_process.py", "host/ways_round.py"):
        put(top / "usr/lib/modseal/modseal" / name, PACKAGE / name)
    first = f"#!{python} -I\nimport sys\nsys.path.insert(0, '/usr/lib/modseal')\n"
    (top / "usr/bin/modseal-init").write_text(f"{first}from modseal.host.first_process import main\nmain()\n")
    (top / "usr/bin/modseal-init").chmod(0o755)
    return top


def changed_image(data: bytes, offset: int) -> bytes:
    changed = bytearray(data)
    for at in range(4096, offset):  # every block but the file system's first has one byte changed
        if at % 4096 == 100:
            changed[at] ^= 1
    return bytes(changed)


def write_image(tree: Path, place: Path, name: str) -> bytes:
    root, offset = guest.verity_image(tree, place / f"{name}.erofs")
    (place / f"{name}.offset").write_text(str(offset))
    (place / f"{name}.root").write_text(root.hex())
    return root


@pytest.fixture(scope="module")
def consoles(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the two guests have said."""
    folder = tmp_path_factory.mktemp("vm")
    top = folder / "top"
    place = top / "x"
    place.mkdir(parents=True)
    for name in ("owner", "stranger"):
        guest.new_key(folder, name)
    signer = {name: keys.open(str(folder / f"{name}.key"), folder / f"{name}.pem", (), None)
              for name in ("owner", "stranger")}  # fmt: skip
    base = (write_image(system(folder / "system"), place, "base"),)
    host = hosts.host(folder)
    content = programs(folder)
    host.installed(host.bundle("m", "1.0", files=content, modes=dict.fromkeys(content, 0o755)))
    write(host.root, "ipe", place / "older", NOW, signer["owner"], base)
    host.installed(host.bundle("n", "1.0"))
    host.remove("n")
    host.rollback(1)
    write(host.root, "ipe", place / "out", NOW, signer["owner"], base)
    write(host.root, "ipe", folder / "by-stranger", NOW, signer["stranger"], base)
    put(place / "stranger.p7b", folder / "by-stranger/modseal.pol.p7b")
    _, offset, image = (place / "out/roothashes.txt").read_text().split()
    (place / "changed.erofs").write_bytes(changed_image((place / "out" / image).read_bytes(), int(offset)))
    for name, data in content.items():
        other = folder / "stranger-tree" / name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(data)
        other.chmod(0o755)
    write_image(folder / "stranger-tree", place, "stranger")
    run("mkfs.ext4", "-q", "-d", folder / "stranger-tree/opt/m/bin", place / "other.ext4", "4M")
    signed, firmware = guest.secure_boot(folder, kernel, "owner")
    put(place / "kernel", signed)
    (place / "script").write_text("#!/bin/sh\necho REACHED\n")
    (place / "script").chmod(0o755)
    (place / "helper.sh").write_text("echo 0 > /sys/kernel/security/ipe/enforce\n")
    (place / "own.service").write_text(UNIT + OWN_UNIT)
    guest.put_kernel_modules(top, kernel, MODULES)
    put_dummy(top, place, kernel)
    put_program(top, "busybox", "bin/busybox")
    put_program(top, "veritysetup", "bin/veritysetup")
    put(top / "init", HERE / "init-ipe.sh")
    (top / "init").chmod(0o755)
    lines = {kind: [f"t {one['name']} {shlex.quote(one['command'])}" for one in TRIES if kind in one]
             for kind in ("alone", "shipped")}  # fmt: skip
    said = {}
    for kind, options in (("alone", ""), ("shipped", "shipped proc_mem.force_override=never")):
        end = ("echo RESULT end runs > /dev/console", "poweroff -f", "")
        (place / "tries.sh").write_text((HERE / "tries-head.sh").read_text() + "\n".join([*lines[kind], *end]))
        said[kind] = guest.boot(signed, guest.initramfs(top, folder / "initrd"), options, firmware)
        (folder / f"{kind}.txt").write_text(said[kind])
    return said


def put_dummy(top: Path, place: Path, kernel: Path) -> None:
    """A module that is not loaded, as Debian has signed it and with one byte changed."""
    other = place.parent / "other"
    other.mkdir()
    guest.put_kernel_modules(other, kernel, ["dummy"])
    put(top / "mods/dummy.ko", other / "mods/dummy.ko")
    data = bytearray((other / "mods/dummy.ko").read_bytes())
    data[2000] ^= 1
    (place / "changed.ko").write_bytes(data)


@pytest.fixture(scope="module")
def results(consoles: dict[str, str], kernel: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """What came of each try, by guest and name."""
    found = {kind: guest.results(console) for kind, console in consoles.items()}
    rows = [
        {"what": one["what"], "closed": one.get("closed", "")}
        | {kind: found[kind][one["name"]][0] for kind in ("alone", "shipped") if kind in one}
        for one in TRIES
    ]
    guest.record(rows, "ipe", kernel)
    return found


@pytest.mark.parametrize("kind", ["alone", "shipped"])
@pytest.mark.parametrize("one", TRIES, ids=lambda one: one["name"])
def test_what_comes_of_a_try(results: dict[str, dict[str, tuple[str, str]]], one: dict[str, str], kind: str) -> None:
    if kind not in one:
        pytest.skip("it takes a systemd")
    outcome, said = results[kind][one["name"]]
    assert outcome == one[kind], said
