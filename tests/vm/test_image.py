"""A host image in QEMU, with Secure Boot: that it boots and serves, and what came of each way round it.

MODSEAL_IMAGE is a folder that packages and wheels are fetched to and kept in: `make vm-image`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import tomllib
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from examples.reference_host import guest, prepare

from builders import softhsm
from builders.transcript import run_process
from modseal.boot import attestation, boot_variables, documents, fat, portable_executable, services, slots, syscalls
from modseal.host import export
from modseal.image import build, data, firmware, generation, inputs
from modseal.image import spec as reading
from modseal.image.ask import ask
from modseal.image.expect import expect
from modseal.packing import kernel_signature
from modseal.policy.sources import load
from modseal.signing import keys
from modseal.signing.signer import Signer
from vm.image_folder import image_folder

HERE = Path(__file__).parent
TRIES: list[dict[str, str]] = tomllib.loads((HERE / "image_tries.toml").read_text())["try"]
MIB = 1 << 20
BOOT_AT, ROOT_AT, DATA_AT = MIB, MIB + 2 * build._BOOT_SIZE, MIB + 2 * build._BOOT_SIZE + 2 * build._ROOT_SIZE
EPOCH = 1769860800
IDENTIFIER = "11111111-2222-5333-8444-555555555555"
NOT_STARTED = "does not start|Access Denied|Security Violation|end Kernel panic"
ALLOWED = [f'"{name}"' for name in syscalls.CAPABILITIES if name not in services._NEVER]


@dataclass(frozen=True)
class Lab:
    """A folder with all that images are built from, and one that was built: `good`."""

    folder: Path
    good: Path

    @property
    def signer(self) -> Signer:
        return keys.open(str(self.folder / "db.key"), self.folder / "db.pem")

    @property
    def stranger(self) -> Signer:
        return keys.open(str(self.folder / "stranger.key"), self.folder / "stranger.pem")

    def build(self, spec: Path, out: Path) -> Path:
        shutil.rmtree(out, ignore_errors=True)
        build.build(reading.read(spec), self.signer, out, datetime.now(UTC))
        return out


@pytest.fixture(scope="module")
def lab() -> Lab:
    folder = image_folder("mkfs.erofs", "gcc")
    made = Lab(folder, folder / "good")
    made.build(prepare.prepare(made.folder), made.good)
    return made


def test_two_builds_of_the_same_inputs_give_the_same_bytes(lab: Lab) -> None:
    again = lab.build(lab.folder / "host.toml", lab.folder / "again")
    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
        for out in (lab.good, again)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 9


def test_a_build_with_the_owner_s_key_in_a_token_gives_the_same_bytes(lab: Lab, tmp_path: Path) -> None:
    pytest.importorskip("pkcs11", reason="no python-pkcs11")
    if not softhsm.MODULE or not shutil.which("softhsm2-util"):
        pytest.skip("no softhsm2")
    hsm = softhsm.empty(tmp_path)
    hsm.initialize()
    words = ("--import", lab.folder / "db.key", "--token", softhsm.LABEL, "--label", "db", "--id", "01", "--pin")
    environment = {**os.environ, **hsm.env}
    subprocess.run(["softhsm2-util", *words, softhsm.PIN], env=environment, check=True, capture_output=True)
    (tmp_path / "pin").write_text(softhsm.PIN)
    (tmp_path / "pin").chmod(0o600)
    token = f"pkcs11:token={softhsm.LABEL.replace(' ', '%20')};object=db"
    key = f"{token}?module-path={softhsm.MODULE}&pin-source=file:{tmp_path}/pin"
    spec = lab.folder / "token.toml"
    spec.write_text((lab.folder / "host.toml").read_text().replace('key = "db.key"', f'key = "{key}"'))
    out = lab.folder / "token"
    shutil.rmtree(out, ignore_errors=True)
    done = run_process("image", "build", spec, "-o", out, cwd=tmp_path, env=hsm.env)
    assert done.code == 0, done.err
    for name in ("boot.efi", "disk.img", "update"):
        assert (out / name).read_bytes() == (lab.good / name).read_bytes(), name
    words = ("--cert", lab.folder / "db.pem", out / "boot.efi")
    assert "verification OK" in subprocess.run(["sbverify", *words], capture_output=True, text=True).stdout


def test_it_boots_proves_its_modules_and_serves(lab: Lab) -> None:
    with guest.Guest(lab.good / "disk.img", lab.good / "firmware.fd") as one:
        assert one.wait(guest.UP), one.lines
        assert one.get(one.web, "/") == b"served by a signed module\n"
        status = one.status()
    assert status["refused"] == []
    assert [(module["name"], module["level"]) for module in status["modules"]] == [
        ("nginx", "certified"), ("site-agent", "partner"),
    ]  # fmt: skip
    assert all(service["running"] for service in status["services"])
    assert (status["slot"], status["generation"]) == ("a", 1)


def test_the_tpm_proves_what_was_predicted_and_names_what_is_not(lab: Lab, tmp_path: Path) -> None:
    if not shutil.which("swtpm"):
        pytest.skip("swtpm is not installed")
    nonce = os.urandom(16)
    with guest.Guest(lab.good / "disk.img", lab.good / "firmware.fd", tpm=tmp_path / "tpm") as one:
        assert one.wait(guest.UP), one.lines
        said = attestation.decode(ask(f"http://127.0.0.1:{one.management}", nonce), "x")
    expected = expect(lab.good)
    assert attestation.verify(said, expected, nonce, said.key).differences == ()
    other = replace(expected, events=expected.events[:-1])
    (difference,) = attestation.verify(said, other, nonce, said.key).differences
    assert "site-agent" in difference.detail


def hostile_modules(lab: Lab) -> tuple[list[Path], dict[str, Path]]:
    """The attack with what it needs; and the modules that must not get in, by what is wrong with them."""
    programs = lab.folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "libone.c").write_text("int one(void) { return 1; }\n")
    for name in ("guest.c", "attack.c"):
        shutil.copy(HERE / name, programs)
    attack = prepare.compiled(programs / "attack.c", programs, "-static", "-w")
    hello = prepare.compiled(programs / "guest.c", programs, "-static", "-w").rename(programs / "hello")
    dynamic = prepare.compiled(programs / "guest.c", programs, "-w", "-ldl").rename(programs / "dynamic")
    library = prepare.compiled(programs / "libone.c", programs, "-shared", "-fPIC")
    (programs / "attack.toml").write_text(
        'schema = "modseal/service@1"\ncommand = ["/opt/attack/attack"]\nuser = 990\nrestart = false\n'
        f"capabilities = [{', '.join(ALLOWED)}]\n"
    )
    files: dict[str, Path | str] = {
        "opt/attack/attack": attack, "opt/attack/hello": hello, "opt/attack/dynamic": dynamic,
        "opt/attack/libone.so": library, "usr/lib/modseal/services/attack.toml": programs / "attack.toml",
    }  # fmt: skip
    own = [
        prepare.module(lab.folder, "attack", "1.0-1", "partner", "Sitewatch", files),
        prepare.module(lab.folder, "spare", "1.0-1", "partner", "Sitewatch", {"opt/spare/hello": hello}),
    ]
    names = ("tampered", "unsigned", "downgraded", "recalled", "exchanged", "changed")
    bad = {
        name: prepare.module(lab.folder, name, "1.0-1", "partner", "Sitewatch", {f"opt/{name}/hello": hello})
        for name in names
    }
    return own, bad


def strict_policy(lab: Lab) -> str:
    """The policy of the hostile host: a floor for one module, and a recall of another."""
    partner = lab.folder / "keys/Sitewatch"
    (lab.folder / "acme.recall").unlink(missing_ok=True)
    words = (
        "recalled",
        "--vendor",
        "Sitewatch",
        "--reason",
        "it burns",
        "--name",
        "acme",
        "--expires",
        "2120-01-01T00:00:00Z",
    )
    key = ("--key", partner / "signer.key", "--cert", partner / "signer.pem")
    prepare.run(*prepare.MODSEAL, "depot", "recall", *words, *key, "-o", lab.folder / "acme.recall")
    more = '\n[versions]\ndowngraded = "2.0"\n[recall]\nfiles = ["../acme.recall"]\n'
    text = (lab.folder / "keys/policy.toml").read_text() + more
    (lab.folder / "keys/strict.toml").write_text(text)
    return "keys/strict.toml"


def read_facts(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "image.json").read_text()))


def splice(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


@dataclass(frozen=True)
class Hostile:
    """A built image whose data partition has good and bad modules; `folder` is that partition's content."""

    lab: Lab
    out: Path
    folder: Path
    root: str

    @property
    def generation(self) -> Path:
        return self.folder / "generations/1"

    def sign(self, signer: Signer, *more: bytes) -> None:
        """Sign the policy of the generation as it lies there, or one that lists more."""
        found = documents.decode_generation((self.generation / "generation.json").read_bytes(), "x")
        roots = [bytes.fromhex(one) for one in (self.root, *(each.root for each in found.modules))]
        text = export.ipe_policy(1, [*roots, *more]).encode()
        (self.generation / f"{self.root}.p7b").write_bytes(kernel_signature.signed(text, signer, attached=True))

    def disk(self, name: str) -> Path:
        """A copy of the disk, with the data partition as its folder is now."""
        path = self.lab.folder / f"{name}.img"
        prepare.run("cp", "--sparse=always", self.out / "disk.img", path)
        data.write(self.folder, self.lab.folder / "data.img", 64 * MIB, EPOCH, IDENTIFIER)
        splice(path, DATA_AT, (self.lab.folder / "data.img").read_bytes())
        return path


