"""What every test starts from: caches are the test run's own, never the user's."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from builders import bundles, recorded, strict

# Hundreds of commands start cold, and each worker reads all of the tests: what is compiled once is not compiled again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Nothing is timed: a machine may be busy. Profiles that time nothing either, as that of the mutants, stay.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings().deadline is not None:
    settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Audits of all tests keep their results in a folder that ends with the run."""
    folder = str(tmp_path_factory.mktemp("caches"))
    with mock.patch.dict("os.environ", {"XDG_CACHE_HOME": folder}):
        yield


@pytest.fixture(scope="session", autouse=True)
def strict_readers_alone() -> Iterator[None]:
    """With MODSEAL_STRICT_READERS, nothing is compared before it is read: every test has the same result."""
    with strict.strict_readers() if os.environ.get("MODSEAL_STRICT_READERS") else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session", autouse=True)
def recording() -> Iterator[None]:
    """With MODSEAL_RECORD, every bundle that `builders.bundles` judges is kept there, with its policy."""
    folder = os.environ.get("MODSEAL_RECORD")
    if folder is None:
        yield
        return
    judge = bundles.examine

    def recorder(bundle, policy, at):
        recorded.record(Path(folder), bundle.source.read(0, bundle.source.size), policy, at)
        return judge(bundle, policy, at)

    with mock.patch.object(bundles, "examine", recorder):
        yield
