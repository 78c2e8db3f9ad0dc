"""Limits of archives, signatures, payloads and other files: just under is taken, just over is refused.

The real limit is used wherever a test can afford it; where it cannot, the test says so.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard

from builders import bundles, tsa
from builders import cms as cms_builder
from builders.bundles import BytesSource, OpenBundle, make
from builders.pki import NOW, leaf, new_key, root, signer
from builders.policies import trusting
from builders.trust_bundles import A, archive, files, keeper, root_of
from builders.trust_bundles import make as make_trust_bundle
from builders.trust_bundles import members as trust_members
from limits.cover import bounds
from modseal import limits
from modseal.errors import Failure, FormatError, InputError, KeyMaterialError, UsageError
from modseal.files.stream import open_file_or_stream
from modseal.format import (
    ar,
    canonical_json,
    cms,
    compression,
    der,
    descriptor,
    strict_xml,
    tar,
    toml_text,
    trust_bundle,
)
from modseal.format import payload as payload_module
from modseal.format import timestamp as timestamp_format
from modseal.format.manifest import Entry, FileType
from modseal.packing import two_step
from modseal.pki.effort import Effort
from modseal.policy import sources as policy_sources
from modseal.policy.update import read_bundle
from modseal.signing import material
from modseal.trust.signers import signing_time


def refused(code: str, call: object, *arguments: object) -> str:
    with pytest.raises(FormatError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.failure.code == code, caught.value.failure
    return caught.value.failure.detail


def container(name: str, size: int) -> str | None:
    """The code for a bundle with one member of that size."""
    found = OpenBundle(BytesSource(make("vib").with_member(name, data=bytes(size)).data), "bundle").container
    return found.code if isinstance(found, Failure) else None


@bounds("MANIFEST_SIZE")
def test_a_manifest_member_has_at_most_so_many_bytes() -> None:
    assert container("descriptor.xml", limits.MANIFEST_SIZE) is None
    assert container("descriptor.xml", limits.MANIFEST_SIZE + 1) == "limit-exceeded"
    grammar = strict_xml.ElementRule("a")
    assert refused("bad-manifest", strict_xml.parse, b" " * limits.MANIFEST_SIZE, grammar)
    assert refused("limit-exceeded", strict_xml.parse, b" " * (limits.MANIFEST_SIZE + 1), grammar)


@bounds("SIGNATURE_MEMBER_SIZE")
def test_a_signature_member_has_at_most_so_many_bytes() -> None:
    assert container("sig.pkcs7", limits.SIGNATURE_MEMBER_SIZE) is None
    assert container("sig.pkcs7", limits.SIGNATURE_MEMBER_SIZE + 1) == "limit-exceeded"
    assert refused("malformed-signature", cms.split_blocks, bytes(limits.SIGNATURE_MEMBER_SIZE))
    assert refused("limit-exceeded", cms.split_blocks, bytes(limits.SIGNATURE_MEMBER_SIZE + 1))


@bounds("SIGNATURE_BLOCKS")
def test_a_signature_member_has_at_most_so_many_blocks() -> None:
    blocks = tuple(bytes([number + 1]) for number in range(limits.SIGNATURE_BLOCKS + 1))
    assert cms.split_blocks(cms.join_blocks(blocks[:-1])) == blocks[:-1]
    assert refused("limit-exceeded", cms.split_blocks, cms.join_blocks(blocks))


@bounds("SIGNERS_PER_BLOCK", "CERTIFICATES_PER_BLOCK")
def test_a_block_has_at_most_so_many_signers_and_certificates() -> None:
    many = [leaf(f"Signer {number}", key=new_key("p256", 700 + number)) for number in range(17)]
    most = limits.SIGNERS_PER_BLOCK
    assert len(cms.decode(cms_builder.block(b"x", *many[:most])).signers) == most
    assert refused("limit-exceeded", cms.decode, cms_builder.block(b"x", *many[: most + 1])).endswith(
        "signers in a block"
    )
    certificates = [one.der for one in many]
    most = limits.CERTIFICATES_PER_BLOCK
    assert len(cms.decode(cms_builder.block(b"x", many[0], certificates=certificates[:most])).certificates) == most
    detail = refused(
        "limit-exceeded", cms.decode, cms_builder.block(b"x", many[0], certificates=certificates[: most + 1])
    )
    assert detail.endswith("certificates in a block")


@bounds("TIMESTAMPS_PER_SIGNER")
def test_a_signer_has_at_most_so_many_timestamps() -> None:
    policy = trusting(timestamp_anchors=(tsa.tsa_root().parsed,))

    def failures(count: int) -> list[str]:
        stamps = [lambda signature, at=at: tsa.token(signature, NOW - timedelta(hours=at + 1)) for at in range(count)]
        bundle = make("vib").with_block(tsa.stamped(make("vib").manifest_bytes, signer(), *stamps))
        found = bundles.judge(bundle, policy)
        return [signing_time(one, policy, found.at, Effort()).failures for one in found.signers]

    assert failures(limits.TIMESTAMPS_PER_SIGNER) == [()]
    [[failure]] = failures(limits.TIMESTAMPS_PER_SIGNER + 1)
    assert (failure.code, failure.evidence["reason"]) == ("bad-timestamp", "limit-exceeded")


@bounds("TIMESTAMP_SIZE")
def test_a_timestamp_token_has_at_most_so_many_bytes() -> None:
    assert "allowed" not in refused("bad-timestamp", timestamp_format.decode, bytes(limits.TIMESTAMP_SIZE))
    assert "allowed" in refused("bad-timestamp", timestamp_format.decode, bytes(limits.TIMESTAMP_SIZE + 1))


@bounds("TIMESTAMP_ACCURACY")
def test_a_timestamp_is_no_less_accurate_than_a_day() -> None:
    def token(seconds: int) -> bytes:
        return tsa.token(b"signature", accuracy=der.encode(der.SEQUENCE, der.encode_integer(seconds)))

    assert timestamp_format.decode(token(limits.TIMESTAMP_ACCURACY))
    assert "of no use" in refused("bad-timestamp", timestamp_format.decode, token(limits.TIMESTAMP_ACCURACY + 1))


@bounds("DER_DEPTH")
def test_values_are_nested_at_most_so_deep() -> None:
    def descend(depth: int) -> None:
        data = b""
        for _ in range(depth):
            data = der.encode(der.SEQUENCE, data)
        reader = der.Reader(data)
        for _ in range(depth):
            reader = reader.enter()

    descend(limits.DER_DEPTH)
    assert "nested" in refused("malformed-signature", descend, limits.DER_DEPTH + 1)


@bounds("DER_ELEMENTS")
def test_a_set_has_at_most_so_many_values() -> None:
    values = [der.encode_integer(number) for number in range(limits.DER_ELEMENTS + 1)]
    assert len(der.elements(der.Reader(b"".join(values[:-1])))) == limits.DER_ELEMENTS
    assert refused("limit-exceeded", lambda: der.elements(der.Reader(b"".join(values))))


@bounds("ATTRIBUTE_VALUES")
@pytest.mark.parametrize(("more", "expected"), [(0, None), (1, "limit-exceeded")])
def test_a_signer_has_so_many_values_of_attributes(more: int, expected: str | None) -> None:
    """Three are there already."""
    values = [der.encode_integer(number) for number in range((limits.ATTRIBUTE_VALUES - 3) // 2)]
    more_values = [der.encode_integer(number) for number in range(limits.ATTRIBUTE_VALUES - 3 - len(values) + more)]
    others = [(cms_builder.UNKNOWN, values), (f"{cms_builder.UNKNOWN}.1", more_values)]
    block = cms_builder.block(b"x", signer(), attributes=lambda good: [*good, *others])
    assert code_of(lambda: cms.decode(block)) == expected


@bounds("MANIFEST_KEYS")
@pytest.mark.parametrize(("more", "expected"), [(0, None), (1, "limit-exceeded")])
def test_a_manifest_has_so_many_keys(more: int, expected: str | None) -> None:
    keys = b",".join(b'"%d":":"' % number for number in range(limits.MANIFEST_KEYS + more))
    assert code_of(lambda: canonical_json.load(b"{" + keys + b"}", "manifest.json")) == expected


@bounds("MANIFEST_TAGS")
def test_a_descriptor_has_so_many_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    good = make("vib").manifest_bytes
    for allowed, expected in ((good.count(b"<"), None), (good.count(b"<") - 1, "limit-exceeded")):
        monkeypatch.setattr(limits, "MANIFEST_TAGS", allowed)
        assert code_of(lambda: descriptor.decode(good)) == expected


@bounds("SPEC_PARTS")
def test_a_policy_has_so_many_lines_keys_and_values() -> None:
    assert toml_text.parse(b"#\n" * limits.SPEC_PARTS).values == {}
    for text in (b"#\n" * limits.SPEC_PARTS + b"\n", b"a = [" + b"{}," * limits.SPEC_PARTS + b"]"):
        with pytest.raises(ValueError, match="lines, keys and values"):
            toml_text.parse(text)


def code_of(read: Callable[[], object]) -> str | None:
    """Why something is refused; None where it is not."""
    try:
        read()
    except FormatError as error:
        return error.failure.code
    return None


@bounds("DER_OID")
def test_an_object_identifier_has_at_most_so_many_bytes() -> None:
    assert der.decode_oid(b"\x01" * limits.DER_OID)
    assert refused("malformed-signature", der.decode_oid, b"\x01" * (limits.DER_OID + 1))


@bounds("DER_INTEGER")
def test_an_integer_has_at_most_so_many_bytes() -> None:
    def read(size: int) -> int:
        return der.Reader(der.encode(der.INTEGER, b"\x01" * size)).integer()

    assert read(limits.DER_INTEGER)
    assert refused("malformed-signature", read, limits.DER_INTEGER + 1)


@bounds("MEMBERS")
def test_an_archive_has_at_most_so_many_members() -> None:
    headers = [ar.encode_header(f"m{number}", 0) for number in range(limits.MEMBERS + 1)]
    assert len(ar.read(BytesSource(ar.MAGIC + b"".join(headers[:-1])))) == limits.MEMBERS
    assert refused("limit-exceeded", ar.read, BytesSource(ar.MAGIC + b"".join(headers)))


@bounds("MEMBER_NAME_LENGTH")
def test_a_member_s_name_has_at_most_so_many_bytes() -> None:
    name = "n" * limits.MEMBER_NAME_LENGTH
    [member] = ar.read(BytesSource(ar.MAGIC + ar.encode_header(name, 0)))
    assert member.name == name
    assert refused("malformed-archive", ar.encode_header, name + "n", 0)
    assert refused("malformed-archive", ar.read, BytesSource(ar.MAGIC + bundles.header(name + "n")))


@bounds("MEMBER_SIZE")
def test_a_member_has_at_most_as_many_bytes_as_its_header_can_say() -> None:
    """As a header alone: the reader's number has ten digits, so it cannot even say more."""
    assert b"9999999999`\n" in ar.encode_header("m", limits.MEMBER_SIZE)
    assert refused("limit-exceeded", ar.encode_header, "m", limits.MEMBER_SIZE + 1)


