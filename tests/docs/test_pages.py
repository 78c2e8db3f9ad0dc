"""The documentation says what the code says."""

import importlib.util
import io
import json
import re
import shutil
import sys
import tomllib
from contextlib import redirect_stdout
from pathlib import Path

import jsonschema
import pytest

from builders import recalls
from modseal.auditing.rules import BY_ID
from modseal.cli.main import run
from modseal.codes import CODES
from modseal.format import recall
from modseal.format.shape import Array, Shape, Table
from modseal.policy import file as policy_file
from modseal.policy import shape as policy_shape
from modseal.trust.examination import STEPS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))])
FAMILIES = {
    "SIG": 22,
    "CMS": 19,
    "X5": 16,
    "AR": 7,
    "TAR": 11,
    "GZ": 5,
    "ZIP": 1,
    "DEP": 5,
    "XML": 8,
    "ERR": 3,
    "DOS": 3,
    "PEM": 6,
    "OUT": 7,
    "POW": 8,
}
"""The attacks that the threat model must have."""
CODE = re.compile(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`")


def load_generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GENERATE = load_generator()
GENERATED = sorted(GENERATE.outputs())


def page(name):
    return (DOCS / name).read_text("utf-8")


def without_status(text):
    """A page without the status of attacks: a first test of an attack changes it, and `make docs` writes it."""
    return re.sub(r"\| (tested|waits|does not apply)\b[^|\n]*\|$", "| status |", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_file_is_current(path):
    assert without_status(path.read_text("utf-8")) == without_status(GENERATE.outputs()[path]), "run `make docs`"


def test_the_list_of_rejections_is_numbered_and_names_codes_that_exist():
    rows = re.findall(r"^\| (\d+) \| .* \| `([a-z-]+)` \|$", page("format.md"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert {code for _, code in rows} <= CODES.keys()


def test_the_list_of_rejections_has_every_code_that_a_seal_can_be_refused_for():
    text = page("format.md")
    only_vib = {"unsupported-descriptor", "weak-digest", "unsupported-payload", "payload-undeclared", "payload-missing"}
    only_vib.add("payload-absent")  # of an installed one
    by_policy = {
        "path-not-allowed",
        "power-not-granted",
        "unsigned",
        "not-unpacked",
    }  # the last is how far modseal looks, no rule
    for code, row in CODES.items():
        if row.step in (0, 1, 7, 8) and code not in only_vib | by_policy:
            assert f"`{code}`" in text, code


def test_each_step_has_its_section():
    headings = re.findall(r"^### (\d) (\w+)$", page("verification.md"), re.MULTILINE)
    assert headings == [(str(number), name.capitalize()) for number, name in enumerate(STEPS)]


def test_each_limit_has_a_reason():
    constants = [constant for module in GENERATE.LIMITED for constant in GENERATE.constants(module)]
    assert len({constant.name for constant in constants}) == len(constants)
    for name, value in vars(sys.modules["modseal.limits"]).items():
        if type(value) is int and name not in ("KIB", "MIB", "GIB"):
            assert name in {constant.name for constant in constants}, name


# Policies.


def keys_of(shape: Shape, trail=()):
    if isinstance(shape, Array):
        yield from keys_of(shape.item, trail)
    if isinstance(shape, Table):
        for key, item in shape.fields.items():
            yield (*trail, key)
            yield from keys_of(item, (*trail, key))


@pytest.mark.parametrize("key", list(keys_of(policy_shape.SHAPE)), ids=".".join)
def test_each_key_of_a_policy_is_described_and_shown(key):
    text = page("policy.md")
    assert f"`{key[-1]}`" in text or f"[{key[-1]}]" in text, "describe it"
    name = re.escape(key[-1])
    header = rf"\[*([a-z]+\.)?{name}(\.[a-z]+)?\]*"
    assert re.search(rf"^({header}|{name} = .*)$", text, re.MULTILINE), "show it"


def policies():
    for path in PAGES:
        for block in re.findall(r"^```toml.*?\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            if policy_shape.SCHEMA in block:
                yield block


def read_example(name):
    """Some file of the kind that a policy names."""
    if name.endswith(".recall"):
        return recall.encode(recalls.make())
    found = "revoked/crl.pem" if "crl" in name else "partner/root.pem"
    return (ROOT / "keys-example" / found).read_bytes()


@pytest.mark.parametrize("text", list(policies()))
def test_each_policy_that_is_shown_can_be_used(text):
    schema = json.loads((ROOT / "schemas" / "policy.schema.json").read_text("utf-8"))
    policy_file.parse(text.encode(), "example", read_example)
    jsonschema.validate(tomllib.loads(text), schema)


def test_the_policy_schema_refuses_a_misspelt_key():
    schema = json.loads((ROOT / "schemas" / "policy.schema.json").read_text("utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": policy_shape.SCHEMA, "minimum-level": "partner", "minimum-levle": "x"}, schema)


# Reports.


def fields(value):
    if isinstance(value, list):
        for item in value:
            yield from fields(item)
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from fields(item) if key != "evidence" else ()


def test_each_field_of_the_json_report_is_described(tmp_path):
    key = tmp_path / "signer.key"
    shutil.copy(ROOT / "keys-example/partner/signer.key", key)
    key.chmod(0o600)
    bundle, out = str(tmp_path / "hello.seal"), io.StringIO()
    with redirect_stdout(io.StringIO()):
        assert run(["pack", str(DOCS / "examples/hello"), "-o", bundle]) == 0
        assert run(["sign", bundle, "--key", str(key), "--cert", str(ROOT / "keys-example/partner/signer.pem")]) == 0
    with redirect_stdout(out):
        run(["verify", bundle, str(tmp_path / "none"), "--policy", "strict", "--format", "json"])
    report = json.loads(out.getvalue())
    text = page("verification.md")
    assert {key for key in fields(report) if f"`{key}`" not in text} == set()
    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_text("utf-8"))
    jsonschema.validate(report, schema)


# Attacks.


def test_the_threat_model_has_every_attack():
    expected = [f"{family}-{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)]
    assert [name for rows in GENERATE.attacks().values() for name in rows] == expected
    assert re.findall(r"^\| ([A-Z0-9]+-\d\d) \|", page("threat-model.md"), re.MULTILINE) == expected


def test_the_threat_model_names_codes_that_exist():
    words = {"trust-bundle", *BY_ID}
    for rows in GENERATE.attacks().values():
        for name, row in rows.items():
            assert set(CODE.findall(row["answer"])) <= CODES.keys() | words, name


def test_each_test_that_the_threat_model_names_exists():
    named = re.findall(r"`test_([A-Z0-9]+)_(\d\d)_\*`", page("threat-model.md"))
    assert {f"{family}-{number}" for family, number in named} <= GENERATE.tested_ids()


# Links.


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", path.read_text("utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target
    for target, name in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text("utf-8")):
        assert name in anchors(path.parent / target if target else path), f"{target}#{name}"
