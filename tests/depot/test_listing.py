"""Listings and differences of depots: from metadata alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from builders import bundles
from builders import depots as offline
from builders import signed_depots as depots
from modseal.depot.files import DepotFiles
from modseal.depot.index import INDEX, signature_path
from modseal.depot.listing import compare, listing_of


def only(held: dict[str, bytes]) -> tuple[DepotFiles, list[str]]:
    """A depot that notes what is opened."""
    opened: list[str] = []
    files = depots.files(held)
    inner: Callable[..., object] = files._opener

    def opener(path: str) -> object:
        opened.append(path)
        return inner(path)

    files._opener = opener  # type: ignore[assignment]
    return files, opened


def test_ten_thousand_bundles_are_listed_without_opening_one() -> None:
    one = depots.entry(depots.SEAL)
    many = tuple(
        replace(one, name=f"m{number:05}", path=f"bundles/m{number:05}.seal", sha256=f"{number:064x}")
        for number in range(10_000)
    )
    made = depots.signed(replace(depots.index(depots.SEAL), bundles=many), depots.signer())
    files, opened = only({INDEX: made.signed, signature_path(made.sha256): made.signature})
    found = listing_of(files)
    assert len(found.rows) == 10_000
    assert opened == [INDEX, signature_path(made.sha256)]


def test_a_difference_names_what_came_went_and_changed() -> None:
    old, new = bundles.make("seal", version="1.0"), bundles.make("seal", version="2.0")
    gone, come = bundles.make("seal", name="gone"), bundles.make("seal", name="come")
    before = listing_of(depots.files(depots.contents(depots.index(old, gone), [old, gone])))
    after = listing_of(depots.files(depots.contents(depots.index(new, come, version=2), [new, come])))
    found = compare(before, after)
    assert [row.name for row in found.added] == ["come"]
    assert [row.name for row in found.removed] == ["gone"]
    assert [(one.version, other.version) for one, other in found.changed] == [("1.0", "2.0")]
    assert ("version", "1", "2") in found.about
    assert compare(before, before) == type(found)((), (), (), ())


def test_an_offline_bundle_lists_its_components() -> None:
    found = listing_of(offline.make().open)
    assert [row.component for row in found.rows] == ["Acme-acme-agent 1.2.3-4"]
    assert dict(found.about)["components"] == "1"


def test_one_content_under_another_version_of_a_file_is_the_same_module() -> None:
    same = listing_of(depots.files(depots.contents(depots.index())))
    assert not compare(same, listing_of(depots.files(depots.contents(depots.index(version=3))))).changed
