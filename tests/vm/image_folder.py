"""Where host images are built that run in QEMU."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from examples.reference_host import guest


def image_folder(*programs: str) -> Path:
    """The folder that MODSEAL_IMAGE names; the test is skipped without it, or where QEMU or a program is missing."""
    folder = os.environ.get("MODSEAL_IMAGE")
    if not folder:
        pytest.skip("MODSEAL_IMAGE does not name a folder; make vm-image does")
    missing = guest.missing() or next((f"{one} is not installed" for one in programs if not shutil.which(one)), None)
    if missing:
        pytest.skip(missing)
    return Path(folder).absolute()
