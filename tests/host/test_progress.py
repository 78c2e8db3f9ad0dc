"""How far a change or a verification is: steps that count alike, and never go back."""

from __future__ import annotations

from collections.abc import Callable, Sized
from pathlib import Path

import pytest

from builders.hosts import Host, host
from builders.pki import NOW
from modseal.host import change, switch
from modseal.host.progress import Step, WatchedProgress
from modseal.host.verify import verify


class Seen(WatchedProgress):
    """Looks at each step as it begins, and once more when the next one does."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def begin(self, what: str, counted: Sized = (), of: int = 1) -> None:
        self.look()
        super().begin(what, counted, of)
        self.look()

    def look(self) -> None:
        if step := self.step():
            self.steps.append(step)


@pytest.fixture
def one(tmp_path: Path) -> Host:
    found = host(tmp_path)
    found.installed(found.bundle("agent", "1.0", files={f"opt/agent/{number}": b"x" for number in range(7)}))
    found.installed(found.bundle("tool", "1.0"))
    return found


CHANGES: dict[str, Callable[[Host, Seen], object]] = {
    "install": lambda one, seen: change.install(one.root, [one.bundle("new", "1.0")], NOW, progress=seen),
    "install again": lambda one, seen: change.install(one.root, [one.bundle("tool", "1.0")], NOW, progress=seen),
    "remove": lambda one, seen: change.remove(one.root, ["tool"], NOW, progress=seen),
    "rollback": lambda one, seen: switch.rollback(one.root, None, NOW, progress=seen),
    "verify": lambda one, seen: verify(one.root, NOW, progress=seen),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_counted_is_all_there_is_and_no_percent_goes_back(one: Host, what: str) -> None:
    seen = Seen()
    CHANGES[what](one, seen)
    percents = [step.percent for step in seen.steps]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] < 100
    assert all(step.number <= step.steps for step in seen.steps)
    ended = [last for last, then in zip(seen.steps, seen.steps[1:], strict=False) if last.number != then.number]
    assert all(step.done == step.of for step in ended), ended


def test_a_verification_counts_modules_and_names_of_the_image(one: Host) -> None:
    seen = Seen()
    found = verify(one.root, NOW, progress=seen)
    by_name = {step.what: step for step in seen.steps}
    assert [*by_name] == ["modules", "files", "the store and its log"]
    assert (by_name["modules"].of, by_name["files"].of) == (2, found.paths)


def test_what_is_there_beyond_what_was_expected_is_not_counted_over_the_whole() -> None:
    progress = WatchedProgress()
    assert progress.step() is None
    progress.plan(2)
    progress.begin("files", [1, 2, 3], 2)
    assert progress.step() == Step(1, 2, "files", 2, 2)
    assert Step(2, 2, "files", 2, 2).percent == 99, "the end is said by the state"
