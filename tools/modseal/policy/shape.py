"""What a policy file may say: the closed shape that the reader checks and the JSON Schema is made from.

An unknown key is an error, because a misspelt rule is a rule that does not hold.
"""

from __future__ import annotations

from modseal import limits
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.shape import MAXIMUM_VERSION, Array, Boolean, Integer, Table, Text, TextMap
from modseal.pki.algorithms import ALGORITHMS
from modseal.pki.purpose import MINIMUM_RSA_BITS
from modseal.trust.powers import MEANINGS, Power
from modseal.values import regex

SCHEMA = "modseal/policy@1"
_ESXCLI_NAMES = ("VMwareCertified", "VMwareAccepted", "PartnerSupported", "CommunitySupported")
_LEVEL = Text(choices=(*map(str, sorted(Level, reverse=True)), *_ESXCLI_NAMES), about="An acceptance level.")
_FINGERPRINT_PATTERN = "sha256:[0-9a-f]{64}"
FINGERPRINT = Text(regex(_FINGERPRINT_PATTERN), form="'sha256:' and 64 lower-case hex digits", most=71)
_DENIED = Text(
    regex(rf"(key-)?{_FINGERPRINT_PATTERN}"),
    form="'key-sha256:' (a public key) or 'sha256:' (a certificate) and 64 lower-case hex digits",
    most=75,
)
_FILE = Text(most=4096, about="A file, relative to the policy.")
_LABEL = Text(regex(r"[^\x00-\x1f\x7f]+"), form="printable text", most=200)
_PATTERNS = Array(_LABEL, least=1, about="Shell-style patterns; letter case counts.")
_NAMES = Array(
    # A character that no module name has, such as a letter that only looks like one of a name, would match nothing.
    Text(
        regex(r"([A-Za-z0-9._+*?-]|\[!?[A-Za-z0-9._+-]+\])+"),
        form="a pattern of module names: A-Z a-z 0-9 . _ + - and * ? [...]",
        most=200,
    ),
    least=1,
    about="Shell-style patterns of module names; letter case counts.",
)
_MAY = Table(
    {},
    {
        "paths": Array(
            Text(most=limits.PATH_LENGTH),
            least=1,
            about="Prefixes below which its modules may create anything; absent: anywhere.",
        ),
        **{str(power): Boolean(about=MEANINGS[power]) for power in Power},
    },
    about="What its signers may do; what is absent is as docs/policy.md has it for the anchor's grant.",
)
_ANCHOR = Table(
    {"name": _LABEL, "grants": _LEVEL},
    {
        "certificate": _FILE,
        "fingerprint": FINGERPRINT,
        "accept-expired": Boolean(about="Only with fingerprint: the pin outlives the certificate's validity."),
        "vendors": _PATTERNS,
        "names": _NAMES,
        "may": _MAY,
    },
    about="Whom this policy trusts: a CA certificate, or the fingerprint of an exact signer certificate.",
)
_DATE = regex(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_RULE = regex(r"[a-z0-9]+(-[a-z0-9]+)*")
_ALLOWANCE = Table(
    {
        "rule": Text(_RULE, form="the id of a rule of docs/audits.md", most=limits.NAME_LENGTH),
        "reason": Text(regex(r"[^\x00-\x1f\x7f]+"), form="printable text", most=1000),
        "expires": Text(_DATE, form="a date like 2026-01-31", about="The last day that it counts (UTC)."),
    },
    {
        "sha256": Text(regex(r"[0-9a-f]{64}"), form="64 lower-case hex digits", about="Of one exact bundle."),
        "modules": _NAMES,
    },
    about="A finding of an audit that is known and accepted. No failed check can be.",
)
SHAPE = Table(
    {"schema": Text(choices=(SCHEMA,)), "minimum-level": _LEVEL},
    {
        "allow-unsigned-community": Boolean(about="Accept unsigned modules that claim community and no more."),
        "anchor": Array(_ANCHOR, most=256),
        "unsigned": Table({}, {"may": _MAY}, about="Only with allow-unsigned-community."),
        "intermediates": Array(
            _FILE, about="PEM files with certificates that may stand between a signer and an anchor."
        ),
        "algorithms": Table(
            {},
            {
                "allow": Array(
                    Text(choices=sorted(ALGORITHMS)), least=1, about="Signature algorithms that are accepted."
                ),
                "minimum-rsa-bits": Integer(MINIMUM_RSA_BITS, limits.RSA_BITS),
            },
        ),
        "time": Table(
            {},
            {
                "anchors": Array(
                    _FILE,
                    least=1,
                    most=64,
                    about="PEM files with the root CAs of the timestamp authorities that are trusted.",
                ),
                "require-timestamp": Boolean(about="Refuse a signature whose time is not proven."),
            },
        ),
        "revocation": Table(
            {},
            {
                "crls": Array(_FILE, about="PEM or DER CRLs."),
                "required": Boolean(about="Every issuer below an anchor must have a current CRL."),
                "maximum-age-days": Integer(1, 36500),
                "accept-signed-before-revocation": Boolean(
                    about="A timestamp before the revocation counts, unless its reason says that the key was misused."
                ),
            },
        ),
        "signers": Table(
            {},
            {
                "minimum": Integer(1, limits.SIGNATURE_BLOCKS, about="Distinct trusted signers."),
                "required": Array(Text(most=200), about="Anchor names or signer fingerprints that must have signed."),
            },
        ),
        "deny": Table(
            {},
            {
                "digests": Array(FINGERPRINT, about="SHA-256 of manifest members, payloads or whole files."),
                "signers": Array(_DENIED, about="Public keys, or certificates by their fingerprints."),
                "certificates": Array(_FILE, about="PEM files with certificates whose keys are denied."),
                "names": _NAMES,
            },
        ),
        "versions": TextMap(
            Text(rules.MODULE_NAME, form="a module name", most=limits.NAME_LENGTH),
            Text(rules.VERSION, form="a version", most=limits.NAME_LENGTH),
            about="The lowest accepted version of a module.",
        ),
        "recall": Table(
            {},
            {
                "files": Array(_FILE, least=1, most=limits.RECALLS, about="Recalls (docs/depots.md)."),
                "lowest": TextMap(
                    Text(rules.MODULE_NAME, form="the name of a recall", most=limits.NAME_LENGTH),
                    Integer(1, MAXIMUM_VERSION),
                    about="The lowest version of a recall that counts.",
                ),
            },
        ),
        "attachments": Table({}, {"required": Array(Text(most=200), about="Names or media types.")}),
        "paths": Table(
            {},
            {
                "community": Array(
                    Text(most=limits.PATH_LENGTH),
                    least=1,
                    about="Prefixes that all that a community module creates is under.",
                ),
                "list": Text(choices=("esxi-5", "esxi-8"), about="A built-in list of such prefixes."),
            },
        ),
        "allow": Array(_ALLOWANCE, most=limits.ITEMS),
    },
)

PATH_LISTS: dict[str, tuple[str, ...]] = {
    "esxi-5": (
        "etc/vmware/shutdown/shutdown/",
        "etc/vmware/pciid/",
        "etc/vmware/vm-support/",
        "etc/vmware/firewall/",
        "etc/vmware/service/",
        "etc/cim/openwsman/",
        "opt/",
        "usr/lib/cim/",
        "usr/lib/pycim/",
        "usr/lib/hostprofiles/plugins/",
        "usr/lib/vmware/",
        "usr/lib/vmware-debug/",
        "var/lib/sfcb/registration/",
        "etc/vmware/driver.map.d/",
        "usr/share/hwdata/driver.pciids.d/",
    ),
}
PATH_LISTS["esxi-8"] = (*PATH_LISTS["esxi-5"], "etc/init.d/")
"""Where a community VIB may install, by host version: data, because it changes with the host. docs/vib.md, section 6,
has the source of each entry, and says what is not known."""
