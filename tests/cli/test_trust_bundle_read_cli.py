"""A trust bundle is read before anybody vouches for it or installs it, and what is shown is marked as unproved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from builders import trust_bundles
from builders.bundles import make
from builders.policies import write
from builders.transcript import Transcript, run, run_process
from builders.trust_bundles import A, B


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The trust bundle 1.trust, which B has not signed yet, with the keys of both; and a bundle of a module."""
    write(tmp_path)
    (tmp_path / "m.seal").write_bytes(make("seal").data)
    for name, one in (("a", A), ("b", B)):
        (tmp_path / f"{name}.pem").write_bytes(one.pem)
        (tmp_path / f"{name}.key").write_bytes(one.key_pem)
        (tmp_path / f"{name}.key").chmod(0o600)
    assert bundle(tmp_path).code == 0
    return tmp_path


def bundle(place: Path) -> Transcript:
    keys = ("--root-key", "a.key", "--root-cert", "a.pem", "--root-cert", "b.pem")
    return run(
        *("policy", "bundle", "policy.toml", "--version", "1", "--expires", "2100-01-01", *keys, "-o", "1.trust"),
        cwd=place,
    )


def digest(path: Path) -> str:
    """What `sha256sum` prints."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_show_prints_the_policy_as_the_file_has_it_and_says_first_that_nothing_is_proved(place: Path) -> None:
    done = run("policy", "show", "1.trust", cwd=place)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("1.trust: UNPROVED: ")
    own = run("policy", "show", "policy.toml", cwd=place).out.splitlines()
    assert lines[-len(own) + 1 :] == [f"  {line}" for line in own[1:]]
    assert f"  root signer    sha256:{A.fingerprint}, has signed" in lines
    assert f"  root signer    sha256:{B.fingerprint}" in lines
    assert "  not complete   1 of the 2 root signers that version 1 asks for have signed" in lines
    assert f"                 sha256:{digest(place / 'root.pem')}" in lines


def test_check_prints_the_weakest_as_it_does_for_the_policy(place: Path) -> None:
    own = run("policy", "check", "policy.toml", cwd=place).out
    done = run("policy", "check", "1.trust", "policy.toml", cwd=place)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"UNPROVED: 1.trust:{own}{own}"


def test_inspect_shows_it_too_from_a_stream_as_well(place: Path) -> None:
    done = run("inspect", "1.trust", cwd=place)
    assert done.code == 0
    assert done.out == run("policy", "show", "1.trust", cwd=place).out
    piped = run_process("inspect", "-", cwd=place, stdin=(place / "1.trust").read_bytes())
    assert (piped.code, piped.out) == (0, done.out.replace("1.trust:", "-:"))
    document = json.loads(run("inspect", "1.trust", "--format", "json", cwd=place).out)
    assert document["unproved"] is True
    assert document["sha256"] == digest(place / "1.trust")
    assert [one["fingerprint"] for one in document["signatures"]] == [A.fingerprint]


def test_it_has_a_line_among_bundles(place: Path) -> None:
    done = run("inspect", "m.seal", "1.trust", cwd=place)
    assert done.code == 0
    assert done.out.splitlines()[1].startswith("1.trust: UNPROVED: trust bundle version 1, expires 2100-01-01")


def test_the_printed_digest_is_that_of_the_file_at_every_step(place: Path) -> None:
    made = bundle(place)
    assert made.out.rstrip().endswith(f"sha256 {digest(place / '1.trust')}")
    assert f"  sha256         {digest(place / '1.trust')}\n" in run("policy", "show", "1.trust", cwd=place).out
    endorsed = run("policy", "endorse", "1.trust", "--root-key", "b.key", "--root-cert", "b.pem", cwd=place)
    assert endorsed.out.rstrip().endswith(f"sha256 {digest(place / '1.trust')}")
    roots = [word for one in (A, B) for word in ("--initial-root", one.fingerprint)]
    installed = run("policy", "update", "1.trust", "--store", "store", *roots, cwd=place)
    assert installed.code == 0, installed.err
    assert installed.out.splitlines()[0].endswith(f"sha256 {digest(place / '1.trust')}")
    assert digest(place / "store" / "versions" / "1.trust") == digest(place / "1.trust")


def test_the_declaration_has_one_digest_whoever_has_signed(place: Path) -> None:
    before = run("policy", "show", "1.trust", cwd=place).out
    assert run("policy", "endorse", "1.trust", "--root-key", "b.key", "--root-cert", "b.pem", cwd=place).code == 0
    after = run("policy", "show", "1.trust", cwd=place).out
    row = next(line for line in before.splitlines() if line.startswith("  of trust.json"))
    assert row in after.splitlines()


def test_nothing_is_judged_by_a_policy_that_nobody_has_installed(place: Path) -> None:
    for command in (("verify", "m.seal"), ("policy", "explain", "m.seal"), ("extract", "m.seal", "-C", "out")):
        done = run(*command, "--policy", "1.trust", cwd=place)
        assert (done.code, done.out) == (3, "")
        assert "is a trust bundle, whose policy holds once it is installed" in done.err
        assert "modseal policy update" in done.err.splitlines()[-1]


def test_a_signature_that_does_not_verify_is_a_problem_and_exit_1(place: Path) -> None:
    good = trust_bundles.make()
    other = trust_bundles.make(2)
    members = dict(trust_bundles.members(good))
    members["sig.pkcs7"] = other.signature
    (place / "bad.trust").write_bytes(trust_bundles.archive(list(members.items())))
    done = run("inspect", "bad.trust", cwd=place)
    assert done.code == 1
    assert "  problem        trust-bundle-invalid: " in done.out
    assert "has signed" not in done.out
    shown = run("policy", "show", "bad.trust", cwd=place)
    assert (shown.code, shown.out) == (1, done.out)
    checked = run("policy", "check", "bad.trust", "policy.toml", cwd=place)
    assert checked.code == 1
    assert checked.out.splitlines()[0].startswith("UNPROVED: ")
    assert checked.out.splitlines()[1].startswith("bad.trust: problem: trust-bundle-invalid: ")
    assert len(checked.out.splitlines()) == 3


def test_a_policy_that_cannot_be_used_is_a_problem(place: Path) -> None:
    files = trust_bundles.files()
    files["policy.toml"] = files["policy.toml"].replace(b"partner", b"parnter", 1)
    (place / "bad.trust").write_bytes(trust_bundles.archive(trust_bundles.members(trust_bundles.make(contents=files))))
    shown = run("inspect", "bad.trust", cwd=place)
    assert shown.code == 1
    assert "minimum-level" in shown.out
    done = run("policy", "check", "bad.trust", cwd=place)
    assert (done.code, done.out) == (3, "")
    assert "bad.trust:policy.toml:2: minimum-level" in done.err


def test_a_damaged_trust_bundle_is_refused(place: Path) -> None:
    (place / "bad.trust").write_bytes((place / "1.trust").read_bytes()[:-10])
    assert "problem        truncated" in run("inspect", "bad.trust", cwd=place).out
    for command in (("policy", "show"), ("policy", "check")):
        done = run(*command, "bad.trust", cwd=place)
        assert (done.code, done.out) == (1, "")
        assert "the trust bundle cannot be used" in done.err
