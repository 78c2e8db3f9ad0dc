"""`pack` of a `module.toml`: the same bytes everywhere, every refusal in one line, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modseal import limits
from modseal.bundle.inspect import inspect
from modseal.bundle.verify import verify
from modseal.errors import FormatError, InputError, ModsealError, RefusedError, SpecError, UsageError
from modseal.format.level import Level
from modseal.format.manifest import Entry, Kind
from modseal.packing import assemble, plan
from modseal.packing import pack as pack_module
from modseal.packing.pack import Packed, pack
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "docs" / "examples" / "hello"
ANYBODY = Policy("test", Level.COMMUNITY, allow_unsigned_community=True)
NOW = datetime(2026, 2, 1, tzinfo=UTC)

HEAD = 'schema = "modseal/module@1"\nvendor = "Acme"\nname = "hello"\nversion = "1.0.0-1"\n'
TREE = '[[payload]]\nroot = "files"\n'


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder with a small module: `files/opt/hello/{run,etc/conf}`."""
    folder = tmp_path / "module"
    (folder / "files/opt/hello/etc").mkdir(parents=True)
    (folder / "files/opt/hello/etc/conf").write_bytes(b"level = 1\n")
    (folder / "files/opt/hello/run").write_bytes(b"#!/bin/sh\n")
    (folder / "files/opt/hello/run").chmod(0o755)
    (folder / "module.toml").write_text(HEAD + TREE)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def spec(module: Path, text: str) -> Path:
    path = module / "module.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def packed(module: Path, out: Path, kind: Kind | None = None, **environ: str) -> Packed:
    (out / "it").unlink(missing_ok=True)
    return pack(module, out / "it", kind, environ=environ)


def entries(result: Packed) -> dict[str, Entry]:
    return {entry.path: entry for entry in inspect(result.path).entries}


def refused(module: Path, out: Path, kind: Kind | None = None) -> tuple[str, ...]:
    """The problems of a spec that must be refused, with nothing left behind."""
    with pytest.raises(SpecError) as caught:
        packed(module, out, kind)
    assert caught.value.failure.code == "bad-spec"
    assert os.listdir(out) == []
    return caught.value.problems


@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_what_is_packed_is_what_a_verifier_accepts(module: Path, out: Path, kind: Kind) -> None:
    result = packed(module, out, kind)
    examination = verify(result.path, ANYBODY, NOW, with_digest=True)
    assert examination.verdict is Verdict.ACCEPTED
    assert examination.sha256 == result.sha256
    assert result.kind == kind
    assert result.path.stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("kind", ["seal", "vib"])
@pytest.mark.parametrize("said", ["tar+zstd", "tar+gzip", "vgz", "tgz", "vzstd"])
def test_every_type_has_a_counterpart_in_both_formats(module: Path, out: Path, kind: Kind, said: str) -> None:
    spec(module, TREE + f'type = "{said}"\n[[depends]]\nname = "zstd-compression"\nrelation = "="\nversion = "1.0"\n')
    expected = {
        "seal": {
            "tar+zstd": "tar+zstd",
            "tar+gzip": "tar+gzip",
            "vgz": "tar+zstd",
            "tgz": "tar+gzip",
            "vzstd": "tar+zstd",
        },
        "vib": {"tar+zstd": "vgz", "tar+gzip": "tgz", "vgz": "vgz", "tgz": "tgz", "vzstd": "vzstd"},
    }
    result = packed(module, out, kind)
    assert [payload.type for payload in result.manifest.payloads] == [expected[kind][said]]
    assert verify(result.path, ANYBODY, NOW, with_digest=False).verdict is Verdict.ACCEPTED
    assert result.warnings == ()


def test_modes_depend_on_nothing_but_the_owners_execute_bit(module: Path, out: Path) -> None:
    tree = module / "files/opt/hello"
    os.symlink("run", tree / "link")
    (tree / "run").chmod(0o4710)
    (tree / "etc/conf").chmod(0o666)
    (tree / "etc").chmod(0o2770)
    modes = {path: entry.mode for path, entry in entries(packed(module, out)).items()}
    assert modes == {
        "opt": 0o755,
        "opt/hello": 0o755,
        "opt/hello/etc": 0o755,
        "opt/hello/etc/conf": 0o644,
        "opt/hello/link": 0o777,
        "opt/hello/run": 0o755,
    }


