"""`action.yml`: every step of it runs here as a runner of GitHub Actions runs it, with inputs that bite."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.conftest import POLICY, ROOT, Desk

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
INSTALL, RUN = STEPS
EXPRESSION = re.compile(r"\$\{\{ ([a-z]+)\.([a-z.-]+) \}\}")
HOSTILE = [
    "a b.seal",
    "a'b.seal",
    'a"b.seal',
    "$(touch pwned).seal",
    "`touch pwned`.seal",
    "a;touch pwned;.seal",
    "-rf.seal",
    "--help",
    "::set-output name=verdict::accepted",
    "a[b]*.seal",
    " lead.seal",
    "back\\slash.seal",
]


# What the documentation of the metadata syntax asks for.


def test_the_metadata_has_what_it_must_and_nothing_unknown() -> None:
    assert set(ACTION) <= {"name", "author", "description", "inputs", "outputs", "runs", "branding"}
    assert all(isinstance(ACTION[key], str) and ACTION[key] for key in ("name", "description"))
    assert ACTION["branding"] == {"icon": "shield", "color": "blue"}
    for name, row in ACTION["inputs"].items():
        assert re.fullmatch(r"[a-z_][a-z0-9_-]*", name)
        assert set(row) <= {"description", "required", "default"}
        assert row["description"]
        assert ("required" in row) != ("default" in row), "what is required has no default"
        assert isinstance(row.get("default", ""), str)
    for name, row in ACTION["outputs"].items():
        assert re.fullmatch(r"[a-z_][a-z0-9_-]*", name)
        assert set(row) == {"description", "value"}


def test_each_step_names_its_shell_and_has_an_id_of_its_own() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert set(ACTION["runs"]) == {"using", "steps"}
    assert len({step["id"] for step in STEPS}) == len(STEPS)
    for step in STEPS:
        assert set(step) == {"name", "id", "shell", "env", "run"}
        assert step["shell"] == "bash"


def test_no_input_stands_in_a_script() -> None:
    assert all("${{" not in step["run"] for step in STEPS)


def test_expressions_refer_to_what_there_is() -> None:
    texts = [row["value"] for row in ACTION["outputs"].values()] + [v for step in STEPS for v in step["env"].values()]
    used = [EXPRESSION.fullmatch(text) for text in texts]
    assert all(used)
    for match in used:
        assert match
        if match[1] == "inputs":
            assert match[2] in ACTION["inputs"]
        else:
            step, _, name = match[2].partition(".outputs.")
            assert match[1] == "steps"
            assert f"{name}=" in next(one["run"] for one in STEPS if one["id"] == step)
    assert {match[2] for match in used if match and match[1] == "inputs"} == set(ACTION["inputs"])


def test_the_scripts_have_no_fault_that_bash_or_shellcheck_finds(tmp_path: Path) -> None:
    for step in STEPS:
        script = tmp_path / "step.sh"
        script.write_text("#!/bin/bash\nset -eo pipefail\n" + step["run"])
        subprocess.run(["bash", "-n", script], check=True)
        if shutil.which("shellcheck"):  # an unquoted pattern is what the input paths is for
            subprocess.run(["shellcheck", "--exclude=SC2206,SC2069", script], check=True)


# The runner.


@dataclass(frozen=True)
class Outcome:
    """What a step left behind."""

    code: int
    log: str
    errors: str
    outputs: dict[str, str]
    summary: str


def execute(desk: Desk, step: dict[str, Any], inputs: dict[str, str], **more: str) -> Outcome:
    """Run a step: expressions of its `env` first, then the script in a file, then what it wrote to its files."""
    temporary = desk.folder.parent / "runner temp"
    temporary.mkdir(exist_ok=True)
    script, output, summary = (temporary / name for name in ("step.sh", "output", "summary"))
    script.write_text(step["run"])
    output.write_text("")
    summary.write_text("")
    given = {name: row.get("default", "") for name, row in ACTION["inputs"].items()} | inputs
    known = {"inputs": given, "steps": {"install.outputs.program": "modseal"}}
    env = {name: EXPRESSION.sub(lambda found: known[found[1]][found[2]], text) for name, text in step["env"].items()}
    runner = {
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_ACTION_PATH": str(ROOT),
        "RUNNER_TEMP": str(temporary),
    }
    done = desk.run("bash", "--noprofile", "--norc", "-eo", "pipefail", script, **env, **runner, **more)
    pairs = [line.partition("=") for line in output.read_text().splitlines()]
    assert len({name for name, _, _ in pairs}) == len(pairs), "an output is written once"
    assert not (desk.folder / "pwned").exists()
    outputs = {name: value for name, _, value in pairs}
    return Outcome(done.returncode, done.stdout, done.stderr, outputs, summary.read_text())


def act(desk: Desk, **inputs: str) -> Outcome:
    """Run the step that runs modseal."""
    given = {"policy": POLICY, **{name.replace("_", "-"): value for name, value in inputs.items()}}
    return execute(desk, RUN, given)


# Verdicts.


@pytest.mark.parametrize(
    ("paths", "code", "verdict"),
    [
        ("good.seal", 0, "accepted"),
        ("bad.seal", 1, "rejected"),
        ("good.seal\nbad.seal\n", 1, "rejected"),
        ("missing.seal", 3, "undecided"),
        ("good.seal\nmissing.seal", 3, "undecided"),
        ("nothing*.seal", 3, "undecided"),
        ("", 2, "usage"),
        ("\n\n", 2, "usage"),
    ],
)
def test_the_job_ends_as_the_bundles_deserve(desk: Desk, paths: str, code: int, verdict: str) -> None:
    done = act(desk, paths=paths)
    assert (done.code, done.outputs["verdict"]) == (code, verdict)
    assert f"### modseal verify: {verdict}" in done.summary or code == 2


def test_the_report_is_where_it_is_said_to_be(desk: Desk) -> None:
    done = act(desk, paths="good.seal", format="sarif")
    report = Path(done.outputs["report"])
    assert report.suffix == ".sarif"
    assert json.loads(report.read_text())["version"] == "2.1.0"
    done = act(desk, paths="bad.seal", format="json", output="my report.json")
    assert done.outputs == {"verdict": "rejected", "report": "my report.json"}
    assert json.loads((desk.folder / "my report.json").read_text())["results"][0]["verdict"] == "rejected"


def test_a_text_report_is_in_the_log_and_in_the_summary(desk: Desk) -> None:
    done = act(desk, paths="good.seal")
    assert "good.seal: accepted" in done.log
    assert "<pre>\ngood.seal: accepted" in done.summary


def test_a_policy_that_cannot_be_used_leaves_no_report(desk: Desk) -> None:
    done = act(desk, paths="good.seal", policy="missing.toml", format="sarif", output="old.sarif")
    assert (done.code, done.outputs) == (3, {"verdict": "undecided", "report": ""})
    assert not (desk.folder / "old.sarif").exists()
    assert "missing.toml" in done.log
    assert done.errors == "", "a runner reads two streams, and the order of their lines is lost"


@pytest.mark.parametrize(
    "inputs",
    [
        {"command": "extract"},
        {"command": "keys example"},
        {"command": ""},
        {"format": "xml"},
        {"format": "html"},
        {"policy": ""},
        {"fail-on": "high"},
        {"output": "a\nverdict=accepted"},
        {"output": "a\rb"},
        {"output": "no/such/folder"},
    ],
    ids=str,
)
def test_a_wrong_input_stops_the_job_before_anything_is_said_of_a_bundle(desk: Desk, inputs: dict[str, str]) -> None:
    before = sorted(path.name for path in desk.folder.iterdir())
    done = execute(desk, RUN, {"paths": "good.seal", "policy": POLICY, **inputs})
    assert (done.code, done.outputs) == (2, {"verdict": "usage", "report": ""})
    assert sorted(path.name for path in desk.folder.iterdir()) == before


# Inputs that bite.


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_a_name(desk: Desk, name: str) -> None:
    shutil.copy(desk.folder / "good.seal", desk.folder / name)
    done = act(desk, paths=name, format="json")
    assert done.code == 0
    results = json.loads(Path(done.outputs["report"]).read_text())["results"]
    assert [result["bundle"] for result in results] == [name.replace("\\", "\\\\")]  # as files.names writes it


@pytest.mark.parametrize("name", ["policy", "format", "fail-on", "baseline", "output", "command"])
@pytest.mark.parametrize(
    "text", ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned #', "a\nb", "*"]
)
def test_text_in_an_input_is_never_run(desk: Desk, name: str, text: str) -> None:
    done = execute(desk, RUN, {"paths": "bad.seal", "policy": POLICY, name: text})
    assert done.code in (1, 2, 3)
    assert done.outputs["verdict"] != "accepted"


def test_a_pattern_names_every_file_that_fits(desk: Desk) -> None:
    (desk.folder / "dist/deep er").mkdir(parents=True)
    for name in ("dist/a.seal", "dist/deep er/b c.seal"):
        shutil.copy(desk.folder / "good.seal", desk.folder / name)
    done = act(desk, paths="dist/**/*.seal\r\ngood.seal", format="json")
    results = json.loads(Path(done.outputs["report"]).read_text())["results"]
    assert [result["bundle"] for result in results] == ["dist/a.seal", "dist/deep er/b c.seal", "good.seal"]


def test_what_modseal_prints_gives_the_runner_no_commands(desk: Desk) -> None:
    name = "::error::mine"
    shutil.copy(desk.folder / "bad.seal", desk.folder / name)
    done = act(desk, paths=f"{name}\n::add-path::x")
    lines = done.log.splitlines()
    token = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
    assert token
    assert lines[-1] == f"::{token[1]}::"
    assert any(line.startswith(name) for line in lines[1:-1])
    assert act(desk, paths=name).log.splitlines()[0] != lines[0], "nobody can know the token before"


def test_the_summary_shows_no_markup_of_a_file(desk: Desk) -> None:
    name = "<img src=x>&.seal"
    shutil.copy(desk.folder / "good.seal", desk.folder / name)
    assert "<pre>\n&lt;img src=x&gt;&amp;.seal: accepted" in act(desk, paths=name).summary


# Installing.


@pytest.fixture
def python(desk: Desk) -> Path:
    """A stand-in for Python: `-m venv DIR` makes DIR/bin/python, a copy of itself; each call is written down."""
    program = desk.folder.parent / "a python"
    program.write_text(
        '#!/bin/bash\nprintf "%s\\n" "$*" >> "$CALLS"\n'
        '[[ $2 != venv ]] || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; }\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def install(desk: Desk, python: Path, version: str) -> tuple[Outcome, list[str]]:
    calls = desk.folder.parent / "calls"
    calls.write_text("")
    done = execute(desk, INSTALL, {"version": version, "python": str(python)}, CALLS=str(calls))
    return done, calls.read_text().splitlines()


@pytest.mark.parametrize(
    ("version", "what"), [("", str(ROOT)), ("1.2.3", "modseal==1.2.3"), ("1!2+a", "modseal==1!2+a")]
)
def test_modseal_is_installed_into_an_environment_of_its_own(desk: Desk, python: Path, version: str, what: str) -> None:
    done, calls = install(desk, python, version)
    assert done.code == 0
    folder = Path(done.outputs["program"]).parents[1]
    assert calls == [f"-m venv {folder}", f"-m pip install --quiet --no-input --disable-pip-version-check {what}"]
    assert folder.parent.name == "runner temp"


@pytest.mark.parametrize(
    "version", ["1.0 evil", "1.0;evil", "1.0 @ https://evil.example", "$(touch pwned)", "../evil", "-r x"]
)
def test_a_version_is_a_version(desk: Desk, python: Path, version: str) -> None:
    done, calls = install(desk, python, version)
    assert (done.code, done.outputs, calls) == (2, {}, [])


def test_an_installed_modseal_can_be_used(desk: Desk, python: Path) -> None:
    done, calls = install(desk, python, "installed")
    assert (done.code, done.outputs, calls) == (0, {"program": "modseal"}, [])


def test_a_runner_without_modseal_is_told_so(desk: Desk, python: Path) -> None:
    bare = Desk(desk.folder, {**desk.environment, "PATH": "/usr/bin:/bin"})
    done, _ = install(bare, python, "installed")
    assert (done.code, done.outputs) == (2, {})
