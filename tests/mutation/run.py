"""Mutation testing of the verify path: `make mutate`, docs/mutation.md says what comes out.

mutmut makes the mutants; the tests run here, because mutmut starts pytest anew for each of 8,000 mutants.
One process collects the tests once, measures each, and notes which functions it calls. For each mutant it
forks a child, which runs the tests that call the mutated function (likely ones first) until one fails.

    python tests/mutation/run.py              everything
    python tests/mutation/run.py examine cms  these modules
    python tests/mutation/run.py --again      mutants that nothing killed in the last run
    python tests/mutation/run.py --show cms   the survivors, as differences
"""

# ruff: noqa: T201 - it prints

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import difflib
import functools
import gc
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import modseal_switch
import pytest
from modseal_switch import HITS, SWITCHES

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("MUTATE_WORK", ROOT / "build" / "mutate")).resolve()
COPIED = ("tools", "tests", "docs", "schemas", "keys-example", "fuzz", "pyproject.toml", "README.md", "CHANGELOG.md")
TESTS = (
    "tests/trust",
    "tests/pki",
    "tests/policy",
    "tests/format",
    "tests/attacks",
    "tests/limits/test_limits_bytes.py",
    "tests/limits/test_limits_manifest.py",
    "tests/limits/test_limits_trust.py",
    "tests/bundle/test_verify.py",
    "tests/bundle/test_open.py",
    "tests/mutation",
)

OWN_TESTS = {
    "ar": ("test_ar", "test_attacks_container"),
    "certificate": ("test_certificate.", "test_crl", "test_limits_trust", "test_x509_chains", "test_attacks_x509"),
    "cms": ("test_cms", "test_limits_bytes", "test_attacks_cms"),
    "anchors": ("test_anchors", "test_deny"),
    "contents": ("test_contents", "test_integrity"),
    "deny": ("test_deny",),
    "effort": ("test_effort", "test_attacks_effort"),
    "examination": ("test_checks", "test_examine", "test_signers", "test_powers"),
    "examine": (
        "test_checks",
        "test_changed_descriptors",
        "test_signers",
        "test_integrity",
        "test_examine",
        "test_expected_signers",
        "test_powers",
    ),
    "granted": ("test_granted", "test_powers"),
    "integrity": ("test_integrity", "test_checks", "test_examine", "test_contents"),
    "extensions": ("test_certificate.", "test_crl", "test_limits_trust", "test_certificate_library"),
    "names": (
        "test_certificate.",
        "test_name_constraints",
        "test_crl",
        "test_limits_trust",
        "test_certificate_library",
    ),
    "path": ("test_path", "test_effort", "test_x509_chains", "test_attacks_x509"),
    "policy_graph": ("test_certificate_policies", "test_pkits"),
    "policy": ("trust/test_policy", "test_granted", "test_powers"),
    "restrictions": ("test_deny", "test_recalls", "test_examine", "test_checks"),
    "revocation": ("test_revocation", "test_effort"),
    "rules": ("test_rules", "test_manifest_json", "test_descriptor"),
    "signers": (
        "test_signers",
        "test_checks",
        "test_examine",
        "test_expected_signers",
        "test_timestamp",
        "test_deny",
        "test_powers",
    ),
    "timestamp": ("test_timestamp", "test_deny", "test_signers"),
    "signature": ("test_signature", "test_attacks_signature", "test_attacks_cms"),
}
"""The files of tests that are tried first for a module, in this order, where they are not just named after it."""

IN_OTHER_PROCESSES = "not (locale or without_loading or does_not_load)"
"""Tests that run modseal as a command see no mutant."""

TEXT_OF_CALLS = {
    "FormatError": 1,
    "Failure": 1,
    "failed": 3,
    "passed": 2,
    "skipped": 2,
    "unexamined": 1,
    "set_aside": 1,
    "collect": 3,
    "malformed": 0,
    "_unsafe": 0,
    "_clash": 0,
    "_unusable": 1,
    "NotJudgedError": 0,
    "quote": 0,
    "AssertionError": 0,
    "_bad": 0,
    "timestamp._bad": 1,
}
"""Whose arguments, after the first so many, are sentences and evidence: what people read, not what decides."""

