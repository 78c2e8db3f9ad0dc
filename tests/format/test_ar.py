"""The container at its edges. What attackers do to it is in tests/attacks/test_attacks_container.py."""

from __future__ import annotations

import pytest

from builders.bundles import header
from modseal import limits
from modseal.errors import FormatError
from modseal.format import ar
from modseal.format.source import BytesSource


def read(data: bytes) -> tuple[ar.Member, ...]:
    return ar.read(BytesSource(data))


def code(data: bytes) -> str:
    with pytest.raises(FormatError) as raised:
        read(data)
    return raised.value.failure.code


def archive(*members: tuple[str, bytes]) -> bytes:
    parts = [ar.encode_header(name, len(data)) + data + ar.padding(len(data)) for name, data in members]
    return ar.MAGIC + b"".join(parts)


def test_members_are_where_they_are() -> None:
    data = archive(("one", b"odd"), ("two", b""), ("three.x-y_z", b"even"))
    assert read(data) == (
        ar.Member("one", 68, 3, True),
        ar.Member("two", 132, 0, True),
        ar.Member("three.x-y_z", 192, 4, True),
    )
    source = BytesSource(data)
    spans = [member.span(source) for member in ar.read(source)]
    assert [span.read(0, span.size) for span in spans] == [b"odd", b"", b"even"]


def test_an_archive_may_be_empty() -> None:
    assert read(ar.MAGIC) == ()


def test_a_header_that_we_would_write_is_recognised_and_any_other_is_parsed() -> None:
    for name in ("base", "X", "n" * limits.MEMBER_NAME_LENGTH):
        assert ar.recognise_header(ar.encode_header(name, 10), 8) == ar.Member(name, 68, 10, plain=True)
    for other in (header("base/", 10), header("base", 10, mtime="1"), header("a b", 10), header("\u00e9", 10)):
        assert ar.recognise_header(other, 8) is None


@pytest.mark.parametrize("data", [b"", ar.MAGIC[:-1], b"!<arch>\r", b"?" + ar.MAGIC[1:], b"x" + ar.MAGIC])
def test_anything_else_is_no_bundle(data: bytes) -> None:
    assert code(data) == "not-a-bundle"


def test_a_header_is_sixty_bytes_of_text() -> None:
    assert ar.encode_header("name", 12) == b"name            0           0     0     0       12        `\n"
    assert len(ar.encode_header("n" * limits.MEMBER_NAME_LENGTH, limits.MEMBER_SIZE)) == ar.HEADER_SIZE
    assert ar.encode_header("name", 0) == header("name", 0)


@pytest.mark.parametrize("name", ["", "n" * (limits.MEMBER_NAME_LENGTH + 1), "a b", "a/", "."])
def test_a_header_that_the_reader_would_refuse_is_not_written(name: str) -> None:
    with pytest.raises(FormatError) as raised:
        ar.encode_header(name, 0)
    assert raised.value.failure.code == "malformed-archive"


@pytest.mark.parametrize("size", [-1, limits.MEMBER_SIZE + 1])
def test_a_size_that_does_not_fit_is_not_written(size: int) -> None:
    with pytest.raises(FormatError) as raised:
        ar.encode_header("name", size)
    assert raised.value.failure.code == "limit-exceeded"


def test_an_odd_member_is_followed_by_one_line_feed() -> None:
    assert [ar.padding(size) for size in (0, 1, 2, 3)] == [b"", b"\n", b"", b"\n"]
    odd = archive(("a", b"x"))
    assert code(odd[:-1]) == "malformed-archive"
    assert code(odd[:-1] + b"\0") == "malformed-archive"
    assert code(odd[:-1] + ar.encode_header("b", 0)) == "malformed-archive"
    assert code(odd + b"\n") == "trailing-bytes"
    assert code(archive(("a", b"xy")) + b"\n") == "trailing-bytes"


def test_every_cut_is_a_truncation_or_missing_padding() -> None:
    data = archive(("abc", b"data"), ("def", b"odd"))
    whole = {len(ar.MAGIC), len(ar.MAGIC) + 64}
    for length in range(len(ar.MAGIC), len(data)):
        if length in whole:
            assert len(read(data[:length])) == (length - len(ar.MAGIC)) // 64
        else:
            assert code(data[:length]) == ("malformed-archive" if length == len(data) - 1 else "truncated"), length


