"""What a solver may choose from: of a signed depot, exactly what its index lists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import recalls
from builders import signed_depots as depots
from builders.pki import NOW, signer
from builders.policies import trusting
from modseal.depot.index import DepotIndex
from modseal.profile.candidates import Shelf
from modseal.profile.proved import Prover


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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["recall last", "recall first"])
def test_a_recall_of_one_depot_counts_for_the_bundles_of_all(order: tuple[int, int]) -> None:
    recall = recalls.make()
    index = depots.index(depots.VIB, recalls=[recall])
    plain = depots.files(depots.contents(depots.index(depots.SEAL), [depots.SEAL]))
    plain.name = "plain"
    with_recall = depots.files(depots.contents(index, [depots.VIB], recalls=[recall]))
    shelf = Shelf(trusting(), NOW)
    for which in order:
        shelf.add((plain, with_recall)[which])
    for prover in (shelf, Prover(shelf, NOW)):
        refused = {one.name: prover.why_not(one) for one in shelf.candidates(None, [])}
        assert refused["acme-driver"] is None
        assert (found := refused["acme-agent"])
        assert found.failure.code == "recalled"


def test_two_depots_of_one_name_are_two() -> None:
    """As of two addresses that differ only in a token, which is not shown."""
    shelf = Shelf(trusting(), NOW)
    for one in (depots.VIB, depots.SEAL):
        shelf.add(depots.files(depots.contents(depots.index(one))))
    found = list(shelf.candidates(None, []))
    assert [one.path for one in found] == [depots.entry(one).path for one in (depots.VIB, depots.SEAL)]
    assert found[1].depot == f"{found[0].depot} (2)"
    assert all(shelf.why_not(one) is None for one in found)
