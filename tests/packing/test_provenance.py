"""The provenance that `pack` embeds: a statement by the specifications, key by key, and true of the payloads."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from modseal.bundle.inspect import inspect
from modseal.bundle.open import open_bundle
from modseal.errors import SpecError, UsageError
from modseal.format.manifest import Kind
from modseal.packing.pack import pack
from modseal.packing.provenance import BUILD_TYPE, MEDIA_TYPE, NAME, Build, read_build

HEAD = 'schema = "modseal/module@1"\nvendor = "Acme"\nname = "hello"\nversion = "1.0.0-1"\n'
TREES = '[[payload]]\nname = "one"\nroot = "files"\n[[payload]]\nname = "two"\nroot = "more"\n'
PURL = '[[component]]\nname = "zlib"\npurl = "pkg:generic/zlib@1.3.1"\n[[component]]\nname = "blob"\n'
COMMIT = "0123456789" * 4
URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+")
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "acme/hello",
    "GITHUB_WORKFLOW_REF": "acme/hello/.github/workflows/release.yml@refs/tags/v1",
    "GITHUB_REF": "refs/tags/v1",
    "GITHUB_SHA": COMMIT,
    "GITHUB_RUN_ID": "17",
    "GITHUB_RUN_ATTEMPT": "2",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.example/acme/hello",
    "CI_RUNNER_ID": "42",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_SHA": COMMIT,
    "CI_JOB_URL": "https://gitlab.example/acme/hello/-/jobs/9",
}


@pytest.fixture
def module(tmp_path: Path) -> Path:
    for name in ("files", "more"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "run").write_bytes(name.encode() * 100)
    (tmp_path / "module.toml").write_text(HEAD + TREES + PURL)
    return tmp_path


def members(path: Path) -> dict[str, bytes]:
    with open_bundle(path) as bundle:
        return {one.name: bundle.source.read(one.offset, one.size) for one in bundle.members}


def packed(module: Path, build: Build, **environ: str) -> dict[str, bytes]:
    return members(pack(module, module / "it", None, environ=environ, build=build).path)


def statement(module: Path, build: Build, **environ: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(packed(module, build, **environ)[NAME])
    require_statement(plain)
    return plain


# The specifications, as a strict reader has them: no key that they do not name, every key of its type.


def require_keys(plain: Any, needed: set[str], allowed: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    assert isinstance(plain, dict)
    assert needed <= plain.keys() <= needed | allowed, plain.keys()


def require_resource(plain: Any) -> None:
    """in-toto attestation, resource_descriptor.md: at least one of uri, digest, content."""
    names = {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}
    require_keys(plain, set(), names)
    assert {"uri", "digest", "content"} & plain.keys()
    assert "uri" not in plain or URI.fullmatch(plain["uri"])
    require_digests(plain.get("digest", {"sha256": "0" * 64}))


def require_digests(plain: Any) -> None:
    """in-toto attestation, digest_set.md: algorithm to lower-case hex; never empty."""
    lengths = {"sha1": (40,), "sha256": (64,), "sha384": (96,), "sha512": (128,), "gitCommit": (40, 64)}
    assert plain
    for algorithm, value in plain.items():
        assert len(value) in lengths[algorithm]
        assert re.fullmatch("[0-9a-f]+", value)


def require_statement(plain: Any) -> None:
    """in-toto statement v1 and SLSA provenance v1."""
    require_keys(plain, {"_type", "subject", "predicateType", "predicate"})
    assert plain["_type"] == "https://in-toto.io/Statement/v1"
    assert plain["predicateType"] == "https://slsa.dev/provenance/v1"
    assert plain["subject"]
    for subject in plain["subject"]:
        require_keys(subject, {"name", "digest"})
        require_digests(subject["digest"])
    assert len({subject["name"] for subject in plain["subject"]}) == len(plain["subject"])
    require_keys(plain["predicate"], {"buildDefinition", "runDetails"})
    definition, details = plain["predicate"]["buildDefinition"], plain["predicate"]["runDetails"]
    require_keys(definition, {"buildType", "externalParameters"}, {"internalParameters", "resolvedDependencies"})
    assert URI.fullmatch(definition["buildType"])
    assert isinstance(definition["externalParameters"], dict)
    require_keys(details, {"builder"}, {"metadata", "byproducts"})
    require_keys(details["builder"], {"id"}, {"version", "builderDependencies"})
    assert URI.fullmatch(details["builder"]["id"])
    assert all(isinstance(value, str) for value in details["builder"]["version"].values())
    require_keys(details.get("metadata", {}), set(), {"invocationId", "startedOn", "finishedOn"})
    for resource in (*definition["resolvedDependencies"], *details.get("byproducts", ())):
        require_resource(resource)


FULL = Build(
    "https://ci.example/1", "https://ci.example/type", "git+https://x.example/r", f"gitCommit:{COMMIT}", "job-7"
)


def test_the_subjects_are_the_payload_members(module: Path) -> None:
    found = packed(module, FULL)
    plain = json.loads(found[NAME])
    assert {one["name"]: one["digest"]["sha256"] for one in plain["subject"]} == {
        name: hashlib.sha256(found[name]).hexdigest() for name in ("one", "two")
    }


def test_all_that_is_said_stands_where_slsa_wants_it(module: Path) -> None:
    plain = statement(module, FULL, SOURCE_DATE_EPOCH="5")["predicate"]
    assert plain["buildDefinition"]["buildType"] == "https://ci.example/type"
    assert plain["buildDefinition"]["externalParameters"] == {
        "SOURCE_DATE_EPOCH": 5,
        "format": "seal",
        "module": {"vendor": "Acme", "name": "hello", "version": "1.0.0-1"},
    }
    assert plain["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "git+https://x.example/r", "digest": {"gitCommit": COMMIT}},
        {"name": "module.toml", "digest": {"sha256": hashlib.sha256((HEAD + TREES + PURL).encode()).hexdigest()}},
        {"name": "zlib", "uri": "pkg:generic/zlib@1.3.1"},
    ]
    assert plain["runDetails"]["builder"]["id"] == "https://ci.example/1"
    assert plain["runDetails"]["metadata"] == {"invocationId": "job-7"}


def test_the_least_that_can_be_said_is_a_statement_too(module: Path) -> None:
    plain = statement(module, Build("https://ci.example/1"))["predicate"]
    assert plain["buildDefinition"]["buildType"] == BUILD_TYPE
    assert "metadata" not in plain["runDetails"]


def test_it_names_the_sbom_as_a_byproduct(module: Path) -> None:
    pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed")
    found = members(pack(module, module / "it", None, environ={}, build=FULL, sbom=True).path)
    assert list(found) == ["manifest.json", "sig.pkcs7", "one", "two", "sbom.cdx.json", NAME]
    (byproduct,) = json.loads(found[NAME])["predicate"]["runDetails"]["byproducts"]
    assert byproduct["digest"] == {"sha256": hashlib.sha256(found["sbom.cdx.json"]).hexdigest()}


def test_it_is_an_attachment_and_the_same_every_time(module: Path) -> None:
    assert packed(module, FULL) == packed(module, FULL)
    manifest = inspect(module / "it").manifest
    assert manifest is not None
    assert [(one.name, one.media_type) for one in manifest.attachments] == [(NAME, MEDIA_TYPE)]


# Who builds.


@pytest.mark.parametrize("environ", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_a_ci_job_says_who_builds_what(module: Path, environ: dict[str, str]) -> None:
    plain = statement(module, read_build(environ))["predicate"]
    assert plain["buildDefinition"]["resolvedDependencies"][0]["digest"] == {"gitCommit": COMMIT}


def test_github_actions_is_the_workflow_and_the_run() -> None:
    assert read_build(GITHUB) == Build(
        "https://github.example/acme/hello/.github/workflows/release.yml@refs/tags/v1",
        BUILD_TYPE,
        "git+https://github.example/acme/hello@refs/tags/v1",
        f"gitCommit:{COMMIT}",
        "https://github.example/acme/hello/actions/runs/17/attempts/2",
    )


@pytest.mark.parametrize(
    ("changes", "ref"),
    [({}, "refs/heads/main"), ({"CI_COMMIT_TAG": "v1"}, "refs/tags/v1"), ({"CI_COMMIT_BRANCH": ""}, COMMIT)],
)
def test_gitlab_ci_is_the_runner_and_the_job(changes: dict[str, str], ref: str) -> None:
    assert read_build({**GITLAB, **changes}) == Build(
        "https://gitlab.example/acme/hello/-/runners/42",
        BUILD_TYPE,
        f"git+https://gitlab.example/acme/hello@{ref}",
        f"gitCommit:{COMMIT}",
        "https://gitlab.example/acme/hello/-/jobs/9",
    )


def test_a_flag_goes_before_a_variable() -> None:
    build = read_build(GITHUB, builder_id="urn:me", build_type="urn:type", invocation_id="x")
    assert (build.builder_id, build.build_type, build.invocation_id) == ("urn:me", "urn:type", "x")
    assert build.source_digest == f"gitCommit:{COMMIT}"


def test_a_flag_on_the_source_replaces_all_that_the_job_says_of_it() -> None:
    assert read_build(GITHUB, source_uri="git+https://other.example/").source_digest == ""
    assert read_build(GITHUB, source_digest=f"sha1:{COMMIT}").source_uri == ""


@pytest.mark.parametrize("environ", [{}, {"GITHUB_ACTIONS": "true"}, {"GITLAB_CI": "true"}])
def test_a_build_needs_a_builder(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--provenance needs --builder-id"):
        read_build(environ)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"builder_id": "me"}, "must be a URI"),
        ({"build_type": "a b"}, "must be a URI"),
        ({"source_uri": "/home/me"}, "must be a URI"),
        ({"source_digest": "abc"}, "must be a git commit"),
        ({"source_digest": "0" * 41}, "must be a git commit"),
        ({"source_digest": f"sha256:{COMMIT}"}, "must be a git commit"),
        ({"source_digest": f"md5:{COMMIT}"}, "must be a git commit"),
        ({"source_digest": COMMIT.replace("9", "F")}, "must be a git commit"),
    ],
)
def test_what_is_no_uri_or_digest_is_usage(said: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_build({}, **{"builder_id": "urn:me", **said})


# Refusals.


@pytest.mark.parametrize(
    ("text", "kind", "error"),
    [
        (TREES, "vib", UsageError),
        ("payload = []\n", "seal", UsageError),
        (TREES.replace("two", "provenance.json"), "seal", SpecError),
    ],
    ids=["vib", "no payload", "name taken"],
)
def test_what_cannot_have_provenance_is_refused(module: Path, text: str, kind: Kind, error: type[Exception]) -> None:
    (module / "module.toml").write_text(HEAD + text)
    with pytest.raises(error):
        pack(module, module / "it", kind, environ={}, build=FULL)
    assert not (module / "it").exists()


SECRETS = [
    "https://user:hunter2@host.example/x",
    "https://hunter2@host.example/x",
    "git+https://user:hunter2@host.example/x@main",
    "git+ssh://git:hunter2@host.example/x",
    "https://host.example/x?token=hunter2",
    "https://host.example/x?a=1&access_token=hunter2",
    "https://host.example/x#private_token=hunter2",
    "https://host.example/ghp_16C7e42F292c6912E7710c838347Ae178B4a/x",
    "https://host.example/token/hunter2",
    "https://host.example/eyJhbGciOiJIUzI1NiJ9/x",
    "urn:user:hunter2@host",
    "user:hunter2@host.example/x",
]
PUBLIC = [
    "https://host.example/acme/hello",
    "https://host.example:8443/acme/hello/-/jobs/9?attempt=2#step:3",
    f"git+https://host.example/acme/hello@{COMMIT}",
    f"git+https://host.example/acme/hello@{COMMIT}#subfolder",
    "git+ssh://git@host.example/acme/hello@refs/tags/v1",
    "https://ci.example/runs/3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "urn:uuid:3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "https://ci.example/runs/12345678901234567890/attempts/1",
    "https://github.example/acme/hello/.github/workflows/release.yml@refs/tags/v1",
    BUILD_TYPE,
]


@pytest.mark.parametrize("uri", SECRETS)
@pytest.mark.parametrize("field", ["builder_id", "build_type", "source_uri", "invocation_id"])
def test_what_may_be_a_secret_gets_into_no_statement(uri: str, field: str) -> None:
    with pytest.raises(UsageError) as error:
        read_build({}, **{"builder_id": "urn:x", field: uri})
    assert field.split("_", maxsplit=1)[0] in str(error.value)
    assert "everybody who gets the bundle" in str(error.value)
    assert "hunter2" not in str(error.value)
    assert "7710c838" not in str(error.value)


@pytest.mark.parametrize("uri", PUBLIC)
def test_what_everybody_may_know_does(uri: str) -> None:
    build = read_build({}, builder_id=uri, build_type=uri, source_uri=uri, invocation_id=uri)
    assert {build.builder_id, build.build_type, build.source_uri, build.invocation_id} == {uri}


@pytest.mark.parametrize(
    "environ",
    [
        {**GITHUB, "GITHUB_SERVER_URL": "https://user:hunter2@github.example"},
        {**GITLAB, "CI_PROJECT_URL": "https://gitlab-ci-token:hunter2@gitlab.example/acme/hello"},
        {**GITLAB, "CI_JOB_URL": "https://gitlab.example/acme/hello/-/jobs/9?private_token=hunter2"},
    ],
)
def test_a_secret_in_a_variable_of_a_job_is_refused_too(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="everybody who gets the bundle") as error:
        read_build(environ)
    assert "hunter2" not in str(error.value)


def test_the_digest_of_the_source_is_not_repeated_where_it_is_none() -> None:
    with pytest.raises(UsageError) as error:
        read_build({}, builder_id="urn:x", source_digest="https://user:hunter2@host/x")
    assert "hunter2" not in str(error.value)
