"""The four acceptance levels and their names."""

from __future__ import annotations

import enum


class Level(enum.IntEnum):
    """An acceptance level; a higher one is trusted further."""

    COMMUNITY = 1
    PARTNER = 2
    ACCEPTED = 3
    CERTIFIED = 4

    def __str__(self) -> str:
        return self._name_.lower()  # which is `name`, without its property

    @classmethod
    def parse(cls, text: str) -> Level:
        """The level of a name, in modseal's spelling or esxcli's; `ValueError` for any other text."""
        try:
            return _BY_NAME[text]
        except KeyError:
            raise ValueError(f"{text!r} is not one of {', '.join(_OWN_NAMES)}") from None


_OWN_NAMES = tuple(str(level) for level in sorted(Level, reverse=True))
_BY_NAME = {str(level): level for level in Level} | {
    "CommunitySupported": Level.COMMUNITY,
    "PartnerSupported": Level.PARTNER,
    "VMwareAccepted": Level.ACCEPTED,
    "VMwareCertified": Level.CERTIFIED,
}