@pytest.fixture(scope="module")
def hostile(lab: Lab) -> Hostile:
    own, bad = hostile_modules(lab)
    wheels, debs = prepare.wheels(lab.folder / "wheels"), lab.folder / "debs"
    spec = lab.folder / "hostile.toml"
    older = read_facts(lab.good)["program"]
    text = prepare.spec(own, wheels, debs, version=2, policy=strict_policy(lab))
    spec.write_text(text.replace("[keys]", f'revoked = ["{older}"]\n\n[keys]', 1))
    out = lab.build(spec, lab.folder / "hostile")
    facts = read_facts(out)
    root = str(facts["root"])
    place = lab.folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    spec.write_text(prepare.spec([*own, *bad.values()], wheels, debs))
    lax = load(str(lab.folder / "keys/policy.toml"), datetime.now(UTC))
    both, now = reading.read(spec), datetime.now(UTC)
    bundles = generation.proved(place / "host", both, lax, now)
    folder, *_ = generation.write(place, both, lab.signer, bundles, (bytes.fromhex(root), ()), now)
    (folder / slots.FILE).write_bytes(slots.encode(slots.first(2, str(facts["program"]), 1)))
    made = Hostile(lab, out, folder, root)
    spoil(made.generation, lab)
    made.sign(lab.signer)
    return made


