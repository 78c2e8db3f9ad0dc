"""How a module was built: an in-toto Statement v1 with the SLSA provenance v1 predicate.

The subjects are the payload members with their SHA-256. The bundle cannot be one: its digest would have to stand in
itself. The manifest binds this statement as it binds the payloads, so a signed bundle proves both together; the
envelope that stands beside a bundle (`packing.envelope`) names the bundle too.

Times of the build are left out, so that the same input gives the same bytes. Sources: in-toto attestation
spec/v1/statement.md, resource_descriptor.md, SLSA v1.0 provenance.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modseal import __version__, limits
from modseal.errors import UsageError
from modseal.files.shown import secret_in, shown
from modseal.format.manifest import Manifest
from modseal.packing.plan import GeneratedPlan, Plan, read_file, with_generated
from modseal.packing.spec import ComponentSpec

NAME = "provenance.json"
MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:modseal:build:pack:1"
"""What `externalParameters` mean by default; described in docs/how-to/attach-sbom-and-provenance.md."""

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
"""What statements take for a URI."""

_DIGEST = re.compile(r"(?:(sha1|sha256|sha384|sha512|gitCommit):)?([0-9a-f]{40,128})")
_HEX = {"sha1": (40,), "sha256": (64,), "sha384": (96,), "sha512": (128,), "gitCommit": (40, 64)}


@dataclass(frozen=True, slots=True)
class Build:
    """Who builds, from what. All but `builder_id` may be empty; `source_digest` is `ALGORITHM:HEX`."""

    builder_id: str
    build_type: str = BUILD_TYPE
    source_uri: str = ""
    source_digest: str = ""
    invocation_id: str = ""


def read_build(
    environ: Mapping[str, str],
    *,
    builder_id: str = "",
    build_type: str = "",
    source_uri: str = "",
    source_digest: str = "",
    invocation_id: str = "",
) -> Build:
    """The build as the flags say it, and where they are silent the variables of GitHub Actions or GitLab CI.

    Either flag on the source replaces both variables: the commit of one repository is not that of another.
    Raises `UsageError` for a build without a builder, an invalid URI or digest, and for what may be a secret.
    """
    found = _github(environ) or _gitlab(environ) or Build("")
    from_flags = bool(source_uri or source_digest)
    build = Build(
        builder_id or found.builder_id,
        build_type or found.build_type,
        source_uri if from_flags else found.source_uri,
        source_digest if from_flags else found.source_digest,
        invocation_id or found.invocation_id,
    )
    if not build.builder_id:
        raise UsageError("--provenance needs --builder-id: this is not a job of GitHub Actions or GitLab CI")
    uris = {"builder id": build.builder_id, "build type": build.build_type, "source": build.source_uri}
    for label, said in (*uris.items(), ("invocation id", build.invocation_id)):
        if secret := secret_in(said):
            raise UsageError(
                f"the {label} has {secret}, and everybody who gets the bundle reads it; give it without "
                "(it comes from an option, or from a variable of the CI job)"
            )
    for label, uri in uris.items():
        if uri and not URI.fullmatch(uri):
            raise UsageError(f"the {label} is {uri!r}, and must be a URI")
    return replace(build, source_digest=_digest_text(build.source_digest))


def _digest_text(said: str) -> str:
    """A digest with its algorithm; hex alone is a git commit."""
    if not said:
        return ""
    match = _DIGEST.fullmatch(said)
    algorithm = (match[1] or "gitCommit") if match else ""
    if not match or len(match[2]) not in _HEX[algorithm]:
        raise UsageError(f"the source digest is {shown(said)!r}, and must be a git commit or like sha256:HEX")
    return f"{algorithm}:{match[2]}"


def _github(environ: Mapping[str, str]) -> Build | None:
    """A job of GitHub Actions (docs.github.com, "Variables reference"): the builder is the workflow."""
    if environ.get("GITHUB_ACTIONS") != "true" or not environ.get("GITHUB_WORKFLOW_REF"):
        return None
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    repository, run = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    invocation = f"{server}/{repository}/actions/runs/{run}/attempts/{environ.get('GITHUB_RUN_ATTEMPT', '1')}"
    return Build(
        f"{server}/{environ['GITHUB_WORKFLOW_REF']}",
        source_uri=f"git+{server}/{repository}@{environ.get('GITHUB_REF', 'HEAD')}" if repository else "",
        source_digest=environ.get("GITHUB_SHA", ""),
        invocation_id=invocation if repository and run else "",
    )


def _gitlab(environ: Mapping[str, str]) -> Build | None:
    """A job of GitLab CI (docs.gitlab.com, "Predefined CI/CD variables"): the builder is the runner."""
    project, runner = environ.get("CI_PROJECT_URL", ""), environ.get("CI_RUNNER_ID", "")
    if environ.get("GITLAB_CI") != "true" or not project or not runner:
        return None
    tag, branch = environ.get("CI_COMMIT_TAG", ""), environ.get("CI_COMMIT_BRANCH", "")
    ref = f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else environ.get("CI_COMMIT_SHA", "HEAD")
    return Build(
        f"{project}/-/runners/{runner}",
        source_uri=f"git+{project}@{ref}",
        source_digest=environ.get("CI_COMMIT_SHA", ""),
        invocation_id=environ.get("CI_JOB_URL", ""),
    )


def with_provenance(plan: Plan, build: Build, epoch: int | None) -> Plan:
    """The plan with a provenance statement as its last attachment.

    Raises `UsageError` for a module without payloads, `SpecError` for a name that is taken, `InputError` where
    the spec cannot be read again.
    """
    if not plan.payloads:
        raise UsageError("a module without payloads has nothing that provenance could be about")
    materials = _materials(plan, build)
    generated = GeneratedPlan(
        NAME, MEDIA_TYPE, lambda manifest, sha256: encode(manifest, sha256, build, materials, epoch)
    )
    return with_generated(plan, generated)


def encode(
    manifest: Manifest,
    sha256: Callable[[str], str],
    build: Build,
    materials: Sequence[Mapping[str, Any]] = (),
    epoch: int | None = None,
) -> bytes:
    """The statement on a manifest that has its payloads; `sha256` gives the hex digest of a member."""
    parameters: dict[str, Any] = {
        "format": manifest.kind,
        "module": {"vendor": manifest.vendor, "name": manifest.name, "version": manifest.version},
    }
    if epoch is not None:
        parameters["SOURCE_DATE_EPOCH"] = epoch
    details: dict[str, Any] = {"builder": {"id": build.builder_id, "version": {"modseal": __version__}}}
    if build.invocation_id:
        details["metadata"] = {"invocationId": build.invocation_id}
    if manifest.attachments:
        details["byproducts"] = [
            {"name": one.name, "mediaType": one.media_type, "digest": {"sha256": one.sha256.hex()}}
            for one in manifest.attachments
        ]
    definition = {
        "buildType": build.build_type,
        "externalParameters": parameters,
        "resolvedDependencies": list(materials),
    }
    return dump(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": one.name, "digest": {"sha256": sha256(one.name)}} for one in manifest.payloads],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"buildDefinition": definition, "runDetails": details},
        }
    )


def dump(statement: Mapping[str, Any]) -> bytes:
    """The bytes of a statement: one spelling, so that the same build gives the same digest."""
    return (json.dumps(statement, indent=2, sort_keys=True) + "\n").encode("ascii")


def _materials(plan: Plan, build: Build) -> tuple[Mapping[str, Any], ...]:
    """What went in, as far as it is known: the source tree, the spec, and what the spec declares as built in."""
    spec = plan.sources[0]
    digest = hashlib.sha256(read_file(spec, limits.MANIFEST_SIZE)).hexdigest()
    return (
        *_source(build),
        {"name": spec.name, "digest": {"sha256": digest}},
        *map(_component, (item for item in plan.components if item.purl)),
    )


def _source(build: Build) -> tuple[dict[str, Any], ...]:
    source: dict[str, Any] = {"uri": build.source_uri} if build.source_uri else {}
    if build.source_digest:
        algorithm, _, value = build.source_digest.partition(":")
        source["digest"] = {algorithm: value}
    return (source,) if source else ()


def _component(item: ComponentSpec) -> dict[str, Any]:
    return {"name": item.name, "uri": item.purl}
