"""Every limit of modseal, each with its reason.

A limit bounds what one hostile file can cost. All are far above what genuine modules need, and the
packer refuses what the reader would (so nobody ships a bundle that no gate can read).
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MANIFEST_SIZE = 16 * MIB
"""Bytes of `manifest.json` or `descriptor.xml`. 50,000 files and a 32 GiB payload need about 11 MiB."""

MANIFEST_VALUES = 1_000_000
"""Commas and opening brackets of a JSON document outside of its strings, which bound what Python makes of it. 50,000
files and a payload of 10 GB in each of 100 members need about 700,000."""

MANIFEST_ATTRIBUTES = 200_000
"""Equals signs of a `descriptor.xml`, which bound its attributes. The largest genuine one has about 300; all lists
at their limits need about 90,000."""

SIGNATURE_MEMBER_SIZE = 1 * MIB
"""Bytes of `sig.pkcs7`. The largest genuine one (two RSA-4096 blocks) has 5,930."""

SIGNATURE_BLOCKS = 16
"""PEM blocks in one `sig.pkcs7`: vendor, partner, site, and room for post-quantum twins."""

SIGNERS_PER_BLOCK = 4
"""SignerInfos in one block. Everything seen has exactly one; each costs a public-key operation."""

EXPECTED_SIGNERS = SIGNATURE_BLOCKS
"""Public keys that a manifest expects signatures of: no more than the blocks that there may be."""

TIMESTAMPS_PER_SIGNER = 4
"""Timestamp tokens of one signer: one or two authorities and a renewal; each costs public-key operations."""

TIMESTAMP_SIZE = 64 * KIB
"""Bytes of one timestamp token or of an authority's answer. With a chain it has 3 to 8 KiB, post-quantum about 30."""

TIMESTAMP_ACCURACY = 86_400
"""Seconds that a timestamp may be inaccurate by. One that does not know the day proves nothing of use."""

CERTIFICATES_PER_BLOCK = 16
"""Certificates in one block: candidates for a path, so their number bounds the path search."""

DER_DEPTH = 24
"""Nesting of DER values. A certificate inside SignedData reaches 12."""

DER_ELEMENTS = 256
"""Values of one SET or SEQUENCE OF in a signature block or timestamp. The most that is needed are
CERTIFICATES_PER_BLOCK; without a bound, half a million empty values would be kept only to be refused."""

DER_OID = 64
"""Bytes of an object identifier; the longest in use have about 30. Longer ones cost quadratic time."""

DER_INTEGER = 1 * KIB
"""Bytes of an INTEGER that is read as a number: serial numbers have up to 20, some old ones more. Python writes
no number of more than 4,300 digits (1,785 bytes) as text."""

MEMBERS = 128
"""Members of one archive. A large genuine base package has 31 payloads."""

PAYLOADS = 120
"""Payloads of one module: MEMBERS less the manifest, the signature and a few attachments."""

ATTACHMENTS = 6
"""Attachments of one module (SBOM, provenance, and some to come)."""

ATTACHMENT_SIZE = 64 * MIB
"""Bytes of one attachment. The SBOM of 50,000 files has about 20 MiB."""

MEMBER_NAME_LENGTH = 15
"""Bytes of a member's name: 16 in the ar header, less the slash that GNU ar appends."""

FILES = 50_000
"""Entries over all payloads of one module: a full server userland has about 40,000."""

PATH_LENGTH = 255
"""Bytes of a path. A ustar header holds a prefix of 155, a slash and a name of 100."""

PATH_DEPTH = 64
"""Components of a path; keeps directory walks shallow."""

LINK_LENGTH = 100
"""Bytes of a symbolic link's target: the ustar field."""

FILE_SIZE = 8 * GIB - 1
"""Bytes of one file: eleven octal digits in the ustar header."""

MEMBER_SIZE = 9_999_999_999
"""Bytes of one member: ten decimal digits in the ar header."""

UNPACKED_SIZE = 256 * GIB
"""Bytes of one payload once it is unpacked; the declared size bounds it further."""

UNTRUSTED_UNPACKED = 1 * GIB
"""Unpacked bytes of one bundle that no trusted signer stands for, in a verification that can no more accept it: what
its payloads are is told as far as a second or two of work goes. Who packs, signs or unpacks unverified reads all."""

UNTRUSTED_VZSTD = 32 * MIB
"""Unpacked bytes of a `vzstd` payload of such a bundle: it takes as much memory, up to its window of 128 MiB."""

