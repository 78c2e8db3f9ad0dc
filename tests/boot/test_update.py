"""What a host does with what it is sent: what is refused changes nothing, and what is taken is tried once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders.slots import OWNER, STRANGER, Host, Image, back, boot_program
from modseal.boot import boot_variables, portable_executable, requests, slots, update
from modseal.boot.requests import RollbackRequest, Running, UpdatePart
from modseal.errors import ModsealError, RefusedError, UndecidedError
from modseal.format import canonical_json
from modseal.image.update import signed

ONE, TWO, THREE = Image(1, 1), Image(2, 2), Image(3, 3)
MODULES = Image(1, 2)
"""The same program and root, with another generation."""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, ONE)


def state(folder: Path) -> dict[str, str]:
    """Everything of a host, by digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "incoming" not in path.parts
    }


def refused(host: Host, data: bytes) -> str:
    """The code that a delivery is refused with; the host is as it was then."""
    before = state(host.folder)
    with pytest.raises((ModsealError, OSError)) as caught:
        host.follow(data)
    assert state(host.folder) == before
    return caught.value.failure.code if isinstance(caught.value, ModsealError) else "io-error"


def test_an_update_is_tried_in_the_other_slot_and_then_kept(host: Host) -> None:
    assert host.follow(TWO.update()) == Running(2, 2)
    slot, start = host.next()
    assert (slot, start.generation, start.trial) == ("b", 2, True)
    host.keep(TWO)
    slot, start = host.next()
    assert (slot, start.generation, start.trial, start.slots.failed) == ("b", 2, False, None)


