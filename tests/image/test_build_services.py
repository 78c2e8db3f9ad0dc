"""What is found wrong before a host is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import hosts
from builders.pki import NOW
from modseal.errors import SpecError
from modseal.host import export
from modseal.image import generation

SERVICE = b'schema = "modseal/service@1"\ncommand = ["/opt/acme-agent/run"]\n'


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("agent", SERVICE, None),
        ("machine", SERVICE, "machine.toml: the host itself speaks under this name"),
        ("agent", SERVICE + b"user = 65501\n", "agent.toml: user 65501 is one of the host's own"),
        ("agent", SERVICE + b'capabilities = ["mac_admin"]\n', "agent.toml: no service has mac_admin"),
        ("agent", b"[", "agent.toml:1"),
        ("agent", "other", "agent.toml: is no file"),
    ],
)
def test_a_service_that_a_host_would_refuse_is_refused_when_it_is_built(
    tmp_path: Path, name: str, content: bytes | str, why: str | None
) -> None:
    host = hosts.host(tmp_path)
    host.installed(host.bundle(files={f"usr/lib/modseal/services/{name}.toml": content, "opt/acme-agent/run": b"x"}))
    with host.store() as store:
        (module,) = export.proved_modules(store, NOW)
        if why is None:
            generation._require_services(store, module)
        else:
            with pytest.raises(SpecError) as caught:
                generation._require_services(store, module)
            assert caught.value.failure.detail.startswith(f"a service of acme-agent: {why}")
            assert "vendor" in caught.value.failure.next_step
