"""What every test starts from: caches are the test run's own, never the user's."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Audits of all tests keep their results in a folder that ends with the run."""
    folder = str(tmp_path_factory.mktemp("caches"))
    with mock.patch.dict("os.environ", {"XDG_CACHE_HOME": folder}):
        yield
