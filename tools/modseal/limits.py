"""Every limit of modseal, each with its reason.

A limit bounds the time and memory that one hostile file can cost. All limits are far above what genuine modules
need. The packer enforces the same limits, so that it never makes a bundle that a gate cannot read.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MANIFEST_SIZE = 16 * MIB
"""Bytes of `manifest.json` or `descriptor.xml`. 50,000 files and a 32 GiB payload need about 11 MiB."""

MANIFEST_VALUES = 1_000_000
"""Commas and opening brackets of a JSON document outside of its strings: a bound on the objects that Python creates.
50,000 files and a payload of 10 GB in each of 100 members need about 700,000."""

MANIFEST_KEYS = 400_000
"""Colons of a JSON document outside of its strings, which bound the keys of its objects. 50,000 files have 300,000, and
each different key that Python keeps costs a microsecond."""

MANIFEST_TAGS = 500_000
"""Less-than signs of a `descriptor.xml`, which bound its elements and comments: each calls Python. 50,000 files have
100,000; without a bound, five million nested elements take seconds."""

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
"""Public keys that a manifest expects signatures of: at most one for each block."""

TIMESTAMPS_PER_SIGNER = 4
"""Timestamp tokens of one signer: one or two authorities and a renewal; each costs public-key operations."""

TIMESTAMP_SIZE = 64 * KIB
"""Bytes of one timestamp token or of an authority's answer. With a chain it has 3 to 8 KiB, post-quantum about 30."""

TIMESTAMP_ACCURACY = 86_400
"""Seconds of inaccuracy that a timestamp may state. One that is off by more than a day proves nothing useful."""

CERTIFICATES_PER_BLOCK = 16
"""Certificates in one block: candidates for a path, so their number bounds the path search."""

DER_DEPTH = 24
"""Nesting of DER values. A certificate inside SignedData reaches 12."""

DER_ELEMENTS = 256
"""Values of one SET or SEQUENCE OF in a signature block or timestamp. Genuine blocks need at most
CERTIFICATES_PER_BLOCK; without a bound, half a million empty values would be read before they are refused."""

ATTRIBUTE_VALUES = 64
"""Values of all signed, or of all unsigned, attributes of one signer. Genuine signers have fewer than ten; each value
is read before anything is verified, and a signature member has room for a quarter of a million."""

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
"""Bytes of a path, and of a name on most file systems. A ustar header holds a prefix of 155 and a name of 100."""

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
"""Unpacked bytes of one bundle without a trusted signer. Verification can no longer accept it, so its payloads are
examined for a second or two only, to help the reader. `pack`, `sign` and `extract --unverified` read all of it."""

UNTRUSTED_VZSTD = 32 * MIB
"""Unpacked bytes of a `vzstd` payload of a bundle without a trusted signer: it needs as much memory, up to its window
of 128 MiB."""

UNPACK_RATIO = 1100
"""Unpacked bytes per packed byte where no unpacked size is declared (older `.vib` files).
Deflate cannot exceed 1,032 to 1, so every genuine file passes and stacked encodings do not."""

UNPACK_FLOOR = 1 * MIB
"""Unpacked bytes that are always allowed, so that tiny payloads are not judged by their ratio."""

ZSTD_WINDOW = 128 * MIB
"""Window of a zstd frame in a `vzstd` payload: the size that genuine ones use. A frame of a `.seal` is one segment."""

ZSTD_FRAME = 4 * MIB
"""Unpacked bytes of each zstd frame of a `.seal` payload but the last: units of parallel work."""

ZSTD_BLOCK = 512
"""Smallest average of unpacked bytes in the blocks of a zstd frame; zstd's own block splitter stays
above 660. Bounds the work that empty blocks can cost."""

CHUNK_SIZE = 4 * MIB
"""Bytes of each digest chunk of a `.seal` payload but the last: units of parallel work."""

TEXT_LENGTH = 16 * KIB
"""Characters of a free text (summary, description)."""

NAME_LENGTH = 128
"""Characters of a vendor, module name or version."""

