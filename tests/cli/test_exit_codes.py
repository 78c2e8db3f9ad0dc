"""Every kind of bad input has its exit code and says so in a clear line, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import policies
from builders.bundles import make
from builders.pki import ca
from builders.transcript import SOURCE, Transcript, run
from cli.conftest import key_options

POLICY = ("--policy", "policy.toml")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a good and several bad bundles."""
    policies.write(tmp_path)
    good = make("seal")
    (tmp_path / "good").write_bytes(good.data)
    (tmp_path / "unsigned").write_bytes(good.unsigned().data)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


def commands(bundle: str) -> dict[str, tuple[str, ...]]:
    return {
        "verify": ("verify", bundle, *POLICY),
        "inspect": ("inspect", bundle),
        "extract": ("extract", bundle, "-C", "out", *POLICY),
    }


@pytest.mark.parametrize("command", ["verify", "inspect", "extract"])
@pytest.mark.parametrize(
    ("bundle", "text"),
    [
        ("missing", "No such file or directory"),
        ("folder", "a folder, and not a file"),
        ("fifo", "not a regular file"),
        ("dangling", "No such file or directory"),
        ("/dev/null", "not a regular file"),
        ("missing/inside", "No such file or directory"),
        ("text/inside", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_read_is_undecided(place: Path, command: str, bundle: str, text: str) -> None:
    done = run(*commands(bundle)[command], cwd=place)
    assert done.code == 3
    assert f"{bundle}: {text}" in (done.out + done.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "", *POLICY),
        ("verify", "good", *POLICY, "--recall", ""),
        ("inspect", "good", ""),
        ("extract", "good", "-C", "", *POLICY),
        ("pack", ""),
        ("pack", "folder", "-o", ""),
        ("init", ""),
        ("keys", "show", ""),
        ("audit", ""),
    ],
    ids=" ".join,
)
def test_an_empty_path_is_usage_and_not_the_current_folder(place: Path, arguments: tuple[str, ...]) -> None:
    before = sorted(place.iterdir())
    done = run(*arguments, cwd=place)
    assert (done.code, done.out, sorted(place.iterdir())) == (2, "", before)


@pytest.mark.parametrize("bundle", ["empty", "text"])
@pytest.mark.parametrize("command", ["verify", "inspect", "extract"])
def test_what_is_no_bundle_is_rejected(place: Path, command: str, bundle: str) -> None:
    done = run(*commands(bundle)[command], cwd=place, prefixed=command != "extract")
    assert done.code == 1
    assert "not-a-bundle" in done.out + done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_undecided(place: Path) -> None:
    (place / "good").chmod(0)
    assert "Permission denied" in run("verify", "good", *POLICY, cwd=place).out


@pytest.mark.parametrize(
    ("bundles", "code"),
    [
        (("good",), 0),
        (("good", "good"), 0),
        (("good", "missing"), 3),
        (("missing", "good"), 3),
        (("missing", "unsigned", "good"), 1),
        (("unsigned", "missing"), 1),
        (("good", "unsigned"), 1),
    ],
)
def test_the_worst_of_several_wins(place: Path, bundles: tuple[str, ...], code: int) -> None:
    done = run("verify", *bundles, *POLICY, cwd=place)
    assert done.code == code
    assert [line.split(":")[0] for line in done.out.splitlines() if not line.startswith(" ")] == list(bundles)
    document = json.loads(run("verify", *bundles, *POLICY, "--format", "json", cwd=place).out)
    assert [result["bundle"] for result in document["results"]] == list(bundles)


def _policy(place: Path, text: str) -> Transcript:
    (place / "other.toml").write_text(text)
    done = run("verify", "good", "--policy", "other.toml", cwd=place)
    assert done.code == 3
    assert done.out == ""
    return done


HEAD = 'schema = "modseal/policy@1"\nminimum-level = "partner"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'schema'"),
        ("schema = ", "other.toml:1: "),
        (HEAD + 'minimum-levle = "partner"\n', "other.toml:3: unknown key 'minimum-levle'"),
        (HEAD + "[signers]\nminimun = 2\n", "other.toml:4: signers: unknown key 'minimun'"),
        (HEAD + "[signers]\nminimum = 0\n", "other.toml:4: "),
        (HEAD.replace("partner", "parnter"), "other.toml:2: minimum-level"),
        (HEAD, "needs at least one [[anchor]]"),
        (HEAD + '[[anchor]]\nname = "a"\ncertificate = "absent.pem"\ngrants = "partner"\n', "other.toml:5: "),
        (HEAD + '[[anchor]]\nname = "a"\ncertificate = "text"\ngrants = "partner"\n', "other.toml:5: "),
        (HEAD + '[[anchor]]\nname = "a"\ngrants = "partner"\n', "other.toml:3: "),
        (HEAD + '[[anchor]]\nname = "a"\nfingerprint = "sha256:00"\ngrants = "partner"\n', "other.toml:5: "),
    ],
)
def test_a_policy_with_a_mistake_is_undecided_and_names_the_line(place: Path, text: str, message: str) -> None:
    done = _policy(place, text)
    assert message in done.err.splitlines()[0]
    assert done.err.splitlines()[-1].startswith("modseal: next: ")


def test_all_mistakes_of_a_policy_are_listed_at_once(place: Path) -> None:
    done = _policy(place, HEAD + "one = 1\ntwo = 2\nthree = 3\n")
    assert [line for line in done.err.splitlines() if "unknown key" in line].__len__() == 3


