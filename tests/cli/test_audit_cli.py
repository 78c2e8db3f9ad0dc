"""`modseal audit` as its users call it: exit codes, what counts, interruption and going on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import bundles, depots, policies, zips
from builders.audits import folder_of, many_of
from builders.bundles import snapshot
from builders.transcript import HEARING, SOURCE, Transcript, run
from modseal.auditing.cache import FILE
from modseal.auditing.rules import BY_ID


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a policy and a depot of three good bundles."""
    policies.write(tmp_path)
    folder_of(tmp_path / "depot", 3)
    return tmp_path


def audit(site: Path, *arguments: object, code: int = 0, leaves: Sequence[str] = ()) -> Transcript:
    transcript = run("audit", "depot", "--policy", "policy.toml", *arguments, cwd=site, leaves=leaves)
    assert transcript.code == code, (transcript.out, transcript.err)
    return transcript


def report(site: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """The JSON report of an audit."""
    document: dict[str, Any] = json.loads(audit(site, "--format", "json", *arguments, code=code).out)
    return document


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def test_good_bundles_pass(site):
    document = report(site)
    assert document["complete"] is True
    assert document["summary"]["verdicts"] == {"accepted": 3, "rejected": 0, "undecided": 0}
    assert [result["bundle"] for result in document["results"]] == [
        "depot/000.seal",
        "depot/001.vib",
        "depot/002.seal",
    ]


def test_a_rejected_bundle_fails_the_audit(site):
    tamper(site / "depot" / "001.vib")
    document = report(site, code=1)
    assert {finding["rule"] for finding in document["findings"] if finding["severity"] == "high"} >= {
        "payload-digest-mismatch"
    }


def test_a_path_that_is_not_there_is_undecided(site):
    transcript = run("audit", "depot", "missing", "--policy", "policy.toml", cwd=site)
    assert transcript.code == 3
    assert "missing: No such file or directory" in transcript.out


def test_a_rejected_bundle_outweighs_an_undecided_one(site):
    tamper(site / "depot" / "001.vib")
    assert run("audit", "depot", "missing", "--policy", "policy.toml", cwd=site).code == 1


def test_an_audit_that_found_no_bundle_has_proved_nothing(site):
    (site / "empty").mkdir()
    transcript = run("audit", "empty", "--policy", "policy.toml", cwd=site)
    assert transcript.code == 3
    assert transcript.err == "modseal: no bundle was found, so nothing is proved; check the paths\n"


def test_the_rules_are_listed_without_an_audit(site):
    transcript = run("audit", "--rules", cwd=site)
    assert transcript.code == 0
    assert all(rule in transcript.out for rule in BY_ID)


@pytest.mark.parametrize("command", ["audit depot --policy policy.toml", "verify depot/000.seal --policy policy.toml"])
def test_nobody_who_reads_is_no_rejection(site, command):
    """A closed pipe: the verdict did not arrive, and the exit status must not say that it was against the bundle."""
    script = f"set -o pipefail; {sys.executable} -c 'from modseal.cli.main import main; main()' {command} -v | true"
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    for _ in range(3):
        done = subprocess.run(["bash", "-c", script], cwd=site, env=env, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3), done
        assert "Traceback" not in done.stderr


def test_without_a_policy_nobody_is_trusted(site):
    transcript = run("audit", "depot", cwd=site)
    assert transcript.code in (1, 3)
    assert "no-anchors" in transcript.out


def test_the_threshold_decides_what_fails(site):
    assert report(site, "--fail-on", "low", code=1)["summary"]["findings"]["low"] > 0
    report(site, "--fail-on", "high")


def test_a_rule_can_be_left_out_and_a_check_cannot(site):
    found = {finding["rule"] for finding in report(site)["findings"]}
    assert "no-timestamp" in found
    left = {finding["rule"] for finding in report(site, "--ignore", "no-*")["findings"]}
    assert left == {rule for rule in found if not rule.startswith("no-")}
    transcript = audit(site, "--ignore", "payload-digest-mismatch", code=2)
    assert "is a check, which always counts" in transcript.err
    assert "did you mean 'no-timestamp'" in audit(site, "--select", "no-timestamps", code=2).err


def test_ignoring_every_rule_does_not_save_a_rejected_bundle(site):
    tamper(site / "depot" / "001.vib")
    audit(site, "--ignore", "*", code=1)


def test_a_baseline_leaves_what_is_new(site):
    tamper(site / "depot" / "001.vib")
    audit(site, "--format", "json", "-o", "old.json", code=1, leaves=["old.json"])
    assert report(site, "--baseline", "old.json")["summary"]["set_aside"]["known"] > 0
    tamper(site / "depot" / "000.seal")
    new = report(site, "--baseline", "old.json", code=1)
    counted = {finding["bundle"] for finding in new["findings"] if finding["state"] == "new"}
    assert counted == {"depot/000.seal"}


def test_a_baseline_does_not_know_other_bytes_under_the_old_name(site):
    tamper(site / "depot" / "001.vib")
    audit(site, "--format", "json", "-o", "old.json", code=1, leaves=["old.json"])
    data = bytearray((site / "depot" / "001.vib").read_bytes())
    data[-21] ^= 1
    (site / "depot" / "001.vib").write_bytes(data)
    audit(site, "--baseline", "old.json", code=1)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema": "modseal/audit@1"}', "\udcff"])
def test_a_baseline_that_is_no_report_is_an_error(site, content):
    (site / "old.json").write_text(content, errors="surrogateescape")
    assert "old.json" in audit(site, "--baseline", "old.json", code=3).err


def test_an_allowance_takes_a_finding_out_until_its_day_has_passed(site):
    allowance = '\n[[allow]]\nrule = "no-timestamp"\nmodules = ["m*"]\nreason = "known"\nexpires = "2099-01-01"\n'
    policies.write(site, more=allowance)
    assert report(site, "--fail-on", "low", "--select", "no-timestamp")["summary"]["set_aside"]["allowed"] == 3
    policies.write(site, more=allowance.replace("2099", "2020"))
    report(site, "--fail-on", "low", "--select", "no-timestamp", code=1)


def test_an_allowance_of_a_check_is_an_error_of_the_policy(site):
    policies.write(site, more='\n[[allow]]\nrule = "unsigned"\nmodules = ["*"]\nreason = "x"\nexpires = "2099-01-01"\n')
    assert "unsigned is a check, which cannot be allowed" in audit(site, code=3).err


def test_the_report_goes_to_a_file_whole_or_not_at_all(site):
    transcript = audit(site, "--format", "json", "-o", "report.json")
    assert transcript.out == ""
    assert json.loads((site / "report.json").read_text())["complete"] is True
    assert "no/report.json" in audit(site, "-o", "no/report.json", code=3).err


def test_one_audit_writes_several_reports(site):
    files = ["a.json", "a.html", "a.sarif"]
    also = [option for name in files for option in ("--also", f"{name.removeprefix('a.')}={name}")]
    assert "3 bundles" in audit(site, *also).out
    assert json.loads((site / "a.json").read_text())["summary"]["bundles"] == 3
    assert json.loads((site / "a.sarif").read_text())["version"] == "2.1.0"
    assert (site / "a.html").read_text().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("value", ["html", "html=", "xml=a.xml", "=a"])
def test_another_report_needs_a_form_and_a_file(site, value):
    assert "is not a form of text, json" in audit(site, "--also", value, code=2).err


def test_two_reports_do_not_go_to_one_file(site):
    assert "two reports" in audit(site, "-o", "a", "--also", "html=./a", code=2).err


@pytest.mark.parametrize("place", ["depot/000.seal", "depot/../depot/001.vib", "link/000.seal", "packed.zip"])
@pytest.mark.parametrize("option", ["-o", "--also"])
def test_no_report_takes_the_place_of_a_bundle_that_is_audited(site, option, place):
    (site / "link").symlink_to("depot")
    depots.make().write(site / "packed.zip")
    before = snapshot(site)
    done = audit(site, "packed.zip", option, f"json={place}" if option == "--also" else place, code=2)
    assert done.err == f"modseal: {place} is one of the bundles; name another file\n"
    assert snapshot(site) == before


def test_an_older_report_beside_the_bundles_is_replaced(site):
    for count in (3, 2):
        err = audit(site, "--also", "json=depot/report.json").err
        replaced = "modseal: warning: depot/report.json was there already, and is replaced\n"
        assert ("report.json" in err, replaced in err) == (count == 2, count == 2)
        assert json.loads((site / "depot" / "report.json").read_text())["summary"]["bundles"] == count
        (site / "depot" / "000.seal").unlink(missing_ok=True)


def test_one_process_and_several_write_the_same_bytes(site):
    tamper(site / "depot" / "001.vib")
    at = ("--at", "2026-06-01", "--format", "json", "--no-cache")
    assert audit(site, *at, "--jobs", "1", code=1).out == audit(site, *at, "--jobs", "2", code=1).out


def test_a_second_run_says_the_same_from_the_cache(site):
    at = ("--at", "2026-06-01", "--format", "json")
    assert audit(site, *at).out == audit(site, *at).out


def test_a_depot_is_a_path_like_any_other(site):
    depots.make().write(site / "depot.zip")
    transcript = run("audit", "depot.zip", "--policy", "policy.toml", "--format", "json", cwd=site)
    assert transcript.code == 0, transcript.out
    assert json.loads(transcript.out)["summary"]["depots"] == 1


def depot_audit(site: Path, data: bytes) -> set[str]:
    """The rules that count against a depot, which must fail."""
    (site / "depot.zip").write_bytes(data)
    transcript = run("audit", "depot.zip", "--policy", "policy.toml", "--format", "json", cwd=site)
    assert transcript.code == 1, transcript.out
    return {finding["rule"] for finding in json.loads(transcript.out)["findings"] if finding["severity"] != "low"}


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        ("climbing", "unsafe-path"),
        ("twice", "duplicate-member"),
        ("prefix", "malformed-archive"),
        ("suffix", "trailing-bytes"),
    ],
)
def test_a_hostile_zip_is_refused_and_nothing_in_it_is_written_anywhere(site, attack, code):
    files = {**depots.make().contents}
    if attack == "climbing":
        files["../../escaped.vib"] = bundles.make("vib").data
    data = zips.write(files, zips.DEFLATED)
    if attack == "twice":
        first = next(iter(files)).encode()
        data = zips.write({**files, "x" * len(first): b"other"}, zips.DEFLATED).replace(b"x" * len(first), first)
    data = {"prefix": b"MZ" + data, "suffix": data + b"PK"}.get(attack, data)
    before = snapshot(site)
    assert depot_audit(site, data) & {code, "malformed-archive"}
    assert {name: content for name, content in snapshot(site).items() if name != "depot.zip"} == before
    assert not (site.parent.parent / "escaped.vib").exists()


