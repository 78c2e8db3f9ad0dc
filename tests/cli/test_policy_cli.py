"""`modseal policy` as people call it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders.bundles import make
from builders.pki import NOW, Identity, signer
from builders.policies import write
from builders.transcript import Transcript, run
from builders.trust_bundles import A, B, C, clock_at
from modseal.cli import policy as policy_commands
from modseal.format import rules
from modseal.policy import sources as policy_sources
from modseal.policy import store as trust_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy, a good bundle and three root signers' keys."""
    write(tmp_path)
    (tmp_path / "m.seal").write_bytes(make("seal").data)
    for name, one in (("a", A), ("b", B), ("c", C)):
        (tmp_path / f"{name}.pem").write_bytes(one.pem)
        (tmp_path / f"{name}.key").write_bytes(one.key_pem)
        (tmp_path / f"{name}.key").chmod(0o600)
    return tmp_path


def pairs(*names: str) -> list[str]:
    return [word for name in names for word in ("--root-key", f"{name}.key", "--root-cert", f"{name}.pem")]


def bundle(folder: Path, version: int, *more: str, expires: str = "2100-01-01") -> Transcript:
    return run(
        "policy",
        "bundle",
        "policy.toml",
        "--version",
        version,
        "--expires",
        expires,
        "-o",
        f"{version}.trust",
        *more,
        cwd=folder,
    )


def update(folder: Path, *more: str) -> Transcript:
    return run("policy", "update", "--store", "store", *more, cwd=folder)


def initial(*identities: Identity) -> list[str]:
    return [word for one in identities for word in ("--initial-root", f"sha256:{one.fingerprint}")]


def installed(folder: Path) -> None:
    assert bundle(folder, 1, *pairs("a", "b"), "--threshold", "2").code == 0
    assert update(folder, "1.trust", *initial(A, B)).code == 0


# check and show.


def test_what_inspect_prints_denies_the_bundle_however_its_file_is_changed(folder: Path) -> None:
    shown = run("inspect", "m.seal", "--digests", cwd=folder)
    assert shown.code == 0
    assert [line for line in shown.out.splitlines() if not line.startswith(("    ", "#"))] == [
        "[deny]",
        "digests = [",
        "]",
    ]
    with (folder / "policy.toml").open("a") as file:
        file.write(shown.out)
    assert "; denies 2 digests" in run("policy", "check", "policy.toml", cwd=folder).out
    good = make("seal")
    for bundle_ in (good, good.with_signature(good.signature * 2)):
        (folder / "m.seal").write_bytes(bundle_.data)
        done = run("verify", "m.seal", "--policy", "policy.toml", cwd=folder)
        assert done.code == 1
        assert "the deny list has the SHA-256 of its manifest" in done.out
    refused = run("inspect", "m.seal", "--digests", "--format", "json", cwd=folder)
    assert (refused.code, refused.out) == (2, "")


def test_check_show_and_explain_say_what_a_denied_signer_is_denied_by(folder: Path) -> None:
    signer_key = rules.key_name(signer().parsed.key_der)
    for entry, told, shown in (
        (f"sha256:{signer().fingerprint}", "1 certificate alone (name the key", "and no other with its key"),
        (signer_key, "denies 1 key", f"denied key           {signer_key}, in every certificate"),
    ):
        write(folder, more=f'[deny]\nsigners = ["{entry}"]\n')
        assert told in run("policy", "check", "policy.toml", cwd=folder).out
        assert shown in run("policy", "show", "policy.toml", cwd=folder).out
        explained = run("policy", "explain", "m.seal", "--policy", "policy.toml", cwd=folder)
        assert explained.code == 1
        assert f"the deny list has the signer CN=Test p256 signer 0,O=Test ({entry})" in explained.out
        assert "policy.toml:9: deny.signers" in explained.out


def test_check_says_the_weakest_in_one_line(folder: Path) -> None:
    done = run("policy", "check", "policy.toml", cwd=folder)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "policy.toml: accepts at the weakest a partner module (any module, any vendor) by one signer under "
        "Test anchor, no timestamp needed, no revocation check: no CRL is named; "
        "widest powers: all powers by Test anchor (certified)\n"
    )


