"""`import modseal`: which names it has, what each function takes and gives, and that the page shows it as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import modseal
from builders import policies
from builders.bundles import make, snapshot
from builders.pki import NOW, signer

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
    with pytest.raises(modseal.UndecidedError):
        modseal.verify(folder / "missing.seal", "strict", at=NOW).require()


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


def test_inspect_pack_sign_and_audit(folder: Path) -> None:
    (folder / "tree").mkdir()
    (folder / "tree/tool").write_text("#!/bin/sh\n")
    (folder / "module.toml").write_text(
        'schema = "modseal/module@1"\nvendor = "Acme"\nname = "tool"\nversion = "1"\nlevel = "partner"\n'
        '[[payload]]\nroot = "tree"\nprefix = "opt/tool"\n'
    )
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
    assert "hello 1.0.0-1 signed by CN=Example partner signer" in shown
    assert "hello is proved to be partner" in shown
    assert "hello.seal accepted partner" in shown
    assert set(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)) <= set(NAMES)


def test_importing_the_module_of_the_command_line_runs_nothing() -> None:
    """Tools that read a whole package import it too: fuzzers, generators of documentation."""
    done = subprocess.run(
        [sys.executable, "-c", "import modseal.__main__"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