UNPACK_RATIO = 1100
"""Unpacked bytes per packed byte where no unpacked size is declared (older `.vib` files).
Deflate cannot exceed 1,032 to 1, so every genuine file passes and stacked encodings do not."""

UNPACK_FLOOR = 1 * MIB
"""Unpacked bytes that are always allowed, so that tiny payloads are not judged by their ratio."""

ZSTD_WINDOW = 128 * MIB
"""Window of a zstd frame in a `vzstd` payload, as genuine ones have; a frame of a `.seal` is one segment."""

ZSTD_FRAME = 4 * MIB
"""Unpacked bytes of each zstd frame of a `.seal` payload but the last: units of parallel work."""

ZSTD_BLOCK = 512
"""Unpacked bytes that a block of a zstd frame has at least, on average; zstd's own block splitter stays
above 660. Bounds the work that empty blocks can cost."""

CHUNK_SIZE = 4 * MIB
"""Bytes of each digest chunk of a `.seal` payload but the last: units of parallel work."""

TEXT_LENGTH = 16 * KIB
"""Characters of a free text (summary, description)."""

NAME_LENGTH = 128
"""Characters of a vendor, module name or version."""

ITEMS = 4096
"""Entries of a list in a manifest that is not payloads, files or chunks (tags, constraints)."""

SPEC_SIZE = 4 * MIB
"""Bytes of a module spec or policy file."""

KEY_PARTS = 64
"""Parts of a dotted key in a module spec or policy, which need at most three. Python reads keys in quadratic time."""

PROBLEMS = 100
"""Problems of one document that are collected before reading stops: more help nobody."""

POLICY_FILE_SIZE = 64 * MIB
"""Bytes of a policy, or of a file that it names. The largest public CRLs have some 30 MiB."""

KEY_FILE_SIZE = 1 * MIB
"""Bytes of one key or certificate file that signs. A PKCS#12 file with a long chain has about 20 KiB."""

PREPARED_SIZE = 1 * MIB
"""Bytes of a signature made elsewhere, or of the file that describes what it was made for. With 16 post-quantum
certificates that has about 200 KiB; the longest signature (ML-DSA-87) has 4,627 bytes."""

TRUST_BUNDLE_SIZE = 64 * MIB
"""Bytes of one trust bundle. It is read at once; the largest public code signing CRLs have a few MiB."""

TRUST_FILES = MEMBERS - 2
"""Files of one trust bundle: the archive's members less the declaration and the signatures."""

ROOT_SIGNERS = SIGNATURE_BLOCKS // 2
"""Root signers of one trust bundle: all of the old ones and all of the new ones fit into one signature member."""

FINDINGS = 500
"""Checks of one bundle that become findings of an audit; one more says how many there are. A payload exchanged
for another can fail tens of thousands, which a person needs no list of; the bundle's result has them all."""

REPORT_SIZE = 2 * GIB
"""Bytes of an audit's JSON report that is read back. 100,000 bundles need about 350 MiB, and it is never in
memory as a whole."""

REPORT_LINE = 64 * MIB
"""Bytes of one line of a JSON report, which has one result or finding, and of all that stands before the results.
A bundle whose 50,000 files all fail has a result of about 40 MiB."""

REPORT_REFORMATTED = 64 * MIB
"""Bytes of a JSON report whose lines are not ours any more: it is read at once, which takes ten times the memory.
That is enough for 15,000 bundles."""

ENVELOPE_SIZE = 64 * MIB
"""Bytes of an attestation in its envelope, which is read and signed at once. 100,000 bundles need about 30 MiB."""

ZIP_ENTRIES = 20_000
"""Entries of one zip archive. A whole release of ESXi has some hundred bundles and two documents for each."""

ZIP_DIRECTORY_SIZE = 4 * MIB
"""Bytes of a zip archive's central directory, which is read at once: 200 for each of ZIP_ENTRIES. Genuine depots
have about 100 for each."""

ZIP_EXTRA_SIZE = 256
"""Bytes of all extra fields of one header of a zip entry. Times, owners and zip64 have about 80."""

ZIP_RATIO = 100
"""Unpacked bytes per packed byte of a zip entry over UNPACK_FLOOR. Bundles are packed themselves and hardly shrink,
and XML shrinks to a tenth; deflate alone could reach 1,032."""

ZIP_UNPACKED = 64 * GIB
"""Bytes of all entries of one zip archive, unpacked: what reading all of it can cost. A whole release has about
1 GiB."""

DEPOT_VENDORS = 256
"""Vendors of one depot's index. Offline bundles have one, public depots some dozens."""

DEPOT_CHECKSUMS = 8
"""Checksums of one bundle in a depot's metadata. All genuine ones have one."""