def test_metadata_that_claims_more_than_the_bundle_is_a_finding(site):
    depot = depots.make()
    listing = depot.documents["vmware.xml"].replace(b"<version>1.2.3-4</version>", b"<version>9.9.9-9</version>")
    assert "metadata-mismatch" in depot_audit(
        site, replace(depot, documents={**depot.documents, "vmware.xml": listing}).data
    )


def test_the_index_of_another_vendor_is_a_finding(site):
    assert "index-vendor-mismatch" in depot_audit(site, depots.make(vendor="Globex", code="GLX").data)


def test_names_that_a_terminal_would_obey_are_shown_escaped(site):
    shutil.copy(site / "depot" / "000.seal", site / "depot" / "\x1b[2Jclear\n.seal")
    assert "\x1b" not in audit(site, "--verbose").out


def wait_for_results(count: int) -> None:
    """Wait until the cache has so many results of a run that goes on."""
    path = Path(os.environ["XDG_CACHE_HOME"], "modseal", FILE)
    for _ in range(600):
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            query = "SELECT count(*) FROM results WHERE run = (SELECT max(number) FROM runs)"
            if connection.execute(query).fetchone()[0] >= count:
                return
        time.sleep(0.02)
    pytest.fail("no results came")


def test_an_interrupted_audit_reports_what_it_has_and_goes_on(site):
    count = 1500
    many_of(site / "many", count)
    command = [sys.executable, "-c", HEARING, "audit", "many"]
    options = ["--policy", "policy.toml", "--format", "json", "--jobs", "2"]
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    nothing = subprocess.run([*command, *options, "--resume"], cwd=site, env=env, capture_output=True, check=False)
    assert nothing.returncode == 2
    with (site / "part.json").open("wb") as out:
        process = subprocess.Popen([*command, *options], cwd=site, env=env, stdout=out, stderr=subprocess.PIPE)
        wait_for_results(256)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    part = json.loads((site / "part.json").read_text())
    assert process.returncode == 130
    assert err == b"modseal: interrupted; the report has what was examined until then, and --resume goes on\n"
    assert len(part["results"]) == part["summary"]["bundles"] < count
    time.sleep(1.1)  # so that a new time of verification would be another one
    done = subprocess.run([*command, *options, "--resume"], cwd=site, env=env, capture_output=True, check=False)
    whole = json.loads(done.stdout)
    assert whole["complete"] is True
    assert whole["at"] == part["at"]
    assert whole["results"][: len(part["results"])] == part["results"]
    assert len(whole["results"]) == count
    again = subprocess.run([*command, *options, "--resume"], cwd=site, env=env, capture_output=True, check=False)
    assert again.returncode == 2, "it is complete, and there is nothing to resume"


