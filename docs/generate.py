#!/usr/bin/env python3
"""Writes what the documentation takes from the code, so that the two cannot drift apart.

Whole files (`docs/limits.md`, `docs/codes.md`, the JSON Schemas, the manual pages), and regions of hand-written pages
between `<!-- generated: NAME -->` and `<!-- end -->`. `--check` writes nothing and fails where a file is
not current; `tests/docs` calls the same.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import io
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import json_schema
import level_table
import module_page
import performance_page
from refusals import REFUSALS

from modseal.auditing.rule import Rule
from modseal.auditing.rules import RULES
from modseal.causes import CAUSES
from modseal.codes import CODES, Code
from modseal.format import ar, manifest_json, tar
from modseal.format.level import Level
from modseal.format.manifest import SIGNATURE_MEMBER, Entry, FileType, Manifest, Payload
from modseal.format.payload_writer import Input, write_seal_payload
from modseal.pki.algorithms import ALGORITHMS
from modseal.policy import shape as policy_shape
from modseal.serve.routes import ROUTES
from modseal.trust.examination import STEPS
from modseal.trust.powers import GUARDED, MEANINGS, PLACES, Power

ROOT = Path(__file__).resolve().parents[1]

LIMITED = {
    "modseal.limits": "Limits of what is read",
    "modseal.pki.path": "Paths that are remembered",
    "modseal.pki.purpose": "Keys",
}
"""The modules whose constants are limits, and the heading of each."""

_NOTE = "<!-- Written by docs/generate.py; do not edit. -->"
_REGION = re.compile(r"(<!-- generated: ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ATTACK_TEST = re.compile(r"def test_(SIG|CMS|X5|AR|TAR|GZ|ZIP|DEP|XML|ERR|DOS|PEM|OUT|POW)_([0-9]{2})(?![0-9])")
_UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_MTIME = 1_767_225_600
"""2026-01-01T00:00:00Z: the time of the sample's entries."""


def outputs() -> dict[Path, str]:
    """Every generated file with the text that it should have."""
    files = {
        ROOT / "docs/limits.md": limits_page(),
        ROOT / "docs/codes.md": codes_page(),
        ROOT / "docs/refusals.md": refusals_page(),
        ROOT / "docs/module.md": module_page.page(_NOTE),
        ROOT / "docs/levels.md": level_table.markdown(),
        ROOT / "docs/performance.md": performance_page.page(_NOTE),
    }
    files |= {ROOT / "docs" / path: text for path, text in performance_page.pictures().items()}
    for name in json_schema.PUBLISHED:
        files[ROOT / f"schemas/{name}.schema.json"] = json_schema.text(json_schema.published(name))
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if path not in files and _REGION.search(page := path.read_text("utf-8")):
            files[path] = with_regions(page)
    return files | {ROOT / "docs/man1" / name: text for name, text in _man_pages().items()}