TEXT_NAMES = {"detail", "evidence", "why", "note", "who"}
"""Variables that hold such text."""

TEXT_FUNCTIONS = {
    "evidence",
    "next_step",
    "shown",
    "_shown",
    "_evidence",
    "_path_text",
    "_revocation_text",
    "__repr__",
}
"""Functions that make nothing else."""

PROSE_WORDS = 3
"""A literal with at least so many words is a sentence."""

DECIDING_EVIDENCE = {"contents", "timestamp"}
"""Modules where evidence decides something: the order of failures, and which tokens are merely unknown."""


_DEAR = 0.3
"""Seconds from which a test is not tried first for what it has noticed before: it would leave no time for others."""

RULES = "1"
"""To be changed with what is said above: mutants are remembered under it."""


class Normal(ast.NodeTransformer):
    """A function without its texts: two that are equal then differ in nothing that a verdict rests on."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        kept = TEXT_OF_CALLS.get(f"{self.module}.{name}", TEXT_OF_CALLS.get(name))
        if kept is None:
            return node
        decides = name in ("Failure", "FormatError") and self.module in DECIDING_EVIDENCE
        texts = node.args[kept : kept + 1] if name in ("Failure", "FormatError") else node.args[kept:]
        node.args = [
            *node.args[:kept],
            *(ast.Constant("text") for _ in texts),
            *(node.args[kept + 1 :] if decides else ()),
        ]
        node.keywords = node.keywords if decides else []
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id in TEXT_NAMES:
            node.value = ast.Constant("text")
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name) and node.target.id in TEXT_NAMES:
            node.value = ast.Constant("text")
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        prose = isinstance(node.value, str) and len(node.value.split()) >= PROSE_WORDS
        return ast.Constant("text") if prose else node


def original(mutant: str) -> str:
    """The mangled name of a mutant's function: x_name, or xǁClassǁname."""
    return mutant.partition("__mutmut_")[0]


def plain(mutant: str) -> str:
    """The name of a mutant's function as the source has it."""
    name = original(mutant).rpartition("ǁ")[2]
    return name.removeprefix("x_").removeprefix("_wrapped_")


def essence(module: str, function: ast.FunctionDef, name: str) -> str:
    """A function without its name and its texts."""
    return ast.dump(Normal(module).visit(copy.deepcopy(function))).replace(name, "f")


def unwrap(source: str) -> str:
    """mutmut leaves decorated functions alone, so `@w def f` becomes `def _wrapped_f` and `f = w(_wrapped_f)`."""
    tree = ast.parse(source)
    lines = source.splitlines()
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and len(node.decorator_list) == 1
        and re.match(r"property|functools\.lru_cache|functools\.cache$", ast.unparse(node.decorator_list[0]))
    ]
    for node in sorted(found, key=lambda node: -node.lineno):
        wrapper, indent = ast.unparse(node.decorator_list[0]), " " * node.col_offset
        late = (
            f"lambda self: self._wrapped_{node.name}()"
            if wrapper == "property"
            else f"lambda *a, **k: _wrapped_{node.name}(*a, **k)"
        )
        lines.insert(node.end_lineno, f"{indent}{node.name} = {wrapper}({late})")
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"def {node.name}(", f"def _wrapped_{node.name}(", 1)
        del lines[node.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


@dataclass
class Mutant:
    """One mutant: the module and the function that it changes, its difference, and what became of it."""

    key: str
    module: str
    text_only: bool
    difference: str
    lines: Sequence[str] = ()
    outcome: str = "not run"
    killer: str = ""

    @property
    def function(self) -> str:
        return original(self.key)


def copy_tree() -> None:
    """The project's tree into the work folder, so that nothing there is disturbed, and nothing here changed."""
    shutil.rmtree(WORK / "tree", ignore_errors=True)
    (WORK / "tree").mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, WORK / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, WORK / "tree" / name)
    with contextlib.suppress(OSError):
        (WORK / "shared").symlink_to(ROOT.parent / "shared")


