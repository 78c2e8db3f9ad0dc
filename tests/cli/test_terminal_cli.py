"""What is for eyes alone: colour for verdicts and progress of long commands, on a terminal and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builders.terminal import MAIN, on_terminal, screen
from builders.transcript import run, run_process
from cli.conftest import key_options

VERIFY = ("verify", "--policy", "keys/policy.toml")
RED, GREEN = "\x1b[1;31m", "\x1b[1;32m"
AT_ONCE = f"import modseal.cli.progress as shown; shown.DELAY = shown.PERIOD = 0.0001; {MAIN}"
"""The command line, with progress that does not wait until it is worth it."""


@pytest.fixture
def bundles(signed: Path) -> Path:
    """The vendor's folder with a good and a tampered bundle."""
    (signed / "b.seal").write_bytes((signed / "a.seal").read_bytes().replace(b'"acme-agent"', b'"acme-agend"'))
    return signed


def test_a_verdict_has_its_colour_on_a_terminal(bundles: Path) -> None:
    assert f"a.seal: {GREEN}accepted\x1b[0m\n" in on_terminal(*VERIFY, "a.seal", cwd=bundles).out
    both = on_terminal(*VERIFY, "a.seal", "b.seal", cwd=bundles)
    assert (both.code, f"a.seal: {GREEN}accepted\x1b[0m: Acme" in both.out) == (1, True)
    seen = on_terminal(*VERIFY, "b.seal", cwd=bundles)
    assert f"b.seal: {RED}rejected\x1b[0m\n" in seen.out
    assert f"1 signature    {RED}failed        \x1b[0m content-digest-mismatch" in seen.out


def test_without_its_colour_the_text_is_the_same(bundles: Path) -> None:
    seen = on_terminal(*VERIFY, "a.seal", "b.seal", cwd=bundles)
    assert screen(seen.out) == run(*VERIFY, "a.seal", "b.seal", cwd=bundles).out


@pytest.mark.parametrize(
    ("env", "streams", "is_coloured"),
    [
        ({}, ("out", "err"), True),
        ({}, ("err",), False),
        ({"NO_COLOR": "1"}, ("out", "err"), False),
        ({"NO_COLOR": ""}, ("out", "err"), True),
        ({"TERM": "dumb"}, ("out", "err"), False),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": ""}, (), False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, ("out", "err"), False),
    ],
)
def test_colour_is_for_terminals_and_for_who_asks_for_it(
    bundles: Path, env: dict[str, str], streams: tuple[str, ...], is_coloured: bool
) -> None:
    seen = on_terminal(*VERIFY, "b.seal", cwd=bundles, env=env, streams=streams)
    assert ("\x1b[" in seen.out) == is_coloured


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_what_is_for_machines_has_no_colour_even_where_it_is_forced(bundles: Path, form: str) -> None:
    done = run_process(*VERIFY, "b.seal", "--format", form, cwd=bundles, env={"FORCE_COLOR": "1"})
    assert "\x1b" not in done.out


def test_a_refused_extraction_has_colour_where_its_message_is(bundles: Path) -> None:
    arguments = ("extract", "b.seal", "-C", "out", "--policy", "keys/policy.toml")
    assert f"modseal: b.seal: {RED}rejected" in on_terminal(*arguments, cwd=bundles, streams=("err",)).err
    assert "\x1b" not in on_terminal(*arguments, cwd=bundles, streams=("out",)).err


def test_an_explanation_has_colour_and_its_json_none(bundles: Path) -> None:
    explain = ("policy", "explain", "b.seal", "--policy", "keys/policy.toml")
    assert f"b.seal: {RED}rejected\x1b[0m" in on_terminal(*explain, cwd=bundles).out
    assert "\x1b" not in on_terminal(*explain, "--format", "json", cwd=bundles).out


