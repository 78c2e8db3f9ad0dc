"""Every command that writes a file, with everything that can be where the file is to be."""

from __future__ import annotations

import errno
import os
import pty
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from builders import images, tsa
from builders.bundles import snapshot
from builders.transcript import SOURCE, run
from cli.conftest import SPEC, key_options
from files.test_output import make_socket
from modseal.cli.audit_output import FormatAndFile
from modseal.cli.main import cli
from modseal.cli.options import Output

TARGET = "place/out"
SIGNER = key_options("partner")
PASS = ("--passphrase-file", "pass")
BUNDLES = {
    "pack --output": ("pack", "module", "-o", TARGET),
    "pack --offline-bundle": ("pack", "module", "-o", "b.vib", "--offline-bundle", TARGET),
    "depot recall --output": (
        *("depot", "recall", "a", "--vendor", "Acme", "--reason", "x", "--name", "n", "--expires", "2100-01-01"),
        *(*SIGNER, "-o", TARGET),
    ),
    "profile create --output": (
        *("profile", "create", "acme-agent", "--depot", "site", "--policy", "keys/policy.toml"),
        *("-o", TARGET),
    ),
    "image rollback --output": (
        *("image", "rollback", "host.toml", "--running", "2", "2", "--to", "1", "1", "-o", TARGET),
    ),
    "image expect --output": ("image", "expect", "image", "-o", TARGET),
    "attest get --output": ("attest", "get", "http://127.0.0.1:9", "--nonce", "0123456789abcdef", "-o", TARGET),
    "break-glass create --output": (
        *("break-glass", "create", "--host", "0" * 32, "--lock", "1" * 32, "--reason", "x"),
        *(*SIGNER, "-o", TARGET),
    ),
    "break-glass endorse --output": ("break-glass", "endorse", "open.glass", *key_options("accepted"), "-o", TARGET),
    "sign --output": ("sign", "a.seal", *SIGNER, "-o", TARGET),
    "sign --prepare": ("sign", "a.seal", *SIGNER[2:], "--prepare", TARGET),
    "sign --dsse": ("sign", "a.seal", *SIGNER, "--dsse", TARGET),
    "timestamp --output": ("timestamp", "signed.seal", "--tsa", "http://tsa.invalid", "-o", TARGET),
    "keys csr --output": ("keys", "csr", "--key", "keys/partner/signer.key", "--subject", "CN=A", "-o", TARGET),
    "keys issue --output": ("keys", "issue", "--ca", "ca", "--csr", "csr", *PASS, "-o", TARGET),
    "keys crl --output": ("keys", "crl", "--ca", "ca", *PASS, "-o", TARGET),
    "policy bundle --output": (
        *("policy", "bundle", "keys/policy.toml", "--version", "1", "--expires", "2100-01-01"),
        *("--root-key", SIGNER[1], "--root-cert", SIGNER[3], "-o", TARGET),
    ),
    "policy endorse --output": (
        *("policy", "endorse", "1.trust", "-o", TARGET),
        *("--root-key", "keys/accepted/signer.key", "--root-cert", "keys/accepted/signer.pem"),
    ),
    "audit --attest": (*("audit", "signed.seal", "--policy", "keys/policy.toml"), *SIGNER, "--attest", TARGET),
}
"""What must be a file: a bundle, a certificate, something that is signed."""
KEYS = {"keys new key": ("keys", "new", TARGET, "--unencrypted")}
"""What replaces nothing at all."""
REPORTS = {
    "audit --output": ("audit", "signed.seal", "--policy", "keys/policy.toml", "-o", TARGET),
    "profile footprint --output": ("profile", "footprint", "signed.seal", "-o", TARGET),
    "verify --output": ("verify", "signed.seal", "--policy", "keys/policy.toml", "-o", TARGET),
    "audit --also": ("audit", "signed.seal", "--policy", "keys/policy.toml", "--also", f"json={TARGET}"),
    "host verify --event-log": ("host", "verify", "--root", "host", "--at-boot", "--event-log", TARGET),
}
"""What may go through a device or a pipe."""
COMMANDS = {**BUNDLES, **KEYS, **REPORTS}
INTO_FOLDERS = ("sign --output", "timestamp --output")
"""What takes several bundles, and a folder for them."""
READ = {
    "files",
    "config",
    *("inventory", "ca"),
    *("bundle", "bundles", "cert", "chain", "csr", "passphrase_file", "parent_passphrase_file", "prepared", "attach"),
    *("tsa_anchor", "root_cert", "previous", "policy_file", "spec", "certificate", "request", "baseline", "path"),
    *(
        "old",
        "new",
        "report",
        "root",
        "attestation",
        "key",
        "crl",
        "verifier_cert",
        "anchor",
        "left",
        "right",
        "hosts",
        "recalls",
        "glass",
        "expected",
        "installed",
        "profile_file",
    ),
}
"""Parameters that are files, and that are only read."""
NAMING_A_POLICY = ("verify --output", "audit --output", "audit --also", "audit --attest", "policy bundle --output")
"""Commands whose policy names files, which are read as the policy is."""
FOLDERS = {"directory", "folder", "out", "store", "parent", "below", "destination", "state_file", "mounts"}
"""And what may be one or a file (tests/cli/test_depot_cli.py)."""


