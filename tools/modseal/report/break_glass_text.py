"""What a file that breaks the glass says, and who has signed it, as text for people."""

from __future__ import annotations

from pathlib import Path

from modseal.format import rules
from modseal.format.break_glass import BreakGlass
from modseal.format.times import time_text
from modseal.report.text import plural, safe, safe_name
from modseal.trust.signature import Signatures


def written(path: Path, glass: BreakGlass, signatures: Signatures) -> str:
    """A file that was written."""
    keys = len({one.certificate.key_der for one in signatures.signers})
    until = f"until {time_text(glass.expires)}"
    return f"{safe_name(path)}: breaks the glass of host {glass.host} {until}, {plural(keys, 'key')}, {glass.sha256}"


def show(path: Path, glass: BreakGlass, signatures: Signatures) -> str:
    """All that a file says. Only the host knows which keys count."""
    lines = [
        f"{safe_name(path)}: a file that breaks the glass of a host; which keys count is for the host to say",
        f"  host    {glass.host}",
        f"  lock    {glass.lock}",
        f"  from    {time_text(glass.not_before)}",
        f"  until   {time_text(glass.expires)}",
        f"  reason  {safe(glass.reason)}",
        f"  sha256  {glass.sha256}",
    ]
    for one in signatures.signers:
        lines.append(f"  signed  {rules.key_name(one.certificate.key_der)}")
        lines.append(f"          the certificate says {safe(one.certificate.subject)}")
    lines += [f"  damaged {one.code}: {safe(one.detail)}" for one in signatures.failures]
    return "\n".join(lines if signatures.signers or signatures.failures else [*lines, "  signed  by nobody yet"])
