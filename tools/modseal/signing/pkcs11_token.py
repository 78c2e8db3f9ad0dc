"""Finds a PKCS#11 token and logs in to it: the module, the token that the URI means, the PIN.

The library (`python-pkcs11`, the extra `modseal[pkcs11]`) is imported only here and when it is needed.
The PIN goes from where it was read to the token and nowhere else: it is in no message and no
representation. It is tried once, because tokens lock.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

from modseal.causes import CauseName
from modseal.errors import KeyMaterialError, ModsealError, UsageError
from modseal.signing.material import Passphrase, read_secret
from modseal.signing.pkcs11_uri import KeyUri

MODULE_VARIABLE = "PKCS11_MODULE_PATH"
"""The environment variable with the module's file, for a URI that names none; other tools use it too."""

SHOWN = 8
"""Tokens or keys that a message lists; a longer list does not help."""
_FAILURES: Mapping[str, tuple[str, CauseName]] = {
    "PinIncorrect": ("the PIN is wrong", "pin-wrong"),
    "PinInvalid": ("the PIN is wrong", "pin-wrong"),
    "PinLenRange": ("the PIN is wrong", "pin-wrong"),
    "PinLocked": ("its PIN is locked; the security officer's PIN can unlock it", "pin-locked"),
    "PinExpired": ("its PIN has expired and must be changed first", "pin-not-set"),
    "UserPinNotInitialized": ("it has no user PIN yet", "pin-not-set"),
    "UserAlreadyLoggedIn": ("something else in this process is logged in to it already", "busy"),
    "UserNotLoggedIn": ("it is not logged in to any more", "token-gone"),
    "TokenNotPresent": ("it was removed", "token-gone"),
    "DeviceRemoved": ("it was removed", "token-gone"),
    "SessionHandleInvalid": ("it was removed or started again", "token-gone"),
    "MechanismInvalid": ("it refuses the signature algorithm", "token-algorithm"),
    "MechanismParamInvalid": ("it refuses the signature algorithm's parameters", "token-algorithm"),
    "KeySizeRange": ("it refuses a key of this size", "token-algorithm"),
}
"""What the library's exceptions mean to a person, and the cause; for others, only their name is shown."""
FOREIGN = (Exception,)
"""What the library raises: its own errors, and anything at all for an attribute in a wrong form."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class OpenToken:
    """A token that this process is logged in to, until this object is garbage-collected.

    `pin` is None where the token has a keypad or needs no login.
    """

    library: ModuleType
    name: str
    session: Any
    pin: str | None = field(repr=False)

    def objects(self, **wanted: Any) -> list[Any]:
        """The token's objects with these attributes, by the library's names of attributes."""
        return list(self.session.get_objects({self.library.Attribute[name]: value for name, value in wanted.items()}))


_logged_in: WeakValueDictionary[tuple[str, int], OpenToken] = WeakValueDictionary()
"""By module and slot. PKCS#11 has one login for each token and process, so that signers share it."""


def log_in(reference: KeyUri, passphrase: Passphrase | None) -> tuple[OpenToken, tuple[str, ...]]:
    """Find the token that a URI means and log in; with it, what to warn of.

    The PIN is that of the URI; else `passphrase` asks for it.
    Raises `UsageError` (the library is missing), `KeyMaterialError` (module, token, PIN), `InputError`.
    """
    library = _library()
    with converted("the PKCS#11 module"):
        module = _load(library, reference)
        found = _find(module, reference)
        name, place = f"the token {found.label!r}", (module.so, found.slot.slot_id)
    secret, warnings = _pin(library, name, found, reference, passphrase)
    pin = secret if isinstance(secret, str) else None
    known = _logged_in.get(place)
    if known:
        if pin != known.pin:
            raise KeyMaterialError(f"{name} cannot be used: {_FAILURES['PinIncorrect'][0]}").because("pin-wrong")
        return known, warnings
    token = OpenToken(library, name, _open(library, name, found, secret), pin)
    weakref.finalize(token, _close, token.session)
    _logged_in[place] = token
    return token, warnings


def _close(session: Any) -> None:
    with contextlib.suppress(*FOREIGN):
        session.close()


def _library() -> ModuleType:
    try:
        import pkcs11
    except ImportError:
        raise UsageError("a pkcs11: key needs an extra library: pip install modseal[pkcs11]") from None
    return pkcs11


@contextlib.contextmanager
def converted(name: str) -> Iterator[None]:
    """The library's exceptions as ours. Their text is left out: it is for programmers, and not ours to vouch for."""
    try:
        yield
    except ModsealError:
        raise
    except FOREIGN as error:
        kind = type(error).__name__
        why, cause = _FAILURES.get(kind, (f"it failed with {kind}", "token-failed"))
        raise KeyMaterialError(f"{name} cannot be used: {why}").because(cause) from None


