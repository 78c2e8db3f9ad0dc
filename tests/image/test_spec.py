"""A host.toml: what it may say, and that each mistake is named with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modseal.errors import SpecError
from modseal.format.level import Level
from modseal.image import initramfs, spec

PIN = 'file = "x"\nsha256 = "' + "0" * 64 + '"\n'
GOOD = f"""schema = "modseal/image@1"
name = "edge"
version = 3
policy = "policy.toml"
released = 2026-01-31T12:00:00Z
[keys]
pk = "pk.pem"
kek = "kek.pem"
db = {{key = "db.key", cert = "db.pem"}}
[kernel]
{PIN}[stub]
{PIN}[firmware]
{PIN}[[package]]
{PIN}[[wheel]]
{PIN.replace("x", "x-1-py3-none-any.whl", 1)}"""

NETWORK = '[network]\naddress = "10.0.2.15"\nprefix = 24\n'
SERVE = (
    '[serve]\ncertificate = "edge.pem"\nkey = "edge.key"\nupload = 512\n'
    '[[serve.client]]\nca = "ca.pem"\ngrants = "operator"\ncrls = ["ca.crl"]\n'
)


def read(folder: Path, text: str) -> spec.ImageSpec:
    (folder / "host.toml").write_text(text)
    return spec.read(folder / "host.toml")


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert (found.name, found.version, found.generation, found.level) == ("edge", 3, 1, None)
    assert (found.network, found.management, found.modules, found.revoked, found.floor) == (None, None, (), (), 1)
    assert found.kernel_modules == initramfs.MODULES
    assert found.data_size == 256 << 20


def test_paths_are_relative_to_the_spec_and_a_token_s_key_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).db_key == str(tmp_path / "db.key")
    assert read(tmp_path, GOOD.replace("db.key", "pkcs11:token=owner")).db_key == "pkcs11:token=owner"
    assert read(tmp_path, GOOD).pk == tmp_path / "pk.pem"


def test_what_is_said_counts(tmp_path: Path) -> None:
    more = '[network]\naddress = "10.0.2.15"\nprefix = 24\n[management]\nport = 9090\n[[module]]\nfile = "a.seal"\n'
    head = f'level = "accepted"\ngeneration = 7\nfloor = 2\nrevoked = ["{"1" * 64}"]\n'
    found = read(tmp_path, GOOD.replace("[keys]", f"{head}[keys]") + more)
    assert (found.level, found.generation, found.management) == (Level.ACCEPTED, 7, 9090)
    assert found.network is not None
    assert found.network.gateway is None
    assert found.modules == (tmp_path / "a.seal",)
    assert (found.revoked, found.floor) == ((b"\x11" * 32,), 2)


def test_a_host_is_managed_from_outside_where_that_is_said(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD + NETWORK).served is None
    found = read(tmp_path, GOOD + NETWORK + SERVE).served
    client = spec.ServedClients(tmp_path / "ca.pem", "operator", (tmp_path / "ca.crl",))
    assert found == spec.ServedSpec(tmp_path / "edge.pem", tmp_path / "edge.key", (client,), {"upload": 512})


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('name = "edge"\n', "", "the key 'name' is missing"),
        ("version = 3", "version = 0", "host.toml:3: version"),
        ("version = 3", 'version = "3"', "must be an integer"),
        ("[keys]", "shell = true\n[keys]", "host.toml:6: unknown key 'shell'"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "UTC"),
        ("0" * 64, "0" * 63, "64"),
        ("[stub]", "[network]\naddress = '10.0.2.15'\nprefix = 24\ngateway = '10.1.1.1'\n[stub]", "not in the network"),
        ("[keys]", "[keys", "host.toml:6:"),
        ("[stub]", f"{SERVE}[stub]", "serve: needs a [network]"),
        ("[stub]", '[serve]\ncertificate = "a.pem"\n[stub]', "the key 'key' is missing"),
        ("version = 3", "version = 3\nfloor = 4", "host.toml:4: floor: is above the version, 3; raise `version`, or"),
        ("2026-01-31T12:00:00Z", "1969-12-31T23:59:59Z", "host.toml:5: released: is before 1970"),
        ("x-1-py3-none-any.whl", "x.whl", "is no name of a wheel"),
        ("[[wheel]]", f"[[package]]\n{PIN}[[wheel]]", "package[1].file: x is named twice"),
        ("[stub]", "[management]\nport = 9090\n[stub]", "management: needs a [network]"),
        (
            "[stub]",
            f"{NETWORK}[management]\nport = 8443\n{SERVE}[stub]",
            "management.port: is 8443, which is the port of",
        ),
        ("[stub]", f"{NETWORK.replace('10.0.2.15', '10.0.2.0')}[stub]", "10.0.2.0 is not an address that one machine"),
        (
            "[stub]",
            f"{NETWORK.replace('10.0.2.15', '224.0.0.5')}[stub]",
            "224.0.0.5 is not an address that one machine",
        ),
        ("[stub]", f"{NETWORK}gateway = '10.0.2.15'\n[stub]", "the gateway 10.0.2.15 is the host itself"),
        ("[[wheel]]", "[other]", "host.toml:22: unknown key 'other'"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, before: str, after: str, why: str) -> None:
    with pytest.raises(SpecError, match=re.escape(why)):
        read(tmp_path, GOOD.replace(before, after))
