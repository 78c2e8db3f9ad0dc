"""What a signer may do besides bringing plain files: the powers, and the places, bits and contents that need them.

One table, for verifier, audit and documentation (docs/policy.md). It names the usual places of Linux and ESXi and is
no list of everything that can hurt a host; to keep a module where it belongs, use `paths`.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable, Iterator
from itertools import product

from modseal.format import rules
from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Manifest
from modseal.values import dataclass


class Power(enum.StrEnum):
    """What an anchor may allow or not, by the key in its `may`. The gravest come first."""

    KERNEL_MODULES = "kernel-modules"
    SETUID = "setuid"
    DEVICES = "devices"
    AUTOSTART = "autostart"
    INTERPRETERS = "interpreters"
    REPLACE = "replace"


ALL_POWERS = frozenset(Power)
GUARDED = frozenset({Power.KERNEL_MODULES, Power.SETUID, Power.DEVICES, Power.REPLACE})
"""What a community signer, and an unsigned community module, may not do unless the policy says so."""

LENT_RIGHTS = rules.SPECIAL_BITS & ~rules.STICKY
"""Set-user-id and set-group-id. The sticky bit lends no rights."""

_WRITABLE = 0o022
"""Write permission for group or others: then other users, too, can do what the folder is for."""


def _each(folders: Iterable[str], *names: str) -> tuple[str, ...]:
    return tuple(folder + name for folder, name in product(folders, names))


_LIB = ("lib/", "usr/lib/", "usr/local/lib/")
_HOMES = ("root/", "home/*/", "etc/skel/")
_DROP_IN = ("etc/", "run/", *_LIB)
"""Where tools read their settings from; run/ and usr/local/lib/ count as etc/ does."""

PLACES: dict[Power, tuple[str, ...]] = {
    Power.KERNEL_MODULES: (
        *("*.ko", "*.ko.*"),
        *_each(_LIB, "modules/", "firmware/", "vmware/vmkmod/"),
        *_each(_DROP_IN, "modules-load.d/", "modprobe.d/", "depmod.d/"),
        *("etc/modules", "etc/modprobe.conf", "etc/sysconfig/modules/", "etc/dkms/", "var/lib/dkms/"),
    ),
    Power.SETUID: (),
    Power.DEVICES: (
        *("dev/", "etc/mdev.conf", "usr/share/user-tmpfiles.d/"),
        *_each(_DROP_IN, "udev/", "tmpfiles.d/"),
    ),
    Power.AUTOSTART: (
        # Units, generators and timers, init scripts, and what other inits start.
        *_each(_DROP_IN, "systemd/"),
        "usr/lib/modseal/services/",
        *("usr/share/systemd/", *_each(_HOMES, ".config/systemd/")),
        *("etc/init.d/", "etc/rc*", "etc/rc*/", "etc/inittab", "etc/init/", "etc/local.d/", "etc/runlevels/"),
        *("etc/sv/", "etc/service/", "etc/runit/", "etc/s6*/", "etc/dinit.d/", "etc/supervisor/", "etc/supervisord*"),
        # ESXi; etc/init.d/, etc/rc.local and etc/rc.local.d/ above are its places, too.
        *("usr/libexec/jumpstart/", "etc/jumpstart/", "etc/vmware/init/", "etc/vmware/shutdown/"),
        *("bootbank/", "altbootbank/"),
        # At a time, or when something happens.
        *(
            "etc/cron*",
            "etc/cron*/",
            "etc/anacrontab",
            "etc/periodic/",
            "var/spool/cron/",
            "var/spool/at/",
            "etc/logrotate.d/",
        ),
        *("etc/dbus-1/", "usr/share/dbus-1/", "etc/acpi/", "etc/update-motd.d/"),
        *("etc/network/if-*/", "etc/ppp/ip-*", "etc/ppp/ip-*/", "etc/dhcp/*hooks.d/"),
        # Settings that the system applies by itself: they name programs (core_pattern), make users or lend rights.
        *_each(_DROP_IN, "kernel/", "sysctl.d/", "sysusers.d/", "repart.d/", "environment.d/"),
        *("etc/sysctl.conf", "etc/sudoers", "etc/sudoers.d/", "etc/polkit-1/", "usr/share/polkit-1/"),
        *_each(("etc/", "usr/lib/"), "NetworkManager/dispatcher.d/"),
        *("etc/inetd.conf", "etc/xinetd.conf", "etc/xinetd.d/"),
        *("etc/grub.d/", "boot/", "etc/initramfs-tools/", *_each(_DROP_IN, "dracut/", "dracut.conf.d/")),
        # With each login, and with each program.
        *("etc/profile", "etc/profile.d/", "etc/bash*", "etc/zsh*", "etc/zsh/", "etc/environment"),
        *_each(_HOMES, ".*rc", ".*profile", ".bash*", ".zsh*", ".zlog*", ".ssh/rc", ".config/autostart/"),
        "etc/ssh/sshrc",
        *("etc/xdg/autostart/", "etc/ld.so.*", "etc/ld.so.conf.d/", "sitecustomize.py", "usercustomize.py", "*.pth"),
        *_each(_DROP_IN, "pam.d/", "security/"),
        *_each(("lib64/", *_each(("lib/", "usr/lib/"), "x86_64-linux-gnu/", "aarch64-linux-gnu/")), "security/"),
        "usr/lib64/security/",
    ),
    Power.INTERPRETERS: (
        *("sh", "bash*", "rbash", "dash", "ash", "zsh*", "ksh*", "mksh*", "lksh", "loksh", "oksh", "posh", "yash"),
        *("fish", "csh", "tcsh", "pwsh", "osh", "ysh", "nu", "elvish", "xonsh"),
        *("python*", "pypy*", "micropython*", "perl*", "raku", "ruby*", "mruby*", "lua*", "php*", "hhvm"),
        *("node", "nodejs", "deno", "bun", "qjs*", "gjs", "mujs", "duk", "jshell", "groovy", "julia", "octave*"),
        *("erl", "elixir", "iex", "sbcl", "clisp", "ecl", "racket", "gforth", "gdb"),
        *("tclsh*", "wish*", "expect", "awk", "gawk", "mawk", "nawk", "guile*", "rscript", "escript", "java", "dotnet"),
        *("busybox*", "toybox*", "ld.so", "ld.so.1", "ld.so.2", "ld-*.so*", *_each(_DROP_IN, "binfmt.d/")),
    ),
    Power.REPLACE: (),
}
"""Where each power is used, in lower case: a folder that ends with `/` and all below it, the exact path of a file, or
(without any `/`) the name of a file wherever it lies. `*` stands for anything but `/`."""

MEANINGS: dict[Power, str] = {
    Power.KERNEL_MODULES: "Bring kernel modules: in these places, or an ELF relocatable object whatever its name.",
    Power.SETUID: "Bring files or folders with a set-user-id or set-group-id bit.",
    Power.DEVICES: "Bring rules that make device nodes. No bundle can carry a device node itself.",
    Power.AUTOSTART: "Bring what a host starts or applies by itself: at boot, at a time, with a login or "
    "with each program.",
    Power.INTERPRETERS: "Bring programs that run other files.",
    Power.REPLACE: "Replace modules (`replaces`) that the anchor may not speak for (with `vendors` it needs `names`: a "
    "name does not tell its vendor), or files of any (`overlay`).",
}


@dataclass(frozen=True, slots=True)
class May:
    """What the policy says that an anchor's signers may do. `paths` are prefixes that end with `/`; none: anywhere.

    What is neither `granted` nor `refused` by name is as the defaults have it.
    """

    paths: tuple[str, ...] = ()
    granted: frozenset[Power] = frozenset()
    refused: frozenset[Power] = frozenset()

    def powers(self, grants: Level) -> frozenset[Power]:
        """All powers of an anchor with this grant."""
        return (defaults(grants) | self.granted) - self.refused


def defaults(grants: Level) -> frozenset[Power]:
    """What an anchor with this grant allows where the policy does not say it."""
    return ALL_POWERS - (GUARDED if grants is Level.COMMUNITY else frozenset())


UNSAID = May()
"""Where the policy says nothing of it."""


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that needs a power, and the path that does it."""

    power: Power
    where: str