def parameters(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Parameter]]:
    """Every parameter of every command, by the words that name it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from parameters(found, f"{name} {each}".strip())
    for parameter in command.params:
        long = max(parameter.opts, key=len)
        yield f"{name} {long}", parameter


def test_no_command_that_writes_a_file_is_forgotten() -> None:
    everything = dict(parameters(cli))
    written = {name for name, each in everything.items() if isinstance(each.type, Output | FormatAndFile)}
    assert written == COMMANDS.keys()
    others = {
        each.name: name
        for name, each in everything.items()
        if isinstance(each.type, click.Path) and name not in written
    }
    assert {name: where for name, where in others.items() if name not in READ | FOLDERS} == {}


@pytest.fixture(scope="module")
def place(example_keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands read."""
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "module/files/opt").mkdir(parents=True)
    (folder / "module/files/opt/agent").write_bytes(b"agent")
    (folder / "module/module.toml").write_text(SPEC)
    shutil.copytree(example_keys, folder / "keys")
    (folder / "pass").write_text("a long passphrase\n")
    (folder / "host").mkdir()
    images.built(folder / "image")
    images.owned(folder)
    for arguments in (
        ("pack", "module", "-o", "a.seal", "--provenance", "--builder-id", "https://ci.example/1"),
        ("sign", "a.seal", *SIGNER, "-o", "signed.seal"),
        (
            *("depot", "build", "signed.seal", "-o", "site", "--name", "site", "--expires", "2099-01-01"),
            *key_options("certified"),
        ),
        ("keys", "ca", "ca", "--name", "CA", *PASS),
        ("keys", "csr", "--key", "keys/partner/signer.key", "--subject", "CN=A", "-o", "csr"),
        (*BUNDLES["policy bundle --output"][:-1], "1.trust", "--root-cert", "keys/accepted/signer.pem"),
        (*BUNDLES["break-glass create --output"][:-1], "open.glass"),
        ("host", "init", "--root", "host", "--policy", "keys/policy.toml"),
        ("host", "install", "signed.seal", "--root", "host"),
    ):
        done = run(*arguments, cwd=folder, env={"GITHUB_ACTIONS": "", "GITLAB_CI": ""})
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def target(place: Path) -> Iterator[Path]:
    """Where the output is to be, in a folder of its own."""
    (place / "place").mkdir()
    yield place / TARGET
    shutil.rmtree(place / "place")


@pytest.fixture(autouse=True)
def a_timestamp_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modseal.cli.timestamp.authorities", lambda *_: tsa.token)


@pytest.fixture(autouse=True)
def a_host_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modseal.image.ask.ask", lambda *_: images.attestation())


def nothing(_target: Path) -> None:
    pass


def regular(target: Path) -> None:
    target.write_bytes(b"old")


def link(target: Path) -> None:
    (target.parent / "other").write_bytes(b"old")
    target.symlink_to("other")


