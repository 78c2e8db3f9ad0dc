"""`modseal remote` against `modseal serve`: both of them real, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders.served import Served, served
from builders.transcript import Transcript, run


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        (found.folder / "desk").mkdir()
        yield found


def ask(one: Served, role: str, *words: object) -> Transcript:
    certificate, key = one.key_files(one.clients[role])
    given = ("--ca", one.folder / "ca.pem", "--cert", certificate, "--key", key)
    return run("remote", *given, f"127.0.0.1:{one.port}", *words, cwd=one.folder / "desk")


def test_every_word_is_understood(one: Served) -> None:
    old, new = (one.host.bundle("acme-agent", version) for version in ("1.0", "2.0"))
    for role, words, said in (
        ("operator", ("install", old, "--dry-run"), "generation 1 is active"),
        ("reader", ("list",), "no module is installed"),
        ("operator", ("install", old), "installed  acme-agent 1.0"),
        ("operator", ("install", old), "nothing to do"),
        ("operator", ("update", new), "updated    acme-agent 2.0"),
        ("reader", ("list",), "acme-agent  2.0"),
        ("reader", ("get", "acme-agent"), "acme-agent 2.0 (Acme), claimed partner, proven partner"),
        ("operator", ("rollback",), "generation 1 is active"),
        ("operator", ("verify",), "accepted: generation 1, 1 module"),
        ("reader", ("history",), "*    1"),
        ("reader", ("log", "--verify"), "unbroken"),
        ("reader", ("acceptance", "get"), "acceptance level "),
        ("admin", ("acceptance", "set", "community"), "acceptance level community"),
        ("reader", ("lockdown", "get"), "mode        normal"),
        ("operator", ("remove", "acme-agent"), "removed    acme-agent 1.0"),
    ):
        done = ask(one, role, *words)
        assert (done.code, said in done.out) == (0, True), (words, done)


def test_a_refusal_is_one_and_a_role_that_is_too_low_too(one: Served) -> None:
    bundle = one.host.bundle("other", "1.0")
    done = ask(one, "reader", "install", bundle)
    assert (done.code, done.out.split(": ")[:2]) == (1, ["rejected", "role-too-low"])
    bundle.write_bytes(bundle.read_bytes().replace(b"other", b"otter"))
    assert ask(one, "operator", "install", bundle).code == 1
    done = ask(one, "reader", "get", "nothing")
    assert done.code == 1
