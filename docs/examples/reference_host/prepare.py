"""Makes a folder from which `modseal image build` builds a host: packages, wheels, keys, two modules, host.toml.

    python docs/examples/reference_host/prepare.py FOLDER [serve]

With `serve` the host is managed from outside, by clients of a CA of its site: served.toml, and next.toml for the
generation after that, with a newer agent.

Packages come by `apt-get download`, which compares them with Debian's signed lists; wheels by `pip download`. What is
there already is not fetched again. The keys are made here, and are no example to follow: keep yours in a token.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[2]
KERNEL = "linux-image-6.12-cloud-amd64"
PACKAGES = ("libc6", "libgcc-s1", "zlib1g", "libssl3", "libffi8", "libexpat1", "libbz2-1.0", "liblzma5", "libsqlite3-0",
    "libuuid1", "libpython3.11-minimal", "python3.11-minimal", "libpython3.11-stdlib")  # fmt: skip
NGINX = ("nginx", "libpcre2-8-0", "libcrypt1")
WHEELS = ("cryptography", "cffi", "zstandard", "zlib-ng", "tomli", "rfc3161-client")
SERVING = ("aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "idna", "multidict", "propcache",
    "typing_extensions", "yarl")  # fmt: skip
FIRMWARE = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
MODSEAL = (sys.executable, "-m", "modseal")
RELEASED = "2026-01-31T12:00:00Z"
VENDORS = {"Nordweb": "certified", "Sitewatch": "partner"}
"""Two vendors, each with a CA of its own, and the level that the host's policy grants each."""


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command prints; its failure ends everything."""
    done = subprocess.run([str(one) for one in command], cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def package(name: str, folder: Path) -> Path:
    """A package of this name, of whatever version there is."""
    found = sorted(folder.glob(f"{name}_*.deb"))
    if not found:
        run("apt-get", "download", "-qq", name, cwd=folder)
        found = sorted(folder.glob(f"{name}_*.deb"))
    return found[-1]


def kernel(folder: Path) -> Path:
    """The newest signed kernel: the package that the one without a version depends on."""
    found = sorted(folder.glob("linux-image-6.12*cloud*.deb"))
    if found:
        return found[-1]
    lines = run("apt-cache", "depends", KERNEL).splitlines()
    return package(next(line.split()[-1] for line in lines if "linux-image" in line and "Depends" in line), folder)


def wheels(folder: Path) -> list[Path]:
    """The wheels that a host needs, for the interpreter of the packages."""
    fetched(folder, WHEELS)
    for old in folder.glob("modseal-*.whl"):
        old.unlink()
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, TOP)
    return sorted(folder.glob("*.whl"))


def fetched(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Wheels by their names; what is there already stays."""
    folder.mkdir(exist_ok=True)
    target = ("--platform", "manylinux_2_34_x86_64", "--platform", "manylinux_2_28_x86_64", "--platform",
        "manylinux2014_x86_64", "--python-version", "3.11", "--only-binary", ":all:")  # fmt: skip
    for name in names:
        if not list(folder.glob(f"{name.replace('-', '_')}-*.whl")):
            run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", *target, "-d", folder, name)
    return sorted(folder.glob("*.whl"))