def test_an_audit_without_the_cache_keeps_nothing(site, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(site / "cache"))
    many_of(site / "few", 3)
    assert run("audit", "few", "--policy", "policy.toml", "--no-cache", cwd=site).code == 0
    assert not (site / "cache").exists()
    done = run("audit", "few", "--policy", "policy.toml", "--no-cache", "--resume", cwd=site)
    assert done.code == 2
    assert done.err.startswith("modseal: --resume goes on from what was kept, and --no-cache keeps nothing")


def on_terminal(site: Path) -> str:
    """What an audit writes to standard error where that is a terminal of 80 columns, and each bundle takes a while."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    program = (
        "import time; from modseal.auditing import look; examine = look.examine; "
        "look.examine = lambda *given: time.sleep(0.02) or examine(*given); "
        "from modseal.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, "audit", "depot"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm"}
    process = subprocess.Popen(
        [*command, "--policy", "policy.toml", "--jobs", "1"],
        cwd=site,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    written = b""
    with suppress(OSError):  # how a terminal says that nobody writes any more
        while data := os.read(main, 4096):
            written += data
    os.close(main)
    assert process.wait() == 0
    return written.decode()


def test_on_a_terminal_a_bar_shows_how_far_it_is_how_fast_and_how_long_it_takes(site):
    many_of(site / "depot", 120)  # more than two seconds, because the first tells nothing of the time
    written = on_terminal(site)
    assert "123/123" in written
    assert re.search(r"\d+/s, \d+ MB/s", written)
    assert re.search(r"\d\d:\d\d:\d\d", written), "the time that is left"
    assert written.rstrip().endswith("\x1b[?25h"), "the cursor is back"


def test_in_a_pipe_there_is_no_bar(site):
    assert audit(site).err == ""


def test_no_format_but_the_known_ones(site):
    assert "'xml' is not one of" in audit(site, "--format", "xml", code=2).err