ITEMS = 4096
"""Entries of a list in a manifest, other than payloads, files and chunks (tags, constraints)."""

SPEC_SIZE = 4 * MIB
"""Bytes of a module spec or policy file."""

SPEC_PARTS = 200_000
"""Line feeds, commas, dots, equals signs and opening brackets of a module spec or policy: each costs the parser some
microseconds. A deny list of 60,000 digests, which fills SPEC_SIZE, has 120,000."""

KEY_PARTS = 64
"""Parts of a dotted key in a module spec or policy, which need at most three. Python reads keys in quadratic time."""

PROBLEMS = 100
"""Problems of one document that are collected before reading stops: a longer list does not help."""

POLICY_FILE_SIZE = 64 * MIB
"""Bytes of a policy, or of a file that it names. The largest public CRLs have some 30 MiB."""

KEY_FILE_SIZE = 1 * MIB
"""Bytes of one key or certificate file that signs. A PKCS#12 file with a long chain has about 20 KiB."""

PREPARED_SIZE = 1 * MIB
"""Bytes of a signature made elsewhere, or of the file that was prepared for it. With 16 post-quantum
certificates it has about 200 KiB; the longest signature (ML-DSA-87) has 4,627 bytes."""

TRUST_BUNDLE_SIZE = 64 * MIB
"""Bytes of one trust bundle. It is read at once; the largest public code signing CRLs have a few MiB."""

TRUST_FILES = MEMBERS - 2
"""Files of one trust bundle: the archive's members less the declaration and the signatures."""

ROOT_SIGNERS = SIGNATURE_BLOCKS // 2
"""Root signers of one trust bundle: the signatures of all old and new signers fit into one signature member."""

FINDINGS = 500
"""Checks of one bundle that become findings of an audit; one more finding says how many there are. An exchanged payload
can fail tens of thousands of checks, too many for a person to read; the bundle's result has them all."""

REPORT_SIZE = 2 * GIB
"""Bytes of an audit's JSON report that is read back. 100,000 bundles need about 350 MiB, and it is never in
memory as a whole."""

REPORT_LINE = 64 * MIB
"""Bytes of one line of a JSON report (one result or finding), and of everything before the results.
A bundle whose 50,000 files all fail has a result of about 40 MiB."""

REPORT_REFORMATTED = 64 * MIB
"""Bytes of a JSON report that another program has reformatted: it is read at once, which takes ten times the memory.
That is enough for 15,000 bundles."""

ENVELOPE_SIZE = 64 * MIB
"""Bytes of an attestation in its envelope, which is read and signed as a whole. 100,000 bundles need about 30 MiB."""

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
"""Bytes of all entries of one zip archive, unpacked: a bound on the work of reading it. A whole release has about
1 GiB."""

ISO_ENTRIES = 10_000
"""Files of one ISO image, each of which takes half a millisecond to find. An installer of ESXi has some two hundred."""

ISO_DIRECTORIES_SIZE = 8 * MIB
"""Bytes of an ISO image's volume descriptors and directories, which are read at once, and each record of which costs a
Python object. 10,000 files need about 3 MiB with Rock Ridge and Joliet names; each file of UDF needs 2 KiB."""

ISO_RUNS = 64
"""Pieces of one file in an ISO image. Files over 4 GiB have one for each 4 GiB."""

DEPOT_VENDORS = 256
"""Vendors of one depot's index. Offline bundles have one, public depots some dozens."""

DEPOT_CHECKSUMS = 8
"""Checksums of one bundle in a depot's metadata. All genuine ones have one."""

DEPOT_METADATA_SIZE = 64 * MIB
"""Bytes of all metadata of one depot that is read, unpacked. A bundle with 50 files has about 15 KiB of it."""

DEPOT_METADATA_TAGS = 500_000
"""Less-than signs of all metadata of one depot: a bound on the objects that Python creates. A bundle with 50 files has
about 400."""

DEPOT_INDEX_SIZE = MANIFEST_SIZE
"""Bytes of the `depot.json` of a signed depot. 10,000 bundles need about 5 MiB."""