def spoil(generation: Path, lab: Lab) -> None:
    """Change what was accepted: one byte of a bundle, no signature, another image, one byte of an image."""
    tampered = bytearray((generation / "tampered-1.0-1.seal").read_bytes())
    tampered[-300] ^= 1
    (generation / "tampered-1.0-1.seal").write_bytes(tampered)
    prepare.run(
        *prepare.MODSEAL, "pack", lab.folder / "modules/unsigned-1.0-1", "-o", generation / "unsigned-1.0-1.seal"
    )
    image = bytearray((generation / "changed-1.0-1.erofs").read_bytes())
    for at in range(4196, len(image) - 65536, 4096):
        image[at] ^= 1
    (generation / "changed-1.0-1.erofs").write_bytes(image)
    found = documents.decode_generation((generation / "generation.json").read_bytes(), "x")
    by_name = {one.bundle.split("-")[0]: one for one in found.modules}
    spare = by_name["spare"]
    by_name["exchanged"] = documents.ImageRecord(by_name["exchanged"].bundle, spare.image, spare.root, spare.blocks)
    changed = documents.ImageGeneration(1, tuple(by_name.values()))
    (generation / "generation.json").write_bytes(documents.encode_generation(changed))


REFUSED = {
    "boot-module-tampered": "digest-mismatch|bad-payload",
    "boot-module-unsigned": "unsigned",
    "boot-module-downgraded": "version-below-floor",
    "boot-module-recalled": "recalled",
    "boot-module-exchanged": "installed-",
    "boot-image-changed": "io-error",
    "boot-root-changed": "does not start: root-. is not the root",
    "boot-program-changed": "Access Denied|Security Violation",
    "boot-program-unsigned": "Access Denied|Security Violation",
    "boot-program-stranger": "Access Denied|Security Violation",
    "boot-program-revoked": "Access Denied|Security Violation",
    "boot-policy-other": "does not start: the IPE policy is not that of this root and this generation",
    "boot-policy-stranger": "does not start: the IPE policy is not that of this root and this generation",
    "boot-policy-shim": "does not start: variables of shim .* are deleted: MokListRT",
}
"""What is said where something is refused at boot: it must not be denied for another reason."""