def site(folder: Path) -> None:
    """A CA of the site, with certificates for the host, an operator and an administrator; and a remote.toml."""
    folder.mkdir(exist_ok=True)
    if (folder / "remote.toml").exists():
        return
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(*new, "-x509", "-days", "365", "-subj", "/CN=Site", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", folder / "ca.key", "-out", folder / "ca.pem")  # fmt: skip
    client = "extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n"
    for name, subject, extensions in (
        ("edge", "/CN=edge", "subjectAltName=IP:127.0.0.1,IP:10.0.2.15\n"),
        ("reader", "/OU=modseal:reader/CN=Rita", client),
        ("operator", "/OU=modseal:operator/CN=Olga", client),
        ("admin", "/OU=modseal:admin/CN=Ann", client),
    ):
        own = folder / name
        run(*new, "-subj", subject, "-keyout", f"{own}.key", "-out", f"{own}.csr")
        Path(f"{own}.ext").write_text(extensions)
        run("openssl", "x509", "-req", "-in", f"{own}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-days", "365", "-extfile", f"{own}.ext", "-out", f"{own}.pem")  # fmt: skip
        Path(f"{own}.key").chmod(0o600)
    text = 'schema = "modseal/remote@1"\nca = "ca.pem"\ncertificate = "operator.pem"\nkey = "operator.key"\n'
    (folder / "remote.toml").write_text(text)


SERVE = """
[serve]
certificate = "site/edge.pem"
key = "site/edge.key"

[[serve.client]]
ca = "site/ca.pem"
grants = "admin"
"""


def key(folder: Path, name: str) -> None:
    """An RSA key with a certificate, as firmware and kernel take them."""
    if not (folder / f"{name}.pem").exists():
        more = ("basicConstraints=critical,CA:FALSE", "keyUsage=digitalSignature", "subjectKeyIdentifier=hash")
        run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN=Example host {name}/",
            "-sha256", "-days", "3650", *(word for one in more for word in ("-addext", one)),
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip
        (folder / f"{name}.key").chmod(0o600)


def vendor(folder: Path, name: str, level: str) -> None:
    """A vendor's CA, and a signer that it has issued."""
    folder.mkdir(parents=True)
    run(*MODSEAL, "keys", "ca", folder / "ca", "--name", f"{name} root", "--organization", name, "--level", level,
        "--unencrypted")  # fmt: skip
    run(*MODSEAL, "keys", "new", folder / "signer.key", "--unencrypted")
    run(*MODSEAL, "keys", "csr", "--key", folder / "signer.key", "--subject", f"CN={name} release,O={name}",
        "-o", folder / "signer.csr")  # fmt: skip
    run(*MODSEAL, "keys", "issue", "--ca", folder / "ca", "--csr", folder / "signer.csr", "-o", folder / "signer.pem")


def policy(folder: Path) -> None:
    """The host's policy: each vendor speaks for itself, up to its level, and for nobody else."""
    text = 'schema = "modseal/policy@1"\nminimum-level = "partner"\n'
    for name, level in VENDORS.items():
        text += f'\n[[anchor]]\nname = "{name} root"\ncertificate = "{name}/ca/ca.pem"\n'
        text += f'grants = "{level}"\nvendors = ["{name}"]\n'
    (folder / "policy.toml").write_text(text)


def module(folder: Path, name: str, version: str, level: str, vendor: str, files: dict[str, Path | str]) -> Path:
    """A bundle with these files, signed by its vendor."""
    top = folder / "modules" / f"{name}-{version}"
    shutil.rmtree(top, ignore_errors=True)
    for path, source in files.items():
        target = top / "files" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, str):
            target.symlink_to(source)
        else:
            shutil.copy(source, target)
    (top / "module.toml").write_text(
        f'schema = "modseal/module@1"\nvendor = "{vendor}"\nname = "{name}"\nversion = "{version}"\nlevel = "{level}"\n'
        f'summary = "{name} for the reference host"\nreleased = {RELEASED}\n[[payload]]\nroot = "files"\n'
    )
    bundle = folder / f"{name}-{version}.seal"
    keys = folder / "keys" / vendor
    run(*MODSEAL, "pack", top, "-o", bundle)
    run(*MODSEAL, "sign", bundle, "--key", keys / "signer.key", "--cert", keys / "signer.pem")
    return bundle


def compiled(source: Path, folder: Path, *options: str) -> Path:
    """A program of one source file."""
    out = folder / source.stem
    run("gcc", "-O2", "-s", *options, "-o", out, source)
    return out


