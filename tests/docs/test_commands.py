"""Every command that the documentation shows works, and prints what is shown."""

import contextlib
import os
from pathlib import Path

import pytest

from builders.warm import warm_modseal
from docs.console import PAGES, ROOT, Command, matches, missing_tools, prepare, run, steps


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_page_do_what_the_page_says(page, tmp_path):
    text = page.read_text("utf-8")
    if missing := missing_tools(text):
        pytest.skip(f"needs {', '.join(missing)}")
    folder = tmp_path / "work"
    folder.mkdir()
    found = steps(text)
    environment = prepare(folder)
    cold = not hasattr(os, "fork")
    program = Path(environment["PATH"].split(os.pathsep)[0]) / "modseal"
    with contextlib.nullcontext() if cold else warm_modseal(program, environment):
        results = run(found, folder, environment)
    shown = [step for step in found if isinstance(step, Command)]
    assert len(results) == len(shown), f"stopped after {shown[len(results)].text if results else 'nothing'}"
    followers = [*(step.text for step in shown[1:]), ""]
    for command, (output, status), follower in zip(shown, results, followers, strict=True):
        assert matches(command.expected, output), f"$ {command.text}\nexpected:\n{command.expected}\nprinted:\n{output}"
        assert status == 0 or follower == "echo $?", f"$ {command.text}\nfailed with {status}:\n{output}"


def test_an_ellipsis_stands_for_any_text():
    assert matches(["a ... b", "...", "end"], "a long b\nmore\nand more\nend\n")
    assert matches(["...", "end"], "end\n")
    assert not matches(["a ... b"], "a long c\n")
    assert not matches(["a"], "a\nb\n")
