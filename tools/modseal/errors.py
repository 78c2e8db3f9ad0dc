"""The exceptions of modseal, and the failure value that they carry.

The tree, sorted by the person who has to act::

    ModsealError
    ├── FormatError      bytes that are not well formed          exit 1
    ├── RefusedError     well formed, but a rule refuses it      exit 1
    ├── SpecError        a module spec with problems, all at once exit 1
    ├── UsageError       the call is not valid                    exit 2
    └── UndecidedError   we could not decide                     exit 3
        ├── InternalError     a bug in modseal
        ├── PolicyError       our own policy is unusable
        ├── KeyMaterialError  our own key or certificate is unusable
        └── InputError        a file cannot be read or written

Every exception holds a `Failure`: a stable code (see `modseal.codes`), one sentence of detail, and
evidence as plain values. The text that a person reads is made from it at the edge, in `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ContextDecorator
from dataclasses import field, replace
from typing import ClassVar, Self

from modseal import limits
from modseal.causes import CauseName, of_errno
from modseal.codes import CODES, CodeName, next_step
from modseal.values import dataclass

Scalar = str | int | bool | None
Evidence = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is wrong: a stable code, a sentence, and the values that show it."""

    code: CodeName
    detail: str
    evidence: Evidence = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise AssertionError(f"{self.code} is not a published code")

    @property
    def next_step(self) -> str:
        """One safe next step for the person who reads this; never "relax the policy"."""
        return next_step(self.code, self.evidence)


class ModsealError(Exception):
    """The root of everything that modseal raises on purpose."""

    exit_code: ClassVar[int] = 3

    def __init__(self, code: CodeName, detail: str, **evidence: Scalar) -> None:
        super().__init__(detail)
        self.failure = Failure(code, detail, evidence)

    def because(self, cause: CauseName | None) -> Self:
        """The same error with its cause, where that is known: its next step is then the one that fits."""
        if cause:
            self.failure = replace(self.failure, evidence={**self.failure.evidence, "cause": cause})
        return self


class FormatError(ModsealError):
    """Bytes that break the rules of their format. The only exception that `format` raises."""

    exit_code = 1


class RefusedError(ModsealError):
    """Something well formed that a rule refuses."""

    exit_code = 1


class SpecError(ModsealError):
    """A module spec (or stage folder) with problems; `problems` has one line for each."""

    exit_code = 1

    def __init__(self, detail: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__("bad-spec", detail)
        self.problems = problems or (detail,)


class SpecProblem(str):
    """One problem of a spec as a line, with its cause where that is known."""

    __slots__ = ("cause",)

    def __new__(cls, line: str, cause: CauseName | None) -> Self:
        """The line itself, which also remembers the cause."""
        problem = super().__new__(cls, line)
        problem.cause = cause
        return problem

    cause: CauseName | None


def require_spec(problems: Iterable[str]) -> None:
    """Raise a `SpecError` with all problems, unless there are none. Its cause is that of the first one."""
    lines = tuple(problems)
    if len(lines) > limits.PROBLEMS:
        lines = (*lines[: limits.PROBLEMS], f"and {len(lines) - limits.PROBLEMS} more problems")
    if lines:
        found = SpecError(lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""), lines)
        raise found.because(lines[0].cause if isinstance(lines[0], SpecProblem) else None)


class UsageError(ModsealError):
    """A call that is not valid: arguments are missing, unknown or contradict each other."""

    exit_code = 2

    def __init__(self, detail: str) -> None:
        super().__init__("usage", detail)


class UndecidedError(ModsealError):
    """We could not decide: neither accepted nor rejected."""

    exit_code = 3


class PolicyError(UndecidedError):
    """A policy that cannot be used; `problems` has one line for each problem."""

    def __init__(self, detail: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__("bad-policy", detail)
        self.problems = problems or (detail,)


class KeyMaterialError(UndecidedError):
    """A key, passphrase or certificate of our own that cannot be used."""

    def __init__(self, detail: str) -> None:
        super().__init__("bad-key", detail)


class InputError(UndecidedError):
    """A file that cannot be read or written."""

    def __init__(self, detail: str, **evidence: Scalar) -> None:
        super().__init__("io-error", detail, **evidence)

    @classmethod
    def of(cls, name: object, error: OSError, doing: str = "", *, to_write: bool = False) -> Self:
        """That the file or folder of this name cannot be used, for the reason and the cause that the system gives."""
        why = error.strerror or str(error) or type(error).__name__
        cause = of_errno(error.errno)
        return cls(f"{name}{doing}: {why}", path=str(name)).because(
            "folder-missing" if to_write and cause == "not-found" else cause
        )


class InternalError(UndecidedError):
    """An unexpected exception: a bug in modseal, not a fault of the file."""

    def __init__(self, detail: str, **evidence: Scalar) -> None:
        super().__init__("internal-error", detail, **evidence)


def error_of(failure: Failure) -> RefusedError | UndecidedError:
    """The exception that says a failure: what is undecided and what is refused end differently."""
    error = (UndecidedError if CODES[failure.code].undecided else RefusedError)(failure.code, failure.detail)
    error.failure = failure
    return error


def is_foreign(error: BaseException) -> bool:
    """Whether the exception comes from a library that failed on its input.

    It is not one of ours, and not about this machine (files, memory) or its user (Ctrl-C, exit). Panics in Rust
    libraries (pyo3) derive directly from `BaseException`, and their class cannot be imported, hence the name.
    """
    if isinstance(error, ModsealError | OSError | MemoryError):
        return False
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


class foreign(ContextDecorator):  # noqa: N801 - a block's name, as `suppress` is
    """Convert every exception that a library raises in the block, with `ours` called on its text.

    It converts all types, not a list: libraries do not document what they raise for hostile bytes.
    """

    __slots__ = ("_ours",)

    def __init__(self, ours: Callable[[str], Exception]) -> None:
        self._ours = ours

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and is_foreign(error):
            # Libraries in Rust append their own value, `: ParseError { kind: UnexpectedTag { actual: ... } }`.
            text, is_rust, _ = str(error).partition(" { kind: ")
            why = text.rpartition(":")[0] if is_rust else text
            raise self._ours(why or type(error).__name__) from None  # its frames may hold a passphrase
