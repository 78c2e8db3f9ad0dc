"""`modseal audit --deadline`: a bundle that takes too long is undecided in every report, and costs nobody else."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from builders import policies
from builders.audits import folder_of
from builders.bundles import header, make
from builders.deadlines import hurry
from builders.transcript import SOURCE, Transcript, run
from modseal import limits
from modseal.auditing import look
from modseal.bundle.open import OpenBundle

FORMS = ["json", "sarif", "html", "csv", "junit", "gitlab"]
ACCEPTED, UNDECIDED = "accepted", "undecided"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a policy and a depot of three good bundles."""
    policies.write(tmp_path)
    folder_of(tmp_path / "depot", 3)
    return tmp_path


@contextmanager
def endless() -> Iterator[None]:
    """While the second bundle is examined nothing happens for a long time."""
    good: Callable[..., object] = look.examine

    def slow(bundle: OpenBundle, *more: object) -> object:
        if bundle.name == "depot/001.vib":
            hurry()
            time.sleep(600)
        return good(bundle, *more)

    with mock.patch.object(look, "examine", slow):
        yield


@pytest.fixture
def slow() -> Iterator[None]:
    with endless():
        yield


def audit(site: Path, *options: object) -> Transcript:
    return run("audit", "depot", "--policy", "policy.toml", "--deadline", 60, *options, cwd=site)


def verdicts(report: str) -> list[str]:
    return [one["verdict"] for one in json.loads(report)["results"]]


@pytest.mark.usefixtures("slow")
def test_ERR_03_every_report_has_it_as_undecided(site: Path) -> None:
    also = [word for form in FORMS for word in ("--also", f"{form}=report.{form}")]
    leaves = [f"report.{form}" for form in FORMS]
    options = ("depot", "--policy", "policy.toml", "--deadline", 60, *also, "--jobs", 2)
    done = run("audit", *options, cwd=site, leaves=leaves)
    reports = {form: (site / f"report.{form}").read_text() for form in FORMS}
    assert (done.code, [form for form, text in reports.items() if "deadline-exceeded" not in text]) == (3, [])
    assert "deadline-exceeded" in done.out
    document = json.loads(reports["json"])
    assert [one["verdict"] for one in document["results"]] == [ACCEPTED, UNDECIDED, ACCEPTED]
    [finding] = [one for one in document["findings"] if one["rule"] == "deadline-exceeded"]
    assert (finding["undecided"], finding["severity"]) == (True, "high")
    assert "--deadline" in finding["next_step"]
    rows = list(csv.DictReader(io.StringIO(reports["csv"])))
    assert {row["bundle"]: row["verdict"] for row in rows if row["verdict"]}["depot/001.vib"] == UNDECIDED


@pytest.mark.usefixtures("slow")
def test_ERR_03_one_job_is_ended_as_well_and_a_rejected_bundle_still_decides_the_exit_code(site: Path) -> None:
    assert audit(site, "--jobs", 1).code == 3
    (site / "depot" / "002.seal").write_bytes(b"damaged")
    assert audit(site, "--jobs", 1).code == 1


def test_ERR_03_no_cache_keeps_it(site: Path) -> None:
    with endless():
        assert verdicts(audit(site, "--format", "json").out) == [ACCEPTED, UNDECIDED, ACCEPTED]
    again = audit(site, "--format", "json")
    assert (again.code, verdicts(again.out)) == (0, [ACCEPTED, ACCEPTED, ACCEPTED])


def test_ERR_03_a_real_command_ends_a_bundle_of_gigabytes_and_goes_on(site: Path) -> None:
    """Zeros that take no space on the disk, in the payload of an otherwise good bundle."""
    *members, _ = make("vib").members
    with (site / "depot" / "001.vib").open("wb") as file:
        file.write(b"!<arch>\n" + b"".join(member.encode() for member in members))
        file.write(header("payload1", limits.MEMBER_SIZE - 1))
        file.truncate(file.tell() + limits.MEMBER_SIZE - 1)
    options = ("--policy", "policy.toml", "--deadline", "2", "--format", "json", "--jobs", "1")
    command = (sys.executable, "-c", "from modseal.cli.main import main; main()", "audit", "depot", *options)
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, cwd=site, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, verdicts(done.stdout)) == (3, [ACCEPTED, UNDECIDED, ACCEPTED]), done.stderr


def test_a_deadline_is_for_processes_of_this_machine(site: Path) -> None:
    done = audit(site, "--dask", "tcp://127.0.0.1:1")
    assert (done.code, "--dask and --deadline" in done.err) == (2, True)
    assert run("audit", "depot", "--deadline", "-1", cwd=site).code == 2
