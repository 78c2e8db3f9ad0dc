"""Evidence of audits on the command line: attested, compared, checked again. What is written, printed and returned."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from builders import audit_samples, depots
from builders.audits import many_of
from builders.bundles import make
from builders.reports import edited
from builders.transcript import HEARING, SOURCE, Transcript, run
from cli.conftest import SPEC, key_options
from cli.test_audit_cli import wait_for_results
from cli.test_cold_start import among, loaded
from modseal.auditing.request import Request
from modseal.auditing.run import Audit
from modseal.cli.audit import audit as audit_command
from modseal.cli.audit_group import SUBCOMMANDS
from modseal.cli.main import cli
from modseal.format import dsse

POLICY = ("--policy", "keys/policy.toml")
SIGN = key_options("partner")
ATTEST = ("--attest", "a.vsa", *SIGN)
CHECK = ("--attestation", "a.vsa", "--cert", "keys/partner/signer.pem")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, example_keys: Path) -> Path:
    """A folder with the example keys, a module, a depot of one signed bundle of it, and the report `r.json` of that."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(example_keys, folder / "keys")
    (folder / "module" / "files" / "opt").mkdir(parents=True)
    (folder / "module" / "files" / "opt" / "agent").write_bytes(b"\x7fELF agent")
    (folder / "module" / "module.toml").write_text(SPEC)
    (folder / "depot").mkdir()
    assert run("pack", "module", "-o", "depot/a.seal", cwd=folder).code == 0
    assert run("sign", "depot/a.seal", *SIGN, cwd=folder).code == 0
    report(folder)
    return folder


@pytest.fixture
def site(tmp_path: Path, prepared: Path) -> Path:
    """That folder for one test alone."""
    return Path(shutil.copytree(prepared, tmp_path / "site"))


def audit(site: Path, *arguments: object, code: int = 0, leaves: tuple[str, ...] = ()) -> Transcript:
    done = run("audit", *arguments, cwd=site, leaves=leaves)
    assert done.code == code, (done.out, done.err)
    return done


def report(site: Path, name: str = "r.json", *more: object, code: int = 0) -> Path:
    """A JSON report of the depot."""
    audit(site, "depot", *POLICY, "--format", "json", "-o", name, *more, code=code, leaves=(name, "a.vsa"))
    return site / name


