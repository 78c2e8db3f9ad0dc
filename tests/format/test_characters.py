"""The lists of characters are those of Unicode 14.0, and every later version agrees about what they let through."""

from __future__ import annotations

import sys
import unicodedata

from modseal.format import characters

CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
EVERY = [chr(point) for point in range(sys.maxunicode + 1)]


def test_a_character_that_is_let_through_is_visible_here_too() -> None:
    """Where this Python knows a later version, it may see more characters, and none less."""
    listed = {character for character in EVERY if not characters.is_printable(character)}
    here = {character for character in EVERY if unicodedata.category(character) in CATEGORIES}
    assert here <= listed
    assert unicodedata.unidata_version != characters.UNICODE or here == listed
    assert unicodedata.unidata_version.partition(".")[0] >= characters.UNICODE.partition(".")[0]


def test_white_space_is_what_python_strips() -> None:
    assert set(characters.WHITE_SPACE) == {character for character in EVERY if character.isspace()}


def test_one_such_character_is_enough() -> None:
    assert characters.is_printable("a\u00e9\U0001f642")
    for bad in "\x00", "\x7f", "\u200b", "\u2028", "\ue000", "\U000e0001", "\U0010ffff", "\U0001fae8":
        assert not characters.is_printable(f"a\u00e9{bad}b")
