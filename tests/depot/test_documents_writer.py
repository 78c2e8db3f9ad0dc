"""Metadata that modseal writes is read back to the same values, whatever they are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders import bundles
from modseal.depot import documents
from modseal.depot import documents_writer as write
from modseal.depot.documents import Bulletin, DescribedVib, ListedVib, Place, Vendor
from modseal.format import rules
from modseal.format.manifest import Constraint, Platform, Relationships

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp"))).map(str.strip)
NAMES = st.from_regex(rules.MODULE_NAME.pattern, fullmatch=True).filter(lambda text: len(text) <= 40)
VERSIONS = st.from_regex(rules.VERSION.pattern, fullmatch=True).filter(lambda text: len(text) <= 40)
PLATFORMS = st.lists(st.builds(Platform, TEXTS, TEXTS, TEXTS), max_size=3).map(tuple)
PLACES = st.builds(Place, TEXTS, st.integers(0, 10**9), st.tuples(st.tuples(st.just("sha-256"), NAMES)))
PLAIN = st.builds(Constraint, NAMES)
CONSTRAINTS = st.lists(
    st.one_of(PLAIN, st.builds(Constraint, NAMES, st.sampled_from(rules.RELATIONS), VERSIONS)), max_size=3
).map(tuple)
PROVIDED = st.lists(st.one_of(PLAIN, st.builds(Constraint, NAMES, st.just("="), VERSIONS)), max_size=3).map(tuple)
RELATIONSHIPS = st.builds(Relationships, CONSTRAINTS, CONSTRAINTS, CONSTRAINTS, PROVIDED, CONSTRAINTS)
VIBS = st.builds(
    ListedVib, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.booleans(), PLATFORMS, RELATIONSHIPS, st.booleans(),
    st.booleans(), st.lists(TEXTS, max_size=3).map(tuple), PLACES,
)  # fmt: skip
LABELS = ("id", "vendor", "summary", "severity", "category", "urgency", "releaseType", "description", "kbUrl",
          "contact", "releaseDate")  # fmt: skip


@st.composite
def bulletins(draw: Any, vibs: tuple[ListedVib, ...] = ()) -> Bulletin:
    texts = tuple((label, draw(TEXTS)) for label in LABELS)
    component = draw(st.none() | st.tuples(TEXTS, TEXTS, TEXTS, TEXTS))
    named = tuple(vib.id for vib in vibs)
    return Bulletin(texts[0][1], texts[1][1], texts, component, draw(PLATFORMS), named)


@given(st.lists(st.builds(Vendor, TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=3).map(tuple))
def test_an_index_is_read_back(vendors: tuple[Vendor, ...]) -> None:
    assert documents.read_index(write.write_index(vendors)) == vendors


@given(st.data())
def test_a_listing_is_read_back(data: st.DataObject) -> None:
    vibs = tuple(data.draw(st.lists(VIBS, max_size=3)))
    listing = ((data.draw(bulletins(vibs)), vibs),)
    assert documents.read_listing(write.write_listing("2026-01-31T12:00:00.000000", listing)) == listing


@given(st.data())
def test_a_bulletin_is_read_back(data: st.DataObject) -> None:
    bulletin = data.draw(bulletins(tuple(data.draw(st.lists(VIBS, max_size=2)))))
    assert documents.read_bulletin(write.write_bulletin(bulletin)) == bulletin


def test_a_description_is_read_back() -> None:
    vib = DescribedVib(bundles.make("vib").manifest, Place("vib20/a/b.vib", 7, (("sha-256", "ab"),)))
    assert documents.read_described(write.write_described(vib)) == vib
