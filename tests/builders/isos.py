"""ISO 9660 images for tests, by pycdlib and by xorriso."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

XORRISO = shutil.which("xorriso")
GENISOIMAGE = shutil.which("genisoimage")


def make(files: Mapping[str, bytes], *, rock_ridge: bool = True, joliet: bool = False, udf: bool = False) -> bytes:
    """An image with these files by their paths; folders are made where they are missing."""
    import pycdlib

    image = pycdlib.PyCdlib()
    image.new(
        interchange_level=3,
        rock_ridge="1.09" if rock_ridge else None,
        joliet=3 if joliet else None,
        udf="2.60" if udf else None,
    )
    short: dict[str, str] = {"": ""}
    for path, data in files.items():
        *folders, name = path.split("/")
        above = ""
        for folder in folders:
            here = f"{above}/{folder}"
            if here not in short:
                short[here] = f"{short[above]}/D{len(short)}"
                image.add_directory(short[here], **_names(here, folder, rock_ridge, joliet, udf))
            above = here
        number = f"{short[above]}/F{len(short)}.;1"
        short[f"{above}/{name}"] = number
        image.add_fp(io.BytesIO(data), len(data), number, **_names(f"{above}/{name}", name, rock_ridge, joliet, udf))
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def _names(path: str, name: str, rock_ridge: bool, joliet: bool, udf: bool) -> dict[str, str]:
    return {
        **({"rr_name": name} if rock_ridge else {}),
        **({"joliet_path": path} if joliet else {}),
        **({"udf_path": path} if udf else {}),
    }


def of_folder(program: str, folder: Path, image: Path, *arguments: str) -> Path:
    """An image of a folder, made by another tool: `xorriso` or `genisoimage`."""
    command = [program, *(["-as", "mkisofs"] if program.endswith("xorriso") else []), *arguments]
    subprocess.run([*command, "-quiet", "-o", str(image), str(folder)], check=True, capture_output=True)
    return image
