"""Installing from depots: what is needed comes too, what is not proved never does, and nothing is forgotten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from builders import hosts, image_profiles, recalls, signed_depots
from builders.bundles import Bundle, make
from builders.hosts import Host, tree
from builders.pki import NOW, leaf, root, signer
from builders.transcript import SOURCE
from modseal.errors import FormatError, ModsealError, RefusedError
from modseal.format.image_profile import ImageProfile
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Relationships
from modseal.host import depots, learned
from modseal.host.change import Change
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return hosts.host(tmp_path)


def module(name: str = "acme-agent", version: str = "1.0", *signers: Any, **related: Any) -> Bundle:
    """A good bundle with one file of its own."""
    relationships = Relationships(**{label: tuple(said) for label, said in related.items()})
    return make(
        "seal",
        *signers,
        name=name,
        version=version,
        files={f"opt/{name}/run": f"{name} {version}".encode()},
        relationships=relationships,
        claimed_level=Level.PARTNER,
    )


def needs(*names: str) -> list[Constraint]:
    return [Constraint(*name.split(" ")) for name in names]


def depot(host: Host, *held: Bundle, name: str = "acme", place: str | None = None, **index: Any) -> str:
    """A signed depot in a folder."""
    lists = index.get("recalls", ())
    rotations = index.get("rotations", ())
    made = signed_depots.index(*held, name=name, **index)
    folder = host.root.parent / (place or f"{name}-{made.version}")
    return str(signed_depots.write(folder, signed_depots.contents(made, held, lists, rotations)))


def install(host: Host, *names: str, depot: str | list[str], **options: bool) -> Change:
    """Install, after a dry run that must say the same and change nothing."""
    places = [depot] if isinstance(depot, str) else depot
    before = tree(host.root)
    said = depots.install_from(host.root, needs(*names), places, NOW, **options, dry_run=True)
    assert tree(host.root) == before
    done = depots.install_from(host.root, needs(*names), places, NOW, **options)
    assert done == said
    assert host.codes() == [] or done.verdict is not Verdict.ACCEPTED or done.depots
    return done


def codes(done: Change) -> list[str]:
    return [failure.code for failure in done.failures]


def known(host: Host) -> Mapping[str, int]:
    """The version of each depot that the host has seen."""
    with host.store() as store:
        return {name: seen.index.version for name, seen in learned.seen_depots(store).items()}


def test_a_module_comes_with_all_that_it_needs(host: Host) -> None:
    place = depot(host, module("a", depends=needs("b")), module("b", depends=needs("c >= 2")), module("c", "2"))
    assert install(host, "a", depot=place).verdict is Verdict.ACCEPTED
    assert host.modules() == {"a": "1.0", "b": "1.0", "c": "2"}
    assert (host.image / "opt/c/run").read_bytes() == b"c 2"
    assert host.codes() == []
    assert known(host) == {"acme": 1}


def test_what_is_needed_may_come_from_another_depot_or_be_there(host: Host) -> None:
    one = depot(host, module("a", depends=needs("b", "c")), name="one")
    other = depot(host, module("b"), name="other")
    host.installed(host.bundle("c"))
    install(host, "a", depot=[one, other])
    assert host.modules() == {"a": "1.0", "b": "1.0", "c": "1.0"}


@pytest.mark.parametrize("form", ["zip", "plain"])
def test_a_depot_may_be_a_zip_file_or_a_folder_without_an_index(host: Host, form: str) -> None:
    place = Path(depot(host, module()))
    if form == "zip":
        subprocess.run(["zip", "-qr", "../d.zip", "."], cwd=place, check=True)
        place = place.parent / "d.zip"
    else:
        (place / "depot.json").unlink()
        for path in (place / "signatures").iterdir():
            path.unlink()
    install(host, "acme-agent", depot=str(place))
    assert host.modules() == {"acme-agent": "1.0"}
    assert known(host) == ({"acme": 1} if form == "zip" else {})


def test_the_newest_that_fits_comes_and_no_downgrade(host: Host) -> None:
    place = depot(host, module("a", "1"), module("a", "3"), module("a", "2"))
    install(host, "a = 2", depot=place)
    assert host.modules() == {"a": "2"}
    install(host, "a", depot=place)
    assert host.modules() == {"a": "3"}
    done = install(host, "a << 3", depot=place)
    assert codes(done) == ["no-set"]
    assert host.modules() == {"a": "3"}


def test_all_that_has_a_newer_version_is_updated_with_what_it_needs_then(host: Host) -> None:
    first = depot(host, module("a", "1"), module("b", "1"), module("c", "1"), version=1)
    install(host, "a", "b", "c", depot=first)
    second = depot(
        host, module("a", "2", depends=needs("d")), module("b", "1"), module("c", "3"), module("d"), version=2
    )
    done = install(host, depot=second, update=True)
    assert done.verdict is Verdict.ACCEPTED
    assert host.modules() == {"a": "2", "b": "1", "c": "3", "d": "1.0"}
    assert install(host, depot=second, update=True).generation is None
    assert known(host) == {"acme": 2}


def test_only_what_is_named_is_updated_and_only_what_is_installed(host: Host) -> None:
    install(host, "a", "b", depot=depot(host, module("a", "1"), module("b", "1"), version=1))
    newer = depot(host, module("a", "2"), module("b", "2"), module("x"), version=2)
    install(host, "b", depot=newer, update=True)
    assert host.modules() == {"a": "1", "b": "2"}
    assert codes(install(host, "x", depot=newer, update=True)) == ["not-installed"]


def test_an_update_of_a_host_without_modules_has_nothing_to_do(host: Host) -> None:
    done = install(host, depot=depot(host, module()), update=True)
    assert (done.verdict, done.generation) == (Verdict.ACCEPTED, None)


def test_a_version_that_the_policy_refuses_is_passed_over_and_named(host: Host) -> None:
    stranger = leaf("Stranger", issuer=root(7))
    place = depot(host, module("a", "1"), module("a", "2", stranger))
    done = install(host, "a", depot=place)
    assert host.modules() == {"a": "1"}
    assert [(one.label, one.failure.code) for one in done.refused] == [("a 2", "no-path")]


def test_a_version_below_the_level_of_the_host_is_passed_over(tmp_path: Path) -> None:
    host = hosts.host(tmp_path, level=Level.ACCEPTED)
    done = install(host, "a", depot=depot(host, module("a")))
    assert codes(done) == ["level-below-host", "no-set"]


def test_a_higher_version_of_another_vendor_takes_nobodys_place(host: Host) -> None:
    install(host, "a", depot=depot(host, module("a", "1")))
    other = make("seal", name="a", version="9", vendor="Other", files={"opt/a/run": b"o"}, claimed_level=Level.PARTNER)
    done = install(host, "a", depot=depot(host, other, name="other"))
    assert host.modules() == {"a": "1"}
    assert [one.failure.code for one in done.refused] == ["module-of-another-vendor"]


def test_other_content_of_the_installed_version_is_refused(host: Host) -> None:
    install(host, "a", depot=depot(host, module("a", "1")))
    other = make("seal", name="a", version="1", files={"opt/a/run": b"other"}, claimed_level=Level.PARTNER)
    install(host, "a", depot=depot(host, other, version=2))
    assert (host.image / "opt/a/run").read_bytes() == b"a 1"


def test_why_there_is_no_set_is_said(host: Host) -> None:
    done = install(host, "a", depot=depot(host, module("a", depends=needs("nowhere"))))
    assert codes(done) == ["no-set"]
    assert "a 1.0 needs nowhere" in done.failures[0].detail
    assert host.modules() == {}


def test_damage_is_repaired_from_a_depot(host: Host) -> None:
    place = depot(host, module("a"), module("b"))
    install(host, "a", "b", depot=place)
    (host.image / "opt/a/run").write_bytes(b"evil")
    assert host.codes() == ["installed-changed"]
    done = depots.install_from(host.root, needs("a"), [place], NOW)
    assert [one.name for one in done.plan.repaired] == ["a"]
    assert host.codes() == []


# What a host has seen of a depot holds for ever.


def test_an_older_index_is_refused(host: Host) -> None:
    old, new = depot(host, module("a", "1"), version=1), depot(host, module("a", "2"), version=2)
    install(host, "a", depot=new)
    before = tree(host.root)
    with pytest.raises(RefusedError) as caught:
        depots.install_from(host.root, needs("a"), [old], NOW)
    assert caught.value.failure.code == "depot-rollback"
    assert tree(host.root) == before


def test_another_index_of_the_same_version_is_refused(host: Host) -> None:
    install(host, "a", depot=depot(host, module("a", "1"), place="one"))
    with pytest.raises(RefusedError) as caught:
        depots.install_from(host.root, needs("a"), [depot(host, module("a", "2"), place="two")], NOW)
    assert caught.value.failure.code == "depot-conflict"


def test_what_was_seen_is_kept_although_the_change_is_refused(host: Host) -> None:
    new = depot(host, module("a", "2", depends=needs("nowhere")), version=2)
    assert codes(install(host, "a", depot=new)) == ["no-set"]
    assert known(host) == {"acme": 2}
    with pytest.raises(RefusedError):
        depots.install_from(host.root, needs("a"), [depot(host, module("a", "1"), version=1)], NOW)


def test_what_was_seen_is_kept_although_two_depots_contradict_each_other(host: Host) -> None:
    """Else a second depot could keep a host from learning what is recalled."""
    other = make("seal", name="a", version="1", files={"opt/a/run": b"other"}, claimed_level=Level.PARTNER)
    places = [depot(host, module("a", "1")), depot(host, other, name="other")]
    assert codes(install(host, "a", depot=places)) == ["content-differs"]
    assert known(host) == {"acme": 1, "other": 1}


def test_a_dry_run_remembers_nothing(host: Host) -> None:
    before = tree(host.root)
    depots.install_from(host.root, needs("a"), [depot(host, module("a"))], NOW, dry_run=True)
    assert tree(host.root) == before


@pytest.mark.parametrize("change", ["index", "bundle", "link", "withheld", "swapped"])
def test_a_depot_that_was_tampered_with_gives_nothing(host: Host, change: str) -> None:
    place = Path(depot(host, module("a", "1"), module("a", "2")))
    one, two = sorted((place / "bundles").rglob("*.seal"))
    if change == "index":
        path = place / "depot.json"
        path.write_bytes(path.read_bytes().replace(b'"version":"2"', b'"version":"3"'))
    elif change == "bundle":
        two.write_bytes(two.read_bytes()[:-1] + b"!")
    elif change == "link":
        (place / "depot.json").rename(place.parent / "aside.json")
        (place / "depot.json").symlink_to(place.parent / "aside.json")
    elif change == "withheld":
        two.unlink()
    else:
        two.write_bytes(one.read_bytes())
    try:
        depots.install_from(host.root, needs("a"), [str(place)], NOW)
    except ModsealError:
        assert host.modules() == {}
    else:
        assert host.modules() in ({}, {"a": "1"})
    assert host.codes() == []


def test_an_index_that_lies_of_a_bundle_gets_nothing_in(host: Host) -> None:
    """It is signed, and names a bundle by another bundle's version: manifests decide, and not the index."""
    a, b = module("a", "1"), module("a", "2")
    held = {**signed_depots.contents(signed_depots.index(a, b), (a, b))}
    path = signed_depots.entry(b).path
    held[path] = a.data
    place = signed_depots.write(host.root.parent / "lying", held)
    done = depots.install_from(host.root, needs("a = 2"), [str(place)], NOW)
    assert done.verdict is Verdict.REJECTED
    assert host.modules() == {}


