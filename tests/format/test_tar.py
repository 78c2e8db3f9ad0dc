"""The tar of a payload: one canonical form, and what genuine old files may have besides."""

import contextlib
import io
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import rules, tar
from modseal.format.manifest import Entry, FileType
from modseal.format.stream import Stream
from modseal.format.tar import Dialect

MTIME = 1_700_000_000
TREE = [
    (Entry("etc", FileType.DIRECTORY, 0o755), b""),
    (Entry("etc/app.conf", FileType.FILE, 0o644, 5), b"a = 1"),
    (Entry("etc/empty", FileType.FILE, 0o600, 0), b""),
    (Entry("etc/link", FileType.SYMLINK, 0o777, target="app.conf"), b""),
    (Entry("opt/" + "d" * 90 + "/" + "n" * 90, FileType.FILE, 0o4755, 1200), b"x" * 1200),
]


def packed(tree=TREE, mtime=MTIME):
    return b"".join(tar.write([(entry, iter([data])) for entry, data in tree], mtime))


def unpack(data, dialect=Dialect.CANONICAL, mtime=MTIME):
    stream = Stream(iter([data[at : at + 700] for at in range(0, len(data), 700)]), "bad-listing")
    return [(entry, b"".join(content)) for entry, content in tar.read(stream, dialect, mtime)]


def refused(data, dialect=Dialect.CANONICAL):
    with pytest.raises(FormatError) as raised:
        unpack(data, dialect)
    return raised.value.failure.code


def header(
    name=b"f",
    *,
    magic=tar.MAGIC,
    mode=b"0000644\0",
    size=b"00000000000\0",
    flag=b"0",
    link=b"",
    user=b"root",
    device=b"0000000\0",
    prefix=b"",
    rest=b"",
    checksum=None,
):
    """A header of our own making: the way to break one field."""
    blank = tar._HEADER.pack(
        name,
        mode,
        b"0000000\0",
        b"0000000\0",
        size,
        b"00000000000\0",
        b" " * 8,
        flag,
        link,
        magic,
        user,
        b"root",
        device,
        device,
        prefix,
        rest,
    )
    return blank[:148] + (b"%06o\0 " % sum(blank) if checksum is None else checksum) + blank[156:]


def joined(entry, data):
    """An entry as the writer makes it, without the writer's checks of the listing."""
    return tar.encode_header(entry, MTIME) + data + bytes(-len(data) % 512)


END = bytes(1024)


def test_what_is_written_is_read_back():
    assert unpack(packed()) == TREE
    assert unpack(packed(), Dialect.LEGACY) == TREE


def test_content_that_nobody_reads_is_skipped():
    assert [entry for entry, _ in tar.read(Stream(iter([packed()]), "bad-listing"), Dialect.CANONICAL, MTIME)] == [
        entry for entry, _ in TREE
    ]


def test_python_s_tarfile_sees_the_same_entries():
    with tarfile.open(fileobj=io.BytesIO(packed())) as archive:
        members = archive.getmembers()
    assert [(member.name, member.mode, member.mtime, member.uid, member.uname) for member in members] == [
        (entry.path, entry.mode, MTIME, 0, "root") for entry, _ in TREE
    ]


def test_gnu_tar_lists_the_same_paths():
    if not shutil.which("tar"):
        pytest.skip("no tar on this machine")
    listed = subprocess.run(["tar", "-tf", "-"], input=packed(), capture_output=True, check=True).stdout.decode()
    assert [line.rstrip("/") for line in listed.splitlines()] == [entry.path for entry, _ in TREE]


def test_a_canonical_header_has_these_very_bytes():
    block = tar.encode_header(Entry("opt/a", FileType.FILE, 0o644, 10), 1)
    expected = (
        b"opt/a".ljust(100, b"\0")
        + b"0000644\0"
        + b"0000000\0" * 2
        + b"00000000012\0"
        + b"00000000001\0"
        + b"006533\0 "
        + b"0"
        + bytes(100)
        + b"ustar\x0000"
        + b"root".ljust(32, b"\0") * 2
        + b"0000000\0" * 2
        + bytes(155)
        + bytes(12)
    )
    assert block[:148] == expected[:148]
    assert block[156:] == expected[156:]
    assert block[148:156] == b"%06o\0 " % (sum(expected) - sum(expected[148:156]) + 256)


