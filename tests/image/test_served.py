"""What an image has for a host that is managed from outside: a spec for the service, and no secret in the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import served as builder
from modseal.boot.documents import PLACE
from modseal.errors import KeyMaterialError, SpecError
from modseal.image import served
from modseal.image.spec import ServedClients, ServedSpec
from modseal.serve import spec as serving
from modseal.serve.roles import Role


@pytest.fixture
def one(tmp_path: Path) -> ServedSpec:
    builder.make(tmp_path)
    clients = (ServedClients(tmp_path / "ca.pem", "operator", ()),)
    return ServedSpec(tmp_path / "server.pem", tmp_path / "server.key", clients, {"upload": 512})


def test_the_service_reads_what_the_root_has(one: ServedSpec, tmp_path: Path) -> None:
    for name, data in served.files(one).items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found = serving.read(tmp_path / "root" / PLACE / "serve/serve.toml")
    assert (found.address, found.port, found.upload) == ("0.0.0.0", 8443, 512 << 20)
    assert (found.key, found.spool) == (Path("/data/serve/key.pem"), Path("/data/serve/spool"))
    assert found.certificate.read_bytes() == one.certificate.read_bytes()
    assert [client.grants for client in found.clients] == [Role.OPERATOR]


def test_the_key_is_beside_the_root_for_its_owner_alone(one: ServedSpec, tmp_path: Path) -> None:
    served.write_key(one, tmp_path / "data")
    path = tmp_path / "data/key.pem"
    assert path.read_bytes() == one.key.read_bytes()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not any(one.key.read_bytes() in data for data in served.files(one).values())


@pytest.mark.parametrize("name", ["server.pem", "ca.pem"])
def test_a_private_key_never_gets_into_the_root(one: ServedSpec, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + one.key.read_bytes())
    with pytest.raises(SpecError, match=f"{name} has a private key in it"):
        served.files(one)


def test_a_key_of_another_certificate_ends_the_build(one: ServedSpec, tmp_path: Path) -> None:
    one.certificate.write_bytes((tmp_path / "ca.pem").read_bytes())
    with pytest.raises(KeyMaterialError, match=r"server\.pem and .*server\.key"):
        served.files(one)


def test_a_ca_that_is_none_ends_the_build(one: ServedSpec, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    with pytest.raises(SpecError, match=r"ca\.pem, or a CRL of it"):
        served.files(one)
