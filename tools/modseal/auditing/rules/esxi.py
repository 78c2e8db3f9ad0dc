"""The rules of installed ESXi hosts. They have no function: `auditing.esxi` finds what is wrong, under their ids."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule

FORCED = Rule(
    id="forced-vib",
    severity=Severity.HIGH,
    title="An installed VIB that a host takes only when it is forced",
    what="The database of a host has a VIB that claims more than community and that nobody signed, or whose "
    "signature is over another descriptor; or a VIB whose claimed level is below the host's own.",
    why="A host refuses such a VIB unless it is told not to check (`--force`, `--no-sig-check`). `esxcli software "
    "vib list` shows the claim, and so the VIB looks like any other: that is how VIRTUALPITA and VIRTUALPIE stayed. "
    "A host that was upgraded from a very old version may also lack signatures, then of all its VIBs of that time.",
    remedy="Treat the host as compromised until the vendor named in the VIB confirms that it made this descriptor.",
    example="A descriptor that claims `partner`, beside an empty `.xml.sig`.",
)
NOT_IN_PROFILE = Rule(
    id="vib-not-in-profile",
    severity=Severity.MEDIUM,
    title="The database has a VIB that the image profile does not list",
    what="`vibs/` of a host's database has a descriptor, and the image profile has no VIB of its id.",
    why="The profile says what the host consists of. What it does not name was left behind, or put there by hand.",
    remedy="Find out who put the VIB there; remove it with `esxcli software vib remove` if nobody can tell.",
    example="`vibs/tool-1.xml`, whose id no `<vib-id>` of the profile has.",
)
NOT_IN_DATABASE = Rule(
    id="profile-vib-missing",
    severity=Severity.MEDIUM,
    title="The image profile lists a VIB that the database does not have",
    what="The image profile names a VIB, and no descriptor in `vibs/` has its id.",
    why="Its payloads boot with the host, and nothing is left to judge them by; or the copy of the database is not "
    "whole.",
    remedy="Copy the whole database again and audit it; if the VIB is still missing, install the image anew.",
    example="The profile lists `Acme_bootbank_agent_1.0.0-1`, and its `.xml` was deleted.",
)
REWRITTEN = Rule(
    id="descriptor-rewritten",
    severity=Severity.HIGH,
    title="The host shows another descriptor than the signed one",
    what="`NAME.xml`, which a host's tools show, says something else than `NAME.xml.orig`, which the signature is "
    "over. How it is written, the order of lists and a zone at the release date do not count.",
    why="Whoever edits what is shown changes what `esxcli` says, and leaves the signature intact.",
    remedy="Believe the signed descriptor, and find out who changed the other one.",
    example="`<acceptance-level>certified</acceptance-level>` in `.xml`, and `partner` in `.xml.orig`.",
)
REFORMED = Rule(
    id="descriptor-reformed",
    severity=Severity.LOW,
    title="The host's own descriptor has other parts than the signed one, which say nothing of the module",
    what="`NAME.xml` and `NAME.xml.orig` differ in the version of the format, the platforms, the packed size, in "
    "whether there is a list of files, or in elements and attributes that modseal does not know.",
    why="A host writes a descriptor anew in its own form, and a newer one may add to it. Nobody signed what it adds.",
    remedy="Believe the signed descriptor; where other hosts of the same build do not differ so, find out who wrote "
    "this.",
    example='`<acceptance-level reviewed="yes">` in `.xml`, and `<acceptance-level>` in `.xml.orig`.',
)
TWICE = Rule(
    id="vib-in-database-twice",
    severity=Severity.HIGH,
    title="The database has one VIB more than once",
    what="Two descriptors in `vibs/` have the same id, in the original that their signatures are over.",
    why="A host has each VIB once. Whoever copies the signed original of one VIB beside a descriptor of another name "
    "gives that name a signature that verifies.",
    remedy="Compare the files with the image profile, and find out who put the second one there.",
    example="`agent-1.xml.orig` and its signature, copied to `tool-2.xml.orig` and `tool-2.xml.sig`.",
)
UNDECLARED = Rule(
    id="profile-payload-undeclared",
    severity=Severity.HIGH,
    title="The image profile gives a VIB a payload that the VIB does not declare",
    what="The image profile lists a payload of a VIB, and the descriptor of that VIB has no payload of that name.",
    why="Nobody signs a profile. A payload that only the profile knows has no digest and no signature, and boots as "
    "if it belonged to the VIB.",
    remedy="Take the host out of service until it is known what the boot file is.",
    example='`<payload payload-name="extra">extra.v00</payload>` under a VIB that declares `payload1` alone.',
)
ODD = Rule(
    id="host-files-unclear",
    severity=Severity.HIGH,
    title="A host could read a file otherwise than modseal does",
    what="In the database of a host, its `imgdb.tgz` or its boot bank there is a link, an entry whose name has "
    "another spelling (`//`, `./`, capitals), a header that readers of tar understand differently, or a file that is "
    "neither descriptor, original nor signature; or `boot.cfg` does not tell what boots, or `state.tgz` has files of "
    "the database. Nothing is decided about it.",
    why="What is installed is what the host reads. Where its programs could take another file than modseal, what "
    "modseal has verified proves nothing.",
    remedy="Look at the file. If the copying made it, copy the files of the host again.",
    example="`var/db/esximg//vibs/agent-1.xml` in `imgdb.tgz`, after `var/db/esximg/vibs/agent-1.xml`.",
)
DATABASES = Rule(
    id="host-databases-differ",
    severity=Severity.HIGH,
    title="The database of the running host is not that of its boot bank",
    what="`var/db/esximg` and `imgdb.tgz` in the boot bank have other documents, in `vibs` or `profiles`. Both are "
    "examined.",
    why="A host shows the one and boots with the other. They differ after a change that waits for a reboot, and "
    "where somebody edited one of them.",
    remedy="Reboot the host and copy both again; if they still differ, treat the host as compromised.",
    example="`imgdb.tgz` has `vibs/tool-1.xml`, which `var/db/esximg` does not have.",
)
BOOT_FILE = Rule(
    id="boot-file-unlisted",
    severity=Severity.HIGH,
    title="The boot bank has a payload that no VIB declares",
    what="A file in the boot bank is called as payloads are (`NAME.v00`), lies in `var/db/payloads`, or is loaded by "
    "`boot.cfg`, and no descriptor that could be read declares it. What hosts make themselves (`state.tgz`, "
    "`imgdb.tgz` and the like) is left out. The image profile alone makes no file known.",
    why="The boot loader loads what `boot.cfg` names. A payload that belongs to no VIB has no descriptor, no digest "
    "and no signature.",
    remedy="Look whether `boot.cfg` loads the file, and take the host out of service if it does.",
    example="`extra.v00` beside the payloads of the profile.",
)
HOST_LEVEL = Rule(
    id="host-level-not-proven",
    severity=Severity.HIGH,
    title="The host's acceptance level is not proven",
    what="The image profile claims an acceptance level above community, and not every VIB is accepted under this "
    "policy and proven to be of at least that level. Where all others only lack a payload, or where it says no level "
    "that is known, nothing is decided about it.",
    why="The level of a host says what its weakest VIB is. The profile is not signed: it says what somebody wrote.",
    remedy="Look at the findings of the VIBs that are named; the host is of the level that the weakest of them proves.",
    example="The profile says `partner`, and one of 136 VIBs has an empty signature.",
)
PROFILE = Rule(
    id="host-profile-unclear",
    severity=Severity.MEDIUM,
    title="The database has no one image profile that can be read",
    what="`profiles/` has no document, several, or one that cannot be read.",
    why="Without one profile nobody can tell which VIBs belong to the host, nor which boot files are theirs.",
    remedy="Copy the whole database of the host, and audit it again; if a profile is damaged there, too, "
    "find out who wrote it.",
    example="Only `vibs/` was copied.",
)
RULES = (
    *(FORCED, REWRITTEN, REFORMED, TWICE, HOST_LEVEL, NOT_IN_PROFILE, NOT_IN_DATABASE),
    *(UNDECLARED, BOOT_FILE, DATABASES, ODD, PROFILE),
)
