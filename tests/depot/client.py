"""Someone who checks a depot again and again with a state file: what tuf-conformance calls a client."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from builders import signed_depots as depots
from builders.pki import NOW
from builders.policies import trusting
from modseal.depot import state
from modseal.depot.check import Checked, check
from modseal.depot.index import DepotIndex
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


class Client:
    def __init__(self, folder: Path, policy: Policy | None = None) -> None:
        self.state = folder / "depot.state"
        self.policy = policy or trusting()

    def check(self, index: DepotIndex, at: datetime = NOW, **more: Any) -> Checked:
        """What becomes of a depot with this index; `more` are the other files of `depots.contents`."""
        return check(depots.files(depots.contents(index, **more)), self.policy, at, state_file=self.state)

    def accepts(self, index: DepotIndex, at: datetime = NOW, **more: Any) -> None:
        checked = self.check(index, at, **more)
        assert checked.verdict is Verdict.ACCEPTED, [one.detail for one in checked.failures]

    def refuses(self, index: DepotIndex, code: str, at: datetime = NOW, **more: Any) -> str:
        """Refused for this reason, and what was seen stays."""
        before = self.seen
        checked = self.check(index, at, **more)
        assert checked.verdict is not Verdict.ACCEPTED
        assert [one.code for one in checked.failures] == [code]
        assert self.seen == before
        return checked.failures[0].detail

    @property
    def seen(self) -> int | None:
        """The version of the index that it trusts."""
        found = state.read(self.state)
        return found.index.version if found else None


def versions(client: Client, made: Sequence[DepotIndex]) -> None:
    for one in made:
        client.accepts(one)
        assert client.seen == one.version
