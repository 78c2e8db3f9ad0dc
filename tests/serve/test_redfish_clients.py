"""The service as judged by others: DMTF's validator and client, OpenStack's client, and requests that are made up.

They stand in an environment of their own, which `make redfish` makes; Redfish's schemas in a folder that it is given.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from builders.forwarder import forwarder
from builders.pki import leaf, root
from builders.served import Served, served, webhook
from modseal.serve import csdl, openapi, routes

ENVIRONMENT = Path(os.environ.get("MODSEAL_REDFISH", ""))
SCHEMAS = os.environ.get("MODSEAL_REDFISH_SCHEMAS", "")
RECORD = Path(__file__).parents[2] / "docs/redfish.json"
CLIENTS = Path(__file__).parent / "clients"
EXPLAINED: dict[str, str] = {}
"""Warnings of the validator, and why they are not mended."""

pytestmark = pytest.mark.skipif(not ENVIRONMENT.name, reason="other people's clients: run `make redfish`")


@pytest.fixture(scope="module")
def record() -> Iterator[dict[str, Any]]:
    """What was found the last time; what is put there is kept with MODSEAL_REDFISH_WRITE."""
    found = json.loads(RECORD.read_text("utf-8"))
    yield found
    if os.environ.get("MODSEAL_REDFISH_WRITE"):
        found["date"] = datetime.now(UTC).date().isoformat()
        RECORD.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A host with a history: modules that came and went, a bundle that was refused, a rollback, a verification."""
    folder = tmp_path_factory.mktemp("judged")
    with served(folder, "requests = 100000\n" + webhook(folder)) as found:
        for reply in (
            found.push(found.host.bundle("acme-agent", "1.0")),
            found.push(found.host.bundle("acme-tool", "1.0", kind="vib")),
            found.push(found.host.bundle("stranger", "1.0", leaf(issuer=root(7)))),
        ):
            found.ended(reply)
        found.ended(found.ask("DELETE", f"{routes.INVENTORY}/acme-tool", "operator"))
        found.ended(found.ask("POST", f"{routes.ACTIONS}.Verify", "operator"))
        yield found


def run(program: str, *words: object, folder: Path, code: int = 0) -> str:
    """What a program of the environment says."""
    command = [ENVIRONMENT / "bin" / program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == code, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def package(name: str, folder: Path) -> str:
    """The version of a package of the environment."""
    return run("python", "-c", f"import importlib.metadata as m; print(m.version({name!r}))", folder=folder).strip()


@pytest.mark.skipif(not SCHEMAS, reason="Redfish's schemas: make redfish SCHEMAS=the folder csdl of DMTF's DSP8010")
def test_the_validator_of_dmtf_passes_everything_that_it_knows(
    one: Served, record: dict[str, Any], tmp_path: Path
) -> None:
    schemas = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, schemas, ignore=lambda folder, names: [name for name in names if name[-4:] != ".xml"])
    for name, version in csdl.TYPES.items():  # without them the validator has nothing to judge, and says 0
        assert f'Namespace="{name}.{version}"' in (schemas / f"{name}_v1.xml").read_text("utf-8"), name
    with forwarder(one.tls(one.clients["reader"]), one.port) as url:
        away = "http://127.0.0.1:9"  # a proxy that is not there: what is judged by is what was given
        said = run(
            *("rf_service_validator", "--rhost", url, "-u", "nobody", "-p", "nothing", "--authtype", "Basic"),
            *("--schema_directory", schemas, "--ext_http_proxy", away, "--ext_https_proxy", away, "--logdir", tmp_path),
            folder=tmp_path,
        )
    validated = re.findall(r"^Validating (\S+)\.\.\.", said, re.MULTILINE)
    log = next(tmp_path.glob("*/*.log")).read_text("utf-8")
    assert "Unable to locate" not in log
    shapes = {re.sub("{[a-z]+}", "[^/]+", route.path) for route in routes.ROUTES if openapi.is_resource(route)}
    assert [shape for shape in shapes if not any(re.fullmatch(shape, path) for path in validated)] == []
    [passed, warned, failed, _] = map(int, re.findall(r"(?<=\s)\d+(?=\s+\|)", said.rpartition("PASS")[2]))
    warnings = set(re.findall(r"WARN - .*?: (.*)", log))
    assert failed == 0
    assert warnings == set(EXPLAINED)
    releases = re.findall(r'Term="Redfish.Release" String="([0-9.]+)"', (schemas / "ServiceRoot_v1.xml").read_text())
    found = {
        "version": package("redfish-service-validator", tmp_path),
        "schemas": max(releases),
        "resources": len(validated),
        "passed": passed,
        "warned": warned,
    }
    least = record["validator"]["passed"] if not os.environ.get("MODSEAL_REDFISH_WRITE") else 1000
    assert passed >= least, "less was judged than the last time"
    record["validator"] = found


def test_the_client_of_dmtf_pushes_bundles_waits_for_them_and_is_told_why_one_is_refused(
    one: Served, record: dict[str, Any], tmp_path: Path
) -> None:
    good = one.host.bundle("pushed", "1.0")
    bad = one.host.bundle("refused", "1.0", leaf(issuer=root(7)))
    with forwarder(one.tls(one.clients["operator"]), one.port) as url:
        found = json.loads(run("python", CLIENTS / "drive_redfish.py", url, good, bad, folder=tmp_path))
    assert found["done"] == [200, "Completed", 100]
    assert "Modseal.1.0.NoPath: no chain leads from" in found["refusal"]
    assert found["managers"] == ["host"]
    assert found["last"].startswith("install: generation ")
    assert found["events"] == routes.EVENTS
    assert "pushed" in one.host.modules(pending=True)
    record["redfish"] = package("redfish", tmp_path)


def test_the_client_of_openstack_finds_its_way(one: Served, record: dict[str, Any], tmp_path: Path) -> None:
    bad = one.host.bundle("refused", "1.0", leaf(issuer=root(7)))
    assert one.ended(one.push(bad))["TaskState"] == "Exception"
    with forwarder(one.tls(one.clients["reader"]), one.port) as url:
        found = json.loads(run("python", CLIENTS / "drive_sushy.py", url, folder=tmp_path))
    assert found["manager"] == ["This host", "Service"]
    assert ["acme-agent", "1.0"] in found["modules"]
    assert found["task"][0] == "Exception"
    assert found["task"][2] == ["Modseal.1.0.NoPath"]
    assert "returned code 409. Modseal.1.0.NoPath: no chain leads from" in found["waited"]
    record["sushy"] = package("sushy", tmp_path)


@pytest.mark.parametrize("role", ["reader", "admin"])
def test_requests_that_are_made_up_from_the_description_are_answered_as_it_says(
    one: Served, record: dict[str, Any], role: str, tmp_path: Path
) -> None:
    certificate, key = one.key_files(one.clients[role])
    said = run(
        *("schemathesis", "--config-file", CLIENTS / "schemathesis.toml", "run"),
        f"https://127.0.0.1:{one.port}/openapi.json",
        *("--request-cert", certificate, "--request-cert-key", key, "--tls-verify", one.folder / "ca.pem"),
        *("--max-examples", 20, "--seed", 1, "--request-retries", 2),
        folder=tmp_path,
    )
    generated = re.findall(r"(\d+) generated, (\d+) passed", said)
    assert [each for each, passed in generated if each == passed], said[-2000:]
    assert int(generated[0][0]) > 300, "less was tried than there is"
    record.setdefault("schemathesis", {})[role] = int(generated[0][0])
    record["schemathesis"]["version"] = package("schemathesis", tmp_path)
