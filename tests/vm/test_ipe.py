"""The exported IPE policy and images under Debian's own signed kernel, in QEMU: `make vm`.

MODSEAL_VM is a folder with a kernel package unpacked: `boot/vmlinuz-*` and `lib/modules`. The kernel is signed once
more with a key of our own, which is in the firmware's db: so the kernel has it in its `.platform` keyring.
"""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from builders import hosts
from builders.pki import NOW
from modseal.format import verity
from modseal.packing.host_export import write
from modseal.signing import keys

HERE = Path(__file__).parent
MODULES = ("dm-mod", "dm-bufio", "reed_solomon", "libcrc32c", "lz4_decompress", "xxhash_generic", "loop", "erofs",
           "dm-verity")  # fmt: skip
TOOLS = ("qemu-system-x86_64", "sbsign", "virt-fw-vars", "mkfs.erofs", "veritysetup", "gcc", "cpio", "busybox")
OVMF = Path("/usr/share/OVMF")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SECONDS = 240


@pytest.fixture(scope="module")
def kernel() -> Path:
    folder = os.environ.get("MODSEAL_VM")
    if not folder:
        pytest.skip("MODSEAL_VM does not name an unpacked kernel package")
    for name in TOOLS:
        if not shutil.which(name, path=PATH):
            pytest.skip(f"{name} is not installed")
    if not (OVMF / "OVMF_CODE_4M.secboot.fd").exists():
        pytest.skip("ovmf is not installed")
    found = sorted(Path(folder).glob("boot/vmlinuz-*"))
    if not found:
        pytest.skip(f"{folder}/boot has no kernel")
    return found[-1]


def run(*command: object, **options: object) -> str:
    words = [str(one) for one in command]
    words[0] = shutil.which(words[0], path=PATH) or words[0]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def new_key(folder: Path, name: str) -> None:
    run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "3650",
        "-sha256", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=digitalSignature",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip


def libraries(program: str) -> list[Path]:
    words = [word for line in run("ldd", program).splitlines() for word in line.split()]
    return [Path(word) for word in words if word.startswith("/")]


def put(path: Path, source: Path | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, path)


