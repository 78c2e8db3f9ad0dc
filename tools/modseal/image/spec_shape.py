"""What a `host.toml` may say: the shape, which schemas/image.schema.json is made from."""

from __future__ import annotations

import re

from modseal import limits
from modseal.boot.documents import NETWORK, NUMBER, PORT
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.shape import Array, Integer, Table, Text
from modseal.image.initramfs import MODULES
from modseal.packing.spec_shape import SpecTime
from modseal.serve.spec_shape import BOUNDS, WHO
from modseal.serve.spec_shape import PORT as SERVE_PORT

SCHEMA = "modseal/image@1"
DATA_SIZE, CONSOLE = 256, "ttyS0"

_FILE = Text(most=4096, about="A file, relative to this spec.")
_KEY = Text(most=4096, about="A key: a PEM or PKCS#12 file, relative to this spec, or a URI such as pkcs11:...")
_SHA256 = Text(
    re.compile("[0-9a-f]{64}"),
    form="64 lower-case hex digits",
    least=64,
    most=64,
    about="A SHA-256. That of a file is the one that it must have.",
)
_PATTERN = Text(most=limits.PATH_LENGTH)
_FILES = {"file": _FILE, "sha256": _SHA256}
_MEGABYTES = "in MiB (1048576 bytes)"

SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,), about="The form of this file."),
        "name": Text(
            rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH, about="What the host is called."
        ),
        "version": NUMBER,
        "policy": Text(most=4096, about="The policy that modules are proved under: a file, relative to this spec."),
        "released": SpecTime(about="The time that everything in the image has (UTC)."),
        "keys": Table(
            {
                "pk": Text(most=4096, about="The certificate of the firmware's platform key (PK)."),
                "kek": Text(most=4096, about="The certificate of the key that may exchange the others (KEK)."),
                "db": Table(
                    {"key": _KEY, "cert": Text(most=4096, about="Its certificate.")},
                    about="The owner's key: it signs what the firmware starts, and what the kernel lets run.",
                ),
            },
            about="The owner's keys. RSA of 2048 bits or more.",
        ),
        "kernel": Table(
            _FILES,
            {
                "modules": Array(
                    Text(re.compile("[A-Za-z0-9_-]+"), form="a name of a kernel module", most=64),
                    unique=True,
                    about=f"Kernel modules, with what they depend on; {', '.join(MODULES)} by default.",
                ),
                "console": Text(re.compile("[A-Za-z0-9,]+"), form="a console", most=32, about=f"{CONSOLE} by default."),
            },
            about="Debian's package of a signed kernel with IPE, 6.12 or later.",
        ),
        "stub": Table(_FILES, about="Debian's package systemd-boot-efi, of which the EFI stub is used."),
        "firmware": Table(_FILES, about="An empty variable store, such as OVMF_VARS_4M.fd of Debian's package ovmf."),
        "package": Array(
            Table(
                _FILES,
                {
                    "include": Array(_PATTERN, about="Shell-style patterns of paths that are taken, and no others."),
                    "exclude": Array(_PATTERN, about="Shell-style patterns of paths that are left out."),
                },
            ),
            least=1,
            about="Debian packages that the root image has the libraries of. Their programs and documentation are left "
            "out where `include` does not name them.",
        ),
        "wheel": Array(Table(_FILES), least=1, about="Python wheels: modseal's own, and those that it needs."),
    },
    {
        "level": Text(
            choices=tuple(map(str, Level)), about="The host's acceptance level; the policy's minimum by default."
        ),
        "module": Array(Table({"file": _FILE}), most=limits.HOST_MODULES, about="Bundles, or folders of them."),
        "revoked": Array(
            _SHA256,
            most=limits.ITEMS,
            unique=True,
            about="Digests of older boot programs (`program` in their image.json), which the firmware then refuses.",
        ),
        "floor": Integer(1, 2**31 - 1, about="The lowest version that the host goes back to; 1 by default."),
        "generation": Integer(1, 2**31 - 1, about="The number of the first generation; 1 by default."),
        "network": NETWORK,
        "management": Table({"port": PORT}, about="Show the state over HTTP, and take what the owner has signed."),
        "serve": Table(
            WHO,
            {"port": Integer(1, 65535, about=f"{SERVE_PORT} by default."), **BOUNDS},
            about="Manage the host from outside, as `modseal serve` does: needs a network, and the wheels of aiohttp. "
            "The key goes to the data partition, and to no other part of the image.",
        ),
        "data-size": Integer(16, 1 << 20, about=f"Size of the data partition {_MEGABYTES}; {DATA_SIZE} by default."),
    },
    about="A host image: host.toml, as `modseal image build` reads it.",
)