@bounds("FILE_SIZE")
def test_a_file_has_at_most_as_many_bytes_as_its_header_can_say() -> None:
    """As headers alone: nobody writes 8 GiB in a test."""
    largest = Entry("f", FileType.FILE, 0o644, limits.FILE_SIZE)
    tar.EntryRules(ordered=True).add(largest)
    assert b"77777777777\0" in tar.encode_header(largest, 0)
    over = Entry("f", FileType.FILE, 0o644, limits.FILE_SIZE + 1)
    assert refused("limit-exceeded", tar.EntryRules(ordered=True).add, over)
    assert refused("limit-exceeded", tar.encode_header, over, 0)


def unpack(step: object, data: bytes) -> int:
    return sum(map(len, step(iter([data]))))  # type: ignore[operator]


@bounds("ZSTD_FRAME")
def test_a_frame_of_a_seal_has_at_most_so_many_bytes() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=23, write_checksum=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters)
    most = limits.ZSTD_FRAME
    assert unpack(compression.unzstd_frames, packer.compress(bytes(most))) == most
    assert refused("bad-payload", unpack, compression.unzstd_frames, packer.compress(bytes(most + 1)))


@bounds("ZSTD_WINDOW")
def test_a_vzstd_has_at_most_such_a_window() -> None:
    one = b"\x09\x00\x00a"
    assert unpack(compression.unzstd, b"\x28\xb5\x2f\xfd\x00\x88" + one) == 1
    assert refused("bad-payload", unpack, compression.unzstd, b"\x28\xb5\x2f\xfd\x00\x89" + one)