@pytest.mark.parametrize(
    ("path", "name", "prefix"),
    [
        ("a" * 100, b"a" * 100, b""),
        ("ab/" + "c" * 98, b"c" * 98, b"ab"),
        ("a/b/" + "c" * 97, b"b/" + b"c" * 97, b"a"),
        ("p" * 154 + "/" + "n" * 100, b"n" * 100, b"p" * 154),
    ],
)
def test_a_long_path_is_split_at_its_first_fitting_slash(path, name, prefix):
    assert tar.split_path(Entry(path, FileType.FILE, 0o644, 0)) == (name, prefix)


LONG = [
    Entry("a" * 101, FileType.FILE, 0o4755, 3),
    Entry("b" * 100, FileType.DIRECTORY, 0o700),
    Entry("b" * 100 + "/" + "é" * 60, FileType.SYMLINK, 0o777, target="x"),
    Entry("c/" + "n" * 253, FileType.FILE, 0o644, 3),
    Entry("p" * 156 + "/n", FileType.FILE, 0o644, 3),
    Entry("q" * 255, FileType.DIRECTORY, 0o755),
]
"""Paths that no ustar header can hold, in order."""


def long_tree():
    return [(entry, b"abc" if entry.type is FileType.FILE else b"") for entry in LONG]


@pytest.mark.parametrize("entry", LONG)
def test_a_path_that_cannot_be_split_is_refused_where_hosts_read_the_tar(entry):
    with pytest.raises(FormatError) as raised:
        list(tar.write([(entry, iter(()))], 0, Dialect.LEGACY))
    assert raised.value.failure.code == "limit-exceeded"


def test_a_path_that_cannot_be_split_stands_in_a_pax_header_of_a_seal():
    tree = long_tree()
    assert unpack(packed(tree)) == tree
    mixed = sorted([*TREE, *tree], key=lambda item: rules.sort_key(item[0].path))
    assert unpack(packed(mixed)) == mixed


def test_a_pax_header_has_these_very_bytes():
    path = b"p" * 156 + b"/n"
    extended, record, own = (tar.encode_headers(LONG[4], 1)[at : at + 512] for at in (0, 512, 1024))
    assert extended == header(b"././@PaxHeader", flag=b"x", size=b"00000000250\0")[:136] + extended[136:]
    assert extended[136:148] == b"00000000001\0"
    assert record == b"168 path=" + path + b"\n" + bytes(512 - 168)
    assert own[:124] == header(b"././@LongPath")[:124]
    assert own[156:] == header(flag=b"0")[156:]


def test_every_changed_byte_of_a_pax_header_is_refused_or_gives_another_path():
    data = bytearray(packed(long_tree()[:1]))
    path = range(512 + len("111 path="), 512 + len("111 path=") + 101)
    for at in (at for at in range(3 * 512) if at not in path):
        data[at] ^= 1
        assert refused(bytes(data))
        data[at] ^= 1


def pax(record, *, own=None, extended=b""):
    """A file behind a pax header of our own making."""
    entry = LONG[0]
    blank = tar.encode_headers(entry, MTIME)
    head = extended or tar._fields(b"././@PaxHeader", 0o644, len(record), MTIME, b"x")
    return head + record.ljust(512, b"\0") + (own or blank[1024:]) + b"abc".ljust(512, b"\0")


LONG_RECORD = b"111 path=" + b"a" * 101 + b"\n"


