"""Signs statements that are not bundles: the index of a depot, and recalls."""

from __future__ import annotations

from datetime import datetime

from modseal.errors import RefusedError, UsageError
from modseal.format import cms
from modseal.format.times import time_text
from modseal.signing import block, fitness
from modseal.signing.signer import Signer
from modseal.signing.tsa import Stamp
from modseal.trust.signature import verify_member


def add_block(
    content: bytes,
    member: bytes,
    signer: Signer,
    at: datetime,
    signing_time: datetime,
    algorithm: str | None = None,
    stamp: Stamp | None = None,
) -> bytes:
    """A signature member with one block more, by `signer` over `content`, once the verifier has read it back.

    `at` is the time that the certificate must be valid at; `signing_time` is what the block says. Raises `RefusedError`
    (an unfit certificate, or a block that is there already does not verify), `UsageError` (it has signed already).
    """
    fitness.check_certificate(signer.certificate, signer.chain, at)
    mine = fitness.parse(signer.certificate)
    if any(other.certificate == mine for other in verify_member(member, content).signers):
        raise UsageError(f"{mine.subject} has signed already")
    row = fitness.choose_algorithm(signer.certificate, algorithm)
    new = block.build(content, signer, row, time_text(signing_time), stamp)
    result = member + cms.join_blocks((new,))
    for problem in verify_member(result, content).failures:
        if problem.code != "unsupported-algorithm":
            raise RefusedError(problem.code, problem.detail, **problem.evidence)
    return result