@bounds("ZSTD_BLOCK")
def test_a_frame_has_at_most_so_many_blocks() -> None:
    def frame(size: int, blocks: int) -> bytes:
        """Blocks of one byte, the last one with the rest."""
        lengths = [1] * (blocks - 1) + [size - blocks + 1]
        parts = [
            (length << 3 | (at == blocks - 1)).to_bytes(3, "little") + b"a" * length
            for at, length in enumerate(lengths)
        ]
        return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", size) + b"".join(parts)

    size = 8 * limits.ZSTD_BLOCK
    assert unpack(compression.unzstd_frames, frame(size, 10)) == size
    assert refused("bad-payload", unpack, compression.unzstd_frames, frame(size, 11))


@bounds("UNPACK_FLOOR", "UNPACK_RATIO")
def test_an_undeclared_size_is_bounded_by_the_packed_one() -> None:
    def limited(size: int, packed: int) -> int:
        return sum(map(len, compression.limited(iter([bytes(size)]), None, packed)))

    assert limited(limits.UNPACK_FLOOR, 10) == limits.UNPACK_FLOOR
    assert refused("limit-exceeded", limited, limits.UNPACK_FLOOR + 1, 10)
    assert limited(limits.UNPACK_RATIO * 2000, 2000) == limits.UNPACK_RATIO * 2000
    assert refused("limit-exceeded", limited, limits.UNPACK_RATIO * 2000 + 1, 2000)


