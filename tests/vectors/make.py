#!/usr/bin/env python3
"""Makes the test vectors of this folder: `make vectors` writes the same bytes every time.

Keys come from fixed seeds, and all signatures are deterministic (Ed25519, ECDSA by RFC 6979, RSA PKCS #1). Payloads
are stored, not compressed, so that no library's way of compressing is in the bytes. docs/format.md says how a second
implementation uses them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parents[1] / "tools")]

from vectors import container_cases, manifest_cases, payload_cases, policies, trust_cases  # noqa: E402
from vectors.material import Vector  # noqa: E402

SCHEMA = "modseal/vectors@1"


def vectors() -> list[Vector]:
    """All vectors, in the order of the steps."""
    return [
        *container_cases.accepted(),
        *container_cases.container(),
        *manifest_cases.manifests(),
        *trust_cases.signatures(),
        *trust_cases.times(),
        *trust_cases.chains(),
        *trust_cases.revocations(),
        *trust_cases.levels(),
        *payload_cases.payloads(),
        *payload_cases.zstd(),
        *payload_cases.files(),
        *trust_cases.restrictions(),
    ]


def outputs() -> Mapping[str, bytes]:
    """Every file of the folder that is made, by its name."""
    made = vectors()
    out = {f"policies/{name}": data for name, data in policies.FILES.items()}
    out |= {f"policies/{name}.toml": text.encode() for name, text in policies.POLICIES.items()}
    out |= {one.entry["bundle"]: one.data for one in made}
    index = {
        "schema": SCHEMA,
        "provenance": "Made by tests/vectors/make.py from fixed seeds; nothing is taken from elsewhere.",
        "vectors": [one.entry for one in made],
    }
    return out | {"index.json": (json.dumps(index, indent=1) + "\n").encode()}


def main() -> None:
    """Write all files, and remove what is made no more."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    made = outputs()
    for old in (path for name in ("bundles", "policies") for path in (FOLDER / name).glob("*")):
        if str(old.relative_to(FOLDER)) not in made:
            old.unlink()
    for name, data in made.items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    print(f"{len(made)} files, {sum(map(len, made.values()))} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