def statement(site: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(dsse.decode((site / "a.vsa").read_bytes(), "a.vsa").payload)
    return values


def spoil(site: Path) -> None:
    """A second bundle in the depot, which nobody signed."""
    assert run("pack", "module", "-o", "depot/b.seal", cwd=site).code == 0


# --attest.


def test_what_is_found_is_attested_and_the_report_is_bound_to_it(site: Path) -> None:
    done = audit(site, "depot", *POLICY, "--format", "json", "-o", "n.json", *ATTEST)
    who = "CN=Example partner signer,O=modseal example with ecdsa-p256-sha256"
    assert (done.out, done.err) == ("", f"modseal: a.vsa: PASSED for 1 bundle, signed by {who}\n")
    details = statement(site)["predicate"]["urn:modseal:audit:1"]
    digest = hashlib.sha256((site / "n.json").read_bytes()).hexdigest()
    assert details["report"] == {"name": "n.json", "mediaType": "application/json", "digest": {"sha256": digest}}
    assert "  attested: PASSED MODSEAL_LEVEL_PARTNER, 1 bundle" in audit(site, "verify-report", "n.json", *CHECK).out


def test_a_failed_audit_is_attested_as_failed_and_fails(site: Path) -> None:
    spoil(site)
    report(site, "bad.json", *ATTEST, code=1)
    assert statement(site)["predicate"]["verificationResult"] == "FAILED"
    assert len(statement(site)["subject"]) == 2
    assert "  attested: FAILED, 2 bundles" in audit(site, "verify-report", "bad.json", *CHECK).out


def test_a_report_on_standard_output_is_bound_byte_for_byte(site: Path) -> None:
    done = audit(site, "depot", *POLICY, "--format", "csv", *ATTEST)
    said = statement(site)["predicate"]["urn:modseal:audit:1"]["report"]
    digest = hashlib.sha256(done.out.encode()).hexdigest()
    assert said == {"mediaType": "text/csv", "digest": {"sha256": digest}}


def test_the_caller_names_the_resource_and_the_verifier(site: Path) -> None:
    uris = ("--resource-uri", "https://depot.example/", "--verifier-id", "https://ci.example/audit")
    report(site, "r.json", *ATTEST, *uris)
    assert (
        "as https://ci.example/audit, for https://depot.example/" in audit(site, "verify-report", "r.json", *CHECK).out
    )


def test_an_attested_audit_reads_every_bundle_in_this_run(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature says what was examined, not what a cache remembers."""
    from modseal.cli import audit as module

    cached: list[bool] = []
    real = module.perform

    def watched(request: Request, *arguments: Any) -> Audit:
        cached.append(request.cached)
        return real(request, *arguments)

    monkeypatch.setattr(module, "perform", watched)
    report(site)
    report(site, "r.json", *ATTEST)
    assert cached == [True, False]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--attest", "a.vsa"), 2, "--attest needs --key"),
        (SIGN, 2, "--key has no effect without --attest"),
        (("--passphrase-file", "x"), 2, "--passphrase-file has no effect without --attest"),
        (("--resource-uri", "urn:x"), 2, "--resource-uri has no effect without --attest"),
        ((*ATTEST, "-o", "a.vsa"), 2, "a.vsa is the report or a bundle"),
        ((*ATTEST, "--also", "json=./a.vsa"), 2, "a.vsa is the report or a bundle"),
        (("--attest", "depot/../depot", *SIGN), 2, "is the report or a bundle"),
        (("--attest", "no/a.vsa", *SIGN), 3, "no/a.vsa: No such file"),
        ((*ATTEST, "--algorithm", "ed25519"), 2, "the key is not one for ed25519"),
        (("--attest", "a.vsa", *key_options("expired")), 1, "cannot sign"),
        (("--attest", "a.vsa", *key_options("wrong-eku")), 1, "cannot sign"),
    ],
)
def test_what_cannot_be_attested_is_refused_before_anything_is_examined(
    site: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = audit(site, "depot", *POLICY, *options, code=code)
    assert words in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--attest", "a.vsa", "--key", "none.key"), 3, "none.key"),
        (("--attest", "depot/a.seal", *SIGN), 2, "is one of the bundles"),
        ((*ATTEST, "--resource-uri", "x"), 2, "must be a URI"),
    ],
)
def test_a_report_stays_where_it_could_not_be_attested(
    site: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = audit(site, "depot", *POLICY, "-o", "new.txt", *options, code=code, leaves=("new.txt",))
    assert words in done.err
    assert "1 bundle" in (site / "new.txt").read_text()
    assert not (site / "a.vsa").exists()


def test_an_audit_of_nothing_is_not_attested(site: Path) -> None:
    (site / "empty").mkdir()
    assert "no bundle that could be attested" in audit(site, "empty", *POLICY, *ATTEST, code=2).err


def test_an_interrupted_audit_leaves_no_attestation(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site / "caches"))
    many_of(site / "many", 1500)
    command = [sys.executable, "-c", HEARING, "audit", "many", *POLICY]
    process = subprocess.Popen(
        [*command, "--format", "json", "-o", "many.json", "--jobs", "1", *ATTEST],
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_results(20)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not (site / "a.vsa").exists()
    assert "modseal: a.vsa is not written: nothing is attested" in said
    assert json.loads((site / "many.json").read_text())["complete"] is False


def test_signing_code_is_loaded_where_something_is_signed_alone(site: Path) -> None:
    assert among(loaded(site, "audit", "depot", *POLICY, "--jobs", "1"), ("modseal.signing",)) == []
    assert among(loaded(site, "audit", "verify-report", "r.json", "--jobs", "1"), ("modseal.signing",)) == []
    assert among(loaded(site, "audit", "diff", "r.json", "r.json"), ("modseal.signing",)) == []
    assert among(loaded(site, "audit", "depot", *POLICY, *ATTEST), ("modseal.signing",)) != []


# diff.


def test_reports_are_compared(site: Path) -> None:
    report(site, "old.json")
    same = audit(site, "diff", "old.json", "old.json")
    assert "1 the same" in same.out
    assert same.out.endswith("\nnot worse\n")
    spoil(site)
    report(site, "new.json", code=1)
    worse = audit(site, "diff", "old.json", "new.json", code=1)
    assert "  added      depot/b.seal: rejected, none" in worse.out
    assert "  new        high unsigned depot/b.seal: the signature member is empty" in worse.out
    assert worse.out.endswith("\nworse\n")
    better = audit(site, "diff", "new.json", "old.json")
    assert "  removed    depot/b.seal: rejected, none" in better.out
    document = json.loads(audit(site, "diff", "old.json", "new.json", "--format", "json", code=1).out)
    assert (document["schema"], document["worse"]) == ("modseal/audit-diff@1", True)


def test_the_threshold_of_a_comparison(site: Path) -> None:
    report(site, "old.json", "--ignore", "*")
    assert "low no-timestamp" in audit(site, "diff", "old.json", "r.json").out
    audit(site, "diff", "old.json", "r.json", "--fail-on", "low", code=1)


def test_an_interrupted_audit_cannot_be_compared_to_the_end(site: Path) -> None:
    edited(site / "r.json", lambda one: one.update(complete=False))
    audit(site, "diff", "r.json", "r.json", code=3)


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema": "modseal/audit@1"}'])
def test_what_is_no_report_cannot_be_used(site: Path, content: str | None) -> None:
    if content is not None:
        (site / "x.json").write_text(content)
    for arguments in (("diff", "r.json", "x.json"), ("diff", "x.json", "r.json"), ("verify-report", "x.json")):
        assert "x.json" in audit(site, *arguments, code=3).err


# verify-report.


def test_a_report_is_checked_against_the_files(site: Path) -> None:
    done = audit(site, "verify-report", "r.json")
    assert done.out.startswith("r.json: reproduced\n")
    assert "A report is a claim: it proves nothing by itself." in done.out
    spoil(site)
    done = audit(site, "verify-report", "r.json", code=1)
    assert done.out.startswith("r.json: not reproduced, 1 deviation\n")
    assert "  not-reported          depot/b.seal: it is rejected" in done.out
    document = json.loads(audit(site, "verify-report", "r.json", "--format", "json", code=1).out)
    assert document["schema"] == "modseal/audit-recheck@1"
    assert [one["what"] for one in document["deviations"]] == ["not-reported"]


def test_nothing_is_taken_from_the_cache(site: Path) -> None:
    """A file that looks untouched is read all the same."""
    path = site / "depot" / "a.seal"
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "other-content" in audit(site, "verify-report", "r.json", code=1).out


def test_several_processes_find_the_same(site: Path) -> None:
    assert (
        audit(site, "verify-report", "r.json", "-j", "1").out == audit(site, "verify-report", "r.json", "-j", "2").out
    )


def test_the_policy_is_that_of_the_report_or_the_one_that_is_named(site: Path) -> None:
    shutil.copytree(site / "keys", site / "old")
    with (site / "keys" / "policy.toml").open("a") as file:
        file.write("# changed\n")
    done = audit(site, "verify-report", "r.json", code=3)
    assert done.out.startswith("r.json: could not be checked to the end\n")
    assert "keys/policy.toml is not as it was when the report was made" in done.out
    audit(site, "verify-report", "r.json", "--policy", "old/policy.toml")
    assert "other-policy" in audit(site, "verify-report", "r.json", *POLICY, code=1).out
    (site / "keys" / "policy.toml").write_text("nonsense")
    assert "cannot be used" in audit(site, "verify-report", "r.json", code=3).out
    (site / "keys" / "policy.toml").unlink()
    assert "is not here; name it with --policy" in audit(site, "verify-report", "r.json", code=3).out


def test_a_built_in_policy_is_found_by_its_name(site: Path) -> None:
    audit(site, "depot", "--format", "json", "-o", "strict.json", code=1, leaves=("strict.json",))
    assert audit(site, "verify-report", "strict.json").out.startswith("strict.json: reproduced")


def test_a_baseline_is_named_again(site: Path) -> None:
    report(site, "quiet.json", "--baseline", "r.json")
    assert "other-finding" in audit(site, "verify-report", "quiet.json", code=1).out
    audit(site, "verify-report", "quiet.json", "--baseline", "r.json")


def test_the_files_may_lie_elsewhere(site: Path) -> None:
    (site / "there").mkdir()
    (site / "depot").rename(site / "there" / "depot")
    assert "missing" in audit(site, "verify-report", "r.json", code=1).out
    assert "leads out" not in audit(site, "verify-report", "r.json", "--root", "there", *POLICY).out
    done = audit(site, "verify-report", "r.json", "--root", "there", code=3)
    assert "the report's policy keys/policy.toml is not here" in done.out


@pytest.mark.parametrize("path", ["/etc", "..", "depot/../..", "link", "a\0b"])
def test_no_path_of_a_report_leads_out_of_the_root(site: Path, path: str) -> None:
    (site / "root").mkdir()
    (site / "root" / "link").symlink_to("/etc")
    edited(site / "r.json", lambda one: one.update(paths=[path]))
    done = audit(site, "verify-report", "r.json", "--root", "root", code=3)
    assert "leads out of root" in done.err
    assert done.out == ""


def test_no_policy_of_a_report_leads_out_of_the_root(site: Path) -> None:
    edited(site / "r.json", lambda one: one["policy"].update(source="/etc/passwd"))
    assert "/etc/passwd is not below --root" in audit(site, "verify-report", "r.json", "--root", ".", code=3).out


def test_no_report_makes_us_open_a_connection(site: Path) -> None:
    edited(site / "r.json", lambda one: one.update(paths=["https://user:secret@example.invalid/?token=1"]))
    done = audit(site, "verify-report", "r.json", code=3)
    assert "is on a server; only reports of files can be checked" in done.err
    assert "token" not in done.err


def test_an_attestation_is_one_of_this_report_by_this_certificate(site: Path) -> None:
    report(site, "r.json", *ATTEST)
    other = ("--attestation", "a.vsa", "--cert", "keys/certified/signer.pem")
    assert "did not sign it" in audit(site, "verify-report", "r.json", *other, code=1).err
    with (site / "r.json").open("rb") as file:
        data = file.read()
    (site / "other.json").write_bytes(data.replace(b'"left_out": 0', b'"left_out": 1'))
    assert "it is about another report" in audit(site, "verify-report", "other.json", *CHECK, code=1).err
    document = json.loads(audit(site, "verify-report", "r.json", *CHECK, "--format", "json").out)
    assert document["attestation"]["levels"] == ["MODSEAL_LEVEL_PARTNER"]
    (site / "a.vsa").write_bytes(b"\0")
    assert "not a DSSE envelope" in audit(site, "verify-report", "r.json", *CHECK, code=1).err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--attestation", "a.vsa"), 2, "go together"),
        (("--cert", "keys/partner/signer.pem"), 2, "go together"),
        (("--attestation", "a.vsa", "--cert", "none.pem"), 3, "a.vsa"),
        (("--attestation", "r.json", "--cert", "none.pem"), 3, "none.pem"),
        (("--attestation", "r.json", "--cert", "r.json"), 3, "no CERTIFICATE"),
        (("--attestation", "r.json", "--cert", "keys/partner/signer.pem"), 1, "it has no"),
    ],
)
def test_an_attestation_that_cannot_be_used(site: Path, options: tuple[str, ...], code: int, words: str) -> None:
    assert words in audit(site, "verify-report", "r.json", *options, code=code).err


def test_a_whole_folder_with_everything_in_it_is_reproduced(tmp_path: Path) -> None:
    audit_samples.write(tmp_path / "depot")
    audit(tmp_path, "depot", "--format", "json", "-o", "r.json", code=1, leaves=("r.json",))
    assert audit(tmp_path, "verify-report", "r.json").out.startswith("r.json: reproduced")
    assert "\x1b" not in audit(tmp_path, "diff", "r.json", "r.json").out


def test_a_depot_is_checked_bundle_by_bundle(tmp_path: Path) -> None:
    depots.make(*(make("vib", name=name) for name in ("one", "two"))).write(tmp_path / "depot.zip")
    audit(tmp_path, "depot.zip", "--format", "json", "-o", "r.json", code=1, leaves=("r.json",))
    assert audit(tmp_path, "verify-report", "r.json").out.startswith("r.json: reproduced")
    depots.make(make("vib", name="one")).write(tmp_path / "depot.zip")
    assert "missing               depot.zip!/" in audit(tmp_path, "verify-report", "r.json", code=1).out
    (tmp_path / "depot.zip").unlink()
    done = audit(tmp_path, "verify-report", "r.json", code=1)
    assert "unreadable            depot.zip: depot.zip: No such file" in done.out


# A command with paths and with subcommands.


def test_a_folder_with_the_name_of_a_subcommand_is_reached_with_its_path(site: Path) -> None:
    for name in SUBCOMMANDS:
        shutil.copytree(site / "depot", site / name)
        audit(site, f"./{name}", *POLICY)
        audit(site, "depot", name, *POLICY)
        audit(site, *POLICY, name)
        assert "1 bundle" in audit(site, "--", name, code=1).out
        assert "Missing argument" in audit(site, name, code=2).err


def test_no_path_at_all_is_usage(site: Path) -> None:
    assert "Missing argument 'PATH...'" in audit(site, code=2).err


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("--help",), "Usage: modseal audit [OPTIONS] PATH...\n"),
        (("diff", "--help"), "Usage: modseal audit diff [OPTIONS] OLD NEW\n"),
        (("verify-report", "-h"), "Usage: modseal audit verify-report [OPTIONS] REPORT\n"),
    ],
)
def test_help_says_how_each_is_called(tmp_path: Path, arguments: tuple[str, ...], usage: str) -> None:
    done = audit(tmp_path, *arguments)
    assert done.out.startswith(usage)
    assert "Exit status: 0 if" in done.out


def test_help_names_the_subcommands_and_how_such_a_folder_is_reached(tmp_path: Path) -> None:
    out = audit(tmp_path, "--help").out
    assert "reached as ./NAME" in out
    for name, (_, _, about) in SUBCOMMANDS.items():
        assert f"  {name}" in out
        assert about in out


def test_a_mistake_in_a_subcommand_is_told_with_its_own_help(site: Path) -> None:
    assert "(see: modseal audit diff --help)" in audit(site, "diff", "r.json", code=2).err
    assert "(see: modseal audit --help)" in audit(site, "depot", "--no-such", code=2).err


def test_the_subcommands_are_those_of_a_group() -> None:
    context = click.Context(audit_command, click.Context(cli, info_name="modseal"), "audit")
    assert isinstance(audit_command, click.Group)
    assert audit_command.list_commands(context) == ["diff", "verify-report"]
    assert all(audit_command.get_command(context, name) for name in SUBCOMMANDS)
    assert audit_command.get_command(context, "depot") is None


def test_a_shell_is_offered_the_options_of_a_subcommand(site: Path) -> None:
    done = run("completion", "zsh", "--", "audit", "diff", "--f", cwd=site)
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["--format", "--fail-on"]
    done = run("completion", "zsh", "--", "audit", "depot", "--att", cwd=site)
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["--attest"]