def dangling(target: Path) -> None:
    target.symlink_to("other")


def node(kind: int, number: int) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        try:
            os.mknod(target, kind | 0o666, number)
        except PermissionError:
            pytest.skip("no devices can be made here")

    return make


NULL = os.makedev(1, 3)
device, disk = node(stat.S_IFCHR, NULL), node(stat.S_IFBLK, os.makedev(240, 77))


def link_to_device(target: Path) -> None:
    device(target.parent / "other")
    target.symlink_to("other")


OF_A_KIND = {"pack --output": b"!<arch>\n", "pack --offline-bundle": b"PK\x03\x04"}
"""What replaces its like alone, and how that begins."""


def put(name: str, make: Callable[[Path], object], target: Path) -> None:
    """Put something at the target of a command, of the kind that the command replaces."""
    make(target)
    if name in OF_A_KIND and target.is_file() and target.stat().st_size:
        target.write_bytes(OF_A_KIND[name] + b"old")


def run_on(name: str, place: Path, target: Path, make: Callable[[Path], object], code: int) -> list[str]:
    """Run a command with something at its target, and see that every node is still what it was. Gives the names."""
    put(name, make, target)
    before = {path.name: path.lstat() for path in target.parent.iterdir()}
    done = run(*COMMANDS[name], cwd=place)
    assert done.code == code, done
    if code == 2:
        assert str(TARGET) in done.err
    for path in target.parent.iterdir():
        if path.name in before and not stat.S_ISREG(before[path.name].st_mode):
            now = path.lstat()
            assert os.path.samestat(now, before[path.name])
            assert (now.st_mode, now.st_rdev) == (before[path.name].st_mode, before[path.name].st_rdev)
    left = sorted(path.name for path in target.parent.iterdir())
    assert not [each for each in left if each.startswith(".")]
    if code:
        assert left == sorted(before)
    return [each for each in left if each not in ("out.txt", "out.json")]  # beside what is prepared for signing


@pytest.mark.parametrize("name", COMMANDS)
def test_a_new_file_is_made(name: str, place: Path, target: Path) -> None:
    assert run_on(name, place, target, nothing, 0) == ["out"]
    assert target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == (0o600 if name in KEYS else 0o644)


@pytest.mark.parametrize("name", {**BUNDLES, **REPORTS})
def test_a_file_is_replaced_also_where_a_link_leads_to_it(name: str, place: Path, target: Path) -> None:
    for make, made in ((regular, target), (link, target.parent / "other"), (dangling, target.parent / "other")):
        run_on(name, place, target, make, 0)
        assert made.read_bytes() not in (b"", b"old")
        assert target.is_symlink() == (make is not regular)
        for path in target.parent.iterdir():
            path.unlink()


@pytest.mark.parametrize("name", [name for name in {**BUNDLES, **REPORTS} if not name.startswith("host ")])
def test_a_file_that_is_replaced_is_named_and_no_other(name: str, place: Path, target: Path) -> None:
    said = f"modseal: warning: {TARGET} was there already, and is replaced"
    for make, times in ((nothing, 0), (Path.touch, 0), (regular, 1)):
        target.unlink(missing_ok=True)
        put(name, make, target)
        assert run(*COMMANDS[name], cwd=place).err.splitlines().count(said) == times


def test_a_file_that_stays_is_not_said_to_be_replaced(place: Path, target: Path) -> None:
    regular(target)
    done = run("keys", "issue", "--ca", "ca", "--csr", "signed.seal", *PASS, "-o", TARGET, cwd=place)
    assert done.code not in (0, 2)
    assert "is replaced" not in done.err
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("name", [name for name in COMMANDS if not name.startswith(("pack --off", "host "))])
def test_a_dash_is_no_name_of_an_output(name: str, place: Path) -> None:
    done = run(*(each.replace(TARGET, "-") for each in COMMANDS[name]), cwd=place)
    assert done.code == 2
    assert "- is not a file to write" in done.err
    assert not (place / "-").exists()