def make_mutants() -> list[Mutant]:
    """Write each module of the verify path with all its mutants into the copy."""
    os.chdir(WORK / "tree")
    shutil.copy(Path(modseal_switch.__file__), WORK / "tree" / "tools")
    from mutmut.configuration import config
    from mutmut.mutation.file_mutation import mutate_file_contents

    mutants: list[Mutant] = []
    for name in config().only_mutate:
        path = WORK / "tree" / name
        source = unwrap(path.read_text("utf-8"))
        known = WORK / f"{hashlib.sha256((source + RULES).encode()).hexdigest()}.json"
        if not known.exists():
            made = mutate_file_contents(name, source)
            code = made.code.replace("from mutmut.mutation.trampoline import", "from modseal_switch import")
            known.write_text(json.dumps({"code": code, "mutants": describe(path, code, made.mutant_names)}), "utf-8")
        found = json.loads(known.read_text("utf-8"))
        path.write_text(found["code"], "utf-8")
        lines = statements(path, found["code"], [each["key"].rpartition(".")[2] for each in found["mutants"]])
        mutants += [Mutant(**each, lines=lines[each["key"].rpartition(".")[2]]) for each in found["mutants"]]
    return mutants


def statements(path: Path, code: str, names: Sequence[str]) -> dict[str, list[str]]:
    """The lines of the statement that each mutant changes, as `file:line` of the original in the mutated file."""
    text = code.splitlines()
    functions = {node.name: node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}
    found: dict[str, list[str]] = {}
    for name in names:
        before, after = functions[original(name) + "__mutmut_orig"], functions[name]
        pairs = zip(text[before.lineno : before.end_lineno], text[after.lineno : after.end_lineno], strict=False)
        offset = next((number for number, (one, other) in enumerate(pairs, 1) if one != other), 0)
        first, last = span(before, before.lineno + offset)
        found[name] = [f"{path.name}:{number}" for number in range(first, last + 1)]
    return found


def span(function: ast.FunctionDef, line: int) -> tuple[int, int]:
    """The first and the last line of the innermost statement at a line; of a compound one, those before its body."""
    best = function.body[0].lineno, function.end_lineno or line
    for node in ast.walk(function):
        if isinstance(node, ast.stmt) and node is not function:
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            if node.lineno <= line <= last and last - node.lineno <= best[1] - best[0]:
                best = node.lineno, last
    return best


class Tracer:
    """Notes the lines of the verify path that run, as `file:line`."""

    def __init__(self, files: Sequence[str]) -> None:
        self.lines: set[str] = set()
        self.files = {str(WORK / "tree" / name): self._of(Path(name).name) for name in files}

    def __call__(self, frame, event: str, arg: object):
        return self.files.get(frame.f_code.co_filename)

    def _of(self, name: str):
        def trace(frame, event: str, arg: object):
            if event == "line":
                self.lines.add(f"{name}:{frame.f_lineno}")
            return trace

        return trace


def describe(path: Path, code: str, names: Sequence[str]) -> list[dict[str, object]]:
    """What each mutant of a module changes, and whether that is text alone."""
    module = ".".join(path.relative_to(WORK / "tree" / "tools").with_suffix("").parts)
    functions = {node.name: node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}
    originals: dict[str, tuple[str, list[str]]] = {}
    found: list[dict[str, object]] = []
    for name in names:
        first = original(name) + "__mutmut_orig"
        if first not in originals:
            lines = ast.unparse(functions[first]).splitlines()[1:]
            originals[first] = essence(path.stem, functions[first], first), lines
        same, lines = originals[first]
        text_only = plain(name) in TEXT_FUNCTIONS or essence(path.stem, functions[name], name) == same
        changed = ast.unparse(functions[name]).splitlines()[1:]
        difference = "\n".join(list(difflib.unified_diff(lines, changed, lineterm="", n=1))[2:])
        found.append({"key": f"{module}.{name}", "module": path.stem, "text_only": text_only, "difference": difference})
    return found


def clear_caches() -> None:
    """What modseal remembers was computed by the code before it was mutated."""
    for cached in CACHES:
        cached.cache_clear()


