"""The last fence: a bug of ours makes only the bundle that triggers it undecided, and no other.

Every library's exception is converted where its format is read. What is left are unexpected exceptions.
The bundle is then undecided, and the failure has what a bug report needs: the place and the versions. It never has a
byte of the bundle or of a key, so it leaves out the exception's own text.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from types import TracebackType

from modseal import __version__
from modseal.errors import InternalError, is_foreign

TRACEBACK = "MODSEAL_TRACEBACK"
"""The environment variable for those who look for the fault: the exception then ends the command with a traceback."""


class fenced:  # noqa: N801 - a block's name, as `suppress` is
    """Raise `InternalError` for every unexpected exception in the block, which examines the bundle of this name.

    Errors of files, Ctrl-C and exits pass through.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        unexpected = error is not None and (is_foreign(error) or isinstance(error, MemoryError))
        if error is not None and unexpected and not os.environ.get(TRACEBACK):
            raise _fault(self._name, error) from error


def _fault(name: str, error: BaseException) -> InternalError:
    from cryptography import __version__ as library
    from cryptography.hazmat.backends.openssl import backend

    kind, place, openssl = type(error).__name__, _place(error.__traceback__), backend.openssl_version_text()
    versions = f"modseal {__version__}, cryptography {library}, {openssl}"
    return InternalError(
        f"{name}: a bug in modseal prevented its examination: {kind} at {place} ({versions})",
        exception=kind,
        place=place,
        modseal=__version__,
        cryptography=library,
        openssl=openssl,
    )


def _place(trace: TracebackType | None) -> str:
    """The innermost frame as `module:line`; the module's name, because a path could reveal user names."""
    if trace is None:
        return "unknown"
    while trace.tb_next:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__") or PurePath(trace.tb_frame.f_code.co_filename).name
    return f"{module}:{trace.tb_lineno}"
