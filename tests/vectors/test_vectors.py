"""The published vectors: they are what `make.py` makes, and modseal gives each the result that the index says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from builders.transcript import run
from modseal.codes import CODES
from vectors import make

FOLDER = make.FOLDER
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_bytes())
VECTORS: list[dict[str, Any]] = INDEX["vectors"]
EXIT = {"accepted": 0, "rejected": 1, "undecided": 3}

NOT_PRIMARY = {
    "payload-absent": "no file lacks a payload that lies elsewhere: it is said of what is installed on a host alone",
    "payload-undeclared": "step 0 refuses first: unknown-member",
    "payload-missing": "step 0 refuses first: missing-member",
    "not-unpacked": "the signer's own failure comes first",
}
"""Codes that are never the first one of a bundle, and why."""


def _group(vector: dict[str, Any]) -> tuple[str, str]:
    return vector["policy"], vector["at"]


GROUPS = [(key, list(group)) for key, group in itertools.groupby(sorted(VECTORS, key=_group), _group)]


def test_the_folder_is_what_the_script_makes() -> None:
    made = make.outputs()
    assert {name: (FOLDER / name).read_bytes() for name in made} == made
    present = {str(path.relative_to(FOLDER)) for name in ("bundles", "policies") for path in (FOLDER / name).iterdir()}
    assert present == made.keys() - {"index.json"}


def test_the_index_has_its_schema() -> None:
    jsonschema.validate(INDEX, json.loads((FOLDER / "index.schema.json").read_bytes()))
    names = [vector["name"] for vector in VECTORS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("key", "group"), GROUPS, ids=[f"{Path(key[0]).stem} {key[1][:10]}" for key, _ in GROUPS])
def test_each_vector_has_the_result_that_the_index_says(
    key: tuple[str, str], group: list[dict[str, Any]], tmp_path: Path
) -> None:
    policy, at = key
    bundles = [FOLDER / vector["bundle"] for vector in group]
    done = run("verify", *bundles, "--policy", FOLDER / policy, "--at", at, "--format", "json", cwd=tmp_path)
    results = json.loads(done.out)["results"]
    assert [_outcome(vector["name"], result) for vector, result in zip(group, results, strict=True)] == [
        (vector["name"], vector["verdict"], vector["code"]) for vector in group
    ]
    verdicts = {vector["verdict"] for vector in group}
    assert done.code == EXIT[next(one for one in ("rejected", "undecided", "accepted") if one in verdicts)]


def _outcome(name: str, result: dict[str, Any]) -> tuple[str, str, str | None]:
    """The verdict and the code of the first check that decided it."""
    wanted = {"rejected": "failed", "undecided": "inconclusive"}.get(result["verdict"])
    return name, result["verdict"], next((c["code"] for c in result["checks"] if c["status"] == wanted), None)


def test_every_code_of_the_steps_has_a_vector() -> None:
    """A new code comes with a vector, or with a reason above."""
    steps = {code for code, value in CODES.items() if value.step is not None and not value.retired}
    assert steps - {vector["code"] for vector in VECTORS} == NOT_PRIMARY.keys()


def test_the_vectors_are_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert max(sizes) < 120 * 1024
    assert sum(sizes) < 2 * 1024 * 1024
