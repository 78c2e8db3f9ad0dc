"""`modseal host` as transcripts: what it prints, its exit status, and that a refusal leaves everything as it was."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from builders.bundles import make
from builders.transcript import SOURCE, Transcript, run

ROOT = ("--root", "R")


def host(folder: Path, *arguments: object, **options: object) -> Transcript:
    return run("host", *arguments, *ROOT, cwd=folder, **options)


@pytest.fixture
def desk_host(signed: Path) -> Path:
    """The vendor's folder with a host `R` under the policy of the example keys."""
    (signed / "R").mkdir()
    assert host(signed, "init", "--policy", "keys/policy.toml").code == 0
    return signed


def document(done: Transcript) -> dict:
    assert done.err == ""
    return json.loads(done.out)


def test_init_says_what_the_policy_accepts_at_the_weakest(signed: Path) -> None:
    (signed / "R").mkdir()
    done = host(signed, "init", "--policy", "keys/policy.toml", "--level", "partner")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "R: image store made, acceptance level partner"
    assert "accepts at the weakest" in done.out
    again = host(signed, "init", "--policy", "keys/policy.toml")
    assert (again.code, again.out) == (2, "")
    assert "already" in again.err


def test_a_policy_that_cannot_be_used_makes_no_store(signed: Path) -> None:
    (signed / "R").mkdir()
    assert host(signed, "init", "--policy", "none.toml").code == 3
    assert list((signed / "R").iterdir()) == []
    assert host(signed, "init", "--policy", "vmware").code == 0


def test_a_module_is_installed_shown_and_removed(desk_host: Path) -> None:
    done = host(desk_host, "install", "a.seal")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "installed  acme-agent 1.2.3-4 (Acme), claimed partner, proven partner",
        "generation 1 is active",
    ]
    assert host(desk_host, "list").out.splitlines() == [
        "NAME        VERSION  VENDOR  CLAIMED  PROVEN",
        "acme-agent  1.2.3-4  Acme    partner  partner",
    ]
    assert "  proven level   partner" in host(desk_host, "get", "acme-agent").out.splitlines()
    assert host(desk_host, "verify").out.splitlines()[0] == "R: accepted"
    assert host(desk_host, "remove", "acme-agent").out.splitlines() == [
        "removed    acme-agent 1.2.3-4",
        "generation 2 is active",
    ]
    assert host(desk_host, "list").out == "no module is installed\n"
    assert host(desk_host, "rollback").out.splitlines() == [
        "installed  acme-agent 1.2.3-4 (Acme), claimed partner, proven partner",
        "generation 1 is active",
    ]


def test_the_vib_waits_until_it_is_activated(desk_host: Path) -> None:
    done = host(desk_host, "install", "a.vib")
    assert done.code == 0
    assert done.out.splitlines()[1:] == [
        "waits      acme-agent 1.2.3-4 cannot be installed on a running host",
        "generation 1 is ready; it becomes active with `modseal host activate`",
    ]
    assert host(desk_host, "list").out.splitlines()[-1].startswith("generation 1 waits")
    assert "acme-agent" in host(desk_host, "list", "--pending").out
    assert host(desk_host, "activate").code == 0
    assert "acme-agent" in host(desk_host, "list").out


def test_a_refused_bundle_exits_with_1_and_the_next_step(desk_host: Path) -> None:
    (desk_host / "bad.seal").write_bytes(make("seal").data)
    for extra in ((), ("--dry-run",)):
        done = host(desk_host, "install", "a.seal", "bad.seal", *extra)
        assert done.code == 1
        assert done.out.splitlines()[:2] == ["install: rejected; nothing was changed", "bad.seal: rejected"]
        assert "  next: " in done.out
    assert host(desk_host, "list").out == "no module is installed\n"


def test_undecided_exits_with_3(desk_host: Path) -> None:
    assert host(desk_host, "install", "missing.seal").code == 3
    assert run("host", "list", "--root", "nowhere", cwd=desk_host).code == 3
    assert run("host", "list", "--root", "keys", cwd=desk_host).code == 2


def test_a_name_that_is_not_installed(desk_host: Path) -> None:
    for arguments in (("get", "nobody"), ("remove", "nobody")):
        done = host(desk_host, *arguments)
        assert done.code == 1
        assert "no module 'nobody' is installed" in done.out + done.err
        assert "modseal host list" in done.out + done.err