SOLVER_STEPS = 50_000_000
"""Rules and modules that are looked at while a set of modules is searched for: about a minute. 5,000 modules need less
than a million; what takes more is a puzzle, and not a depot."""

SOLVER_RULES = 2_000_000
"""Mentions of modules in the rules of one search: about 300 MB. 5,000 modules with ten needs each have 250,000."""

DEPOT_BUNDLES = 20_000
"""Bundles of one signed depot, as many as a zip archive has entries."""

OCI_ENTRIES = 4 * DEPOT_BUNDLES
"""Manifests and layers that an OCI image layout may list, repeated ones included: one of each for every bundle, and as
many again for recalls, signatures and what tools put around them."""

DEPOT_ROTATIONS = 64
"""Earlier indexes that a signed depot keeps, one for each change of its signers: decades of yearly changes."""

RECALLS = 64
"""Recalls of one policy, or of one depot: one for each vendor, and the site's own. The signatures of each are verified
for every bundle."""

RECALL_SIZE = 4 * MIB
"""Bytes of one recall. It is read at once; ITEMS entries need about 2 MiB."""

DEPOT_PROFILES = 256
"""Image profiles of one signed depot. VMware's largest public depots have some hundred, over all their years."""

PROFILE_SIZE = 8 * MIB
"""Bytes of one image profile. It is read at once; PROFILE_MODULES modules need about 2 MiB, and signatures 1 MiB."""

PROFILE_MODULES = 5000
"""Modules of one image profile. A large image of ESXi has about 200; the files of all are compared with each other."""

PROFILE_NAME = 80
"""Characters of an image profile's name: what Image Builder takes."""

PROFILE_VENDOR = 40
"""Characters of an image profile's vendor: what Image Builder takes."""

DIRECTORIES = 1_000_000
"""Directories and links of all modules that are compared with each other, some 300 MB. 100,000 ordinary modules
have far fewer, because most of them share the same few directories."""

CACHED_RESULTS = 200_000
"""Results that an audit's cache keeps: twice the largest depot that is tested, some 700 MiB. As many again are kept in
whole audits, of which the oldest go first."""

CACHED_CONTEXTS = 8
"""Policies, in their present and earlier versions, whose results a cache keeps: the most recently used ones."""

CACHED_RUNS = 1_000
"""Audit runs that a cache remembers, so that an interrupted one can be resumed."""

STREAM_SIZE = 16 * GIB
"""Bytes of one bundle that is read from a stream (`verify -`). Without a bound, a stream that never ends would fill the
temporary space. The largest genuine bundles have about 1 GiB."""

REMOTE_SIZE = 16 * GIB
"""Bytes of one bundle that is fetched from a server. Without a bound, a server could fill the temporary space.
The largest genuine bundles have about 1 GiB."""

REMOTE_LISTING = 64 * MIB
"""Bytes of the page with a web server's listing of one folder. 100,000 bundles need about 20 MiB."""

REMOTE_DEPTH = 64
"""Folders within folders on a server: a hostile server could invent them without end."""

REMOTE_ENTRIES = 1_000_000
"""Entries of all folders below one address, ten times the largest depot that is tested; a hostile server could invent
them without end."""

HTML_STEPS = 5_000
"""Bundles whose steps an audit's HTML report carries, those with findings first: some 10 MB, which any browser
opens."""

HTML_STEPS_SIZE = 32 * MIB
"""Bytes of all steps in an audit's HTML report: failed bundles have longer texts than others."""

HTML_CHECKS = 200
"""Checks of one bundle in an audit's HTML report, those that did not pass first. Most bundles have about 12."""

HTML_FINDINGS = 50
"""Findings of one rule that an audit's HTML report describes one by one; its table has every bundle of them."""

HTML_ROWS = 200
"""Bundles in the table of an audit's HTML report when scripts are off, and lines of the log, generations or files on
one page of a served host: a few screens."""