def test_check_gives_every_problem_of_a_broken_policy_and_exits_3(folder: Path) -> None:
    (folder / "bad.toml").write_text(
        'schema = "modseal/policy@1"\nminimum-level = "partner"\nintermediates = ["none.pem"]\n'
        '[[anchor]]\nname = "x"\ngrants = "partner"\ncertificate = "gone.pem"\n'
    )
    done = run("policy", "check", "bad.toml", cwd=folder)
    assert (done.code, done.out) == (3, "")
    assert "bad.toml:3: intermediates: none.pem" in done.err
    assert "bad.toml:7: anchor[0].certificate: gone.pem" in done.err
    (folder / "bad.toml").write_text('schema = "modseal/policy@1"\nminimum = 1\nanchors = []\n')
    done = run("policy", "check", "bad.toml", cwd=folder)
    assert done.code == 3
    assert len([line for line in done.err.splitlines() if "bad.toml" in line]) == 3


def test_show_lists_everything_defaults_included(folder: Path) -> None:
    done = run("policy", "show", "policy.toml", cwd=folder)
    assert done.code == 0
    for word in ("minimum level        partner", "Test anchor grants certified", "ed25519", "2048 bits", "at least 1"):
        assert word in done.out


# explain.


def test_explain_shows_every_step_and_exits_as_verify_does(folder: Path) -> None:
    done = run("policy", "explain", "m.seal", "--policy", "policy.toml", "--at", "2026-01-01", cwd=folder)
    assert done.code == 0
    assert done.out.startswith("m.seal: accepted\n  under policy.toml, at 2026-01-01T00:00:00Z\n0 container\n")
    assert "policy.toml:2: minimum-level" in done.out
    write(folder, minimum="certified", name="strict.toml")
    refused = run("policy", "explain", "m.seal", "--policy", "strict.toml", "--format", "json", cwd=folder)
    assert refused.code == 1
    document = json.loads(refused.out)
    assert document["verdict"] == "rejected"
    assert any(
        {"file": "strict.toml", "line": 2, "key": "minimum-level"} in check["decided_by"]
        for step in document["steps"]
        for check in step["checks"]
    )
    assert run("policy", "explain", "none.seal", "--policy", "policy.toml", cwd=folder).code == 3


# Trust bundles.


def test_a_policy_is_carried_in_and_holds(folder: Path) -> None:
    made = bundle(folder, 1, *pairs("a", "b"), "--threshold", "2")
    assert made.code == 0
    assert made.err == ""
    assert made.out.startswith("1.trust: trust bundle version 1, expires 2100-01-01T00:00:00Z, sha256 ")
    done = update(folder, "1.trust", *initial(A, B))
    assert done.code == 0
    assert done.out.splitlines()[0].startswith("store: version 1 installed (the first), expires 2100-01-01T00:00:00Z")
    assert "accepts at the weakest a partner module" in done.out
    for policy in ("store", "store:store"):
        assert run("verify", "m.seal", "--policy", policy, cwd=folder).code == 0
    assert run("verify", "m.seal", "--policy", "store:", cwd=folder, env={"MODSEAL_TRUST_STORE": "store"}).code == 0
    assert "versions/1.trust:policy.toml" in run("policy", "check", "store", cwd=folder).out


