"""The kernel for the guests: of MODSEAL_VM, a folder that Debian's package is fetched to and kept in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders import guest
from builders.kernel_package import UnfetchedError, fetch


@pytest.fixture(scope="session")
def kernel() -> Path:
    folder = os.environ.get("MODSEAL_VM")
    if not folder:
        pytest.skip("MODSEAL_VM does not name a folder for the kernel; make vm does")
    missing = guest.missing()
    if missing:
        pytest.skip(missing)
    try:
        return fetch(Path(folder))
    except UnfetchedError as error:
        pytest.skip(str(error))