def test_a_depot_that_changes_between_dry_run_and_install_is_judged_again(host: Host) -> None:
    place = depot(host, module("a", "1"))
    said = depots.install_from(host.root, needs("a"), [place], NOW, dry_run=True)
    (bundle,) = Path(place, "bundles").rglob("*.seal")
    bundle.write_bytes(module("a", "1", leaf("Stranger", issuer=root(7))).data)
    done = depots.install_from(host.root, needs("a"), [place], NOW)
    assert (said.verdict, done.verdict) == (Verdict.ACCEPTED, Verdict.REJECTED)
    assert host.modules() == {}


def test_who_wants_signed_depots_takes_no_other_one(host: Host) -> None:
    place = Path(depot(host, module("a")))
    install(host, "a", depot=str(place), signed=True)
    (place / "depot.json").unlink()
    with pytest.raises(RefusedError, match="only a signed depot") as caught:
        depots.install_from(host.root, needs("a"), [str(place)], NOW, signed=True)
    assert caught.value.failure.code == "index-invalid"


def test_a_folder_without_an_index_and_bundles_is_not_a_depot(host: Host) -> None:
    (host.root.parent / "empty").mkdir()
    with pytest.raises(FormatError, match="empty: it has neither"):
        depots.install_from(host.root, [], [str(host.root.parent / "empty")], NOW, update=True)