def _man_pages() -> dict[str, str]:
    """The manual pages by file name, as docs/man.py writes them."""
    spec = importlib.util.spec_from_file_location("docs_man", ROOT / "docs/man.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("docs/man.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: dict[str, str] = module.pages()
    return found


def with_regions(page: str) -> str:
    """A page with the text of each of its regions."""
    return _REGION.sub(lambda match: match[1] + _region(match[2]).rstrip("\n") + "\n" + match[3], page)


def _region(name: str) -> str:
    step = name.removeprefix("codes-")
    return _codes_table(int(step)) if step.isdigit() else REGIONS[name]()


# Limits.


class Constant(NamedTuple):
    """A named number of the code, and the sentence that says why it is that number."""

    name: str
    value: int
    reason: str


def constants(module: str) -> Iterator[Constant]:
    """The upper-case integers of a module that have a docstring, in their order."""
    imported = importlib.import_module(module)
    body = ast.parse(Path(imported.__file__ or "").read_text("utf-8")).body
    for assignment, comment in pairwise(body):
        name = _target(assignment)
        text = ast.literal_eval(comment.value) if _is_docstring(comment) else ""  # type: ignore[attr-defined]
        value = getattr(imported, name, None)
        if name.isupper() and type(value) is int and text:
            yield Constant(name, value, " ".join(text.split()))


def _target(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def limits_page() -> str:
    """`docs/limits.md`."""
    lines = [
        "# Limits",
        "",
        _NOTE,
        "",
        "A limit bounds what one hostile file can cost. Each is far above what genuine modules need. `modseal pack`",
        "refuses what a reader would refuse, so nobody ships a bundle that no gate can read. What is over a limit is",
        "refused with the code `limit-exceeded`, or with the code of the rule that the limit belongs to. No option",
        "changes a limit.",
    ]
    for module, heading in LIMITED.items():
        lines += ["", f"## {heading}", "", "| limit | value | what it bounds, and why |", "|---|---:|---|"]
        lines += [f"| `{c.name}` | {_amount(c)} | {_cell(c.reason)} |" for c in constants(module)]
    return "\n".join([*lines, *_worst_lines()]) + "\n"


def _worst_lines() -> list[str]:
    """What `make worst` measured last."""
    found = json.loads((ROOT / "docs/worst.json").read_text("utf-8"))
    rows = found["rows"]
    return [
        "",
        "## The worst input of every kind, its measured time",
        "",
        "A stranger's file of the largest size, made to cost as much as it can, and the processor time (user and",
        "system, in all threads) of the command that reads it: the whole process, best of three. The first row is what",
        f"any run costs. `make worst`, {found['machine']}, {found['date']}, commit {found['commit']}.",
        "Rows of the kind `policy` are read from the user's own files: no bundle can ask for them.",
        "",
        "| file | its worst content | bytes | seconds |",
        "|---|---|---:|---:|",
        *(f"| {row['where']} | {_cell(row['what'])} | {row['bytes']:,} | {row['seconds']:.2f} |" for row in rows),
    ]


def _amount(constant: Constant) -> str:
    if constant.reason.startswith(("Bytes", "Window", "Unpacked bytes of", "Unpacked bytes that are")):
        for size, unit in _UNITS:
            if constant.value % size == 0:
                return f"{constant.value // size:,} {unit}"
    return f"{constant.value:,}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# Refusals.


def refusals_page() -> str:
    """`docs/refusals.md`."""
    refused = sum(len(refusal.pkits) for refusal in REFUSALS)
    lines = [
        "# Refusals",
        "",
        _NOTE,
        "",
        "Path validation and revocation are a strict subset of RFC 5280: what no code signing chain needs is not",
        "implemented, and what is not implemented is refused. No option changes that. Held against NIST's PKITS (249",
        f"results), nothing that must be refused is accepted, and {114 - refused} of the 114 that must be accepted",
        f"are. The other {refused} are named here, each with the feature that it needs.",
        "",
        "| feature | codes | why it is refused | PKITS |",
        "|---|---|---|---|",
    ]
    for refusal in REFUSALS:
        codes = ", ".join(f"`{code}`" for code in refusal.codes)
        lines.append(f"| {refusal.feature} | {codes} | {refusal.reason} | {', '.join(refusal.pkits)} |")
    return "\n".join(lines) + "\n"


# Codes.


def codes_page() -> str:
    """`docs/codes.md`."""
    lines = [
        "# Codes",
        "",
        _NOTE,
        "",
        "Every refusal has a code. Codes are stable: scripts may branch on them, on the exit status and on the JSON",
        "report, never on the sentences. The step is where a code usually arises ([verification.md](verification.md)",
        "says what each step does). A code marked *undecided* means that modseal cannot judge: the verdict is",
        "`undecided` (exit status 3) unless something else is wrong. A *retired* code is not given any more; it keeps",
        "its meaning in old reports.",
        "",
        "| code | step | meaning | next step for you |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {_step(code)} | {_cell(_meaning(code))} | {_cell(code.next_step)} |"
        for name, code in CODES.items()
    ]
    lines += [
        "",
        "## Known causes",
        "",
        "Where the cause behind a code is known, the evidence has it as `cause` (or as `reason`, where a file was",
        "recognised as something else), and the next step is the one that fits it:",
        "",
        "| cause | next step for you |",
        "|---|---|",
        *(f"| `{name}` | {_cell(step)} |" for name, step in CAUSES.items()),
    ]
    return "\n".join(lines) + "\n"


def _step(code: Code) -> str:
    where = "none" if code.step is None else f"{code.step} {STEPS[code.step]}"
    return ", *".join([where, *(f"{mark}*" for mark in _marks(code))])


def _marks(code: Code) -> list[str]:
    return [mark for mark, holds in (("undecided", code.undecided), ("retired", code.retired)) if holds]


def _marked(code: Code) -> str:
    return f" ({', '.join(_marks(code))})" if _marks(code) else ""


def _meaning(code: Code) -> str:
    return f"{code.meaning} Retired: {code.retired}" if code.retired else code.meaning


def _codes_table(step: int) -> str:
    lines = ["| code | meaning |", "|---|---|"]
    lines += [
        f"| `{name}`{_marked(code)} | {_cell(_meaning(code))} |" for name, code in CODES.items() if code.step == step
    ]
    return "\n".join(lines)


def _algorithms_table() -> str:
    rows = [f"| `{row.name}` | {row.digest_name} | {row.signature_oid} |" for row in ALGORITHMS.values()]
    return "\n".join(["| name | digest | signature algorithm |", "|---|---|---|", *rows])


def _path_lists() -> str:
    return "\n".join(
        f"* `{name}`: {', '.join(f'`{path}`' for path in paths)}" for name, paths in policy_shape.PATH_LISTS.items()
    )


def _powers_table() -> str:
    lines = ["| power | what it allows | community default | where |", "|---|---|---|---|"]
    for power in Power:
        allowed = "no" if power in GUARDED else "yes"
        places = ", ".join(f"`{place}`" for place in PLACES[power])
        lines.append(f"| `{power}` | {_cell(MEANINGS[power])} | {allowed} | {places} |")
    return "\n".join(lines)


# What guests and daemons did, for docs/enforcement.md.


def _tries() -> dict[str, Any]:
    """What `make vm-table` has written."""
    found: dict[str, Any] = json.loads((ROOT / "docs/enforcement.json").read_text("utf-8"))
    return found


def _ipe_tries() -> str:
    found = _tries()
    lines = [f"Linux {found['kernel']}, {found['date']}.", "", "| tried | alone | shipped | what closes it |"]
    lines.append("|---|---|---|---|")
    for row in found["ipe"]:
        words = (row["what"], row.get("alone", ""), row["shipped"], row["closed"])
        lines.append("| " + " | ".join(map(_cell, words)) + " |")
    return "\n".join(lines)


def _image_tries() -> str:
    """What `make vm-image` has written of a booted host image."""
    found = json.loads((ROOT / "docs/reference-host.json").read_text("utf-8"))
    got_in = [one for one in found["tries"] if one["outcome"] == "reached" and one["closed"]]
    lines = [f"Linux {found['kernel']}, {found['date']}: {len(got_in)} got through.", ""]
    lines += ["| tried | outcome | what closes it |", "|---|---|---|"]
    for row in found["tries"]:
        lines.append(f"| {_cell(row['what'])} | {row['outcome']} | {_cell(row['closed'])} |")
    return "\n".join(lines)


def _power_cuts() -> str:
    """What `make power-cuts` has written of an update."""
    found = json.loads((ROOT / "docs/power-cuts.json").read_text("utf-8"))
    rows = (
        ("cuts", found["cuts"]),
        ("the old state started", found["old"]),
        ("the new state started, on trial", found["trial"]),
        ("the new state started, and was kept already", found["new"]),
        ("anything else", found["cuts"] - found["old"] - found["trial"] - found["new"]),
        ("started what was predicted", found["predicted"]),
    )
    if "kills" in found:
        rows += (
            ("QEMU killed by SIGKILL", found["kills"]),
            ("the old state started", found["killed-old"]),
            ("the new state started", found["killed-new"]),
            ("anything else", found["kills"] - found["killed-old"] - found["killed-new"]),
        )
    lines = [f"{found['date']}, seed {found['seed']}.", "", "| | |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {what} | {count} |" for what, count in rows)])


