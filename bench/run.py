"""`make bench`: modseal against the floors of this machine and against its peers, as ratios from one interleaved run.

Nothing here passes or fails by time. The one thing that fails is memory: a payload of 4 GiB must pack and verify in
under 100 MiB. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import corpus
import measure
import peers
from measure import MIB, Contender, Section, compare

MEMORY_LIMIT = 100 * MIB
"""Peak of resident memory for a payload of any size."""

SIGNERS = ("partner", "accepted", "certified", "community")
"""Those of `modseal keys example`; a bundle is signed once with one key."""

KIB = 1024
HUGE_SIZE = 4 * 1024 * MIB
PYTHON = [sys.executable, "-I", "-c"]
MODSEAL = [*PYTHON, "from modseal.cli.main import main; main()"]
IMPORTS = "import click; import cryptography.x509"
LIBRARIES = f"python -I -c '{IMPORTS}'"
DIGEST = ["openssl", "dgst", "-sha256"]
SECTIONS = ("cold", "warm", "audit", "large", "huge", "growth", "many", "host")
"""The most wanted first: when there is no more time, the rest is left out."""
RECORD = Path(__file__).parents[1] / "docs" / "performance.json"
QUICK = ("cold", "warm", "audit", "large", "growth", "host")
"""What `--quick` runs."""
SHARES = {"cold": 40, "warm": 40, "audit": 150, "large": 150, "growth": 60, "huge": 50, "many": 60, "host": 40}
"""Seconds that a section has after its files are made. The round that has begun then is its last."""


class Bench:
    """One run: where its files are, how much of everything, which peers are there."""

    def __init__(self, folder: Path, *, quick: bool, bundles: int | None = None, mib: int | None = None) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self._signed: set[Path] = set()
        self.cold_rounds = 9 if quick else 15
        self.rounds = 3 if quick else 5
        self.small = 200 if quick else 2000
        self.audited = bundles or (200 if quick else 5000)
        self.medium = 10 if quick else 40
        self.most = bundles or (1000 if quick else 100_000)
        self.huge_size = (mib * MIB) if mib else HUGE_SIZE
        self.large_size = (mib or (64 if quick else 1024)) * MIB
        self.has_rpm = bool(shutil.which("rpmbuild") and shutil.which("rpmkeys"))
        self.can_sign_rpm = self.has_rpm and bool(shutil.which("rpmsign") and shutil.which("gpg"))
        self.notes = [] if self.has_rpm else ["no rpmkeys: rpm is not installed (Debian's package rpm brings it)"]
        if self.has_rpm and not self.can_sign_rpm:
            self.notes = ["the packages are unsigned: rpmsign or gpg is not installed"]

    def prepare(self, sections: Sequence[str]) -> None:
        """The keys, and the small bundles where a section needs them."""
        _quietly([*MODSEAL, "keys", "example", str(self.keys)])
        if {"cold", "warm", "audit", "growth"} & set(sections):
            self._make_folders("small", self.audited if "audit" in sections else min(self.audited, self.small))
        if "audit" in sections:
            self._make_folders("medium", self.medium)

    def cold(self) -> None:
        """One small bundle in a fresh process."""
        seal, vib = self._small("seal")[0], self._small("vib")[0]
        notes = list(self.notes)
        contenders = [
            Contender("python -I -c pass", [*PYTHON, "pass"]),
            Contender(LIBRARIES, [*PYTHON, IMPORTS]),
            Contender("modseal verify small.seal", self._verify(seal), [seal]),
            Contender("modseal verify small.vib", self._verify(vib), [vib]),
            Contender("openssl dgst -sha256 small.seal", [*DIGEST, str(seal)], [seal]),
            *self._openssl_cms(seal),
            *self._rpmkeys("small.rpm", self._small_rpms()[:1]),
            *peers.all_of(self.folder, seal, notes),
        ]
        title = "Cold start: one bundle of 20 KB, a fresh process each"
        compare(Section(title, LIBRARIES, contenders, self.cold_rounds, notes=notes))

    def warm(self) -> None:
        """Many small bundles in one process."""
        seals, vibs = self._small("seal"), self._small("vib")
        base = "openssl dgst -sha256 *.seal"
        contenders = [
            Contender(base, [*DIGEST, *map(str, seals)], seals),
            Contender("modseal verify *.seal", self._verify(*seals), seals),
            Contender("modseal verify *.vib", self._verify(*vibs), vibs),
            *self._rpmkeys("*.rpm", self._small_rpms()),
        ]
        title = f"Many: {len(seals)} bundles of 20 KB in one process, time per bundle with the start-up shared"
        compare(Section(title, base, contenders, self.rounds, len(seals), self.notes))

    def profile(self, kind: str) -> object:
        """Where the time of the small bundles goes."""
        program = str(Path(__file__).with_name("shares.py"))
        command = [sys.executable, program, str(self.folder / f"small-{kind}"), str(self.keys / "policy.toml"), kind]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def audit(self) -> None:
        """Folders of bundles: the engine on one and two workers, then the cache; against the floor and rpmkeys."""
        for what, count in (("small", self.audited), ("medium", self.medium)):
            for kind in ("seal", "vib"):
                self._audit(what, kind, count)

    def _audit(self, what: str, kind: str, count: int) -> None:
        folder, cache = self.folder / f"{what}-{kind}", self.folder / "cache"
        bundles = sorted(folder.glob(f"*.{kind}"))
        megabytes = sum(path.stat().st_size for path in bundles) / 1e6
        names = list(map(str, bundles))
        base = "floor: SHA-256 and one signature check, 1 process"
        floor = [sys.executable, "-I", str(Path(__file__).with_name("floor.py"))]
        again = self._audits(folder, cache, "2", cached=True)
        contenders = [
            Contender(base, [*floor, "1", *names], bundles),
            Contender("the same, 2 processes", [*floor, "2", *names], bundles),
            Contender("modseal audit, 1 worker", self._audits(folder, cache, "1"), bundles),
            Contender("modseal audit, 2 workers", self._audits(folder, cache, "2"), bundles),
            Contender("modseal audit again, from the cache", again, before=lambda: _whatever_it_finds(again)),
        ]
        if self.has_rpm:
            packages = sorted((self.folder / f"{what}-rpm").glob("*.rpm"))
            contenders += self._rpmkeys("*.rpm", packages)
        title = f"Audit: {count} .{kind} of the size {what}, {megabytes:.0f} MB in all"
        runs = compare(Section(title, base, contenders, 3 if what == "small" else 1, notes=self.notes))
        for name in ("modseal audit, 1 worker", "modseal audit, 2 workers"):
            seconds = statistics.median(each.seconds for each in runs[name])
            print(f"  {name}: {count / seconds:.0f} bundles/s, {megabytes / seconds:.0f} MB/s")

    def _audits(self, folder: Path, cache: Path, jobs: str, *, cached: bool = False) -> list[str]:
        options = ["--jobs", jobs, "--policy", str(self.keys / "policy.toml"), *([] if cached else ["--no-cache"])]
        return ["env", f"XDG_CACHE_HOME={cache}", *MODSEAL, "audit", str(folder), *options]

    def _make_folders(self, what: str, count: int) -> None:
        """Bundles and packages of one size, in a folder for each kind."""
        self._make(what, count)
        for kind in ("seal", "vib"):
            (self.folder / f"{what}-{kind}").mkdir()
            for path in self.folder.glob(f"{what}-*.{kind}"):
                path.rename(self.folder / f"{what}-{kind}" / path.name)
        if self.has_rpm:
            packages = self.folder / f"{what}-rpm"
            (self.folder / "rpm" / "noarch").rename(packages)
            made = sorted(packages.glob("*.rpm"))
            self._sign_rpms(made)
            for number in range(len(made), count):
                os.link(made[number % len(made)], packages / f"again-{number:05}.rpm")

    def large(self) -> None:
        """One large bundle: pack, then verify."""
        module = self._make("large", self.large_size)
        size = f"{self.large_size // MIB} MiB"
        seal, vib = module.with_suffix(".seal"), module.with_suffix(".vib")
        files = sorted((module / "files").iterdir())
        tar = f"tar -C '{module}' -c files"
        base = "tar -c | gzip -6"
        contenders = [
            Contender("modseal pack: .seal, zstd -9", self._pack(module, seal), files),
            Contender("modseal pack: .vib, zlib-ng -5", self._pack(module, vib), files),
            Contender("tar -c | zstd -9 -T0", f"{tar} | zstd -q -9 -T0 -c | cat >/dev/null", files),
            Contender(base, f"{tar} | gzip -6 | cat >/dev/null", files),
        ]
        if self.has_rpm:
            contenders.append(Contender("rpmbuild, zstd -9", corpus.rpm_command([module], self.folder), files))
        contenders += self._dpkg(files)
        compare(Section(f"Pack {size}", base, contenders, 1, notes=self.notes))
        sizes = [path.stat().st_size / MIB for path in (seal, vib)]
        print(f"  note: .seal {sizes[0]:.0f} MiB, .vib {sizes[1]:.0f} MiB")
        self._sign(seal)
        self._sign(vib)
        self._verify_large(size, seal, vib, corpus.rpm_path(module, self.folder))

    def _verify_large(self, size: str, seal: Path, vib: Path, rpm: Path) -> None:
        packed = {"seal": seal.with_suffix(".zst"), "vib": vib.with_suffix(".gz")}
        corpus.last_member(seal, packed["seal"])
        corpus.last_member(vib, packed["vib"])
        base = "openssl dgst -sha256 large.seal"
        contenders = [
            Contender(base, [*DIGEST, str(seal)], [seal]),
            Contender("modseal verify large.seal", self._verify(seal), [seal]),
            Contender(
                "zstd -dc | openssl dgst -sha256, its payload",
                f"zstd -dcq '{packed['seal']}' | openssl dgst -sha256",
                [packed["seal"]],
            ),
            Contender("openssl dgst -sha256 large.vib", [*DIGEST, str(vib)], [vib]),
            Contender("modseal verify large.vib", self._verify(vib), [vib]),
            Contender(
                "gzip -dc | openssl dgst -sha256, its payload",
                f"gzip -dc '{packed['vib']}' | openssl dgst -sha256",
                [packed["vib"]],
            ),
            *self._igzip(packed["vib"]),
            *self._rpmkeys("large.rpm", [rpm]),
        ]
        notes = ["openssl dgst reads the packed bytes only; rpmkeys too; modseal unpacks and compares every file"]
        compare(Section(f"Verify {size} (unpacked)", base, contenders, self.rounds, notes=notes + self.notes))

    def growth(self) -> None:
        """How time and memory grow with size, files, bundles and signers: linear and flat, or not."""
        sizes = (1, 4, 16, 64) if self.audited == 200 else (1, 16, 64, 256)
        modules = [self._grown(f"size-{size}", [size * MIB]) for size in sizes]
        self._grow("the size of a payload, MiB", zip(sizes, modules, strict=True))
        counts = (1, 100, 1000, 10_000)
        modules = [self._grown(f"files-{count}", [200] * count) for count in counts]
        self._grow("files", zip(counts, modules, strict=True))
        one = self._grown("signed", [20_000])
        for kind in ("seal", "vib"):
            contenders = []
            for signers in range(1, len(SIGNERS) + 1):
                bundle = one.with_name(f"signers-{signers}.{kind}")
                _quietly([*MODSEAL, "pack", str(one), "-o", str(bundle), "--format", kind])
                for who in SIGNERS[:signers]:
                    self._sign(bundle, who)
                contenders.append(Contender(str(signers), self._verify(bundle), [bundle]))
            compare(Section(f"Growth with signature blocks, .{kind}", "1", contenders, self.rounds))
        for kind in ("seal", "vib"):
            bundles = self._small(kind)
            counts = [count for count in (1, 10, 100, 1000) if count <= len(bundles)]
            contenders = [Contender(str(n), self._verify(*bundles[:n]), bundles[:n]) for n in counts]
            compare(Section(f"Growth with bundles in one process, .{kind}", "1", contenders, self.rounds))

    def _grown(self, name: str, sizes: list[int]) -> Path:
        module = self.folder / name
        corpus.sized_module(module, sizes)
        return module

    def _grow(self, what: str, modules: Iterable[tuple[int, Path]]) -> None:
        modules = list(modules)
        for kind in ("seal", "vib"):
            contenders = []
            for number, module in modules:
                bundle = module.with_suffix(f".{kind}")
                _quietly(self._pack(module, bundle))
                self._sign(bundle)
                contenders.append(Contender(str(number), self._verify(bundle), [bundle]))
            compare(Section(f"Growth with {what}, .{kind}", str(modules[0][0]), contenders, self.rounds))

    def _openssl_cms(self, bundle: Path) -> list[Contender]:
        """The signature over the manifest alone, by OpenSSL."""
        content, block = self.folder / "manifest", self.folder / "block.pem"
        corpus.members(bundle, [content, block])
        command = f"openssl smime -verify -binary -purpose any -inform PEM -in '{block}' -content '{content}'"
        command += f" -CAfile '{self.keys / 'partner/root.pem'}' -out /dev/null"
        return [Contender("openssl smime -verify, the signature", command, [content, block])]

    def _igzip(self, packed: Path) -> list[Contender]:
        if not shutil.which("igzip"):
            self.notes.append("no igzip: it is not installed (Debian's package isal brings it)")
            return []
        command = f"igzip -dc '{packed}' | openssl dgst -sha256"
        return [Contender("igzip -dc | openssl dgst -sha256, its payload", command, [packed])]

    def _dpkg(self, files: list[Path]) -> list[Contender]:
        """The same files as a Debian package, which is not signed."""
        if not shutil.which("dpkg-deb"):
            self.notes.append("no dpkg-deb: it is not installed")
            return []
        root = self.folder / "deb"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN/control").write_text(peers.CONTROL)
        (root / "opt").mkdir()
        for file in files:
            os.link(file, root / "opt" / file.name)
        build = ["dpkg-deb", "--build", "--root-owner-group", "-Zzstd", "-z9"]
        return [Contender("dpkg-deb, zstd -9", [*build, str(root), str(self.folder / "large.deb")], files)]

    def _sign_rpms(self, packages: list[Path]) -> None:
        """Sign packages with an RSA key of 2048 bits, and have rpmkeys know it."""
        if not self.can_sign_rpm:
            return
        home, database = self.folder / "gnupg", self.folder / "rpmdb"
        gpg = ["gpg", "--homedir", str(home), "--batch"]
        if not home.exists():
            home.mkdir(mode=0o700)
            _quietly([*gpg, "--passphrase", "", "--quick-gen-key", "bench", "rsa2048", "sign", "never"])
            _quietly([*gpg, "--armor", "--output", str(home / "public.asc"), "--export", "bench"])
            _quietly(["rpmkeys", "--dbpath", str(database), "--import", str(home / "public.asc")])
        macros = [
            "--define",
            "_gpg_name bench",
            "--define",
            f"_gpg_path {home}",
            "--define",
            f"__gpg {shutil.which('gpg')}",
        ]
        fresh = [path for path in packages if path not in self._signed]
        for start in range(0, len(fresh), 500):
            _quietly(["rpmsign", *macros, "--addsign", *map(str, fresh[start : start + 500])])
        self._signed.update(fresh)

    def many(self) -> None:
        """How an audit grows with the number of its bundles, up to 100,000 of 2 KB."""
        start = time.monotonic()
        contenders = [self._first(1000)]
        measure.run(contenders[0])
        each = (time.monotonic() - start) / 1000
        for count in (10_000, 100_000):
            if count <= self.most and each * count < measure.END[0] - time.monotonic():
                contenders.append(self._first(count))
            else:
                print(f"  not {count:,} bundles: more than was asked for, or than there is time for")
        compare(Section("Growth with bundles in an audit on two workers, .seal", "1000", contenders, 1))

    def _first(self, count: int) -> Contender:
        """The audit of the first of many bundles, which are made where they are not there."""
        self._make("many", count)
        part = self.folder / f"first-{count}"
        part.mkdir()
        for folder in sorted(self.folder.glob("many-*"))[: count // 1000]:
            shutil.copytree(folder, part / folder.name, copy_function=os.link)
        return Contender(str(count), self._audits(part, self.folder / "cache", "2"))

    def host(self) -> None:
        """A host with one module of 10,000 files, proved again: against reading and hashing the same files."""
        for size in (1, 4, 16, 64):
            self._host(size * KIB)

    def _host(self, size: int) -> None:
        module, root = self.folder / f"host-{size}", self.folder / f"root-{size}"
        bundle = module.with_suffix(".seal")
        _quietly([sys.executable, str(Path(__file__).with_name("corpus.py")), "host", str(module), str(size)])
        _quietly([*MODSEAL, "pack", str(module), "-o", str(bundle)])
        self._sign(bundle)
        root.mkdir()
        _quietly([*MODSEAL, "host", "init", "--root", str(root), "--policy", str(self.keys / "policy.toml")])
        _quietly([*MODSEAL, "host", "install", "--root", str(root), str(bundle)])
        image = (root / "var/lib/extensions/modseal").resolve()
        files = sorted(path for path in image.rglob("*") if path.is_file())
        base = "sha256sum, the same files"
        contenders = [
            Contender(base, f"find '{image}' -type f -print0 | xargs -0 sha256sum", files),
            Contender("modseal host verify", [*MODSEAL, "host", "verify", "--root", str(root)], files),
        ]
        compare(Section(f"Host: 10,000 files of {size // KIB} KiB", base, contenders, self.rounds))

    def huge(self) -> bool:
        """A sparse payload of 4 GiB within the limit of memory; says whether it held."""
        module = self._make("huge", self.huge_size)
        seal, vib = module.with_suffix(".seal"), module.with_suffix(".vib")
        image = module / "files" / "image"
        base = "openssl dgst -sha256 (the unpacked file)"
        contenders = [
            Contender(base, [*DIGEST, str(image)]),
            Contender("modseal pack huge.seal", self._pack(module, seal)),
            Contender("modseal verify huge.seal", self._verify(seal), before=lambda: self._sign(seal)),
            Contender("modseal pack huge.vib", self._pack(module, vib)),
            Contender("modseal verify huge.vib", self._verify(vib), before=lambda: self._sign(vib)),
        ]
        runs = compare(Section(f"One sparse file of {self.huge_size // MIB:,} MiB", base, contenders, 1))
        highest = max(each.memory for measured in runs.values() for each in measured)
        held = highest < MEMORY_LIMIT
        outcome = "held" if held else "EXCEEDED"
        print(f"\n  peak memory {highest / MIB:.0f} MiB, limit {MEMORY_LIMIT // MIB} MiB: {outcome}")
        return held

    def _make(self, what: str, size: int) -> Path:
        """The name of what `corpus.py` made, in a process of its own: one that measures has to stay small."""
        _quietly([sys.executable, str(Path(__file__).with_name("corpus.py")), what, str(self.folder), str(size)])
        return self.folder / what

    def _small(self, kind: str) -> list[Path]:
        return sorted((self.folder / f"small-{kind}").glob(f"*.{kind}"))[: self.small]

    def _small_rpms(self) -> list[Path]:
        return sorted((self.folder / "small-rpm").glob("*.rpm"))[: self.small]

    def _verify(self, *bundles: Path) -> list[str]:
        return [*MODSEAL, "verify", *map(str, bundles), "--policy", str(self.keys / "policy.toml")]

    def _pack(self, module: Path, bundle: Path) -> list[str]:
        return [*MODSEAL, "pack", str(module), "-o", str(bundle), "--format", bundle.suffix[1:]]

    def _sign(self, bundle: Path, who: str = SIGNERS[0]) -> None:
        key = self.keys / who
        _quietly([*MODSEAL, "sign", str(bundle), "--key", str(key / "signer.key"), "--cert", str(key / "signer.pem")])

    def _rpmkeys(self, name: str, packages: list[Path]) -> list[Contender]:
        if not self.has_rpm:
            return []
        command = ["rpmkeys", "--dbpath", str(self.folder / "rpmdb"), "-K", *map(str, packages)]
        if not self.can_sign_rpm:
            return [Contender(f"rpmkeys -K {name} (digests only, unsigned)", command, packages)]
        self._sign_rpms([path for path in packages if path.parent.name == "noarch"])
        return [Contender(f"rpmkeys -K {name} (RSA-2048)", command, packages)]


def _whatever_it_finds(command: list[str]) -> None:
    """An audit ends with the status of what it finds; here it only has to have filled the cache."""
    subprocess.run(command, check=False, capture_output=True)


def _quietly(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed: {done.stderr.strip()}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 bundles and 64 MiB, for a minute")
    parser.add_argument("--bundles", type=int, metavar="N", help="how many small bundles are audited; 5,000 by default")
    parser.add_argument("--mib", type=int, metavar="N", help="MiB of the large payload; 1,024 by default")
    parser.add_argument("--minutes", type=float, default=11, help="when no further section begins; 11 by default")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section alone; may be repeated")
    parser.add_argument("--json", type=Path, help=f"where the tables are kept too; without --quick {RECORD.name}")
    parser.add_argument("--dir", type=Path, help="where files are made (3 GiB); a temporary folder by default")
    return parser.parse_args()


def main() -> int:
    """Run the sections that were asked for."""
    arguments = _arguments()
    if subprocess.run([*PYTHON, "import modseal"], check=False, stderr=subprocess.DEVNULL).returncode:
        sys.exit(f"bench: modseal is not installed for {sys.executable}; run `make bench`")
    sections = arguments.only or (QUICK if arguments.quick else SECTIONS)
    end = measure.END[0] = time.monotonic() + 60 * arguments.minutes
    if arguments.dir:
        arguments.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="modseal-bench-", dir=arguments.dir) as folder:
        bench = Bench(Path(folder), quick=arguments.quick, bundles=arguments.bundles, mib=arguments.mib)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores; times are of whole processes", flush=True)
        bench.prepare(sections)
        wrong, profiles = _sections(bench, sections, end)
    record = arguments.json or (None if arguments.quick else RECORD)
    if record:
        _keep(record, profiles, whole=not arguments.only)
    for line in wrong:
        print(f"bench: {line}", file=sys.stderr)
    return 1 if wrong else 0


def _sections(bench: Bench, sections: Iterable[str], end: float) -> tuple[list[str], dict[str, object]]:
    """Run sections while there is time. What goes wrong in one is said at the end, and keeps no other from running."""
    wrong: list[str] = []
    profiles: dict[str, object] = {}
    for name in sections:
        left = end - time.monotonic()
        if left < SHARES[name] / 2:
            print(f"\nnot measured, for want of time: {name}")
            continue
        measure.UNTIL[0] = time.monotonic() + min(SHARES[name], left)
        try:
            if getattr(bench, name)() is False:
                wrong.append(f"{name}: the limit of memory was passed")
            if name == "warm":
                profiles = {kind: bench.profile(kind) for kind in ("seal", "vib")}
        except (SystemExit, OSError, subprocess.CalledProcessError) as error:
            wrong.append(f"{name}: {error}")
        print(f"  [{name} done, {end - time.monotonic():.0f} seconds left]", flush=True)
    return wrong, profiles


def _keep(path: Path, profiles: dict[str, object], *, whole: bool) -> None:
    """Write the tables; where only some sections were to run, the others stay as they were."""
    known = json.loads(path.read_text("utf-8")) if path.exists() and not whole else {}
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, check=False, capture_output=True, text=True).stdout.strip()
    run = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
    }
    known.update({title: {**run, **table} for title, table in measure.RECORD.items()})
    if profiles:
        known["profile"] = profiles
    path.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
