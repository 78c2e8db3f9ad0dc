"""Every refusal of the command line ends with a step that fits its cause, where the cause is known."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import pytest

from builders import policies, trust_bundles
from builders.bundles import make
from builders.commands import every_command
from builders.pki import NOW, Identity, ca, leaf, signer
from builders.transcript import run
from cli.conftest import SPEC
from modseal.causes import CAUSES, CauseName
from modseal.cli.options import Choice
from modseal.codes import CODES
from modseal.format import trust_bundle

GENERIC = {CODES[name].next_step for name in ("io-error", "bad-policy", "bad-key", "bad-spec", "not-a-bundle")} | {
    CODES[name].next_step for name in ("limit-exceeded", "trust-store-invalid", "unfit-certificate")
}
POLICY = ("--policy", "policy.toml")
SIGNER = ("--key", "signer.key", "--cert", "signer.pem")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a policy, a bundle, a signer, a module, and much that is something else than its name says."""
    policies.write(tmp_path)
    (tmp_path / "a.seal").write_bytes(make("seal").data)
    (tmp_path / "unsigned.seal").write_bytes(make("seal").unsigned().data)
    (tmp_path / "1.trust").write_bytes(trust_bundles.archive(trust_bundles.members(trust_bundles.make())))
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero").write_bytes(b"")
    (tmp_path / "page").write_bytes(b"<!DOCTYPE html><html>")
    (tmp_path / "depot.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "fifo")
    for name, one in (("signer", signer()), ("other", signer("p384", 1)), ("expired", _expired())):
        (tmp_path / f"{name}.pem").write_bytes(one.pem)
        (tmp_path / f"{name}.key").write_bytes(one.key_pem)
        (tmp_path / f"{name}.key").chmod(0o600)
    (tmp_path / "two.pem").write_bytes(signer().pem + signer("p384", 1).pem)
    (tmp_path / "damaged.key").write_bytes(signer().key_pem.replace(b"M", b"N", 1))
    (tmp_path / "damaged.trust").write_bytes(_damaged_trust_bundle())
    (tmp_path / "key.toml").write_text(
        (tmp_path / "policy.toml").read_text() + "# ".join(["", *signer().key_pem.decode().splitlines(keepends=True)])
    )
    files = tmp_path / "module" / "files"
    files.mkdir(parents=True)
    (tmp_path / "module" / "module.toml").write_text(SPEC)
    (files / "file").write_text("x")
    (tmp_path / "module" / "above.toml").write_text(
        (tmp_path / "policy.toml").read_text().replace("root.pem", "../root.pem")
    )
    return tmp_path


def _damaged_trust_bundle() -> bytes:
    """One whose signature is over another declaration."""
    made = trust_bundles.make()
    changed = replace(made, version=made.version + 1)
    return trust_bundles.archive(
        trust_bundles.members(replace(changed, signed=trust_bundle.declare(changed), signature=made.signature))
    )


def _damaged_authorities(folder: Path) -> None:
    """A CA, one whose index ends early, and one whose index has a certificate twice."""
    assert run("keys", "ca", "ca", "--name", "A", "--unencrypted", cwd=folder).code == 0
    assert run("keys", "csr", "--key", "signer.key", "--subject", "CN=B", "-o", "csr", cwd=folder).code == 0
    assert run("keys", "issue", "--ca", "ca", "--csr", "csr", "-o", "issued.pem", cwd=folder).code == 0
    for name in ("damaged-ca", "twice-ca"):
        shutil.copytree(folder / "ca", folder / name)
    index = json.loads((folder / "ca" / "index.json").read_text())
    index["certificates"] *= 2
    (folder / "twice-ca" / "index.json").write_text(json.dumps(index))
    (folder / "damaged-ca" / "index.json").write_text('{"schema"')


def _expired() -> Identity:
    return leaf("Expired", start=NOW - timedelta(days=900), end=NOW - timedelta(days=800))


CASES: tuple[tuple[str, CauseName], ...] = (
    # what was named is something else, or not there
    ("verify nothere --policy policy.toml", "not-found"),
    ("verify . --policy policy.toml", "bundle-folder"),
    ("verify empty --policy policy.toml", "bundle-folder"),
    ("verify fifo --policy policy.toml", "not-a-file"),
    ("verify circle --policy policy.toml", "link-circle"),
    (f"verify {'x' * 300} --policy policy.toml", "name-too-long"),
    ("verify policy.toml/inside --policy policy.toml", "not-found"),
    ("verify zero --policy policy.toml", "empty"),
    ("verify page --policy policy.toml", "html"),
    ("verify depot.zip --policy policy.toml", "zip"),
    ("verify signer.pem --policy policy.toml", "pem"),
    ("verify 1.trust --policy policy.toml", "trust-bundle"),
    ("inspect .", "bundle-folder"),
    ("inspect nothere", "not-found"),
    ("extract . -C out --unverified", "bundle-folder"),
    ("extract a.seal -C nothere/out --policy policy.toml", "folder-missing"),
    ("sbom . --policy policy.toml", "bundle-folder"),
    ("timestamp . --tsa http://localhost:1/", "bundle-folder"),
    # policies
    ("verify a.seal --policy strct", "policy-not-found"),
    ("verify a.seal --policy nothere.toml", "policy-not-found"),
    ("verify a.seal --policy a.seal", "not-a-policy"),
    ("verify a.seal --policy signer.pem", "not-a-policy"),
    ("verify a.seal --policy page", "not-a-policy"),
    ("verify a.seal --policy 1.trust", "policy-is-trust-bundle"),
    ("verify a.seal --policy empty", "no-store-here"),
    ("verify a.seal --policy store:empty", "store-empty"),
    ("policy check .", "no-store-here"),
    ("policy check store:nothere", "store-empty"),
    ("policy show a.seal", "not-a-policy"),
    ("policy update nothere.trust --store s", "not-found"),
    ("policy bundle nothere.toml --version 1 --expires 2100-01-01 --root-cert signer.pem -o x.trust", "not-found"),
    # keys and certificates
    ("keys show a.seal", "bundle-not-key"),
    ("keys show nothere", "not-found"),
    ("sign unsigned.seal --key a.seal --cert signer.pem", "bundle-not-key"),
    ("sign unsigned.seal --key signer.key --cert a.seal", "bundle-not-key"),
    ("sign unsigned.seal --key signer.pem --cert signer.pem", "key-missing"),
    ("sign unsigned.seal --key page --cert signer.pem", "not-a-key"),
    ("sign unsigned.seal --key signer.key --cert other.pem", "other-certificate"),
    ("sign unsigned.seal --key signer.key", "certificate-missing"),
    ("sign unsigned.seal --key expired.key --cert expired.pem", "certificate-expired"),
    ("keys crl --ca empty -o x", "not-a-ca"),
    ("sign unsigned.seal --key signer.key --cert signer.pem --tsa http://127.0.0.1:1/", "tsa-unreachable"),
    ("sign unsigned.seal --key signer.key --cert signer.pem --chain page", "not-a-certificate"),
    ("sign unsigned.seal --key signer.key --cert signer.pem --chain signer.key", "not-a-certificate"),
    ("sign unsigned.seal --key signer.key --cert signer.pem --chain a.seal", "bundle-not-key"),
    ("sign unsigned.seal --key damaged.key --cert signer.pem", "part-damaged"),
    ("keys show page", "nothing-known"),
    ("keys issue --ca ca --csr signer.pem -o x", "not-a-request"),
    ("keys crl --ca damaged-ca -o x", "ca-damaged"),
    ("keys crl --ca twice-ca -o x", "ca-damaged"),
    # trust bundles
    ("policy bundle module/above.toml --version 1 --expires 2100-01-01 --root-cert signer.pem -o x", "file-not-below"),
    ("policy endorse damaged.trust --root-key signer.key --root-cert signer.pem -o x.trust", "trust-bundle-damaged"),
    ("policy check key.toml", "private-key-in-policy"),
    # what is begun
    ("init nothere", "folder-missing"),
    ("init module --policy --anchor page", "not-a-certificate"),
    ("init module --policy --anchor a.seal", "not-a-certificate"),
    ("init module --policy --anchor two.pem", "several-found"),
    # depots, servers, hosts and reports
    ("profile solve acme-agent --depot . --policy policy.toml --installed empty", "not-a-target"),
    ("audit --esxi-db empty", "no-esxi-database"),
    ("audit verify-report of-server.json --policy policy.toml", "report-of-server"),
    ("audit verify-report above.json --root module --policy policy.toml", "path-outside"),
    ("audit verify-report a.seal", "report-unreadable"),
    # specs
    ("pack empty", "spec-missing"),
    ("pack a.seal", "not-a-spec"),
    ("pack nothere", "not-found"),
    ("audit diff a.seal a.seal", "report-unreadable"),
)


def _reports(folder: Path) -> None:
    """Reports of an audit of a server, and of a file above the folder."""
    assert run("audit", "a.seal", *POLICY, "--format", "json", "-o", "r.json", cwd=folder).code == 0
    report = json.loads((folder / "r.json").read_text())
    for name, path in (("of-server", "https://dl.example/a.seal"), ("above", "../a.seal")):
        (folder / f"{name}.json").write_text(json.dumps({**report, "paths": [path]}))


def last_step(told: str) -> str:
    steps = re.findall(r"next: (.+)", told)
    return str(steps[-1]) if steps else ""


@pytest.mark.parametrize(("line", "cause"), CASES, ids=[line[:60] for line, _ in CASES])
def test_the_next_step_is_that_of_the_cause(
    place: Path, line: str, cause: CauseName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modseal.signing.tsa.Authorities._attempts", lambda self: iter(self.urls))
    if "verify-report" in line:
        _reports(place)
    if "--ca" in line:
        _damaged_authorities(place)
    done = run(*line.split(), cwd=place, prefixed=False)
    assert done.code in (1, 3)
    assert last_step(done.out + done.err) == CAUSES[cause]
    assert CAUSES[cause] not in GENERIC


@pytest.mark.parametrize(
    ("entry", "cause", "more"),
    [
        ("absolute", "link-outside", ()),
        ("link", "link-in-vib", ("--format", "vib", "-o", "m.vib")),
        ("pipe", "not-packable", ()),
    ],
)
def test_what_cannot_be_packed_says_what_to_do(
    place: Path, entry: str, cause: CauseName, more: tuple[str, ...]
) -> None:
    path = place / "module" / "files" / entry
    if entry == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd" if entry == "absolute" else "file")
    done = run("pack", "module", *more, cwd=place)
    assert done.code == 1
    assert last_step(done.err) == CAUSES[cause]


def test_too_many_entries_say_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modseal.limits.FILES", 10)
    for number in range(20):
        (place / "module" / "files" / str(number)).touch()
    done = run("pack", "module", cwd=place)
    assert done.code == 1
    assert last_step(done.err) == CAUSES["too-many-entries"]


def test_a_timestamp_anchor_that_is_no_root_is_said_in_our_own_words(place: Path) -> None:
    below = ca("Below", issuer=ca("Above"))
    (place / "below.pem").write_bytes(below.pem)
    for anchor in ("below.pem", "signer.pem"):
        done = run("sign", "unsigned.seal", *SIGNER, "--tsa", "http://x.example/", "--tsa-anchor", anchor, cwd=place)
        assert done.code == 2
        assert "is not a self-signed CA certificate, and so no timestamp anchor; name the root" in done.err
        assert not re.search(r"openssl|x509|error:", done.err, re.IGNORECASE)


# What is nearly a word that is known is told which.


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("sing", "'sign'"),
        ("verfy a.seal", "'verify'"),
        ("policy shw", "'show'"),
        ("keys nw", "'new'"),
        ("audit dif a b", "'diff'"),
        ("verify a.seal --polcy x", "'--policy'"),
        ("verify a.seal --policy policy.toml --format jsn", "'json'"),
        ("verify a.seal --policy strct", "'strict'"),
        ("verify a.seal --policy vmwar", "'vmware'"),
        ("verify a.seal --policy stor:", "'store:'"),
        ("policy show stirct", "'strict'"),
        ("completion bsh", "'bash'"),
        ("sbom a.seal --show provenence --unverified", "'provenance'"),
        ("keys new k --type ecdsa-p265", "'ecdsa-p256'"),
        ("audit . --fail-on hihg", "'high'"),
    ],
)
def test_a_misspelt_word_is_told_what_was_meant(place: Path, line: str, meant: str) -> None:
    done = run(*line.split(), cwd=place)
    assert done.code in (2, 3)
    assert f"did you mean {meant}" in done.err.replace("Did", "did")


