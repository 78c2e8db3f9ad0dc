"""The index answers whose a path is, is made anew whenever it is not of this state, and decides nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import Host
from builders.pki import NOW
from builders.transcript import run
from modseal.host import index
from modseal.host.store import INDEX


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle(version="1"))
    found.installed(found.bundle(version="2"))
    return found


def asked(host: Host, path: str = "/opt/acme-agent/bin/run") -> list[tuple[int, str]]:
    with host.store() as store:
        return [(one.generation, one.version) for one in index.owners(store, path, NOW)]


def test_a_path_has_its_modules_in_every_generation(host: Host) -> None:
    assert asked(host) == [(1, "1"), (2, "2")]
    assert asked(host, "opt/nothing") == []
    host.installed(host.bundle(version="3"))
    assert asked(host) == [(1, "1"), (2, "2"), (3, "3")]


def test_a_content_is_found_by_its_digest(host: Host) -> None:
    with host.store() as store:
        (one, _) = index.owners(store, "opt/acme-agent/bin/run", NOW)
        assert index.owners(store, (one.sha256 or "").upper(), NOW) == [one]


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0 and rubbish", None])
def test_an_index_that_cannot_be_read_is_made_anew(host: Host, damage: bytes | None) -> None:
    before = asked(host)
    path = host.root / "var/lib/modseal" / INDEX
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert asked(host) == before
    assert host.codes() == []


def test_a_forged_index_decides_nothing(host: Host) -> None:
    """Who changes the index changes an answer that is said to be unproved, and nothing else; it is found."""
    asked(host)
    path = host.root / "var/lib/modseal" / INDEX
    path.write_bytes(path.read_bytes().replace(b"acme-agent", b"evil-agent"))
    assert host.codes() == ["index-damaged"]
    assert host.installed(host.bundle("other")).generation == 3
    assert asked(host) == [(1, "1"), (2, "2"), (3, "2")]


def forged(host: Host, script: str) -> None:
    """An index of the state that holds, whose tables are made and filled by a script of SQL."""
    with host.store() as store, closing(sqlite3.connect(store.path / INDEX)) as there:
        event = store.state.event
        there.executescript("DROP TABLE IF EXISTS made; DROP TABLE IF EXISTS file;")
        made = f"INSERT INTO made VALUES (1, {event.number}, '{event.previous or ''}');"
        there.executescript(script.replace("INSERT INTO made;", made))


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
MADE, FILE, _ = index._TABLES.strip().split(";\n")


ROWS = "2 AS generation, 'p' AS path, 'm' AS module, '1' AS module_version, 'file' AS type, 0 AS mode, NULL AS sha256"


@pytest.mark.parametrize(
    "script",
    [
        f"CREATE VIEW made AS {ENDLESS} SELECT x AS version, x AS state, x AS event FROM c WHERE x < 0; {FILE};",
        f"{MADE}; INSERT INTO made; CREATE VIEW file AS {ENDLESS} SELECT {ROWS} FROM c;",
    ],
)
def test_an_index_that_computes_without_an_end_is_not_asked(host: Host, script: str) -> None:
    before = asked(host)
    forged(host, script)
    assert host.codes() == ["index-damaged"]
    assert asked(host) == before


@pytest.mark.parametrize(
    "row", ["2, 'opt/x', 'm', '1', 'file', 'text', NULL", "2, 'opt/x', x'ff', 1.5, 'file', 0, NULL"]
)
def test_a_row_of_other_types_is_said_to_be_so(host: Host, row: str) -> None:
    asked(host)
    forged(host, f"{index._TABLES} INSERT INTO made; INSERT INTO file VALUES ({row});")
    assert host.codes() == ["index-damaged"]
    done = run("host", "owner", "opt/x", "--root", "root", "--format", "json", cwd=host.root.parent)
    assert done.code == 3
    assert "it has rows that modseal does not write" in done.out


def test_the_command_says_it_with_its_exit_status(host: Host) -> None:
    folder = host.root.parent
    done = run("host", "owner", "/opt/acme-agent/bin/run", "--root", "root", cwd=folder)
    assert done.out.splitlines() == [
        "generation 1  acme-agent 1  file 0644  opt/acme-agent/bin/run",
        "generation 2  acme-agent 2  file 0644  opt/acme-agent/bin/run",
    ]
    none = run("host", "owner", "/opt/nothing", "--root", "root", cwd=folder)
    assert (none.code, none.out) == (1, "no module brings /opt/nothing\n")
    assert run("host", "rebuild", "--root", "root", cwd=folder).out == "2 entries\n"
