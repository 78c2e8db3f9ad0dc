"""What a host gives the kernel, with files in the place of the kernel's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from modseal.boot import enforcement, mapper, syscalls
from modseal.errors import UndecidedError
from modseal.host import export

ROOTS = ["0" * 64, "1" * 64]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as securityfs has them, with a policy that the kernel has taken."""
    policy = tmp_path / "policies/modseal"
    policy.mkdir(parents=True)
    for name in ("new_policy", "policies/modseal/active", "policies/modseal/delete"):
        (tmp_path / name).touch()
    (tmp_path / "enforce").write_text("1")
    (policy / "policy").write_text(export.ipe_policy(70000, [bytes.fromhex(one) for one in ROOTS]))
    monkeypatch.setattr(enforcement, "_IPE", str(tmp_path))
    monkeypatch.setattr(enforcement, "_POLICY", str(policy))
    return tmp_path


def test_the_policy_of_this_root_and_these_images_becomes_active(kernel: Path) -> None:
    enforcement.load(b"signed", ROOTS)
    assert (kernel / "policies/modseal/active").read_text() == ""
    enforcement.activate()
    assert (kernel / "new_policy").read_bytes() == b"signed"
    assert (kernel / "policies/modseal/active").read_text() == "1"


@pytest.mark.parametrize("roots", [ROOTS[:1], [*ROOTS, "2" * 64], ROOTS[::-1]])
def test_a_policy_for_other_images_does_not(kernel: Path, roots: list[str]) -> None:
    with pytest.raises(UndecidedError, match="not that of this root"):
        enforcement.load(b"signed", roots)
    assert (kernel / "policies/modseal/active").read_text() == ""


def test_a_policy_that_allows_more_does_not(kernel: Path) -> None:
    text = kernel / "policies/modseal/policy"
    text.write_text(text.read_text() + "op=EXECUTE boot_verified=TRUE action=ALLOW\n")
    with pytest.raises(UndecidedError):
        enforcement.load(b"signed", ROOTS)


def test_a_kernel_that_only_watches_is_not_enough(kernel: Path) -> None:
    (kernel / "enforce").write_text("0")
    with pytest.raises(UndecidedError, match="does not enforce"):
        enforcement.activate()


def test_the_structures_have_the_kernel_s_sizes() -> None:
    assert mapper._HEAD.size == 312
    assert mapper._TARGET.size == 40
    assert sorted(syscalls.CAPABILITIES.values()) == list(range(41))