def test_an_update_that_is_not_kept_was_tried_once_and_is_reported(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    for _ in range(2):
        slot, start = host.next()
        failure = slots.failure(start.slots)
        assert failure is not None
        assert (failure.code, failure.evidence) == ("update-failed", {"version": 2, "generation": 2})
        assert (slot, start.generation, start.trial, start.slots.failed) == ("a", 1, False, Running(2, 2))
    assert host.follow(TWO.update()) == Running(2, 2), "what failed once may be sent again"


def test_the_slot_that_runs_is_not_written_to(host: Host) -> None:
    own = [(host.folder / name).read_bytes() for name in ("boot-a", "root-a")]
    host.follow(TWO.update())
    assert [(host.folder / name).read_bytes() for name in ("boot-a", "root-a")] == own


def test_modules_alone_are_tried_in_the_same_slot_and_then_kept(host: Host) -> None:
    other = [(host.folder / name).read_bytes() for name in ("boot-b", "root-b")]
    assert host.follow(MODULES.update(first=2)) == Running(1, 2)
    slot, start = host.next()
    assert (slot, start.generation, start.trial) == ("a", 2, True)
    host.keep(MODULES)
    assert host.next()[1] == slots.SlotStart(2, False, update.load(host.data))
    assert [(host.folder / name).read_bytes() for name in ("boot-b", "root-b")] == other


def test_modules_alone_that_are_not_kept_were_tried_once(host: Host) -> None:
    host.follow(MODULES.update())
    assert host.next()[1].trial
    slot, start = host.next()
    assert (slot, start.generation, start.trial, start.slots.failed) == ("a", 1, False, Running(1, 2))


def test_a_generation_that_the_other_slot_has_is_not_written_over(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    host.next()
    assert refused(host, MODULES.update()) == "version-downgraded"


def test_a_host_goes_back_to_the_other_slot(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    host.keep(TWO)
    assert host.follow(back(TWO, ONE)) == Running(1, 1)
    slot, start = host.next()
    assert (slot, start.generation, start.trial) == ("a", 1, True)


def test_a_host_goes_back_to_the_generation_before(host: Host) -> None:
    host.follow(MODULES.update())
    host.next()
    host.keep(MODULES)
    assert host.follow(back(MODULES, ONE)) == Running(1, 1)
    slot, start = host.next()
    assert (slot, start.generation, start.trial) == ("a", 1, True)


def test_what_was_given_up_on_request_does_not_come_again(host: Host) -> None:
    """Whoever kept the update could send it again, and have the host run what its owner has led it away from."""
    host.follow(TWO.update())
    host.next()
    host.keep(TWO)
    host.follow(back(TWO, ONE))
    host.next()
    host.keep(ONE)
    assert refused(host, TWO.update()) == "version-downgraded"
    assert host.follow(THREE.update()) == Running(3, 3)


def test_a_host_does_not_go_back_below_its_floor(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    host.keep(TWO)
    host.floor = 2
    assert refused(host, back(TWO, ONE)) == "version-below-floor"


def test_a_host_does_not_go_back_to_a_program_that_is_revoked(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    host.keep(TWO)
    host.revoked = (portable_executable.digest(ONE.program).hex(),)
    assert refused(host, back(TWO, ONE)) == "denied"


def test_a_host_does_not_go_back_to_a_slot_that_was_changed_on_the_disk(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    host.keep(TWO)
    host.put_program("a", boot_program(1, ONE.root, STRANGER))
    assert refused(host, back(TWO, ONE)) == "bad-signature"


def test_a_rollback_is_for_what_runs(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    host.keep(TWO)
    assert refused(host, back(ONE, TWO)) == "update-invalid"
    assert refused(host, back(TWO, Image(1, 2))) == "no-generation"
    assert refused(host, back(TWO, ONE) + b"x") == "update-invalid"


def test_a_rollback_does_not_lead_forward_to_what_it_led_back_from(host: Host) -> None:
    """Neither in the same slot nor to the other one."""
    for image, first in ((MODULES, 2), (THREE, 0)):
        older = host.runs
        host.follow(image.update(first))
        host.next()
        host.keep(image)
        host.follow(back(image, older))
        host.next()
        host.keep(older)
        assert refused(host, back(older, image)) == "update-invalid"
        assert refused(host, back(older, older)) == "update-invalid"


@pytest.mark.parametrize("to", [(2, 2), (3, 1), (1, 3), (2, 3), (3, 2)])
def test_a_way_back_is_one_in_a_number_and_forward_in_none(to: tuple[int, int]) -> None:
    assert RollbackRequest("edge", Running(2, 2), Running(*to)).problem()
    for good in ((1, 1), (1, 2), (2, 1)):
        assert RollbackRequest("edge", Running(2, 2), Running(*good)).problem() is None


@pytest.mark.parametrize("schema", [[requests.UPDATE], {}, 1, None, "modseal/image-update@2"])
def test_a_request_of_a_form_that_the_host_does_not_know_is_refused(schema: object) -> None:
    with pytest.raises(RefusedError, match="of another form than this host knows"):
        requests._decode(canonical_json.dump({"schema": schema}))


def changed(data: bytes, at: int) -> bytes:
    found = bytearray(data)
    found[at] ^= 1
    return bytes(found)


@pytest.mark.parametrize("name", ["boot.efi", "root.img", "generation.json"])
def test_a_part_with_one_byte_changed_is_refused(host: Host, name: str) -> None:
    data = TWO.update()
    at = data.index(TWO.contents[name]) + len(TWO.contents[name]) // 2
    assert refused(host, changed(data, at)) == "update-invalid"


def test_a_request_with_one_byte_changed_is_refused(host: Host) -> None:
    data = TWO.update()
    end = len(data) - sum(map(len, TWO.contents.values()))
    before = state(host.folder)
    for at in range(0, end, 41):
        with pytest.raises(ModsealError) as caught:
            host.follow(changed(data, at))
        assert caught.value.failure.code in ("update-invalid", "bad-signature")
    assert state(host.folder) == before


def test_a_request_that_a_stranger_has_signed_is_refused(host: Host) -> None:
    assert refused(host, TWO.asked(TWO.request(), owner=STRANGER)) == "bad-signature"


@pytest.mark.parametrize("cut", [0, 1, 30, 700, -1])
def test_a_delivery_that_ends_too_early_is_refused(host: Host, cut: int) -> None:
    assert refused(host, TWO.update()[:cut]) == "update-invalid"


def test_a_delivery_with_something_behind_its_end_is_refused(host: Host) -> None:
    assert refused(host, TWO.update() + b"x") == "update-invalid"


def test_an_update_for_another_host_is_refused(host: Host) -> None:
    assert refused(host, TWO.update(host="other")) == "update-invalid"
    request = RollbackRequest("other", Running(2, 2), Running(1, 1))
    assert refused(host, signed(request, OWNER.signer())) == "update-invalid"


@pytest.mark.parametrize("image", [ONE, Image(1, 2, b"root 1 again" * 99), Image(2, 1), Image(1, 1, b"root 1 x")])
def test_what_is_not_newer_is_refused(host: Host, image: Image) -> None:
    assert refused(host, image.update()) == "version-downgraded"


def test_an_update_below_its_host_s_floor_is_refused(host: Host) -> None:
    host.floor = 3
    assert refused(host, TWO.update()) == "version-below-floor"


@pytest.mark.parametrize(
    "image",
    [
        Image(2, 2, program=boot_program(2, THREE.root)),
        Image(2, 2, program=boot_program(3, TWO.root)),
        Image(2, 2, root=THREE.root),
        Image(2, 2, files={"generation.json": THREE.files["generation.json"]}),
        Image(2, 2, files={"generation.json": TWO.files["generation.json"]}),
    ],
    ids=["program of another root", "program of another version", "root of another version", "generation", "policy"],
)
def test_parts_that_do_not_belong_together_are_refused(host: Host, image: Image) -> None:
    assert refused(host, image.update()) == "update-invalid"


def test_a_program_that_the_firmware_would_not_start_is_refused(host: Host) -> None:
    image = Image(2, 2, program=boot_program(2, TWO.root, STRANGER))
    assert refused(host, image.update()) == "bad-signature"


def test_a_root_that_is_not_that_of_its_root_hash_is_refused(host: Host) -> None:
    """The owner signs what the build has made; a build that is wrong must not be started either."""
    request = TWO.request()
    root = b"root 2 other"
    parts = list(request.parts)
    parts[1] = UpdatePart("root.img", len(root), hashlib.sha256(root).hexdigest())
    other = Image(2, 2, root, TWO.program, TWO.files)
    assert refused(host, other.asked(replace(request, parts=tuple(parts)))) == "io-error"


def test_a_root_that_does_not_fit_is_refused(host: Host) -> None:
    assert refused(host, Image(2, 2, b"root 2 " + bytes(2 << 20) + b"end").update()) == "update-invalid"


def test_without_program_and_root_only_the_root_that_runs_can_be_meant(host: Host) -> None:
    assert refused(host, TWO.update(first=2)) == "update-invalid"


def test_nothing_else_is_taken_while_something_is_on_trial(host: Host) -> None:
    host.follow(TWO.update())
    host.next()
    assert refused(host, THREE.update()) == "update-invalid"


def test_what_no_slot_names_is_removed(host: Host) -> None:
    for image in (TWO, THREE):
        host.follow(image.update())
        host.next()
        host.keep(image)
    assert sorted(path.name for path in (host.data / "generations").iterdir()) == ["2", "3"]
    assert sorted(path.name for path in host.data.iterdir()) == ["generations", "slots.json"]


def test_a_slot_that_nobody_knows_is_not_started(host: Host) -> None:
    with pytest.raises(UndecidedError, match="does not know of slot b"):
        slots.start(update.load(host.data), "b")


class PowerCut(BaseException):
    """The power is gone: nothing catches it."""


def test_a_cut_before_any_step_leaves_the_old_state_or_the_whole_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write, rename and sync in turn does not happen, and nothing after it."""
    found = []
    for step in range(1000):
        folder = tmp_path / str(step)
        folder.mkdir()
        host, left = Host(folder, ONE), step
        with monkeypatch.context() as patch:

            def cut(function: Callable[..., object]) -> Callable[..., object]:
                def wrapped(*arguments: object) -> object:
                    nonlocal left
                    if not left:
                        raise PowerCut
                    left -= 1
                    return function(*arguments)

                return wrapped

            for owner, name in ((os, "fsync"), (os, "pwrite"), (Path, "rename"), (boot_variables, "_write")):
                patch.setattr(owner, name, cut(getattr(owner, name)))
            try:
                host.follow(TWO.update())
            except PowerCut:
                pass
            else:
                assert left == 0
                break
        slot, start = host.next()
        assert (slot, start.generation) in (("a", 1), ("b", 2))
        assert (host.folder / "root-a").read_bytes().startswith(ONE.root)
        found.append(slot)
        shutil.rmtree(folder)
    assert set(found) == {"a"}, "the last step is the one that switches"
    assert host.next()[0] == "b"
    assert len(found) > 15
