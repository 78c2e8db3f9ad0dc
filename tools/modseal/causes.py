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
    "folder-missing", "not-a-file", "not-seekable", "terminal", "stream-closed", "too-long", "too-many-open", "address",
    # what was taken for a bundle
    "empty", "zip", "gzip", "archive", "pem", "pgp", "rpm", "deb", "iso", "html", "answer", "crlf", "line-ends-lost",
    "git-lfs-pointer", "trust-bundle", "manifest-alone", "program", "base64", "text", "zeros",
    # policies and trust stores
    "policy-not-found", "not-a-policy", "policy-is-trust-bundle", "store-empty", "no-store-here",
    # keys and certificates
    "bundle-not-key", "not-a-key", "passphrase-missing", "passphrase-wrong", "certificate-missing", "key-missing",
    "several-found", "openssh-key", "other-certificate", "not-a-ca", "report-unreadable",
    "certificate-expired", "certificate-not-yet-valid", "certificate-purpose", "key-too-weak", "stranger-in-chain",
    # chains and timestamps
    "issuer-missing", "chain-missing", "unknown-timestamp-authority",
    "timestamp-anchor", "tsa-unreachable", "tsa-answer",
    # specs
    "spec-missing", "not-a-spec", "link-in-vib", "link-outside", "not-packable", "too-many-entries",
    # image profiles
    "profile-needs", "profile-needed", "profile-unsigned",
]  # fmt: skip
"""Every cause, so that a type checker finds a misspelt one."""

CAUSES: Final[Mapping[CauseName, str]] = {
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
    "not-seekable": "Write it to a file first: this command takes no stream (`verify` and `inspect` do).",
    "terminal": "Send a bundle into the command with `<` or a pipe, or name a file.",
    "stream-closed": "Give the command an open standard input, or name a file.",
    "too-long": "Write it to a file first: from a stream, only so much is taken (`modseal help limits`).",
    "too-many-open": "Close other programs, or raise the limit of open files (`ulimit -n`).",
    "address": "Download it first; `modseal audit` examines bundles where they are on a server.",
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
    "policy-not-found": "Give the path of a policy file, or one of strict, vmware and store:.",
    "not-a-policy": "Name the policy, a TOML file; `modseal policy check` reads it and says what it accepts.",
    "policy-is-trust-bundle": "Install the trust bundle with `modseal policy update`, then use `--policy store:`.",
    "store-empty": "Install a trust bundle there with `modseal policy update --initial-root`.",
    "no-store-here": "Name the policy file in this folder, or a trust store.",
    "bundle-not-key": "Name a key or certificate; `modseal inspect` shows a bundle, `modseal sign --list` its signers.",
    "not-a-key": "Name a PEM or PKCS#12 file that has the key; `modseal keys show` says what a file has in it.",
    "passphrase-missing": "Give the passphrase or PIN with --passphrase-file, or run the command on a terminal.",
    "passphrase-wrong": "Check the passphrase; `modseal keys show` tries it without signing anything.",
    "certificate-missing": "Name the certificate that belongs to the key with --cert.",
    "key-missing": "Name the private key that belongs to the certificate; `modseal keys show` shows it.",
    "several-found": "Name a file that has only the one that is meant.",
    "openssh-key": "Convert a copy of the key with `ssh-keygen -p -m pkcs8 -f COPY`, and name the copy.",
    "other-certificate": "Name the certificate that was issued for this key; `modseal keys show` shows both.",
    "not-a-ca": "Name the folder of a CA, as `modseal keys ca` makes it.",
    "report-unreadable": "Name a report that `modseal audit --format json` wrote.",
    "certificate-expired": "Have your CA issue a new certificate for the key, and sign with that.",
    "certificate-not-yet-valid": "Check this machine's clock, or wait until the certificate is valid.",
    "certificate-purpose": "Have your CA issue a certificate for code signing (extended key usage codeSigning).",
    "key-too-weak": "Make a new key with `modseal keys new`, and have your CA issue a certificate for it.",
    "stranger-in-chain": "Take the named certificate out of --chain: it leads nowhere.",
    "issuer-missing": "Ask the vendor for the missing certificate, and name it in the policy under `intermediates`, "
    "which only completes the chain to an anchor.",
    "chain-missing": "Name a file with the missing certificate with --chain.",
    "unknown-timestamp-authority": "Ask the vendor which timestamp authority it uses, and name its root certificate in "
    "the policy under [time] `anchors` only if you trust it.",
    "timestamp-anchor": "Name the root certificate of the timestamp authority's CA with --tsa-anchor.",
    "tsa-unreachable": "Check the address and the network, or sign now and add the timestamp later with "
    "`modseal timestamp`.",
    "tsa-answer": "Use another timestamp authority: this one answers with something that no verifier would take.",
    "spec-missing": "Write a module.toml in this folder; `modseal init` makes one to begin with.",
    "not-a-spec": "Name the module.toml of the module, or the folder that has it.",
    "link-in-vib": "Pack the file in the place of the link, or pack a .seal, which can have links.",
    "link-outside": "Make the link relative to its own folder, and to something inside the module.",
    "not-packable": "Remove it from the folder, or leave it out with `exclude`.",
    "too-many-entries": "Leave out what is not needed with `exclude`, or split the module (`modseal help limits`).",
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
