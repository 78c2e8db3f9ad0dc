"""Every host command that shows something shows it as JSON, too, also why it has no result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from builders.transcript import run

ROOT = ("--root", "R")
JSON = ("--format", "json")
SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "schemas/host.schema.json").read_text()))


@pytest.fixture
def desk_host(signed: Path) -> Path:
    """A host `R` with a module, under the policy of the example keys."""
    (signed / "R").mkdir()
    for command in (("init", "--policy", "keys/policy.toml"), ("install", "a.seal")):
        assert run("host", *command, *ROOT, cwd=signed).code == 0
    return signed


def document(folder: Path, *arguments: object, code: int = 0) -> dict:
    done = run("host", *arguments, cwd=folder)
    assert done.code == code, done
    found = json.loads(done.out)
    SCHEMA.validate(found)
    return found


def test_what_is_done_is_shown_as_json(desk_host: Path) -> None:
    (desk_host / "S").mkdir()
    made = document(desk_host, "init", "--policy", "keys/policy.toml", "--root", "S", *JSON)
    assert (made["schema"], made["level"]) == ("modseal/host-init@1", "community")
    done = document(desk_host, "acceptance", "set", "partner", *ROOT, *JSON)
    assert (done["level"], done["was"], done["policy_minimum"]) == ("partner", "community", "community")
    assert document(desk_host, "acceptance", "get", *ROOT, *JSON)["was"] is None
    shown = document(desk_host, "policy", "show", *ROOT, *JSON)
    assert shown["text"] == (desk_host / "keys/policy.toml").read_text()
    assert {one["grants"] for one in shown["anchors"]} >= {"partner"}
    (desk_host / "keys/other.toml").write_text(shown["text"] + '\n[deny]\nnames = ["acme-agent"]\n')
    done = json.loads(run("host", "policy", "set", "keys/other.toml", *ROOT, *JSON, cwd=desk_host).out)
    assert [one["name"] for one in done["not_accepted"]] == ["acme-agent"]
    assert document(desk_host, "rebuild", *ROOT, *JSON)["entries"] > 1


def test_an_export_and_a_replay_are_shown_as_json(desk_host: Path) -> None:
    done = document(desk_host, "export", "--format", "fapolicyd", "-o", "out", "--json", *ROOT)
    assert (done["format"], done["modules"], done["signed"]) == ("fapolicyd", 1, False)
    assert run("host", "verify", "--at-boot", "--event-log", "boot.jsonl", *ROOT, cwd=desk_host).code == 0
    replayed = document(desk_host, "replay", "boot.jsonl", *JSON)
    assert [one["what"] for one in replayed["events"]][-2:] == ["image", "verdict"]
    assert run("host", "replay", "boot.jsonl", cwd=desk_host).out.endswith(f"sha256:13 = {replayed['sha256']}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("get", "nope", *ROOT, *JSON), 1, "not-installed"),
        (("acceptance", "set", "certified", *ROOT, *JSON), 1, "level-in-use"),
        (("rollback", "--to", "9", *ROOT, *JSON), 1, "no-generation"),
        (("policy", "set", "none.toml", *ROOT, *JSON), 3, "bad-policy"),
        (("replay", "/dev/null", *JSON), 1, "bad-manifest"),
        (("replay", "none", *JSON), 3, "io-error"),
        (("export", "--format", "ipe", "-o", "no/out", "--json", *ROOT), 3, "io-error"),
    ],
)
def test_why_there_is_no_result_is_shown_as_json(desk_host: Path, arguments: tuple, code: int, named: str) -> None:
    found = document(desk_host, *arguments, code=code)
    assert (found["schema"], found["code"]) == ("modseal/host-problem@1", named)
    assert found["verdict"] == {1: "rejected", 3: "undecided"}[code]
    assert run("host", *arguments, cwd=desk_host).err.startswith(f"modseal: {found['detail']}"[:20])


def test_an_empty_event_log_proves_nothing(desk_host: Path) -> None:
    """It would replay to the value of a register that was never extended."""
    done = run("host", "replay", "/dev/null", cwd=desk_host)
    assert (done.code, done.out) == (1, "")
    assert "it is empty" in done.err
    assert "--event-log" in done.err


def test_a_root_that_is_not_there_is_to_be_made(desk_host: Path) -> None:
    for root, said in (("T", "there is no folder T; make it first"), ("a.seal", "a.seal is not a folder")):
        done = run("host", "init", "--policy", "keys/policy.toml", "--root", root, cwd=desk_host)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, for a mount of its own")
def test_on_a_store_that_cannot_be_written_to(desk_host: Path) -> None:
    """A dry run gives what the real run gives, and what only reads works."""
    path = next(one["path"] for one in document(desk_host, "get", "acme-agent", *ROOT, *JSON)["files"])
    command = f"{sys.executable} -m modseal host"
    script = f"""
mount --bind R R && mount -o remount,bind,ro R || exit 9
{command} install a.seal --root R; echo "rc $?"
{command} remove acme-agent --root R --dry-run; echo "rc $?"
{command} remove acme-agent --root R; echo "rc $?"
{command} verify --root R --at-boot; echo "rc $?"
{command} owner {path} --root R --format json; echo "rc $?"
"""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=desk_host, capture_output=True, text=True, check=True
    )
    assert [line for line in done.stdout.splitlines() if line.startswith("rc")] == [
        "rc 3",
        "rc 3",
        "rc 3",
        "rc 0",
        "rc 0",
    ]
    assert done.stderr.count("Read-only file system") == 3
