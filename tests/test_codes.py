"""The table of codes: it is complete, and each code in it is given by something, or retired."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from modseal import codes, errors
from modseal.auditing.finding import Severity
from modseal.auditing.rules import BY_ID
from modseal.codes import CODES, CodeName
from modseal.trust.examination import STEPS

PACKAGE = Path(codes.__file__).parent
TESTS = Path(__file__).parent
GIVEN = {name for name, code in CODES.items() if not code.retired}


def given(node: ast.AST) -> Iterator[ast.expr]:
    """What a call is given or a name becomes: not what a value is compared with, nor a text that stands by itself."""
    if isinstance(node, ast.Call):
        yield from [*node.args, *(keyword.value for keyword in node.keywords)]
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
        yield node.value


def texts(node: ast.expr) -> Iterator[str]:
    """A text, and those that a conditional expression or a tuple chooses from."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.Tuple):
        yield from (text for one in node.elts for text in texts(one))


def raised() -> set[str]:
    sources = (path for path in PACKAGE.rglob("*.py") if path.name != "codes.py")
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    return {text for node in nodes for one in given(node) for text in texts(one)}


def test_the_type_has_the_codes_of_the_table_in_their_order() -> None:
    assert get_args(CodeName) == tuple(CODES)


def test_the_codes_of_each_step_stand_together() -> None:
    steps = [code.step for code in CODES.values() if code.step is not None]
    assert steps == sorted(steps)
    assert set(steps) == set(range(len(STEPS)))


def test_each_code_is_raised_somewhere_unless_it_is_retired() -> None:
    assert raised() & CODES.keys() == GIVEN


def test_each_code_that_is_raised_is_shown_by_a_test() -> None:
    """A code without a step has no vector (tests/vectors): a test names it."""
    sources = (path for path in TESTS.rglob("*.py") if path != Path(__file__))
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    named = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert named >= GIVEN


def test_a_code_that_only_undecided_errors_have_is_undecided() -> None:
    kinds = (errors.PolicyError("x"), errors.KeyMaterialError("x"), errors.InputError("x"), errors.InternalError("x"))
    assert all(CODES[error.failure.code].undecided for error in kinds)
    refused = (errors.SpecError("x"), errors.UsageError("x"))
    assert not any(CODES[error.failure.code].undecided for error in refused)


def test_severities_are_those_of_an_audit_and_of_the_rule_with_that_name() -> None:
    for name, code in CODES.items():
        rule = BY_ID.get(name)
        assert Severity(code.severity) is (rule.severity if rule else Severity.HIGH)


def test_the_rules_that_report_a_code_of_a_depot_exist() -> None:
    assert {code.depot_rule for code in CODES.values() if code.depot_rule} <= BY_ID.keys()


@pytest.mark.parametrize("name", ["unsigned-not-allowed", "version-unparsable"])
def test_a_retired_code_keeps_its_place(name: CodeName) -> None:
    assert CODES[name].retired
    assert CODES[name].meaning
    assert codes.next_step(name, {}) == CODES[name].next_step


def test_a_text_is_a_code_or_none() -> None:
    assert codes.is_code("unsigned")
    assert not codes.is_code("unsinged")
