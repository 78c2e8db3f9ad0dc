"""The fuzz targets by name. They need nothing but modseal, so that the tests run them too."""

from __future__ import annotations

from targets import archives, certificates, depots, documents, manifests, payloads, signatures
from targets.base import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (archives, manifests, signatures, certificates, payloads, documents, depots)
    for target in module.TARGETS
}