def test_a_prefix_and_added_files_bring_their_parents(module: Path, out: Path) -> None:
    (module / "extra").write_bytes(b"more")
    spec(
        module,
        TREE + 'prefix = "srv/x"\n[[file]]\npath = "var/lib/data"\nsource = "extra"\nmode = "1600"\n'
        '[[file]]\npath = "srv"\nmode = "0700"\n',
    )
    found = entries(packed(module, out))
    assert {"srv", "srv/x", "srv/x/opt", "srv/x/opt/hello/run", "var", "var/lib", "var/lib/data"} <= found.keys()
    assert (found["var/lib/data"].mode, found["srv"].mode, found["srv/x"].mode) == (0o1600, 0o700, 0o755)


def test_a_module_of_single_files_needs_no_tree(module: Path, out: Path) -> None:
    spec(module, '[[file]]\npath = "etc/conf"\nsource = "files/opt/hello/etc/conf"\n')
    assert list(entries(packed(module, out))) == ["etc", "etc/conf"]


def test_only_what_is_excluded_is_left_out(module: Path, out: Path) -> None:
    tree = module / "files"
    for name in (".git/config", "opt/hello/.git/config", "build/a.o", "build/a.c", "x~"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"")
    everything = packed(module, out)
    assert {".git/config", "opt/hello/.git/config", "build/a.o", "x~"} <= entries(everything).keys()
    (warning,) = everything.warnings
    assert warning == (
        "payload payload1 has 3 paths ('.git', 'x~', 'opt/hello/.git') of version control, desktops or editors; "
        "exclude them if they are not meant to be shipped"
    )
    spec(module, TREE + 'exclude = [".git/", "build/*.o", "/x~"]\n')
    rest = packed(module, out)
    assert not {".git", ".git/config", "opt/hello/.git", "build/a.o", "x~"} & entries(rest).keys()
    assert "build/a.c" in entries(rest)
    assert rest.warnings == ()


def test_a_linked_root_is_resolved_and_links_below_it_stay(module: Path, out: Path) -> None:
    os.rename(module / "files", module / "real")
    os.symlink("real", module / "files")
    os.symlink("etc/conf", module / "real/opt/hello/conf")
    found = entries(packed(module, out))
    assert found["opt/hello/conf"].target == "etc/conf"
    assert found["opt/hello/conf"].type == "symlink"


def test_hard_links_are_separate_files(module: Path, out: Path) -> None:
    os.link(module / "files/opt/hello/run", module / "files/opt/hello/again")
    found = entries(packed(module, out))
    assert found["opt/hello/again"].sha256 == found["opt/hello/run"].sha256


def test_a_folder_that_two_payloads_share_is_declared_once(module: Path, out: Path) -> None:
    (module / "more/opt/hello/share").mkdir(parents=True)
    (module / "more/opt/hello/share/text").write_bytes(b"text")
    spec(module, TREE + 'name = "one"\n[[payload]]\nname = "two"\nroot = "more"\n')
    for kind in ("seal", "vib"):
        result = packed(module, out, kind)
        listed = [(entry.path, entry.payload) for entry in inspect(result.path).entries]
        assert ("opt/hello", "one") in listed
        assert ("opt/hello", "two") not in listed
        assert ("opt/hello/share/text", "two") in listed


def test_attachments_follow_the_payloads_and_are_bound_by_their_digest(module: Path, out: Path) -> None:
    (module / "sbom").write_bytes(b"{}\n")
    spec(module, TREE + '[[attachment]]\nname = "sbom.json"\nfile = "sbom"\nmedia-type = "application/spdx+json"\n')
    result = packed(module, out)
    assert [member.name for member in inspect(result.path).members] == [
        "manifest.json",
        "sig.pkcs7",
        "payload1",
        "sbom.json",
    ]
    assert result.manifest.attachments[0].size == 3
    vib = packed(module, out, "vib")
    assert vib.warnings == ("a .vib carries no attachments: sbom.json is left out",)
    assert vib.manifest.attachments == ()


