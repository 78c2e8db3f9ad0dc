"""Machines for tests/vm: images, an initramfs and a kernel of Debian, booted in QEMU without KVM."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from modseal.format import verity

OVMF = Path("/usr/share/OVMF")
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
TOOLS = ("qemu-system-x86_64", "sbsign", "virt-fw-vars", "mkfs.erofs", "mkfs.ext4", "veritysetup", "gcc", "cpio",
         "busybox", "dmsetup", "openssl")  # fmt: skip
SECONDS = 240
_MERGED = ("bin", "sbin", "lib", "lib64")


def missing() -> str | None:
    """What is not installed here, or None."""
    for name in TOOLS:
        if not shutil.which(name, path=PATH):
            return f"{name} is not installed"
    return None if (OVMF / "OVMF_CODE_4M.secboot.fd").exists() else "ovmf is not installed"


def run(*command: object, **options: object) -> str:
    """The output of a command that must succeed."""
    words = [str(one) for one in command]
    words[0] = tool(words[0])
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def has(name: str) -> bool:
    """Whether a program is installed."""
    return shutil.which(name, path=PATH) is not None


def tool(name: str) -> str:
    return shutil.which(name, path=PATH) or name


def new_key(folder: Path, name: str) -> None:
    """NAME.key and NAME.pem: RSA, as kernel and firmware take it."""
    run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "3650",
        "-sha256", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=digitalSignature",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip


def put(path: Path, source: Path | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, path)


def new_root(top: Path) -> Path:
    """An empty root of a system whose /bin and /lib are those of /usr, with the folders to mount on."""
    for name in _MERGED:
        (top / "usr" / name).mkdir(parents=True)
        (top / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "run", "tmp", "etc"):
        (top / name).mkdir()
    return top


def put_program(top: Path, name: str, at: str = "") -> None:
    """A program of this machine with the libraries that it needs, below a root."""
    program = tool(name)
    put(top / (at or program).lstrip("/"), program)
    for library in _libraries(program):
        put(top / library.lstrip("/"), library)


def _libraries(program: str | Path) -> list[str]:
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(?:^|=> |\s)(/\S+) \(0x", done.stdout)


def put_python(top: Path, modules: str) -> Path:
    """This Python below a root, with the modules of the standard library that a list of names needs."""
    python = Path(sys.executable).resolve()
    put_program(top, str(python))
    code = f"import sys, {modules}; print(*(getattr(one, '__file__', None) or '' for one in sys.modules.values()))"
    for file in run(python, "-ISc", code).split():
        put(top / file.lstrip("/"), file)
        if ".so" in file:
            for library in _libraries(file):
                put(top / library.lstrip("/"), library)
    return python


def verity_image(tree: Path, file: Path) -> tuple[bytes, int]:
    """An erofs image of a tree with its dm-verity tree behind it: root hash, and where the tree begins."""
    run("mkfs.erofs", "-T0", "--all-root", file, tree)
    data = file.read_bytes()
    data = data.ljust(-(-len(data) // 4096) * 4096, b"\0")
    root, hashes = verity.dm_verity([data], bytes(16))
    file.write_bytes(data + hashes)
    return root, len(data)


def put_kernel_modules(top: Path, kernel: Path, names: Iterable[str]) -> None:
    """Modules of the kernel in /mods, and in /mods/order their order."""
    place = top / "mods"
    place.mkdir()
    folder = kernel.parent.parent / "lib/modules" / kernel.name.removeprefix("vmlinuz-")
    order = []
    for name in names:
        for file in folder.rglob(f"{name}.ko*"):
            data = file.read_bytes()
            (place / f"{name}.ko").write_bytes(lzma.decompress(data) if file.suffix == ".xz" else data)
            order.append(name)
    (place / "order").write_text(" ".join(order))


def initramfs(top: Path, file: Path) -> Path:
    command = f"find . -mindepth 1 -print0 | cpio -0o -H newc -R 0:0 --quiet > {file}"
    subprocess.run(command, shell=True, cwd=top, check=True)
    return file


def boot(kernel: Path, initrd: Path, options: str, extra: Sequence[str] = ()) -> str:
    """The console of a machine, from its start until it is off."""
    machine = ["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config",
               "-display", "none", "-serial", "stdio", "-no-reboot", "-nic", "none"]  # fmt: skip
    start = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", f"console=ttyS0 panic=-1 quiet {options}"]
    command = [tool("qemu-system-x86_64"), *machine, *(extra or ("-M", "q35")), *start]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    return done.stdout.decode(errors="replace")


def secure_boot(folder: Path, kernel: Path, owner: str) -> tuple[Path, list[str]]:
    """A kernel signed by OWNER.key, and the options of a machine that starts nothing that is not."""
    key, certificate = folder / f"{owner}.key", folder / f"{owner}.pem"
    signed = folder / "kernel"
    put(folder / "unsigned", kernel)
    run("sbattach", "--remove", folder / "unsigned")  # kexec looks at the first signature alone
    run("sbsign", "--key", key, "--cert", certificate, "--output", signed, folder / "unsigned")
    guid = str(uuid.uuid4())
    run("virt-fw-vars", "--input", OVMF / "OVMF_VARS_4M.fd", "--output", folder / "vars", "--set-pk", guid, certificate,
        "--add-kek", guid, certificate, "--add-db", guid, certificate, "--secure-boot")  # fmt: skip
    flash = "if=pflash,format=raw,unit"
    return signed, ["-M", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
                    "-drive", f"{flash}=0,readonly=on,file={OVMF}/OVMF_CODE_4M.secboot.fd",
                    "-drive", f"{flash}=1,file={folder}/vars"]  # fmt: skip


def results(console: str) -> dict[str, tuple[str, str]]:
    """What came of each try that a console tells of: `runs` or `denied`, and the last line that it has said."""
    lines = [line[line.index("RESULT ") :].strip().split(" ", 3) for line in console.splitlines() if "RESULT " in line]
    found = {words[1]: (words[2], " ".join(words[3:])) for words in lines if len(words) > 2}
    assert "end" in found, console[-3000:]
    return found


def record(rows: list[dict[str, str]], name: str, kernel: Path) -> None:
    """Keep what came of a guest's tries for docs/enforcement.md, if that is asked for."""
    table = os.environ.get("MODSEAL_VM_TABLE")
    if table:
        before = json.loads(Path(table).read_text("utf-8")) if Path(table).exists() else {}
        now = {"kernel": kernel.name.removeprefix("vmlinuz-"), "date": time.strftime("%Y-%m-%d"), name: rows}
        Path(table).write_text(json.dumps(before | now, indent=1) + "\n", "utf-8")