HTML_ITEMS = 50
"""Findings, changes or signers that one list of a served host's page names; how many more there are is said."""

HTML_BOXES = 400
"""Modules that a treemap has a box of their own for: what is smaller could not be seen. The table has them all."""

HTML_SIGNERS = 10_000
"""Signer certificates that an audit's HTML report counts one by one. Bounds memory if every bundle has a new one."""

HTML_TEXT = 2_000
"""Characters of one text from a bundle in an audit's HTML report. A subject can have a million; most have 60."""

HOST_MODULES = 4096
"""Modules of one generation of a host. A genuine ESXi host has about 150, a large Linux server about 2,000 packages."""

HOST_DOCUMENT_SIZE = 64 * MIB
"""Bytes of one document of an image store. A module's listing with 50,000 paths has about 10 MiB."""

UPDATE_SIZE = 1024 * MIB
"""Bytes of an update of a host image: program, root and modules. The reference host's has 52 MiB."""

REQUEST_SIZE = 4 * MIB
"""Bytes of a signed request to a host. One that lists two files for each of 4,096 modules has about 1.5 MiB."""

HOST_GENERATIONS = 32
"""Generations that a host keeps by itself; a change that makes one more removes the oldest. ESXi keeps two. Each costs
an inode for each file, and space for what no other one has."""

HOST_INDEX_STEPS = 100_000_000
"""Instructions of SQLite for one question to a host's index, which takes 10 for each path of each generation: enough
for 32 generations of 300,000 paths. A damaged index could keep it busy for ever."""

HOST_FACTS = 64
"""Facts of one event of a host, and of one measurement. The longest event, an update from depots, has ten."""

HOST_FACT_SIZE = 4 * MIB
"""Bytes of one fact. That of an update of HOST_MODULES modules with names and versions of NAME_LENGTH has 1.9 MiB."""

FOLDERS_OPEN = 64
"""Folders that are open, one in the other, while a tree is removed. Each takes stack, and a descriptor, of which a
process has 1,024; what is nested deeper is moved up, and goes in a further round."""

TPM_SECONDS = 120
"""Seconds that a TPM has to extend a register by all measurements: 4,096 modules at 25 ms each are 103 s."""

HOST_DEPOTS = 256
"""Signed depots whose newest index a host remembers. One that installs from ten has many."""

HOST_RECALLS = 64
"""Lists of recalls that a host keeps. A vendor or site has one or a few; each is examined for each module."""

HOST_RECALLS_OF_ANCHOR = 16
"""Those of them whose signers lead to one anchor: nobody fills the room for the lists of others."""

HOST_LOOKS = 5
"""Times that a host is looked at that is changed meanwhile. Changes take seconds, and come one by one."""

HOST_CHANGE_LOOKS = 250
"""Times, 20 ms apart, that a verification asks whether a change has ended. A lock held for ever hides nothing."""

HOST_KEYS = SIGNATURE_BLOCKS
"""Controllers that a host names, and keys that break its glass. A site has two or three of the ones and some five of
the others; the signatures of all of these fit into one signature member."""

BREAK_GLASS_SIZE = 1 * MIB
"""Bytes of a file that breaks the glass. It is read at once; with a signature by each of HOST_KEYS it has 50 KiB."""

BREAK_GLASS_DAYS = 7
"""Days that a file may break the glass for. It is made for an emergency: long enough to be carried to a far site, and
too short to be kept in a drawer, where nobody would miss it."""

IPE_POLICY_SIZE = 62 * 1024
"""Bytes of an IPE policy. With its signature the kernel takes 64 KiB of one write; 560 root hashes fit."""

