"""`modseal-init`: the first process of a host that the kernel's IPE protects. It becomes the system's own init.

The exported policy alone can be switched off by root, and got round (docs/enforcement.md). What closes that is done
before anything else runs, and cannot be undone (`ways_round`). If one of the steps fails the system does not start: the
kernel panics.

Only the standard library is used: all of it has to be in the verified image of the system.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from modseal.host import ways_round
from modseal.host.ways_round import put, write

SYSTEM_INIT = "/sbin/init"
POLICIES = ("/run/modseal/modseal.pol.p7b", "/etc/modseal/modseal.pol.p7b")
"""Where the signed policy is looked for. An image that it lists cannot hold it: the initramfs puts it into /run."""
PARAMETERS = ("proc_mem.force_override=never",)
"""What the kernel's command line has to have, as nothing else can set it."""
_SECURITY = Path("/sys/kernel/security")
_POLICY_NAME = "modseal"


def main() -> NoReturn:
    """Close every way round the policy, then become `/sbin/init` with the same arguments."""
    try:
        _mount_security()
        require_parameters(Path("/proc/cmdline").read_text(encoding="ascii"))
        _enforce(_policy())
        _lock_down()
        _close_ways_round()
        os.execv(SYSTEM_INIT, [SYSTEM_INIT, *sys.argv[1:]])  # noqa: S606 - a path of our own
    except (OSError, ValueError) as error:
        os.write(2, f"modseal-init: the system does not start: {error}\n".encode())
        os._exit(1)


def require_parameters(line: str, required: Sequence[str] = PARAMETERS) -> None:
    """Raises `ValueError` where the kernel's command line lacks one, or contradicts it later."""
    words = line.split()
    for one in required:
        name = one.partition("=")[0]
        if [word for word in words if word.partition("=")[0] == name][-1:] != [one]:
            raise ValueError(f"the kernel's command line has no {one}")


def _close_ways_round() -> None:
    missing = ways_round.close({})
    if missing:
        raise ValueError(f"this kernel has no {', '.join(missing)}")


def _mount_security() -> None:
    if not (_SECURITY / "ipe").is_dir():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"securityfs", os.fsencode(_SECURITY), b"securityfs", ctypes.c_ulong(0), None) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"mount {_SECURITY}: {os.strerror(number)}")
    if not (_SECURITY / "ipe").is_dir():
        raise ValueError("this kernel has no IPE")


def _policy() -> bytes | None:
    """The signed policy; None where there is none, and the initramfs has loaded it."""
    for name in POLICIES:
        if Path(name).exists():
            return Path(name).read_bytes()
    return None


def _enforce(policy: bytes | None) -> None:
    """Load a policy or, where one of that name is loaded, one that is not older; make it the active one."""
    place = _SECURITY / "ipe/policies" / _POLICY_NAME
    if policy is not None:
        write(place / "update" if place.is_dir() else _SECURITY / "ipe/new_policy", policy)
    put(place / "active", "1")
    put(_SECURITY / "ipe/enforce", "1")


def _lock_down() -> None:
    """Keep root from the kernel's memory and from unsigned kernel modules (Secure Boot has done so already)."""
    place = _SECURITY / "lockdown"
    if "[none]" in place.read_text(encoding="ascii"):
        write(place, b"integrity")
