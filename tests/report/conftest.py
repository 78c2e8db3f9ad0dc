"""One audit of a folder with everything in it, for all reports: they only read it."""

from __future__ import annotations

from contextlib import chdir

import pytest

from builders import audit_samples
from builders.audits import audit_of
from modseal.auditing.run import Audit


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The audit of `audit_samples`, with relative names."""
    folder = tmp_path_factory.mktemp("sampled")
    with chdir(folder):
        audit_samples.write(folder / "depot")
        return audit_of(["depot"], audit_samples.policy())
