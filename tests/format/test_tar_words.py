"""Tars by other tools are refused in words that name the entry and what to do, never in Python's own form."""

from __future__ import annotations

import io
import tarfile

import pytest

from modseal.errors import FormatError
from modseal.format import tar
from modseal.format.stream import Stream


def refusal(**fields: object) -> str:
    out = io.BytesIO()
    form = fields.pop("form", tarfile.USTAR_FORMAT)
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("opt/x")
        for name, value in fields.items():
            setattr(entry, name, value)
        archive.addfile(entry)
    with pytest.raises(FormatError) as caught:
        list(tar.read(Stream(iter([out.getvalue()]), "bad-listing"), tar.Dialect.LEGACY))
    assert "b'" not in caught.value.failure.detail
    return caught.value.failure.detail


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"form": tarfile.PAX_FORMAT, "mtime": 1.5}, "is a pax header, which hosts cannot read"),
        ({"form": tarfile.GNU_FORMAT, "name": "n" * 150}, "is the long name of an entry as GNU tar writes it"),
        (
            {"form": tarfile.GNU_FORMAT, "uid": 1234567890},
            "the uid of 'opt/x' is not an octal number, but in GNU",
        ),
        (
            {"form": tarfile.GNU_FORMAT, "mtime": 2**40},
            "the mtime of 'opt/x' is not an octal number, but in GNU tar's form for numbers that are too large",
        ),
        (
            {"form": tarfile.GNU_FORMAT, "mtime": -5},
            "the mtime of 'opt/x' is not an octal number, but in GNU tar's form for numbers that are negative",
        ),
        ({"type": tarfile.LNKTYPE, "linkname": "opt/y"}, "'opt/x' is a hard link"),
        ({"type": tarfile.CHRTYPE}, "'opt/x' is a character device"),
        ({"type": tarfile.FIFOTYPE}, "'opt/x' is a FIFO"),
        ({"type": b"Z"}, "'opt/x' is of an unknown type, 0x5a"),
    ],
)
def test_an_entry_that_no_host_reads_is_named_in_words(fields: dict[str, object], words: str) -> None:
    assert words in refusal(**fields)
