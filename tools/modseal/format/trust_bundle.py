"""The trust bundle as bytes: one file that carries a policy and every file that the policy names.

The container is that of a bundle: a Unix `ar` with, in this order, `trust.json` (the declaration, in
canonical JSON), `sig.pkcs7` (CMS blocks over the raw bytes of `trust.json`), then the files as members
`f001`, `f002`, ... in the order of the declaration, which is that of their paths. Whether the
signatures mean anything is for `policy.rotation`.

One rule set serves the reader and the writer: `encode` refuses what `decode` would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from modseal import limits
from modseal.errors import FormatError
from modseal.format import ar, canonical_json, rooted, rules, times
from modseal.format.manifest import SIGNATURE_MEMBER
from modseal.format.rooted import HEX, ROOT, TIME, Root
from modseal.format.shape import MAXIMUM_VERSION, Array, Integer, Table, Text
from modseal.format.source import BytesSource
from modseal.values import dataclass

SCHEMA = "modseal/trust-bundle@1"
DECLARATION_MEMBER = "trust.json"
POLICY_PATH = "policy.toml"
"""The path of the policy inside a trust bundle; the files that it names are relative to it."""
_FILE = Table(
    {
        "path": Text(
            most=limits.PATH_LENGTH, about="As the policy names it. The declaration's n-th file is the member f00n."
        ),
        "size": Integer(0, limits.TRUST_BUNDLE_SIZE),
        "sha256": HEX,
    }
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "version": Integer(1, MAXIMUM_VERSION, about="Each new trust bundle has the next one."),
        "issued": TIME,
        "expires": TIME,
        "root": ROOT,
        "files": Array(_FILE, least=1, most=limits.TRUST_FILES, about="Sorted by path; policy.toml is one of them."),
    },
    about="What the root signers sign of a trust bundle. Rules over several values stand in docs/trust-bundle.md.",
)


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """One trust bundle, unproved. `files` are contents by path; `signed` and `signature` are the two raw members.

    Times are aware, in UTC. A new version is made with empty `signed` and `signature`.
    """

    version: int
    issued: datetime
    expires: datetime
    root: Root
    files: Mapping[str, bytes] = field(repr=False)
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def sha256(self) -> str:
        """What identifies this version: the digest of the declaration, which has those of all files.

        Another signature does not make it another version.
        """
        return hashlib.sha256(self.signed).hexdigest()

    @property
    def file_sha256(self) -> str:
        """The digest of the whole file, with the signatures that it has: what `sha256sum` prints."""
        return hashlib.sha256(encode(self)).hexdigest()


def parse_time(text: str) -> datetime:
    """The aware time of a text as the declaration writes it. Raises `FormatError` (trust-bundle-invalid)."""
    return rooted.parse_time(text, invalid)


def invalid(detail: str, **evidence: str | int) -> FormatError:
    """The refusal of a trust bundle."""
    return FormatError("trust-bundle-invalid", f"the trust bundle cannot be used: {detail}", **evidence)


def is_trust_bundle(data: bytes) -> bool:
    """Whether some bytes begin as those of a trust bundle do."""
    return data.startswith(ar.MAGIC + DECLARATION_MEMBER.encode())


def declare(bundle: TrustBundle) -> bytes:
    """The bytes of `trust.json`: what the root signers sign. Raises `FormatError` (trust-bundle-invalid)."""
    plain = {
        "schema": SCHEMA,
        "version": bundle.version,
        "issued": times.time_text(bundle.issued),
        "expires": times.time_text(bundle.expires),
        "root": bundle.root.plain,
        "files": [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in sorted(bundle.files.items())
        ],
    }
    rooted.require(plain, SHAPE, invalid, _problems)
    return canonical_json.dump(plain)


def encode(bundle: TrustBundle) -> bytes:
    """The whole file. Raises `FormatError` (trust-bundle-invalid) where `decode` would."""
    contents = [data for _, data in sorted(bundle.files.items())]
    members = [
        (DECLARATION_MEMBER, bundle.signed or declare(bundle)),
        (SIGNATURE_MEMBER, bundle.signature),
        *((_member_name(number), data) for number, data in enumerate(contents, 1)),
    ]
    data = ar.MAGIC + b"".join(
        ar.encode_header(name, len(data)) + data + ar.padding(len(data)) for name, data in members
    )
    decode(data)
    return data


def decode(data: bytes) -> TrustBundle:
    """A trust bundle from its bytes: every byte accounted for, every file with its declared digest.

    Raises `FormatError` (trust-bundle-invalid); its evidence `reason` has the container's own code.
    """
    if len(data) > limits.TRUST_BUNDLE_SIZE:
        raise invalid(f"it is over {limits.TRUST_BUNDLE_SIZE} bytes")
    try:
        names, contents = _split(data)
    except FormatError as error:
        if error.failure.code == "trust-bundle-invalid":
            raise
        raise invalid(error.failure.detail, reason=error.failure.code) from error
    plain = rooted.load(contents[0], DECLARATION_MEMBER, SHAPE, invalid, _problems)
    return TrustBundle(
        version=plain["version"],
        issued=parse_time(plain["issued"]),
        expires=parse_time(plain["expires"]),
        root=rooted.read_root(plain["root"]),
        files=_files(plain["files"], names[2:], contents[2:]),
        signed=contents[0],
        signature=contents[1],
    )


def _split(data: bytes) -> tuple[list[str], list[bytes]]:
    source = BytesSource(data)
    members = ar.read(source)
    ar.require_plain(members, "seal")
    names = [member.name for member in members]
    if names[:2] != [DECLARATION_MEMBER, SIGNATURE_MEMBER]:
        raise invalid(f"its first members are not {DECLARATION_MEMBER} and {SIGNATURE_MEMBER}")
    return names, [source.read(member.offset, member.size) for member in members]


def _member_name(number: int) -> str:
    return f"f{number:03}"


def _files(declared: list[dict[str, Any]], names: list[str], contents: list[bytes]) -> dict[str, bytes]:
    expected = [_member_name(number) for number in range(1, len(declared) + 1)]
    if names != expected:
        raise invalid(
            f"it has the members {' '.join(names) or 'none'} after the signatures; it declares {len(expected)} files"
        )
    for file, content in zip(declared, contents, strict=True):
        if len(content) != file["size"] or hashlib.sha256(content).hexdigest() != file["sha256"]:
            raise invalid(f"the file {file['path']!r} is not the declared one", path=file["path"])
    return {file["path"]: content for file, content in zip(declared, contents, strict=True)}


def _problems(plain: dict[str, Any]) -> Iterator[str]:
    yield from rooted.problems(plain, invalid)
    paths = [file["path"] for file in plain["files"]]
    if paths != sorted(set(paths)):
        yield "files: must be sorted by path, each once"
    if POLICY_PATH not in paths:
        yield f"files: {POLICY_PATH} is missing"
    for failure in filter(None, map(rules.check_path, paths)):
        yield failure.detail