def test_the_pax_header_that_these_tests_break_is_a_good_one():
    assert unpack(pax(LONG_RECORD) + END) == long_tree()[:1]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"109 path=" + b"a" * 99 + b"\n",  # it fits a header
        b"114 path=" + b"a" * 4 + b"/" + b"b" * 99 + b"\n",  # it can be split
        b"112 path=" + b"a" * 101 + b"\n",
        b"0111 path=" + b"a" * 101 + b"\n",
        b"111  path=" + b"a" * 100 + b"\n",
        LONG_RECORD[:-1] + b"\0",
        LONG_RECORD + b"\n",
        LONG_RECORD + LONG_RECORD,
        LONG_RECORD + b"13 size=1024\n",
        b"13 size=1024\n" + LONG_RECORD,
        LONG_RECORD + b"15 linkpath=/a\n",
        LONG_RECORD.replace(b" path", b" Path"),
        b"119 GNU.sparse.name=" + b"a" * 98 + b"\n",
        b"29 hdrcharset=BINARY\n",
        LONG_RECORD.ljust(300, b"\0") + b"x",
    ],
)
def test_a_pax_header_has_one_path_that_needs_it_in_one_form(record):
    assert refused(pax(record) + END) == "bad-listing"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"../" + b"a" * 101, "unsafe-path"),
        (b"/" + b"a" * 101, "unsafe-path"),
        (b"a\n" + b"a" * 101, "unsafe-path"),
        (b"a/../" + b"a" * 101, "unsafe-path"),
        (b"\xff" + b"a" * 101, "unsafe-path"),
        (b"a" * 101 + b"/", "unsafe-path"),
        (b"a" * 256, "unsafe-path"),
    ],
)
def test_a_path_in_a_pax_header_follows_the_rules_of_all_paths(path, code):
    assert refused(pax(b"%d path=%s\n" % (len(path) + 10, path)) + END) == code


def test_what_stands_around_a_pax_header_has_one_form_too():
    entry = LONG[0]
    extended, own = tar.encode_headers(entry, MTIME)[:512], tar.encode_headers(entry, MTIME)[1024:]
    cut = tar._fields(b"a" * 100, 0o4755, 3, MTIME, b"0")
    assert refused(pax(LONG_RECORD, own=cut) + END) == "bad-listing"  # the name as other writers cut it
    assert refused(pax(LONG_RECORD, own=tar._fields(b"././@LongPath", 0o4755, 3, MTIME, b"1")) + END) == "unsafe-type"
    for name, mode, size, mtime, flag in (
        (b"PaxHeaders/a", 0o644, 111, MTIME, b"x"),
        (b"././@PaxHeader", 0o600, 111, MTIME, b"x"),
        (b"././@PaxHeader", 0o644, 112, MTIME, b"x"),
        (b"././@PaxHeader", 0o644, 111, MTIME + 1, b"x"),
    ):
        other = tar._fields(name, mode, size, mtime, flag)
        assert refused(pax(LONG_RECORD, extended=other) + END) == "bad-listing"
    for flag in (b"g", b"X", b"L"):
        other = tar._fields(b"././@PaxHeader", 0o644, 111, MTIME, flag)
        assert refused(pax(LONG_RECORD, extended=other) + END) == "unsafe-type"
    twice = extended + LONG_RECORD.ljust(512, b"\0")
    assert refused(twice + pax(LONG_RECORD) + END) == "unsafe-type"
    assert refused(twice + END) == "bad-listing"
    assert refused(twice[:512]) == "bad-listing"
    assert refused(own + b"abc".ljust(512, b"\0") + END) == "bad-listing"  # a name for the path and no path


def test_a_pax_header_is_refused_where_hosts_read_the_tar():
    assert refused(packed(long_tree()), Dialect.LEGACY) == "unsafe-type"


@pytest.mark.parametrize("tool", [("tar",), ("bsdtar",), ("busybox", "tar")])
def test_common_tools_read_long_paths(tool, tmp_path):
    if not shutil.which(tool[0]):
        pytest.skip(f"no {tool[0]} on this machine")
    tree = long_tree()
    (tmp_path / "a.tar").write_bytes(packed(tree))
    (tmp_path / "out").mkdir()
    subprocess.run([*tool, "-xf", "../a.tar"], cwd=tmp_path / "out", check=True)
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*"))
    assert found == sorted({*(entry.path for entry in LONG), "c", "p" * 156})
    assert (tmp_path / "out" / LONG[0].path).read_bytes() == b"abc"