def base_image(folder: Path, top: Path) -> bytes:
    """The system's own image: a shell, and what starts a dynamic program."""
    put(folder / "tree/bin/busybox", shutil.which("busybox", path=PATH) or "")
    for one in libraries("/bin/true"):
        put(folder / f"tree{one}", one)
    image = folder / "base.erofs"
    run("mkfs.erofs", "-T0", "--all-root", image, folder / "tree")
    data = image.read_bytes()
    data = data.ljust(-(-len(data) // 4096) * 4096, b"\0")
    root, hashes = verity.dm_verity([data], bytes(16))
    (top / "x/base.erofs").write_bytes(data + hashes)
    (top / "x/base.offset").write_text(str(len(data)))
    (top / "x/base.root").write_text(root.hex())
    return root


def programs(folder: Path) -> dict[str, bytes]:
    (folder / "one.c").write_text("int one(void) { return 1; }\n")
    run("gcc", "-O2", "-static", "-s", "-w", "-o", folder / "hello", HERE / "guest.c")
    run("gcc", "-O2", "-s", "-o", folder / "dynamic", HERE / "guest.c", "-ldl")
    run("gcc", "-O2", "-s", "-shared", "-fPIC", "-o", folder / "libone.so", folder / "one.c")
    names = {"hello": "bin", "dynamic": "bin", "libone.so": "lib"}
    return {f"opt/m/{place}/{name}": (folder / name).read_bytes() for name, place in names.items()}


def images(top: Path) -> None:
    """The module's image with each block changed, and one that is cut off: both below the root hash of the first."""
    *_, offset, name = (top / "x/out/roothashes.txt").read_text().split()
    data = bytearray((top / "x/out" / name).read_bytes())
    for at in range(4096, int(offset)):  # every block but the file system's first has one byte changed
        if at % 4096 == 100:
            data[at] ^= 1
    (top / "x/changed.erofs").write_bytes(data)
    (top / "x/stranger.erofs").write_bytes((top / "x/out" / name).read_bytes()[: int(offset)] + bytes(8192))


def initramfs(top: Path, kernel: Path) -> bytes:
    put(top / "bin/busybox", shutil.which("busybox", path=PATH) or "")
    tool = shutil.which("veritysetup", path=PATH) or ""
    put(top / "bin/veritysetup", tool)
    for one in libraries(tool):
        put(top / str(one).lstrip("/"), one)
    (top / "mods").mkdir()
    version = kernel.name.removeprefix("vmlinuz-")
    order = []
    for name in MODULES:
        found = list((kernel.parent.parent / "lib/modules" / version).rglob(f"{name}.ko.xz"))
        if found:
            (top / f"mods/{name}.ko").write_bytes(lzma.decompress(found[0].read_bytes()))
            order.append(name)
    (top / "mods/order").write_text(" ".join(order))
    for source, name in (("init.sh", "init"), ("tries.sh", "tries.sh")):
        put(top / name, HERE / source)
        (top / name).chmod(0o755)
    command = "find . -mindepth 1 -print0 | cpio -0o -H newc -R 0:0 --quiet"
    return subprocess.run(command, shell=True, cwd=top, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def results(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """One boot; what came of each try, by its name: an exit status, 126 for what the kernel did not let run."""
    folder = tmp_path_factory.mktemp("vm")
    top = folder / "top"
    (top / "x").mkdir(parents=True)
    for name in ("owner", "stranger"):
        new_key(folder, name)
    signer = {name: keys.open(str(folder / f"{name}.key"), folder / f"{name}.pem", (), None)
              for name in ("owner", "stranger")}  # fmt: skip
    base = (base_image(folder, top),)
    host = hosts.host(folder)
    content = programs(folder)
    host.installed(host.bundle("m", "1.0", files=content, modes=dict.fromkeys(content, 0o755)))
    write(host.root, "ipe", top / "x/older", NOW, signer["owner"], base)
    host.installed(host.bundle("n", "1.0"))
    host.remove("n")
    host.rollback(1)
    write(host.root, "ipe", top / "x/out", NOW, signer["owner"], base)
    write(host.root, "ipe", folder / "by-stranger", NOW, signer["stranger"], base)
    put(top / "x/stranger.p7b", folder / "by-stranger/modseal.pol.p7b")
    images(top)
    (folder / "initrd").write_bytes(initramfs(top, kernel))
    run("sbsign", "--key", folder / "owner.key", "--cert", folder / "owner.pem", "--output", folder / "kernel", kernel)
    owner = folder / "owner.pem"
    guid = str(uuid.uuid4())
    run("virt-fw-vars", "--input", OVMF / "OVMF_VARS_4M.fd", "--output", folder / "vars", "--set-pk", guid, owner,
        "--add-kek", guid, owner, "--add-db", guid, owner, "--secure-boot")  # fmt: skip
    flash = "if=pflash,format=raw,unit"
    said = subprocess.run(
        ["qemu-system-x86_64", "-M", "q35,smm=on", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
         "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
         "-nic", "none", "-global", "driver=cfi.pflash01,property=secure,value=on",
         "-drive", f"{flash}=0,readonly=on,file={OVMF}/OVMF_CODE_4M.secboot.fd",
         "-drive", f"{flash}=1,file={folder}/vars", "-kernel", str(folder / "kernel"),
         "-initrd", str(folder / "initrd"), "-append", "console=ttyS0 panic=-1 quiet"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False,
    ).stdout.decode(errors="replace")  # fmt: skip
    lines = [line[line.index("RESULT") :].split() for line in said.splitlines() if "RESULT" in line]
    found = {words[1]: int(words[2]) for words in lines if len(words) == 3}
    (folder / "console.txt").write_text(said)
    assert "end" in found, said[-3000:]
    return found


@pytest.mark.parametrize("name", ["policy", "signed", "ld-so-signed", "dlopen-signed"])
def test_what_is_signed_runs(results: dict[str, int], name: str) -> None:
    assert results[name] == 0
    assert results["enforce-is"] == 1


@pytest.mark.parametrize(
    "name",
    ["tmpfs-copy", "memfd", "ld-so-copy", "dlopen-copy", "initramfs", "changed-image-reads", "stranger-image-opens",
     "stranger-policy", "older-policy"],
)  # fmt: skip
def test_what_is_not_is_denied(results: dict[str, int], name: str) -> None:
    exit_of_the_loader = 127  # what must run by the same means does (`ld-so-signed`)
    denied = {"ld-so-copy": exit_of_the_loader, "tmpfs-copy": 126, "memfd": 126, "dlopen-copy": 126, "initramfs": 126}
    assert results[name] == denied.get(name, 1)


def test_a_script_given_to_an_interpreter_runs_all_the_same(results: dict[str, int]) -> None:
    assert results["script-by-interpreter"] == 7
