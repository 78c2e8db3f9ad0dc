"""Certificates and CRLs: read, and judged against a root that did not sign them (or did, where they are the seeds)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from modseal.errors import FormatError
from modseal.format import pem
from modseal.pki import revocation
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath, PathRules, find_path
from modseal.pki.revocation import RevocationRules
from targets.base import NOW, Target, attempt, certificates

_T = TypeVar("_T")


def certificate(data: bytes) -> None:
    """As a signer, and as a candidate between another signer and the root."""
    found = attempt(Certificate.parse, data)
    if not found:
        return
    assert found.der == data
    root, *others = certificates("chain.pem")
    for signer, candidates in ((found, others), (others[-1], (found, *others))):
        path = find_path(signer, candidates, (root,), PathRules(), NOW)
        if isinstance(path, NoPath):
            assert path.failures
        else:
            assert path.certificates[-1] == root
            for below, above in pairwise(path.certificates):
                assert above.is_ca
                below.verify_issued_by(above)


def crl(data: bytes) -> None:
    """Alone, on a path whose issuer it may be from."""
    found = attempt(lambda given: Crl.parse(given, "fuzz"), data)
    if not found:
        return
    path = tuple(reversed(certificates("chain.pem")))
    failures = revocation.judge(path, RevocationRules((found,), required=True), NOW)
    assert all(failure.detail for failure in failures)
    assert all(isinstance(found.scope.covers(one), bool) for one in path)


def pem_file(data: bytes) -> None:
    """A file of certificates, of CRLs, of anything: no block is passed over, and each is what the file has."""
    blocks = _whole(lambda: pem.read(data))
    if blocks is not None:
        plain = [block for block in blocks if not block.headers]
        assert data.count(b"-----BEGIN ") == data.count(b"-----END ") == len(blocks)
        assert not blocks or not data[data.rindex(b"-----END ") :].partition(b"\n")[2].strip(b" \t\r\n")
        again = b"".join(b"# text\n%s\n" % _written(block) for block in plain)
        assert [(one.label, one.content) for one in pem.read(again)] == [(one.label, one.content) for one in plain]
    pem.has_private_key(data)
    pem.kind_of(data)
    for label in (pem.CERTIFICATE, pem.CRL):
        found = _whole(lambda: pem.contents(data, label))  # noqa: B023 - called at once
        if found is not None and not pem.is_der(data):
            assert blocks is not None
            assert found == tuple(block.content for block in blocks)
            assert {block.label for block in blocks} == {label}


def _whole(read: Callable[[], _T]) -> _T | None:
    """What is in a file, None where it is refused."""
    try:
        return read()
    except (ValueError, FormatError):
        return None


def _written(block: pem.Block) -> bytes:
    text = base64.encodebytes(block.content)
    return b"-----BEGIN %s-----\n%s-----END %s-----" % (block.label.encode(), text, block.label.encode())


TARGETS = (
    Target("certificate", certificate, mutator="der"),
    Target("crl", crl, mutator="der"),
    Target("pem", pem_file, dictionary="pem.dict"),
)
