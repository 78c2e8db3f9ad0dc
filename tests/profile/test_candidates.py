"""What a solver may choose from: of a signed depot, exactly what its index lists."""

from __future__ import annotations

from dataclasses import replace

from builders import signed_depots as depots
from builders.pki import NOW, signer
from builders.policies import trusting
from modseal.depot.index import DepotIndex
from modseal.profile.candidates import Shelf


def offered(index: DepotIndex) -> list[str]:
    """The paths of all candidates from a depot that has a `.seal` and a `.vib`, whatever its index lists."""
    shelf = Shelf(trusting(), NOW)
    shelf.add(depots.files(depots.contents(index)))
    return [one.path for one in shelf.candidates(None, [])]


def test_listed_bundles_are_candidates() -> None:
    assert offered(depots.index()) == sorted(depots.entry(one).path for one in (depots.SEAL, depots.VIB))


def test_a_bundle_that_is_not_listed_is_none() -> None:
    assert offered(depots.index(depots.SEAL)) == [depots.entry(depots.SEAL).path]


def test_an_index_that_lists_nothing_has_none() -> None:
    assert offered(depots.signed(replace(depots.index(), bundles=()), signer())) == []
