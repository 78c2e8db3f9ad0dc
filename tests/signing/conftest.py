"""Fixtures of the signing tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from signing.pki import Files, Pki, make_pki


@pytest.fixture(scope="session")
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