HOST_LOG_SIZE = 256 * MIB
"""Bytes of a host's event log, which is read to verify it. 100,000 changes need about 60 MiB."""

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
signers with chains of four and a timestamp each spend some 6,000."""

GUARD_DEADLINE = 10
"""Seconds within which the guard answers. The largest file that a module may have is hashed in less on most machines;
a program that waits longer looks like a hung machine."""

GUARD_TICK = 1
"""Seconds after which the guard looks for late answers and a new generation although nothing happens."""

GUARD_PROOF_AGE = 3600
"""Seconds after which the guard proves the generation again: a signer may have expired."""

GUARD_RETRY = 10
"""Seconds after which the guard tries again to prove a generation that it could not prove."""

GUARD_CONTENTS = 65_536
"""Files whose digest the guard remembers: about 20 MiB. A large Linux server has some thousand programs."""

GUARD_STARTS = 4096
"""Threads of which the guard remembers the interpreter that the kernel opens next; old ones are dropped."""

GUARD_LEASE_TIME = 1
"""Seconds for which the guard keeps writers away from a file after its answer. The kernel does so itself as soon as the
program runs, some microseconds later on an idle machine."""

GUARD_LEASE_LONGEST = 30
"""Seconds for which the guard keeps writers away at most from a file whose start goes on slowly, as on a busy machine.
The kernel itself ends a lease that is in a writer's way after 45 s (`fs.lease-break-time`)."""

GUARD_LEASES = 256
"""Files that the guard keeps writers away from at a time. Each is an open file."""

GUARD_LEASE_STARTS = 256
"""Starts of one file that the guard waits for to end: the newest, where there are more of them within a second."""

GUARD_LOG_LINES = 10_000
"""Lines of the guard's log that wait for its reader. More are lost: programs must not wait for it."""

EXTENSIONS = 64
"""Extensions of one certificate, CRL or entry of a CRL. Genuine certificates have about ten; a signature member has
room for 70,000, of which the library makes an object each."""

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

SERVE_CLIENT_CAS = 64
"""CAs of clients in a serve.toml. A site has one for each role, or a few."""

SERVE_STRANGERS = 128
"""Connections that have shown no certificate yet, each of about 300 KiB. A handshake takes a few milliseconds, so that
128 are some 10,000 clients in a second; who holds them longer makes room for others."""

SERVE_STRANGERS_OF_ONE = 32
"""Those of one address, or of one network of IPv6: as many as a whole office behind one address begins at a time."""

SERVE_SHARE = 4
"""A certificate has at most one part in so many of the connections, of the questions to the host and of the pushes:
somebody with three stolen ones still leaves a part for others."""

SERVE_PUSHES = 8
"""Pushes that are received at one time; more wait. Each may have a whole upload on the disk."""

SERVE_UPLOADS = 2
"""Uploads of the greatest size that are received at one time, and copies of as many that wait: of smaller ones more,
until they have as many bytes."""

SERVE_FREE_SPACE = 64 * MIB
"""Bytes of a file system that no push takes, or a twentieth of a small one: the log, the state and the tasks of the
host are written there, too."""

SERVE_ANSWERS = 256 * MIB
"""Bytes of long answers that clients may not have taken yet: whoever asks for the log on many connections and reads
none is refused the next one. A certificate has its share, and one answer in any case."""

SERVE_SLOWEST = 64 * KIB
"""Bytes a second that a push must bring, and bytes of an answer that a client must take before it counts as idle: half
of what `modseal remote` demands, so that the client is the one that gives up."""

SERVE_WEBHOOKS = 16
"""Addresses that the log of a host is sent to. A site has one or two; each is asked once a second."""

SERVE_LINES_AT_ONCE = 50
"""Lines of the log in one message to an address: some 50 KiB, which every receiver takes."""

SERVE_LINES_BEHIND = 1000
"""Lines of the log that an address may be behind. A host that is changed all day has some hundreds."""

SERVE_FRAME = 64 * MIB
"""Bytes of one message between the two processes of the service: the log of a host of some years is below."""

SERVE_QUESTION = 256 * KIB
"""Bytes of one question to the process with the rights: a certificate, and arguments that a body may have. It is not
trusted to ask, and 32 of them are in memory at a time."""

SERVE_FRAME_TIME = 20
"""Seconds within which a question to the process with the rights is whole, and its answer taken. Both go through
memory; whoever has taken over the other process could hold each thread with a byte now and then."""