# Recalls.


def test_what_a_depot_recalls_is_not_installed_from_anywhere_from_then_on(host: Host) -> None:
    lists = [recalls.make(recalls.entry("a"))]
    done = install(host, "a", depot=depot(host, module("a"), recalls=lists))
    assert codes(done) == ["recalled", "no-set"]
    assert host.modules() == {}
    path = host.root.parent / "a.seal"
    path.write_bytes(module("a").data)
    refused = host.install(path)
    assert refused.results[0].examination.primary.code == "recalled"
    other = depot(host, module("a"), name="other")
    assert codes(install(host, "a", depot=other)) == ["recalled", "no-set"]


def test_an_installed_module_that_was_recalled_since_is_found_and_updated(host: Host) -> None:
    install(host, "a", "b", depot=depot(host, module("a", "1"), module("b"), version=1))
    assert host.codes() == []
    lists = [recalls.make(recalls.entry("a", versions=(("<<", "2"),)))]
    bad = depot(host, module("a", "1"), module("b"), version=2, recalls=lists)
    done = depots.install_from(host.root, needs("b"), [bad], NOW)
    assert codes(done) == ["recalled"]
    assert host.codes() == ["recalled"]
    assert host.verify().verdict is Verdict.REJECTED
    good = depot(host, module("a", "1"), module("a", "2"), module("b"), version=3, recalls=lists)
    done = depots.install_from(host.root, [], [good], NOW, update=True)
    assert done.verdict is Verdict.ACCEPTED
    assert host.modules() == {"a": "2", "b": "1.0"}
    assert host.codes() == []


