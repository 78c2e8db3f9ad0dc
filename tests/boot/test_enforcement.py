"""What a host gives the kernel, with files in the place of the kernel's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import pki
from modseal.boot import enforcement, mapper, syscalls
from modseal.errors import UndecidedError
from modseal.host import export
from modseal.packing import kernel_signature

ROOTS = ["0" * 64, "1" * 64]
NUMBER = 70000
TEXT = export.ipe_policy(NUMBER, [bytes.fromhex(one) for one in ROOTS])
OWNER, STRANGER = (pki.issue("owner", key=pki.new_key("rsa", number)) for number in (0, 1))


def signed(text: str = TEXT, who: pki.Identity = OWNER) -> bytes:
    return kernel_signature.signed(text.encode(), who.signer(), attached=True)


def load(data: bytes, roots: list[str] = ROOTS) -> None:
    enforcement.load(data, NUMBER, roots, OWNER.certificate)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as securityfs has them, with a policy that the kernel has taken."""
    policy = tmp_path / "policies/modseal"
    policy.mkdir(parents=True)
    for name in ("new_policy", "policies/modseal/active", "policies/modseal/delete"):
        (tmp_path / name).touch()
    (tmp_path / "enforce").write_text("1")
    (policy / "policy").write_text(TEXT)
    monkeypatch.setattr(enforcement, "_IPE", str(tmp_path))
    monkeypatch.setattr(enforcement, "_POLICY", str(policy))
    return tmp_path


def test_the_policy_of_this_root_and_these_images_becomes_active(kernel: Path) -> None:
    load(signed())
    assert (kernel / "policies/modseal/active").read_text() == ""
    enforcement.activate()
    assert (kernel / "new_policy").read_bytes() == signed()
    assert (kernel / "policies/modseal/active").read_text() == "1"


@pytest.mark.parametrize("roots", [ROOTS[:1], [*ROOTS, "2" * 64], ROOTS[::-1]])
def test_a_policy_for_other_images_does_not(kernel: Path, roots: list[str]) -> None:
    with pytest.raises(UndecidedError, match="not that of this root"):
        load(signed(), roots)
    assert (kernel / "new_policy").read_bytes() == b""


@pytest.mark.parametrize(
    "data",
    [signed(TEXT + "op=EXECUTE boot_verified=TRUE action=ALLOW\n"), signed(who=STRANGER), TEXT.encode(), b""],
    ids=["it allows more", "a stranger's", "not signed", "empty"],
)
def test_a_policy_that_the_owner_has_not_signed_for_these_images_is_not_given_to_the_kernel(
    kernel: Path, data: bytes
) -> None:
    with pytest.raises(UndecidedError, match="signed by the owner"):
        load(data)
    assert (kernel / "new_policy").read_bytes() == b""


def test_a_kernel_that_has_another_policy_than_it_was_given_does_not_start(kernel: Path) -> None:
    (kernel / "policies/modseal/policy").write_text(TEXT + "op=EXECUTE boot_verified=TRUE action=ALLOW\n")
    with pytest.raises(UndecidedError, match="another IPE policy"):
        load(signed())


def test_a_kernel_that_only_watches_is_not_enough(kernel: Path) -> None:
    (kernel / "enforce").write_text("0")
    with pytest.raises(UndecidedError, match="does not enforce"):
        enforcement.activate()


def test_the_structures_have_the_kernel_s_sizes() -> None:
    assert mapper._HEAD.size == 312
    assert mapper._TARGET.size == 40
    assert sorted(syscalls.CAPABILITIES.values()) == list(range(41))
