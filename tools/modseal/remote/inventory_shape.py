"""What a `remote.toml` may say: the shape, which schemas/remote.schema.json is made from."""

from __future__ import annotations

import re

from modseal import limits
from modseal.format.shape import Table, Text, TextMap

SCHEMA = "modseal/remote@1"
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")
"""A host's name in an inventory: nothing that an option, a file or an address could be."""

_FILES = {
    "ca": Text(most=4096, about="The CAs that the certificates of hosts come from: PEM. No other CA counts."),
    "certificate": Text(most=4096, about="The certificate that hosts know you by, and the CAs between: PEM."),
    "key": Text(most=4096, about="Its private key: PEM without a passphrase, that nobody else can read."),
}

SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,), about="The form of this file."),
        "host": TextMap(
            Text(NAME, form="letters, digits, '.', '_' and '-'", most=limits.HOST_NAME),
            Table(
                {"address": Text(most=limits.HOST_NAME + 8, about="NAME:PORT, as in the certificate of the host.")},
                _FILES,
                about="One host. What it says goes before what the file says for all.",
            ),
            most=limits.REMOTE_HOSTS,
            about="The hosts by their names.",
        ),
    },
    _FILES,
    about="The hosts that `modseal remote` manages: remote.toml. Files are relative to it, and no secret is in it.",
)