def test_a_recalled_generation_is_no_way_back(host: Host) -> None:
    install(host, "a", depot=depot(host, module("a", "1"), version=1))
    lists = [recalls.make(recalls.entry("a", versions=(("<<", "2"),)))]
    install(host, "a", depot=depot(host, module("a", "2"), version=2, recalls=lists))
    done = host.rollback()
    assert codes(done) == ["recalled"]


def test_the_older_recall_of_a_lagging_mirror_takes_nothing_back(host: Host) -> None:
    new = recalls.make(recalls.entry("a"), recalls.entry("b"), version=2)
    old = recalls.make(recalls.entry("b"), version=1)
    install(host, "a", depot=depot(host, module("a"), name="one", recalls=[new]))
    assert codes(install(host, "a", depot=depot(host, module("a"), name="two", recalls=[old]))) == [
        "recalled",
        "no-set",
    ]


def test_a_newer_recall_takes_the_place_of_the_older_one(host: Host) -> None:
    old, new = recalls.make(recalls.entry("a"), version=1), recalls.make(recalls.entry("b"), version=2)
    install(host, "a", depot=depot(host, module("a"), version=1, recalls=[old]))
    install(host, "a", depot=depot(host, module("a"), version=2, recalls=[new]))
    assert host.modules() == {"a": "1.0"}


def test_a_recall_that_does_not_count_is_not_kept_and_nothing_comes_from_there(host: Host) -> None:
    stranger = leaf("Stranger", issuer=root(7))
    bad = recalls.make(recalls.entry("b"), by=[stranger])
    done = install(host, "a", depot=depot(host, module("a"), recalls=[bad]))
    assert codes(done) == ["recall-not-trusted", "set-unknown"]
    assert done.verdict is Verdict.UNDECIDED
    with host.store() as store:
        assert store.state.recalls == ()


@pytest.mark.parametrize("what", ["older", "same", "other"])
def test_a_recall_that_the_next_index_leaves_out_is_missed(host: Host, what: str) -> None:
    lists = [recalls.make(recalls.entry("b"), version=2)]
    install(host, "a", depot=depot(host, module("a"), version=1, recalls=lists))
    next_ones = {"older": [recalls.make(recalls.entry("b"), version=1)], "same": lists, "other": []}[what]
    place = depot(host, module("a", "2"), version=2, recalls=next_ones)
    if what == "same":
        install(host, "a", depot=place)
        return
    with pytest.raises(RefusedError) as caught:
        depots.install_from(host.root, needs("a"), [place], NOW)
    assert caught.value.failure.code == "depot-rollback"