def test_the_acceptance_level(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    assert host(desk_host, "acceptance", "get").out == "community\n"
    done = host(desk_host, "acceptance", "set", "certified")
    assert done.code == 1
    assert "acme-agent 1.2.3-4 (partner)" in done.err
    assert host(desk_host, "acceptance", "set", "PartnerSupported").out == "acceptance level partner, was community\n"
    assert document(host(desk_host, "acceptance", "get", "--format", "json"))["level"] == "partner"


def test_a_changed_byte_is_found_and_the_bundle_puts_it_right(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    agent = desk_host / "R/var/lib/extensions/modseal/opt/acme/agent"
    agent.write_bytes(agent.read_bytes().replace(b"agent", b"agenT"))
    done = run("host", "verify", *ROOT, cwd=desk_host)
    assert done.code == 1
    assert "  acme-agent: installed-changed: 'opt/acme/agent' has another content than the signed one" in done.out
    boot = run("host", "verify", "--at-boot", *ROOT, cwd=desk_host)
    assert (boot.code, len(boot.out.splitlines())) == (1, 1)
    found = run("host", "verify", "--format", "json", *ROOT, cwd=desk_host)
    assert [one["code"] for one in json.loads(found.out)["findings"]] == ["installed-changed"]
    done = host(desk_host, "install", "a.seal")
    assert done.out.splitlines() == [
        "repaired   acme-agent 1.2.3-4",
        "generation 2 is active",
    ]
    assert host(desk_host, "verify").code == 0


def test_a_host_can_be_judged_at_another_time(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    done = run("host", "verify", *ROOT, "--at", "2020-01-01", cwd=desk_host)
    assert done.code == 1
    assert "not-yet-valid" in done.out


def test_the_log_says_who_did_what(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    lines = host(desk_host, "log").out.splitlines()
    assert "init" in lines[0]
    assert "install" in lines[1]
    assert "acme-agent" in lines[1]
    whole = host(desk_host, "log", "--verify")
    assert whole.out.startswith("2 events, unbroken; the newest is sha256:")
    (desk_host / "R/var/lib/modseal/log.jsonl").write_bytes(b"")
    assert host(desk_host, "log", "--verify").code == 1


def test_history_marks_what_is_active(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    assert [line[:6] for line in host(desk_host, "history").out.splitlines()] == ["     0", "*    1"]


def test_a_dry_run_prints_what_the_real_run_prints(desk_host: Path) -> None:
    dry = host(desk_host, "install", "a.seal", "--dry-run", "--format", "json")
    assert dry.err == "modseal: this was a dry run; nothing was changed\n"
    done = host(desk_host, "install", "a.seal", "--format", "json")
    both = [re.sub(r"T[0-9:]{8}Z", "", one.out) for one in (dry, done)]  # a second may have passed
    assert both[0] == both[1]


def test_another_policy_is_set_and_names_what_it_refuses(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    strict = (desk_host / "keys/policy.toml").read_text() + '\n[deny]\nnames = ["acme-*"]\n'
    (desk_host / "keys/strict.toml").write_text(strict)
    done = host(desk_host, "policy", "set", "keys/strict.toml")
    assert done.code == 0
    assert "does not accept acme-agent 1.2.3-4" in done.err
    assert "acme-*" in host(desk_host, "policy", "show").out
    assert run("host", "verify", *ROOT, cwd=desk_host).code == 1
    assert "unproved" in run("host", "get", "acme-agent", *ROOT, cwd=desk_host).out


def test_a_process_of_its_own_loads_no_signing_code(desk_host: Path) -> None:
    program = (
        "import sys; from modseal.cli.main import run; run(sys.argv[1:]);"
        "rooms = ('modseal.signing', 'modseal.ca.', 'modseal.packing');"
        "print([name for name in sys.modules if name.startswith(rooms)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "host", "install", "a.seal", *ROOT],
        cwd=desk_host,
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_guard_takes_file_systems_only(desk_host: Path) -> None:
    done = host(desk_host, "guard", "--mount", "R")
    assert (done.code, done.out) == (2, "")
    assert "R is not where a file system is mounted" in done.err
    assert host(desk_host, "guard").code == 2


@pytest.mark.parametrize("kind", ["ima", "fsverity", "fapolicyd"])
def test_a_host_is_exported_whole_or_not_at_all(desk_host: Path, kind: str) -> None:
    assert host(desk_host, "install", "a.seal").code == 0
    done = host(desk_host, "export", "--format", kind, "-o", "out")
    assert (done.code, done.out) == (0, f"out: generation 1, 1 module, 2 files, for {kind}\n")
    assert ("not signed" in done.err) == (kind != "fapolicyd")
    before = {path: path.read_bytes() for path in (desk_host / "out").rglob("*") if path.is_file()}
    assert host(desk_host, "export", "--format", kind, "-o", "out").code == 2
    assert {path: path.read_bytes() for path in (desk_host / "out").rglob("*") if path.is_file()} == before


def test_an_export_names_what_it_cannot_use(desk_host: Path) -> None:
    for arguments in (("fapolicyd", "--base", "00"), ("ipe", "--base", "00"), ("fapolicyd", "--key", "k")):
        done = host(desk_host, "export", "--format", *arguments, "-o", "out")
        assert (done.code, done.out) == (2, "")
    assert not (desk_host / "out").exists()


@pytest.fixture
def depot_host(desk_host: Path) -> Path:
    """The same with a signed depot `D` of the vendor's module."""
    key = ("--key", "keys/partner/signer.key", "--cert", "keys/partner/signer.pem")
    done = run("depot", "build", "a.seal", "-o", "D", "--name", "acme", "--expires", "2099-01-01", *key, cwd=desk_host)
    assert done.code == 0, done.err
    return desk_host


def test_a_module_is_installed_by_its_name_from_a_depot(depot_host: Path) -> None:
    dry = host(depot_host, "install", "acme-agent", "--depot", "D", "--dry-run")
    done = host(depot_host, "install", "acme-agent", "--depot", "D")
    assert (done.code, done.err) == (0, "")
    assert dry.out == done.out
    assert done.out.splitlines() == [
        "depot      acme, version 1",
        "installed  acme-agent 1.2.3-4 (Acme), claimed partner, proven partner",
        "generation 1 is active",
    ]
    assert host(depot_host, "update", "--depot", "D").out.splitlines() == [
        "depot      acme, version 1",
        "nothing to do",
    ]
    again = host(depot_host, "install", "acme-agent", "--depot", "D")
    assert again.out.splitlines()[1] == "skipped    acme-agent 1.2.3-4: installed already"


def test_a_name_that_no_depot_has(depot_host: Path) -> None:
    done = host(depot_host, "install", "nobody", "--depot", "D", "--dry-run")
    assert (done.code, done.err) == (1, "modseal: this was a dry run; nothing was changed\n")
    assert done.out.splitlines()[:-1] == [
        "install: rejected; no module was changed",
        "depot      acme, version 1",
        "  no-set: asked for: nobody, and nothing that can be used offers it",
    ]
    assert done.out.splitlines()[-1].startswith("  next: Name further depots")
    host(depot_host, "install", "acme-agent", "--depot", "D")
    again = host(depot_host, "install", "nobody", "--depot", "D", "--format", "json")
    assert json.loads(again.out)["depots"] == [{"name": "acme", "version": 1, "before": 1}]


def test_what_to_install_has_to_be_named(depot_host: Path) -> None:
    for arguments in (
        *(("install",), ("install", "--depot", "D"), ("update",)),
        *(("install", "a", "--depot", ""), ("install", "a.seal", "--signed")),
    ):
        assert host(depot_host, *arguments).code == 2
    assert host(depot_host, "install", "a", "--depot", "nowhere").code == 3
    assert host(depot_host, "install", "https://example.org/a.seal").code == 3


def test_a_recall_is_kept_and_finds_what_is_installed(depot_host: Path) -> None:
    key = ("--key", "keys/partner/signer.key", "--cert", "keys/partner/signer.pem")
    made = ("--vendor", "Acme", "--reason", "it burns", "--name", "acme-recalls", "--expires", "2099-01-01")
    assert run("depot", "recall", "acme-agent", *made, "-o", "r.recall", *key, cwd=depot_host).code == 0
    host(depot_host, "install", "a.seal")
    assert host(depot_host, "recalls").out == "no recall is kept\n"
    tried = host(depot_host, "verify", "--recall", "r.recall", "--at-boot")
    assert (tried.code, tried.out.startswith("host rejected: generation 1: acme-agent: recalled: ")) == (1, True)
    assert host(depot_host, "verify").code == 0
    kept = "acme-recalls, version 1: 1 withdrawn, current until 2099-01-01T00:00:00Z"
    assert host(depot_host, "recalls", "r.recall").out == f"+ {kept}\n"
    assert host(depot_host, "recalls").out == f"  {kept}\n"
    assert host(depot_host, "verify").code == 1
    host(depot_host, "remove", "acme-agent")
    again = host(depot_host, "install", "a.seal")
    assert again.code == 1
    assert "recalled" in again.out


def test_old_generations_are_pruned(desk_host: Path) -> None:
    host(desk_host, "install", "a.seal")
    host(desk_host, "remove", "acme-agent")
    dry = host(desk_host, "prune", "--keep", "1", "--dry-run")
    done = host(desk_host, "prune", "--keep", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out == dry.out == "removed    generation 0\n2 generations kept\n"
    assert host(desk_host, "prune", "--keep", "1").out == "nothing to do\n2 generations kept\n"
    assert document(host(desk_host, "prune", "--format", "json"))["kept"] == [1, 2]
    assert host(desk_host, "prune", "--keep", "0").code == 2


def test_the_modules_of_an_image_profile_are_installed(depot_host: Path) -> None:
    made = ("--vendor", "Acme", "--level", "partner", "--policy", "keys/policy.toml", "-o", "p.profile")
    done = run("profile", "create", "acme-agent", "--depot", "D", "--name", "web", *made, cwd=depot_host)
    assert done.code == 0, done.err
    assert host(depot_host, "install", "--profile", "p.profile").code == 2
    assert host(depot_host, "install", "x", "--profile", "p.profile", "--depot", "D").code == 2
    done = host(depot_host, "install", "--profile", "p.profile", "--depot", "D")
    assert (done.code, done.out.splitlines()[-1]) == (0, "generation 1 is active")