def test_the_fields_of_a_vib_get_there(module: Path, out: Path) -> None:
    spec(
        module,
        'level = "partner"\nreleased = "2026-01-31T12:00:00Z"\n'
        + TREE
        + '[vib]\ntags = ["module"]\nlive-install-allowed = true\nurls = {kb = "https://example.test/"}\n',
    )
    manifest = inspect(packed(module, out, "vib").path).manifest
    assert manifest is not None
    assert manifest.vib is not None
    assert (manifest.released, manifest.claimed_level) == ("2026-01-31T12:00:00+00:00", Level.PARTNER)
    assert (manifest.vib.tags, manifest.vib.live_install_allowed) == (("module",), True)
    assert manifest.vib.urls == (("kb", "https://example.test/"),)


# The same bytes.


DRIVER = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[4], 8))
from modseal.packing.pack import pack
print(pack(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], environ=os.environ).sha256)
"""


def digest_elsewhere(folder: Path, output: Path, kind: str, cwd: Path, umask: str, **environ: str) -> str:
    environment = {"PYTHONPATH": str(REPOSITORY / "tools"), "PATH": os.environ["PATH"], **environ}
    command = [sys.executable, "-c", DRIVER, str(folder), str(output), kind, umask]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def build(folder: Path, names: list[str], time: int, umask: int) -> Path:
    """The same module, made in another way: order of creation, times, modes of the umask."""
    before = os.umask(umask)
    try:
        for name in names:
            path = folder / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
            os.utime(path, (time, time))
        (folder / "module.toml").write_text(HEAD + TREE, encoding="utf-8")
        os.utime(folder / "files", (time, time))
    finally:
        os.umask(before)
    return folder


@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_the_same_module_gives_the_same_bytes_on_another_machine(tmp_path: Path, kind: str) -> None:
    names = ["opt/b", "opt/a", "opt/a-c/z", "opt/ä", "opt/Z", "zz"]
    one = build(tmp_path / "one", names, 1_000_000_000, 0o022)
    two = build(tmp_path / "elsewhere" / "two", names[::-1], 1_700_000_000, 0o077)
    first = digest_elsewhere(one, tmp_path / "1", kind, tmp_path, "022", LC_ALL="C", TZ="UTC", HOME="/")
    second = digest_elsewhere(
        Path("two"),
        Path("../2"),
        kind,
        two.parent,
        "077",
        LC_ALL="POSIX",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        TZ="Asia/Kathmandu",
        PYTHONHASHSEED="7",
        USER="other",
    )
    assert first == second


def test_source_date_epoch_is_the_time_of_everything(module: Path, out: Path) -> None:
    seal = packed(module, out, "seal", SOURCE_DATE_EPOCH="86400").manifest
    assert (seal.released, seal.payloads[0].mtime) == ("1970-01-02T00:00:00Z", 86400)
    assert packed(module, out, "vib", SOURCE_DATE_EPOCH="86400").manifest.released == "1970-01-02T00:00:00+00:00"


def test_without_source_date_epoch_the_clock_does_not_get_in(module: Path, out: Path) -> None:
    seal = packed(module, out, "seal").manifest
    assert (seal.released, seal.payloads[0].mtime) == ("", 0)
    assert packed(module, out, "vib").manifest.released == "1970-01-01T00:00:00+00:00"


@pytest.mark.parametrize("text", ["", "now", "-1", "1.5", "99999999999", "٣"])
def test_a_bad_source_date_epoch_is_refused(module: Path, out: Path, text: str) -> None:
    with pytest.raises(SpecError, match="SOURCE_DATE_EPOCH"):
        packed(module, out, SOURCE_DATE_EPOCH=text)
    assert os.listdir(out) == []


# Refusals: one clear line each, all at once, nothing left behind.


def add_fifo(tree: Path) -> None:
    os.mkfifo(tree / "bad")


def add_socket(tree: Path) -> None:
    folder = os.open(tree, os.O_RDONLY)
    here = os.open(".", os.O_RDONLY)
    try:
        os.fchdir(folder)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("bad")
    finally:
        os.fchdir(here)
        os.close(folder)
        os.close(here)


def add_link(target: str) -> Callable[[Path], None]:
    return lambda tree: os.symlink(target, tree / "bad")


def add_file(name: bytes) -> Callable[[Path], None]:
    def add(tree: Path) -> None:
        with open(os.fsencode(tree) + b"/" + name, "wb"):
            pass

    return add


def add_collision(tree: Path) -> None:
    (tree / "README").write_bytes(b"")
    (tree / "ReadMe").write_bytes(b"")


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (add_fifo, "'bad' is a FIFO"),
        (add_socket, "'bad' is a socket"),
        (add_link("/etc/passwd"), "'bad' links to the absolute path"),
        (add_link("../outside"), "'bad' links to '../outside', outside the module"),
        (add_file(b"caf\xe9"), "is not UTF-8"),
        (add_file(b"two\nlines"), "has a control, invisible or backslash character"),
        (add_file("e\u0301".encode()), "is not in Unicode normal form C"),
        (add_file(b"*"), "as if it were a pattern"),
        (add_collision, "collides with"),
    ],
)
def test_what_a_verifier_would_reject_is_refused(
    module: Path, out: Path, break_it: Callable[[Path], None], expected: str
) -> None:
    break_it(module / "files")
    lines = refused(module, out)
    assert len(lines) == 1
    assert expected in lines[0]


def test_a_name_of_more_than_100_bytes_is_packed_into_a_seal(module: Path, out: Path) -> None:
    name = "node_modules/" + "n" * 120 + ".js"
    (module / "files/node_modules").mkdir()
    add_file(name.encode())(module / "files")
    result = packed(module, out)
    assert name in entries(result)
    assert verify(result.path, ANYBODY, NOW, with_digest=False).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("kind", "said"), [("vgz", "has 123 bytes, and a path in a .vib may have 100"), ("tgz", "has 123 bytes, and")]
)
def test_a_vib_refuses_a_name_of_more_than_100_bytes_and_says_why(
    module: Path, out: Path, kind: str, said: str
) -> None:
    spec(module, TREE + f'type = "{kind}"\n')
    add_file(b"n" * 120 + b".js")(module / "files")
    (line,) = refused(module, out, "vib")
    assert said in line
    assert line.endswith("or pack a .seal")


def test_all_refusals_are_told_at_once(module: Path, out: Path) -> None:
    tree = module / "files"
    add_fifo(tree)
    os.symlink("/abs", tree / "opt/out")
    add_file(b"a\\b")(tree)
    spec(
        module,
        TREE + '[[file]]\npath = "opt/none"\nmode = "0644"\n[[attachment]]\nname = "a"\nfile = "none"\n'
        'media-type = "text/plain"\n',
    )
    assert len(refused(module, out)) == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(module: Path, out: Path) -> None:
    (module / "files/opt/hello/run").chmod(0)
    (module / "files/opt/hello/etc").chmod(0)
    lines = refused(module, out)
    (module / "files/opt/hello/etc").chmod(0o755)
    assert [line.rpartition(": ")[2] for line in lines] == ["Permission denied"] * 2


def test_a_symbolic_link_is_refused_for_a_vib(module: Path, out: Path) -> None:
    os.symlink("run", module / "files/opt/hello/link")
    (line,) = refused(module, out, "vib")
    assert "'opt/hello/link' is a symbolic link, and a .vib cannot have any" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[payload]]\nroot = "none"\n', "module.toml:6: payload[0].root: 'none': No such file"),
        ('[[payload]]\nroot = "module.toml"\n', "module.toml:6: payload[0].root: 'module.toml': Not a directory"),
        (
            TREE + '[[file]]\npath = "opt/none"\nmode = "0644"\n',
            "module.toml:8: file[0].path: 'opt/none' is in no payload",
        ),
        (TREE + '[[file]]\npath = "opt/x"\nsource = "none"\n', "module.toml:9: file[0].source: 'none': No such file"),
        (TREE + '[[file]]\npath = "opt/x"\nsource = "files"\n', "is a directory, and must be a file"),
        (TREE + '[[file]]\npath = "opt/hello/run"\nsource = "module.toml"\n', "'opt/hello/run' is in the tree already"),
        (TREE + '[[file]]\npath = "opt/hello/run/x"\nsource = "module.toml"\n', "'opt/hello/run/x' lies below"),
        (TREE + '[[attachment]]\nname = "a"\nfile = "files"\nmedia-type = "text/plain"\n', "is not a regular file"),
    ],
)
def test_a_spec_that_does_not_fit_its_files_names_line_and_field(
    module: Path, out: Path, text: str, expected: str
) -> None:
    spec(module, text)
    (line,) = refused(module, out)
    assert expected in line


def test_a_mode_for_a_link_is_refused(module: Path, out: Path) -> None:
    os.symlink("run", module / "files/opt/hello/link")
    spec(module, TREE + '[[file]]\npath = "opt/hello/link"\nmode = "0644"\n')
    assert refused(module, out)[0].endswith("'opt/hello/link' is a symbolic link, which has no mode")


def test_too_many_entries_are_refused_while_they_are_collected(
    module: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILES", 3)
    assert "has more than 3 entries" in refused(module, out)[0]


def test_a_setuid_file_in_a_community_vib_is_refused_by_the_verifiers_own_check(module: Path, out: Path) -> None:
    spec(module, TREE + '[[file]]\npath = "opt/hello/run"\nmode = "4755"\n')
    with pytest.raises(RefusedError, match=r"a verifier would reject it: .*setuid"):
        packed(module, out, "vib")
    assert os.listdir(out) == []
    assert entries(packed(module, out))["opt/hello/run"].mode == 0o4755


def test_a_fault_of_the_packer_itself_does_not_get_a_name(
    module: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: object) -> tuple[object, object]:
        manifest, parts = spool_parts(*arguments)  # type: ignore[arg-type]
        return replace(manifest, files=manifest.files[:-1]), parts

    spool_parts = assemble.spool_parts
    monkeypatch.setattr(pack_module, "spool_parts", wrong)
    with pytest.raises(RefusedError, match="not declared"):
        packed(module, out)
    assert os.listdir(out) == []


def test_a_file_that_changes_while_it_is_packed_is_noticed(
    module: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(*arguments: object) -> object:
        (module / "files/opt/hello/run").write_bytes(b"much longer than it was before")
        return spool_parts(*arguments)  # type: ignore[arg-type]

    spool_parts = assemble.spool_parts
    monkeypatch.setattr(pack_module, "spool_parts", change)
    with pytest.raises(InputError, match="changed its size"):
        packed(module, out)
    assert os.listdir(out) == []


def test_an_over_long_manifest_is_refused_by_the_encoders_own_rule(
    module: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MANIFEST_SIZE", 100)
    with pytest.raises(FormatError, match="manifest"):
        packed(module, out)
    assert os.listdir(out) == []


# Where the output goes.


def test_the_output_is_named_after_the_module(module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pack(module, None, None, environ={}).path == Path("hello-1.0.0-1.seal")
    assert pack(module, None, "vib", environ={}).path == Path("Acme_bootbank_hello_1.0.0-1.vib")
    assert {"hello-1.0.0-1.seal", "Acme_bootbank_hello_1.0.0-1.vib"} <= set(os.listdir(tmp_path))


def test_an_existing_output_is_replaced_and_survives_a_failure(module: Path, out: Path) -> None:
    first = packed(module, out).sha256
    spec(module, TREE + 'type = "zip"\n')
    with pytest.raises(SpecError):
        pack(module, out / "it", None, environ={})
    assert inspect(out / "it").sha256 == first
    spec(module, 'summary = "new"\n' + TREE)
    assert pack(module, out / "it", None, environ={}).sha256 != first
    assert os.listdir(out) == ["it"]


@pytest.mark.parametrize("place", ["files/it", "files/opt/hello/it", "sbom"])
def test_output_into_the_input_is_refused(module: Path, place: str) -> None:
    (module / "sbom").write_bytes(b"{}")
    spec(module, TREE + '[[attachment]]\nname = "a"\nfile = "sbom"\nmedia-type = "text/plain"\n')
    before = sorted(module.rglob("*"))
    with pytest.raises(UsageError, match="write the bundle somewhere else"):
        pack(module, module / place, None, environ={})
    assert sorted(module.rglob("*")) == before


def test_output_into_the_tree_through_a_link_is_refused(module: Path, tmp_path: Path) -> None:
    os.symlink(module / "files", tmp_path / "alias")
    with pytest.raises(UsageError, match="which is packed"):
        pack(module, tmp_path / "alias/it", None, environ={})


def test_output_to_a_folder_or_a_device_is_refused(module: Path, out: Path) -> None:
    for place in (out, Path(os.devnull)):
        with pytest.raises(UsageError, match=r"is a (folder|device)"):
            pack(module, place, None, environ={})


def test_output_into_a_folder_that_is_not_there_is_an_input_error(module: Path, out: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        pack(module, out / "none/it", None, environ={})


@pytest.mark.parametrize("error", [UsageError, InputError, SpecError])
def test_what_is_no_spec_is_refused(module: Path, out: Path, error: type[ModsealError]) -> None:
    (out / "empty").mkdir()
    (module / "descriptor.xml").write_bytes(b"")
    place = {UsageError: module, InputError: out / "none", SpecError: out / "empty"}[error]
    with pytest.raises(error):
        pack(place, out / "it", None, environ={})


# With other people's tools.


def test_the_example_is_what_the_documentation_says(out: Path) -> None:
    result = packed(EXAMPLE, out)
    manifest = result.manifest
    assert (manifest.vendor, manifest.name, manifest.version) == ("Acme", "hello", "1.0.0-1")
    assert manifest.claimed_level is Level.PARTNER
    assert {entry.type for entry in manifest.files} == {"file", "directory", "symlink"}
    assert result.warnings == ()
    assert result.path.stat().st_size < 4096


@pytest.mark.parametrize(("packing", "option"), [("tar+zstd", "--zstd"), ("tar+gzip", "--gzip")])
def test_ar_and_tar_list_a_seal(module: Path, out: Path, packing: str, option: str) -> None:
    if not all(map(shutil.which, ["ar", "tar", "zstd"])):
        pytest.skip("ar, tar and zstd are not all installed")
    spec(module, TREE + f'type = "{packing}"\n')
    result = packed(module, out)
    members = subprocess.run(["ar", "t", result.path], capture_output=True, text=True, check=True).stdout.split()
    assert members == ["manifest.json", "sig.pkcs7", "payload1"]
    payload = subprocess.run(["ar", "p", result.path, "payload1"], capture_output=True, check=True).stdout
    listed = subprocess.run(["tar", option, "-tf", "-"], input=payload, capture_output=True, check=True).stdout
    assert listed.decode().split() == ["opt/", "opt/hello/", "opt/hello/etc/", "opt/hello/etc/conf", "opt/hello/run"]


def test_a_community_vib_outside_the_allowed_paths_gets_a_warning(module: Path, out: Path) -> None:
    (module / "files/bin").mkdir()
    for index in range(12):
        (module / f"files/bin/{index:02}").write_bytes(b"")
    warnings = packed(module, out, "vib").warnings
    assert len(warnings) == 11
    assert warnings[0] == "'bin/00' is outside the allowed paths of a community module (list esxi-8)"
    assert packed(module, out, "seal").warnings == ()
    spec(module, 'level = "partner"\n' + TREE)
    assert packed(module, out, "vib").warnings == ()


def test_an_empty_payload_and_a_lone_vzstd_get_warnings(module: Path, out: Path) -> None:
    (module / "empty").mkdir()
    spec(module, 'exclude = ["files"]\n[[payload]]\nroot = "empty"\ntype = "vzstd"\n')
    warnings = packed(module, out, "vib").warnings
    assert warnings == (
        "payload payload1 is empty",
        "payload payload1 is vzstd, but the module does not depend on zstd-compression = 1.0",
    )


def test_a_large_payload_is_copied_whole_where_the_kernel_cannot_help(
    module: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module / "files/noise").write_bytes(os.urandom(3_000_001))
    first = packed(module, out).sha256

    def unsupported(*_arguments: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "copy_file_range", unsupported, raising=False)
    assert packed(module, out).sha256 == first
    monkeypatch.delattr(os, "copy_file_range")
    assert packed(module, out).sha256 == first


def test_the_default_time_of_a_released_vib_is_kept_in_its_form() -> None:
    assert plan.released("2012-06-01T10:00:00.000001+02:00", None, "seal") == "2012-06-01T08:00:00Z"
    assert plan.released("2012-06-01T10:00:00", None, "seal") == "2012-06-01T10:00:00Z"
    assert plan.released("2012-06-01T10:00:00", 5, "vib") == "2012-06-01T10:00:00"
