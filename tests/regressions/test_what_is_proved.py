"""Nothing that a stranger signed, or nobody, is shown or used as if it were proved."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from builders.bundles import codes, judge, make
from builders.pki import NOW, ca, leaf, new_key
from builders.policies import trusting
from modseal.bundle.extract import extract
from modseal.bundle.verify import verify
from modseal.format.level import Level
from modseal.report import json_report, text
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

UNSIGNED = Policy(source="test", minimum_level=Level.COMMUNITY, allow_unsigned_community=True)


def test_a_module_that_a_stranger_signed_is_marked_as_unproved(tmp_path: Path) -> None:
    path = tmp_path / "a.seal"
    path.write_bytes(make("seal").sealed(leaf("Stranger", issuer=ca("Nobody", key=new_key("p256", 9)))).data)
    result = verify(path, trusting(), NOW, with_digest=True)
    assert result.verdict is Verdict.REJECTED
    assert "(unproved: no signer of it is trusted)" in text.render(result)
    assert json.loads(json_report.render([result], "p", NOW))["results"][0]["module"]["proved"] is False


def _setuid(level: Level = Level.COMMUNITY) -> bytes:
    return make("seal", claimed_level=level, modes={"opt/acme/agent": 0o4755}).unsigned().data


def test_an_unsigned_module_brings_no_setuid_file_even_where_unsigned_modules_are_allowed(tmp_path: Path) -> None:
    assert "unsafe-mode" in codes(judge(_setuid(), UNSIGNED))
    path = tmp_path / "a.seal"
    path.write_bytes(_setuid())
    assert extract(path, tmp_path / "out", UNSIGNED, NOW).verdict is Verdict.REJECTED
    assert not (tmp_path / "out").exists()


def test_unverified_files_are_unpacked_without_setuid(tmp_path: Path) -> None:
    path = tmp_path / "a.seal"
    path.write_bytes(_setuid(Level.PARTNER))
    assert extract(path, tmp_path / "out", None, NOW).verdict is Verdict.ACCEPTED
    assert stat.S_IMODE((tmp_path / "out/opt/acme/agent").stat().st_mode) == 0o755


def test_the_signature_of_a_seal_ends_with_a_line_feed_so_that_its_size_has_one_value() -> None:
    bundle = make("seal")
    while len(bundle.signature) % 2:
        bundle = bundle.sealed()
    size = len(bundle.signature)
    other = bundle.data.replace(f"{size:<10}`\n-----BEGIN".encode(), f"{size - 1:<10}`\n-----BEGIN".encode())
    assert other != bundle.data
    assert codes(judge(other, trusting())) == ["malformed-archive"]
