"""`.pre-commit-hooks.yaml`: what pre-commit itself says of it, and what its hooks do when pre-commit calls them.

pre-commit would install modseal for each hook from the network. Here it takes the `modseal` of the PATH
(`language: system`); entry, arguments, files and stages are those of the manifest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.conftest import POLICY, ROOT, Desk

MANIFEST = ROOT / ".pre-commit-hooks.yaml"
HOOKS: dict[str, dict[str, Any]] = {hook["id"]: hook for hook in yaml.safe_load(MANIFEST.read_text("utf-8"))}


@pytest.fixture
def repository(desk: Desk) -> Desk:
    """A git repository with one good bundle and the policy, all staged."""
    for tool in ("git", "pre-commit"):
        if not shutil.which(tool, path=desk.environment["PATH"]):
            pytest.skip(f"needs {tool}")
    (desk.folder / "bad.seal").unlink()
    (desk.folder / "none.seal").unlink()
    assert desk.run("git", "init", "-q").returncode == 0
    return desk


def commit(desk: Desk, hook: str, **changed: object) -> subprocess.CompletedProcess[str]:
    """Stage everything and run a hook as `git commit` would."""
    local = {**HOOKS[hook], "language": "system", **changed}
    config = {"repos": [{"repo": "local", "hooks": [local]}]}
    (desk.folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    assert desk.run("git", "add", "--all").returncode == 0
    return desk.run("pre-commit", "run", "--verbose", hook, PRE_COMMIT_HOME=str(desk.folder.parent / "cache"))


def options(policy: str = POLICY) -> list[str]:
    """The arguments of the manifest with a policy of ours."""
    return [policy if one == "policy.toml" else one for one in HOOKS["modseal-verify"]["args"]]


def test_pre_commit_takes_the_manifest(desk: Desk) -> None:
    if not shutil.which("pre-commit", path=desk.environment["PATH"]):
        pytest.skip("needs pre-commit")
    done = desk.run("pre-commit", "validate-manifest", MANIFEST)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_entry_is_a_command_of_modseal_and_its_arguments_end_the_options(desk: Desk) -> None:
    assert set(HOOKS) == {"modseal-verify", "modseal-audit", "modseal-policy-check"}
    for hook in HOOKS.values():
        assert hook["language"] == "python"
        assert hook["args"][-1] == "--"
        assert desk.run(*hook["entry"].split(), "--help").returncode == 0


@pytest.mark.parametrize(
    ("hook", "fits", "others"),
    [
        ("modseal-verify", ["a.seal", "dist/b c.vib"], ["a.seal.txt", "seal", "a.SEAL"]),
        ("modseal-audit", ["a.seal", "depot.zip"], ["a.tar"]),
        (
            "modseal-policy-check",
            ["policy.toml", "a/policy.toml", "site-policy.toml"],
            ["policy.toml.in", "module.toml"],
        ),
    ],
)
def test_a_hook_gets_the_files_that_are_meant_for_it(hook: str, fits: list[str], others: list[str]) -> None:
    assert [name for name in fits + others if re.search(HOOKS[hook]["files"], name)] == fits


def test_a_good_bundle_is_committed(repository: Desk) -> None:
    done = commit(repository, "modseal-verify", args=options())
    assert "good.seal: accepted" in done.stdout
    assert done.returncode == 0


def test_a_bad_bundle_is_not_committed(repository: Desk, bundles: Path) -> None:
    shutil.copy(bundles / "bad.seal", repository.folder / "bad $(touch pwned).seal")
    done = commit(repository, "modseal-verify", args=options())
    assert done.returncode == 1
    assert "bad $(touch pwned).seal: rejected" in done.stdout
    assert not (repository.folder / "pwned").exists()


def test_one_bad_bundle_among_many_is_found(repository: Desk, bundles: Path) -> None:
    for number in range(60):
        shutil.copy(bundles / "good.seal", repository.folder / f"{number:03} bundle.seal")
    shutil.copy(bundles / "bad.seal", repository.folder / "037 bundle.seal")
    done = commit(repository, "modseal-verify", args=options())
    assert done.returncode == 1
    assert re.findall(r"^(.*?): rejected\b", done.stdout, re.MULTILINE) == ["037 bundle.seal"]


def test_a_file_cannot_bring_its_own_policy_by_its_name(repository: Desk, bundles: Path) -> None:
    shutil.copy(bundles / "bad.seal", repository.folder / "bad.seal")
    (repository.folder / "--policy=mine.vib").write_text("whatever it says")
    done = commit(repository, "modseal-verify", args=options())
    assert done.returncode == 1
    assert "bad.seal: rejected" in done.stdout
    assert "--policy=mine.vib: rejected" in done.stdout


def test_a_missing_policy_stops_the_commit(repository: Desk) -> None:
    done = commit(repository, "modseal-verify")
    assert done.returncode == 1
    assert "policy.toml" in done.stdout


def test_policies_are_checked(repository: Desk) -> None:
    done = commit(repository, "modseal-policy-check")
    assert done.returncode == 0
    assert f"{POLICY}: accepts at the weakest" in done.stdout
    (repository.folder / "site-policy.toml").write_text('schema = "modseal/policy@1"\nminimum-levle = "partner"\n')
    done = commit(repository, "modseal-policy-check")
    assert done.returncode == 1
    assert "minimum-levle" in done.stdout