def find_caches() -> list[functools._lru_cache_wrapper[object]]:
    """All remembering functions of modseal."""
    gc.unfreeze()  # modseal.cli.main hides from the collector what has been imported, and `get_objects` asks it
    found = [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]
    return [each for each in found if (each.__module__ or "").startswith("modseal")]


CACHES: list[functools._lru_cache_wrapper[object]] = []


@dataclass(eq=False)  # pytest keeps its plug-ins in a set
class Runner:
    """A pytest plugin that runs the tests once, then again for every mutant."""

    mutants: list[Mutant]
    jobs: int
    budget: float
    seconds: float
    everything: list[Mutant]
    remember: bool
    child: bool = False
    items: list = field(default_factory=list)
    cost: dict[int, float] = field(default_factory=dict)
    callers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    killers: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))

    def pytest_runtestloop(self, session) -> bool:
        import modseal

        assert Path(modseal.__file__).is_relative_to(WORK), modseal.__file__
        CACHES[:] = find_caches()
        self.items = session.items
        session.config._tmp_path_factory.getbasetemp()
        gc.freeze()
        self._measure()
        self._run_mutants()
        return True

    def pytest_runtest_makereport(self, item, call) -> None:
        """In a child the first failure ends it: pytest would take a second to show where in the mutated file it is."""
        if self.child and call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            (WORK / f"killer-{os.getpid()}").write_text(str(self.items.index(item)))
            os._exit(1)

    def _measure(self) -> None:
        """Each test once: how long it takes, and which functions and lines it runs."""
        from mutmut.configuration import config

        started, note, tracer = time.perf_counter(), WORK / "measured-lines.json", Tracer(config().only_mutate)
        known = json.loads(note.read_text("utf-8")) if self.remember and note.exists() else {}
        for index, item in enumerate(self.items):
            if item.nodeid not in known:
                clear_caches()
                HITS.clear()
                tracer.lines = set()
                begun = time.process_time()
                following = self.items[index + 1] if index + 1 < len(self.items) else None
                following = None if following is None or following.nodeid in known else following
                sys.settrace(tracer)
                failed = run_item(item, following)
                sys.settrace(None)
                known[item.nodeid] = time.process_time() - begun, [] if failed else sorted({*HITS, *tracer.lines})
                if failed:
                    print(f"  fails without a mutant, left out: {item.nodeid}", flush=True)
            self.cost[index], places = known[item.nodeid]
            for place in places:
                self.callers[place].add(index)
            if index % 500 == 499:
                print(f"  {index + 1} tests after {time.perf_counter() - started:.0f} s", flush=True)
        run_teardown(self.items)
        note.write_text(json.dumps({name: each for name, each in known.items() if each[1]}), "utf-8")
        print(f"{len(self.items)} tests measured in {time.perf_counter() - started:.0f} s", flush=True)

    def _choose(self, mutant: Mutant) -> list[int]:
        """The tests for a mutant: what killed its neighbours, those of its module, then the rest, fast ones first."""
        killers, owns = self.killers[mutant.module], OWN_TESTS.get(mutant.module, (f"test_{mutant.module}.py",))
        calling = self.callers[mutant.function] or self._own(owns)
        running = {index for line in mutant.lines for index in self.callers.get(line, ())}
        calling = calling & running or calling
        ranks: Counter[str] = Counter()
        order: dict[int, tuple[float, ...]] = {}
        for index in sorted(calling, key=self.cost.__getitem__):
            function = self.items[index].nodeid.partition("[")[0]
            own = next((number for number, each in enumerate(owns) if each in function), len(owns))
            killed = min(killers[index], 9) if self.cost[index] < _DEAR else 0
            order[index] = -killed, own, ranks[function] // 3, self.cost[index]
            ranks[function] += 1
        calling = sorted(calling, key=order.__getitem__)
        chosen, spent = [], 0.0
        for index in calling:  # a dear test for which there is no time leaves it to the cheaper ones behind it
            if not chosen or spent + self.cost[index] <= self.budget:
                spent += self.cost[index]
                chosen.append(index)
        return chosen

    def _own(self, owns: tuple[str, ...]) -> set[int]:
        """All tests of a module: for what runs on import."""
        return {index for index in self.cost if any(each in self.items[index].nodeid for each in owns)}

    def _run_mutants(self) -> None:
        started = time.perf_counter()
        waiting, running, done = list(self.mutants), {}, 0
        while waiting or running:
            while waiting and len(running) < self.jobs and time.perf_counter() - started < self.seconds:
                mutant = waiting.pop(0)
                chosen = self._choose(mutant)
                if not chosen:
                    mutant.outcome, done = "no tests", done + 1
                    continue
                running[self._start(mutant, chosen)] = mutant
            if not running:
                break
            pid, status = os.wait()
            mutant = running.pop(pid)
            self._finish(mutant, pid, status)
            done += 1
            if done % 200 == 0:
                print(f"  {done} of {len(self.mutants)} after {time.perf_counter() - started:.0f} s", flush=True)
                save(self.everything)
        save(self.everything)
        print(f"{done} mutants in {time.perf_counter() - started:.0f} s", flush=True)

    def _start(self, mutant: Mutant, chosen: list[int]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1  # a mutant that breaks what runs the tests is noticed
        try:
            self.child = True
            limit = 10 + int(4 * sum(self.cost[index] for index in chosen))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            signal.alarm(20 * limit)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            variants = SWITCHES[mutant.function]
            variants["_mutmut_orig"] = variants[mutant.key.rpartition(".")[2]]
            clear_caches()
            compute_again(mutant)
            for index, following in zip(chosen, [*chosen[1:], None], strict=True):
                run_item(self.items[index], None if following is None else self.items[following])
            code = 0
        finally:
            os._exit(code)

    def _finish(self, mutant: Mutant, pid: int, status: int) -> None:
        note = WORK / f"killer-{pid}"
        if note.exists():
            index = int(note.read_text())
            mutant.killer = self.items[index].nodeid
            self.killers[mutant.module][index] += 1
            note.unlink()
        if os.WIFSIGNALED(status):
            slow = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM)
            mutant.outcome = "timeout" if slow else "killed"
        else:
            mutant.outcome = "killed" if os.WEXITSTATUS(status) else "survived"