def _load(library: ModuleType, reference: KeyUri) -> Any:
    """The module, which is the vendor's code: loaded from the one file that the caller names."""
    path = str(reference.module or os.environ.get(MODULE_VARIABLE, ""))
    if not path:
        raise KeyMaterialError(f"no PKCS#11 module is named: add ?module-path=FILE, or set {MODULE_VARIABLE}").because(
            "module-missing"
        )
    if not os.path.isabs(path):
        raise KeyMaterialError(f"{MODULE_VARIABLE} is not an absolute path").because("module-missing")
    if not os.path.isfile(path):
        raise KeyMaterialError(f"{path} is not a PKCS#11 module: there is no such file").because("module-missing")
    try:
        return library.lib(path)
    except FOREIGN:
        raise KeyMaterialError(f"{path} cannot be loaded as a PKCS#11 module").because("module-unusable") from None


def _find(module: Any, reference: KeyUri) -> Any:
    """The one token that a URI means."""
    tokens = [token for slot in module.get_slots(token_present=True) if (token := _initialized(slot))]
    matching = [token for token in tokens if _matches(reference, _facts(module, token))]
    if len(matching) == 1:
        return matching[0]
    shown = matching or tokens
    names = ", ".join(f"{token.label!r} (serial {_serial(token)})" for token in shown[:SHOWN]) or "none"
    if matching:
        raise KeyMaterialError(f"{len(matching)} tokens match the URI, add what tells them apart: {names}").because(
            "token-several"
        )
    raise KeyMaterialError(f"no token matches the URI; there are: {names}").because("token-missing")


def _initialized(slot: Any) -> Any:
    """The slot's token, or None where there is none that could hold a key."""
    from pkcs11 import TokenFlag, TokenNotPresent, TokenNotRecognised

    try:
        token = slot.get_token()
    except (TokenNotPresent, TokenNotRecognised):
        return None
    return token if token.flags & TokenFlag.TOKEN_INITIALIZED else None


def _facts(module: Any, token: Any) -> dict[str, str]:
    """What a URI can say of a token, by the attributes of RFC 7512."""
    slot = token.slot
    return {
        "token": token.label,
        "manufacturer": token.manufacturer_id,
        "serial": _serial(token),
        "model": token.model,
        "library-manufacturer": module.manufacturer_id,
        "library-version": "{}.{}".format(*module.library_version),
        "library-description": module.library_description,
        "slot-description": slot.slot_description,
        "slot-manufacturer": slot.manufacturer_id,
        "slot-id": str(slot.slot_id),
    }


def _matches(reference: KeyUri, facts: dict[str, str]) -> bool:
    return all(_plain(name, facts[name]) == _plain(name, value) for name, value in reference.token.items())


def _plain(name: str, value: str) -> str:
    """Numbers without what does not count: slot 007 is slot 7, version 2 is version 2.0 (RFC 7512 section 2.3)."""
    if name == "slot-id":
        return str(int(value))
    if name == "library-version":
        major, _, minor = value.partition(".")
        return f"{int(major)}.{int(minor or 0)}"
    return value


def _serial(token: Any) -> str:
    return str(token.serial.decode("utf-8", "replace"))


def _pin(
    library: ModuleType, name: str, token: Any, reference: KeyUri, passphrase: Passphrase | None
) -> tuple[Any, tuple[str, ...]]:
    """What logs in (a PIN, the token's own keypad, None for a token without login), and what to warn of."""
    flags = token.flags
    if not flags & library.TokenFlag.LOGIN_REQUIRED:
        return None, ()
    if flags & library.TokenFlag.USER_PIN_LOCKED:
        raise KeyMaterialError(f"{name} cannot be used: {_FAILURES['PinLocked'][0]}").because("pin-locked")
    if flags & library.TokenFlag.PROTECTED_AUTHENTICATION_PATH:
        return library.PROTECTED_AUTH, ()
    if reference.pin is not None:
        return reference.pin, ("a PIN in a command is seen by all who can list processes; use pin-source",)
    if reference.pin_file:
        secret, warnings = read_secret(reference.pin_file)
    elif passphrase:
        secret, warnings = passphrase(), ()
    else:
        raise KeyMaterialError(f"{name} needs its PIN and none was given; use pin-source").because("passphrase-missing")
    try:
        return secret.decode("utf-8"), warnings
    except UnicodeDecodeError:
        raise KeyMaterialError(f"the PIN for {name} is not UTF-8 text").because("pin-wrong") from None


def _open(library: ModuleType, name: str, token: Any, pin: Any) -> Any:
    """A session that is logged in. A wrong PIN is not tried again; that the next one locks the token is said."""
    try:
        with converted(name):
            return token.open(user_pin=pin)
    except KeyMaterialError as error:
        last = False
        with contextlib.suppress(*FOREIGN):
            last = bool(token.slot.get_token().flags & library.TokenFlag.USER_PIN_FINAL_TRY)
        if last:
            raise KeyMaterialError(f"{error}; one more wrong PIN locks it").because("pin-wrong") from None
        raise