SERVE_TASKS = 200
"""Tasks that are kept, the newest. Each has what became of it, of some KiB."""

SERVE_TASK = 16 * MIB
"""Bytes of one task in its file. What `verify` finds on a host of which 40,000 files were changed is below."""

SERVE_BODY = 64 * KIB
"""Bytes of a body that is no bundle. Arguments have some hundreds."""

SERVE_BUNDLES = 64
"""Bundles of one push. Each is an open file; Linux passes 253 at most between processes."""

REMOTE_HOSTS = 4096
"""Hosts of one inventory. Each answer is kept until all are there."""

REMOTE_AT_ONCE = 32
"""Hosts that are asked at a time: each is a thread with one connection that mostly waits."""

REMOTE_REPLY_SIZE = 64 * MIB
"""Bytes of one answer of a host. It carries one document of an image store at most, such as a module's listing."""

REMOTE_CONNECT_TIME = 10
"""Seconds for a connection to a host. A TCP connection that is not there after two repeats mostly never is."""

REMOTE_REPLY_TIME = 60
"""Seconds for one answer of a host, its last byte included. What takes a host longer is a task, and asked for again."""

REMOTE_SLOWEST = 128 * KIB
"""Bytes a second that a bundle must get to a host with at least, on top of the time for the answer: a slow DSL line."""

REMOTE_TASK_TIME = 900
"""Seconds that a host may take for a task, unless it is said otherwise: installing some GiB, or proving them."""

REMOTE_PAUSE = 200
"""Milliseconds before a host is first asked again how far a task is; twice as many each time."""

REMOTE_LONGEST_PAUSE = 3000
"""The most milliseconds between two such questions."""

MANAGED_TIME = 5
"""Seconds that the host waits for a client's next bytes, one client at a time: none keeps the others out for good."""

MANAGED_REQUEST = 4 * KIB
"""Bytes of the head of a request to a host. `curl` and proxies send some hundreds; it is read at once."""

DELIVERY_TIME = 900
"""Seconds in which an update arrives and is judged: 2 GiB at 2.4 MB a second. There is one delivery at a time."""

DELIVERY_PAUSE = 60
"""Seconds that the receiver of an update waits for its next piece: longer than any network that recovers needs."""

DELIVERY_HEAD = 64
"""Bytes of the first line of a delivery: a word and two numbers, of which the longest have 40."""

BOOT_LOG_SIZE = 4 * MIB
"""Bytes of the log of process 1 on the data partition, and as many of the one before: some 40,000 lines each."""

BOOT_PARTITIONS = 1024
"""Rows of a disk's table of partitions, which are read at once. Ordinary ones have 128 (UEFI 2.10 section 5.3.2)."""

BOOT_WATCHDOG = 300
"""Seconds without a sign of process 1 after which the machine restarts: proving HOST_MODULES modules takes less."""

SERVICE_LINE = 4 * KIB
"""Bytes of a line that a service says before it is cut in two: process 1 keeps what has not ended yet."""

SERVICE_LINES = 500
"""Lines of a service that are told in SERVICE_LINES_TIME, and then how many were left out: a serial line takes some
11 KB a second, and one service must not push all others out of the log."""

SERVICE_LINES_TIME = 10
"""Seconds in which a service may say SERVICE_LINES lines."""

SERVICE_STOP = 5
"""Seconds in which services may end by themselves before a restart."""

TPM_ANSWER = 4 * KIB
"""Bytes of an answer of a TPM (TPM2_MAX_RESPONSE_SIZE of the Platform TPM Profile): it is read at once."""

TPM_TRIES = 100
"""Times that a TPM that is busy is asked again, a twentieth of a second apart: its self-test takes a second or two."""

OUTPUT_LINKS = 40
"""Links in a row from a name to the file that is written: as many as the kernel follows (path_resolution(7))."""

OUTPUT_LOOK = 64 * KIB
"""Bytes of a file that are looked at for a private key before it is replaced. A PEM file with a chain of ten
certificates before its key has 20 KiB."""
