"""`modseal audit --esxi-db` as its users call it: exit statuses, what is examined, and every form of report."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from builders import esxi_hosts, policies
from builders.bundles import make
from builders.transcript import Transcript, run
from modseal.cli.audit_output import FORMATS

ROOT = Path(__file__).parents[2]
FORCED = esxi_hosts.make(make("vib"), make("vib", name="implant").unsigned())


def audit(folder: Path, *arguments: object) -> Transcript:
    policies.write(folder)
    return run("audit", *arguments, "--policy", "policy.toml", "--at", "2026-06-01", "--no-cache", cwd=folder)


def test_a_good_host_passes(tmp_path: Path) -> None:
    esxi_hosts.make().write(tmp_path / "host")
    done = audit(tmp_path, "--esxi-db", "host")
    assert done.code == 0
    assert "host/var/db/esximg: claims partner, proven partner; 2" in done.out


def test_a_vib_that_was_forced_in_fails_the_audit_and_is_named(tmp_path: Path) -> None:
    FORCED.write(tmp_path / "host")
    done = audit(tmp_path, "--esxi-db", "host")
    assert done.code == 1
    assert "host/var/db/esximg/vibs/implant--1.xml" in done.out.split("forced-vib")[1]
    assert "proven none; 1" in done.out


def test_a_database_without_payloads_is_undecided_and_not_rejected(tmp_path: Path) -> None:
    esxi_hosts.make().write(tmp_path / "host")
    (tmp_path / "host/var/db/esximg").rename(tmp_path / "esximg")
    done = audit(tmp_path, "--esxi-db", "esximg", "--format", "json")
    assert done.code == 3
    report = json.loads(done.out)
    assert report["hosts"][0] == {
        "host": "esximg",
        "profile": "Test-1.0",
        "claimed_level": "partner",
        "proven_level": None,
        "vibs": 2,
        "vibs_as_claimed": 0,
        "payloads": 2,
        "payloads_present": 0,
    }


def test_the_option_examines_the_host_alone_and_a_path_what_lies_beside_it_too(tmp_path: Path) -> None:
    esxi_hosts.make().write(tmp_path / "host")
    (tmp_path / "host" / "more.vib").write_bytes(make("vib", name="more").data)
    alone, all_ = (audit(tmp_path, *how, "--format", "json") for how in (("--esxi-db", "host"), ("host",)))
    assert [json.loads(done.out)["summary"]["bundles"] for done in (alone, all_)] == [2, 3]


def test_a_folder_without_a_host_and_a_call_without_a_path_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = audit(tmp_path, "--esxi-db", "empty")
    assert (nothing.code, nothing.out) == (3, "")
    assert "neither `vibs` and `profiles`" in nothing.err
    assert audit(tmp_path).code == 2


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_of_report_names_the_forced_vib(tmp_path: Path, form: str) -> None:
    FORCED.write_bank(tmp_path / "bank")
    done = audit(tmp_path, "--esxi-db", "bank", "--format", form)
    assert done.code == 1
    assert "forced-vib" in done.out
    assert "imgdb.tgz" in done.out
    assert "Traceback" not in done.out


def test_the_report_is_checked_against_the_host_again(tmp_path: Path) -> None:
    FORCED.write(tmp_path / "host")
    policies.write(tmp_path)
    arguments = ("--policy", "policy.toml", "--at", "2026-06-01", "--no-cache", "--format", "json", "-o", "r.json")
    run("audit", "--esxi-db", "host", *arguments, cwd=tmp_path, leaves=["r.json"])
    schema = json.loads((ROOT / "schemas/audit.schema.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "r.json").read_text()), schema)
    assert run("audit", "verify-report", "r.json", cwd=tmp_path).code == 0
    document = tmp_path / "host/var/db/esximg/vibs/implant--1.xml.sig"
    document.write_bytes(b"x")
    assert run("audit", "verify-report", "r.json", cwd=tmp_path).code == 1
