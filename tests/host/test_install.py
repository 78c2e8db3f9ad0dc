"""Installing, updating and removing: all of it or nothing, and nothing that is not proved."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builders import hosts
from builders.bundles import make
from builders.hosts import LIVE, Host, tree
from builders.pki import NOW, leaf, root, signer
from modseal.errors import UsageError
from modseal.format.level import Level
from modseal.format.manifest import Constraint
from modseal.host.change import Change
from modseal.host.create import create
from modseal.host.keep import Staging
from modseal.host.store import record_name
from modseal.policy.sources import load
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return hosts.host(tmp_path)


def refused(host: Host, *bundles: Path, **options: bool) -> list[str]:
    """The codes that refuse an installation, which must leave everything as it was."""
    before = tree(host.root)
    done = host.install(*bundles, **options)
    assert done.verdict is not Verdict.ACCEPTED
    assert tree(host.root) == before
    assert host.install(*bundles, dry_run=True, **options) == done
    first = [one.examination.primary.code for one in done.results if one.examination and one.examination.primary]
    return [*first, *(failure.code for failure in done.failures)]


def test_a_module_is_there_once_it_is_installed(host: Host) -> None:
    files = {"opt/acme": None, "opt/acme/run": b"run", "opt/acme/link": "run", "usr/bin/acme": b"acme"}
    bundle = host.bundle(files=files, modes={"opt/acme/run": 0o4755})
    done = host.installed(bundle)
    assert (done.generation, done.waits) == (1, False)
    image = host.image
    assert (image / "opt/acme/run").read_bytes() == b"run"
    assert stat.S_IMODE((image / "opt/acme/run").stat().st_mode) == 0o4755
    assert (image / "opt/acme/link").readlink() == Path("run")
    assert (image / "usr/bin/acme").read_bytes() == b"acme"
    assert (image / "usr/lib/extension-release.d/extension-release.modseal").read_text() == "ID=_any\n"
    assert host.codes() == []


@pytest.mark.parametrize("mask", [0, 0o777])
def test_what_is_written_does_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        host = hosts.host(tmp_path)
        bundle = host.bundle()
        bundle.chmod(0o600)
        host.installed(bundle)
    finally:
        os.umask(before)
    store = host.root / "var/lib/modseal"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (store, store / "log.jsonl", store / "objects")}
    assert modes == {"modseal": 0o700, "log.jsonl": 0o600, "objects": 0o700}
    assert stat.S_IMODE((store / "states/1/state.json").stat().st_mode) == 0o400
    assert host.codes() == []


def test_nobody_else_can_enter_the_store(host: Host) -> None:
    """A setuid program of an old generation would be there to run."""
    assert stat.S_IMODE((host.root / "var/lib/modseal").stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_the_original_bytes_are_kept(host: Host, kind) -> None:
    bundle = host.bundle(kind=kind, **({"vib": LIVE} if kind == "vib" else {"attachments": {"sbom": b"{}"}}))
    host.installed(bundle)
    kept = [path.read_bytes() for path in (host.root / "var/lib/modseal/records").rglob("*") if path.is_file()]
    data = bundle.read_bytes()
    assert sum(len(one) > 20 and one in data for one in kept) >= 2
    with host.store() as store:
        (name,) = store.generation(store.state.generation).modules
        record = store.module(name.record)
        assert store.record(record.manifest) in data
        assert b"BEGIN PKCS7" in store.record(record.signature)
        assert b'"verdict":"accepted"' in store.record(record.decision)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda made: made.unsigned(), "unsigned"),
        (lambda made: made.with_member("base", data=made["base"].data[:-1] + b"!"), "payload-digest-mismatch"),
        (lambda made: made.signed(leaf("Stranger", issuer=root(7))), "no-path"),
        (lambda made: made.with_manifest(claimed_level=Level.COMMUNITY), "level-below-minimum"),
    ],
)
def test_a_bundle_that_the_policy_does_not_accept_is_not_installed(host: Host, change, code: str) -> None:
    path = host.root.parent / "b.seal"
    path.write_bytes(change(make("seal")).data)
    assert refused(host, path) == [code]
    assert refused(host, host.bundle(), path) == [code]


def test_powers_that_the_signer_does_not_have_refuse_the_module(tmp_path: Path) -> None:
    host = hosts.host(tmp_path, more="[anchor.may]\nsetuid = false\n")
    assert refused(host, host.bundle(files={"opt/su": b"su"}, modes={"opt/su": 0o4755})) == ["power-not-granted"]


def test_a_module_below_the_level_of_the_host_is_refused(tmp_path: Path) -> None:
    host = hosts.host(tmp_path, level=Level.ACCEPTED)
    assert refused(host, host.bundle(level=Level.PARTNER)) == ["level-below-host"]
    host.installed(host.bundle(level=Level.ACCEPTED))


def test_an_older_version_is_refused_and_a_newer_one_updates(host: Host) -> None:
    old, new = host.bundle(version="1.0"), host.bundle(version="1.1")
    host.installed(new)
    assert refused(host, old) == ["version-downgraded"]
    done = host.installed(host.bundle(version="1.2"))
    assert [(before.version, after.version) for before, after in done.plan.updated] == [("1.1", "1.2")]
    assert host.modules() == {"acme-agent": "1.2"}


def test_the_same_bundle_again_changes_nothing(host: Host) -> None:
    bundle = host.bundle()
    host.installed(bundle)
    before = tree(host.root)
    assert host.installed(bundle).generation is None
    assert tree(host.root) == before


def test_the_same_version_with_other_content_is_refused(host: Host) -> None:
    host.installed(host.bundle())
    assert refused(host, host.bundle(files={"opt/other": b"x"})) == ["version-changed"]


def test_another_signature_over_the_same_manifest_is_taken(host: Host) -> None:
    host.installed(host.bundle())
    done = host.installed(host.bundle("acme-agent", "1.0", signer(), signer("p384")))
    assert done.generation == 2


def test_a_module_of_another_vendor_does_not_take_a_name(host: Host) -> None:
    host.installed(host.bundle())
    assert refused(host, host.bundle(version="2.0", vendor="Evil")) == ["module-of-another-vendor"]
    assert refused(host, host.bundle("Acme-Agent")) == ["module-conflicts"]


def test_update_takes_only_newer_versions_of_what_is_installed(host: Host) -> None:
    host.installed(host.bundle(version="1.0"))
    done = host.install(host.bundle("other"), host.bundle(version="0.9"), update=True)
    assert [one.why for one in done.plan.skipped] == ["not installed", "not newer than 1.0"]
    assert done.generation is None
    assert host.install(host.bundle(version="1.1"), update=True).generation == 2


def test_what_a_module_needs_is_installed_with_it_or_before(host: Host) -> None:
    library = host.bundle("library", "1.5", related={"provides": (Constraint("api", "=", "3"),)})
    program = host.bundle("program", related={"depends": (Constraint("api", ">=", "3"),)})
    assert refused(host, program) == ["dependency-missing"]
    host.installed(program, library)
    before = tree(host.root)
    done = host.remove("library")
    assert [failure.code for failure in done.failures] == ["module-needed"]
    assert tree(host.root) == before
    assert host.remove("library", "program").verdict is Verdict.ACCEPTED
    assert host.modules() == {}


def test_modules_that_conflict_are_not_together(host: Host) -> None:
    one = host.bundle("one", related={"conflicts": (Constraint("two"),)})
    two = host.bundle("two")
    assert refused(host, one, two) == ["module-conflicts"]
    host.installed(two)
    assert refused(host, one) == ["module-conflicts"]


def test_what_a_module_replaces_goes(host: Host) -> None:
    host.installed(host.bundle("old", files={"opt/shared": b"old"}))
    new = host.bundle("new", files={"opt/shared": b"new"}, related={"replaces": (Constraint("old"),)})
    done = host.installed(new)
    assert [module.name for module in done.plan.removed] == ["old"]
    assert host.modules() == {"new": "1.0"}
    assert refused(host, host.bundle("old", "9.0")) == ["module-conflicts"]


@pytest.mark.parametrize(
    ("files", "modes"),
    [
        ({"opt/shared/file": b"x"}, {}),
        ({"opt/Shared/other": b"x"}, {}),
        ({"opt/shared": b"a file"}, {}),
        ({"opt/shared": "elsewhere", "opt/elsewhere": None}, {}),
        ({"opt/shared/file/below": b"x"}, {}),
        ({"opt/shared/FILE": b"x"}, {}),
        ({"opt/shared": None}, {"opt/shared": 0o777}),
    ],
    ids=["same", "twin folder", "file for a folder", "link for a folder", "below a file", "twin", "mode"],
)
def test_no_two_modules_bring_one_path(host: Host, files, modes) -> None:
    host.installed(host.bundle("first", files={"opt/shared": None, "opt/shared/file": b"x"}))
    second = host.bundle("second", files=files, modes=modes)
    assert set(refused(host, second)) == {"path-owned"}


def test_modules_share_a_folder_that_is_the_same(host: Host) -> None:
    host.installed(host.bundle("first", files={"opt/shared": None, "opt/shared/one": b"x"}))
    host.installed(host.bundle("second", files={"opt/shared": None, "opt/shared/two": b"x"}))
    host.remove("first")
    assert sorted(path.name for path in (host.image / "opt/shared").iterdir()) == ["two"]
    assert host.codes() == []


@pytest.mark.parametrize(
    "files",
    [
        {"etc/acme.conf": b"x"},
        {"usr/lib/os-release": b"ID=evil"},
        {"usr/lib/extension-release.d/extension-release.modseal": b"x"},
        {"USR/bin/x": b"x"},
        {"usr/lib": "../opt/x", "opt/x/f": b"x"},
        {"usr/lib": b"a file"},
        {"usr/LIB/x": b"x"},
    ],
)
def test_what_systemd_would_not_merge_is_refused(host: Host, files) -> None:
    assert "path-not-mergeable" in refused(host, host.bundle(files=files))


def test_a_module_that_is_not_for_a_running_host_waits(host: Host) -> None:
    host.installed(host.bundle("live"))
    done = host.installed(host.bundle("driver", kind="vib"))
    assert (done.generation, done.waits) == (2, True)
    assert host.modules() == {"live": "1.0"}
    assert host.modules(pending=True) == {"live": "1.0", "driver": "1.0"}
    assert host.installed(host.bundle("more")).waits  # a change that is made from one that waits, waits as well
    assert host.activate().generation == 3
    assert host.modules() == {"live": "1.0", "driver": "1.0", "more": "1.0"}
    assert host.codes() == []
    assert host.remove("driver").waits
    assert host.rollback().generation == 3  # gives up what waits
    assert host.modules(pending=True) == host.modules() == {"live": "1.0", "driver": "1.0", "more": "1.0"}


def test_a_dry_run_gives_the_same_as_the_real_run_and_leaves_no_trace(host: Host) -> None:
    host.installed(host.bundle(version="1.0"))
    bundles = host.bundle(version="1.1"), host.bundle("b", kind="vib")
    jobs = [
        lambda **options: host.install(*bundles, **options),
        lambda **options: host.remove("acme-agent", **options),
        lambda **options: host.rollback(1, **options),
    ]
    for job in jobs:
        before = tree(host.root)
        dry: Change = job(dry_run=True)
        assert tree(host.root) == before
        assert job() == dry
        assert tree(host.root) != before


def test_what_is_not_installed_is_not_removed(host: Host) -> None:
    host.installed(host.bundle())
    before = tree(host.root)
    assert [failure.code for failure in host.remove("acme-agent", "nobody").failures] == ["not-installed"]
    assert tree(host.root) == before


def test_a_root_has_one_store(tmp_path: Path, host: Host) -> None:
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="already"):
        create(host.root, load(str(tmp_path / "policy.toml")), None, NOW)
    assert tree(tmp_path) == before


def test_a_root_without_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="host init"):
        Host(tmp_path).modules()


def test_a_link_below_the_root_is_not_followed(tmp_path: Path) -> None:
    """The store of another root, or of the machine itself, would be changed."""
    hosts.host(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "var").symlink_to(tmp_path / "root" / "var")
    with pytest.raises(Exception, match="not a folder"):
        Host(other).modules()


def test_a_folder_that_systems_are_laid_out_in_is_no_module_s_to_change(host: Host) -> None:
    for files, modes in (
        ({"usr/lib": None, "usr/lib/a": b""}, {"usr/lib": 0o700}),
        ({"usr/sbin": b"a file"}, {}),
        ({"usr/bin": "../opt/evil"}, {}),
    ):
        assert "path-not-mergeable" in refused(host, host.bundle("low", files=files, modes=modes))


def test_nobody_closes_or_opens_a_folder_in_which_another_has_files(host: Host) -> None:
    host.installed(host.bundle())
    folder = "opt/acme-agent"
    for mode in (0o700, 0o777):
        closing = host.bundle("low", files={folder: None, f"{folder}/x": b""}, modes={folder: mode})
        assert "path-owned" in refused(host, closing)
    host.installed(host.bundle("fine", files={folder: None, f"{folder}/x": b""}))


def test_the_name_of_a_lost_module_stays_its_vendor_s(host: Host) -> None:
    host.installed(host.bundle())
    with host.store() as store:
        (module,) = store.generation(store.state.generation).modules
        path = store.path / record_name(module.record)
    path.unlink()
    other = host.bundle("acme-agent", "1.0.1", vendor="Evil Corp")
    assert "module-of-another-vendor" in refused(host, other)


def test_twins_are_named_whatever_quotes_they_have(host: Host) -> None:
    host.installed(host.bundle("first", files={"opt/a'x/\"f": b"x"}))
    assert set(refused(host, host.bundle("second", files={"opt/A'x/g": b"x"}))) == {"path-owned"}


def test_what_is_no_bundle_is_not_read_to_its_end(host: Host) -> None:
    bundle = host.bundle()
    os.truncate(bundle, 15 << 40)
    (result,) = host.install(bundle).results
    assert (result.verdict, result.sha256) == (Verdict.REJECTED, None)


def test_what_cannot_be_accepted_is_not_unpacked_into_the_store(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = host.bundle("stranger", "1", leaf("Stranger", issuer=root(9)))
    monkeypatch.setattr(Staging, "begin", lambda _: pytest.fail("a file was unpacked"))
    assert host.install(stranger).verdict is not Verdict.ACCEPTED
