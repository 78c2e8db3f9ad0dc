"""A secret in an address stands in nothing that modseal writes: no report in any form, no error, no cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders.bundles import make
from builders.pki import NOW, signer
from builders.policies import write
from builders.transcript import Transcript, run
from builders.web import listing, reply, site
from modseal.cli.audit_output import FORMATS

pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")

TOKEN = "Xk3j9QpL2mN8vB5cR7tY1wZ4"
QUERY = "hunter2-in-the-query"
AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
ANSWERS = {
    f"/{TOKEN}/PROD/main/": listing("a.seal", "b.seal", "c.seal", "d/"),
    f"/{TOKEN}/PROD/main/a.seal": make("seal").data,
    f"/{TOKEN}/PROD/main/b.seal": make("seal").unsigned().data,
    f"/{TOKEN}/PROD/main/c.seal": lambda handler: reply(handler, 500),
    f"/{TOKEN}/PROD/main/d/": lambda handler: reply(handler, 403),
    f"/{TOKEN}/a.seal?token={QUERY}": make("seal").data,
}


def require_no_secret(folder: Path, *done: Transcript) -> None:
    """Neither in what was printed nor in any file below the folder."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for written in (*(f"{each.out}{each.err}".encode() for each in done), *files):
        for secret in (TOKEN, QUERY):
            assert secret.encode() not in written


