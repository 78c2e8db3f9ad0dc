"""Everything that `modseal host --format json` prints has the published shape, and says nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from builders import hosts
from builders.bundles import make
from builders.hosts import Host
from builders.pki import NOW
from modseal.format.manifest import Constraint
from modseal.host import look, values
from modseal.host.result_shape import SHAPE

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "schemas/host.schema.json").read_text()))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle(files={"opt/a": None, "opt/a/f": b"f", "opt/a/l": "f"}, version="1"))
    found.installed(found.bundle(version="2", related={"provides": (Constraint("x", "=", "1"),)}))
    found.installed(found.bundle("driver", kind="vib"))
    return found


def require_shape(document: dict) -> dict:
    assert SHAPE.problems(document) == []
    SCHEMA.validate(document)
    return json.loads(json.dumps(document))


def test_changes_made_and_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "bad.seal").write_bytes(make("seal").unsigned().data)
    for done in (
        host.install(tmp_path / "acme-agent-2.seal"),
        host.install(tmp_path / "acme-agent-1.seal"),
        host.install(tmp_path / "bad.seal"),
        host.install(tmp_path / "missing.seal"),
        host.install(host.bundle(version="3")),
        host.remove("driver", dry_run=True),
        host.remove("nobody"),
        host.activate(),
        host.rollback(1),
    ):
        document = require_shape(values.change_values(done))
        assert document["verdict"] == str(done.verdict)
        assert (document["generation"] is None) == (done.generation is None)


def test_what_is_shown(host: Host) -> None:
    with host.store() as store:
        listed = require_shape(values.list_values(look.show_modules(host.root, NOW)))
        assert (listed["generation"], listed["pending"]) == (2, 3)
        got = require_shape(values.get_values(look.show_module(host.root, "acme-agent", NOW)))
        assert got["relations"] == {"provides": [{"name": "x", "relation": "=", "version": "1"}]}
        history = require_shape(values.history_values(look.show_history(host.root)))
        assert [each["state"] for each in history["generations"]] == ["kept", "kept", "active", "pending"]
        log = require_shape(values.log_values(look.show_log(host.root, whole=True)))
        assert [each["event"] for each in log["events"]] == ["init", *["install"] * 3]
        require_shape(values.acceptance_values(store.state.level, store.policy.minimum_level))


def test_findings(host: Host) -> None:
    assert require_shape(values.verification_values(host.verify(), NOW))["findings"] == []
    (host.image / "opt/acme-agent/bin/run").unlink()
    (host.image / "opt/new").mkdir()
    found = require_shape(values.verification_values(host.verify(), NOW))
    assert [(one["module"], one["code"]) for one in found["findings"]] == [
        ("acme-agent", "installed-missing"),
        (None, "installed-extra"),
    ]