def test_python_s_tarfile_reads_long_paths():
    with tarfile.open(fileobj=io.BytesIO(packed(long_tree()))) as archive:
        members = archive.getmembers()
    assert [(member.name, member.mode, member.size, member.mtime) for member in members] == [
        (entry.path, entry.mode, entry.size or 0, MTIME) for entry in LONG
    ]


@pytest.mark.parametrize(
    ("entry", "mtime"),
    [
        (Entry("a", FileType.FILE, 0o644, 8 * limits.GIB), 0),
        (Entry("a", FileType.FILE, 0o644, 0), 8**11),
        (Entry("a", FileType.FILE, 0o644, 0), -1),
    ],
)
def test_a_number_that_does_not_fit_its_field_is_refused(entry, mtime):
    with pytest.raises(FormatError) as raised:
        tar.encode_header(entry, mtime)
    assert raised.value.failure.code == "limit-exceeded"


def test_every_changed_byte_outside_the_contents_is_refused_in_a_seal():
    data = packed(TREE[:2])
    content = range(1024, 1024 + 5)
    changed = bytearray(data)
    for at in (at for at in range(len(data)) if at not in content):
        changed[at] ^= 1
        assert refused(bytes(changed))
        changed[at] ^= 1


@pytest.mark.parametrize("cut", [1, 511, 512, 1023, 1024, 1025, 2000])
def test_a_cut_tar_is_refused(cut):
    assert refused(packed()[:-cut]) == "bad-listing"


@pytest.mark.parametrize("more", [b"\0", bytes(512), b"x", packed()])
def test_nothing_may_follow_the_end_in_a_seal(more):
    assert refused(packed() + more) == "bad-listing"


def test_another_time_than_the_manifest_s_is_refused():
    assert refused(packed(mtime=MTIME + 1)) == "bad-listing"


@pytest.mark.parametrize("order", [[1, 0], [0, 0], [0, 1, 1]])
def test_entries_are_sorted_and_none_comes_twice(order):
    assert refused(b"".join(joined(*TREE[index]) for index in order) + END) == "bad-listing"
    with pytest.raises(FormatError):
        packed([TREE[index] for index in order])


def test_a_directory_sorts_before_what_it_holds_and_after_nothing_else():
    tree = [
        (Entry("a", FileType.DIRECTORY, 0o755), b""),
        (Entry("a/b", FileType.FILE, 0o644, 0), b""),
        (Entry("a-b", FileType.FILE, 0o644, 0), b""),
    ]
    assert unpack(packed(tree)) == tree


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (Entry("/etc/x", FileType.FILE, 0o644, 0), "unsafe-path"),
        (Entry("../x", FileType.FILE, 0o644, 0), "unsafe-path"),
        (Entry("a//b", FileType.FILE, 0o644, 0), "unsafe-path"),
        (Entry("a\nb", FileType.FILE, 0o644, 0), "unsafe-path"),
        (Entry("a", FileType.SYMLINK, 0o777, target="../x"), "unsafe-link"),
        (Entry("a", FileType.SYMLINK, 0o777, target="/x"), "unsafe-link"),
        (Entry("a", FileType.FILE, 0o10644, 0), "unsafe-mode"),
    ],
)
def test_reader_and_writer_refuse_the_same_entries(entry, code):
    assert refused(tar.encode_header(entry, MTIME) + END) == code
    with pytest.raises(FormatError) as raised:
        packed([(entry, b"")])
    assert raised.value.failure.code == code


def test_more_entries_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "FILES", 4)
    assert refused(b"".join(joined(*item) for item in TREE) + END) == "limit-exceeded"


# The old forms.


def test_old_gnu_headers_are_read():
    data = (
        header(b"./", magic=tar.GNU_MAGIC, flag=b"5")
        + header(b"./bin/", magic=tar.GNU_MAGIC, flag=b"5", device=b"")
        + header(b"./bin/x", magic=tar.GNU_MAGIC, mode=b"   755 \0", size=b"          3 ", flag=b"\0")
        + b"abc".ljust(512, b"\0")
        + END
    )
    assert unpack(data, Dialect.LEGACY) == [
        (Entry("bin", FileType.DIRECTORY, 0o644), b""),
        (Entry("bin/x", FileType.FILE, 0o755, 3), b"abc"),
    ]