def compute_again(mutant: Mutant) -> None:
    """Tables that are computed on import were computed before there was a mutant."""
    if mutant.function.endswith((".x__table", ".x__pss_parameters")):
        from modseal.pki import algorithms

        rows = algorithms._table()
        algorithms.ALGORITHMS.clear()
        algorithms.ALGORITHMS.update(rows)
    if "ǁ_PowerPlacesǁ" in mutant.function or mutant.function.endswith(".x__each"):
        from modseal.trust import powers

        tree = ast.parse(Path(powers.__file__).read_text("utf-8"))
        (table,) = [
            one.value for one in tree.body if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "PLACES"
        ]
        powers.PLACES.update(eval(compile(ast.Expression(table), powers.__file__, "eval"), vars(powers)))


def run_teardown(items) -> None:
    """Undo what tests share, so that each child sets it up for itself."""
    if items:
        items[0].session._setupstate.teardown_exact(None)


def run_item(item, following) -> bool:
    """Run one test; whether it failed."""
    from _pytest.runner import runtestprotocol

    return any(report.failed for report in runtestprotocol(item, nextitem=following, log=False))


def identity(row: dict[str, str]) -> str:
    """What a mutant is called in every run, although its number changes when a line is added above it."""
    text = f"{original(row['key'])}\n{row['difference']}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load() -> dict[str, dict[str, str]]:
    """All results so far, by identity."""
    path = WORK / "results.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def merge(mutants: list[Mutant]) -> dict[str, dict[str, str]]:
    """Results so far with those of this run; of mutants that still exist."""
    known = load()
    merged: dict[str, dict[str, str]] = {}
    count: Counter[str] = Counter()
    for each in mutants:
        row = {
            "key": each.key,
            "module": each.module,
            "text_only": each.text_only,
            "outcome": each.outcome,
            "killer": each.killer,
            "difference": each.difference,
        }
        base = identity(row)
        count[base] += 1
        name = f"{base}-{count[base]}"
        before = known.get(name, {}) if each.outcome == "not run" else {}
        merged[name] = {**row, **{key: before[key] for key in ("outcome", "killer") if before}}
    return merged


