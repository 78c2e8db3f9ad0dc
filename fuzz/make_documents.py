"""The module specs and policies that `make_seeds.py` writes."""

from __future__ import annotations

POLICY = """schema = "modseal/policy@1"
minimum-level = "community"
allow-unsigned-community = true
intermediates = ["intermediate.pem"]

[[anchor]]
name = "Root"
certificate = "root.pem"
grants = "partner"
vendors = ["Acme", "A*"]

[time]
anchors = ["tsa-root.pem"]

[revocation]
crls = ["root.crl"]
maximum-age-days = 20000

[deny]
names = ["evil-*"]

[versions]
acme-agent = "1.0"

[paths]
community = ["opt/"]
"""
MORE_POLICY = """
[[anchor]]
name = "Pin"
fingerprint = "sha256:%s"
grants = "VMwareCertified"
accept-expired = true
names = ["acme-?"]

[algorithms]
allow = ["rsa-pkcs1-sha256", "ecdsa-p256-sha256"]
minimum-rsa-bits = 3072

[signers]
minimum = 2
required = ["Pin"]

[attachments]
required = ["sbom.json"]
"""
LEAST_SPEC = """schema = "modseal/module@1"
vendor = "Acme"
name = "hello"
version = "1.0.0-1"
"""
MORE_SPEC = """level = "PartnerSupported"
summary = "Says hello"
released = 2026-01-31T13:00:00+01:00
depends = [{name = "libc", relation = ">=", version = "2.0"}]
provides = [{name = "greeting", version = "3"}]

[[payload]]
name = "base"
root = "files"
prefix = "opt/hello/"
type = "tar+gzip"
exclude = ["*.o"]

[[file]]
path = "opt/hello/secret"
mode = "0600"
source = "../secret"

[[attachment]]
name = "sbom.json"
file = "sbom.json"
media-type = "application/json"

[vib]
type = "locker"
tags = ["driver"]
platforms = [{version = "8.*", locale = "en"}]
urls = {kb = "https://example.test/kb"}
"""
