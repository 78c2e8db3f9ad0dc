"""Fetching timestamps, against a real authority on the loopback interface, and adding them to blocks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.bundles import make
from builders.cms import Block, Signer, octets, sequence
from builders.pki import Identity, ca, signer
from builders.tsa import OPENSSL, OpensslTsa, authority, serving, stamped, token, tsa, tsa_root
from modseal import limits
from modseal.errors import FormatError, UndecidedError, UsageError
from modseal.format import cms, der
from modseal.format import timestamp as token_format
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import block
from modseal.signing import tsa as client
from modseal.trust import timestamp

SIGNATURE = b"signature bytes"
needs_openssl = pytest.mark.skipif(not OPENSSL, reason="no openssl")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OpensslTsa]:
    with serving(OpensslTsa(tmp_path / "tsa", tsa())) as running:
        yield running


def asking(*urls: str, anchors: tuple[Identity, ...] = (), **changes: Any) -> client.Authorities:
    """Authorities with short waits."""
    return client.Authorities(urls, tuple(each.parsed for each in anchors), **{"timeout": 5.0, "pause": 0.0, **changes})


def refusal(authorities: client.Authorities) -> str:
    with pytest.raises(UndecidedError) as caught:
        authorities.stamp(SIGNATURE)
    assert caught.value.failure.code == "tsa-failed"
    assert caught.value.exit_code == 3
    return caught.value.failure.detail


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


@needs_openssl
@pytest.mark.parametrize("anchors", [(), (tsa_root(),)], ids=["no anchor", "anchor"])
def test_a_real_authority_gives_a_token_over_the_signature(server: OpensslTsa, anchors: tuple[Identity, ...]) -> None:
    made = asking(server.url, anchors=anchors).stamp(SIGNATURE)
    assert timestamp.verify_consistent(made, SIGNATURE).authority == tsa().parsed
    assert server.requests == 1


@needs_openssl
def test_an_authority_with_an_rsa_key_and_an_intermediate_verifies(tmp_path: Path) -> None:
    between = ca("TSA intermediate", issuer=tsa_root())
    below = authority("Lower TSA", issuer=between)
    lower = OpensslTsa(tmp_path / "lower", below)
    with (lower.folder / "tsa.cnf").open("a") as config:
        config.write(f"certs = {lower.folder}/chain.pem\n")
    (lower.folder / "chain.pem").write_bytes(between.pem)
    with serving(lower):
        asking(lower.url, anchors=(tsa_root(),)).stamp(SIGNATURE)


@needs_openssl
def test_a_token_that_does_not_lead_to_the_anchor_is_not_taken(server: OpensslTsa) -> None:
    assert "no chain leads from" in refusal(asking(server.url, anchors=(tsa_root(1),), rounds=1))


@needs_openssl
def test_the_next_authority_is_asked_where_one_fails(server: OpensslTsa) -> None:
    asking(closed_port(), server.url).stamp(SIGNATURE)
    assert server.requests == 1


@needs_openssl
def test_a_list_of_failing_authorities_is_gone_through_again(server: OpensslTsa) -> None:
    good = server.answer
    server.answer = lambda data: good(data) if server.requests > 1 else b""
    asking(server.url).stamp(SIGNATURE)
    assert server.requests == 2


def test_every_authority_that_failed_is_named() -> None:
    first, second = closed_port(), closed_port()
    detail = refusal(asking(first, second))
    assert first in detail
    assert second in detail


def test_why_no_connection_was_made_is_said_in_words() -> None:
    url = closed_port()
    assert refusal(asking(url, rounds=1)).endswith(f"{url}: Connection refused")


def another_token(_: bytes) -> bytes:
    return sequence(sequence(der.encode_integer(0)), token(SIGNATURE))


GRANTED = sequence(der.encode_integer(0))
ANSWERS = {
    "a refusal": (lambda _: sequence(sequence(der.encode_integer(2))), "refused the request with status 2"),
    "granted with changes": (lambda data: data.replace(GRANTED, GRANTED[:-1] + b"\x01", 1), "status 1"),
    "no answer": (lambda _: b"", "is not a timestamp response"),
    "a web page": (lambda _: b"<html>proxy</html>", "is not a timestamp response"),
    "an endless answer": (lambda _: bytes(limits.TIMESTAMP_SIZE + 1), "over"),
    "a damaged token": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "does not verify"),
    "a token of an earlier request": (another_token, "nonce"),
}


@needs_openssl
@pytest.mark.parametrize("case", ANSWERS)
def test_a_wrong_answer_is_not_taken(server: OpensslTsa, case: str) -> None:
    server.answer, expected = ANSWERS[case]
    assert expected in refusal(asking(server.url, rounds=1))


@needs_openssl
def test_an_error_of_the_server_is_told(server: OpensslTsa) -> None:
    server.status = 500
    assert "500" in refusal(asking(server.url, rounds=1))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://tsa.example/",
        "file:///etc/passwd",
        "tsa.example",
        "http://",
        "http://[::1",
        "http://a:99999/",
        "http://user:secret@tsa.example/",
    ],
)
def test_an_address_that_is_not_plain_http_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        client.Authorities((url,))
    assert "secret" not in str(caught.value)


def test_an_authority_whose_clock_is_far_off_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_url: str, request: bytes, _timeout: float) -> bytes:
        return another_token(request)

    monkeypatch.setattr(client, "_post", answer)
    monkeypatch.setattr(client, "build_request", lambda _: _Request())
    assert "is far from this machine's" in refusal(asking("http://tsa.example/", rounds=1))


class _Request:
    nonce = 99

    def as_bytes(self) -> bytes:
        return b""


# Blocks.

MANIFEST = make().manifest_bytes


def test_a_token_is_added_and_nothing_else_changes() -> None:
    before = stamped(MANIFEST, signer())
    (info,) = cms.decode(before).signers
    made = token(info.signature)
    after = block.add_timestamp(before, info.signature, made)
    (changed,) = cms.decode(after).signers
    assert changed.timestamps == (made,)
    assert changed.signed_attributes == info.signed_attributes
    assert changed.signature == info.signature
    assert cms.decode(after).certificates == cms.decode(before).certificates
    assert after == stamped_with(before, made)


def stamped_with(before: bytes, made: bytes) -> bytes:
    """The same block as `complete` would have made it: found by growing it by exactly one attribute."""
    attribute = sequence(der.encode_oid(cms.TIMESTAMP_TOKEN), der.encode(der.SET, made))
    outer = der.Reader(before).enter()
    oid, body = outer.next().raw, outer.enter(der.context(0)).enter()
    parts = [value.raw for value in der.elements(body, sorted_set=False)]
    (info,) = der.elements(der.Reader(parts[-1]).enter(der.SET))
    grown = sequence(info.content, der.encode(der.context(1), attribute))
    return sequence(oid, der.encode(der.context(0), sequence(*parts[:-1], der.encode(der.SET, grown))))


def test_adding_later_gives_the_block_that_signing_with_a_timestamp_gives() -> None:
    prepared = block.prepare(MANIFEST, signer().certificate, (), ALGORITHMS["ecdsa-p256-sha256"], None)
    signature = signer().signer().sign(prepared.algorithm, prepared.to_be_signed)
    made = token(signature)
    later = block.add_timestamp(block.complete(prepared, signature), signature, made)
    assert later == block.complete(prepared, signature, made)


def test_a_second_token_joins_the_first_and_other_attributes_stay() -> None:
    other = ("1.2.3.4", [octets(b"other")])
    before = Block([Signer(signer(), unsigned=[other])]).encode(MANIFEST)
    (info,) = cms.decode(before).signers
    first, second = token(info.signature), token(info.signature, accuracy=sequence(der.encode_integer(1)))
    after = block.add_timestamp(block.add_timestamp(before, info.signature, first), info.signature, second)
    assert set(cms.decode(after).signers[0].timestamps) == {first, second}
    assert octets(b"other") in after


def test_only_the_signer_that_made_the_signature_gets_the_token() -> None:
    before = Block([Signer(signer()), Signer(signer("rsa"))]).encode(MANIFEST)
    chosen = cms.decode(before).signers[0].signature
    after = cms.decode(block.add_timestamp(before, chosen, token(chosen)))
    assert {info.signature: len(info.timestamps) for info in after.signers}[chosen] == 1
    assert sum(len(info.timestamps) for info in after.signers) == 1


OTHERS = {"empty": b"", "no block": b"\x30\x00", "another signer": stamped(MANIFEST, signer())}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_a_block_without_that_signer_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        block.add_timestamp(data, b"no such signature", token(b""))
    assert caught.value.failure.code == "malformed-signature"


def test_the_request_is_over_sha256_of_the_signature_with_a_fresh_nonce() -> None:
    first, second = client.build_request(SIGNATURE), client.build_request(SIGNATURE)
    assert first.nonce != second.nonce
    assert first.cert_req
    made = token_format.decode(token(SIGNATURE))
    assert first.message_imprint.message == made.imprint