def save(mutants: list[Mutant]) -> dict[str, dict[str, str]]:
    """Write what became of each mutant, in this run or before."""
    rows = merge(mutants)
    (WORK / "results.json").write_text(json.dumps(rows, indent=1), "utf-8")
    return rows


def print_scores(rows: list[dict[str, str]]) -> None:
    """The table of docs/mutation.md."""
    print("| module | mutants | killed | timeout | survived | not run | text alone | score | with text as survived |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    modules = sorted({row["module"] for row in rows})
    for name in (*modules, "all"):
        mine = [row for row in rows if name in ("all", row["module"])]
        text = sum(row["text_only"] for row in mine)
        count = Counter(row["outcome"] for row in mine if not row["text_only"])
        survived, dead = count["survived"] + count["no tests"], count["killed"] + count["timeout"]
        score, low = (100 * dead / max(1, dead + survived + more) for more in (0, text))
        counts = f"{count['killed']} | {count['timeout']} | {survived} | {count['not run']} | {text}"
        print(f"| {name} | {len(mine)} | {counts} | {score:.1f} % | {low:.1f} % |")


def show(rows: list[dict[str, str]]) -> None:
    """Survivors with their differences."""
    for row in rows:
        if not row["text_only"] and row["outcome"] in ("survived", "no tests", "timeout"):
            print(f"# {row['key']}: {row['outcome']}\n{row['difference']}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="modules of the verify path, by their last names; all without any")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--budget", type=float, default=20, help="seconds of tests for one mutant at most")
    parser.add_argument("--seconds", type=float, default=7200, help="start no mutant after so many seconds")
    parser.add_argument(
        "--again",
        action="store_true",
        help="only mutants that nothing killed so far; known tests are not measured again",
    )
    parser.add_argument(
        "--tests", nargs="+", default=TESTS, help="only these files and folders of tests: less to measure"
    )
    parser.add_argument("--text", action="store_true", help="run the mutants that change only text, too")
    parser.add_argument("--show", action="store_true", help="print the survivors of the last run, and run nothing")
    parser.add_argument("--minimum", type=float, default=0, help="exit 1 where the score is below so many percent")
    options = parser.parse_args()
    if options.show:
        show([row for row in load().values() if not options.modules or row["module"] in options.modules])
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    copy_tree()
    mutants = make_mutants()
    known = merge(mutants)
    chosen = []
    for each, row in zip(mutants, known.values(), strict=True):
        wanted = (not options.modules or each.module in options.modules) and (options.text or not each.text_only)
        if wanted and not (options.again and row["outcome"] in ("killed", "timeout")):
            chosen.append(each)
    random.Random(len(chosen)).shuffle(chosen)  # so that a run that is cut short is a fair sample
    lived = {each.key for each, row in zip(mutants, known.values(), strict=True) if row["outcome"] == "survived"}
    chosen.sort(key=lambda each: each.key not in lived)
    print(f"{len(mutants)} mutants, {len(chosen)} to run", flush=True)
    hypothesis.settings.register_profile(
        "mutate",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    hypothesis.settings.load_profile("mutate")
    runner = Runner(chosen, options.jobs, options.budget, options.seconds, mutants, options.again)
    tests = [name for name in options.tests if (WORK / "tree" / name).exists()]
    plugins_off = ["-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain"]
    pytest.main(["-q", "-s", *plugins_off, "--rootdir=.", "-k", IN_OTHER_PROCESSES, *tests], plugins=[runner])
    rows = save(mutants)
    print_scores(list(rows.values()))
    judged = [row for row in rows.values() if not row["text_only"] and row["outcome"] != "not run"]
    dead = sum(row["outcome"] in ("killed", "timeout") for row in judged)
    return int(100 * dead < options.minimum * len(judged))


if __name__ == "__main__":
    sys.exit(main())