@pytest.fixture(scope="module")
def found(hostile: Hostile) -> dict[str, tuple[str, str]]:
    """What came of every try: `reached` or `denied`, and the last word about it."""
    outcome: dict[str, tuple[str, str]] = {}
    variables = hostile.out / "firmware.fd"
    with guest.Guest(hostile.disk("attack"), variables) as one:
        assert one.wait("TRY end"), one.lines
        lines = list(one.lines)
        refused = {each["bundle"].split("-")[0]: each["code"] for each in one.status()["refused"]}
    for line in lines:
        words = line.split(" TRY ")[-1].split(" ", 2)
        if " TRY " in line:
            outcome[words[0]] = (words[1], words[2] if len(words) > 2 else "")
    for name in REFUSED:
        if name.startswith(("boot-module-", "boot-image-")):
            code = refused.get(name.rpartition("-")[2])
            outcome[name] = ("denied" if code else "reached", code or "")

    def starts(name: str, path: Path, variables: Path = variables) -> None:
        with guest.Guest(path, variables) as one:
            line = one.wait(f"{guest.UP}|{NOT_STARTED}") or "the machine ended"
        outcome[name] = ("reached" if "up after" in line else "denied", line)

    starts("boot-root-changed", changed_disk(hostile, ROOT_AT, (1100, b"changed")))
    for name, program in programs(hostile).items():
        starts(name, changed_disk(hostile, BOOT_AT, *fat.boot_partition(program, build._BOOT_SIZE)))
    starts("boot-program-revoked", hostile.lab.good / "disk.img", variables)
    hostile.sign(hostile.lab.signer, bytes(32))
    starts("boot-policy-other", hostile.disk("policy"))
    hostile.sign(hostile.lab.stranger)
    starts("boot-policy-stranger", hostile.disk("policy"))
    starts("boot-policy-shim", hostile.disk("policy"), shim_variables(hostile))
    hostile.sign(hostile.lab.signer)
    record(outcome, hostile)
    return outcome


def shim_variables(hostile: Hostile) -> Path:
    """The firmware's variables, with one of shim's that has a stranger's key."""
    own = firmware.read_variables((hostile.out / "firmware.fd").read_bytes())
    shim = uuid.UUID(boot_variables._SHIM)
    keys_ = firmware.certificate_list([hostile.lab.stranger.certificate], shim)
    path = hostile.lab.folder / "shim.fd"
    path.write_bytes(
        firmware.store_variables(prepare.FIRMWARE.read_bytes(), [*own, firmware.Variable("MokListRT", shim, 7, keys_)])
    )
    return path


def changed_disk(hostile: Hostile, start: int, *pieces: tuple[int, bytes]) -> Path:
    path = hostile.lab.folder / "changed.img"
    prepare.run("cp", "--sparse=always", hostile.out / "disk.img", path)
    for at, content in pieces:
        splice(path, start + at, content)
    return path


def programs(hostile: Hostile) -> dict[str, bytes]:
    """`boot.efi` in the ways that the firmware must not start."""
    genuine = (hostile.out / "boot.efi").read_bytes()
    changed = bytearray(genuine)
    changed[len(changed) // 2] ^= 1
    own = reading.read(hostile.lab.folder / "hostile.toml")
    given = inputs.read(own, hostile.lab.signer)
    sections = [
        (name, portable_executable.section(genuine, name) or b"")
        for name in (".osrel", ".uname", ".cmdline", ".initrd")
    ]
    unsigned = portable_executable.with_sections(given.stub, [*sections, (".linux", given.kernel.data)])
    return {
        "boot-program-changed": bytes(changed),
        "boot-program-unsigned": unsigned,
        "boot-program-stranger": firmware.sign_executable(unsigned, hostile.lab.stranger),
    }


def record(outcome: dict[str, tuple[str, str]], hostile: Hostile) -> None:
    """Keep what came of it for docs/reference-host.md, if that is asked for."""
    table = os.environ.get("MODSEAL_IMAGE_TABLE")
    if table:
        kernel = prepare.kernel(hostile.lab.folder / "debs").name.split("_")[0].removeprefix("linux-image-")
        rows: list[dict[str, Any]] = [{**one, "outcome": outcome[one["name"]][0]} for one in TRIES]
        values = {"kernel": kernel, "date": time.strftime("%Y-%m-%d"), "tries": rows}
        Path(table).write_text(json.dumps(values, indent=1) + "\n", "utf-8")


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one["name"])
def test_each_try_has_the_outcome_that_it_must_have(found: dict[str, tuple[str, str]], one: dict[str, str]) -> None:
    assert found[one["name"]][0] == one["outcome"], found[one["name"]]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_at_boot_is_refused_for_its_own_reason(found: dict[str, tuple[str, str]], name: str) -> None:
    assert re.search(REFUSED[name], found[name][1]), found[name]