@pytest.mark.parametrize("rest", [b"\n", b"\0", b"*" * 59, b"name            x", b"name            0`\n"])
def test_what_is_no_start_of_a_header_was_appended(rest: bytes) -> None:
    assert code(archive(("a", b"")) + rest) == "trailing-bytes"


def test_sixty_bytes_that_are_no_header_are_malformed() -> None:
    assert code(ar.MAGIC + b"*" * 60) == "malformed-archive"
    assert code(ar.MAGIC + header("a", 0, end=b"`\r")) == "malformed-archive"
    assert code(ar.MAGIC + header("a", 0, end=b"\n`")) == "malformed-archive"


def test_the_number_of_members_has_a_limit() -> None:
    members = [(f"m{number}", b"") for number in range(limits.MEMBERS + 1)]
    assert len(read(archive(*members[1:]))) == limits.MEMBERS
    assert code(archive(*members)) == "limit-exceeded"


def test_two_members_of_one_name_are_refused() -> None:
    assert code(archive(("a", b""), ("b", b""), ("a", b""))) == "duplicate-member"


@pytest.mark.parametrize(
    ("fields", "dated"),
    [
        ({}, False),
        ({"mtime": "1"}, True),
        ({"uid": "1000"}, True),
        ({"gid": "1"}, True),
        ({"mtime": "000"}, False),
        ({"uid": "-1", "gid": "-1"}, False),
        ({"mode": "100644"}, False),
    ],
)
def test_a_time_or_an_owner_makes_a_header_dated(fields: dict[str, str], dated: bool) -> None:
    (member,) = read(ar.MAGIC + header("a", 0, **fields))
    assert member.dated is dated


def test_what_genuine_vibs_vary_is_read_and_is_not_plain() -> None:
    for changes in (
        {"mtime": "1700000000"},
        {"mtime": "00"},
        {"uid": "1000"},
        {"uid": "-1"},
        {"gid": "-1"},
        {"gid": "07"},
        {"mode": "644"},
        {"mode": "0o0"},
        {"name": "a/"},
    ):
        (member,) = read(ar.MAGIC + header(**{"name": "a", "size": 0, **changes}))
        assert (member.name, member.offset, member.size, member.plain) == ("a", 68, 0, False), changes
    (member,) = read(ar.MAGIC + header("a", 0))
    assert member.plain


@pytest.mark.parametrize(
    "changes",
    [
        {"mtime": ""},
        {"mtime": "-1"},
        {"mtime": "1 2"},
        {"uid": ""},
        {"uid": "-2"},
        {"gid": "0x0"},
        {"gid": ""},
        {"mode": ""},
        {"mode": "8"},
        {"mode": "0o1"},
        {"mode": "-1"},
        {"size": ""},
        {"size": "-1"},
        {"size": "00"},
        {"size": "01"},
        {"size": "0 0"},
        {"name": ""},
        {"name": "."},
        {"name": ".."},
        {"name": "./"},
        {"name": "../"},
        {"name": "a//"},
        {"name": "a b"},
        {"name": "n" * 16},
    ],
)
def test_no_other_form_of_a_field_is_read(changes: dict[str, str]) -> None:
    assert code(ar.MAGIC + header(**{"name": "a", "size": 0, **changes})) == "malformed-archive"


def test_a_seal_has_one_form_of_header_and_a_vib_has_more() -> None:
    plain, other = ar.Member("a", 68, 0, True), ar.Member("b", 128, 0, False)
    ar.require_plain((plain,), "seal")
    ar.require_plain((plain, other), "vib")
    for members in ((other,), (plain, other), (other, plain)):
        with pytest.raises(FormatError) as raised:
            ar.require_plain(members, "seal")
        assert raised.value.failure.code == "malformed-archive"


@pytest.mark.parametrize("field", ["mtime", "uid", "gid", "mode", "size"])
def test_a_field_in_another_form_is_named_with_its_value_and_place(field: str) -> None:
    data = archive(("a", b"")) + header("b", **{"size": 0, field: "x"})
    with pytest.raises(FormatError) as raised:
        read(data)
    failure = raised.value.failure
    assert failure.detail == f"the {field} field at offset 68 is not in an accepted form"
    assert (failure.evidence["field"], failure.evidence["offset"]) == (field, 68)
