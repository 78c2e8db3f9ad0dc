"""Asks one host by `modseal remote`, for all modules alike."""

from __future__ import annotations

import json

ARGUMENTS = {
    "host": {"type": "str", "required": True},
    "inventory": {"type": "path"},
    "ca": {"type": "path"},
    "cert": {"type": "path"},
    "key": {"type": "path"},
    "wait": {"type": "int"},
    "executable": {"type": "path", "default": "modseal"},
}
"""What every module can be told. A key is a file: what is in it is no argument, so that no log can have it."""


def ask(module, *words):
    """What the host says to some words of `modseal remote`; the task fails where it has not accepted."""
    given = module.params
    command = [module.get_bin_path(given["executable"], required=True), "remote", "--format", "json"]
    for name in ("inventory", "ca", "cert", "key", "wait"):
        if given[name] is not None:
            command += [f"--{name}", str(given[name])]
    if given["host"].startswith("-"):
        module.fail_json(msg="the name of a host does not begin with '-'", undecided=True)
    status, out, err = module.run_command([*command, given["host"], *words])
    try:
        (answer,) = json.loads(out)["hosts"]
        verdict, result, problem = answer["verdict"], answer["result"], answer["problem"]
    except (ValueError, KeyError, TypeError):
        module.fail_json(msg=err.strip() or "modseal gave no result", undecided=True)
    if (status == 0) != (verdict == "accepted"):
        module.fail_json(msg="modseal gave a result that contradicts its exit status", undecided=True)
    if verdict != "accepted":
        first = _first(problem or result)
        why = f"{first['code']}: {first['detail']}; next: {first['next_step']}" if first else "see result"
        module.fail_json(msg=f"{verdict}: {why}", result=result, problem=problem, undecided=verdict != "rejected")
    return result


def _first(found):
    """What speaks against it first."""
    if "code" in found:
        return found
    for key in ("problems", "findings", "lost"):
        if found.get(key):
            return found[key][0]
    for result in found.get("results", ()):
        for check in result["checks"]:
            if check["code"]:
                return {"next_step": "see result", **check}
    return None