def pinned(path: Path) -> str:
    """A file with its digest, as a spec names it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'file = "{path}"\nsha256 = "{digest}"\n'


def spec(modules: list[Path], wheel_files: list[Path], debs: Path, **more: object) -> str:
    """The text of a host.toml."""
    values = {"version": 1, "generation": 1, "name": "edge", "policy": "keys/policy.toml", **more}
    text = f'schema = "modseal/image@1"\nreleased = {RELEASED}\nlevel = "partner"\n'
    text += "".join(
        f"{key} = {value!r}\n" if isinstance(value, int) else f'{key} = "{value}"\n' for key, value in values.items()
    )
    text += '\n[keys]\npk = "pk.pem"\nkek = "kek.pem"\ndb = {key = "db.key", cert = "db.pem"}\n'
    text += '\n[network]\naddress = "10.0.2.15"\nprefix = 24\ngateway = "10.0.2.2"\n\n[management]\nport = 9090\n'
    text += f"\n[kernel]\n{pinned(kernel(debs))}\n[stub]\n{pinned(package('systemd-boot-efi', debs))}"
    text += f"\n[firmware]\n{pinned(FIRMWARE)}"
    text += "".join(f"\n[[package]]\n{pinned(package(name, debs))}" for name in PACKAGES)
    text += "".join(f"\n[[wheel]]\n{pinned(path)}" for path in wheel_files)
    return text + "".join(f'\n[[module]]\nfile = "{path}"\n' for path in modules)


def prepare(folder: Path, *, serve: bool = False) -> Path:
    """Make what is missing of a folder, and its host.toml, or served.toml and next.toml; gives the first of them."""
    folder = folder.absolute()
    debs = folder / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    for name in ("pk", "kek", "db", "stranger"):
        key(folder, name)
    for name, level in VENDORS.items():
        if not (folder / "keys" / name).exists():
            vendor(folder / "keys" / name, name, level)
    policy(folder / "keys")
    nginx, agent = workload(folder, debs)
    found = wheels(folder / "wheels")
    if not serve:
        (folder / "host.toml").write_text(spec([nginx, agent], found, debs))
        return folder / "host.toml"
    site(folder / "site")
    found += fetched(folder / "wheels-serve", SERVING)
    (folder / "served.toml").write_text(spec([nginx, agent], found, debs) + SERVE)
    newer = site_agent(folder, "1.0.1-1")
    (folder / "next.toml").write_text(spec([nginx, newer], found, debs, generation=2) + SERVE)
    return folder / "served.toml"


def workload(folder: Path, debs: Path) -> list[Path]:
    """Two modules of two vendors at two levels: nginx of Debian, and an agent."""
    unpacked = folder / "unpacked"
    for name in NGINX:
        run("dpkg-deb", "-x", package(name, debs), unpacked)
    libraries = [*unpacked.glob("usr/lib/*/libpcre2-8.so*"), *unpacked.glob("lib/*/libcrypt.so*")]
    files: dict[str, Path | str] = {"usr/sbin/nginx": unpacked / "usr/sbin/nginx"}
    for path in libraries:
        inside = str(path.relative_to(unpacked))
        inside = inside if inside.startswith("usr/") else f"usr/{inside}"
        files[inside] = path.readlink().name if path.is_symlink() else path
    files["usr/share/nginx/modseal/nginx.conf"] = HERE / "nginx/nginx.conf"
    files["usr/lib/modseal/services/nginx.toml"] = HERE / "nginx/nginx.toml"
    version = package("nginx", debs).name.split("_")[1].replace("%3a", ":")
    return [module(folder, "nginx", version, "certified", "Nordweb", files), site_agent(folder, "1.0.0-1")]


def site_agent(folder: Path, version: str) -> Path:
    """The agent of a site, as a module."""
    agent = HERE / "site-agent"
    return module(folder, "site-agent", version, "partner", "Sitewatch", {
        "usr/bin/site-agent": compiled(agent / "site-agent.c", folder),
        "usr/lib/modseal/services/site-agent.toml": agent / "site-agent.toml",
    })  # fmt: skip


if __name__ == "__main__":
    print(prepare(Path(sys.argv[1]), serve="serve" in sys.argv[2:]))  # noqa: T201