@pytest.mark.parametrize("make", [regular, link, dangling, device, link_to_device, os.mkfifo, make_socket])
@pytest.mark.parametrize("name", KEYS)
def test_a_key_replaces_nothing(name: str, make: Callable[[Path], object], place: Path, target: Path) -> None:
    run_on(name, place, target, make, 2)
    if make is regular:
        assert target.read_bytes() == b"old"


@pytest.mark.parametrize("make", [device, disk, link_to_device, os.mkfifo])
@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_goes_to_no_device_and_no_pipe(
    name: str, make: Callable[[Path], object], place: Path, target: Path
) -> None:
    run_on(name, place, target, make, 2)


@pytest.mark.parametrize("make", [device, link_to_device])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_goes_through_a_device(name: str, make: Callable[[Path], object], place: Path, target: Path) -> None:
    run_on(name, place, target, make, 0)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_goes_to_no_disk(name: str, place: Path, target: Path) -> None:
    run_on(name, place, target, disk, 2)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_goes_through_a_pipe(name: str, place: Path, target: Path) -> None:
    os.mkfifo(target)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(target.read_bytes()))
    reader.start()
    run_on(name, place, target, nothing, 0)
    reader.join()
    assert b"acme-agent" in read[0] or b"signed.seal" in read[0]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in INTO_FOLDERS])
def test_a_folder_is_refused(name: str, place: Path, target: Path) -> None:
    run_on(name, place, target, Path.mkdir, 2)