def test_zero_padding_at_the_end_is_tolerated_in_an_old_tar():
    data = header() + END
    assert unpack(data.ljust(10240, b"\0"), Dialect.LEGACY)
    assert refused(data + b"\0" * 511, Dialect.LEGACY) == "bad-listing"
    assert refused(data + b"\0" * 511 + b"x", Dialect.LEGACY) == "bad-listing"
    assert refused(header() + bytes(512), Dialect.LEGACY) == "bad-listing"


@pytest.mark.parametrize("flag", [b"1", b"3", b"4", b"6", b"7", b"x", b"g", b"L", b"K", b"S", b"D", b"V"])
def test_other_types_are_refused(flag):
    assert refused(header(flag=flag) + END, Dialect.LEGACY) == "unsafe-type"


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"name": b""}, "unsafe-path"),
        ({"name": b"./"}, "unsafe-path"),
        ({"name": b"dir/"}, "unsafe-path"),
        ({"name": b"a\0b"}, "bad-listing"),
        ({"name": b"\xff"}, "unsafe-path"),
        ({"magic": b"ustar  0"}, "bad-listing"),
        ({"magic": tar.VISOR_MAGIC}, "bad-listing"),
        ({"size": b"\x80" + bytes(11)}, "bad-listing"),
        ({"size": b"0000000000x\0"}, "bad-listing"),
        ({"size": b"-0000000001\0"}, "bad-listing"),
        ({"size": b"777777777777"}, "limit-exceeded"),
        ({"mode": b"\0" * 8}, "bad-listing"),
        ({"mode": b"0o00644\0"}, "bad-listing"),
        ({"link": b"x"}, "bad-listing"),
        ({"user": b"ro\0ot"}, "bad-listing"),
        ({"device": b"x"}, "bad-listing"),
        ({"rest": b"x"}, "bad-listing"),
        ({"flag": b"5", "size": b"00000000001\0"}, "bad-listing"),
        ({"flag": b"2"}, "unsafe-link"),
        ({"flag": b"2", "link": b"/etc"}, "unsafe-link"),
        ({"checksum": b"000001\0 "}, "bad-listing"),
        ({"magic": tar.GNU_MAGIC, "prefix": b"1"}, "bad-listing"),
        ({"prefix": b"\0etc"}, "bad-listing"),
        ({"prefix": b"opt\0etc"}, "bad-listing"),
        ({"device": b"0000001\0"}, "bad-listing"),
        ({"name": b"./", "flag": b"5", "mode": b"0000777\0"}, "unsafe-mode"),
        ({"name": b"./", "flag": b"5", "mode": b"0004755\0"}, "unsafe-mode"),
        ({"name": b"./", "flag": b"5", "mode": b"0040755\0"}, "unsafe-mode"),
    ],
)
def test_a_broken_field_is_refused(broken, code):
    assert refused(header(**broken) + END, Dialect.LEGACY) == code


def test_the_same_path_twice_is_refused_however_it_is_written():
    assert refused(header(b"a") + header(b"./a") + END, Dialect.LEGACY) == "bad-listing"


def test_padding_after_a_file_must_be_zero():
    data = header(size=b"00000000001\0") + b"ab".ljust(512, b"\0") + END
    assert refused(data, Dialect.LEGACY) == "bad-listing"


# Any input at all.


@settings(max_examples=300)
@given(st.binary(max_size=2000), st.sampled_from(Dialect))
def test_any_bytes_are_read_or_refused(data, dialect):
    with contextlib.suppress(FormatError):
        unpack(data, dialect)


@settings(max_examples=300)
@given(st.integers(0, 3071), st.integers(1, 255), st.sampled_from(Dialect))
def test_any_changed_byte_is_read_or_refused(at, change, dialect):
    data = bytearray(packed(TREE[:2]))
    data[at % len(data)] ^= change
    with contextlib.suppress(FormatError):
        unpack(bytes(data), dialect)
