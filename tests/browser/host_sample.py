"""A served host with something of everything on it, for its pages: good, withdrawn, refused, hostile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from builders import recalls
from builders.pki import Identity, leaf, root
from builders.served import Served, client
from modseal.format import recall as recall_format
from modseal.host import learned
from modseal.serve import routes

HOSTILE = '"><img src=x onerror=window.__x=1>'


def hostile_client(one: Served) -> Identity:
    """An operator who is called so that a page that does not look would be taken over."""
    parts = [
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "modseal:operator"),
        (NameOID.COMMON_NAME, HOSTILE + "\u202egnp\x1b[2J"),
    ]
    return client(one.ca, None, subject=x509.Name([x509.NameAttribute(oid, text) for oid, text in parts]))


def fill(one: Served) -> None:
    """Do on a host what its pages then show."""
    host = one.host
    summary = f"An agent of {HOSTILE}"
    first = [host.bundle("acme-agent", "1.0"), host.bundle("acme-net", "2.1.0-3", summary=summary)]
    files = {f"opt/storage/module-{number:03}/with/a/long/path/{'x' * 60}": b"x" for number in range(12)}
    first.append(host.bundle("northwind-storage-multipath-service-extended", "14.22.1-20260601", files=files))
    one.ended(one.push_all(first))
    one.ended(one.push(host.bundle("acme-net", "2.2.0-1"), hostile_client(one), Action="update"))
    one.ended(one.push(host.bundle("stranger", "1.0", leaf(issuer=root(7)))))
    one.ended(one.push(host.bundle("lab-sensors", "0.1"), DryRun=True))
    one.ended(one.ask("POST", f"{routes.ACTIONS}.Rollback", "operator"))
    path = host.root.parent / "withdrawn.recall"
    now = datetime.now(UTC)
    path.write_bytes(recall_format.encode(recalls.make(expires=now + timedelta(days=30))))
    learned.keep_recalls(host.root, [path], now)
    one.ended(one.ask("POST", f"{routes.ACTIONS}.Verify", "operator"))