@pytest.mark.parametrize("name", INTO_FOLDERS)
def test_a_changed_bundle_goes_into_a_folder_under_its_own_name(name: str, place: Path, target: Path) -> None:
    run_on(name, place, target, Path.mkdir, 0)
    assert [path.name for path in target.iterdir()] == [COMMANDS[name][1]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_socket_is_refused(name: str, place: Path, target: Path) -> None:
    run_on(name, place, target, make_socket, 2)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_folder_is_said(name: str, place: Path) -> None:
    done = run(*COMMANDS[name], cwd=place)
    assert done.code == 3
    assert TARGET in done.err
    assert ": No such file or directory" in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_cannot_be_written_is_said(
    name: str, place: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that is mounted read-only, so that root may not either."""
    real = os.open

    def closed(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_CREAT and named.get("dir_fd") is not None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", closed)
    run_on(name, place, target, nothing, 3)


@pytest.mark.parametrize("name", {**BUNDLES, **REPORTS})
def test_a_link_that_others_could_have_put_there_is_refused(name: str, place: Path, target: Path) -> None:
    def planted(target: Path) -> None:
        link(target)
        target.parent.chmod(0o777)

    run_on(name, place, target, planted, 2)
    assert (target.parent / "other").read_bytes() == OF_A_KIND.get(name, b"") + b"old"


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("sign --output", "keys/partner/signer.pem"),
        ("sign --output", "keys/partner/signer.key"),
        ("sign --dsse", "a.seal"),
        ("sign --prepare", "keys/partner/signer.pem"),
        ("keys csr --output", "keys/partner/signer.key"),
        ("keys issue --output", "csr"),
        ("keys issue --output", "pass"),
        ("keys issue --output", "ca/ca.pem"),
        ("keys crl --output", "ca/index.json"),
        ("policy bundle --output", "keys/policy.toml"),
        ("policy endorse --output", "keys/accepted/signer.pem"),
        ("audit --output", "keys/policy.toml"),
        ("audit --output", "signed.seal"),
        ("audit --also", "keys/policy.toml"),
        ("audit --attest", "keys/policy.toml"),
        *((name, "keys/partner/root.pem") for name in NAMING_A_POLICY),
        ("verify --output", "keys/policy.toml"),
        ("audit --attest", "signed.seal"),
        ("pack --output", "module/module.toml"),
        ("pack --output", "module/files/agent"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_OUT_04_what_a_command_reads_is_not_its_output(
    name: str, taken: str, linked: bool, place: Path, target: Path
) -> None:
    before = snapshot(place)
    if linked:
        target.symlink_to(place / taken)
    arguments = COMMANDS[name] if linked else [each.replace(TARGET, taken) for each in COMMANDS[name]]
    assert run(*arguments, cwd=place).code == 2
    assert {path: data for path, data in snapshot(place).items() if path != TARGET} == before


def test_a_signed_bundle_stays_behind_its_link(place: Path, target: Path) -> None:
    (target.parent / "x.seal").write_bytes((place / "a.seal").read_bytes())
    target.symlink_to("x.seal")
    assert run("sign", TARGET, *SIGNER, cwd=place).code == 0
    assert target.readlink() == Path("x.seal")
    assert (target.parent / "x.seal").stat().st_size > (place / "a.seal").stat().st_size


MAIN = "from modseal.cli.main import main; main()"
AUDIT = f"'{sys.executable}' -c '{MAIN}' audit signed.seal --policy keys/policy.toml --format csv -o"


def shell(place: Path, command: str, **how: Any) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(place / "place")}
    return subprocess.run(
        ["sh", "-c", command], cwd=place, env=environ, text=True, check=False, **{"capture_output": True, **how}
    )


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.usefixtures("target")
def test_a_report_goes_to_standard_output_whatever_that_is(name: str, place: Path) -> None:
    piped = shell(place, f"{AUDIT} {name} | cat")
    assert piped.stderr == ""
    assert "signed.seal" in piped.stdout
    (place / "place/log").write_text("before\n")
    done = shell(place, f"{AUDIT} {name} >> place/log; echo $?")
    assert done.stdout == "0\n"
    assert (place / "place/log").read_text() == "before\n" + piped.stdout
    assert shell(place, f"{AUDIT} {name} > place/new; echo $?").stdout == "0\n"
    assert (place / "place/new").read_text() == piped.stdout
    assert shell(place, f"{AUDIT} {name} >&-").returncode == 0
    assert shell(place, f"{AUDIT} {name} > /dev/null").returncode == 0
    closed = shell(place, f"({AUDIT} {name}; echo $? > place/status) | true")
    assert closed.stderr == ""


@pytest.mark.usefixtures("target")
def test_a_report_goes_to_a_terminal_and_to_standard_error(place: Path) -> None:
    terminal, end = pty.openpty()
    done = shell(place, f"{AUDIT} /dev/stdout", capture_output=False, stdout=end)
    os.close(end)
    assert done.returncode == 0
    assert b"signed.seal" in os.read(terminal, 65536)
    os.close(terminal)
    assert "signed.seal" in shell(place, f"{AUDIT} /dev/stderr").stderr


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr"])
def test_a_bundle_does_not_go_to_standard_output(name: str, place: Path) -> None:
    command = f"'{sys.executable}' -c '{MAIN}' pack module -o {name}"
    done = shell(place, command)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{name} is a stream; name a file to write" in done.stderr


def test_an_offline_bundle_that_is_replaced_is_named(place: Path, target: Path) -> None:
    vib, depot = f"{TARGET}.vib", f"{TARGET}.zip"
    assert run("pack", "module", "-o", vib, cwd=place).code == 0
    for times in (0, 1):
        done = run("depot", "build", vib, "-o", depot, cwd=place)
        assert done.code == 0
        assert done.err.count(f"{depot} was there already, and is replaced") == times
    assert target.with_suffix(".zip").is_file()


def test_a_report_takes_the_place_of_nothing_in_a_trust_store(place: Path, target: Path) -> None:
    bundle, store = f"{TARGET}.trust", f"{TARGET}.store"
    made = run(*BUNDLES["policy bundle --output"][:-1], bundle, cwd=place)
    assert made.code == 0, made.err
    fingerprint = next(
        each.split(":")[1].rstrip(",")
        for each in run("policy", "show", bundle, cwd=place).out.split()
        if "sha256:" in each
    )
    assert run("policy", "update", bundle, "--store", store, "--initial-root", fingerprint, cwd=place).code == 0
    state = next(path for path in (place / store).iterdir() if path.is_file())
    before = state.read_bytes()
    for reference in (store, f"store:{store}"):
        done = run("verify", "signed.seal", "--policy", reference, "-o", state, cwd=place)
        assert done.code == 2
        assert "is read by this command" in done.err
    assert state.read_bytes() == before
    assert not target.exists()
