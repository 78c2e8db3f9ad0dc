"""Small host images: packages, wheels, keys, a module and a host.toml from which a build makes every part of one.

The packages' interpreter is the one of this machine, which their loader starts.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZipFile

from builders import images, pki, served
from builders.pki import NOW
from modseal.image import build as building
from modseal.image import initramfs, spec
from modseal.image.build import Built
from modseal.signing import keys

CONTROL = "Package: {}\nVersion: 1:2.0~rc-1\nArchitecture: {}\nMaintainer: A <a@example.com>\nDescription: x\n y: z\n"
LOADER = f"""#!/bin/sh
unset PYTHONHOME
shift 3
exec {sys.executable} "$@"
"""
PYTHON = {
    "usr/bin/python3.11": b"python",
    "lib64/ld-linux-x86-64.so.2": LOADER.encode(),
    **{f"usr/lib/x86_64-linux-gnu/{name}": name.encode() for name in initramfs._LIBRARIES},
    **{f"usr/lib/python3.11/{name}.py": b"x = {'a', 'b', 'c'}\n" for name in initramfs._STDLIB},
    "usr/lib/python3.11/lib-dynload/_ctypes.cpython-311-x86_64-linux-gnu.so": b"ctypes",
}
KERNEL = {"boot/vmlinuz-6.12.1": b"kernel", "lib/modules/6.12.1/modules.builtin": b""}
STUB = {"usr/lib/systemd/boot/efi/linuxx64.efi.stub": images.program(b"stub")}
SERVE = '[serve]\ncertificate = "server.pem"\nkey = "server.key"\n[[serve.client]]\nca = "ca.pem"\ngrants = "reader"\n'
NETWORK = '[network]\naddress = "10.0.2.15"\nprefix = 24\n'


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """An entry of a package, of whatever kind."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, 0o755
    return made


def debian(
    path: Path, entries: Iterable[tarfile.TarInfo], contents: Mapping[str, bytes] = {}, architecture: str = "amd64"
) -> Path:
    """A Debian package with these entries, whatever they are."""

    def archive(rows: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as file:
            for one, data in rows:
                one.size = len(data)
                file.addfile(one, io.BytesIO(data))
        return out.getvalue()

    control = archive([(tarfile.TarInfo("./control"), CONTROL.format(path.stem, architecture).encode())])
    content = archive((one, contents.get(one.name, b"")) for one in entries)
    members = [(b"debian-binary", b"2.0\n"), (b"control.tar", control), (b"data.tar", content)]
    rows = (b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (one, 0, 0, 0, b"100644", len(data)) + data for one, data in members)
    path.write_bytes(b"!<arch>\n" + b"".join(rows))
    return path


def make(folder: Path, *, more: str = NETWORK + SERVE) -> Path:
    """A host.toml with all that it names."""
    for name, contents in (("python", PYTHON), ("kernel", KERNEL), ("stub", STUB)):
        debian(folder / f"{name}.deb", map(entry, contents), contents)
    for name, file in (("modseal", "modseal/boot/machine.py"), ("aiohttp", "aiohttp/__init__.py")):
        with ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(file, b"x = 1\n")
    (folder / "vars.fd").write_bytes(images.empty_store())
    maker = served.make(folder).host
    folder.chmod(0o700)  # an image is written beside it
    maker.bundle("acme", files={"opt/acme/run": b"acme", "usr/lib/acme/data": b"data"})
    for number, name in enumerate(("pk", "kek", "db")):
        made = pki.issue(name, key=pki.new_key("rsa", number))
        (folder / f"{name}.pem").write_bytes(made.pem)
        (folder / f"{name}.key").write_bytes(made.key_pem)
        (folder / f"{name}.key").chmod(0o600)

    def pinned(name: str) -> str:
        return f'file = "{name}"\nsha256 = "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"\n'

    (folder / "host.toml").write_text(
        'schema = "modseal/image@1"\nname = "edge"\nversion = 3\npolicy = "policy.toml"\ndata-size = 16\n'
        "released = 2025-12-31T12:00:00Z\n"
        'keys = {pk = "pk.pem", kek = "kek.pem", db = {key = "db.key", cert = "db.pem"}}\n'
        f"[kernel]\nmodules = []\n{pinned('kernel.deb')}[stub]\n{pinned('stub.deb')}[firmware]\n{pinned('vars.fd')}"
        f"[[package]]\n{pinned('python.deb')}[[wheel]]\n{pinned('modseal-1.0-py3-none-any.whl')}"
        f"[[wheel]]\n{pinned('aiohttp-1.0-py3-none-any.whl')}"
        f'[[module]]\nfile = "acme-1.0.seal"\n{more}'
    )
    return folder / "host.toml"


def build(path: Path, out: Path) -> Built:
    """Build the image of a host.toml."""
    found = spec.read(path)
    return building.build(found, keys.open(found.db_key, found.db_cert, (), lambda: b""), out, NOW)
