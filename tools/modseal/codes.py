"""The published codes: every reason that modseal can give, with the one next step for its reader.

Codes are frozen once released: scripts branch on them. One that is not raised any more stays in the table as retired.
Steps are those of `trust.examine`; `None` is for failures outside an examination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeGuard

from modseal import causes
from modseal.values import dataclass

CodeName = Literal[
    # step 0: container
    "not-a-bundle", "malformed-archive", "truncated", "trailing-bytes", "duplicate-member", "unknown-member",
    "missing-member", "member-order", "limit-exceeded",
    # step 1: signature
    "unsigned", "malformed-signature", "no-signers", "content-digest-mismatch", "bad-signature",
    "signer-certificate-missing", "unsupported-algorithm", "algorithm-mismatch", "unsupported-descriptor",
    "bad-manifest",
    # step 2: time
    "untrusted-time", "bad-timestamp",
    # step 3: chain
    "no-path", "no-anchors", "expired", "not-yet-valid", "invalid-chain", "unsupported-extension",
    "malformed-certificate",
    # step 4: purpose
    "wrong-purpose", "weak-key", "algorithm-not-allowed",
    # step 5: revocation
    "revoked", "revocation-unknown", "crl-stale", "crl-invalid", "crl-not-yet-valid", "crl-wrong-issuer",
    "crl-bad-signature",
    # step 6: level
    "level-not-granted", "level-below-minimum", "unsigned-not-allowed", "vendor-out-of-scope", "name-out-of-scope",
    "too-few-signers", "required-signer-missing", "expected-signer-missing",
    # step 7: payloads
    "payload-size-mismatch", "payload-digest-mismatch", "payload-undeclared", "payload-missing", "weak-digest",
    "bad-payload", "unpacked-size-mismatch", "not-unpacked", "attachment-mismatch", "unsupported-payload",
    "payload-absent",
    # step 8: files
    "bad-listing", "file-undeclared", "file-missing", "file-mismatch", "unsafe-path", "unsafe-type", "unsafe-mode",
    "unsafe-link", "path-not-allowed", "power-not-granted",
    # step 9: restrictions
    "denied", "version-below-floor", "attachment-missing", "version-unparsable",
    "recalled", "recall-rollback", "recall-expired", "recall-not-trusted",
    # outside an examination
    "usage", "bad-spec", "bad-policy", "bad-key", "tsa-failed", "unfit-certificate", "unfit-signature", "not-issued",
    "internal-error", "deadline-exceeded", "worker-lost", "bad-attestation", "cluster-failed", "io-error",
    "attestation-invalid", "attestation-unexpected", "update-invalid", "update-failed",
    # trust bundles and the store that they are installed in
    "trust-bundle-invalid", "trust-bundle-threshold", "trust-bundle-rollback", "trust-bundle-conflict",
    "trust-bundle-gap", "trust-bundle-expired", "clock-set-back", "trust-store-invalid",
    # depots
    "bad-metadata", "metadata-mismatch", "metadata-order", "bundle-missing", "bundle-unlisted", "index-vendor-mismatch",
    "bundle-conflict", "bundle-digest-mismatch", "index-invalid", "depot-rollback", "depot-conflict", "depot-threshold",
    "depot-expired", "depot-name-mismatch", "depot-state-invalid", "recall-invalid",
    # hosts: what a change is refused for
    "host-invalid", "not-installed", "level-below-host", "level-in-use", "dependency-missing", "module-needed",
    "module-conflicts", "module-of-another-vendor", "version-downgraded", "version-changed", "path-owned",
    "path-not-mergeable", "no-generation", "no-set", "set-unknown",
    # hosts: who may ask for what from outside
    "role-missing", "role-too-low", "unknown-item", "upload-too-large",
    # hosts that are managed from elsewhere: why there is no answer
    "host-unreachable", "host-reply-invalid", "host-denied",
    # hosts: what an image's owner alone may change
    "owner-decides",
    # hosts: what no image may have
    "writable-code",
    # hosts: lockdown, and what ends it
    "host-locked-down", "lockdown-incomplete", "break-glass-invalid", "break-glass-other-host", "break-glass-used",
    "break-glass-early", "break-glass-expired", "break-glass-threshold",
    # sets of modules: why a bundle cannot be in one
    "platform-mismatch", "content-differs", "list-invalid",
    # image profiles
    "profile-invalid", "profile-mismatch", "profile-module-missing", "profile-module-changed", "level-below-profile",
    # hosts: what is found of an installed image, and of the event log
    "installed-changed", "installed-missing", "installed-extra", "installed-type", "installed-mode", "installed-owner",
    "installed-link", "installed-attribute", "installed-twin", "installed-flag", "installed-shared", "installed-mount",
    "generation-lost",
    "index-damaged",
    "log-broken",
    # hosts: why the guard denies
    "guard-impossible", "content-not-installed", "rights-not-installed", "interpreter-direct", "content-writable",
    "content-unreadable", "guard-late",
]  # fmt: skip
"""Every code, so that a type checker finds a misspelt one; a test holds it against the table."""


SeverityName = Literal["info", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Code:
    """All that is known of a code: what it means, where it arises, and what its reader can safely do next.

    `undecided` says that modseal cannot judge, not that something is bad. `severity` is that of an audit's finding, and
    `depot_rule` the audit rule that reports it of a depot, where that has another name than the code. `policy_key` is
    the key of the policy that decides it (of an anchor after `anchor.`). `of_authority` says that behind a bad
    timestamp it is a fault of the authority, which only a new timestamp cures. `retired` is why it is no longer raised.
    """

    step: int | None
    meaning: str
    next_step: str
    undecided: bool = False
    severity: SeverityName = "high"
    policy_key: str = ""
    depot_rule: str = ""
    of_authority: bool = False
    retired: str = ""


_FRESH = "Get the bundle again from its vendor and compare its SHA-256 with the published one."
_ASK = "Ask the vendor for a correctly built bundle; a correct packager does not write this."
_BUILD = "Build the module again with `modseal pack` and sign it again."
_SIGNER = "Ask the vendor which certificate signs this module, and add that anchor only if you trust it for this level."

CODES: Final[Mapping[CodeName, Code]] = {
    # step 0: container
    "not-a-bundle": Code(
        0,
        "The file is not an ar archive that starts with a manifest.",
        "Check that this is the right file, and complete.",
    ),
    "malformed-archive": Code(0, "A member header or the padding is not in an accepted form.", _FRESH),
    "truncated": Code(0, "The file ends before its content does.", _FRESH),
    "trailing-bytes": Code(0, "Bytes follow the end of the content.", _FRESH),
    "duplicate-member": Code(0, "Two members have the same name.", _FRESH),
    "unknown-member": Code(
        0, "The archive has a member that the manifest does not declare.", _FRESH, depot_rule="depot-file-unlisted"
    ),
    "missing-member": Code(0, "The manifest declares a member that the archive does not have.", _FRESH),
    "member-order": Code(0, "The members are not in the order of the format.", _FRESH),
    "limit-exceeded": Code(
        0,
        "Something is larger than its published limit.",
        "See `modseal help limits`; ask the vendor for a smaller module.",
    ),
    # step 1: signature
    "unsigned": Code(1, "The signature member is empty.", "Ask the vendor for the signed bundle."),
    "malformed-signature": Code(1, "A signature block is not strict PEM and DER PKCS7 SignedData.", _FRESH),
    "no-signers": Code(1, "A signature block has no signer.", _FRESH),
    "content-digest-mismatch": Code(1, "The signature was made for another manifest.", _FRESH),
    "bad-signature": Code(1, "The signature does not verify under the signer's key.", _FRESH),
    "signer-certificate-missing": Code(
        1,
        "No certificate in the block or the policy matches the signer.",
        "Ask the vendor for a bundle whose block carries the signer's certificate.",
    ),
    "unsupported-algorithm": Code(
        1,
        "modseal does not implement this signature algorithm.",
        "Update modseal. If it is the newest version, ask the vendor for a signature with a supported algorithm.",
        undecided=True,
    ),
    "algorithm-mismatch": Code(1, "The algorithms named in the block and the key disagree.", _FRESH),
    "unsupported-descriptor": Code(
        1,
        "The descriptor has an element that modseal does not know, so its meaning cannot be judged.",
        "Update modseal. If it is the newest version, report the element that the message names.",
        undecided=True,
    ),
    "bad-manifest": Code(1, "The signed manifest is not well formed.", _BUILD),
    # step 2: time
    "untrusted-time": Code(
        2,
        "The policy requires a proven time of signing. The bundle has none.",
        "Ask the vendor to sign with a timestamp.",
    ),
    "bad-timestamp": Code(2, "A timestamp token does not verify.", _FRESH),
    # step 3: chain
    "no-path": Code(3, "No chain leads from the signer to an anchor of the policy.", _SIGNER),
    "no-anchors": Code(
        3,
        "The policy has no anchors, so it trusts no signer.",
        "Write a policy file with the anchors that you trust (`modseal help policy`).",
    ),
    "expired": Code(
        3,
        "A certificate of the chain has expired.",
        "Ask the vendor for a bundle signed with a current certificate.",
        of_authority=True,
    ),
    "not-yet-valid": Code(
        3,
        "A certificate of the chain is not valid yet.",
        "Check this machine's clock, or the time given with --at.",
        of_authority=True,
    ),
    "invalid-chain": Code(
        3,
        "A chain to an anchor exists but breaks a rule of path validation.",
        "Ask the vendor to have the certificate issued correctly.",
    ),
    "unsupported-extension": Code(
        3,
        "A certificate of the chain has an extension that modseal cannot judge.",
        "Ask the vendor for a signer certificate without that extension.",
    ),
    "malformed-certificate": Code(3, "A certificate cannot be parsed.", _FRESH),
    # step 4: purpose
    "wrong-purpose": Code(
        4,
        "The signer's certificate is not for code signing.",
        "Ask the vendor to sign with a code signing certificate.",
        of_authority=True,
    ),
    "weak-key": Code(
        4,
        "A key is smaller than the policy allows.",
        "Ask the vendor to sign with a stronger key.",
        policy_key="algorithms",
        of_authority=True,
    ),
    "algorithm-not-allowed": Code(
        4,
        "The algorithm is implemented, but the policy does not allow it.",
        "Ask the vendor for a block with an algorithm that the policy allows.",
        policy_key="algorithms",
        of_authority=True,
    ),
    # step 5: revocation
    "revoked": Code(
        5,
        "A certificate of the chain is revoked.",
        "Do not use this bundle; ask the vendor for one with a new signature.",
        of_authority=True,
    ),
    "revocation-unknown": Code(
        5,
        "The policy requires revocation data, and it has none for this issuer.",
        "Fetch the issuer's current CRL and name it in the policy.",
        undecided=True,
    ),
    "crl-stale": Code(
        5,
        "The CRL is past its next update, or older than the policy allows.",
        "Fetch the issuer's current CRL, and replace the old one in the policy with it.",
        undecided=True,
    ),
    "crl-invalid": Code(
        5,
        "The CRL cannot be read, or has content that modseal does not support.",
        "Fetch the issuer's complete CRL, from its own distribution point, and name that one in the policy.",
        undecided=True,
    ),
    "crl-not-yet-valid": Code(
        5,
        "The CRL was issued after the time of verification.",
        "Check this machine's clock, or the time given with --at.",
        undecided=True,
    ),
    "crl-wrong-issuer": Code(
        5,
        "The CRLs are not from the certificate's issuer, or their signer may not sign CRLs.",
        "Fetch the issuer's own CRL, signed by a key that may sign CRLs, and name it in the policy.",
        undecided=True,
    ),
    "crl-bad-signature": Code(
        5,
        "The CRL's signature does not verify under any key of the issuer.",
        "Fetch the issuer's CRL again, from its own distribution point.",
        undecided=True,
    ),
    # step 6: level
    "level-not-granted": Code(
        6, "The manifest claims a higher level than the signer's anchor grants.", _SIGNER, policy_key="anchor.grants"
    ),
    "level-below-minimum": Code(
        6,
        "The proven level is below the policy's minimum.",
        "Ask the vendor for a build that is signed for the level that this host needs.",
        policy_key="minimum-level",
    ),
    "unsigned-not-allowed": Code(
        6,
        "The module is unsigned and the policy does not allow that.",
        "Ask the vendor for the signed bundle.",
        policy_key="allow-unsigned-community",
        retired="an unsigned module that the policy does not allow is `unsigned`.",
    ),
    "vendor-out-of-scope": Code(
        6, "The signer's anchor may not speak for this vendor.", _SIGNER, policy_key="anchor.vendors"
    ),
    "name-out-of-scope": Code(
        6, "The signer's anchor may not speak for this module name.", _SIGNER, policy_key="anchor.names"
    ),
    "too-few-signers": Code(
        6,
        "Fewer distinct trusted signers than the policy requires.",
        "Ask for the missing signature.",
        policy_key="signers.minimum",
    ),
    "required-signer-missing": Code(
        6,
        "A signer that the policy requires has not signed.",
        "Ask for the missing signature.",
        policy_key="signers.required",
    ),
    "expected-signer-missing": Code(
        6,
        "A signer that the manifest expects has not signed.",
        "Get the bundle again from its vendor: a signature that was there is missing.",
    ),
    # step 7: payloads
    "payload-size-mismatch": Code(7, "A payload's size differs from the declared one.", _FRESH),
    "payload-digest-mismatch": Code(7, "A payload's digest differs from the declared one.", _FRESH),
    "payload-undeclared": Code(7, "The archive has a payload that the manifest does not declare.", _FRESH),
    "payload-missing": Code(7, "The manifest declares a payload that the archive does not have.", _FRESH),
    "weak-digest": Code(
        7,
        "A payload has no digest stronger than SHA-1.",
        "Ask the vendor for a build with SHA-256 checksums.",
        depot_rule="metadata-weak-digest",
    ),
    "bad-payload": Code(7, "A payload's compressed data is not well formed.", _ASK),
    "unpacked-size-mismatch": Code(7, "A payload unpacks to another size than the declared one.", _ASK),
    "not-unpacked": Code(
        7,
        "A payload was not unpacked to its end: it is large, and no trusted signer has signed the bundle.",
        "Resolve the failed checks of the signature and its signer first, and verify again.",
        undecided=True,
    ),
    "attachment-mismatch": Code(7, "An attachment differs from its declaration.", _FRESH),
    "unsupported-payload": Code(
        7,
        "modseal cannot read this type of payload.",
        "Update modseal, or ask the vendor for a type that `modseal help vib` lists.",
        undecided=True,
    ),
    "payload-absent": Code(
        7,
        "A payload of an installed module is not among the files that were given.",
        "Give the whole boot bank together with the database, and audit again.",
        undecided=True,
    ),
    # step 8: files
    "bad-listing": Code(8, "A payload's archive of files is not well formed.", _ASK),
    "file-undeclared": Code(8, "A payload has a file that the manifest does not declare.", _ASK),
    "file-missing": Code(8, "The manifest declares a file that no payload has.", _ASK),
    "file-mismatch": Code(8, "A file differs from its declaration.", _ASK),
    "unsafe-path": Code(8, "A path is absolute, leaves the module, collides or has unsafe characters.", _ASK),
    "unsafe-type": Code(8, "An entry is neither a file, a directory nor a symbolic link.", _ASK),
    "unsafe-mode": Code(8, "A mode has bits that are not declared or not allowed.", _ASK),
    "unsafe-link": Code(8, "A link leads out of the module.", _ASK),
    "path-not-allowed": Code(
        8,
        "A community module creates something outside the allowed paths, or a link that leads out of them.",
        "Ask the vendor to install below the allowed paths, or to have the module signed for a higher level.",
    ),
    "power-not-granted": Code(
        8,
        "The module does something that no trusted signer's anchor allows.",
        "Read what the named path does; grant the power in the anchor's `may` only if you trust that signer with it.",
    ),
    # step 9: restrictions
    "denied": Code(
        9,
        "The deny list names this bundle, its signer or its module.",
        "Do not use this bundle; ask the person responsible for the policy why it is denied.",
        policy_key="deny",
    ),
    "version-below-floor": Code(
        9,
        "The version is older than the policy's floor.",
        "Get the current version from the vendor.",
        policy_key="versions",
    ),
    "attachment-missing": Code(
        9,
        "An attachment that the policy requires is missing.",
        "Ask the vendor for a bundle with that attachment.",
        policy_key="attachments",
    ),
    "version-unparsable": Code(
        9,
        "The version cannot be compared with the policy's floor.",
        "Ask the vendor for a version made of digits, letters, dots and one hyphen.",
        undecided=True,
        policy_key="versions",
        retired="every version that a manifest can have can be compared.",
    ),
    "recalled": Code(
        9,
        "A recall withdraws this version of the module.",
        "Do not use this version; use the replacement that the recall names, or ask the vendor for one.",
        policy_key="recall",
    ),
    "recall-rollback": Code(
        9,
        "The recall is older than the lowest version that the policy takes, or than one that was seen already.",
        "Get the newest recall from the person or vendor who publishes it.",
        undecided=True,
        policy_key="recall.lowest",
    ),
    "recall-expired": Code(
        9,
        "The recall is not current.",
        "Get the newest recall from the person or vendor who publishes it, and check this machine's clock.",
        undecided=True,
        policy_key="recall",
    ),
    "recall-not-trusted": Code(
        9,
        "The signer of the recall may not speak for all modules that it names.",
        "Get the recall again from the vendor whose modules it names, and compare its SHA-256 with the published one.",
        undecided=True,
        policy_key="recall",
    ),
    # outside an examination
    "usage": Code(None, "The command line is not valid.", "See --help."),
    "bad-spec": Code(None, "The module spec or stage folder has a problem.", "Correct the named field and pack again."),
    "bad-policy": Code(
        None,
        "The policy cannot be used.",
        "Correct the line or file that is named, then run `modseal policy check`.",
        undecided=True,
    ),
    "bad-key": Code(
        None,
        "The key, passphrase or certificate cannot be used.",
        "Check the key file or token, and its passphrase or PIN.",
        undecided=True,
    ),
    "tsa-failed": Code(
        None,
        "No timestamp authority gave a timestamp that verifies.",
        "Check the address and the network, or sign now and add the timestamp later with `modseal timestamp`.",
        undecided=True,
    ),
    "unfit-certificate": Code(
        None,
        "The certificate would not pass verification, so modseal does not sign with it.",
        "Use a current certificate for code signing that belongs to the key.",
    ),
    "unfit-signature": Code(
        None,
        "A signature made elsewhere does not match the file that was prepared for signing.",
        "Sign the prepared file with the named algorithm and the certificate's key, or prepare the bundle again.",
    ),
    "not-issued": Code(
        None,
        "The CA refuses to issue this certificate or to record this revocation.",
        "Correct what the message names: the request, the key or the days.",
    ),
    "internal-error": Code(
        None,
        "The bundle could not be examined because of a bug in modseal.",
        "Report the bug with the exception, place and versions in the message. Do not install the bundle until then.",
        undecided=True,
    ),
    "deadline-exceeded": Code(
        None,
        "Examining a bundle took longer than `--deadline` allows, and was ended.",
        "Examine it alone with `modseal verify`, or give it more time with `--deadline`; until then do not install it.",
    ),
    "worker-lost": Code(
        None,
        "The process that examined the bundle ended without a result.",
        "Run `modseal verify` on this bundle only; if that also ends early, report the bug.",
        undecided=True,
    ),
    "bad-attestation": Code(
        None,
        "The attestation cannot be read, is not signed by this certificate, or is about another report.",
        "Get the report and its attestation again from the people who made the audit, or run the audit yourself.",
    ),
    "cluster-failed": Code(
        None,
        "The Dask cluster cannot be reached, or cannot run this audit.",
        "Check its address. Its scheduler and workers must run the same modseal and Python versions as this machine.",
        undecided=True,
    ),
    "io-error": Code(
        None, "A file cannot be read or written.", "Check the path, its permissions and the free space.", undecided=True
    ),
    "attestation-invalid": Code(
        None,
        "What a host says of itself is not proved by the quote of a known TPM.",
        "Ask the host again, with a new nonce. If it is the same then, take the host from the network and look at it.",
    ),
    "attestation-unexpected": Code(
        None,
        "A host has proved that it runs something else than what is expected.",
        "Compare what it runs with the image and the generation that it should have; restart it from those.",
    ),
    "update-invalid": Code(
        None,
        "What was sent to a host is not what its owner has signed, or is not for this host or for what it runs now.",
        "Compare the state that the host shows with the one that it is for; build it again, and send it again.",
    ),
    "update-failed": Code(
        None,
        "A host has tried an update that did not run well, and runs what it ran before.",
        "Read the host's log of that start; correct the image or the module, and send an update with a new version or "
        "generation.",
    ),
    # trust bundles and the store that they are installed in
    "trust-bundle-invalid": Code(
        None,
        "The trust bundle is not well formed, or a file in it is not what it declares.",
        "Get the trust bundle again from the person responsible for the policy.",
    ),
    "trust-bundle-threshold": Code(
        None,
        "Too few root signers have signed the trust bundle.",
        "Have the missing root signers sign it with `modseal policy endorse`, and install it again.",
    ),
    "trust-bundle-rollback": Code(
        None,
        "The trust bundle is older than the installed one.",
        "Get the newest trust bundle from the person responsible for the policy.",
    ),
    "trust-bundle-conflict": Code(
        None,
        "Two different trust bundles have the same version.",
        "Use neither; ask the person responsible for the policy which one is theirs, and for a new version.",
    ),
    "trust-bundle-gap": Code(
        None,
        "Versions between the installed trust bundle and this one are missing.",
        "Pass the missing versions too, in the same call.",
    ),
    "trust-bundle-expired": Code(
        None,
        "The trust bundle is past its expiry.",
        "Get the newest trust bundle from the person responsible for the policy; run `modseal policy update`.",
    ),
    "clock-set-back": Code(
        None, "The clock shows an earlier time than it did before.", "Set this machine's clock right.", undecided=True
    ),
    "trust-store-invalid": Code(
        None,
        "The trust store is missing, damaged, or writable by others.",
        "Check its owner and permissions; if it is damaged, install the newest trust bundle into a new store.",
        undecided=True,
    ),
    # depots
    "bad-metadata": Code(
        None,
        "A document of the depot's metadata is not well formed.",
        "Get the depot again from its vendor and compare its SHA-256 with the published one.",
    ),
    "metadata-mismatch": Code(
        None,
        "The depot's metadata differs from the bundle that it lists, or contradicts itself.",
        "Trust only the bundle's own signed manifest. Get the depot again from its vendor before you install from it.",
    ),
    "metadata-order": Code(
        None,
        "The depot's metadata lists the same items as the bundle, in another order.",
        "You do not need to do anything: the order has no meaning.",
        severity="info",
    ),
    "bundle-missing": Code(
        None,
        "The depot's metadata lists a bundle that the depot does not have.",
        "Get the whole depot again from its vendor.",
        severity="medium",
    ),
    "bundle-unlisted": Code(
        None,
        "The depot has a bundle that its metadata does not list.",
        "Ask the vendor of the depot whether the bundle belongs to it.",
        severity="medium",
    ),
    "index-vendor-mismatch": Code(
        None,
        "The depot's index is of another vendor than its bundles.",
        "Get the depot again from the vendor whose bundles it has.",
    ),
    "bundle-conflict": Code(
        None,
        "Two bundles have the same vendor, name and version, and different content.",
        "Ask the vendor which of the two digests is theirs; each content needs a version of its own.",
    ),
    "bundle-digest-mismatch": Code(
        None,
        "A file of the depot is not the one that its signed index lists.",
        "Get the depot again from its publisher; do not use this file.",
        depot_rule="depot-swapped",
    ),
    "index-invalid": Code(
        None,
        "The depot's index is missing, not well formed, or contradicts itself.",
        "Get the depot again from its publisher.",
    ),
    "depot-rollback": Code(
        None,
        "The depot's index, or a recall in it, is older than the one that was seen before.",
        "Get the newest depot from its publisher.",
    ),
    "depot-conflict": Code(
        None,
        "Two different indexes of the depot have the same version.",
        "Use neither; ask the publisher of the depot which one is theirs, and for a new version.",
    ),
    "depot-threshold": Code(
        None,
        "Too few of the depot's root signers have signed its index.",
        "Ask the publisher for an index that the earlier root signers have signed too; if their keys are lost or "
        "stolen, deny them in the policy.",
    ),
    "depot-expired": Code(
        None,
        "The depot's index is past its expiry.",
        "Get the newest depot from its publisher.",
    ),
    "depot-name-mismatch": Code(
        None,
        "The index is of another depot than the one that is wanted.",
        "Check the path or address of the depot; each depot needs a state file of its own.",
    ),
    "depot-state-invalid": Code(
        None,
        "The file with the depot's newest seen state is damaged, or writable by others.",
        "Check its owner and permissions, and restore it from a copy; a new state file takes any version of the depot.",
        undecided=True,
    ),
    "recall-invalid": Code(
        None,
        "The recall is not well formed, or none of the signers of the one that it would replace has signed it.",
        "Get the recall again from the vendor who publishes it, and compare its SHA-256 with the published one.",
    ),
    # hosts: what a change is refused for
    "host-invalid": Code(
        None,
        "The image store is damaged, or open to others.",
        "Check the disk, and the store's owner and permissions. If somebody may have changed it, treat the host as "
        "changed by somebody unknown: keep the store as evidence, and set the host up anew.",
        undecided=True,
    ),
    "not-installed": Code(None, "No module of that name is installed.", "See the names with `modseal host list`."),
    "level-below-host": Code(
        None,
        "The module is proved for a lower level than the host takes.",
        "Ask the vendor for a build that is signed for the level that this host needs.",
    ),
    "level-in-use": Code(
        None,
        "A module is installed that is proved for a lower level than the host shall take.",
        "Remove or update the named modules, then set the level.",
    ),
    "dependency-missing": Code(
        None,
        "A module needs something that no module of the new generation offers.",
        "Name a bundle that offers it in the same call.",
    ),
    "module-needed": Code(
        None,
        "A module that stays needs one that would go.",
        "Remove the modules that need it in the same call, too, or leave it installed.",
    ),
    "module-conflicts": Code(
        None,
        "Two modules say that they cannot be installed together, or have names that differ by letter case alone.",
        "Decide for one of the two; remove the other one first if it is installed.",
    ),
    "module-of-another-vendor": Code(
        None,
        "A module of this name is installed, from another vendor.",
        "Check with the vendor whose module this is. If it is meant to take its place, remove the installed one first.",
    ),
    "version-downgraded": Code(
        None,
        "A newer version of the module is installed.",
        "To go back to what was installed before, use `modseal host rollback`.",
    ),
    "version-changed": Code(
        None,
        "The same version of the module is installed, with other content.",
        "Ask the vendor which of the two is theirs, and for a new version.",
    ),
    "path-owned": Code(
        None,
        "Two modules bring the same path, or one reaches into what is another's.",
        "Install only one of the two, and tell their vendors.",
    ),
    "path-not-mergeable": Code(
        None,
        "The module brings something that cannot be part of a host's image.",
        "Ask the vendor for a module whose files are below usr/ and opt/.",
    ),
    "no-generation": Code(
        None,
        "There is no such generation to go to.",
        "See the generations with `modseal host history`.",
    ),
    "no-set": Code(
        None,
        "No set of modules has what was asked for, together with what is installed.",
        "Name further depots with --depot, or ask for another version; the reasons say what was missing or refused.",
    ),
    "set-unknown": Code(
        None,
        "Whether there is a set of modules with what was asked for cannot be said.",
        "Make what could not be examined readable, as its own reason says, and try again.",
        undecided=True,
    ),
    # hosts: who may ask for what from outside
    "role-missing": Code(
        None,
        "A client certificate names no one role, or a higher one than its CA grants on this host.",
        "Ask whoever issued the certificate for one with a role that this host grants it.",
    ),
    "role-too-low": Code(
        None,
        "The role of a client certificate does not allow what was asked for.",
        "Leave it to somebody who has the role that is named.",
    ),
    "unknown-item": Code(
        None,
        "What was asked for is not there.",
        "Look at the collection that it would be in; tasks are kept for a while only.",
    ),
    "upload-too-large": Code(
        None,
        "More was pushed than this host takes at once.",
        "Raise `upload` in the host's serve.toml, or install the bundle on the host itself.",
    ),
    # hosts that are managed from elsewhere: why there is no answer
    "host-unreachable": Code(
        None,
        "A host that was asked over the network gave no answer.",
        "Check its address and the network; if something was to change, see with `history` whether it did.",
        undecided=True,
    ),
    "host-reply-invalid": Code(
        None,
        "A host answered what no host answers: another form, too much, or from elsewhere.",
        "Do not act on it. See whether both run the same version of modseal, and then look at the host itself.",
        undecided=True,
    ),
    "host-denied": Code(
        None,
        "A host does not let the holder of this certificate do what was asked.",
        "Ask with a certificate whose role may do this; whoever runs the host says which roles there are.",
    ),
    # hosts: what an image's owner alone may change
    "owner-decides": Code(
        None,
        "The host was booted from an image: what it runs, and for which level, its owner has signed as a whole.",
        "Build the next image or generation with `modseal image build`, and push its `update` or `modules.update`; "
        "to go back, push what `modseal image rollback` writes.",
    ),
    # hosts: what no image may have
    "writable-code": Code(
        None,
        "A program or library asks for memory that is writable and code, or does not clearly say that it does not.",
        "Build it again for x86-64, with `-z noexecstack` and no part that is writable and code (`readelf -hlW` shows "
        "all three), or leave it out.",
    ),
    # hosts: lockdown, and what ends it
    "host-locked-down": Code(
        None,
        "The host is in strict mode, and whoever asked for the change is none of its controllers.",
        "Make the change from a controller; if all of them are lost, end strict mode with `modseal host break-glass`.",
    ),
    "lockdown-incomplete": Code(
        None,
        "Strict mode would lock everybody out for good: it needs a controller, and keys that can end it without one.",
        "Name at least one controller with --controller, and with --break-glass and --threshold enough keys that no "
        "controller has.",
    ),
    "break-glass-invalid": Code(
        None,
        "The file that shall break the glass is not well formed, or one of its signatures does not verify.",
        "Carry the file over once more and compare its SHA-256; if it is the same, make a new one.",
    ),
    "break-glass-other-host": Code(
        None,
        "The file that shall break the glass is for another host.",
        "Make one for this host; `modseal host lockdown get` shows its number.",
    ),
    "break-glass-used": Code(
        None,
        "The lockdown that the file would end is over: it was ended, by this file or otherwise, or began anew.",
        "See with `modseal host lockdown get` whether the host is in strict mode; if so, make a file for its lock.",
    ),
    "break-glass-early": Code(
        None,
        "The file that shall break the glass may not be used yet.",
        "Check the host's clock; if it is right, wait until the time that the file says.",
    ),
    "break-glass-expired": Code(
        None,
        "The file that shall break the glass may not be used any more.",
        "Check the host's clock; if it is right, have a new file made and signed.",
    ),
    "break-glass-threshold": Code(
        None,
        "Fewer of the keys that the host names have signed the file than it asks for.",
        "Have more of those who hold these keys sign the file, with `modseal break-glass endorse`.",
    ),
    # sets of modules: why a bundle cannot be in one
    "platform-mismatch": Code(
        None,
        "A bundle is for other hosts than the target.",
        "Ask the vendor for a bundle for the target's version.",
    ),
    "content-differs": Code(
        None,
        "Depots have two bundles of one vendor, name and version with different content.",
        "Ask the vendor which of the two is theirs, and use a depot without the other.",
    ),
    "list-invalid": Code(
        None,
        "The file does not say what a target has.",
        "Write it on the target with `esxcli --formatter=json software vib get` or `modseal host list --format json`.",
        undecided=True,
    ),
    # image profiles
    "profile-invalid": Code(
        None,
        "The image profile is not well formed, or contradicts itself.",
        "Get the profile again from who made it, or make it anew with `modseal profile create`.",
    ),
    "profile-mismatch": Code(
        None,
        "The image profile says something else of a module than the module's own manifest.",
        "Do not use the profile; make it anew with `modseal profile create`, and ask who gave you this one.",
    ),
    "profile-module-missing": Code(
        None,
        "No depot has a module of the image profile.",
        "Name the depot that has it with --depot, too.",
    ),
    "profile-module-changed": Code(
        None,
        "A depot has other content under the name and version of a module than the image profile names.",
        "Name the depot that the profile was made from; if the module was meant to change, make the profile anew.",
    ),
    "level-below-profile": Code(
        None,
        "A module is proved for a lower level than that of the image profile.",
        "Ask the vendor for a build that is signed for that level, or take the module out of the profile.",
    ),
    # hosts: what is found of an installed image, and of the event log
    "installed-changed": Code(
        None,
        "An installed file, or what is kept to prove a module, is not what was signed.",
        "Do not run it. Find out who changed it; then install the module's bundle again, which puts it right.",
    ),
    "installed-missing": Code(
        None, "Something that an installed module has is not there.", "Install the module's bundle again."
    ),
    "installed-extra": Code(
        None,
        "The image has something that no installed module brings.",
        "Do not run it. Find out who put it there; the next generation is made without it.",
    ),
    "installed-type": Code(
        None,
        "An installed path is of another type: a folder, link or device in the place of a file, or the reverse.",
        "Find out who exchanged it; then install the module's bundle again, which puts it right.",
    ),
    "installed-mode": Code(
        None,
        "An installed file or folder has another mode than the signed manifest says.",
        "Find out who changed it; then install the module's bundle again, which puts it right.",
    ),
    "installed-owner": Code(
        None,
        "An installed file, folder or link has another owner or group.",
        "Find out who changed it; then install the module's bundle again, which puts it right.",
    ),
    "installed-link": Code(
        None,
        "An installed link leads elsewhere than the signed manifest says.",
        "Find out who changed it; then install the module's bundle again, which puts it right.",
    ),
    "installed-attribute": Code(
        None,
        "An installed file, folder or link has an extended attribute, such as a capability or an access list.",
        "Find out who set it; then install the module's bundle again, which puts it right.",
    ),
    "installed-twin": Code(
        None,
        "The image has a path that differs from an installed one by letter case or Unicode form alone.",
        "Do not run it. Find out who put it there; the next generation is made without it.",
    ),
    "installed-flag": Code(
        None,
        "An installed file, or a file or folder of the store, has an inode flag that keeps it from being replaced.",
        "Find out who set it, and take it away with `chattr -i -a`.",
    ),
    "installed-shared": Code(
        None,
        "A file of the store has a name elsewhere, for those who cannot enter the store.",
        "Find its names with `find DIR -xdev -samefile FILE`, and remove those outside of the store.",
    ),
    "installed-mount": Code(
        None,
        "Something is mounted below the image store, and hides what is there.",
        "Find out who mounted it, and unmount it with `umount`.",
        undecided=True,
    ),
    "generation-lost": Code(
        None,
        "A generation that is kept is missing or damaged, so that nobody can go back to it.",
        "Find out who removed it. `modseal host prune` takes it off the list.",
        undecided=True,
    ),
    "index-damaged": Code(
        None,
        "The index that `modseal host owner` asks cannot be read, or says something else than the modules' manifests.",
        "Find out who changed it. `modseal host rebuild` makes it anew.",
        undecided=True,
    ),
    "log-broken": Code(
        None,
        "The event log is not the one that was written: a line was changed, removed or added.",
        "Treat the host as changed by somebody unknown; compare the log with a copy that is kept elsewhere.",
    ),
    # hosts: why the guard denies
    "guard-impossible": Code(
        None,
        "The kernel does not let the guard hold what is to run.",
        "Run the guard as root of the machine, on Linux, on a file system that has files of its own.",
        undecided=True,
    ),
    "content-not-installed": Code(
        None,
        "A file was to run whose content no module of the active generation has.",
        "Find out who put it there; install what is needed as a module.",
    ),
    "rights-not-installed": Code(
        None,
        "A file was to run with a set-user-id or set-group-id bit that no module gives it.",
        "Find out who set the bit, and remove the file.",
    ),
    "interpreter-direct": Code(
        None,
        "A program that runs other files was to run by itself, and not for an installed file that names it.",
        "Start the script itself: an installed file with a `#!` line.",
    ),
    "content-writable": Code(
        None,
        "A file was to run while somebody had it open for writing.",
        "Start it again when it is written; install what is needed as a module.",
    ),
    "content-unreadable": Code(
        None, "A file was to run that could not be read.", "Check the disk and the file system that it is on."
    ),
    "guard-late": Code(
        None,
        "The guard could not answer in time.",
        "Check whether the machine is overloaded, or a file system stands still.",
        undecided=True,
    ),
}

_REVOCATION = 5
_NEW_TIMESTAMP = "Ask the vendor for a bundle with a new timestamp, from an authority in good standing."


def is_code(text: str) -> TypeGuard[CodeName]:
    """Whether a text is a published code."""
    return text in CODES


def next_step(code: CodeName, evidence: Mapping[str, object]) -> str:
    """The one next step for a failure: that of its known cause, of the code behind it, or else of its own code.

    `evidence` names what is behind it: a cause (`modseal.causes`), or codes: `reason` is one, `reasons` are several
    with commas between them.
    """
    if known := causes.next_step(evidence):
        return known
    reasons = str(evidence.get("reason") or evidence.get("reasons") or "").split(",")
    behind = [CODES[reason] for reason in reasons if is_code(reason)]
    if len(behind) == len(reasons) and all(one.step == _REVOCATION and one.undecided for one in behind):
        return behind[0].next_step  # only revocation data cures revocation that cannot be judged
    if code == "bad-timestamp" and is_code(reasons[0]) and CODES[reasons[0]].of_authority:
        return _NEW_TIMESTAMP
    return CODES[code].next_step