@pytest.mark.parametrize("form", FORMATS)
def test_no_report_has_the_token_of_a_path_nor_the_query(tmp_path: Path, form: str) -> None:
    work, caches = tmp_path / "work", {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    work.mkdir()
    write(work)
    with site(ANSWERS) as server:
        for path in (f"{TOKEN}/PROD/main/", f"{TOKEN}/a.seal?token={QUERY}", f"{TOKEN}/PROD/nothing.seal"):
            options = ("--policy", "policy.toml", "--at", AT, "-j", "1", "--format", form)
            done = run("audit", f"{server.url}/{path}", *options, cwd=work, env=caches)
            assert done.out
            require_no_secret(tmp_path, done)


SIGNING = ("--key", "key.key", "--cert", "cert.pem", "--expires", "2100-01-01")


@pytest.mark.parametrize(
    "command",
    [
        ("verify", "{}", "--policy", "policy.toml"),
        ("verify", "a.seal", "--policy", "{}"),
        ("inspect", "{}"),
        ("extract", "{}", "-C", "out", "--unverified"),
        ("extract", "a.seal", "-C", "{}", "--unverified"),
        ("sbom", "{}", "--unverified"),
        ("sign", "{}", "--key", "k", "--cert", "c"),
        ("sign", "a.seal", "--key", "{}", "--cert", "c"),
        ("sign", "a.seal", "--key", "k", "--cert", "{}"),
        ("timestamp", "a.seal", "--tsa", "{}"),
        ("pack", "{}"),
        ("keys", "show", "{}"),
        ("policy", "check", "{}"),
        ("policy", "show", "{}"),
        ("policy", "update", "{}", "--store", "s"),
        ("audit", "a.seal", "--cluster", "{}"),
        ("audit", "diff", "{}", "{}"),
        ("audit", "{}", "--policy", "{}"),
        ("audit", "{}", "--policy", "policy.toml", "--format", "json"),
        ("audit", "{}", "--policy", "policy.toml", "--format", "html", "-o", "report"),
        ("audit", "{}", "--policy", "policy.toml", "--format", "sarif", "--also", "csv=report.csv"),
        ("audit", "--esxi-db", "{}"),
        ("depot", "list", "{}"),
        ("depot", "list", "{}", "--format", "json"),
        ("depot", "check", "{}", "--policy", "policy.toml", "--state", "state"),
        ("depot", "check", "{}", "--policy", "policy.toml", "--format", "json"),
        ("depot", "diff", "{}", "{}"),
        ("depot", "mirror", "{}", "--policy", "policy.toml", "-o", "copy"),
        ("depot", "add", "{}", "a.seal", *SIGNING),
        ("depot", "remove", "{}", "a", *SIGNING),
        ("depot", "merge", "{}", "--name", "n", "-o", "merged", *SIGNING),
        ("depot", "build", "a.seal", "--name", "n", "-o", "built", "--tsa", "{}", *SIGNING),
        ("depot", "build", "a.seal", "--name", "n", "-o", "built", "--previous", "{}", *SIGNING),
        ("profile", "solve", "acme-agent", "--depot", "{}", "--policy", "policy.toml"),
        ("profile", "solve", "acme-agent", "--depot", "{}", "--policy", "policy.toml", "--format", "json"),
        ("profile", "solve", "acme-agent", "--depot", ".", "--installed", "{}", "--policy", "policy.toml"),
        ("profile", "show", "{}", "--depot", "{}"),
        ("host", "install", "acme-agent", "--depot", "{}", "--root", "."),
        ("policy", "explain", "{}", "--policy", "{}"),
        ("diff", "{}", "a.seal"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_error_has_a_secret_of_an_address(
    tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modseal.signing.tsa.Authorities._attempts", lambda self: iter(self.urls))
    write(tmp_path)
    (tmp_path / "a.seal").write_bytes(make("seal").data)
    (tmp_path / "cert.pem").write_bytes(signer().pem)
    (tmp_path / "key.key").write_bytes(signer().key_pem)
    (tmp_path / "key.key").chmod(0o600)
    for address in (
        f"https://127.0.0.1:1/{TOKEN}/PROD/a.seal",
        f"http://127.0.0.1:1/a.seal?token={QUERY}",
        f"https://user:{QUERY}@127.0.0.1:1/a.seal",
        f"ftp://user:{QUERY}@127.0.0.1:1/{TOKEN}/a.seal",
        f"s3://user:{QUERY}@bucket/a.seal",
        f"user:{QUERY}@127.0.0.1:1/a.seal",
        f"user:{QUERY}@host",
        f"http:/user:{QUERY}@127.0.0.1:1/a.seal",
        f"http:user:{QUERY}@127.0.0.1:1/a.seal",
        f"//user:{QUERY}@127.0.0.1:1/a.seal",
        f"//127.0.0.1:1/{TOKEN}/PROD/a.seal?token={QUERY}",
        f"//user@127.0.0.1:1/a.seal?q={QUERY}",
        f"https://{QUERY}@127.0.0.1:1/depot.zip",
        f"https://user:{QUERY}%40@127.0.0.1:1/depot.zip",
        f"HTTPS://user:{QUERY}@127.0.0.1:1/{TOKEN}/",
        f"http://127.0.0.1:1/{TOKEN}/depot.zip#{QUERY}",
        f"http://127.0.0.1:1/a;token={QUERY}/depot.zip",
        f"http://127.0.0.1:1/token/{QUERY}/depot.zip",
        f"http://127.0.0.1:1/access_token={TOKEN}/depot.zip",
        f"http://127.0.0.1:1/%58{TOKEN[1:]}/PROD/depot.zip",
        f"http://[::1]:1/{TOKEN}/depot.zip?sig={QUERY}&x=1",
        f"http://127.0.0.1:1/a b/{TOKEN}/depot.zip",
        f"s3://bucket/{TOKEN}/depot.zip",
        f"s3://bucket/depot.zip?X-Amz-Signature={QUERY}",
        f"s3://{TOKEN}:{QUERY}@bucket/depot",
        f"gs://bucket/depot.zip?token={QUERY}",
        f"oci://user:{QUERY}@127.0.0.1:1/acme/depot:1",
        f"oci://127.0.0.1:1/{TOKEN}/depot@sha256:{'0' * 64}",
        f"docker://user:{QUERY}@127.0.0.1:1/acme/depot",
        f"zip::https://user:{QUERY}@127.0.0.1:1/{TOKEN}/depot.zip",
        f"simplecache::http://127.0.0.1:1/depot.zip?token={QUERY}",
        f"file://user:{QUERY}@host/{TOKEN}/depot.zip",
        f"ssh://git:{QUERY}@127.0.0.1:1/depot",
        f"tcp://user:{QUERY}@127.0.0.1:1",
        f"http://user:{QUERY}@127.0.0.1:99999/depot.zip",
        f"http://user:{QUERY}@/depot.zip",
        f"https:\\\\user:{QUERY}@127.0.0.1\\depot.zip",
        f" https://user:{QUERY}@127.0.0.1:1/depot.zip",
    ):
        words = [word.format(address) for word in command]
        done = run(*words, cwd=tmp_path, prefixed=False, leaves=("report", "report.csv"))
        assert done.code in (1, 2, 3)
        assert os.listdir(tmp_path)
        require_no_secret(tmp_path, done)
