"""The visor tar: what hosts read, byte for byte as genuine tools write it."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal.errors import FormatError
from modseal.format import visor
from modseal.format.manifest import Entry, FileType
from modseal.format.stream import Stream
from modseal.format.visor import Alignment, VisorFields, VisorLayout

TREE = [
    (Entry("etc", FileType.DIRECTORY, 0o755), b""),
    (Entry("etc/empty", FileType.FILE, 0o644, 0), b""),
    (Entry("etc/link", FileType.SYMLINK, 0o777, target="../usr/mod"), b""),
    (Entry("etc/sticky", FileType.FILE, 0o1644, 700), b"s" * 700),
    (Entry("usr", FileType.DIRECTORY, 0o1755), b""),
    (Entry("usr/mod", FileType.FILE, 0o755, 5000), b"\x7fELF" + b"m" * 4996),
    (Entry("usr/zzz", FileType.FILE, 0o644, 3), b"abc"),
]
FIELDS = {entry.path: visor.default_fields(entry, 946684800, data) for entry, data in TREE}
NEWEST = VisorLayout(fields=FIELDS)


def packed(tree=TREE, layout=NEWEST):
    return b"".join(visor.write([(entry, iter([data])) for entry, data in tree], layout))


def stream(data):
    return Stream(iter([data[at : at + 700] for at in range(0, len(data), 700)]), "bad-listing")


def unpack(data):
    return [(entry, b"".join(content)) for entry, content in visor.read(stream(data))]


def refused(data):
    with pytest.raises(FormatError) as raised:
        unpack(data)
    return raised.value.failure.code


def changed(index, at, value, data=None):
    """The tar with some bytes of one header replaced, and its checksum made right again."""
    data = bytearray(data or packed())
    block = data[index * 512 : index * 512 + 512]
    block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(byte - 256 * (byte > 127) for byte in block)
    data[index * 512 : index * 512 + 512] = block
    return bytes(data)


def offset_of(data, index):
    return struct.unpack_from("<I", data, index * 512 + 496)[0]


def test_what_is_written_is_read_back():
    assert unpack(packed()) == TREE


def test_the_newest_layout_puts_data_on_pages_and_fills_the_end_to_512():
    data = packed()
    assert [offset_of(data, index) for index in range(len(TREE))] == [0, 0, 0, 4096, 0, 8192, 16384]
    assert len(data) == 16384 + 512
    assert data[4096 : 4096 + 700] == b"s" * 700


def test_the_old_layout_puts_only_executables_on_pages():
    layout = VisorLayout(Alignment.SECTOR, padded=False, fields=FIELDS)
    data = packed(layout=layout)
    assert [offset_of(data, index) for index in range(len(TREE))] == [0, 0, 0, 4096, 0, 8192, 16384]
    tree = [TREE[3], TREE[6], TREE[5]]
    assert [offset_of(packed(tree, layout), index) for index in range(3)] == [2048, 3072, 4096]
    assert len(data) == 16384 + 3


def test_a_header_has_these_very_bytes():
    block = visor.encode_header(Entry("usr/mod", FileType.FILE, 0o755, 5000), FIELDS["usr/mod"], 0x8000)
    assert block[:100] == b"usr/mod".ljust(100, b"\0")
    assert block[100:148] == b"0000755\0" + b"0000000\0" * 2 + b"00000011610\0" + b"07033241600\0"
    assert block[156:257] == b"7" + bytes(100)
    assert block[257:329] == b"visor  \0" + b"root".ljust(32, b"\0") * 2
    assert block[329:] == bytes(167) + struct.pack("<IIII", 0x8000, 0, 0, 0)


def test_the_checksum_is_a_sum_of_signed_bytes():
    entry = Entry("a", FileType.FILE, 0o644, 1)
    low = visor.encode_header(entry, VisorFields(), 0x0200)
    high = visor.encode_header(entry, VisorFields(), 0xFE00)
    assert int(low[148:154], 8) - int(high[148:154], 8) == 4


@pytest.mark.parametrize("alignment", Alignment)
@pytest.mark.parametrize("padded", [True, False])
def test_a_layout_can_be_read_and_written_again(alignment, padded):
    fields = {
        **FIELDS,
        "etc": VisorFields("5", 1, 0o311, 0o311, "mts", "mts", device=True),
        "usr/mod": VisorFields("7", 2, 0o1750, 0o1750, "", "", text=(0, 2, 1)),
        "usr/zzz": VisorFields("0", 3, device=True),
    }
    data = packed(layout=VisorLayout(alignment, padded, fields))
    layout, entries = visor.read_layout(stream(data))
    assert layout.fields == fields
    assert packed([(entry, dict(TREE)[entry]) for entry in entries], layout) == data


def test_the_order_of_headers_is_free():
    tree = [TREE[5], TREE[0], TREE[3]]
    assert unpack(packed(tree)) == tree


def test_an_empty_visor_tar_has_no_entries():
    assert unpack(packed([])) == []


@pytest.mark.parametrize("cut", [1, 500, 512, 515, 9000])
def test_a_cut_visor_tar_is_refused(cut):
    assert refused(packed()[:-cut]) == "bad-listing"


@pytest.mark.parametrize("more", [b"\0", bytes(512), b"x", bytes(511) + b"x"])
def test_nothing_but_the_padding_follows_the_last_data(more):
    assert refused(packed() + more) == "bad-listing"


def test_every_changed_byte_outside_the_contents_is_refused():
    tree = [TREE[0], TREE[3]]
    data = bytearray(packed(tree))
    start = offset_of(data, 1)
    for at in (at for at in range(len(data)) if not start <= at < start + 700):
        data[at] ^= 1
        assert refused(bytes(data))
        data[at] ^= 1


@pytest.mark.parametrize(
    ("index", "at", "value", "code"),
    [
        (3, 496, struct.pack("<I", 8192), "bad-listing"),  # overlaps the next data
        (3, 496, struct.pack("<I", 16384), "bad-listing"),  # out of order
        (3, 496, struct.pack("<I", 4097), "bad-listing"),  # not aligned
        (3, 496, struct.pack("<I", 512), "bad-listing"),  # inside the headers
        (6, 496, struct.pack("<I", 0xFFFFFE00), "bad-listing"),  # beyond the end
        (3, 496, bytes(4), "bad-listing"),  # a size and no data
        (3, 504, struct.pack("<I", 1), "bad-listing"),  # text of a plain file
        (0, 496, struct.pack("<I", 4096), "bad-listing"),  # data of a directory
        (3, 124, b"00000010001\0", "bad-listing"),  # a size that reaches into the next data
        (0, 156, b"1", "unsafe-type"),
        (0, 156, b"x", "unsafe-type"),
        (0, 0, b"/tc/", "unsafe-path"),
        (3, 0, b"../", "unsafe-path"),
        (6, 0, b"usr/mod", "bad-listing"),  # listed twice
        (2, 157, b"../../x\0\0\0", "unsafe-link"),
        (3, 345, b"x", "bad-listing"),  # a prefix, which no tool uses
        (3, 20, b"x", "bad-listing"),  # bytes after the name
        (3, 257, b"ustar  \0", "bad-listing"),
        (3, 100, b"1000644\0", "unsafe-mode"),
    ],
)
def test_a_broken_header_is_refused(index, at, value, code):
    data = changed(index, at, value)
    assert refused(data) == code


OWN = offset_of(packed(), 5)
"""Where the data of the executable `usr/mod` is: 5000 bytes, two pages."""


@pytest.mark.parametrize("text", [(0, 0, 0), (0, 2, 2), (OWN, 2, 0), (OWN, 1, 1), (OWN + 4096, 1, 0)])
def test_the_text_of_an_executable_may_be_its_own_data(text):
    assert unpack(changed(5, 500, struct.pack("<III", *text))) == TREE


@pytest.mark.parametrize(
    "text",
    [
        (512, 1, 0),  # in the headers
        (4096, 1, 0),  # in the data of another file
        (OWN - 1, 1, 0),
        (OWN, 3, 0),  # reaches into the next file
        (0, 3, 0),
        (OWN + 4096, 2, 0),
        (OWN + 8193, 0, 0),
        (1 << 24, 1, 0),  # beyond the tar
        (0xFFFFFFFF, 0xFFFFFFFF, 0),
        (0, 0, 1),  # more pages to fix up than there are
        (OWN, 2, 3),
    ],
)
def test_the_text_of_an_executable_may_be_nothing_else(text):
    assert refused(changed(5, 500, struct.pack("<III", *text))) == "bad-listing"


def test_an_empty_file_has_no_place():
    assert refused(changed(1, 496, struct.pack("<I", 1 << 24))) == "bad-listing"


def test_a_wrong_checksum_is_refused():
    data = bytearray(packed())
    data[148:154] = b"%06o" % (int(data[148:154], 8) + 1)
    assert refused(bytes(data)) == "bad-listing"


@pytest.mark.parametrize("path", ["n" * 101, "d/" + "n" * 99])
def test_a_path_that_the_name_field_cannot_hold_is_refused(path):
    with pytest.raises(FormatError) as raised:
        packed([(Entry(path, FileType.FILE, 0o644, 0), b"")])
    assert raised.value.failure.code == "limit-exceeded"


def test_data_beyond_4_gib_is_refused_by_the_writer():
    big = Entry("a", FileType.FILE, 0o644, 2**32)
    with pytest.raises(FormatError) as raised:
        next(visor.write([(big, iter([])), (Entry("b", FileType.FILE, 0o644, 1), iter([]))], VisorLayout()))
    assert raised.value.failure.code == "limit-exceeded"


@settings(max_examples=300)
@given(st.integers(0, 7 * 512 - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_any_changed_header_is_read_or_refused(at, value, mend):
    index, at = divmod(at, 512)
    value = value[: 512 - at]
    data = changed(index, at, value)
    if not mend:
        data = data[: index * 512 + 148] + packed()[index * 512 + 148 : index * 512 + 156] + data[index * 512 + 156 :]
    for read in (unpack, lambda data: visor.read_layout(stream(data))):
        with contextlib.suppress(FormatError):
            read(data)


@settings(max_examples=200)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(FormatError):
        unpack(data)
