"""The whole main job as transcripts: make keys, pack, sign, verify, inspect, extract, refuse a tampered copy."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from builders.bundles import snapshot
from builders.transcript import SOURCE, run, run_process
from cli.conftest import key_options

kinds = pytest.mark.parametrize("kind", ["seal", "vib"])
POLICY = ("--policy", "keys/policy.toml")


def test_the_collector_that_imports_do_without_is_on_again() -> None:
    code = "import gc; from modseal.cli.main import cli; cli.get_command(None, 'verify'); assert gc.isenabled()"
    for each in ("import gc; import modseal.cli.main; assert gc.isenabled()", code):
        subprocess.run([sys.executable, "-c", each], check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})


def test_the_example_keys_are_one_command(tmp_path: Path) -> None:
    done = run_process("keys", "example", "keys", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "never use them in production" in done.out
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        "certified",
        "accepted",
        "partner",
        "community",
        "revoked",
        "expired",
        "wrong-eku",
        "policy.toml",
        "README.md",
    }
    again = run("keys", "example", "keys", cwd=tmp_path)
    assert again.code == 2
    assert "is not empty" in again.err


@kinds
def test_a_signed_bundle_is_accepted_at_its_proven_level(signed: Path, kind: str) -> None:
    done = run("verify", f"a.{kind}", *POLICY, cwd=signed)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"a.{kind}: accepted",
        "  module         Acme acme-agent 1.2.3-4",
        "  claimed level  partner",
        "  proven level   partner",
        "  signer         CN=Example partner signer,O=modseal example (trusted: Example partner root)",
    ]


@kinds
def test_verbose_shows_every_step(signed: Path, kind: str) -> None:
    done = run("verify", "-v", f"a.{kind}", *POLICY, cwd=signed)
    steps = [line.split()[0] for line in done.out.splitlines() if " passed " in line]
    assert sorted(set(steps)) == list("0123456789")


@kinds
def test_the_json_of_an_accepted_bundle_says_who_and_how_far(signed: Path, kind: str) -> None:
    done = run("verify", f"a.{kind}", *POLICY, "--format", "json", "--at", "2026-02-03", cwd=signed)
    document = json.loads(done.out)
    (result,) = document["results"]
    assert (done.code, document["schema"], document["at"]) == (0, "modseal/report@1", "2026-02-03T00:00:00Z")
    assert (result["verdict"], result["claimed_level"], result["proven_level"]) == ("accepted", "partner", "partner")
    assert result["module"] == {"vendor": "Acme", "name": "acme-agent", "version": "1.2.3-4", "proved": True}
    assert [(one["trusted"], one["anchor"]) for one in result["signers"]] == [(True, "Example partner root")]
    assert {check["step"] for check in result["checks"]} == set(range(10))


@kinds
def test_sarif_of_an_accepted_bundle_has_no_result(signed: Path, kind: str) -> None:
    done = run("verify", f"a.{kind}", *POLICY, "--format", "sarif", cwd=signed)
    assert done.code == 0
    assert json.loads(done.out)["runs"][0]["results"] == []


@kinds
def test_inspect_shows_what_the_bundle_says(signed: Path, kind: str) -> None:
    done = run("inspect", f"a.{kind}", cwd=signed)
    assert (done.code, done.err) == (0, "")
    for text in ("UNPROVED", "acme-agent", "partner", "Example partner signer", "opt/acme/agent"):
        assert text in done.out
    assert ("opt/acme/current -> conf" in done.out) == (kind == "seal")


@kinds
def test_an_unsigned_bundle_is_refused_and_says_what_to_do(desk: Path, kind: str) -> None:
    done = run("verify", f"a.{kind}", *POLICY, cwd=desk)
    assert done.code == 1
    assert "1 signature    failed         unsigned: the signature member is empty" in done.out
    assert done.out.rstrip().endswith("next: Ask the vendor for the signed bundle.")


@kinds
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_extract_gives_exactly_the_files(signed: Path, kind: str, umask: int) -> None:
    old = os.umask(umask)
    try:
        done = run("extract", f"a.{kind}", "-C", "out", *POLICY, cwd=signed)
    finally:
        os.umask(old)
    assert (done.code, done.err) == (0, "")
    link = {"opt/acme/current": "-> conf"} if kind == "seal" else {}
    assert snapshot(signed / "out") == {
        "opt": "folder",
        "opt/acme": "folder",
        "opt/acme/agent": b"\x7fELF agent",
        "opt/acme/conf": b"level = 1\n",
        **link,
    }
    modes = {
        name: stat.S_IMODE((signed / "out" / name).stat().st_mode)
        for name in ("", "opt", "opt/acme", "opt/acme/agent", "opt/acme/conf")
    }
    assert modes == {"": 0o755, "opt": 0o755, "opt/acme": 0o755, "opt/acme/agent": 0o755, "opt/acme/conf": 0o644}


@kinds
@pytest.mark.parametrize("command", ["verify", "extract"])
def test_a_tampered_copy_is_refused(signed: Path, kind: str, command: str) -> None:
    data = bytearray((signed / f"a.{kind}").read_bytes())
    data[-20] ^= 1
    (signed / "b").write_bytes(data)
    options = ("-C", "out") if command == "extract" else ()
    done = run(command, "b", *options, *POLICY, cwd=signed, prefixed=command == "verify")
    assert done.code == 1
    told = done.out + done.err
    assert "payload-digest-mismatch" in told
    assert "Get the bundle again from its vendor" in told
    assert not (signed / "out").exists()


@kinds
def test_a_second_signer_may_add_a_block(signed: Path, kind: str) -> None:
    before = (signed / f"a.{kind}").read_bytes()
    done = run("sign", f"a.{kind}", *key_options("certified"), "-o", "b", cwd=signed)
    assert done.code == 0
    assert "2 blocks" in done.out
    assert (signed / f"a.{kind}").read_bytes() == before
    document = json.loads(run("verify", "b", *POLICY, "--format", "json", cwd=signed).out)
    assert [one["trusted"] for one in document["results"][0]["signers"]] == [True, True]


@pytest.mark.parametrize(("who", "code"), [("revoked", "revoked"), ("community", "level-not-granted")])
@kinds
def test_a_signer_that_may_not_is_refused(desk: Path, kind: str, who: str, code: str) -> None:
    assert run("sign", f"a.{kind}", *key_options(who), cwd=desk).code == 0
    done = run("verify", f"a.{kind}", *POLICY, "--format", "json", cwd=desk)
    failed = [check["code"] for check in json.loads(done.out)["results"][0]["checks"] if check["status"] == "failed"]
    assert (done.code, failed) == (1, [code])


def test_the_same_key_time_and_content_give_the_same_bytes(desk: Path) -> None:
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    for name in ("b", "c"):
        assert run("sign", "a.seal", *key_options("partner"), "-o", name, cwd=desk, env=env).code == 0
    assert (desk / "b").read_bytes() == (desk / "c").read_bytes()


def test_policy_check_is_one_line_and_show_is_all_of_it(desk: Path) -> None:
    checked = run("policy", "check", "keys/policy.toml", cwd=desk)
    assert (checked.code, len(checked.out.splitlines())) == (0, 1)
    shown = run("policy", "show", "keys/policy.toml", cwd=desk)
    assert shown.code == 0
    assert "Example partner root grants partner" in shown.out


def test_the_whole_job_in_processes(tmp_path: Path, desk: Path) -> None:
    """The installed command, once around: same exit codes, nothing on standard error."""
    for arguments, code in (
        (("verify", "a.seal", *POLICY), 1),
        (("sign", "a.seal", *key_options("partner"), "--policy", "keys/policy.toml"), 0),
        (("verify", "a.seal", *POLICY), 0),
        (("extract", "a.seal", "-C", "out", *POLICY), 0),
        (("verify", "a.seal", "--policy", "strict"), 1),
        (("verify", "nothing", *POLICY), 3),
    ):
        done = run_process(*arguments, cwd=desk)
        assert (done.code, done.err) == (code, ""), (arguments, done)