DEPOT_METADATA_SIZE = 64 * MIB
"""Bytes of all metadata of one depot that is read, unpacked. A bundle with 50 files has about 15 KiB of it."""

DEPOT_METADATA_TAGS = 500_000
"""Less-than signs of all metadata of one depot, which bound what Python makes of it. A bundle with 50 files has
about 400."""

DIRECTORIES = 1_000_000
"""Directories and links of all modules that are compared with each other, some 300 MB: 100,000 bundles of ordinary
modules have far fewer between them, because most lie in the same few."""

CACHED_RESULTS = 200_000
"""Results that an audit's cache keeps: twice the largest depot that is tested, some 700 MiB."""

CACHED_CONTEXTS = 8
"""Policies, as they are now and as they were, whose results a cache keeps: those that audits used last."""

CACHED_RUNS = 1_000
"""Runs of audits that a cache remembers, so that an interrupted one can be resumed."""

REMOTE_SIZE = 16 * GIB
"""Bytes of one bundle that is fetched from a server, which may send without end into this machine's temporary space.
The largest genuine bundles have about 1 GiB."""

REMOTE_LISTING = 64 * MIB
"""Bytes of the page with a web server's listing of one folder. 100,000 bundles need about 20 MiB."""

REMOTE_DEPTH = 64
"""Folders within folders on a server: one that makes them up as it is asked would have no last one."""

REMOTE_ENTRIES = 1_000_000
"""Entries of all folders below one address, ten times the largest depot that is tested; a server can make them up."""

HTML_STEPS = 5_000
"""Bundles whose steps an audit's HTML report carries, those with findings first: some 10 MB, which any browser
opens."""

HTML_STEPS_SIZE = 32 * MIB
"""Bytes of all steps in an audit's HTML report, where bundles that fail by the hundred have more to say than most."""

HTML_CHECKS = 200
"""Checks of one bundle in an audit's HTML report, those that did not pass first. Most bundles have about 12."""

HTML_FINDINGS = 50
"""Findings of one rule that an audit's HTML report describes one by one; its table has every bundle of them."""

HTML_ROWS = 200
"""Bundles in the table of an audit's HTML report while no script runs: some screens of it."""

HTML_SIGNERS = 10_000
"""Signer certificates that an audit's HTML report counts one by one: memory, where every bundle has a new one."""

HTML_TEXT = 2_000
"""Characters of one text from a bundle in an audit's HTML report. A subject can have a million; most have 60."""

PATH_CERTIFICATES = 8
"""Certificates in a path, anchor included. Code signing chains have two to four."""

PATH_SIGNATURES = 64
"""Certificate signatures verified for one signer: bounds crossed and looping candidates (X5-07, X5-08)."""

PATH_STEPS = 512
"""Certificates that the search for one path adds to a chain: cross-signed CAs have exponentially many chains."""

NAME_COMPARISONS = 20_000
"""Names times constraints that are compared for one certificate: about 20 ms, far above any genuine CA."""

CERTIFICATE_POLICIES = 128
"""Policies, or mappings, of one certificate. Genuine ones have a handful; the work grows with the square."""

RSA_BITS = 16_384
"""Bits of an RSA key. Above this one verification takes long enough to stall a gate."""

RSA_EXPONENT_BITS = 32
"""Bits of an RSA key's public exponent, which is 65537 in nearly all keys. The work grows with it: an exponent as long
as the modulus costs as much as a private key's operation, 20 ms and more."""

EFFORT = 50_000
"""Units of about 10 us that the signatures, certificates, chains and timestamps of one bundle may cost together. Six
signers with chains of four and a timestamp each spend some 3,000."""

NAME_SIZE = 4 * KIB
"""Bytes of a distinguished name. Genuine ones have less than 200; X.520's upper bounds for a dozen parts are below."""

NAME_VALUE = 1 * KIB
"""Bytes of one value in a distinguished name. X.520 allows 64 characters for most; normalising combining characters
(RFC 4518) costs the square of their number."""

GENERAL_NAMES = 1024
"""Names of one certificate's subjectAltName, of one distribution point or of one list of constraints. The longest
lists of TLS certificates have some hundreds; those that sign code have one or two names."""

HOST_NAME = 253
"""Bytes of a host name (RFC 1035 section 2.3.4, without the length bytes)."""

EMAIL_ADDRESS = 320
"""Bytes of an e-mail address: 64, the at sign and a host name (RFC 5321 section 4.5.3.1) with some to spare."""

URI = 2048
"""Bytes of a URI in a certificate, which are addresses of CRLs and issuers."""
