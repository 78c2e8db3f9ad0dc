"""The rules of depots. They have no function: `depot.compare` and `auditing.signed_depots` find what is wrong."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

UNPROVED = Rule(
    id="depot-unproved",
    severity=Severity.HIGH,
    title="Nobody whom the policy trusts stands for the depot's index",
    what="The signed depot's `depot.json`, or a recall in it, has no signature, or none that the policy accepts for "
    "all modules that it lists; or it contradicts an earlier index that the depot keeps.",
    why="Only a proved index says which bundles belong together now. Without it, a depot says no more than a folder: "
    "bundles may have been added, withheld or rolled back.",
    remedy="Get the depot again from its publisher, and ask them who signs it.",
    example="`depot.json` was edited after it was signed, and `signatures/` has no signature over what it says now.",
)
EXPIRED = Rule(
    id="depot-expired",
    severity=Severity.HIGH,
    title="The depot's index has expired",
    what="The index of the signed depot is past its `expires`.",
    why="Somebody who holds back newer indexes holds back fixes and recalls, too. The expiry is what shows it.",
    remedy=CODES["depot-expired"].next_step,
    example="A mirror that was last updated in spring, with an index that was good for 90 days.",
)
ADDED = Rule(
    id="depot-added",
    severity=Severity.HIGH,
    title="The depot has a file that its signed index does not list",
    what="A bundle or another file lies in a signed depot, and `depot.json` does not name it.",
    why="The publisher did not put it there. A module with a good signature is enough to bring an old version back.",
    remedy="Take the file out of the depot, and find out who put it there.",
    example="`bundles/agent-1.0.vib`, which was recalled, beside the listed `bundles/agent-1.1.vib`.",
)
WITHHELD = Rule(
    id="depot-withheld",
    severity=Severity.HIGH,
    title="The depot does not have a file that its signed index lists",
    what="`depot.json` names a bundle, a recall, or an earlier index or its signature, and it is not there.",
    why="Somebody may have taken out a fix, or a recall of what is installed.",
    remedy=CODES["bundle-missing"].next_step,
    example="`bundles/agent-1.1.vib` is listed and missing, and hosts stay at 1.0.",
)
SWAPPED = Rule(
    id="depot-swapped",
    severity=Severity.HIGH,
    title="A file of the depot is not the one that its signed index lists",
    what="A bundle has another SHA-256 than `depot.json` gives for its path.",
    why="Its own signature may be good: an older build under the newer one's path is a rollback.",
    remedy=CODES["bundle-digest-mismatch"].next_step,
    example="The signed `agent` 1.0 lies at the path of `agent` 1.1.",
)
RECALLED = Rule(
    id="depot-recalled",
    severity=Severity.HIGH,
    title="The depot lists a bundle that a recall in it withdraws",
    what="A recall of the depot, whose signer the policy trusts for it, withdraws a module that the index still lists.",
    why="`depot check` and hosts that take the recall refuse the bundle; who copies it by hand does not see that.",
    remedy="Do not install the bundle, and remove it from hosts; take the replacement that the recall names.",
    example="`agent` 1.0 is withdrawn for a hole in its updater, with 1.1 as its replacement.",
)

RULES = (
    UNPROVED,
    EXPIRED,
    ADDED,
    WITHHELD,
    SWAPPED,
    RECALLED,
    Rule(
        id="metadata-mismatch",
        severity=Severity.HIGH,
        title="The depot's metadata disagrees with a bundle, or with itself",
        what="The depot's index, `vmware.xml`, a bulletin or a document of `vibs/` says something else of a bundle "
        "than the bundle itself: its size, digest, id, version, vendor, level, relationships, reboot flag, "
        "tags, files or payloads; or two of these documents disagree.",
        why="Nothing in a depot but its bundles is signed. Whoever repacks one can write any level, version or "
        "dependency into the metadata, and tools plan an update by the metadata.",
        remedy=CODES["metadata-mismatch"].next_step,
        example="`vmware.xml` lists a bundle as `certified`, and its `descriptor.xml` says `community`.",
    ),
    Rule(
        id="metadata-order",
        severity=Severity.INFO,
        title="The depot's metadata lists the same in another order",
        what="A document of the depot lists the files, tags, urls or relationships of a bundle as its descriptor does, "
        "but in another order.",
        why="It changes nothing. Tools that make depots sort such lists, and scripts that make bundles do not; it is "
        "said so that nobody has to wonder why two documents differ.",
        remedy=CODES["metadata-order"].next_step,
        example="`vibs/*.xml` has the files sorted by name, and the descriptor has them in the order of the tar.",
    ),
    Rule(
        id="bundle-unlisted",
        severity=Severity.MEDIUM,
        title="The depot has a bundle that its metadata does not list",
        what="A bundle lies in the depot, and no document of its metadata names it.",
        why="What nobody lists, nobody meant to ship: a leftover, or something that was put there to be installed "
        "by its path.",
        remedy=CODES["bundle-unlisted"].next_step,
        example="`vib20/extra/extra.vib`, which `vmware.xml` does not name.",
    ),
    Rule(
        id="bundle-missing",
        severity=Severity.MEDIUM,
        title="The depot lists a bundle that it does not have",
        what="The metadata names a file that is not in the depot.",
        why="An update from this depot stops half-way, and somebody may have taken out a fix.",
        remedy=CODES["bundle-missing"].next_step,
        example="`vmware.xml` names `vib20/net/net-1.0.vib`, and there is no such file.",
    ),
    Rule(
        id="index-vendor-mismatch",
        severity=Severity.HIGH,
        title="The index is of another vendor than its bundles",
        what="The vendor that `index.xml` names is none of those that the bundles behind it are of.",
        why="The index of one vendor in the place of another's makes its bundles look like theirs.",
        remedy=CODES["index-vendor-mismatch"].next_step,
        example="`index.xml` names VMware, and every bundle that its metadata lists is of Acme.",
    ),
    Rule(
        id="depot-file-unlisted",
        severity=Severity.MEDIUM,
        title="The depot has a file that nothing lists",
        what="A file lies in the depot that is not a bundle, and that no document of its metadata names.",
        why="Files that nothing accounts for are how things travel unseen.",
        remedy="Ask the vendor of the depot what the file is for; take it out if nobody can tell.",
        example="`vib20/net/install.sh` in an offline bundle.",
    ),
    Rule(
        id="metadata-weak-digest",
        severity=Severity.LOW,
        title="The metadata has no SHA-256 of a bundle",
        what="The metadata gives a bundle's checksum with an old algorithm alone.",
        why="SHA-1 and MD5 do not keep anybody from exchanging a file while it is downloaded. The bundle's own "
        "signature does, where it has one.",
        remedy="Ask the vendor of the depot for metadata with SHA-256 checksums.",
        example="`<checksumType>sha-1</checksumType>` as the only checksum of a bundle.",
    ),
)