@pytest.mark.parametrize("reference", ["absent.toml", "folder", "good", "", "strictt"])
def test_an_unreadable_policy_is_undecided(place: Path, reference: str) -> None:
    done = run("verify", "good", "--policy", reference, cwd=place)
    assert (done.code, done.out) == (3, "")
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("verify", "good"),
        ("verify", "good", "--policy", "policy.toml", "--at", "yesterday"),
        ("verify", "good", "--policy", "policy.toml", "--at", "2026-13-01"),
        ("verify", "good", "--policy", "policy.toml", "--format", "xml"),
        ("verify", "--force", "good", "--policy", "policy.toml"),
        ("extract", "good", "-C", "out"),
        ("extract", "good", "-C", "out", "--policy", "policy.toml", "--unverified"),
        ("extract", "good", "--unverified"),
        ("sign", "good"),
        ("pack",),
        ("frobnicate",),
        ("--frobnicate",),
        ("policy", "frobnicate"),
    ],
)
def test_a_call_that_cannot_be_meant_is_usage(place: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, cwd=place)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1


def test_no_arguments_show_the_help(place: Path) -> None:
    done = run(cwd=place, prefixed=False)
    assert done.code == 2
    assert "Commands:" in done.out + done.err


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("verify", "--help"), ("sign", "-h"), ("keys", "example", "--help")]
)
def test_help_and_version_are_a_success(place: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, cwd=place)
    assert (done.code, done.err) == (0, "")
    assert done.out


def test_a_destination_with_something_in_it_is_usage_and_stays(place: Path) -> None:
    (place / "folder" / "mine").write_text("keep")
    done = run("extract", "good", "-C", "folder", *POLICY, cwd=place)
    assert done.code == 2
    assert "not empty" in done.err
    assert (place / "folder" / "mine").read_text() == "keep"


def test_an_empty_destination_is_fine(place: Path) -> None:
    assert run("extract", "good", "-C", "folder", *POLICY, cwd=place).code == 0


@pytest.mark.parametrize("destination", ["text", "dangling", "fifo"])
def test_a_destination_that_is_no_folder_is_usage(place: Path, destination: str) -> None:
    done = run("extract", "good", "-C", destination, *POLICY, cwd=place)
    assert done.code == 2
    assert "is not a folder" in done.err


@pytest.mark.parametrize("destination", ["missing/out", "text/out"])
def test_a_destination_in_a_missing_folder_is_undecided(place: Path, destination: str) -> None:
    assert run("extract", "good", "-C", destination, *POLICY, cwd=place).code == 3


@pytest.mark.parametrize("output", ["missing/b", "text/b"])
def test_output_into_a_missing_folder_is_undecided(desk: Path, output: str) -> None:
    (desk / "text").write_text("x")
    done = run("sign", "a.seal", *key_options("partner"), "-o", output, cwd=desk)
    assert done.code == 3
    assert output in done.err
    assert run("pack", "module", "-o", output, cwd=desk).code == 3


def test_output_onto_a_folder_fails_and_leaves_it(desk: Path) -> None:
    (desk / "folder").mkdir()
    assert run("pack", "module", "-o", "folder", cwd=desk).code == 2


def test_a_hostile_name_cannot_draw_on_the_terminal(place: Path) -> None:
    name = "a\x1b[2Jb\n: accepted"
    (place / name).write_bytes(b"")
    for arguments in (("verify", name, *POLICY), ("inspect", name)):
        done = run(*arguments, cwd=place)
        assert done.code == 1
        assert "\x1b" not in done.out
        assert not [line for line in done.out.splitlines() if line == ": accepted"]


def test_a_closed_pipe_is_no_traceback(place: Path) -> None:
    command = f"{sys.executable} -c 'from modseal.cli.main import main; main()' policy show strict | true"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_full_standard_output_is_undecided_and_says_what_to_do(place: Path, command: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from modseal.cli.main import main; main()", *commands("good")[command]],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "modseal: standard output: No space left on device",
        "modseal: next: Free some space there, or name a place that has enough.",
    ]


def test_too_little_memory_is_undecided(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("modseal.cli.verify.load", fail)
    done = run(*commands("good")["verify"], cwd=place)
    assert (done.code, done.out) == (3, "")
    assert done.err == "modseal: there is not enough memory; end other programs, or use a machine that has more\n"


def test_a_file_given_with_a_surrogate_name_is_handled(place: Path) -> None:
    name = os.fsdecode(b"bad\xff")
    (place / name).write_bytes(make("seal").data)
    for output in ("text", "json", "sarif"):
        done = run("verify", name, *POLICY, "--format", output, cwd=place)
        assert done.code == 0


def test_verification_time_counts(place: Path) -> None:
    assert run("verify", "good", *POLICY, "--at", "2023-12-31", cwd=place).code == 1
    assert "not-yet-valid" in run("verify", "good", *POLICY, "--at", "2023-12-31", cwd=place).out
    assert "expired" in run("verify", "good", *POLICY, "--at", "2124-01-01T00:00:00Z", cwd=place).out


def test_an_unusable_anchor_of_the_policy_is_undecided(place: Path) -> None:
    (place / "root.pem").write_bytes(ca("No CA", basic=(False, None)).pem)
    done = run("verify", "good", *POLICY, cwd=place)
    assert done.code == 3
    assert "is not a CA certificate" in done.err
