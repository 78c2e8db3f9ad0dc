"""The policies of the vectors, and the files that they name."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from cryptography import x509

from builders import crls, recalls
from builders.pki import Identity
from modseal.format import recall as recall_format
from vectors.keys import AT, ISSUING, OTHER_ROOT, ROOT, SECOND, SIGNER, STRANGER, TSA_ROOT

TRUSTING = """\
schema = "modseal/policy@1"
minimum-level = "community"

[[anchor]]
name = "Vector root"
certificate = "root.pem"
grants = "certified"
"""


def recall(*by: Identity, **changes: Any) -> bytes:
    """A recall of the module that most vectors are."""
    return recall_format.encode(recalls.make(by=by, **changes))


FILES: dict[str, bytes] = {
    "root.pem": ROOT.pem,
    "root2.pem": OTHER_ROOT.pem,
    "tsa-root.pem": TSA_ROOT.pem,
    "empty.crl": crls.make(ROOT),
    "revoked.crl": crls.make(ROOT, SIGNER),
    "stale.crl": crls.make(ROOT, end=AT - timedelta(days=1)),
    "early.crl": crls.make(ROOT, start=AT + timedelta(days=1)),
    "other.crl": crls.make(OTHER_ROOT, extensions=crls.key_id(OTHER_ROOT)),
    "forged.crl": crls.make(ISSUING, key=OTHER_ROOT.key, extensions=crls.key_id(ISSUING)),
    "delta.crl": crls.make(ROOT, extensions=[(x509.DeltaCRLIndicator(1), True)]),
    "good.recall": recall(SIGNER),
    "old.recall": recall(SIGNER, expires=AT),
    "strange.recall": recall(STRANGER),
}
"""What the policies name, beside them."""


def crl(*names: str) -> str:
    return f"{TRUSTING}\n[revocation]\ncrls = {json.dumps(names)}\nrequired = true\n"


POLICIES: dict[str, str] = {
    "trusting": TRUSTING,
    "other-root": TRUSTING.replace("root.pem", "root2.pem"),
    "partner": TRUSTING.replace('"certified"', '"partner"'),
    "accepted-only": TRUSTING.replace('"community"', '"accepted"'),
    "unsigned": 'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n',
    "pin": 'schema = "modseal/policy@1"\nminimum-level = "partner"\n\n[[anchor]]\nname = "pin"\n'
    f'fingerprint = "sha256:{STRANGER.fingerprint}"\ngrants = "partner"\n',
    "vendors": TRUSTING + 'vendors = ["Other*"]\n',
    "names": TRUSTING + 'names = ["other-*"]\n',
    "two-signers": TRUSTING + "\n[signers]\nminimum = 2\n",
    "required-signer": f'{TRUSTING}\n[signers]\nrequired = ["sha256:{SECOND.fingerprint}"]\n',
    "no-ed25519": TRUSTING + '\n[algorithms]\nallow = ["ecdsa-p256-sha256", "rsa-pkcs1-sha256"]\n',
    "long-rsa": TRUSTING + "\n[algorithms]\nminimum-rsa-bits = 4096\n",
    "timestamps": TRUSTING + '\n[time]\nanchors = ["tsa-root.pem"]\n',
    "timestamp-required": TRUSTING + '\n[time]\nanchors = ["tsa-root.pem"]\nrequire-timestamp = true\n',
    "crl-none": TRUSTING + "\n[revocation]\nrequired = true\n",
    **{f"crl-{name}": crl(f"{name}.crl") for name in ("empty", "revoked", "stale", "early", "other", "delta")},
    "crl-forged": crl("empty.crl", "forged.crl"),
    "deny-name": TRUSTING + '\n[deny]\nnames = ["acme-*"]\n',
    "floor": TRUSTING + '\n[versions]\nacme-agent = "1.2.3-10"\n',
    **{f"recall-{name}": f'{TRUSTING}\n[recall]\nfiles = ["{name}.recall"]\n' for name in ("good", "old", "strange")},
    "recall-lowest": f'{TRUSTING}\n[recall]\nfiles = ["good.recall"]\n\n[recall.lowest]\nacme-recalls = 2\n',
    "attachment": TRUSTING + '\n[attachments]\nrequired = ["application/spdx+json"]\n',
    "powerless": TRUSTING.replace('"certified"', '"community"'),
    "community-paths": TRUSTING + '\n[paths]\ncommunity = ["opt/other/"]\n',
}
