"""Other tools that verify one small signed file, each set up as it is used: what it signs, with a key of its kind.

Those that Debian packages are on the PATH. Those of PyPI are in `.venv-peers` (`make bench-peers`), a virtual
environment of their own, because their dependencies are not modseal's. What is not there is a note, never a failure.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Contender

PYPI = Path(__file__).parents[1] / ".venv-peers/bin"

_LAYOUT = """\
import sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from in_toto.models.layout import Layout, Step
from in_toto.models.metadata import Metablock
from securesystemslib.signer import CryptoSigner

key, out = sys.argv[1:]
signer = CryptoSigner(load_pem_private_key(open(key, "rb").read(), None))
step = Step(name="pack", pubkeys=[signer.public_key.keyid])
step.add_product_rule_from_string("ALLOW *")
layout = Layout(steps=[step], keys={signer.public_key.keyid: {**signer.public_key.to_dict(),
                                                              "keyid": signer.public_key.keyid}})
layout.set_relative_expiration(months=1)
signed = Metablock(signed=layout)
signed.create_signature(signer)
signed.dump(out)
"""

_POLICY = """\
<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
<Origin Name="bench" id="{id}" Description="bench"/>
<Selection><Required Type="origin" File="debsig.gpg" id="{id}"/></Selection>
<Verification MinOptional="0"><Required Type="origin" File="debsig.gpg" id="{id}"/></Verification>
</Policy>
"""

CONTROL = "Package: bench\nVersion: 1\nArchitecture: all\nMaintainer: bench <bench@localhost>\nDescription: bench\n"


class Absent(Exception):  # noqa: N818 - no error: what is not there is left out
    """A peer that cannot be measured here, and why."""


def all_of(folder: Path, file: Path, notes: list[str]) -> Iterator[Contender]:
    """Every peer that is there, set up in a folder of its own; why the others are not goes to `notes`."""
    for name, make in PEERS.items():
        place = folder / f"peer-{name}"
        place.mkdir()
        try:
            yield make(place, file)
        except Absent as why:
            notes.append(f"no {name}: {why}")
        except (OSError, StopIteration, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            notes.append(f"no {name}: it could not be set up: {said.strip().splitlines()[-1][:200] if said else error}")


def _minisign(place: Path, file: Path) -> Contender:
    tool, public, secret = _tool("minisign"), str(place / "public"), str(place / "secret")
    _run(tool, "-G", "-W", "-f", "-p", public, "-s", secret)
    _run(tool, "-S", "-s", secret, "-m", str(file), "-x", str(place / "signature"))
    command = [tool, "-V", "-q", "-p", public, "-m", str(file), "-x", str(place / "signature")]
    return Contender("minisign -V small.seal", command, [file])


def _debsig(place: Path, file: Path) -> Contender:
    """A package that holds the file, with an origin's signature as `debsigs` makes it."""
    verify, build, gpg = _tool("debsig-verify"), _tool("dpkg-deb"), _tool("gpg")
    root, home, package = place / "root", place / "gnupg", place / "small.deb"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(CONTROL)
    shutil.copy(file, root)
    _run(build, "--build", "--root-owner-group", str(root), str(package))
    home.mkdir(mode=0o700)
    secret = [gpg, "--homedir", str(home), "--batch", "-q"]
    _run(*secret, "--passphrase", "", "--quick-gen-key", "bench", "rsa2048", "sign", "never")
    listed = _run(*secret, "--with-colons", "--list-keys").splitlines()
    identity = next(line for line in listed if line.startswith("fpr")).split(":")[9][-16:]
    _run("ar", "x", str(package), cwd=place)
    members = ["debian-binary", *sorted(one.name for one in place.glob("*.tar.*"))]
    (place / "all").write_bytes(b"".join((place / name).read_bytes() for name in members))
    _run(*secret, "-b", "-o", str(place / "_gpgorigin"), str(place / "all"))
    _run("ar", "q", str(package), "_gpgorigin", cwd=place)
    policies, keys = place / "policies" / identity, place / "keys" / identity
    policies.mkdir(parents=True)
    keys.mkdir(parents=True)
    (policies / "bench.pol").write_text(_POLICY.format(id=identity))
    _run(*secret, "--export", "-o", str(keys / "debsig.gpg"), "bench")
    command = [verify, "-q", "--policies-dir", str(policies.parent), "--keyrings-dir", str(keys.parent), str(package)]
    return Contender("debsig-verify small.deb (RSA-2048)", command, [package])


def _apksigner(place: Path, file: Path) -> Contender:
    tool, package = _tool("apksigner"), place / "small.apk"
    key, certificate, private = _key(place), place / "certificate.pem", place / "key.pk8"
    _run("openssl", "req", "-x509", "-new", "-key", str(key), "-subj", "/CN=bench", "-out", str(certificate))
    pkcs8 = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"]
    _run(*pkcs8, "-in", str(key), "-out", str(private))
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("AndroidManifest.xml", b"none")  # it is not read where the level of the API is given
        archive.write(file, file.name)
    level = ["--min-sdk-version", "24"]
    _run(tool, "sign", *level, "--key", str(private), "--cert", str(certificate), str(package))
    return Contender("apksigner verify small.apk (P-256)", [tool, "verify", *level, str(package)], [package])


def _in_toto(place: Path, file: Path) -> Contender:
    """A layout with one step, whose product is the file: two signatures, and no look at the file itself."""
    tool, key = _tool("in-toto-verify", PYPI), _key(place)
    _run(str(PYPI / "python"), "-c", _LAYOUT, str(key), str(place / "root.layout"))
    shutil.copy(file, place)
    _run(str(PYPI / "in-toto-run"), "-n", "pack", "--signing-key", str(key), "-p", file.name, "-x", cwd=place)
    command = [tool, "-q", "-l", str(place / "root.layout"), "--verification-keys", str(place / "key.pub")]
    return Contender("in-toto-verify, a layout and a link (P-256)", [*command, "--link-dir", str(place)])


def _model_signing(place: Path, file: Path) -> Contender:
    tool, key, signature = _tool("model_signing", PYPI), _key(place), place / "model.sig"
    _run(tool, "sign", "key", "--signature", str(signature), "--private_key", str(key), str(file))
    public = ["--public_key", str(place / "key.pub")]
    command = [tool, "verify", "key", "--signature", str(signature), *public, str(file)]
    return Contender("model_signing verify key, small.seal (P-256)", command, [file])


def _rauc(_place: Path, _file: Path) -> Contender:
    _tool("rauc")
    raise Absent("it needs a kernel with squashfs and dm-verity")


PEERS: dict[str, Callable[[Path, Path], Contender]] = {
    "minisign": _minisign,
    "debsig-verify": _debsig,
    "apksigner": _apksigner,
    "in-toto-verify": _in_toto,
    "model_signing": _model_signing,
    "rauc": _rauc,
}


def _tool(name: str, folder: Path | None = None) -> str:
    found = shutil.which(name, path=str(folder) if folder else None)
    if found is None:
        hint = "`make bench-peers` installs it from PyPI" if folder else f"Debian's package {name} brings it"
        raise Absent(f"it is not installed ({hint})")
    return found


def _key(place: Path) -> Path:
    """A private key on P-256 in PKCS #8, its public key beside it as `key.pub`."""
    key = place / "key.pem"
    _run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
    _run("openssl", "pkey", "-in", str(key), "-pubout", "-out", str(place / "key.pub"))
    return key


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd, timeout=120)
    return done.stdout
