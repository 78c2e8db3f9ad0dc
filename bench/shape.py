"""The shape of the code in figures: `make shape`. What it counts is said beside each figure; it judges nothing."""

from __future__ import annotations

import ast
import io
import json
import re
import statistics
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tools" / "modseal"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Print the figures, as text or (`--json`) as JSON."""
    figures = {**_sizes(), **_cold_verify()}
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:<52}{value:>10}")


def _sizes() -> dict[str, float]:
    texts = {path: path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    functions = [node for tree in trees.values() for node in _functions(tree)]
    lengths = sorted(map(_length, functions))
    comments = sum(map(_comments, texts.values()))
    docstrings = sum(map(_docstring_lines, trees.values()))
    lines = sum(text.count("\n") for text in texts.values())
    blank = sum(1 for text in texts.values() for line in text.splitlines() if not line.strip())
    once = sum(map(_private_used_once, trees.values()))
    modules = [text.count("\n") for text in texts.values()]
    return {
        "modules": len(texts),
        "lines": lines,
        "lines of code": lines - blank - comments - docstrings,
        "lines of docstrings": docstrings,
        "lines with comments": comments,
        "module, median lines": statistics.median(modules),
        "module, most lines": max(modules),
        "functions": len(functions),
        "functions per 1,000 lines": round(1000 * len(functions) / lines, 1),
        "function, median lines without docstring": statistics.median(lengths),
        "function, 90 % have at most": lengths[len(lengths) * 9 // 10],
        "function, most lines": lengths[-1],
        "private functions used once in their module": once,
        "of all functions, %": round(100 * once / len(functions), 1),
    }


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _docstring_lines(tree: ast.Module) -> int:
    """Lines of docstrings, those of constants and fields too: every statement that is a text alone."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return sum((node.end_lineno or 0) - node.lineno + 1 for node in found if isinstance(node.value.value, str))


def _comments(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.COMMENT and not token.line.split("#")[0].strip() for token in tokens)


def _private_used_once(tree: ast.Module) -> int:
    """Functions and methods with a leading underscore whose name stands in one other place of the module."""
    names = [node.name for node in _functions(tree) if node.name.startswith("_") and not node.name.startswith("__")]
    used = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    used.update(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return sum(used[name] == 1 for name in names)


def _cold_verify() -> dict[str, float]:
    """What one `modseal verify` of a small bundle imports of modseal, in a process of its own."""
    code = (
        "import sys; sys.argv = ['modseal', 'verify', 'hello.seal', '--policy', 'keys-example/policy.toml']\n"
        "import os; os._exit = lambda status: None\n"
        "from modseal.cli.main import main; main()\n"
        "print(*[m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'modseal'], sep='\\n')"
    )
    with_path = {"PYTHONPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"}
    bundle = ROOT / "hello.seal"
    missing = not bundle.exists()
    try:
        _command(["pack", "docs/examples/hello", "-o", "hello.seal"], with_path)
        _command(
            [
                "sign",
                "hello.seal",
                "--key",
                "keys-example/partner/signer.key",
                "--cert",
                "keys-example/partner/signer.pem",
            ],
            with_path,
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=with_path, capture_output=True, text=True, check=True
        )
    finally:
        if missing:
            bundle.unlink(missing_ok=True)
    files = [line for line in done.stdout.splitlines() if re.search(r"modseal/.*\.py$", line) and " " not in line]
    lines = sum(Path(file).read_text("utf-8").count("\n") for file in files)
    return {"modules that a cold verify loads": len(files), "their lines": lines}


def _command(arguments: list[str], environ: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from modseal.cli.main import main; main()", *arguments]
    subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True)


if __name__ == "__main__":
    main()
