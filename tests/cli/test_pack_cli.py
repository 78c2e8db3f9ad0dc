"""`modseal pack`: what the command line says in the place of a spec, and what it says of what is likely not meant."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from builders.bundles import make
from builders.pki import new_key, signer
from builders.transcript import Transcript, run
from modseal.bundle.inspect import inspect

HEAD = 'schema = "modseal/module@1"\nvendor = "Acme"\nname = "hello"\nversion = "1.0.0-1"\n'
TREE = '[[payload]]\nroot = "files"\n'
STAGE = """<vib version="5.0">
  <type>bootbank</type>
  <name>hello</name>
  <version>@VERSION@</version>
  <vendor>Acme</vendor>
  <summary>Says hello</summary>
  <description>More</description>
  <release-date>2026-01-31T12:00:00+00:00</release-date>
  <relationships><depends/><conflicts/><replaces/><provides/><compatibleWith/></relationships>
  <system-requires><maintenance-mode>false</maintenance-mode></system-requires>
  <acceptance-level>partner</acceptance-level>
  <live-install-allowed>true</live-install-allowed>
  <live-remove-allowed>true</live-remove-allowed>
  <cimom-restart>false</cimom-restart>
  <stateless-ready>true</stateless-ready>
  <overlay>false</overlay>
  <payloads><payload name="payload1" type="vgz"></payload></payloads>