@bounds("UNPACKED_SIZE")
def test_a_payload_unpacks_to_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit of a thousand bytes: the real one takes minutes."""
    monkeypatch.setattr(limits, "UNPACKED_SIZE", 1000)

    def limited(size: int, declared: int | None) -> int:
        return sum(map(len, compression.limited(iter([bytes(size)]), declared, 10**9)))

    assert limited(1000, 1000) == limited(1000, None) == 1000
    assert refused("limit-exceeded", limited, 1001, 1001)
    assert refused("limit-exceeded", limited, 1001, None)


@bounds("CHUNK_SIZE")
def test_a_chunk_has_at_most_so_many_bytes() -> None:
    from differential.views import declare

    for size, chunks in ((limits.CHUNK_SIZE, 1), (limits.CHUNK_SIZE + 1, 2)):
        payload = declare("tar+gzip", bytes(size))
        assert len(payload.chunks) == chunks
        found = payload_module.measure(payload, BytesSource(bytes(size)))
        assert [failure.code for failure in found.failures] == ["bad-payload"]  # every chunk fits; zeros are no gzip
        other = payload_module.measure(payload, BytesSource(bytes(size + limits.CHUNK_SIZE)))
        assert other.failures[0].code == "payload-digest-mismatch"


def entries(count: int) -> list[Entry]:
    return [Entry(f"d{number:05}", FileType.DIRECTORY, 0o755) for number in range(count)]


@bounds("FILES")
def test_a_module_has_at_most_so_many_entries() -> None:
    listing = tar.EntryRules(ordered=True)
    for entry in entries(limits.FILES):
        listing.add(entry)
    assert refused("limit-exceeded", listing.add, Entry("z", FileType.DIRECTORY, 0o755))


@pytest.mark.parametrize("type_", ["tgz", "vgz"])
def test_the_limit_of_entries_holds_over_all_payloads_together(monkeypatch: pytest.MonkeyPatch, type_: str) -> None:
    """With a limit of ten entries, which two payloads of five reach."""
    monkeypatch.setattr(limits, "FILES", 10)
    made = make("vib", payload_type=type_, files={f"opt/{number}": b"x" for number in range(5)})
    [payload] = made.manifest.payloads
    data = made.members[-1].data
    opened = OpenBundle(BytesSource(bundles.ar.MAGIC + b"".join(m.encode() for m in made.members)), "bundle")
    [_, _, member] = opened.members
    assert len(data) == member.size
    codes = []
    for name in ("a", "b", "c", "c"):
        found = opened.measure(bundles.replace(payload, name=name), member, up_to=None, to_sink=True)
        codes.append([failure.code for failure in found.failures])
    assert codes == [[], [], ["limit-exceeded"], ["limit-exceeded"]]


@bounds("ATTACHMENT_SIZE")
def test_an_attachment_that_is_packed_has_at_most_so_many_bytes(tmp_path: Path) -> None:
    """As a sparse file."""
    from builders.transcript import run

    (tmp_path / "files").mkdir()
    (tmp_path / "files/f").write_bytes(b"x")
    (tmp_path / "module.toml").write_text(
        'schema = "modseal/module@1"\nvendor = "A"\nname = "a"\nversion = "1"\nlevel = "community"\nsummary = "S"\n'
        '[[payload]]\nname = "base"\nroot = "files"\n'
        '[[attachment]]\nname = "big"\nfile = "big"\nmedia-type = "text/plain"\n'
    )
    for size, code in ((limits.ATTACHMENT_SIZE, 0), (limits.ATTACHMENT_SIZE + 1, 1)):
        with (tmp_path / "big").open("wb") as file:
            file.truncate(size)
        done = run("pack", "module.toml", "-o", "out.seal", cwd=tmp_path)
        assert done.code == code, done.err


@bounds("SPEC_SIZE")
def test_a_spec_has_at_most_so_many_bytes() -> None:
    assert toml_text.parse(b"#" + b"x" * (limits.SPEC_SIZE - 1)).values == {}
    with pytest.raises(ValueError, match="the file is over"):
        toml_text.parse(b"#" + b"x" * limits.SPEC_SIZE)


@bounds("POLICY_FILE_SIZE")
def test_a_file_that_a_policy_names_has_at_most_so_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, limits.POLICY_FILE_SIZE)
    assert len(policy_sources.read_bounded(path)) == limits.POLICY_FILE_SIZE
    os.truncate(path, limits.POLICY_FILE_SIZE + 1)
    for endless in (path, Path("/dev/zero")):
        with pytest.raises(OSError, match="over"):
            policy_sources.read_bounded(endless)


@bounds("KEY_FILE_SIZE")
def test_a_key_file_has_at_most_so_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    good = root().pem
    path.write_bytes(good + b"\n" * (limits.KEY_FILE_SIZE - len(good)))
    assert len(material.read_certificates(path)) == 1
    path.write_bytes(good + b"\n" * (limits.KEY_FILE_SIZE - len(good) + 1))
    with pytest.raises(KeyMaterialError, match="is over"):
        material.read_certificates(path)


@bounds("KEY_PARTS")
def test_a_dotted_key_has_at_most_so_many_parts() -> None:
    parts = ["a"] * limits.KEY_PARTS
    assert toml_text.parse(f"{'.'.join(parts)} = 1".encode()).values
    for text in (f"{'.'.join([*parts, 'a'])} = 1", f"[{'.'.join([*parts, 'a'])}]"):
        with pytest.raises(ValueError, match="parts"):
            toml_text.parse(text.encode())


@bounds("PREPARED_SIZE")
def test_a_signature_made_elsewhere_has_at_most_so_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "prepared"
    path.write_bytes(bytes(limits.PREPARED_SIZE))
    assert two_step._read(path) == bytes(limits.PREPARED_SIZE)
    path.write_bytes(bytes(limits.PREPARED_SIZE + 1))
    with pytest.raises(UsageError, match="is over"):
        two_step._read(path)


@bounds("TRUST_BUNDLE_SIZE")
def test_a_trust_bundle_has_at_most_so_many_bytes(tmp_path: Path) -> None:
    """As a sparse file that is not even an archive."""
    path = tmp_path / "bundle"
    for size, words in ((limits.TRUST_BUNDLE_SIZE, "begins with zeros"), (limits.TRUST_BUNDLE_SIZE + 1, "it is over")):
        with path.open("wb") as file:
            file.truncate(size)
        assert words in refused("trust-bundle-invalid", read_bundle, path)


@bounds("TRUST_FILES")
def test_a_trust_bundle_has_at_most_so_many_files() -> None:
    def made(count: int) -> bytes:
        more = {f"anchors/{number}.pem": b"x" for number in range(count - len(files()))}
        bundle = make_trust_bundle(contents={**files(), **more})
        return archive(trust_members(bundle))

    assert len(trust_bundle.decode(made(limits.TRUST_FILES)).files) == limits.TRUST_FILES
    assert refused("trust-bundle-invalid", made, limits.TRUST_FILES + 1)


@bounds("ROOT_SIGNERS")
def test_a_trust_bundle_has_at_most_so_many_root_signers() -> None:
    def made(count: int) -> bytes:
        keepers = [keeper(20 + number) for number in range(count)]
        bundle = make_trust_bundle(signers=keepers, by=[A], threshold=1)
        assert bundle.root == root_of(1, *keepers)
        return archive(trust_members(bundle))

    assert len(trust_bundle.decode(made(limits.ROOT_SIGNERS)).root.signers) == limits.ROOT_SIGNERS
    assert refused("trust-bundle-invalid", made, limits.ROOT_SIGNERS + 1)


@bounds("STREAM_SIZE")
def test_a_bundle_from_a_stream_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 GiB are no test; the limit that is set here is read where the real one is."""
    monkeypatch.setattr(limits, "STREAM_SIZE", 1000)

    def size_of_copy(size: int) -> int:
        reader, writer = os.pipe()
        os.write(writer, bytes(size))
        os.close(writer)
        with os.fdopen(reader), open_file_or_stream(f"/dev/fd/{reader}") as descriptor:
            return os.fstat(descriptor).st_size

    assert size_of_copy(1000) == 1000
    with pytest.raises(InputError, match="over 1000 bytes"):
        size_of_copy(1001)
