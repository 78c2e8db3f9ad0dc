"""The table of causes: each is given by something, and each file that cannot be used is told by its cause."""

from __future__ import annotations

import ast
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from modseal import causes
from modseal.causes import CAUSES, CauseName
from modseal.codes import CODES, next_step
from modseal.errors import InputError, PolicyError, SpecProblem, require_spec
from modseal.format.lookalikes import _STARTS

PACKAGE = Path(causes.__file__).parent
LISTED = ("packing/collect.py", "packing/plan.py", "packing/stage.py", "policy/file.py", "files/small.py", "errors.py")
"""Where a system's reason is one line among several, or is passed on with its cause."""


def given() -> set[str]:
    sources = (path for path in PACKAGE.rglob("*.py") if path.name != "causes.py")
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_type_has_the_causes_of_the_table_in_their_order() -> None:
    assert get_args(CauseName) == tuple(CAUSES)


def test_each_cause_is_given_by_something() -> None:
    system = {causes.of_errno(number) for number in errno.errorcode}
    assert CAUSES.keys() - system - given() == set()


def test_no_cause_has_the_name_of_a_code_so_that_evidence_names_one_thing() -> None:
    assert CAUSES.keys() & CODES.keys() == set()


def test_every_kind_of_file_that_is_recognised_has_a_next_step_of_its_own() -> None:
    assert {found.name for _, found in _STARTS} | {"empty", "html", "iso", "trust-bundle"} <= CAUSES.keys()


def test_what_the_system_says_of_a_file_is_told_in_one_place() -> None:
    """Else its cause is lost, and with it the next step that fits."""
    telling = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if ".strerror}" in path.read_text("utf-8") and "InputError(f" in path.read_text("utf-8")
    }
    assert telling - set(LISTED) == set()


GENERAL = ("InputError", "KeyMaterialError", "PolicyError", "SpecError")
OF_THE_CODE = {
    # Each names the line or the field that the code's own step is about.
    ("auditing/choice.py", "PolicyError"),
    ("errors.py", "SpecError"),
    ("packing/spec.py", "SpecError"),
    ("policy/file.py", "PolicyError"),
    # `read_small` adds what the system says.
    ("ca/folder.py", "InputError"),
    ("cli/sign.py", "InputError"),
    ("files/small.py", "InputError"),
    ("signing/material.py", "InputError"),
    # A fault of ours, which no step of a user mends.
    ("format/payload_writer.py", "InputError"),
    ("host/create.py", "PolicyError"),
    # They are told it in the next line.
    ("auditing/report_file.py", "InputError"),
}
"""Where a general error is made without its cause, and why."""


def without_cause(path: Path) -> Iterator[str]:
    """The errors that are made in a file and are not told their cause there and then."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "because"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and id(node) not in told:
            yield node.func.id


def test_every_error_with_a_general_code_names_its_cause() -> None:
    """Their codes have one step for all that can be wrong with a file, key, policy or spec."""
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in without_cause(path)
        if name in GENERAL
    }
    assert found == OF_THE_CODE


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "nothing with this name"),
        (errno.EACCES, "permissions"),
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "can be written to"),
        (errno.ENAMETOOLONG, "shorter path"),
        (errno.ELOOP, "in a circle"),
        (errno.EMFILE, "open files"),
        (errno.EIO, CODES["io-error"].next_step),
    ],
)
def test_the_next_step_for_a_file_fits_what_the_system_says(number: int, words: str) -> None:
    failure = InputError.of("a.seal", OSError(number, "why")).failure
    assert failure.detail == "a.seal: why"
    assert failure.evidence["path"] == "a.seal"
    assert words in failure.next_step


def test_a_cause_is_told_in_the_evidence_and_stays_with_the_problems() -> None:
    error = PolicyError("two", ("one", "two")).because("not-a-policy")
    assert error.failure.evidence == {"cause": "not-a-policy"}
    assert error.failure.next_step == CAUSES["not-a-policy"]
    assert error.problems == ("one", "two")
    assert PolicyError("x").because(None).failure.evidence == {}


def test_the_first_problem_of_a_spec_gives_the_next_step() -> None:
    for problems, step in (
        ([SpecProblem("a", "link-in-vib"), "b"], CAUSES["link-in-vib"]),
        (["b", SpecProblem("a", "link-in-vib")], CODES["bad-spec"].next_step),
    ):
        with pytest.raises(Exception, match=r"\(and 1 more\)") as caught:
            require_spec(problems)
        assert caught.value.failure.next_step == step


def test_evidence_that_names_nothing_known_leaves_the_step_of_the_code() -> None:
    assert next_step("io-error", {"cause": "made-up", "reason": ""}) == CODES["io-error"].next_step
