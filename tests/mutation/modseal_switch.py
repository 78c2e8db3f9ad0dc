"""What the mutated code is decorated with: it calls the variant of a function that is in use.

mutmut's own asks the environment at every call, which is slow. `run.py` copies this file beside the
mutated package, so that its child processes find it too; they use the originals.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

HITS: set[str] = set()
"""The functions of the verify path that were called since it was cleared."""

SWITCHES: dict[str, MutantDict] = {}
"""The variants of each function of the verify path, by its mangled name; `_mutmut_orig` is the one in use."""

MutantDict = dict[str, Callable[..., object]]


def wrap_in_trampoline(variants: MutantDict, is_classmethod: bool = False) -> Callable[..., object]:
    """The decorator, under the name that mutmut's generated code has for it."""

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        mangled = function.__qualname__.replace(".", "ǁ")
        key = f"{function.__module__}.x{'ǁ' if 'ǁ' in mangled else '_'}{mangled}"
        SWITCHES[key] = variants

        @functools.wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            HITS.add(key)
            variant = variants["_mutmut_orig"]
            if is_classmethod:
                return getattr(args[0], variant.__name__)(*args[1:], **kwargs)
            return variant(*args, **kwargs)

        return call

    return decorate
