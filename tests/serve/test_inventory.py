"""What the page shows of each module: nothing of one that cannot be proved, and nothing is hidden by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builders import hosts, recalls
from builders.hosts import Host
from builders.pki import NOW
from modseal.format import recall as recall_format
from modseal.host import learned
from modseal.host.look import show_module, show_modules
from modseal.serve.inventory import inventory, proof


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = hosts.host(tmp_path)
    made.installed(made.bundle("acme-agent", "1.0"), made.bundle("other", "1.0"))
    return made


def modules(host: Host) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in inventory(show_modules(host.root, NOW))["modules"]}


def test_a_good_module_has_its_signers_and_no_problem(host: Host) -> None:
    one = modules(host)["other"]
    assert (one["verdict"], one["proven_level"], one["problem"]) == ("accepted", "partner", None)
    assert [signer["anchor"] is not None for signer in one["signers"]] == [True]
    assert one["recall"] == "not recalled"


def test_a_withdrawn_module_is_said_to_be_and_the_others_not(host: Host) -> None:
    path = host.root.parent / "r.recall"
    path.write_bytes(recall_format.encode(recalls.make()))
    learned.keep_recalls(host.root, [path], NOW)
    found = modules(host)
    assert {name: one["recall"] for name, one in found.items()} == {"acme-agent": "recalled", "other": "not recalled"}
    assert found["acme-agent"]["problem"]["code"] == "recalled"
    document = proof(show_module(host.root, "acme-agent", NOW))
    assert (document["verdict"], document["recall"]) == ("rejected", "recalled")
    assert "recalled" in [check["code"] for check in document["checks"]]


def test_a_module_that_cannot_be_read_hides_no_other_and_proves_nothing(host: Host) -> None:
    with host.store() as store:
        [module] = [one for one in store.generation(store.state.generation).modules if one.name == "other"]
        signature = store.module(module.record).signature
    [file] = [path for path in host.root.rglob("*") if path.is_file() and path.name.endswith(signature[2:])]
    file.chmod(0o600)
    file.write_bytes(b"other")
    found = modules(host)
    assert found["acme-agent"]["proven_level"] == "partner"
    lost = found["other"]
    assert (lost["claimed_level"], lost["proven_level"], lost["recall"]) == (None, None, "unknown")
    assert (lost["verdict"], lost["problem"]["code"]) == ("undecided", "installed-changed")
    document = proof(show_module(host.root, "other", NOW))
    assert (document["proven_level"], document["recall"], document["checks"]) == (None, "unknown", [])


def test_under_a_state_that_may_be_anybodys_nothing_is_proved(host: Host) -> None:
    with host.store() as store:
        current = store.state.policy.text
    [file] = [path for path in host.root.rglob("*") if path.is_file() and path.name.endswith(current[2:])]
    file.chmod(0o600)
    file.write_bytes(b"other")
    found = inventory(show_modules(host.root, NOW))
    assert {(one["verdict"], one["proven_level"], one["recall"]) for one in found["modules"]} == {
        ("undecided", None, "unknown")
    }
    assert [one["module"] for one in found["findings"]] == [None]
    assert proof(show_module(host.root, "other", NOW))["checks"] == []
