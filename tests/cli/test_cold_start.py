"""A cold `verify` loads what it needs and nothing else: what a gate pays for each bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import policies
from builders.bundles import make
from builders.transcript import SOURCE

PROGRAM = """\
import json, sys
from modseal.cli.main import run
code = run(sys.argv[1:])
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""
FOREIGN = (
    "jsonschema",
    "rich",
    "tomlkit",
    "asn1crypto",
    "numpy",
    "yaml",
    "pytest",
    "hypothesis",
    "attrs",
    "rfc3161_client",
)
"""Packages that no command may load."""
UNNEEDED = (
    "modseal.signing",
    "modseal.packing.pack",
    "modseal.packing.sign",
    "modseal.bundle.inspect",
    "modseal.files.output",
    "modseal.report.sarif",
    "modseal.report.json_report",
    "urllib.request",
    "http",
    "ssl",
    "asyncio",
    "concurrent",
    "multiprocessing",
    "sqlite3",
    "unittest",
    "distutils",
    "pkg_resources",
    "setuptools",
    "click.shell_completion",
    "click.testing",
    "pdb",
)
"""Modules that a plain `verify` has no use for."""


def loaded(folder: Path, *arguments: str) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["code"] == 0, done.stderr
    return list(told["modules"])


def among(modules: list[str], packages: tuple[str, ...]) -> list[str]:
    return [name for name in modules if any(name == package or name.startswith(f"{package}.") for package in packages)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    policies.write(tmp_path)
    for name, payload_type in (("vgz", "vgz"), ("tgz", "tgz"), ("vzstd", "vzstd")):
        (tmp_path / name).write_bytes(make("vib", payload_type=payload_type).data)
    for name, payload_type in (("gzip", "tar+gzip"), ("zstd", "tar+zstd")):
        (tmp_path / name).write_bytes(make("seal", payload_type=payload_type).data)
    return tmp_path


@pytest.mark.parametrize("bundle", ["vgz", "tgz", "vzstd", "gzip", "zstd"])
def test_verify_loads_nothing_that_it_has_no_use_for(place: Path, bundle: str) -> None:
    modules = loaded(place, "verify", bundle, "--policy", "policy.toml")
    assert among(modules, (*FOREIGN, *UNNEEDED)) == []
    assert ("zstandard" in modules) == (bundle in ("vzstd", "zstd"))


def test_extract_loads_no_signing_code(place: Path) -> None:
    modules = loaded(place, "extract", "gzip", "-C", "out", "--policy", "policy.toml")
    assert among(modules, (*FOREIGN, "modseal.signing", "zstandard")) == []


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("completion", "zsh"), ("completion", "zsh", "--", "")]
)
def test_help_loads_no_cryptography(place: Path, arguments: tuple[str, ...]) -> None:
    assert (
        among(loaded(place, *arguments), ("cryptography", "zlib_ng", "zstandard", "modseal.trust", "modseal.format"))
        == []
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "vgz"),
        ("policy", "check", "policy.toml"),
        ("verify", "vgz", "--policy", "policy.toml", "--format", "json"),
        ("verify", "vgz", "--policy", "policy.toml", "--format", "sarif"),
    ],
)
def test_other_commands_load_no_foreign_package(place: Path, arguments: tuple[str, ...]) -> None:
    assert among(loaded(place, *arguments), (*FOREIGN, "modseal.signing")) == []
