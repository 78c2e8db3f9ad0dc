"""The root of a host: what its packages and wheels bring, without any program that runs files, and what the host is.

Paths are those of a merged /usr (https://systemd.io/THE_CASE_FOR_THE_USR_MERGE). Python's files are compiled by the
interpreter that will run them, which is the packages' own: nothing else of a package is run here.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.boot.documents import HOST_FILE, OWNER_FILE, PLACE, POLICY_FILE, POLICY_FILES, HostDocument, encode_host
from modseal.errors import FormatError, InputError, RefusedError, SpecError
from modseal.files.scratch import scratch_folder
from modseal.files.tree import Tree, new_tree
from modseal.format.manifest import Entry, FileType
from modseal.image import writable_code
from modseal.image.debian import PackageFile
from modseal.image.initramfs import interpreter
from modseal.image.spec import PackageSpec
from modseal.trust import powers
from modseal.trust.policy import Policy

_MERGED = ("bin", "sbin", "lib", "lib64")
_LEFT_OUT = ("usr/bin/*", "usr/sbin/*", "usr/games/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*",
    "usr/share/lintian/*", "usr/share/bash-completion/*", "usr/share/menu/*", "usr/share/applications/*",
    "usr/share/pixmaps/*", "usr/share/perl5/*", "usr/share/bug/*", "usr/lib/systemd/*", "usr/lib/tmpfiles.d/*",
    "usr/lib/binfmt.d/*", "usr/lib/*/gconv/*", "usr/lib/*/audit/*", "etc/*", "var/*",
    "usr/lib/python3*/test/*", "usr/lib/python3*/unittest/*", "usr/lib/python3*/idlelib/*",
    "usr/lib/python3*/tkinter/*", "usr/lib/python3*/lib2to3/*", "usr/lib/python3*/pydoc_data/*",
    "usr/lib/python3*/ensurepip/*", "usr/lib/python3*/distutils/*", "usr/lib/python3*/turtledemo/*",
    "usr/lib/python3*/config-*/*", "usr/lib/python3*/*/_test*")  # fmt: skip
"""What of a package is left out where the spec does not say what is taken."""
_FOLDERS = ("data", "dev", "etc", "opt", "proc", "run", "sys", "tmp", "var")
PYTHON = "usr/lib/modseal"
_NOT_ON_A_HOST = ("signing", "ca", "packing", "image", "auditing", "remote", "cli", "api.py")
"""Rooms of modseal that no host needs. It has no code that signs."""
_LOADER = "ld-linux-x86-64.so.2"
_SECONDS = 300
_COMPILE = (
    "import compileall, sys; from py_compile import PycInvalidationMode as M\n"
    "sys.exit(not compileall.compile_dir(sys.argv[1], 40, quiet=1, legacy=True, force=True, workers=1,"
    " stripdir=sys.argv[1], prependdir='/', limit_sl_dest=sys.argv[1], invalidation_mode=M.UNCHECKED_HASH))"
)


def taken(files: Mapping[str, PackageFile], spec: PackageSpec) -> dict[str, PackageFile]:
    """What of a package goes into the root. Folders are made where something is in them."""
    found = {}
    for path, one in files.items():
        if one.type is FileType.DIRECTORY or any(fnmatch.fnmatchcase(path, each) for each in spec.exclude):
            continue
        if spec.include:
            wanted = any(fnmatch.fnmatchcase(path, each) for each in spec.include)
        else:
            wanted = not any(fnmatch.fnmatchcase(path, each) for each in _LEFT_OUT)
        if wanted:
            found[path] = one
    return found


def wheel(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel (binary distribution format, PEP 427) as they lie below the root. Raises `FormatError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            for one in archive.infolist():
                parts = PurePosixPath(one.filename).parts
                if ".." in parts or not parts or one.filename.startswith("/"):
                    raise FormatError("unsafe-path", f"{path}: {one.filename!r}").because("package-unfit")
                if one.is_dir() or ".data" in parts[0] or parts[-1] == "RECORD" or parts[-1].endswith(".pyi"):
                    continue
                if parts[0] == "modseal" and len(parts) > 1 and parts[1] in _NOT_ON_A_HOST:
                    continue
                yield "/".join((PYTHON, *parts)), archive.read(one)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise FormatError("malformed-archive", f"{path} is no wheel: {error}").because("package-unfit") from None


def host_files(host: HostDocument, policy: Policy, owner: x509.Certificate) -> dict[str, bytes]:
    """What the root says of the host: its document, its policy, the files that the policy names, and the owner."""
    if policy.origin is None:
        raise SpecError("the policy was not read from a file").because("image-spec")
    named = {f"{POLICY_FILES}/{number}": data for number, (_, data) in enumerate(policy.origin.files)}
    der = owner.public_bytes(Encoding.DER)
    files = {HOST_FILE: encode_host(host), POLICY_FILE: policy.origin.text, OWNER_FILE: der, **named}
    return {f"{PLACE}/{name}": data for name, data in files.items()}


def write(place: Path, files: Mapping[str, PackageFile]) -> None:
    """Write a root into a new folder. Modes are 0755 for folders and what may be executed, else 0644.

    Everything will belong to root. Raises `RefusedError`.
    """
    fixed = (*_FOLDERS, "usr", "usr/lib", *(f"usr/{name}" for name in _MERGED))
    _require_tree(files, fixed)
    for path, one in sorted(files.items()):
        writable_code.require_none(path, one.data)
    with new_tree(place) as tree:
        for name in fixed:
            tree.folder(name)
        for name in _MERGED:
            tree.link(name, f"usr/{name}")
        _unpack(tree, files)


def _require_tree(files: Mapping[str, PackageFile], fixed: Iterable[str] = ()) -> None:
    """Whatever has something below it must be a folder, whoever brought it: else it leads to another place.

    Raises `RefusedError` (unsafe-link, unsafe-path).
    """
    folders = {str(above): path for path in files for above in list(PurePosixPath(path).parents)[:-1]}
    folders |= dict.fromkeys(fixed, "what every root has")
    for path in sorted(folders.keys() & files.keys()):
        kind = files[path].type
        if kind is not FileType.DIRECTORY:
            is_link = kind is FileType.SYMLINK
            detail = f"a package brings /{path} as a {'link' if is_link else 'file'}, and {folders[path]} is below it"
            raise RefusedError("unsafe-link" if is_link else "unsafe-path", detail, path=path).because("package-unfit")


def _unpack(tree: Tree, files: Mapping[str, PackageFile]) -> None:
    for path in sorted(files):
        one = files[path]
        if one.type is FileType.DIRECTORY:
            tree.folder(path)
        elif one.type is FileType.SYMLINK:
            tree.link(path, one.target)
        else:
            tree.write(path, one.data, 0o755 if one.mode & 0o100 else 0o644)


def compile_python(place: Path, packages: Mapping[str, PackageFile]) -> None:
    """Put compiled files in the place of Python's sources, by the packages' own interpreter.

    A link that leads out of the root is no source. Raises `InputError`, `RefusedError`, `SpecError`.
    """
    program = interpreter(packages)
    name = PurePosixPath(program).name
    own: dict[str, PackageFile] = {program: replace(packages[program], mode=0o755)}
    for path, one in packages.items():  # all of Python: compileall needs parts that the root leaves out
        library = one.type is not FileType.DIRECTORY and path.startswith(("usr/lib/", "usr/lib64/"))
        if library and (".so" in path or path.startswith(f"usr/lib/{name}/")):
            mode = 0o755 if PurePosixPath(path).name == _LOADER else 0o644
            own[path] = replace(one, mode=mode, target=PurePosixPath(one.target).name)
    loader = next((path for path, one in own.items() if path.endswith(f"/{_LOADER}") and not one.target), None)
    if loader is None:
        raise SpecError(f"no package brings {_LOADER}, which starts Python").because("package-missing")
    _require_tree(own)
    with scratch_folder() as folder:
        home = folder / "files"
        with new_tree(home) as tree:
            _unpack(tree, own)
        libraries = sorted({str((home / path).parent) for path in own if ".so" in path and "lib-dynload" not in path})
        command = [home / loader, "--library-path", ":".join(libraries), home / program]
        arguments = ["-sSB", "-c", _COMPILE, place / "usr/lib"]
        environment = {"PYTHONHOME": str(home / "usr"), "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(  # noqa: S603 - an interpreter whose digest the spec names, and a text of our own
                [str(one) for one in (*command, *arguments)],
                cwd=home,  # it imports from there first
                env=environment,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"the packages' interpreter does not run here: {error}").because("tool-failed") from None
    if done.returncode:
        raise InputError(
            f"the packages' interpreter cannot compile Python's files: {(done.stdout + done.stderr)[-300:]}"
        ).because("tool-failed")
    for compiled in (place / "usr/lib").rglob("*.pyc"):
        if not compiled.is_symlink():
            compiled.chmod(0o644)  # whatever the umask is
            compiled.with_suffix(".py").unlink(missing_ok=True)


def entries(place: Path) -> list[Entry]:
    """What is in a root: its files, folders and links, by path."""
    import hashlib

    found = []
    for folder, folders, names in os.walk(place):
        for name in (*folders, *names):
            path = Path(folder, name)
            inside = str(path.relative_to(place))
            if path.is_symlink():
                found.append(Entry(inside, FileType.SYMLINK, 0o777, target=os.readlink(path)))
            elif path.is_dir():
                found.append(Entry(inside, FileType.DIRECTORY, 0o755))
            else:
                data = path.read_bytes()
                mode = path.stat().st_mode & 0o7777
                found.append(Entry(inside, FileType.FILE, mode, len(data), hashlib.sha256(data).digest()))
    return sorted(found, key=lambda one: one.path)


def require_no_interpreter(found: Iterable[Entry]) -> None:
    """No program that runs other files may be in a root. Raises `RefusedError` (power-not-granted)."""
    for use in powers.uses(one for one in found if one.type is FileType.FILE and (one.mode or 0) & 0o111):
        if use.power is powers.Power.INTERPRETERS and PurePosixPath(use.where).name != _LOADER:
            detail = f"/{use.where} runs other files, and the root of a host has no such program"
            raise RefusedError("power-not-granted", detail, path=use.where)
