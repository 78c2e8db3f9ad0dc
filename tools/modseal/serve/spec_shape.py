"""What a `serve.toml` may say: the shape, which schemas/serve.schema.json is made from."""

from __future__ import annotations

import re

from modseal import limits
from modseal.format.shape import Array, Integer, Table, Text
from modseal.serve.roles import ROLES

SCHEMA = "modseal/serve@1"
ADDRESS, PORT, USER, SPOOL = "127.0.0.1", 8443, "nobody", "/var/tmp"  # noqa: S108 - files without a name
UPLOAD, CONNECTIONS, REQUESTS = 4096, 512, 600
"""What holds where a spec says nothing: MiB of one upload, connections at once, requests of one client in a minute."""

_FILE = Text(most=4096)

WHO = {
    "certificate": Text(most=4096, about="The server's certificate, and the CAs between it and its root: PEM."),
    "key": Text(most=4096, about="Its private key: PEM, without a passphrase, readable by root alone."),
    "client": Array(
        Table(
            {
                "ca": Text(most=4096, about="A CA of clients, and the CAs below it that may issue for it: PEM."),
                "grants": Text(
                    choices=ROLES,
                    about="The highest role that a certificate of this CA can have, whatever it says.",
                ),
            },
            {
                "crls": Array(
                    _FILE,
                    most=limits.ITEMS,
                    about="CRLs: with them, each certificate below the CA needs one that is current.",
                )
            },
        ),
        least=1,
        most=limits.SERVE_CLIENT_CAS,
        about="Who may ask. Nobody else gets a connection.",
    ),
}
"""What every host that is served has to say."""

BOUNDS = {
    "upload": Integer(1, 1 << 20, about=f"The most that one upload may have, in MiB; {UPLOAD} by default."),
    "connections": Integer(8, 8192, about=f"Connections at one time; {CONNECTIONS} by default."),
    "requests": Integer(10, 100_000, about=f"Requests of one client in a minute; {REQUESTS} by default."),
}

_URL = re.compile(r"https://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?")
_WEBHOOK = Table(
    {
        "url": Text(_URL, form="an https address without user and query", most=limits.URI, about="Where to send."),
        "ca": Text(most=4096, about="The CA that the address must have a certificate of: PEM. No other one counts."),
        "key": Text(most=4096, about="The private key that signs what is sent: Ed25519, PEM, readable by root alone."),
    }
)

SHAPE = Table(
    {"schema": Text(choices=(SCHEMA,), about="The form of this file."), **WHO},
    {
        "address": Text(
            re.compile("[0-9A-Fa-f.:]+"), form="an IP address", most=45, about=f"Where to listen; {ADDRESS} by default."
        ),
        "port": Integer(0, 65535, about=f"{PORT} by default; 0 takes a free one."),
        "user": Text(
            re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]*"),
            form="a user's name",
            most=32,
            about=f"Who the process becomes that speaks to clients, where it is started by root; {USER} by default.",
        ),
        "webhook": Array(
            _WEBHOOK,
            most=limits.SERVE_WEBHOOKS,
            about="Where the lines of the log are sent as they are written. Clients cannot name any.",
        ),
        "spool": Text(most=4096, about=f"A folder for uploads, which have no name in it; {SPOOL} by default."),
        **BOUNDS,
    },
    about="How a host is managed from outside: serve.toml, as `modseal serve` reads it. Files are relative to it.",
)
