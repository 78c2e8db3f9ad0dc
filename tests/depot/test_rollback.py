"""The rollback scenarios of tuf-conformance, by their names, on depot files.

A depot has one signed document where TUF has four: the index is timestamp, snapshot and targets at once, and recalls
are further files with versions of their own. Who may speak for a depot at all is the policy's word, as it is the root's
in TUF.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders import recalls
from builders import signed_depots as depots
from builders.bundles import make
from builders.pki import leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from depot.client import Client
from modseal.trust.deny import Deny

OLD, NEW = signer("p256", 1), signer("p256", 2)


def test_new_timestamp_version_rollback(tmp_path: Path) -> None:
    """An index whose version is lower than the one that was seen is refused."""
    client = Client(tmp_path)
    client.accepts(depots.index())
    client.accepts(depots.index(version=2))
    detail = client.refuses(depots.index(version=1), "depot-rollback")
    assert detail == "version 1 is older than version 2, which was seen already"
    assert client.seen == 2


@pytest.mark.parametrize("same", [False, True], ids=["basic", "with hashes"])
def test_snapshot_rollback(tmp_path: Path, same: bool) -> None:
    """The whole depot goes back, signed anew: neither a new time nor a new signature makes an old version new.

    With hashes: the old index has the version that was seen, and another content.
    """
    client = Client(tmp_path)
    client.accepts(depots.index(depots.SEAL), held=[depots.SEAL])
    client.accepts(depots.index(version=2))
    back = depots.index(depots.SEAL, version=2 if same else 1, issued=depots.NOW)
    client.refuses(back, "depot-conflict" if same else "depot-rollback", held=[depots.SEAL])
    assert client.seen == 2


def test_targets_role_removal(tmp_path: Path) -> None:
    """A recall that was seen cannot be left out by a newer index."""
    client, recall = Client(tmp_path), recalls.make(recalls.entry("other"))
    client.accepts(depots.index(recalls=[recall]), recalls=[recall])
    detail = client.refuses(depots.index(version=2), "depot-rollback")
    assert "the recall 'acme-recalls' is missing" in detail
    assert client.seen == 1


def test_targets_fast_forward_recovery(tmp_path: Path) -> None:
    """A recall with a version that cannot be topped is got rid of: the policy withdraws its trust from who signed."""
    client = Client(tmp_path, trusting(pin(OLD, name="old"), pin(NEW, name="new"), anchor(root())))
    high = recalls.make(recalls.entry("other"), version=2**31 - 1, by=[OLD])
    client.accepts(depots.index(by=[OLD], recalls=[high]), recalls=[high])
    good = recalls.make(recalls.entry("other"), by=[NEW])
    recovered = depots.index(version=2, by=[NEW], recalls=[good])
    client.refuses(recovered, "depot-threshold", recalls=[good])
    client.policy = replace(client.policy, deny=Deny(signers=frozenset({OLD.fingerprint})))
    client.accepts(recovered, recalls=[good])
    assert client.seen == 2


def test_new_snapshot_fast_forward_recovery(tmp_path: Path) -> None:
    """An index with the highest version that there is, by a stolen key, does not lock the depot for ever."""
    client = Client(tmp_path, trusting(pin(OLD, name="old"), pin(NEW, name="new"), anchor(root())))
    client.accepts(depots.index(version=2**31 - 1, by=[OLD]))
    recovered = depots.index(version=1, by=[NEW])
    client.refuses(recovered, "depot-rollback")
    client.policy = replace(client.policy, deny=Deny(signers=frozenset({OLD.fingerprint})))
    client.accepts(recovered)
    assert client.seen == 1


def test_new_timestamp_fast_forward_recovery(tmp_path: Path) -> None:
    """The same where the stolen key's anchor is taken out of the policy."""
    client = Client(tmp_path, trusting(anchor(root(), name="root"), anchor(root(1), name="stolen")))
    stolen = leaf("Stolen", issuer=root(1), key=new_key("p256", 901))
    client.accepts(depots.index(version=100, by=[stolen]))
    recovered = depots.index(version=2, by=[NEW])
    client.refuses(recovered, "depot-rollback")
    client.policy = trusting(anchor(root(), name="root"))
    client.accepts(recovered)
    assert client.seen == 2


@pytest.mark.parametrize("same", [False, True], ids=["basic", "with hashes"])
def test_targets_rollback(tmp_path: Path, same: bool) -> None:
    """A newer index with an older recall, or with another one of the same version."""
    client = Client(tmp_path)
    one, two = (recalls.make(recalls.entry("other"), version=version) for version in (1, 2))
    client.accepts(depots.index(recalls=[two]), recalls=[two])
    older = recalls.make(recalls.entry("another"), version=2) if same else one
    client.refuses(
        depots.index(version=2, recalls=[older]), "depot-conflict" if same else "depot-rollback", recalls=[older]
    )
    assert client.seen == 1


# Beside those: rotation of the depot's own signers, by the rule that trust bundles have.


def test_the_signers_of_a_depot_change_with_the_signature_of_the_old_ones(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.accepts(depots.index(by=[OLD]))
    client.refuses(depots.index(version=2, by=[NEW]), "depot-threshold")
    both = depots.index(version=2, by=[OLD, NEW], root=depots.root_of(NEW), previous_root=depots.root_of(OLD))
    client.accepts(both)
    client.refuses(depots.index(version=3, by=[OLD], root=depots.root_of(OLD)), "depot-threshold")
    client.accepts(depots.index(version=3, by=[NEW]))


def test_who_slept_through_a_rotation_follows_the_earlier_index_that_the_depot_keeps(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.accepts(depots.index(by=[OLD]))
    both = depots.index(version=5, by=[OLD, NEW], root=depots.root_of(NEW), previous_root=depots.root_of(OLD))
    now = depots.index(version=9, by=[NEW], rotations=[both])
    client.accepts(now, rotations=[both])
    assert client.seen == 9


def test_a_state_that_expired_with_its_certificate_still_counts(tmp_path: Path) -> None:
    """A certificate that runs out by itself withdraws nothing: else waiting would undo the protection."""
    brief = leaf("Brief", key=new_key("p256", 902), end=depots.NOW + depots.DAY)
    client = Client(tmp_path)
    client.accepts(depots.index(version=7, by=[brief]))
    later = depots.NOW + 2 * depots.DAY
    client.refuses(depots.index(version=3, by=[NEW]), "depot-rollback", at=later)


def test_a_depot_of_another_name_is_refused(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.accepts(depots.index())
    client.refuses(depots.index(name="other", version=2), "depot-name-mismatch")


def test_a_clock_that_was_set_back_is_seen(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.accepts(depots.index())
    client.refuses(depots.index(version=2), "clock-set-back", at=depots.NOW - depots.DAY / 2)


def test_an_index_speaks_only_for_modules_that_its_signer_may_speak_for(tmp_path: Path) -> None:
    client = Client(tmp_path, trusting(anchor(root(), vendors=("Acme",))))
    other = make("seal", vendor="Other", name="other")
    client.refuses(depots.index(depots.SEAL, other), "vendor-out-of-scope", held=[depots.SEAL, other])
