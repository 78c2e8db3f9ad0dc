"""Attack catalogue: signed depots and recalls. Each test is named by the id of its row.

Whoever carries a depot can exchange its files, for genuine signed ones too; and whoever may sign for one vendor can
sign a recall of any name.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import recalls, registry
from builders import signed_depots as depots
from builders.bundles import judge, make
from builders.pki import NOW, leaf, new_key, root
from builders.policies import anchor, trusting
from depot.client import Client
from modseal.depot import oci
from modseal.depot.check import check
from modseal.depot.files import open_depot
from modseal.depot.index import INDEX as INDEX_PATH
from modseal.depot.index import rotation_path
from modseal.depot.listing import listing_of
from modseal.errors import RefusedError
from modseal.format import recall as recall_format
from modseal.packing.signed_depot import copy, merged_recalls
from modseal.trust.examination import Verdict

RECALL = recalls.make(recalls.entry("other"))
EARLIER = depots.index()
INDEX = depots.index(version=2, recalls=[RECALL], rotations=[EARLIER])
HELD = depots.contents(INDEX, recalls=[RECALL], rotations=[EARLIER])
GENUINE = {
    depots.entry(depots.SEAL).path: make("seal", version="0.9").data,
    depots.recall_entry(RECALL).path: recall_format.encode(recalls.make(recalls.entry("nothing"))),
    rotation_path(1): depots.index(depots.SEAL).signed,
}
OTHER = leaf("Other vendor", issuer=root(1), key=new_key("p256", 903))
TWO_VENDORS = trusting(anchor(root(), vendors=("Acme",)), anchor(root(1), name="other", vendors=("Other",)))


def test_the_depot_is_good_before_it_is_attacked() -> None:
    assert check(depots.files(HELD), trusting(), NOW).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("path", GENUINE, ids=["bundle", "recall", "earlier index"])
def test_DEP_03_a_file_that_is_exchanged_for_another_genuine_one_is_seen(path: str) -> None:
    found = check(depots.files({**HELD, path: GENUINE[path]}), trusting(), NOW)
    assert found.verdict is Verdict.REJECTED
    assert [one.code for one in found.failures] == ["bundle-digest-mismatch"]


def test_DEP_04_a_recall_of_another_vendor_with_a_higher_number_silences_nothing() -> None:
    own = recalls.make()
    foreign = recalls.make(recalls.entry(vendor="Other"), version=9, by=[OTHER])
    assert judge(make("seal"), replace(TWO_VENDORS, recalls=(foreign,))).verdict is Verdict.ACCEPTED
    found = judge(make("seal"), replace(TWO_VENDORS, recalls=(own, foreign)))
    assert found.primary
    assert found.primary.code == "recalled"
    with pytest.raises(RefusedError) as caught:
        merged_recalls([recall_format.encode(own), recall_format.encode(foreign)])
    assert caught.value.failure.code == "recall-invalid"


def test_DEP_05_a_layout_hides_no_file_and_does_not_multiply_its_work(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    copy(depots.files(HELD), INDEX, layout, "oci")

    def put(data: bytes, media_type: str = oci.MANIFEST_TYPE) -> dict[str, object]:
        digest = registry.digest_of(data)
        (layout / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def index_of(*entries: object) -> dict[str, object]:
        return put(json.dumps({"mediaType": oci.INDEX_TYPE, "manifests": entries}).encode(), oci.INDEX_TYPE)

    hidden = put(json.dumps({"layers": [put(make("seal", name="hidden").data)]}).encode())
    many = index_of(*[index_of(*[hidden] * 400)] * 400)
    index = json.loads((layout / "index.json").read_bytes())
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [*index["manifests"], *[many] * 400]}))
    with open_depot(layout) as files:
        found = check(files, trusting(), NOW)
    assert [one.code for one in found.failures] == ["bundle-unlisted"] * 4


@pytest.mark.parametrize("title", [depots.entry(depots.SEAL).path, INDEX_PATH], ids=["bundle", "index"])
def test_DEP_05_a_file_beside_a_layout_that_is_called_like_a_layer_is_named(tmp_path: Path, title: str) -> None:
    """What reads the folder by names would take it, and nothing proved it."""
    layout = tmp_path / "layout"
    copy(depots.files(HELD), INDEX, layout, "oci")
    depots.write(layout, {title: make("seal", name="evil").data})
    with open_depot(layout) as files:
        found = check(files, trusting(), NOW)
        assert [one.code for one in listing_of(files).failures] == ["bundle-unlisted"]
    assert found.verdict is Verdict.REJECTED
    assert [(one.code, one.evidence["bundle"]) for one in found.failures] == [("bundle-unlisted", title)]


def test_DEP_04_a_recall_that_was_seen_in_a_depot_stays_until_its_own_signer_replaces_it(tmp_path: Path) -> None:
    client = Client(tmp_path, TWO_VENDORS)
    own = recalls.make()
    foreign = recalls.make(recalls.entry("x", vendor="Other"), version=5, by=[OTHER])
    lifted = recalls.make(recalls.entry("another"), version=6)
    for version, one in enumerate([own, foreign, foreign], 1):
        found = client.check(depots.index(version=version, recalls=[one]), recalls=[one])
        [refused] = [result for result in found.results if result.verdict is not Verdict.ACCEPTED]
        assert refused.examination
        assert refused.examination.primary
        assert refused.examination.primary.code == "recalled"
        assert found.verdict is Verdict.REJECTED
    client.accepts(depots.index(version=4, recalls=[lifted]), recalls=[lifted])
