"""Bundles in Google Cloud Storage, through gcsfs, from a server that answers as Google's does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import gcs
from builders.bundles import make
from builders.pki import NOW
from builders.policies import write
from builders.transcript import run_process
from modseal.files import fetch

pytest.importorskip("gcsfs", reason="gcsfs is not installed")


def test_a_prefix_is_walked_and_each_object_has_its_verdict(tmp_path: Path) -> None:
    write(tmp_path)
    good = make().data
    objects = {
        "depot/a.seal": good,
        "depot/sub folder/b c.vib": make("vib").data,
        "depot/readme": b"read me",
        "depot/large.seal": good + bytes(2 * fetch.IN_MEMORY),
    }
    with gcs.store("releases", objects) as url:
        done = run_process(
            "audit", "gs://releases/depot", "gs://releases/none.seal", "--policy", "policy.toml",
            "--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "--no-cache", "-j", "1", "--format", "json", cwd=tmp_path,
            env={"STORAGE_EMULATOR_HOST": url, "FSSPEC_GS_TOKEN": "anon", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"},
        )  # fmt: skip
    report = json.loads(done.out)
    found = {result["bundle"].removeprefix("gs://releases/"): result["verdict"] for result in report["results"]}
    assert found == {
        "depot/a.seal": "accepted",
        "depot/large.seal": "rejected",
        "depot/sub folder/b c.vib": "accepted",
        "none.seal": "undecided",
    }
    assert [result["size"] for result in report["results"]][1] == len(objects["depot/large.seal"])
    assert report["summary"]["left_out"] == 1
    assert "gs://releases/none.seal: not found" in done.out