def test_the_first_install_is_never_silent(folder: Path) -> None:
    bundle(folder, 1, *pairs("a"))
    refused = update(folder, "1.trust")
    assert refused.code == 2
    assert "--initial-root" in refused.err
    wrong = update(folder, "1.trust", *initial(B))
    assert wrong.code == 1
    assert "next: " in wrong.err
    assert update(folder, "1.trust", "--initial-root", "abc").code == 2
    colons = ":".join(A.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    assert update(folder, "1.trust", "--initial-root", colons).code == 0, "as openssl prints it"


def test_root_signers_who_never_meet_rotate_a_key(folder: Path) -> None:
    installed(folder)
    made = bundle(folder, 2, *pairs("c"), "--previous", "1.trust")
    assert made.code == 0
    assert "0 of the 2 root signers that version 1 asks for have signed; `modseal policy endorse`" in made.err
    refused = update(folder, "2.trust")
    assert refused.code == 1
    assert "version 2: 0 of the 2 root signers that version 1 asks for" in refused.err
    one = run("policy", "endorse", "2.trust", *pairs("a"), "--previous", "1.trust", cwd=folder)
    assert "1 of the 2" in one.err
    two = run("policy", "endorse", "2.trust", *pairs("b"), "--previous", "1.trust", "-o", "done.trust", cwd=folder)
    assert (two.code, two.err) == (0, "")
    assert "was 1" in update(folder, "done.trust").out
    again = update(folder, "done.trust")
    assert (again.code, "is installed already" in again.out) == (0, True)
    old = update(folder, "1.trust")
    assert old.code == 1
    assert "older than version 2, which was seen already" in old.err


def test_the_same_input_gives_the_same_declaration(folder: Path) -> None:
    lines = [
        run(
            "policy",
            "bundle",
            "policy.toml",
            "--version",
            1,
            "--expires",
            "2100-01-01",
            "--root-cert",
            *order,
            "-o",
            "x.trust",
            cwd=folder,
            env={"SOURCE_DATE_EPOCH": "1700000000"},
        ).out
        for order in (("a.pem", "--root-cert", "b.pem"), ("b.pem", "--root-cert", "a.pem"))
    ]
    assert lines[0] == lines[1] != ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--version", "0", *pairs("a")], 1, "version"),
        (["--version", "1", *pairs("a"), "--threshold", "2"], 2, "threshold"),
        (["--version", "1", *pairs("a"), "--threshold", "0"], 2, "threshold"),
        (["--version", "1", "--root-key", "a.key", "--root-key", "b.key", "--root-cert", "a.pem"], 2, "--root-cert"),
        (["--version", "1", *pairs("a", "a")], 2, "same key"),
        (["--version", "1", "--root-key", "a.key", "--root-cert", "b.pem"], 1, "belongs"),
        (["--version", "1", *pairs("a"), "--expires", "2200-01-01"], 1, "is expired at"),
        (["--version", "1", *pairs("a"), "--expires", "2000-01-01"], 1, "valid only from"),
        (["--version", "1", "--root-cert", "none.pem"], 3, "none.pem"),
    ],
)
def test_a_trust_bundle_that_could_not_work_is_not_made(
    folder: Path, arguments: list[str], code: int, words: str
) -> None:
    expires = [] if "--expires" in arguments else ["--expires", "2100-01-01"]
    done = run("policy", "bundle", "policy.toml", *arguments, *expires, "-o", "x.trust", cwd=folder)
    assert done.code == code
    assert words in done.err


def test_a_version_that_does_not_follow_is_not_made(folder: Path) -> None:
    bundle(folder, 1, *pairs("a"))
    done = bundle(folder, 3, *pairs("a"), "--previous", "1.trust")
    assert done.code == 1
    assert "the next one is 2" in done.err


def test_a_policy_that_names_files_outside_its_folder_or_is_broken_is_not_carried(folder: Path) -> None:
    text = (folder / "policy.toml").read_text()
    (folder / "sub").mkdir()
    (folder / "sub" / "policy.toml").write_text(text.replace("root.pem", "../root.pem"))
    done = run(
        "policy",
        "bundle",
        "sub/policy.toml",
        "--version",
        1,
        "--expires",
        "2100-01-01",
        *pairs("a"),
        "-o",
        "x.trust",
        cwd=folder,
    )
    assert done.code == 1
    assert "below the policy's folder" in done.err
    (folder / "policy.toml").write_text(text + "surprise = 1\n")
    assert bundle(folder, 1, *pairs("a")).code == 3


def test_who_signed_already_does_not_sign_twice(folder: Path) -> None:
    bundle(folder, 1, *pairs("a"))
    done = run("policy", "endorse", "1.trust", *pairs("a"), cwd=folder)
    assert done.code == 2
    assert "already" in done.err


