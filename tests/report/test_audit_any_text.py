"""Whatever text a bundle or the name of a file has, each report of an audit is well formed, and nothing in it acts."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import sarif_schema
from builders.audit_samples import finding, made_of, result
from modseal.auditing.finding import State
from modseal.auditing.run import Audit
from modseal.files.names import dumped, native
from modseal.report import audit_csv, audit_gitlab, audit_html, audit_json, audit_junit, audit_sarif, audit_text

ANY = st.text(st.characters(exclude_categories=()), max_size=30)
"""Any code points: control characters, lone surrogates, what is no character at all."""
URI = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?[A-Za-z0-9._~/%-]*", re.IGNORECASE)


def audit_with(text: str) -> Audit:
    """An audit where everything that comes from files, their names or the policy is this text."""
    evidence = {"value": text, text: 1}
    found = [
        finding(bundle=text, detail=text, evidence=evidence, related=(text,), state=state, reason=text)
        for state in State
    ]
    unproved = {"vendor": text, "name": text, "version": text, "proved": False}
    signer = {"subject": text, "trusted": True, "anchor": text, "fingerprint": "0" * 64, "block": 1, "algorithm": text}
    dates = {"not_before": "2024-01-01T00:00:00Z", "not_after": "2030-01-01T00:00:00Z", "claimed_time": None}
    check = {"step": 7, "id": "payloads.content", "status": "failed", "code": "payload-digest-mismatch"}
    more = {"detail": text, "evidence": evidence, "next_step": "n"}
    results = [
        result(text, module=unproved, signers=[{**signer, **dates, "timestamps": 0}], checks=[{**check, **more}]),
        result("unreadable", module=None, sha256=None, error={"code": "io-error", "detail": text}, format=None),
    ]
    return made_of(found, results, source=text)


hostile = [
    example("\x1b[31m\r\n\x00"),
    example("\udcff\ud800"),
    example("</script><script>alert(1)</script><!-- ]]> &amp;"),
    example("=1+1"),
    example("[a](http://evil) {0} }}"),
    example("../../etc/passwd"),
    example("javascript://x"),
    example("\u202e\u2028\ufffe\uffff\U000e0001"),
    example(""),
]


def whatever(test: Any) -> Any:
    """The test with any text, and with those that have hurt others."""
    for each in hostile:
        test = each(test)
    return settings(max_examples=40)(given(ANY)(test))


@whatever
def test_text(text: str) -> None:
    told = b"".join(audit_text.render(audit_with(text))).decode("utf-8")
    assert all(line.isprintable() for line in told.split("\n"))


@whatever
def test_json(text: str) -> None:
    told = b"".join(audit_json.render(audit_with(text)))
    assert told.isascii()
    document = json.loads(told)
    json.dumps(document, ensure_ascii=False).encode("utf-8")  # no reader has to guess what a lone surrogate is
    assert document["findings"][0]["detail"] == document["results"][0]["module"]["name"] == json.loads(dumped(text))
    assert native(document["results"][0]["bundle"]) == native(document["findings"][0]["related"][0]) == text


@whatever
def test_sarif(text: str) -> None:
    told = b"".join(audit_sarif.render(audit_with(text)))
    assert told.isascii()
    (run,) = sarif_schema.read(told)["runs"]
    for one in _strings(run):
        assert all(line.isprintable() for line in one.split("\n"))
    for uri in _uris(run):
        assert URI.fullmatch(uri)


@whatever
def test_csv(text: str) -> None:
    told = b"".join(audit_csv.render(audit_with(text))).decode("utf-8")
    for row in csv.reader(io.StringIO(told, newline=""), strict=True):
        assert len(row) == len(audit_csv.HEADER)
        for cell in row:
            assert cell.isprintable()
            assert not cell.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


@whatever
def test_junit(text: str) -> None:
    told = b"".join(audit_junit.render(audit_with(text)))
    root = ET.fromstring(told)
    assert root.attrib["tests"] == "2"
    assert {element.tag for element in root.iter()} <= {
        *("testsuites", "testsuite", "properties", "property"),
        *("testcase", "failure", "error", "skipped", "system-out"),
    }


@whatever
def test_gitlab(text: str) -> None:
    told = b"".join(audit_gitlab.render(audit_with(text)))
    assert told.isascii()
    for one in _strings(json.loads(told)):
        assert one.isprintable()


@whatever
def test_html(text: str) -> None:
    usual, told = (_Tags(b"".join(audit_html.render(audit_with(one))).decode("utf-8")) for one in ("a/b", text))
    assert set(told.found) <= set(usual.found)
    assert told.found["script"] == usual.found["script"]
    assert not [name for name in told.attributes if name.startswith("on")]


class _Tags(HTMLParser):
    """The tags of a page, counted, and the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] += 1
        self.attributes.update(name for name, _ in attrs)


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(one for below in value.values() for one in _strings(below))]
    if isinstance(value, list):
        return [one for below in value for one in _strings(below)]
    return [value] if isinstance(value, str) else []


def _uris(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["uri"]] if "uri" in value else []
        return own + [uri for below in value.values() for uri in _uris(below)]
    return [uri for below in value for uri in _uris(below)] if isinstance(value, list) else []
