"""What may be asked of a host from outside: every operation with every role, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from builders.hosts import host
from builders.pki import NOW, signer
from modseal.errors import ModsealError
from modseal.host.result_shape import SHAPE
from modseal.serve.operations import OPERATIONS, perform
from modseal.serve.roles import Caller, Role

ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "get": {"name": "acme-agent"},
    "remove": {"names": ["acme-agent"], "dry_run": True},
    "rollback": {"dry_run": True},
    "activate": {"dry_run": True},
    "install": {"dry_run": True},
    "set-acceptance": {"level": "community"},
}


def someone(role: Role) -> Caller:
    return Caller(f"CN={role}", "key-sha256:" + "ab" * 32, role)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host with a module, and the bundle beside it."""
    one = host(tmp_path_factory.mktemp("managed"))
    one.installed(one.bundle("acme-agent", "1.0", signer()))
    return one.root


def ask(name: str, place: Path, role: Role = Role.ADMIN, /, **arguments: Any) -> dict[str, Any]:
    bundles = [place.parent / "acme-agent-1.0.seal"] if name == "install" else []
    return perform(name, someone(role), place, arguments or ARGUMENTS.get(name, {}), bundles, NOW)


def refusal(name: str, place: Path, role: Role = Role.ADMIN, /, **arguments: Any) -> str:
    with pytest.raises(ModsealError) as found:
        ask(name, place, role, **arguments)
    return found.value.failure.code


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_needs_its_role(name: str, role: Role, place: Path) -> None:
    if role < OPERATIONS[name].role:
        assert refusal(name, place, role) == "role-too-low"
    else:
        assert not SHAPE.problems(ask(name, place, role))


def test_a_reader_changes_nothing() -> None:
    assert {name for name, one in OPERATIONS.items() if one.role is Role.READER} == {
        "list", "get", "log", "acceptance", "verify"
    }  # fmt: skip


def test_what_is_not_in_the_table_cannot_be_asked_for(place: Path) -> None:
    assert refusal("export", place) == "usage"


@pytest.mark.parametrize(
    "name", ["../acme-agent", "acme%2fagent", "acme-agent\0", "a\nb", "/etc/passwd", "a" * 5000, ""]
)
def test_a_name_is_a_name_of_a_module_and_nothing_else(name: str, place: Path) -> None:
    assert refusal("get", place, name=name) == "usage"
    assert refusal("remove", place, names=[name]) == "usage"


def test_arguments_that_no_operation_has_are_refused(place: Path) -> None:
    assert refusal("verify", place, at="2020-01-01") == "usage"
    assert refusal("install", place, force=True) == "usage"
    assert refusal("set-acceptance", place, level="none") == "usage"


def test_the_log_names_who_asked_by_the_proved_key(tmp_path: Path) -> None:
    one = host(tmp_path)
    bundle = one.bundle("acme-agent", "1.0", signer())
    someone_else = Caller('CN=x\n{"event": "forged"}', "key-sha256:" + "cd" * 32, Role.OPERATOR)
    done = perform("install", someone_else, one.root, {}, [bundle], NOW)
    assert done["verdict"] == "accepted"
    newest = perform("log", someone_else, one.root, {}, [], NOW)["events"][-1]
    assert (newest["by"]["key"], newest["by"]["name"]) == (someone_else.key, someone_else.name)
    assert len((one.root / "var/lib/modseal/log.jsonl").read_bytes().splitlines()) == 2