@pytest.mark.parametrize(
    ("name", "command"), list(every_command()), ids=lambda value: value if type(value) is str else ""
)
def test_every_option_with_choices_tells_which_was_meant(name: str, command: click.Command) -> None:
    for parameter in command.params:
        assert not isinstance(parameter.type, click.Choice) or isinstance(parameter.type, Choice), (
            name,
            parameter.name,
        )


@pytest.mark.parametrize(
    ("name", "command"), list(every_command()), ids=lambda value: value if type(value) is str else ""
)
def test_help_says_all_that_a_policy_may_be(name: str, command: click.Command, tmp_path: Path) -> None:
    """A trust bundle is made of a file alone."""
    if name != "policy bundle" and any(one.metavar in ("POLICY", "POLICY...") for one in command.params):
        told = " ".join(run(*name.split(), "--help", cwd=tmp_path).out.split())
        for word in ("strict", "vmware", "store:", "folder"):
            assert word in told, name


@pytest.mark.parametrize(
    ("name", "command"), list(every_command()), ids=lambda value: value if type(value) is str else ""
)
def test_help_says_what_a_depot_may_be(name: str, command: click.Command, tmp_path: Path) -> None:
    if any("DEPOT" in (one.metavar or "") or one.name in ("before", "after") for one in command.params):
        told = " ".join(run(*name.split(), "--help", cwd=tmp_path).out.split())
        assert re.search(r"folder|FILE\|DEPOT", told), name
        for word in ("zip", "OCI image layout", "address"):
            assert word in told, name


@pytest.mark.parametrize(
    ("name", "command"), list(every_command()), ids=lambda value: value if type(value) is str else ""
)
def test_the_help_of_every_option_says_what_it_is(name: str, command: click.Command) -> None:
    """Not only what it is by default, or that there may be several."""
    for one in command.params:
        if isinstance(one, click.Option):
            assert one.help, (name, one.name)
            assert not re.match(r"Default|Repeatable|By default [a-z ]+\.$|Why\.$", one.help), (name, one.name)