def test_who_is_no_root_signer_is_told_so(folder: Path) -> None:
    bundle(folder, 1, *pairs("a"))
    done = run("policy", "endorse", "1.trust", *pairs("b"), cwd=folder)
    assert done.code == 0
    assert "warning: this is not a root signer of version 1" in done.err


def test_a_root_certificate_without_a_key_is_one_certificate(folder: Path) -> None:
    (folder / "two.pem").write_bytes(A.pem + B.pem)
    done = bundle(folder, 1, "--root-cert", "two.pem")
    assert done.code == 2
    assert "two.pem has 2 certificates" in done.err


def test_a_damaged_trust_bundle_is_refused_everywhere(folder: Path) -> None:
    bundle(folder, 1, *pairs("a"))
    data = (folder / "1.trust").read_bytes()
    (folder / "1.trust").write_bytes(data.replace(b"Test anchor", b"Best anchor"))
    for command in (["update", "1.trust", "--store", "store", *initial(A)], ["endorse", "1.trust", *pairs("b")]):
        done = run("policy", *command, cwd=folder)
        assert done.code == 1
        assert "1.trust: the trust bundle cannot be used: the file 'policy.toml' is not the declared one" in done.err


# Time. The clock is set for the test; `issued` follows SOURCE_DATE_EPOCH.


class Clock:
    """The clock of every command, to be set by a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.set(NOW)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(NOW.timestamp())))

    def set(self, time: datetime) -> None:
        self._monkeypatch.setattr(policy_commands, "now", lambda: time)
        self._monkeypatch.setattr(policy_sources, "datetime", clock_at(time))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_trust_bundle_that_expired_is_not_installed(folder: Path, clock: Clock) -> None:
    bundle(folder, 1, *pairs("a"), expires="2026-02-01")
    clock.set(NOW + timedelta(days=40))
    done = update(folder, "1.trust", *initial(A))
    assert done.code == 1
    assert "version 1 expired on 2026-02-01T00:00:00Z" in done.err


def test_an_installed_trust_bundle_that_expired_decides_nothing(folder: Path, clock: Clock) -> None:
    bundle(folder, 1, *pairs("a"), expires="2026-02-01")
    assert update(folder, "1.trust", *initial(A)).code == 0
    assert run("policy", "check", "store", cwd=folder).code == 0
    clock.set(NOW + timedelta(days=40))
    for command in (
        ["policy", "check", "store"],
        ["policy", "explain", "m.seal", "--policy", "store", "--at", "2026-01-02"],
        ["verify", "m.seal", "--policy", "store", "--at", "2026-01-02"],
    ):
        done = run(*command, cwd=folder)
        assert (done.code, done.out) == (3, "")
        assert "expired" in done.err
        assert "modseal policy update" in done.err


def test_a_clock_set_back_decides_nothing(folder: Path, clock: Clock) -> None:
    bundle(folder, 1, *pairs("a"))
    assert update(folder, "1.trust", *initial(A)).code == 0
    clock.set(NOW - timedelta(hours=1))
    for done in (run("policy", "check", "store", cwd=folder), update(folder, "1.trust")):
        assert done.code == 3
        assert "2026-01-01T00:00:00Z was seen already" in done.err


def test_verify_does_not_write_to_the_store(folder: Path, clock: Clock) -> None:
    bundle(folder, 1, *pairs("a"))
    update(folder, "1.trust", *initial(A))
    before = (folder / "store" / "state.json").read_bytes()
    assert run("verify", "m.seal", "--policy", "store", cwd=folder).code == 0
    assert (folder / "store" / "state.json").read_bytes() == before
    future = trust_store.StoreState(1, trust_store.decode_state(before, "").sha256, NOW.replace(year=2099))
    (folder / "store" / "state.json").write_bytes(trust_store.encode_state(future))
    done = run("verify", "m.seal", "--policy", "store", "--at", "2099-06-01", cwd=folder)
    assert done.code == 3, "--at is not the clock"
    assert "clock" in done.err
