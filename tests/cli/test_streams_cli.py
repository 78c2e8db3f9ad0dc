"""A bundle on standard input: `verify` and `inspect` take it, and the others say that they need a file."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from builders import policies
from builders.bundles import make
from builders.commands import every_command
from builders.pki import signer
from builders.transcript import SOURCE, run, run_process
from modseal.cli.options import File, PlaceType, ReferenceType

POLICY = ("--policy", "policy.toml")
NAMES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
GOOD = make("seal").data


@pytest.fixture
def place(tmp_path: Path) -> Path:
    policies.write(tmp_path)
    (tmp_path / "a.seal").write_bytes(GOOD)
    (tmp_path / "signer.pem").write_bytes(signer().pem)
    (tmp_path / "signer.key").write_bytes(signer().key_pem)
    (tmp_path / "signer.key").chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_verify_and_inspect_take_a_pipe(place: Path, name: str) -> None:
    done = run_process("verify", name, *POLICY, cwd=place, stdin=GOOD)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{name}: accepted\n")
    done = run_process("inspect", name, cwd=place, stdin=GOOD)
    assert (done.code, done.err) == (0, "")
    assert done.out == run("inspect", "a.seal", cwd=place).out.replace("a.seal:", f"{name}:", 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_as_standard_input_is_read_too(place: Path, name: str) -> None:
    with (place / "a.seal").open("rb") as file:
        assert run_process("verify", name, *POLICY, cwd=place, stdin=file).code == 0


def test_what_another_program_has_read_of_a_file_is_not_read_again(place: Path) -> None:
    (place / "two").write_bytes(b"x" * 100 + GOOD)
    with (place / "two").open("rb", buffering=0) as file:
        file.read(100)
        assert run_process("verify", "-", *POLICY, cwd=place, stdin=file).code == 0


def test_a_tampered_stream_is_rejected_and_the_digest_is_that_of_its_bytes(place: Path) -> None:
    done = run_process("verify", "-", *POLICY, "--format", "json", cwd=place, stdin=GOOD.replace(b"acme", b"acne"))
    assert done.code == 1
    (result,) = json.loads(run_process("verify", "-", *POLICY, "--format", "json", cwd=place, stdin=GOOD).out)[
        "results"
    ]
    (place / "b.seal").write_bytes(GOOD)
    file = run("verify", "b.seal", *POLICY, "--format", "json", cwd=place)
    assert result["sha256"] == json.loads(file.out)["results"][0]["sha256"]


def test_a_process_substitution_is_a_stream(place: Path) -> None:
    command = (
        f"{sys.executable} -c 'from modseal.cli.main import main; main()' verify <(cat a.seal) --policy policy.toml"
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_empty_stream_is_no_bundle(place: Path) -> None:
    done = run_process("verify", "-", *POLICY, cwd=place)
    assert done.code == 1
    assert "it is empty" in done.out


def test_a_stream_is_named_once(place: Path) -> None:
    for names in (("-", "-"), ("-", "/dev/stdin"), ("/dev/fd/0", "-")):
        done = run_process("verify", *names, *POLICY, cwd=place, stdin=GOOD)
        assert (done.code, done.out) == (2, "")
        assert "is named twice" in done.err


def test_a_terminal_is_not_waited_for(place: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with os.fdopen(theirs, "rb", buffering=0) as terminal:
            done = run_process("verify", "-", *POLICY, cwd=place, stdin=terminal)
    finally:
        os.close(ours)
    assert done.code == 3
    assert "a terminal, and not a bundle" in done.out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "command",
    [
        "extract {} -C out --unverified",
        "sign {} --key signer.key --cert signer.pem",
        "timestamp {} --tsa http://127.0.0.1:1/",
        "sbom {} --unverified",
        "diff a.seal {}",
        "pack {}",
        "init {}",
        "audit {}",
        "audit diff {} a.seal",
        "audit verify-report {}",
        "keys show {}",
        "depot build -o d.zip {}",
        "depot list {}",
        "depot check {} --policy policy.toml",
        "depot diff {} a.seal",
        "depot merge {} -o d.zip",
        "profile solve acme-agent --depot {} --policy policy.toml",
        "policy explain {} --policy policy.toml",
        "policy bundle {} --version 1 --expires 2100-01-01 --root-cert signer.pem -o x.trust",
        "policy endorse {} --root-key signer.key --root-cert signer.pem",
        "break-glass endorse {} --key signer.key --cert signer.pem",
        "host install {} --root .",
    ],
    ids=lambda command: " ".join(command.split()[:2]),
)
def test_what_needs_a_file_says_so(place: Path, command: str, name: str) -> None:
    done = run(*(name if word == "{}" else word for word in command.split()), cwd=place)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"modseal: {name}: a stream, and a file is needed here\n"
        "modseal: next: Write it to a file first, and name that; `verify` and `inspect` take a bundle from a stream.\n"
    )


@pytest.mark.parametrize(("name", "command"), list(every_command()), ids=lambda one: one if type(one) is str else "")
def test_every_file_is_one_that_may_be_a_stream_or_not(name: str, command: click.Command) -> None:
    """Also what is no file alone: a place that may be an address, and a policy or key that has a name."""
    for one in command.params:
        if one.metavar in ("POLICY", "POLICY...", "KEY", "DEPOT", "DEPOT...", "PEM", "BUNDLE...", "FILE", "PATH..."):
            assert isinstance(one.type, File | PlaceType | ReferenceType), (name, one.name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_small_and_read_once_may_be_a_stream(place: Path, name: str) -> None:
    """Keys, certificates, passphrases, policies and trust bundles."""
    policy = policies.write(place).read_bytes()
    (place / "unsigned.seal").write_bytes(make("seal").unsigned().data)
    sign = ("sign", "unsigned.seal", "-o", "b.seal", "--cert", "signer.pem")
    assert run_process(*sign, "--key", name, cwd=place, stdin=signer().key_pem).code == 0
    done = run_process(
        "keys", "csr", "--key", name, "--subject", "CN=A", "-o", "csr", cwd=place, stdin=signer().key_pem
    )
    assert done.code == 0
    assert run_process("verify", "a.seal", "--policy", name, cwd=place, stdin=policy).code == 0
    assert run_process("policy", "check", name, cwd=place, stdin=policy).code == 0


@pytest.mark.parametrize("names", [("-", "-"), ("-", "/dev/stdin"), ("/dev/fd/0", "-")])
def test_a_stream_is_named_once_whatever_it_is_for(place: Path, names: tuple[str, str]) -> None:
    first, second = names
    for command in (
        ("verify", first, "--policy", second),
        ("sign", "a.seal", "--key", first, "--cert", second),
        ("inspect", first, second),
    ):
        done = run(*command, cwd=place)
        assert (done.code, done.out) == (2, "")
        assert "a stream can be read once, and is named twice" in done.err