def test_signers_of_another_root_cannot_go_on(host: Host) -> None:
    install(host, "a", depot=depot(host, module("a"), version=1))
    other = leaf("Other", issuer=root())
    with pytest.raises(RefusedError) as caught:
        depots.install_from(host.root, needs("a"), [depot(host, module("a", "2"), version=2, by=[other])], NOW)
    assert caught.value.failure.code == "depot-threshold"
    assert signer().fingerprint != other.fingerprint


# Image profiles.


def install_profile(host: Host, wanted: ImageProfile, *places: str) -> Change:
    before = tree(host.root)
    said = depots.install_profile(host.root, wanted, places, NOW, dry_run=True)
    assert tree(host.root) == before
    done = depots.install_profile(host.root, wanted, places, NOW)
    assert done == said
    return done


def test_the_modules_of_a_profile_are_installed_in_its_versions(host: Host) -> None:
    held = module("a", "1", depends=needs("b")), module("b", "1")
    place = depot(host, *held, module("a", "2"), module("c"))
    host.installed(host.bundle("stays"))
    done = install_profile(host, image_profiles.make(*held, by=[signer()]), place)
    assert done.verdict is Verdict.ACCEPTED
    assert host.modules() == {"a": "1", "b": "1", "stays": "1.0"}
    assert host.codes() == []
    assert known(host) == {"acme": 1}
    assert install_profile(host, image_profiles.make(*held), place).generation is None


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (lambda: image_profiles.make(module("a", "9")), "profile-module-missing"),
        (lambda: image_profiles.make(module("a", "1", conflicts=needs("x"))), "profile-module-changed"),
        (lambda: image_profiles.make(module("a", "1"), by=[leaf("Stranger", issuer=root(7))]), "no-path"),
    ],
)
def test_a_profile_that_does_not_hold_installs_nothing(host: Host, wanted, code: str) -> None:
    done = install_profile(host, wanted(), depot(host, module("a", "1"), module("b")))
    assert code in codes(done)
    assert host.modules() == {}


def test_a_profile_takes_no_module_back_to_an_older_version(host: Host) -> None:
    install(host, "a", depot=depot(host, module("a", "2")))
    place = depot(host, module("a", "1"), name="other")
    assert codes(install_profile(host, image_profiles.make(module("a", "1")), place)) == ["version-downgraded"]


def test_a_recalled_module_of_a_profile_is_refused(host: Host) -> None:
    place = depot(host, module("a"), recalls=[recalls.make(recalls.entry("a"))])
    assert codes(install_profile(host, image_profiles.make(module("a")), place)) == ["recalled"]


_FULL = """
import os, sys
from pathlib import Path
from builders import hosts
from builders.bundles import make
from builders.pki import NOW
from host.test_depots import depot, module, needs
from modseal.format.level import Level
from modseal.host import depots, learned
big = make("seal", name="a", version="2", files={"opt/a": os.urandom(4 << 20)}, claimed_level=Level.PARTNER)
place = depot(hosts.Host(Path(sys.argv[2], "root")), module("a", "1"), big)
host = hosts.host(Path(sys.argv[1]))
done = depots.install_from(host.root, needs("a"), [place], NOW)
with host.store() as store:
    known = list(learned.seen_depots(store))
print(done.verdict, {one.code for one in done.failures[:1]}, host.modules(), host.codes(), known)
print(done.failures[0].detail)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting takes root and unshare")
def test_on_a_full_disk_no_older_version_is_taken_instead_and_what_was_seen_is_kept(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    script = 'mount -t tmpfs -o size=3m none "$0" && exec "$1" -c "$2" "$0" "$3"'
    mounting = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, tmp_path / "small"]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}:{SOURCE.parent / 'tests'}"}
    done = subprocess.run([*mounting, sys.executable, _FULL, tmp_path], env=environment, capture_output=True, text=True)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    assert done.stdout.splitlines() == [
        "undecided {'io-error'} {} [] ['acme']",
        "the image store: No space left on device",
    ], done.stderr
