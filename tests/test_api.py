"""`import modseal`: which names it has, what each function takes and gives, and that the page shows it as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pytest

import modseal
from builders import policies
from builders.bundles import make, snapshot
from builders.pki import NOW, signer
from builders.transcript import run

ROOT = Path(__file__).parents[1]

NAMES = [
    "Audit",
    "Check",
    "Examination",
    "Failure",
    "Finding",
    "FormatError",
    "InputError",
    "Inspection",
    "InternalError",
    "KeyMaterialError",
    "Level",
    "ModsealError",
    "Packed",
    "Policy",
    "PolicyError",
    "RefusedError",
    "Result",
    "Severity",
    "Signed",
    "SpecError",
    "Status",
    "UndecidedError",
    "UsageError",
    "Verdict",
    "__version__",
    "audit",
    "extract",
    "inspect",
    "load_policy",
    "pack",
    "sign",
    "verify",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    policies.write(tmp_path)
    (tmp_path / "good.seal").write_bytes(make("seal").data)
    return tmp_path


def test_the_exported_names_are_these_and_no_others() -> None:
    assert modseal.__all__ == NAMES
    for name in NAMES:
        assert getattr(modseal, name) is not None
    assert set(NAMES) <= set(dir(modseal))
    with pytest.raises(AttributeError, match="no attribute 'examine'"):
        _ = modseal.examine  # type: ignore[attr-defined]


def test_the_import_alone_loads_nothing() -> None:
    code = "import modseal, sys; print(*[n for n in sys.modules if n.startswith('modseal.') or n == 'cryptography'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("name", ["audit", "verify", "inspect", "pack", "sign", "extract"])
def test_a_function_stays_one_whatever_was_imported_before(name: str) -> None:
    code = f"import importlib, modseal.cli.audit, modseal; assert callable(modseal.{name})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_python_m_modseal_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "modseal", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"modseal {modseal.__version__}\n"


def test_verify_gives_evidence_and_require_insists_on_acceptance(folder: Path) -> None:
    result = modseal.verify(folder / "good.seal", folder / "policy.toml", at=NOW)
    assert result.verdict is modseal.Verdict.ACCEPTED
    assert result.require().proven_level is modseal.Level.PARTNER
    (folder / "bad.seal").write_bytes(make("seal").data.replace(b"acme-agent", b"acme-agenT"))
    bad = modseal.verify(str(folder / "bad.seal"), str(folder / "policy.toml"), at=NOW)
    assert bad.verdict is modseal.Verdict.REJECTED
    with pytest.raises(modseal.RefusedError) as caught:
        bad.require()
    assert caught.value.failure.code == "content-digest-mismatch"
    with pytest.raises(modseal.UndecidedError) as absent:
        modseal.verify(folder / "missing.seal", "strict", at=NOW).require()
    assert str(absent.value).count("missing.seal") == 1


def test_an_open_file_is_judged_whatever_its_name_leads_to_by_then(folder: Path) -> None:
    with (folder / "good.seal").open("rb") as file:
        file.read(7)
        (folder / "good.seal").unlink()
        result = modseal.verify(file, folder / "policy.toml", at=NOW)
    assert (result.verdict, result.bundle) == (modseal.Verdict.ACCEPTED, str(folder / "good.seal"))


def test_bytes_in_memory_are_no_open_file() -> None:
    import io

    with pytest.raises(modseal.UsageError, match="needs a descriptor"):
        modseal.verify(io.BytesIO(b""), "strict")


def test_a_time_without_a_zone_is_a_mistake(folder: Path) -> None:
    with pytest.raises(modseal.UsageError, match="has no zone"):
        modseal.verify(folder / "good.seal", folder / "policy.toml", at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_extract_leaves_nothing_unless_accepted(folder: Path) -> None:
    before = snapshot(folder)
    late = datetime(2200, 1, 1, tzinfo=UTC)
    assert modseal.extract(folder / "good.seal", folder / "out", folder / "policy.toml", at=late).verdict != "accepted"
    assert snapshot(folder) == before
    assert modseal.extract(folder / "good.seal", folder / "out", folder / "policy.toml", at=NOW).verdict == "accepted"
    assert (folder / "out/opt/acme/agent").exists()


def test_inspect_pack_sign_and_audit(folder: Path, tool: Path) -> None:
    packed = modseal.pack(folder, folder / "tool.seal")
    assert packed.path == folder / "tool.seal"
    (folder / "key.pem").write_bytes(signer().key_pem)
    (folder / "cert.pem").write_bytes(signer().pem)
    signed = modseal.sign(packed.path, key=folder / "key.pem", cert=folder / "cert.pem", at=NOW)
    assert signed.blocks == 1
    with packed.path.open("rb") as file:
        assert modseal.inspect(file).manifest == packed.manifest
    found = modseal.audit([folder / "tool.seal", folder / "good.seal"], folder / "policy.toml", at=NOW)
    assert [result["verdict"] for result in found.results()] == ["accepted", "accepted"]
    assert found.complete


@pytest.fixture
def tool(folder: Path) -> Path:
    """A folder with a module of one file, which its owner alone may run."""
    (folder / "tree").mkdir()
    (folder / "tree/tool").write_text("#!/bin/sh\n")
    (folder / "tree/tool").chmod(0o700)
    (folder / "module.toml").write_text(
        'schema = "modseal/module@1"\nvendor = "Acme"\nname = "tool"\nversion = "1"\nlevel = "partner"\n'
        '[[payload]]\nroot = "tree"\nprefix = "opt/tool"\n'
    )
    return folder


@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_pack_takes_what_the_command_takes_and_gives_the_same_bytes(tool: Path, kind: Literal["seal", "vib"]) -> None:
    flags: dict[str, bool] = {"stateless-ready": False, "overlay": True} if kind == "vib" else {}
    modseal.pack(
        tool,
        tool / f"a.{kind}",
        version="2.3",
        released=datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
        fields={"summary": "A = B", "level": "accepted", **flags},
        keep_modes=True,
    )
    options = [f"--set={name}={str(value).lower()}" for name, value in flags.items()]
    done = run(
        *("pack", ".", "-o", f"b.{kind}", "--version", "2.3", "--release-date", "2026-01-31T12:00:00Z"),
        *("--set", "summary=A = B", "--set", "level=accepted", "--keep-modes", *options),
        cwd=tool,
    )
    assert done.code == 0
    assert (tool / f"a.{kind}").read_bytes() == (tool / f"b.{kind}").read_bytes()
    found = modseal.inspect(tool / f"a.{kind}").manifest
    assert found
    assert (found.version, found.summary, str(found.claimed_level)) == ("2.3", "A = B", "accepted")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fields": {"sumary": "x"}}, r"fields\['sumary'\]: there is no such field; did you mean 'summary'"),
        ({"version": "1", "fields": {"version": "2"}}, r"version and fields\['version'\] say the same field"),
        ({"released": datetime(2026, 1, 31)}, "has no zone"),  # noqa: DTZ001 - that is what is refused
        ({"fields": {"overlay": True}}, r"fields\['overlay'\]: a .seal has no such field"),
        ({"version": "a b"}, "version: "),
    ],
)
def test_pack_names_the_argument_that_is_wrong(tool: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(modseal.ModsealError, match=message):
        modseal.pack(tool, tool / "a.seal", **given)
    assert not (tool / "a.seal").exists()


def test_the_examples_of_the_page_work(tmp_path: Path) -> None:
    text = (ROOT / "docs/api.md").read_text("utf-8")
    examples = re.findall(r"```python (\w+\.py)\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in examples] == ["build.py", "gate.py", "audit.py"]
    for place in ("docs", "keys-example"):
        (tmp_path / place).symlink_to(ROOT / place)
    shown = ""
    for name, code in examples:
        assert code.count("\n") <= 12
        (tmp_path / name).write_text(code)
        done = subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shown += done.stdout
    assert "hello 1.2.3 signed by CN=Example partner signer" in shown
    assert "hello is proved to be partner" in shown
    assert "hello.seal accepted partner" in shown
    assert set(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)) <= set(NAMES)


def test_importing_the_module_of_the_command_line_runs_nothing() -> None:
    """Tools that read a whole package import it too: fuzzers, generators of documentation."""
    done = subprocess.run(
        [sys.executable, "-c", "import modseal.__main__"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
