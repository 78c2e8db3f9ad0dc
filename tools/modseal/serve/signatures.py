"""Signs what is sent to an address, and says whom it may go to: by keys that are read while that is still allowed."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from modseal import limits
from modseal.errors import KeyMaterialError
from modseal.files.small import read_small
from modseal.serve.spec import Webhook


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """An address, the key that signs for it, and the TLS that it must speak: with a certificate of its CA alone."""

    url: str
    key: Ed25519PrivateKey
    tls: ssl.SSLContext


def load(hook: Webhook) -> WebhookKeys:
    """Raises `KeyMaterialError`, `InputError`."""
    data, ca = (read_small(path, limits.POLICY_FILE_SIZE).data for path in (hook.key, hook.ca))
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:  # a TypeError where a passphrase is needed
        raise KeyMaterialError(f"{hook.key}: {error}").because("serve-webhook") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyMaterialError(f"{hook.key}: the key is none for Ed25519").because("serve-webhook")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        tls.load_verify_locations(cadata=ca.decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise KeyMaterialError(f"{hook.ca}: {error}").because("serve-webhook") from None
    return WebhookKeys(hook.url, key, tls)


def signed(key: Ed25519PrivateKey, identity: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks (standardwebhooks.com, version 1): Ed25519 over identity, time and body."""
    seconds = str(int(at.timestamp()))
    signature = key.sign(f"{identity}.{seconds}.".encode() + body)
    return {
        "webhook-id": identity,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
    }
