"""What holds of every rule: its words, its place in the registry, and what it finds in genuine files."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from builders.bundles import Bundle, Member, make
from builders.rules import record
from modseal.auditing import rules
from modseal.auditing.rule import Rule
from modseal.auditing.rules import RULES
from modseal.codes import CODES
from modseal.policy.sources import load
from modseal.report.rules_text import render

FOLDER = Path(rules.__file__).parent
GENUINE = Path(__file__).parents[3] / ".." / "shared" / "real" / "vib"

each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def test_every_rule_of_the_folder_is_in_the_registry() -> None:
    modules = [importlib.import_module(f"{rules.__name__}.{path.stem}") for path in FOLDER.glob("[!_]*.py")]
    values = [value for module in modules for value in vars(module).values()]
    groups = [value if isinstance(value, tuple) else (value,) for value in values]
    written = {rule.id for group in groups for rule in group if isinstance(rule, Rule)}
    assert written == rules.BY_ID.keys()
    assert len(RULES) == len(rules.BY_ID)


@each
def test_a_rule_sees_one_bundle_or_all_of_them(rule: Rule) -> None:
    """Those of depots and hosts see neither: what is wrong with one is found where it is read."""
    assert rule.check is None or rule.start is None
    assert rule.moments is None or rule.check is not None
    if rule.check or rule.start:
        assert rule.id not in CODES, "a check has this name"


@each
def test_a_rule_says_what_why_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.id)
    assert not rule.title.endswith(".")
    for text in (rule.what, rule.why, rule.remedy, rule.example):
        assert text[0] == "`" or text[0].isupper(), text
        assert text.endswith("."), text
        assert "  " not in text
    assert len(rule.remedy) < 160


def test_the_table_has_every_rule_once() -> None:
    lines = render().splitlines()
    assert lines[0].split() == ["rule", "severity", "finds"]
    assert [line.split()[:2] for line in lines[1:]] == [[rule.id, str(rule.severity)] for rule in RULES]
    assert {line.index(rule.title) for line, rule in zip(lines[1:], RULES, strict=True)} == {lines[0].index("finds")}


# Genuine descriptors and signatures, around a payload of ours: rules of payloads see ours.

OLD = {"weak-algorithm", "signer-expired-pinned", "gunzip-sha256-missing"}
EXPECTED = {
    "VMware_bootbank_net-r8169_6.011.00-2vmw.510.0.0.799733": OLD,
    "INT_bootbank_i40en_1.7.11-1OEM.650.0.0.4598673": OLD,
    "VMW_bootbank_vmkusb-nic-fling_2.1-6vmw.670.2.48.39203948": OLD - {"gunzip-sha256-missing"},
    "VMW_bootbank_vmkusb-nic-fling_1.12-2vmw.802.0.0.67561870": {"weak-algorithm"},
    "VMW_bootbank_vmkusb-nic-fling_1.15-1vmw.900.0.84947163": {"weak-algorithm"},
    "vmw_bootbank_if-re_1.101.01-5vmw.800.1.0.20613240": {"weak-algorithm"},
    "LIFANG_bootbank_hardware-watchdog_0.1-0.1.263547": {
        "fling-leftover",
        "gunzip-sha256-missing",
        "not-removable-live",
        "startup-script",
    },
    "BCM_bootbank_lsi-mr3_7.732.03.00-1MOD.800.1.0.20613240": {"claim-above-proven"},
}


@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine VIBs are not on this machine")
@pytest.mark.parametrize("vib", EXPECTED)
def test_what_the_rules_find_in_a_genuine_vib(vib: str) -> None:
    members = tuple(Member(name, (GENUINE / vib / name).read_bytes()) for name in ("descriptor.xml", "sig.pkcs7"))
    payload = make("vib").members[2]
    findings = record(Bundle("vib", (*members, payload)), load("vmware")).findings
    told = {name for finding in findings for name in (finding.rule, *finding.consequences)}
    assert told & rules.BY_ID.keys() == EXPECTED[vib]