def test_the_verdicts_of_an_audit_have_colour_in_their_column_alone(bundles: Path) -> None:
    audit = ("audit", "a.seal", "b.seal", "--policy", "keys/policy.toml", "--no-cache")
    seen = on_terminal(*audit, cwd=bundles, streams=("out",))
    assert (seen.code, f"{RED}rejected   \x1b[0mnone       b.seal" in seen.out) == (1, True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", seen.out).count("accepted") == seen.out.count("accepted")
    written = on_terminal(*audit, "-o", "report.txt", cwd=bundles, env={"FORCE_COLOR": "1"})
    assert (written.code, "\x1b" in (bundles / "report.txt").read_text()) == (1, False)


def test_a_name_in_a_bundle_gets_no_colour_and_brings_none(bundles: Path) -> None:
    spec = (bundles / "module/module.toml").read_text()
    (bundles / "module/module.toml").write_text(spec.replace('"Acme"', '"x: accepted"'))
    assert run("pack", "module", "-o", "c.seal", cwd=bundles).code == 0
    assert run("sign", "c.seal", *key_options("community"), cwd=bundles).code == 0
    seen = on_terminal(*VERIFY, "c.seal", cwd=bundles)
    assert (seen.code, GREEN in seen.out.split("next:")[0].replace("ok", "")) == (1, False)


# Progress.


@pytest.fixture
def big(desk: Path) -> Path:
    """A vendor's folder with a signed bundle of some size."""
    (desk / "module/files/opt/acme/data").write_bytes(bytes(range(256)) * (1 << 16))
    (desk / "module/module.toml").write_text((desk / "module/module.toml").read_text() + 'type = "tar+gzip"\n')
    assert run("pack", "module", "-o", "big.seal", cwd=desk).code == 0
    assert run("sign", "big.seal", *key_options("partner"), cwd=desk).code == 0
    return desk


LONG = {
    "verify": (*VERIFY, "big.seal"),
    "extract": ("extract", "big.seal", "-C", "out", "--policy", "keys/policy.toml"),
    "pack": ("pack", "module", "-o", "again.seal"),
}


@pytest.mark.parametrize("command", LONG)
def test_a_long_command_shows_how_far_it_is_and_nothing_of_it_stays(big: Path, command: str) -> None:
    seen = on_terminal(*LONG[command], cwd=big, program=AT_ONCE)
    assert seen.code == 0, seen
    assert re.search(r"\r\x1b\[Kmodseal: [^\r]+ read", seen.err), seen.err
    assert screen(seen.err) == ""


@pytest.mark.parametrize("command", LONG)
def test_nothing_is_shown_where_there_is_no_terminal(big: Path, command: str) -> None:
    seen = on_terminal(*LONG[command], cwd=big, program=AT_ONCE, streams=("out",))
    assert (seen.code, seen.err) == (0, "")


def test_what_is_over_at_once_shows_nothing(bundles: Path) -> None:
    assert on_terminal(*VERIFY, "a.seal", cwd=bundles).err == ""


def test_a_dumb_terminal_gets_no_line_that_it_cannot_erase(big: Path) -> None:
    assert on_terminal(*LONG["verify"], cwd=big, program=AT_ONCE, env={"TERM": "dumb"}).err == ""


def test_a_hostile_file_name_does_not_steer_the_terminal(big: Path) -> None:
    (big / "big.seal").rename(big / "\x1b[2Jbig.seal")
    seen = on_terminal(*VERIFY, "\x1b[2Jbig.seal", cwd=big, program=AT_ONCE)
    assert "\x1b[2J" not in seen.err + seen.out


# The version.


def test_the_version_alone_is_one_line(tmp_path: Path) -> None:
    assert re.fullmatch(r"modseal \d+\.\d+\.\d+\n", run("--version", cwd=tmp_path).out)


@pytest.mark.parametrize("flags", [("--version", "--verbose"), ("--verbose", "--version"), ("--version", "-v")])
def test_the_version_in_full_says_what_is_installed_and_where(tmp_path: Path, flags: tuple[str, ...]) -> None:
    places = {"MODSEAL_TRUST_STORE": str(tmp_path / "trust"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    out = run(*flags, cwd=tmp_path, env=places).out
    rows = {line[2:16].strip(): line[17:] for line in out.splitlines()[1:]}
    assert re.match(r"\d+\.\d+", rows["Python"])
    assert re.search(r"\bcryptography \d", rows["libraries"])
    assert rows["OpenSSL"].startswith("OpenSSL ")
    assert rows["ML-DSA"].partition(":")[0] in ("yes", "no")
    for extra in ("pkcs11", "sbom", "remote", "dask"):
        assert rows[f"extra {extra}"].partition(":")[0] in ("yes", "no")
    assert "strict, vmware" in rows["policies"]
    assert rows["trust store"].startswith(f"{tmp_path}/trust (nothing installed)")
    assert rows["audit cache"].startswith(f"{tmp_path}/cache/modseal")


def test_a_store_that_cannot_be_used_is_said_and_does_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "trust").mkdir(mode=0o755)
    (tmp_path / "trust/state.json").write_text("{")
    out = run("--version", "-v", cwd=tmp_path, env={"MODSEAL_TRUST_STORE": str(tmp_path / "trust")}).out
    assert f"{tmp_path}/trust (unusable: " in out


def test_verbose_alone_is_refused(tmp_path: Path) -> None:
    done = run("--verbose", "verify", "x", cwd=tmp_path)
    assert (done.code, "--verbose stands behind a command" in done.err) == (2, True)
