"""The YAML that the how-to pages show: it fits what it configures, and the commands in it run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.conftest import ROOT, Desk
from pipeline.test_action import ACTION, execute
from pipeline.test_pre_commit import HOOKS

PAGES = ROOT / "docs" / "how-to"
POLICY = """\
schema = "modseal/policy@1"
minimum-level = "partner"

[[anchor]]
name = "Example partner root"
certificate = "keys-example/partner/root.pem"
grants = "partner"
"""


def snippets(page: str) -> dict[str, Any]:
    """The YAML files of a page by name. `on:` is not taken for a truth value, as GitHub does not."""
    blocks = re.findall(r"^```yaml (\S+)\n(.*?)^```$", (PAGES / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return {name: yaml.load(text, yaml.BaseLoader) for name, text in blocks}


WORKFLOWS = snippets("use-in-github-actions.md")
GITLAB = snippets("use-in-gitlab.md")[".gitlab-ci.yml"]
PRE_COMMIT = snippets("use-pre-commit.md")[".pre-commit-config.yaml"]


@pytest.fixture
def project(desk: Desk) -> Desk:
    """A repository with `policy.toml`, and one good bundle in `dist`."""
    (desk.folder / "policy.toml").write_text(POLICY)
    (desk.folder / "dist").mkdir()
    shutil.copy(desk.folder / "good.seal", desk.folder / "dist" / "a b.seal")
    return desk


def spoil(project: Desk) -> None:
    shutil.copy(project.folder / "bad.seal", project.folder / "dist" / "b.seal")


# GitHub.


def steps(workflow: Any) -> list[dict[str, Any]]:
    (job,) = workflow["jobs"].values()
    assert set(job) == {"runs-on", "steps"}
    return list(job["steps"])


def ours(workflow: Any) -> dict[str, Any]:
    (step,) = (step for step in steps(workflow) if step["uses"].startswith("OWNER/modseal@"))
    return step


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_uses_inputs_and_outputs_that_the_action_has(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert set(workflow) == {"name", "on", "permissions", "jobs"}
    given = set(ours(workflow)["with"])
    assert given <= set(ACTION["inputs"])
    assert {key for key, row in ACTION["inputs"].items() if row.get("required")} <= given
    for step, output in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", json.dumps(workflow)):
        assert step == ours(workflow)["id"]
        assert output in ACTION["outputs"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_the_permissions_that_it_needs_and_no_more(name: str) -> None:
    uploads = any("upload-sarif" in step["uses"] for step in steps(WORKFLOWS[name]))
    needed = {"contents": "read", "security-events": "write"} if uploads else {"contents": "read"}
    assert WORKFLOWS[name]["permissions"] == needed


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_passes_with_good_bundles_alone(project: Desk, name: str) -> None:
    inputs = ours(WORKFLOWS[name])["with"]
    done = execute(project, ACTION["runs"]["steps"][1], inputs)
    assert (done.code, done.outputs["verdict"]) == (0, "accepted")
    spoil(project)
    done = execute(project, ACTION["runs"]["steps"][1], inputs)
    assert (done.code, done.outputs["verdict"]) == (1, "rejected")


def test_findings_are_uploaded_from_a_job_that_fails() -> None:
    upload = steps(WORKFLOWS[".github/workflows/audit.yml"])[-1]
    assert ours(WORKFLOWS[".github/workflows/audit.yml"])["with"]["format"] == "sarif"
    assert upload["with"]["sarif_file"] == "${{ steps.modseal.outputs.report }}"
    assert upload["if"].startswith("${{ always() && ")


def test_the_page_describes_each_input_and_output() -> None:
    text = (PAGES / "use-in-github-actions.md").read_text("utf-8")
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert re.search(rf"^\|.*`{name}`.*\|.*\|$", text, re.MULTILINE), name


# GitLab.


def job(project: Desk, name: str) -> int:
    """Run a job's script as a runner of GitLab does: one after another, until one fails."""
    lines = GITLAB[name]["script"]
    return project.run("bash", "-c", "set -eo pipefail\n" + "\n".join(lines)).returncode


def test_a_job_installs_modseal_and_nothing_else() -> None:
    assert set(GITLAB) == {".modseal", "verify", "audit"}
    assert GITLAB[".modseal"] == {"image": "python:3.13-slim", "before_script": ["python -m pip install modseal"]}
    assert all(GITLAB[name]["extends"] == ".modseal" for name in ("verify", "audit"))


def test_the_jobs_pass_with_good_bundles_alone(project: Desk) -> None:
    assert (job(project, "verify"), job(project, "audit")) == (0, 0)
    spoil(project)
    assert (job(project, "verify"), job(project, "audit")) == (1, 1)


def test_a_job_without_bundles_does_not_pass(project: Desk) -> None:
    (project.folder / "dist" / "a b.seal").unlink()
    assert job(project, "verify") == 3


def test_the_report_is_the_artifact_and_is_what_code_quality_reads(project: Desk) -> None:
    """Of each issue GitLab reads these five fields, and takes a severity of five."""
    spoil(project)
    assert job(project, "audit") == 1
    artifacts = GITLAB["audit"]["artifacts"]
    assert artifacts["when"] == "always"
    issues = json.loads((project.folder / artifacts["reports"]["codequality"]).read_text())
    assert issues
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    for issue in issues:
        assert {"description", "check_name", "fingerprint", "severity", "location"} <= set(issue)
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert (project.folder / issue["location"]["path"]).is_file()
        assert not issue["location"]["path"].startswith(("/", "./"))
        assert issue["location"]["lines"]["begin"] == 1
    assert any(issue["location"]["path"] == "dist/b.seal" for issue in issues)


# pre-commit.


def test_the_configuration_names_hooks_that_there_are() -> None:
    (repository,) = PRE_COMMIT["repos"]
    assert set(repository) == {"repo", "rev", "hooks"}
    assert {hook["id"] for hook in repository["hooks"]} <= set(HOOKS)
    for hook in repository["hooks"]:
        assert hook.get("args", ["--"])[-1] == "--"


def test_the_page_describes_each_hook() -> None:
    text = (PAGES / "use-pre-commit.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(HOOKS)


def test_pre_commit_takes_the_configuration(desk: Desk, tmp_path: Path) -> None:
    if not shutil.which("pre-commit", path=desk.environment["PATH"]):
        pytest.skip("needs pre-commit")
    config = tmp_path / ".pre-commit-config.yaml"
    config.write_text(yaml.safe_dump(PRE_COMMIT))
    assert desk.run("pre-commit", "validate-config", config).returncode == 0
