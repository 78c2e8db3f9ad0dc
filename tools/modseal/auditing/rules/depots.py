"""The rules of depots. They have no function: `depot.compare` finds what is wrong, under their ids."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

RULES = (
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
