"""Every route with every role and with none: the table says who may, and the service does as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from builders import pki
from builders.served import ROLES, SERVER, Served, client, served
from modseal.serve.operations import OPERATIONS
from modseal.serve.roles import Role
from modseal.serve.routes import EVENTS, PUSH, ROUTES, Route, role_for


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), "requests = 100000") as found:
        found.clients["nobody"] = client(found.ca, None)
        found.clients["two roles"] = client(found.ca, "reader,OU=modseal:admin")
        yield found


def asked(one: Served, route: Route, who: str) -> tuple[int, list[str]]:
    path = re.sub(r"{\w+}", "0", route.path)
    if path == PUSH:
        reply = one.push(b"no bundle", who)
    elif path == EVENTS and who in ROLES:
        return one.begun(path, who), []
    else:
        reply = one.ask(route.method, path, who)
    return reply.status, reply.codes if reply.status >= 400 else []


@pytest.mark.parametrize("who", [*ROLES, "nobody", "two roles"])
def test_a_route_is_open_to_the_roles_of_the_table_and_to_no_other(one: Served, who: str) -> None:
    for route in ROUTES:
        status, codes = asked(one, route, who)
        is_allowed = who in ROLES and Role.named(who) >= route.role
        wanted = "role-too-low" if who in ROLES else "role-missing"
        assert (codes == [wanted], status == 403) == (not is_allowed, not is_allowed), (route, status, codes)


def test_methods_and_paths_that_are_not_in_the_table_are_denied(one: Served) -> None:
    there = {(route.method, route.path) for route in ROUTES}
    for path in sorted({route.path for route in ROUTES}):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if (method, path) not in there:
                assert one.ask(method, re.sub(r"{\w+}", "0", path), "admin").status == 405, (method, path)
    for path in ("/etc/passwd", "/redfish/v2/", "/redfish/v1/Systems", "/redfish/v1/../../etc/passwd"):
        assert one.ask("GET", path, "admin").status == 404, path


def test_every_operation_has_a_route_and_the_lowest_role_of_its_routes() -> None:
    assert set(OPERATIONS) | {"task", "tasks"} == {route.operation for route in ROUTES}
    assert role_for("install") is Role.OPERATOR
    assert role_for("rm -rf") is None
    for route in ROUTES:
        assert route.role == role_for(route.operation), "a route that needs more would be open by another one"


def test_strangers_get_no_connection(one: Served) -> None:
    import ssl

    foreign = client(pki.ca("Test CA of clients"), "admin")
    for identity in (None, foreign, client(one.ca, "admin", purposes=SERVER), client(one.ca, "admin", end=pki.NOW)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            one.ask("GET", "/redfish", identity)