</vib>
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with `module/` and `stage/`, each with one file."""
    for tree in ("module/files/opt/hello", "stage/payloads/payload1/opt/hello"):
        (tmp_path / tree).mkdir(parents=True)
        (tmp_path / tree / "conf").write_bytes(b"level = 1\n")
        (tmp_path / tree / "conf").chmod(0o644)
    (tmp_path / "module/module.toml").write_text(HEAD + TREE)
    (tmp_path / "stage/descriptor.xml").write_text(STAGE)
    return tmp_path


def pack(work: Path, *arguments: object) -> Transcript:
    return run("pack", *arguments, cwd=work)


def warnings(done: Transcript) -> list[str]:
    assert done.code == 0, done
    return [line.removeprefix("modseal: warning: ") for line in done.err.splitlines()]


def manifest(work: Path, name: str):  # type: ignore[no-untyped-def]
    found = inspect(work / name).manifest
    assert found is not None
    return found


# The result.


def test_files_size_and_digest_are_printed(work: Path) -> None:
    done = pack(work, "module", "-o", "a.seal")
    data = (work / "a.seal").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    assert (done.code, done.err) == (0, "")
    assert done.out == f"a.seal: packed hello 1.0.0-1, 1 file, {len(data):,} bytes, sha256 {sha256}\n"


@pytest.mark.parametrize(
    ("spec", "output", "starts"),
    [
        ("module", "a.seal", b"manifest.json"),
        ("module", "a.vib", b"descriptor.xml"),
        ("module", "A.VIB", b"descriptor.xml"),
        ("module", "a", b"manifest.json"),
        ("stage", "a.seal", b"manifest.json"),
        ("stage", "a.vib", b"descriptor.xml"),
        ("stage", "a", b"descriptor.xml"),
    ],
)
def test_the_suffix_of_the_output_decides_the_format(work: Path, spec: str, output: str, starts: bytes) -> None:
    version = ("--version", "1") if spec == "stage" else ()
    assert pack(work, spec, "-o", output, *version).code == 0
    assert (work / output).read_bytes()[8:].startswith(starts)


@pytest.mark.parametrize(("output", "format"), [("a.vib", "seal"), ("a.seal", "vib")])
def test_a_suffix_that_contradicts_the_format_is_usage(work: Path, output: str, format: str) -> None:  # noqa: A002
    done = pack(work, "module", "-o", output, "--format", format)
    assert done.code == 2
    assert f"{output} is the name of a {Path(output).suffix}, and the format is to be {format}" in done.err


def test_the_name_of_an_offline_bundle_is_usage(work: Path) -> None:
    done = pack(work, "module", "-o", "a.zip")
    assert done.code == 2
    assert "a.zip is the name of an offline bundle, which --offline-bundle writes" in done.err


@pytest.mark.parametrize("output", ["x.sael", "keys/policy.toml", "a.out", "a.seal.sig"])
def test_a_suffix_of_no_format_is_usage(work: Path, output: str) -> None:
    (work / "keys").mkdir()
    (work / "keys/policy.toml").write_text("schema\n")
    done = pack(work, "module", "-o", output)
    suffix = Path(output).suffix
    assert (done.code, done.out) == (2, "")
    assert done.err == (f"modseal: {output} ends in {suffix}, which is no suffix of a bundle; name it .seal or .vib\n")
    assert (work / "keys/policy.toml").read_text() == "schema\n"


def test_an_offline_bundle_has_the_suffix_of_one(work: Path) -> None:
    assert pack(work, "module", "-o", "a.seal").code == 0
    before = (work / "a.seal").read_bytes()
    done = pack(work, "module", "-o", "n.vib", "--offline-bundle", "a.seal")
    assert (done.code, done.err) == (2, "modseal: a.seal is to be an offline bundle, a zip file; name it .zip\n")
    assert (work / "a.seal").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "name", "what"),
    [(("-o", "a.seal"), "a.seal", "bundle"), (("-o", "a.vib", "--offline-bundle", "a.zip"), "a.zip", "offline bundle")],
)
def test_what_is_something_else_is_not_replaced(work: Path, arguments: tuple[str, ...], name: str, what: str) -> None:
    (work / name).write_text("notes\n")
    done = pack(work, "module", *arguments)
    assert done.code == 2
    assert done.err == f"modseal: {name} is there already, is no {what}, and so is not replaced; name another file\n"
    assert (work / name).read_text() == "notes\n"


def test_a_signed_bundle_has_a_suffix_of_its_format(work: Path, example_keys: Path) -> None:
    assert pack(work, "module", "-o", "a.seal").code == 0
    key = ("--key", example_keys / "partner/signer.key", "--cert", example_keys / "partner/signer.pem")
    done = run("sign", "a.seal", *key, "-o", "policy.toml", cwd=work)
    assert done.code == 2
    assert "policy.toml ends in .toml, which is no suffix of a bundle; name it .seal" in done.err


def test_a_spec_that_is_not_there_is_said_before_git_is_asked(work: Path) -> None:
    done = pack(work, "nothing", "--version-from-git")
    assert done.code == 3
    assert "nothing: there is no such file or folder" in done.err


def test_an_output_that_was_there_is_named(work: Path) -> None:
    (work / "empty").touch()
    assert warnings(pack(work, "module", "-o", "empty")) == []
    assert warnings(pack(work, "module", "-o", "empty")) == ["empty was there already, and is replaced"]
    assert warnings(pack(work, "module")) == []
    assert warnings(pack(work, "module")) == ["hello-1.0.0-1.seal was there already, and is replaced"]


# What is likely not meant.


def test_a_spec_without_payloads_beside_its_files_is_refused(work: Path) -> None:
    (work / "module/module.toml").write_text(HEAD)
    done = pack(work, "module", "-o", "a.seal")
    assert done.code == 1
    assert (
        "module.toml: has no [[payload]], so that nothing of 'module/files' would be packed; add [[payload]]"
        in done.err
    )
    (work / "module/module.toml").write_text(HEAD + "payload = []\n")
    assert warnings(pack(work, "module", "-o", "a.seal")) == []


def test_a_module_without_files_is_named(work: Path) -> None:
    (work / "module/module.toml").write_text(HEAD)
    (work / "module/files").rename(work / "module/tree")
    (warning,) = warnings(pack(work, "module", "-o", "a.seal"))
    assert warning.startswith("the module has no files; name their folder in a [[payload]]")


def test_a_pattern_that_leaves_nothing_out_is_named_with_its_line(work: Path) -> None:
    (work / "module/files/a.o").touch()
    (work / "module/module.toml").write_text(HEAD + TREE + 'exclude = ["*.o", "*.pyc", "opt/helo/**"]\n')
    assert warnings(pack(work, "module", "-o", "a.seal")) == [
        f"module/module.toml:7: payload[0].exclude[{index}]: {pattern!r} leaves nothing out: "
        "nothing below 'files' is called so"
        for index, pattern in ((1, "*.pyc"), (2, "opt/helo/**"))
    ]


def test_secrets_in_the_tree_are_named(work: Path) -> None:
    tree = work / "module/files/opt/hello"
    (tree / ".env").write_text("TOKEN=x\n")
    (tree / "server.key").write_text("x\n")
    (tree / "start").write_text("#!/bin/sh\n# PRIVATE KEY\n")
    (tree / "data.txt").write_text(
        "text\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    (tree / "public.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    (warning,) = warnings(pack(work, "module", "-o", "a.seal"))
    assert warning == (
        "payload payload1 has 3 paths ('opt/hello/.env', 'opt/hello/data.txt', 'opt/hello/server.key') that look like "
        "private keys or passwords; whoever gets the module can read them"
    )


@pytest.mark.parametrize(
    "path",
    [
        *("prod.env", "credentials.json", "secrets.yml", "secrets.yaml", "terraform.tfstate", ".NPMRC", "id_ed25519"),
        *(".aws/credentials", ".docker/config.json", ".kube/config"),
    ],
)
def test_files_that_most_often_hold_secrets_are_noticed_by_their_names(work: Path, path: str) -> None:
    file = work / "module/files/opt" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("x\n")
    (warning,) = warnings(pack(work, "module", "-o", "a.seal"))
    assert f"has 1 path ('opt/{path}') that looks like a private key or password" in warning


@pytest.mark.parametrize("name", ["docker/config.json", "credentials", "env", "environment", "keys.txt"])
def test_other_names_are_no_secrets(work: Path, name: str) -> None:
    file = work / "module/files/opt" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("x\n")
    assert warnings(pack(work, "module", "-o", "a.seal")) == []


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=str)
@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_private_key_in_der_is_noticed_by_its_content(work: Path, kind: str, form: PrivateFormat) -> None:
    data = new_key(kind).private_bytes(Encoding.DER, form, NoEncryption())
    (work / "module/files/opt/data.bin").write_bytes(data)
    (work / "module/files/opt/public.bin").write_bytes(signer().der)
    (warning,) = warnings(pack(work, "module", "-o", "a.seal"))
    assert "has 1 path ('opt/data.bin') that looks like a private key" in warning


def test_a_secret_under_another_name_is_noticed(work: Path) -> None:
    (work / "module/.env").write_text("TOKEN=x\n")
    (work / "module/module.toml").write_text(HEAD + TREE + '[[file]]\npath = "etc/app"\nsource = ".env"\n')
    said = warnings(pack(work, "module", "-o", "a.seal"))
    assert any("('etc/app') that looks like a private key or password" in line for line in said)


def test_no_part_of_a_secret_is_printed(work: Path) -> None:
    (work / "module/files/k.key").write_text("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHmm\n")
    done = pack(work, "module", "-o", "a.seal")
    assert "MC4CAQ" not in done.out + done.err


# Modes.


def modes(work: Path, name: str) -> dict[str, int]:
    return {entry.path: entry.mode for entry in inspect(work / name).entries}


@pytest.mark.parametrize("spec", ["module", "stage"])
def test_modes_that_change_are_named(work: Path, spec: str) -> None:
    tree = next((work / spec).rglob("hello"))
    for name, mode in {"f600": 0o600, "f640": 0o640, "f4755": 0o4755, "f2755": 0o2755, "f664": 0o664}.items():
        (tree / name).touch()
        (tree / name).chmod(mode)
    (tree / "private").mkdir(mode=0o700)
    said = warnings(pack(work, spec, "-o", "a.seal", "--version", "1"))
    keeps = "a [[file]] with a mode" if spec == "module" else "[modes] in modseal.toml beside the descriptor"
    assert [line.split(";")[0] for line in said] == [
        f"payload payload1: mode {change} for 1 path ('opt/hello/{name}')"
        for change, name in (
            ("0600 becomes 0644", "f600"),
            ("0640 becomes 0644", "f640"),
            ("0700 becomes 0755", "private"),
            ("2755 (setgid) becomes 0755", "f2755"),
            ("4755 (setuid) becomes 0755", "f4755"),
        )
    ]
    assert all(line.endswith(f"; {keeps} says another, and --keep-modes takes those on disk") for line in said)


@pytest.mark.parametrize("spec", ["module", "stage"])
def test_modes_on_disk_are_kept_where_that_is_asked_for(work: Path, spec: str) -> None:
    tree = next((work / spec).rglob("hello"))
    (tree / "conf").chmod(0o600)
    tree.chmod(0o750)
    assert warnings(pack(work, spec, "-o", "a.vib", "--keep-modes", "--version", "1", "--set", "level=partner")) == []
    assert (modes(work, "a.vib")["opt/hello/conf"], modes(work, "a.vib")["opt/hello"]) == (0o600, 0o750)


def test_a_stage_says_modes_in_modseal_toml(work: Path) -> None:
    (work / "stage/payloads/payload1/opt/hello/conf").chmod(0o600)
    said = 'schema = "modseal/stage@1"\n[modes]\n"opt/hello/conf" = "0600"\n"opt/hello" = "0700"\n'
    (work / "stage/modseal.toml").write_text(said)
    assert warnings(pack(work, "stage", "-o", "a.vib", "--version", "1")) == []
    assert modes(work, "a.vib") == {"opt": 0o755, "opt/hello": 0o700, "opt/hello/conf": 0o600}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('schema = "modseal/stage@1"\n[modes]\n"opt/x" = "0600"\n', "modseal.toml:3: modes.opt/x: is in no payload"),
        ('schema = "modseal/stage@1"\n[modes]\n"opt" = "755"\n', "has 3 characters, and must have exactly 4"),
        ('schema = "modseal/stage@1"\n[mods]\n', "did you mean 'modes'?"),
        ("[modes]\n", "'schema'"),
        ("modes", "modseal.toml:1: "),
    ],
)
def test_a_bad_modseal_toml_is_refused_beside_all_else(work: Path, text: str, words: str) -> None:
    (work / "stage/modseal.toml").write_text(text)
    done = pack(work, "stage", "-o", "a.vib")
    assert done.code == 1
    assert words in done.err
    assert "stage/descriptor.xml:4:3: the version '@VERSION@'" in done.err


# Values from the command line.


@pytest.mark.parametrize("spec", ["module", "stage"])
@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_version_date_and_other_fields_come_from_the_command_line(work: Path, spec: str, kind: str) -> None:
    done = pack(
        work,
        *(spec, "-o", f"a.{kind}", "--version", "2.3", "--release-date", "2026-01-31"),
        *("--set", "summary=A = B", "--set", "vendor=Other", "--set", "level=accepted", "--set", "description="),
        *(("--set", "stateless-ready=false") if kind == "vib" else ()),
    )
    assert (done.code, done.err) == (0, "")
    found = manifest(work, f"a.{kind}")
    assert (found.vendor, found.name, found.version, str(found.claimed_level)) == ("Other", "hello", "2.3", "accepted")
    assert (found.summary, found.description) == ("A = B", "")
    assert found.released == "2026-01-31T00:00:00" + ("Z" if kind == "seal" else "+00:00")
    assert kind == "seal" or not found.vib.stateless_ready


@pytest.mark.parametrize("time", ["2026-01-31", "2026-01-31T12:00:00Z"])
@pytest.mark.parametrize("kind", ["seal", "vib"])
@pytest.mark.parametrize("spec", ["module", "stage"])
def test_the_release_date_and_the_field_of_it_take_the_same(work: Path, spec: str, kind: str, time: str) -> None:
    for number, said in enumerate(
        (("--release-date", time), ("--set", f"released={time}"), ("--set", f"release-date={time}"))
    ):
        done = pack(work, spec, "-o", f"{number}.{kind}", "--version", "1", *said)
        assert done.code == 0, done.err
    assert len({(work / f"{number}.{kind}").read_bytes() for number in range(3)}) == 1


def test_the_words_of_a_descriptor_say_the_same(work: Path) -> None:
    fields = ("--set", "acceptance-level=accepted", "--set", "release-date=2026-01-31T12:00:00Z", "--set", "version=3")
    for spec in ("module", "stage"):
        assert pack(work, spec, "-o", f"{spec}.seal", *fields).code == 0
        found = manifest(work, f"{spec}.seal")
        assert (str(found.claimed_level), found.released, found.version) == ("accepted", "2026-01-31T12:00:00Z", "3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version", "2 3"), "--version: "),
        (("--set", "version="), "--set version: "),
        (("--set", "name=a b"), "--set name: "),
        (("--set", "level=comunity"), "--set level: "),
        (("--set", "overlay=yes"), "--set overlay: "),
        (("--set", "released=yesterday"), "--set released: "),
    ],
)
@pytest.mark.parametrize("spec", ["module", "stage"])
def test_a_value_that_breaks_a_rule_is_refused_by_the_name_of_its_option(
    work: Path, spec: str, arguments: tuple[str, ...], words: str
) -> None:
    version = () if "ersion" in str(arguments) else ("--version", "1")
    done = pack(work, spec, "-o", "a.vib", *arguments, *version)
    assert done.code == 1, done
    assert done.err.startswith(f"modseal: {words}"), done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "sumary=x"), "--set sumary: there is no such field; did you mean 'summary'?"),
        (("--set", "payload=x"), "there is no such field; it can set vendor, name, version"),
        (("--set", "summary"), "give FIELD=VALUE"),
        (("--set", "version=2", "--version", "1"), "--version and --set version say the same field"),
        (("--set", "name=a", "--set", "name=b"), "--set name and --set name say the same field"),
        (("--version", "1", "--version-from-git"), "exclude each other"),
        (("--release-date", "31.1.2026"), "is not a time"),
    ],
)
def test_options_that_say_nothing_or_too_much_are_usage(work: Path, arguments: tuple[str, ...], words: str) -> None:
    done = pack(work, "module", "-o", "a.seal", *arguments)
    assert done.code == 2
    assert words in done.err


def test_a_version_that_the_spec_lacks_may_come_from_the_command_line(work: Path) -> None:
    (work / "module/module.toml").write_text(HEAD.replace('version = "1.0.0-1"\n', "") + TREE)
    (work / "stage/descriptor.xml").write_text(STAGE.replace("  <version>@VERSION@</version>\n", ""))
    for spec in ("module", "stage"):
        assert pack(work, spec, "-o", "a.seal").code == 1
        assert pack(work, spec, "-o", f"{spec}.seal", "--version", "7").code == 0
        assert manifest(work, f"{spec}.seal").version == "7"


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
@pytest.mark.parametrize("spec", ["module", "module/module.toml", "stage"])
def test_the_version_comes_from_git(work: Path, spec: str) -> None:
    for command in ("init -q", "add -A", "-c user.name=A -c user.email=a@b.test commit -qm it", "tag v4.5.6"):
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        subprocess.run(["git", *command.split()], cwd=work, check=True, env=environment)
    assert pack(work, spec, "-o", "a.vib", "--version-from-git").code == 0
    assert manifest(work, "a.vib").version == "4.5.6"


def test_git_without_a_version_is_usage(work: Path) -> None:
    done = run("pack", "module", "--version-from-git", cwd=work, env={"GIT_CEILING_DIRECTORIES": str(work.parent)})
    assert done.code == 2
    assert "--version-from-git: module is in no git repository; say --version" in done.err


# Stage folders.


def test_every_problem_of_a_stage_is_named_at_once(work: Path) -> None:
    bad = STAGE.replace("<overlay>false", "<overlay>no").replace("<name>hello", "<name>hel lo")
    bad = bad.replace("  <summary>Says hello</summary>\n", "")
    (work / "stage/descriptor.xml").write_text(bad)
    (work / "stage/payloads/stray").mkdir()
    os.mkfifo(work / "stage/payloads/payload1/pipe")
    done = pack(work, "stage", "-o", "a.vib")
    assert done.code == 1
    lines = done.err.splitlines()
    for words in (
        "stage/descriptor.xml:3:3: the name 'hel lo'",
        "stage/descriptor.xml:4:3: the version '@VERSION@'",
        "stage/descriptor.xml:15:3: <overlay> is 'no'",
        "<summary> is missing",
        "'stray' belongs to no payload",
        "'pipe' is a FIFO",
    ):
        assert [line for line in lines if words in line], (words, done.err)
    assert len(lines) == 7  # and the next step


def test_a_signed_bundle_keeps_the_suffix_of_its_format(work: Path) -> None:
    from builders.pki import signer

    (work / "a.seal").write_bytes(make("seal").unsigned().data)
    (work / "s.pem").write_bytes(signer().pem)
    (work / "s.key").write_bytes(signer().key_pem)
    (work / "s.key").chmod(0o600)
    done = run("sign", "a.seal", "--key", "s.key", "--cert", "s.pem", "-o", "b.vib", cwd=work)
    assert done.code == 2
    assert "b.vib is the name of a .vib, and a.seal is a .seal" in done.err


# Outputs that are inputs; what may be in a statement; what must be said.


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("stage/descriptor.xml", "stage/descriptor.xml is an input of the module"),
        ("stage/payloads/payload1/it.zip", "lies in stage/payloads, which is packed"),
        ("o.vib", "o.vib is written twice"),
        ("./o.vib", "o.vib is written twice"),
        ("link.zip", "link.zip is written twice"),
    ],
)
def test_an_offline_bundle_takes_the_place_of_no_input_and_of_no_other_output(
    work: Path, target: str, words: str
) -> None:
    (work / "o.vib").write_bytes(b"there")
    (work / "link.zip").symlink_to("o.vib")
    done = pack(work, "stage", "--version", "1", "-o", "o.vib", "--offline-bundle", target)
    assert done.code == 2
    assert words in done.err
    assert (work / "o.vib").read_bytes() == b"there"


def test_an_offline_bundle_that_was_there_is_named(work: Path) -> None:
    (work / "d.zip").write_bytes(b"PK\x03\x04there")
    done = pack(work, "stage", "--version", "1", "-o", "o.vib", "--offline-bundle", "d.zip")
    assert warnings(done) == ["d.zip was there already, and is replaced"]


@pytest.mark.parametrize("field", ["overlay=true", "type=bootbank", "maintenance-mode=true"])
@pytest.mark.parametrize("spec", ["module", "stage"])
def test_a_field_that_a_seal_does_not_have_is_refused(work: Path, spec: str, field: str) -> None:
    version = ("--version", "1") if spec == "stage" else ()
    done = pack(work, spec, "-o", "a.seal", *version, "--set", field)
    assert done.code == 2
    assert f"--set {field.partition('=')[0]}: a .seal has no such field" in done.err


def test_a_setuid_bit_that_stays_is_named(work: Path) -> None:
    text = HEAD + 'level = "partner"\n' + TREE + '[[file]]\npath = "opt/hello/conf"\nmode = "4755"\n'
    (work / "module/module.toml").write_text(text)
    assert warnings(pack(work, "module", "-o", "a.seal")) == [
        "payload payload1 has 1 path ('opt/hello/conf') with the setuid or setgid bit, run with their owner's rights"
    ]


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
@pytest.mark.parametrize("spec", ["module", "stage"])
def test_an_untracked_file_is_no_part_of_a_tag(work: Path, spec: str) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(work), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    (work / ".gitignore").write_text("*.log\n")
    git("add", "-A")
    git("commit", "-q", "-m", "it")
    git("tag", "v1.2.3")
    folder = work / ("module/files/opt" if spec == "module" else "stage/payloads/payload1/opt")
    (work / "notes").write_text("not packed")
    (folder / "a.log").write_text("ignored")
    assert pack(work, spec, "--version-from-git", "-o", "a.seal").code == 0
    (folder / "new/deep").mkdir(parents=True)
    (folder / "new/deep/sneaky").write_text("x")
    done = pack(work, spec, "--version-from-git", "-o", "b.seal")
    assert done.code == 2
    assert "opt/new/deep/sneaky" in done.err
    assert "is packed, and git does not know it, so that no tag is the version of what is packed" in done.err


# What is beside the packed files, and what leads out of the spec's folder.

BESIDE = "in a [[file]] or [[payload]], or in the spec's own `exclude` if they are not shipped"


def test_a_file_that_was_added_after_init_is_named(work: Path) -> None:
    (work / "tool").mkdir()
    (work / "tool/run.sh").write_text("#!/bin/sh\n")
    assert run("init", "tool", cwd=work).code == 0
    assert warnings(pack(work, "tool", "-o", "tool/a.seal")) == []
    (work / "tool/added.sh").write_text("new\n")
    (work / "tool/lib/deep").mkdir(parents=True)
    (work / "tool/lib/deep/x").write_text("new\n")
    for name in (".git", "backup~", "policy.toml", "signer.key", "root.pem", "old.vib", ".env"):
        (work / "tool" / name).write_text("x\n")
    (work / "tool/none").mkdir()
    done = pack(work, "tool", "-o", "tool/b.seal")
    assert warnings(done) == [f"nothing packs 2 paths ('added.sh', 'lib/') of 'tool'; name them {BESIDE}"]


def test_a_file_beside_a_single_source_is_named_with_its_folder(work: Path) -> None:
    (work / "module/bin").mkdir()
    for name in ("a", "b"):
        (work / "module/bin" / name).write_text("x\n")
    (work / "module/module.toml").write_text(HEAD + TREE + '[[file]]\npath = "opt/a"\nsource = "bin/a"\n')
    (warning,) = warnings(pack(work, "module", "-o", "a.seal"))
    assert warning.startswith("nothing packs 1 path ('bin/b') of 'module'; name it")


def test_what_the_spec_leaves_out_is_not_named(work: Path) -> None:
    for name in ("README.md", "x.o"):
        (work / "module" / name).write_text("x\n")
    (work / "module/files/y.o").write_text("x\n")
    exclude = 'exclude = ["README*", "*.txt"]\n'
    (work / "module/module.toml").write_text(HEAD + exclude + TREE + 'exclude = ["*.o"]\n')
    assert warnings(pack(work, "module", "-o", "a.seal")) == [
        "module/module.toml:5: exclude[1]: '*.txt' leaves nothing out: nothing that is not packed is called so"
    ]


@pytest.mark.parametrize(
    ("tables", "link", "target", "where"),
    [
        ('[[file]]\npath = "etc/x"\nsource = "env"\n', "env", "/etc/hostname", "file[0].source: 'env' is"),
        (
            '[[file]]\npath = "etc/x"\nsource = "up/hostname"\n',
            "up",
            "/etc",
            "file[0].source: 'up/hostname' goes through",
        ),
        ('[[payload]]\nroot = "tree"\n', "tree", "/usr", "payload[0].root: 'tree' is"),
        ('[[payload]]\nroot = "up/share"\n', "up", "/usr", "payload[0].root: 'up/share' goes through"),
        (
            TREE + '[[attachment]]\nname = "a"\nfile = "doc"\nmedia-type = "text/plain"\n',
            "doc",
            "/etc/hostname",
            "attachment[0].file: 'doc' is",
        ),
    ],
)
def test_a_link_that_leads_out_of_the_folder_of_the_spec_is_refused(
    work: Path, tables: str, link: str, target: str, where: str
) -> None:
    (work / "module/module.toml").write_text(HEAD + tables)
    (work / "module" / link).symlink_to(target)
    done = pack(work, "module", "-o", "a.seal")
    assert (done.code, done.out) == (1, "")
    what, step = done.err.splitlines()
    assert f"{where} the symbolic link 'module/{link}' to {os.path.realpath(target)!r}, outside of the spec's" in what
    assert step.endswith("Put a copy of the file or folder in the place of the link, into the spec's own folder.")


def test_a_link_of_a_stage_that_leads_out_of_it_is_refused(work: Path) -> None:
    shutil.rmtree(work / "stage/payloads/payload1")
    (work / "stage/payloads/payload1").symlink_to(work / "module/files")
    done = pack(work, "stage", "-o", "a.vib", "--version", "1")
    assert done.code == 1
    assert "'payloads/payload1' is the symbolic link 'stage/payloads/payload1' to" in done.err


def test_a_link_inside_of_the_folder_is_followed(work: Path) -> None:
    (work / "module/files").rename(work / "module/real")
    (work / "module/files").symlink_to("real")
    assert warnings(pack(work, "module", "-o", "a.seal")) == []
    assert "opt/hello/conf" in modes(work, "a.seal")
