"""Keys in AWS KMS for modseal: `awskms:KEY`, where KEY is a key's id, its ARN or `alias/NAME`.

Who may use the key, and in which region, is what boto3 finds: the environment, ~/.aws, the machine's
role. The region of an ARN goes before that. KMS keeps keys and no certificates; modseal takes the
certificate from --cert.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.serialization import load_der_public_key

from modseal.errors import KeyMaterialError, UsageError
from modseal.pki.algorithms import SignatureAlgorithm

_ALGORITHMS = {"rsa-pkcs1": "RSASSA_PKCS1_V1_5_SHA_{}", "rsa-pss": "RSASSA_PSS_SHA_{}", "ecdsa": "ECDSA_SHA_{}"}
"""KMS's names of the signature algorithms, by modseal's families. Its PSS salt is as long as the digest."""
_LONGEST_MESSAGE = 4096
"""Bytes that KMS hashes itself; of what is longer, it signs the digest."""


@dataclass(frozen=True)
class KmsKey:
    """A key in KMS; what modseal asks of it is `modseal.signing.plugins.Key`."""

    public_key: Any
    _client: Any = field(repr=False)
    _id: str
    certificate: None = None
    chain: tuple[()] = ()

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """The signature over `data`, already as CMS has it."""
        if algorithm.family not in _ALGORITHMS:
            raise KeyMaterialError(f"KMS cannot sign with {algorithm.name}")
        name = _ALGORITHMS[algorithm.family].format(algorithm.digest_name.removeprefix("sha"))
        short = len(data) <= _LONGEST_MESSAGE
        message = data if short else hashlib.new(algorithm.digest_name, data).digest()
        kind = "RAW" if short else "DIGEST"
        with _errors():
            answer = self._client.sign(KeyId=self._id, Message=message, MessageType=kind, SigningAlgorithm=name)
        return bytes(answer["Signature"])


def open_key(reference: str) -> KmsKey:
    """The entry point: the key that `awskms:KEY` names."""
    identifier = reference.partition(":")[2]
    if not identifier:
        raise UsageError("awskms: names no key; give awskms:alias/NAME, a key's id or its ARN")
    with _errors():
        client = boto3.client("kms", region_name=_region(identifier))
        public = load_der_public_key(client.get_public_key(KeyId=identifier)["PublicKey"])
    return KmsKey(public, client, identifier)


def _region(identifier: str) -> str | None:
    """The region of `arn:aws:kms:REGION:ACCOUNT:key/ID`; None leaves it to boto3."""
    return identifier.split(":")[3] if identifier.count(":") >= 5 else None


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """KMS's own code for a failure (`NotFoundException`, `AccessDeniedException`) is what helps, and no secret."""
    try:
        yield
    except ClientError as error:
        raise KeyMaterialError(f"KMS refuses: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise KeyMaterialError(f"KMS cannot be used: {type(error).__name__}") from None