def _routes_table() -> str:
    """Who may ask a served host for what: the table that the service itself looks into."""
    lines = ["| request | from role | what it asks for |", "|---|---|---|"]
    lines += [f"| `{one.method} {one.path}` | {one.role} | {_cell(one.about)} |" for one in ROUTES]
    return "\n".join(lines)


def _redfish_judged() -> str:
    """What `make redfish` has found."""
    found = json.loads((ROOT / "docs/redfish.json").read_text("utf-8"))
    judge, made_up = found["validator"], found["schemathesis"]
    rows = (
        (
            f"redfish-service-validator {judge['version']}, schemas DSP8010 {judge['schemas']}",
            f"{judge['resources']} resources: {judge['passed']} passed, {judge['warned']} warnings, 0 failures",
        ),
        (f"redfish {found['redfish']}", "pushes a good bundle and a bad one, waits, and says why one is refused"),
        (f"sushy {found['sushy']}", "finds manager, modules, tasks, and the message of a refused one"),
        (
            f"schemathesis {made_up['version']}",
            f"{made_up['reader']} requests of a reader, {made_up['admin']} of an administrator: all answered so",
        ),
    )
    lines = [f"{found['date']}.", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {who} | {what} |" for who, what in rows)])


def _kernel_tries() -> str:
    found = _tries()
    names = {"ima": "IMA", "fsverity": "fs-verity"}
    lines = [f"Linux {found['kernel']}, {found['date']}.", "", "| with | tried | outcome | what closes it |"]
    lines.append("|---|---|---|---|")
    for row in found["ima"]:
        words = (names[row["by"]], row["what"], row["outcome"], row["closed"])
        lines.append("| " + " | ".join(map(_cell, words)) + " |")
    return "\n".join(lines)


def _exec_cost() -> str:
    """What `make exec-cost` has measured."""
    found = json.loads((ROOT / "docs/exec-cost.json").read_text("utf-8"))
    about = f"{found['machine']}, {found['date']}; {found['rounds']} rounds of {found['starts']} starts each."
    lines = [about, "", "| program | alone | the guard adds | fapolicyd adds |", "|---|---:|---:|---:|"]
    for row in found["rows"]:
        added = ["{} ({} to {})".format(*row[name]) for name in ("guard", "fapolicyd")]
        lines.append(f"| `{row['program']}` | {row['alone']} | {added[0]} | {added[1]} |")
    return "\n".join(lines)


# The rules of docs/audits.md.


def _rules_table() -> str:
    rows = [f"| [`{rule.id}`](#{rule.id}) | {rule.severity} | {_cell(rule.title)} |" for rule in RULES]
    return "\n".join(["| rule | severity | finds |", "|---|---|---|", *rows])


def _rule_sections() -> str:
    return "\n\n".join("\n".join(_rule_section(rule)) for rule in RULES)


def _rule_section(rule: Rule) -> Iterator[str]:
    whole = " It looks at all bundles of the audit together." if rule.start else ""
    yield f"### {rule.id}"
    yield ""
    yield f"**{rule.title}.** Severity: {rule.severity}.{whole}"
    yield ""
    for label, text in (("What", rule.what), ("Why", rule.why), ("Next step", rule.remedy), ("Example", rule.example)):
        yield f"* {label}: {text}"


# The attacks of docs/threat-model.md.


def attacks() -> dict[str, dict[str, dict[str, str]]]:
    """The attacks by the title of their group, then by id."""
    groups = tomllib.loads((ROOT / "docs/attacks.toml").read_text("utf-8"))["group"]
    return {group["title"]: group["attack"] for group in groups}


def tested_ids() -> set[str]:
    """The ids that tests are named after, such as SIG-01 by `test_SIG_01_...`."""
    sources = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    found = (match for source in sources for match in _ATTACK_TEST.findall(source))
    return {f"{family}-{number}" for family, number in found}


def _attack_tables() -> str:
    tested = tested_ids()
    lines: list[str] = []
    for title, rows in attacks().items():
        lines += [f"### {title}", "", "| id | attack | what modseal does | status |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {row['attack']} | {row['answer']} | {_status(name, row, tested)} |"
            for name, row in rows.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _status(name: str, row: dict[str, str], tested: set[str]) -> str:
    if name in tested:
        return f"tested: `test_{name.replace('-', '_')}_*`"
    if "outside" in row:
        return f"does not apply: {row['outside']}"
    if "shown" in row:
        return f"shown by {row['shown']}"
    return f"waits for {row.get('waits', 'a test of its own')}"


# The sample bundle of docs/format.md.


class Sample(NamedTuple):
    """A bundle small enough to print."""

    archive: bytes
    manifest: bytes
    tar: bytes


def sample() -> Sample:
    """The sample: one directory, one file, no signature. The same bytes on every machine."""
    text = b"Hello from a module.\n"
    inputs = [
        Input("opt/hello", FileType.DIRECTORY, 0o755),
        Input("opt/hello/greeting", FileType.FILE, 0o644, None, lambda: io.BytesIO(text), len(text)),
    ]
    out = io.BytesIO()
    payload, entries = write_seal_payload("files", "tar+zstd", inputs, _MTIME, out)
    manifest = manifest_json.encode(_sample_manifest(payload, entries))
    members = (("manifest.json", manifest), (SIGNATURE_MEMBER, b""), (payload.name, out.getvalue()))
    archive = ar.MAGIC + b"".join(
        ar.encode_header(name, len(data)) + data + ar.padding(len(data)) for name, data in members
    )
    items = ((entry, iter([text]) if entry.size else iter(())) for entry in entries)
    return Sample(archive, manifest, b"".join(tar.write(items, _MTIME)))


def _sample_manifest(payload: Payload, entries: tuple[Entry, ...]) -> Manifest:
    return Manifest("seal", "Acme", "hello", "1.0-1", Level.PARTNER, "A greeting.", payloads=(payload,), files=entries)


def _sample_archive() -> str:
    data, manifest = sample()[:2]
    start = len(ar.MAGIC) + ar.HEADER_SIZE
    end = start + len(manifest)
    shown = [*hexdump(data, 0, -(-start // 16) * 16), "...", *hexdump(data, end // 16 * 16, len(data))]
    digest = hashlib.sha256(data).hexdigest()
    return _fence("text", [*shown, f"{len(data):08x}"]) + f"\n\n{len(data)} bytes, SHA-256 `{digest}`."


def _sample_manifest_bytes() -> str:
    return _fence("json", [sample().manifest.decode()])


def _sample_manifest_pretty() -> str:
    return _fence("json", json.dumps(json.loads(sample().manifest), indent=2).splitlines())


def _sample_tar() -> str:
    data = sample().tar
    return _fence("text", [*hexdump(data, tar.BLOCK, 2 * tar.BLOCK + 32), "..."])


def hexdump(data: bytes, start: int, end: int) -> Iterator[str]:
    """Lines as `hexdump -C` prints them, repeated lines as one `*`."""
    last, folded = b"", False
    for offset in range(start, min(end, len(data)), 16):
        row = data[offset : offset + 16]
        if row == last:
            if not folded:
                yield "*"
            folded = True
            continue
        last, folded = row, False
        pairs = " ".join(f"{byte:02x}" for byte in row[:8]), " ".join(f"{byte:02x}" for byte in row[8:])
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{offset:08x}  {pairs[0]:<23}  {pairs[1]:<23}  |{text}|"


def _fence(language: str, lines: list[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


REGIONS: dict[str, Callable[[], str]] = {
    "attacks": _attack_tables,
    "algorithms": _algorithms_table,
    "path-lists": _path_lists,
    "exec-cost": _exec_cost,
    "ipe-tries": _ipe_tries,
    "image-tries": _image_tries,
    "power-cuts": _power_cuts,
    "kernel-tries": _kernel_tries,
    "powers": _powers_table,
    "redfish": _redfish_judged,
    "routes": _routes_table,
    "rules": _rules_table,
    "rule-sections": _rule_sections,
    "sample-archive": _sample_archive,
    "sample-manifest": _sample_manifest_bytes,
    "sample-manifest-pretty": _sample_manifest_pretty,
    "sample-tar": _sample_tar,
}


def main(arguments: list[str]) -> int:
    """Write what is not current, or only say so with `--check`."""
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROOT)}: {'not current' if '--check' in arguments else 'written'}\n")
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(outputs()[path], "utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
