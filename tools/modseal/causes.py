"""Known causes behind a code that has several: each with the one next step that fits it better than its code's.

A failure names its cause in its evidence: as `cause`, or as `reason` where a file was recognised as something else
(`format.lookalikes`). Causes are for the person who reads; scripts branch on codes (`modseal.codes`).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Final, Literal

CauseName = Literal[
    # files and folders
    "not-found", "no-permission", "no-space", "read-only", "name-too-long", "link-circle", "folder", "bundle-folder",
    "folder-missing", "not-a-file", "not-seekable", "terminal", "stream-closed", "too-long", "too-many-open",
    "address", "changed-meanwhile", "busy",
    # what was taken for a bundle
    "empty", "zip", "gzip", "archive", "pem", "pgp", "rpm", "deb", "iso", "html", "answer", "crlf", "line-ends-lost",
    "git-lfs-pointer", "trust-bundle", "manifest-alone", "program", "base64", "text", "zeros",
    # servers, depots and what is on a target
    "not-on-server", "no-access", "server-failed", "tls-untrusted", "extra-missing", "zip-on-server", "not-a-listing",
    "not-in-depot", "not-a-target", "no-esxi-database", "too-much-there", "search-too-long",
    # policies and trust stores
    "policy-not-found", "not-a-policy", "policy-is-trust-bundle", "store-empty", "no-store-here",
    "private-key-in-policy", "file-not-below", "unnamed-file", "trust-bundle-damaged",
    # keys and certificates
    "bundle-not-key", "not-a-key", "not-a-certificate", "not-a-request", "nothing-known", "part-damaged",
    "passphrase-missing", "passphrase-wrong", "certificate-missing", "key-missing", "several-found", "openssh-key",
    "other-certificate", "name-not-printable", "key-kind", "not-a-ca", "ca-damaged", "ca-full", "certificate-expired",
    "certificate-not-yet-valid", "certificate-purpose", "key-too-weak", "stranger-in-chain",
    # tokens and key services
    "token-missing", "token-several", "token-gone", "token-key-missing", "token-key-several", "token-algorithm",
    "token-failed", "pin-wrong", "pin-locked", "pin-not-set", "module-missing", "module-unusable", "plugin-failed",
    "plugin-broken",
    # chains and timestamps
    "issuer-missing", "chain-missing", "too-many-certificates", "unknown-timestamp-authority", "timestamp-anchor",
    "tsa-unreachable", "tsa-answer",
    # specs and what is packed
    "spec-missing", "not-a-spec", "source-outside", "link-in-vib", "link-outside", "not-packable", "unfit-name",
    "file-too-large", "too-many-entries", "epoch", "attachment-name", "too-many-attachments", "document-damaged",
    "setuid-undeclared",
    # reports
    "report-unreadable", "report-of-server", "path-outside", "too-many-bundles",
    # hosts
    "no-event-log", "tool-missing", "tool-failed", "package-missing", "no-bundle-there",
    "tpm-failed", "erofs-failed", "index-unusable",
    # host images
    "image-spec", "other-file", "package-unfit", "firmware-key", "firmware-store",
    "host-silent", "host-without-tpm", "host-answer", "no-request", "no-image",
    "not-a-public-key", "no-attestation", "no-expectation", "service-file",
    # a host that is managed from outside
    "serve-spec", "serve-key", "serve-task", "serve-busy", "serve-silent", "serve-died", "serve-webhook",
    # hosts that are managed from elsewhere
    "remote-spec", "remote-silent", "remote-certificate", "remote-refused", "remote-at-work", "remote-busy",
    # image profiles
    "profile-needs", "profile-needed", "profile-unsigned",
]  # fmt: skip
"""Every cause, so that a type checker finds a misspelt one."""

CAUSES: Final[Mapping[CauseName, str]] = {
    # files and folders
    "not-found": "Check the path: there is nothing with this name.",
    "no-permission": "Change the permissions, or run the command as a user who has them.",
    "no-space": "Free some space there, or name a place that has enough.",
    "read-only": "Name a place that can be written to.",
    "name-too-long": "Give a shorter path.",
    "link-circle": "Give the path of the file itself: its symbolic links lead in a circle.",
    "folder": "Name a file in this folder.",
    "bundle-folder": "Name a bundle in this folder; `modseal audit` examines all bundles below a folder.",
    "folder-missing": "Make the folder that it is to be in first, or name another one.",
    "not-a-file": "Name a regular file; `verify` and `inspect` also read a bundle from standard input, as `-`.",
    "not-seekable": "Write it to a file first, and name that; `verify` and `inspect` take a bundle from a stream.",
    "terminal": "Send a bundle into the command with `<` or a pipe, or name a file.",
    "stream-closed": "Give the command an open standard input, or name a file.",
    "too-long": "Write it to a file first: from a stream, only so much is taken (`modseal help limits`).",
    "too-many-open": "Close other programs, or raise the limit of open files (`ulimit -n`).",
    "address": "Download it first; `modseal audit` examines bundles where they are on a server.",
    "changed-meanwhile": "Repeat the command once nothing else writes there.",
    "busy": "Wait until the other command is done, then repeat this one.",
    # what was taken for a bundle
    "empty": "Get the file again: nothing of it arrived.",
    "zip": "Examine the offline bundle with `modseal audit`, or unpack it and verify a bundle of it.",
    "gzip": "Unpack the file, and verify what was in it.",
    "archive": "Unpack the file, and verify what was in it; `modseal audit` names what it leaves out in a folder.",
    "pem": "Name the bundle; `modseal keys show` shows a file of certificates or keys.",
    "pgp": "Name the bundle; modseal verifies its own signature blocks, and none of OpenPGP.",
    "rpm": "Name a .seal or .vib file: modseal does not read rpm packages.",
    "deb": "Name a .seal or .vib file: modseal does not read Debian packages.",
    "iso": "Examine the image with `modseal audit` (extra `iso`), or mount it and name a bundle.",
    "html": "Download the file again, and look at what its server answers.",
    "answer": "Read what the server says in it, and download the file again.",
    "crlf": "Transfer the file again as binary (in Git: `-text`).",
    "line-ends-lost": "Transfer the file again as binary.",
    "git-lfs-pointer": "Get the file itself with `git lfs pull`.",
    "trust-bundle": "Show it with `modseal policy show`, install it with `modseal policy update`.",
    "manifest-alone": "Name the .seal or .vib file; for what an ESXi host has installed, `modseal audit --esxi-db`.",
    "program": "Name a .seal or .vib file: modseal packs programs (`modseal pack`), and verifies bundles.",
    "base64": "Decode the file (`base64 -d`), and verify the result.",
    "text": "Name a .seal or .vib file, which is not text.",
    "zeros": "Get the file again, and compare its SHA-256 with the published one.",
    # servers, depots and what is on a target
    "not-on-server": "Check the address: its server has nothing with this name.",
    "no-access": "Give the credentials that the server asks for: ~/.netrc for the web, the environment for an object "
    "store.",
    "server-failed": "Repeat the command later, or download the file and name the copy.",
    "tls-untrusted": "Check the address and this machine's CA certificates (SSL_CERT_FILE names others).",
    "extra-missing": "Install what is named on the machine that lacks it.",
    "zip-on-server": "Download it, and audit the copy.",
    "not-a-listing": "Name the address of a bundle itself, or of a folder whose contents the server lists.",
    "not-in-depot": "Name a file of the depot: `modseal depot list` shows what is in it.",
    "not-a-target": "Name a depot, the root or var/db/esximg of an ESXi host, or a list of the modules that it has.",
    "no-esxi-database": "Name the root of an ESXi host, its boot bank, or its var/db/esximg.",
    "too-much-there": "Name a folder further below, which has less in it.",
    "search-too-long": "Ask for fewer names, or say their versions (`acme-agent = 1.0`), so that there is less to try.",
    # policies and trust stores
    "policy-not-found": "Give the path of a policy file, or one of strict, vmware and store:.",
    "not-a-policy": "Name the policy, a TOML file; `modseal policy check` reads it and says what it accepts.",
    "policy-is-trust-bundle": "Install the trust bundle with `modseal policy update`, then use `--policy store:`.",
    "store-empty": "Install a trust bundle there with `modseal policy update --initial-root`.",
    "no-store-here": "Name the policy file in this folder, or a trust store.",
    "private-key-in-policy": "Take the private key out of the file; replace the key if others could read it.",
    "file-not-below": "Copy the file into the policy's folder, and change its path in the policy.",
    "unnamed-file": "Have the trust bundle made anew without the file, and install that.",
    "trust-bundle-damaged": "Get the trust bundle again from whoever made it: a signature in it does not hold.",
    # keys and certificates
    "bundle-not-key": "Name a key or certificate; `modseal inspect` shows a bundle, `modseal sign --list` its signers.",
    "not-a-key": "Name a PEM or PKCS#12 file that has the key; `modseal keys show` says what a file has in it.",
    "not-a-certificate": "Name a PEM or DER file with the certificate; `modseal keys show` says what a file has in it.",
    "not-a-request": "Name a certificate request; `modseal keys csr` makes one for a key.",
    "nothing-known": "Name a PEM, DER or PKCS#12 file; the key stores of other programs have to be exported first.",
    "part-damaged": "Get the file again from whoever made it: a part of it is damaged.",
    "passphrase-missing": "Give the passphrase or PIN with --passphrase-file, or run the command on a terminal.",
    "passphrase-wrong": "Check the passphrase; `modseal keys show` tries it without signing anything.",
    "certificate-missing": "Name the certificate that belongs to the key with --cert.",
    "key-missing": "Name the private key that belongs to the certificate; `modseal keys show` shows it.",
    "several-found": "Name a file that has only the one that is meant.",
    "openssh-key": "Convert a copy of the key with `ssh-keygen -p -m pkcs8 -f COPY`, and name the copy.",
    "other-certificate": "Name the certificate that was issued for this key; `modseal keys show` shows both.",
    "name-not-printable": "Copy it to a file with a plain name, and name that.",
    "key-kind": "Use a key of another kind; `modseal keys new` makes one.",
    "not-a-ca": "Name the folder of a CA, as `modseal keys ca` makes it.",
    "ca-damaged": "Restore index.json from a backup: without it, the CA does not know what it has issued and revoked.",
    "ca-full": "Make a new CA with `modseal keys ca`, and have it trusted beside this one.",
    "certificate-expired": "Have your CA issue a new certificate for the key, and sign with that.",
    "certificate-not-yet-valid": "Check this machine's clock, or wait until the certificate is valid.",
    "certificate-purpose": "Have your CA issue a certificate for code signing (extended key usage codeSigning).",
    "key-too-weak": "Make a new key with `modseal keys new`, and have your CA issue a certificate for it.",
    "stranger-in-chain": "Take the named certificate out of --chain: it leads nowhere.",
    # tokens and key services
    "token-missing": "Connect the token, or name one that is there in the URI (`token=`, `serial=`).",
    "token-several": "Add `serial=` or `slot-id=` of the one that is meant to the URI.",
    "token-gone": "Connect the token again, and repeat the command.",
    "token-key-missing": "Name a key that the token has in the URI (`object=`, `id=`), or the token that has the key.",
    "token-key-several": "Add `id=` of the key that is meant to the URI.",
    "token-algorithm": "Name another --algorithm, or use a key of a kind that this token can sign with.",
    "token-failed": "Look at the token with its maker's tool, such as `pkcs11-tool --list-objects`.",
    "pin-wrong": "Check the PIN before the next try: after a few wrong ones the token locks it.",
    "pin-locked": "Have the token's security officer unlock the PIN.",
    "pin-not-set": "Set the token's user PIN with its maker's tool.",
    "module-missing": "Name the token maker's library in the URI: `?module-path=/path/of/the/library.so`.",
    "module-unusable": "Name a PKCS#11 library for this machine; `ldd` shows whether a library that it needs is "
    "missing.",
    "plugin-failed": "Check the key service, its address and your rights there; what it says is in its own log.",
    "plugin-broken": "Ask the makers of the plug-in for a correct version (`modseal help write-a-key-plugin`).",
    # chains and timestamps
    "issuer-missing": "Ask the vendor for the missing certificate, and name it in the policy under `intermediates`, "
    "which only completes the chain to an anchor.",
    "chain-missing": "Name a file with the missing certificate with --chain.",
    "too-many-certificates": "Leave out of --chain what is not between the signer and its anchor.",
    "unknown-timestamp-authority": "Ask the vendor which timestamp authority it uses, and name its root certificate "
    "in the policy under [time] `anchors` only if you trust it.",
    "timestamp-anchor": "Name the root certificate of the timestamp authority's CA with --tsa-anchor.",
    "tsa-unreachable": "Check the address and the network, or sign now and add the timestamp later with `modseal "
    "timestamp`.",
    "tsa-answer": "Use another timestamp authority: this one answers with something that no verifier would take.",
    # specs and what is packed
    "spec-missing": "Write a module.toml in this folder; `modseal init` makes one to begin with.",
    "not-a-spec": "Name the module.toml of the module, or the folder that has it.",
    "source-outside": "Put a copy of the file or folder in the place of the link, into the spec's own folder.",
    "link-in-vib": "Pack the file in the place of the link, or pack a .seal, which can have links.",
    "link-outside": "Make the link relative to its own folder, and to something inside the module.",
    "not-packable": "Remove it from the folder, or leave it out with `exclude`.",
    "unfit-name": "Rename the file, or leave it out with `exclude`.",
    "file-too-large": "Split the file, or leave it out with `exclude` (`modseal help limits`).",
    "too-many-entries": "Leave out what is not needed with `exclude`, or split the module (`modseal help limits`).",
    "epoch": "Set SOURCE_DATE_EPOCH to whole seconds, as `git log -1 --format=%ct` prints them, or unset it.",
    "attachment-name": "Give the attachment or payload of this name another one.",
    "too-many-attachments": "Leave out one of the attachments.",
    "document-damaged": "Make the document anew with the tool that wrote it.",
    "setuid-undeclared": "Read what the file does with its owner's rights; ask the vendor for a module that is signed "
    "for a higher level than community, if it needs them.",
    # reports
    "report-unreadable": "Name a report that `modseal audit --format json` wrote.",
    "report-of-server": "Audit the address anew with `modseal audit`: what is on a server now may be something else.",
    "path-outside": "Name the folder that all paths of the report are below with --root.",
    "too-many-bundles": "Attest the bundles in several audits, each of fewer paths.",
    # hosts
    "no-event-log": "Name the event log that `modseal host verify --at-boot --event-log` wrote.",
    "tool-missing": "Install the program that is named, from the package that is named.",
    "tool-failed": "Read what the program says of it, and check its version and the free space.",
    "package-missing": "Name the package that brings it among the packages of the image's spec.",
    "no-bundle-there": "Name a bundle, or a folder that has some.",
    "tpm-failed": "Run the command as root on a machine with a TPM; `tpm2_pcrread sha256:13` shows whether it answers.",
    "erofs-failed": "Check the free space where the image is to be, and that `mkfs.erofs` is of this system's "
    "erofs-utils.",
    "index-unusable": "Check the disk; the index is made anew by `modseal host rebuild`.",
    # host images
    "image-spec": "Correct the line of the host.toml that is named, and build the image again.",
    "other-file": "Get the file again from whoever publishes it; name the SHA-256 that they publish in the host.toml.",
    "package-unfit": "Get the package or wheel from its distribution again, and compare its SHA-256 with theirs; one "
    "that really brings this is not for a host.",
    "firmware-key": "Name a certificate of an RSA key of 2048 bits or more; `openssl req -x509 -newkey rsa:3072` "
    "makes one.",
    "firmware-store": "Name an empty store of OVMF's variables, such as OVMF_VARS_4M.fd of the package ovmf.",
    "host-silent": "Check the address and the network, and that the host is up: the same address shows its `/status`.",
    "host-without-tpm": "Check the address, and that the host has a TPM; without one it can prove nothing.",
    "host-answer": "Check that the address is that of a host's management interface, which shows `/status`.",
    "no-request": "Name the `update` or `modules.update` of a folder that `modseal image build` has written, or the "
    "file of `modseal image rollback`.",
    "no-image": "Name the folder that `modseal image build` has written; build it again if it is damaged.",
    "not-a-public-key": "Name the key that `modseal attest key` printed when the host was set up.",
    "no-attestation": "Name the file that `modseal attest get` has written; ask the host again if it is damaged.",
    "no-expectation": "Name the file that `modseal image expect` has written; write it again, from the "
    "same image, if it is damaged or of an older modseal.",
    "service-file": "Have the module's vendor correct that file, then pack and sign the module again.",
    # a host that is managed from outside
    "serve-spec": "Correct the lines of the serve.toml that are named; `modseal help remote` has an example.",
    "serve-key": "Name the PEM files of the server's certificate, of its key without a passphrase, and of the CAs.",
    "serve-task": "See in the log of the host what was done, and ask for what is missing again.",
    "serve-busy": "Wait until some of the tasks are done, then ask again.",
    "serve-silent": "See the service's own messages (`journalctl -u modseal-serve`), and start it again.",
    "serve-died": "See the lines above this one, and start the service again.",
    "serve-webhook": "Name a private key of `openssl genpkey -algorithm ed25519`, and a CA in PEM, in the serve.toml.",
    # hosts that are managed from elsewhere
    "remote-spec": "Correct this line of the inventory, and run the command again.",
    "remote-silent": "Check the address, the network, and whether the service runs there; if something was to "
    "change, see with `modseal remote HOST history` whether it did.",
    "remote-certificate": "Compare the certificate of the host with the one that was given to it, and name its CA with "
    "--ca; if it should be this CA, somebody may stand between.",
    "remote-refused": "See whether your certificate is current, and comes from a CA that the host knows.",
    "remote-at-work": "Wait, and see with `modseal remote HOST history` what came of it, or give more time by --wait.",
    "remote-busy": "Wait some seconds, and ask again.",
    # image profiles
    "profile-needs": "Put a module that offers it into the profile with `modseal profile add`.",
    "profile-needed": "Remove the modules that need it in the same call, too, or leave it in the profile.",
    "profile-unsigned": "Ask who publishes the profile for the signed one.",
}  # fmt: skip

_OF_ERRNO: Final[Mapping[int, CauseName]] = {
    errno.ENOENT: "not-found",
    errno.ENOTDIR: "not-found",
    errno.EACCES: "no-permission",
    errno.EPERM: "no-permission",
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.EFBIG: "no-space",
    errno.EROFS: "read-only",
    errno.ENAMETOOLONG: "name-too-long",
    errno.ELOOP: "link-circle",
    errno.EISDIR: "folder",
    errno.ENXIO: "not-a-file",
    errno.ENODEV: "not-a-file",
    errno.EBADF: "stream-closed",
    errno.ESPIPE: "not-seekable",
    errno.EMFILE: "too-many-open",
    errno.ENFILE: "too-many-open",
}


def of_errno(number: int | None) -> CauseName | None:
    """The cause that the system names by its `errno`; None where there is nothing more fitting to say than the code."""
    return _OF_ERRNO.get(number or 0)


def next_step(evidence: Mapping[str, object]) -> str | None:
    """The next step of the cause that some evidence names; None where it names none."""
    named = evidence.get("cause") or evidence.get("reason")
    return next((step for name, step in CAUSES.items() if name == named), None)