def uses(entries: Iterable[Entry], relocatable: frozenset[str] = frozenset()) -> Iterator[Use]:
    """What some entries need powers for. `relocatable` are the paths of ELF relocatable objects.

    Paths are compared after case folding, because some hosts cannot tell letter case apart.
    """
    for entry in entries:
        if lends_rights(entry):
            yield Use(Power.SETUID, entry.path)
        named = set(_named(entry))
        if entry.path in relocatable:
            named.add(Power.KERNEL_MODULES)
        yield from (Use(power, entry.path) for power in Power if power in named)


def lends_rights(entry: Entry) -> bool:
    """Whether a file or folder has a set-user-id or set-group-id bit. A link's own mode means nothing."""
    return entry.type is not FileType.SYMLINK and bool((entry.mode or 0) & LENT_RIGHTS)


def overlays(manifest: Manifest) -> Iterator[Use]:
    """The files of others that a `.vib` with `overlay` would replace: the descriptor does not say which."""
    if manifest.vib and manifest.vib.overlay:
        yield Use(Power.REPLACE, "overlay")


class _PowerPlaces:
    """The places of one power. `holds` are the folders that one of them is, or lies in.

    The first folder of a place has no `*`, so a path is compared with the places of its own first folder alone.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        located = [pattern for pattern in patterns if "/" in pattern]
        self.names = tuple(pattern for pattern in patterns if "/" not in pattern)
        self.holds = tuple({folder for pattern in located for folder in ("", *rules.parents(pattern))})
        self._under: dict[str, tuple[str, ...]] = {}
        for pattern in located:
            first = pattern.partition("/")[0]
            self._under[first] = (*self._under.get(first, ()), f"{pattern}**" if pattern.endswith("/") else pattern)

    def has(self, path: str) -> bool:
        """Whether a path is one of the places, or lies in one."""
        places = self._under.get(path.partition("/")[0])
        return places is not None and bool(_any_of(places).fullmatch(path))

    def leads_into(self, path: str) -> bool:
        """Whether a folder, or what a link leads to, is one of the places, lies in one or holds one."""
        return self.has(path) or bool(_any_of(self.holds).fullmatch(path))


@functools.cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compiled when something is compared with it first: most modules have nothing where most places are."""
    parts = [re.escape(one).replace(r"\*\*", ".+").replace(r"\*", "[^/]*") for one in sorted(patterns)]
    return re.compile("|".join(parts) if parts else r"(?!)", re.DOTALL)


@functools.cache
def _power_places() -> dict[Power, _PowerPlaces]:
    return {power: _PowerPlaces(patterns) for power, patterns in PLACES.items() if patterns}


def _named(entry: Entry) -> Iterator[Power]:
    """The powers that an entry needs for where it is, and a link for where it leads, too.

    A link in the place of a folder, or one that leads to it, makes a way into it for files of other modules.
    """
    path = rules.fold(entry.path)
    folder = entry.type is FileType.DIRECTORY
    link = entry.type is FileType.SYMLINK
    target = rules.fold(rules.link_leads_to(entry.path, entry.target or "")) if link else path
    name = path.rpartition("/")[2]
    for power, places in _power_places().items():
        if folder:
            found = bool((entry.mode or 0) & _WRITABLE) and places.leads_into(path)
        else:
            found = bool(_any_of(places.names).fullmatch(name)) or places.has(path)
            found = found or (link and (places.leads_into(path) or places.leads_into(target)))
        if found:
            yield power
