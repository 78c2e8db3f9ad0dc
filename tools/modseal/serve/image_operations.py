"""What may be asked of a host that was booted from an image, whose modules its owner has signed as a whole.

It shows what runs, and proves that anew. It keeps a log, a lockdown and tasks, as every host does. What runs is changed
by what the owner has signed alone: that is pushed as a bundle is, and handed on to the process that follows it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.boot import prove, receiver, requests, slots, update
from modseal.boot.documents import GENERATION_FILE, GENERATIONS, decode_generation
from modseal.boot.managed import ManagedHost
from modseal.boot.prove import OpenImage
from modseal.codes import CODES
from modseal.errors import Failure, ModsealError, RefusedError, UndecidedError, UsageError
from modseal.files.small import read_small
from modseal.format.times import time_text
from modseal.host import event_log, plan, values
from modseal.host.admit import admit
from modseal.host.change import Change, opened
from modseal.host.compare import HostDifference
from modseal.host.documents import Generation, HostState, ModuleName, Reference
from modseal.host.installed import Installed, is_accepted
from modseal.host.keep import Nothing
from modseal.host.look import ShownHistory, ShownModule, ShownModules, ShownOne
from modseal.host.plan import ChangePlan
from modseal.host.store import open_store
from modseal.host.verify import Verification
from modseal.host.write import advance
from modseal.serve.inventory import inventory, proof
from modseal.serve.operations import OPERATIONS, Answer, Asked, Operation, changed
from modseal.trust.examination import Verdict

_ANSWER_SECONDS = 900
"""Within which the host has proved and written an update."""
_AS_EVERYWHERE = ("whoami", "log", "events", "lockdown", "keys")
"""What is not one of these, and has no function of its own here, is refused."""
_WAITS = "the host restarts into it, and keeps it if it runs well"


def operations(host: ManagedHost) -> Mapping[str, Operation]:
    """The operations of a host image, by the names of those of every host."""
    own: Mapping[str, Callable[..., Answer]] = {
        "state": _state,
        "modules": partial(_listed, write=values.list_values),
        "inventory": partial(_listed, write=inventory),
        "module": partial(_named, write=values.get_values),
        "proof": partial(_named, write=proof),
        "history": _history,
        "install": _install,
        "verify": _verify,
        "level": _level,
        "policy": _policy,
        "recalls": _recalls,
    }
    acts = {name: partial(act, host) for name, act in own.items()}
    return {
        name: one if name in _AS_EVERYWHERE else replace(one, act=acts.get(name, _owned))
        for name, one in OPERATIONS.items()
    }


def _owned(asked: Asked) -> Answer:  # noqa: ARG001 - as every operation
    raise RefusedError("owner-decides", "what this host runs, and for which level, is signed by its owner as a whole")


def _state(host: ManagedHost, asked: Asked) -> Answer:
    document, policy = host.running.content
    own = {
        "generation": host.generation,
        "pending": None,
        "level": str(document.level),
        "policy_minimum": str(policy.minimum_level),
        "modules": len(host.images),
    }
    return Answer(Verdict.ACCEPTED, {**OPERATIONS["state"].act(asked).document, **own})


def _level(host: ManagedHost, asked: Asked) -> Answer:  # noqa: ARG001 - as every operation
    document, policy = host.running.content
    return Answer(Verdict.ACCEPTED, values.acceptance_values(document.level, policy.minimum_level))


def _policy(host: ManagedHost, asked: Asked) -> Answer:
    found = [one.module for one in _shown(host, asked).modules or () if one.module]
    refused = [one for one in found if not is_accepted(one)]
    return Answer(Verdict.ACCEPTED, values.policy_values(host.running.content[1], refused))


def _recalls(host: ManagedHost, asked: Asked) -> Answer:  # noqa: ARG001 - as every operation
    return Answer(Verdict.ACCEPTED, values.recalls_values(host.running.content[1].kept_recalls, ()))


def _again(host: ManagedHost, image: OpenImage, at: datetime) -> Installed:
    """A module that runs, with today's examination of its bundle. Raises `UndecidedError` (installed-changed)."""
    path = host.data / GENERATIONS / str(host.generation) / image.bundle
    result = admit(path, host.running.content[1], at, Nothing()).result
    if result.examination is None or result.sha256 != image.module.record.bundle:
        detail = f"the bundle of {image.module.name} {image.module.version} is not there any more as it was proved"
        raise UndecidedError("installed-changed", detail, module=image.module.name)
    return replace(image.module, examination=result.examination)


def _shown(host: ManagedHost, asked: Asked) -> ShownModules:
    modules, findings = [], []
    for image in host.images:
        try:
            found = _again(host, image, asked.at)
        except UndecidedError as error:
            found = None
            findings.append(HostDifference(image.module.name, error.failure))
        modules.append(ShownModule(_name(image.module), found))
    with open_store(asked.root) as store:
        state = _standing(host, store.state)
    return ShownModules(state, state.generation, tuple(modules), judged=True, findings=tuple(findings))


def _name(module: Installed) -> ModuleName:
    return ModuleName(module.manifest.vendor, module.name, module.version, module.record.manifest)


def _standing(host: ManagedHost, state: HostState) -> HostState:
    """The state of the log and the lockdown, with the generation that runs, the one on trial, and the root's level."""
    trial = update.load(host.data).trial
    waits = Reference(trial.state.generation, "") if trial and not trial.started else None
    return replace(state, generation=Reference(host.generation, ""), pending=waits, level=host.running.content[0].level)


def _listed(host: ManagedHost, asked: Asked, *, write: Callable[[ShownModules], dict[str, Any]]) -> Answer:
    found = _shown(host, asked)
    return Answer(found.verdict, write(found))


def _named(host: ManagedHost, asked: Asked, *, write: Callable[[ShownOne], dict[str, Any]]) -> Answer:
    name = asked.arguments.get("name", "")
    found = _shown(host, asked)
    one = next((one for one in found.modules or () if one.recorded.name == name), None)
    if one is None:
        raise RefusedError("not-installed", f"no module {name!r} is installed", module=name)
    shown = ShownOne(one, True, tuple(each for each in found.findings if each.module == name))
    return Answer(shown.verdict, write(shown))


def _generation(host: ManagedHost, number: int, at: datetime) -> tuple[list[Installed], list[Failure], str]:
    """The accepted modules of a generation that is kept, what is wrong with others, and when it was written."""
    folder = host.data / GENERATIONS / str(number)
    data = read_small(folder / GENERATION_FILE, limits.HOST_DOCUMENT_SIZE).data
    document, policy = host.running.content
    generation = decode_generation(data, f"generation {number}")
    found, refused = prove.accepted_bundles(folder, generation, policy, document.level, at)
    written = datetime.fromtimestamp(int((folder / GENERATION_FILE).stat().st_mtime), at.tzinfo)
    failures = [Failure(one.failure.code, f"{one.bundle}: {one.failure.detail}") for one in refused]
    return [module for _, module in found], failures, time_text(written)


def _history(host: ManagedHost, asked: Asked) -> Answer:
    """Both slots' generations, and those before them. A module is named where today's policy accepts its bundle."""
    slots_found = update.load(host.data)
    parents = {one.generation: one.previous for one in slots_found.slots.values()}
    generations, findings = [], []
    for number in sorted({*slots.generations(slots_found)}):
        modules, failures, written = _generation(host, number, asked.at)
        findings += [HostDifference(None, one) for one in failures]
        generations.append(Generation(number, parents.get(number), written, "update", tuple(map(_name, modules))))
    with open_store(asked.root) as store:
        state = _standing(host, store.state)
    found = ShownHistory(state, tuple(generations), {}, {}, tuple(findings))
    return Answer(found.verdict, values.history_values(found))


def _verify(host: ManagedHost, asked: Asked) -> Answer:
    """Each module's bundle under today's policy, each file of its image against what is signed, and the log."""
    modules: list[Installed] = []
    findings = [HostDifference(None, Failure(one.failure.code, f"{one.bundle}: {one.failure.detail}"))
        for one in host.refused]  # fmt: skip
    for image in host.images:
        name = image.module.name
        try:
            modules.append(_again(host, image, asked.at))
        except UndecidedError as error:
            findings.append(HostDifference(name, error.failure))
        findings += [HostDifference(name, one) for one in prove.image_failures(image.place, image.module)]
    unfit = plan.unfit(modules, host.running.content[0].level)
    findings += [HostDifference(str(one.evidence["module"]), one) for one in unfit]
    with open_store(asked.root) as store:
        try:
            for _ in event_log.events(store):
                pass
        except ModsealError as error:
            findings.append(HostDifference(None, error.failure))
        paths = sum(len(image.module.entries) for image in host.images)
        found = Verification(store.state, host.generation, tuple(modules), tuple(findings), paths, None)
    return Answer(found.verdict, values.verification_values(found, asked.at))


def _install(host: ManagedHost, asked: Asked) -> Answer:
    """Follow what the owner has signed; of a bundle, say what would become of it, which is never an installation."""
    word, dry_run = asked.arguments.get("Action", "install"), asked.arguments.get("DryRun", False)
    signed = [path for path in asked.bundles if requests.is_one(path)]
    if signed and (dry_run or len(asked.bundles) > 1):
        raise UsageError("push what the owner has signed by itself, and without a dry run: the host tries it by itself")
    if signed:
        return _follow(host, asked, word, signed[0])
    document, policy = host.running.content
    with opened(asked.root, word, asked.at, asked.actor, dry_run=dry_run):
        admitted = [admit(path, policy, asked.at, Nothing()) for path in asked.bundles]
        change = Change(word, tuple(one.result for one in admitted))
        coming = [one.module for one in admitted if one.module]
        if len(coming) == len(admitted):
            running = [_again(host, image, asked.at) for image in host.images]
            found = plan.arrival(running, (), coming, document.level, update=word == "update")
            against = found.failures
            if found.changes and not against:
                against = (Failure("owner-decides", "nothing speaks against these bundles; the owner signs what runs"),)
            change = replace(change, plan=ChangePlan((), skipped=found.skipped), failures=against)
        return changed(change)


def _follow(host: ManagedHost, asked: Asked, word: str, path: Path) -> Answer:
    """Hand a request of the owner to the process that follows it, and tell what became of it."""
    with opened(asked.root, word, asked.at, asked.actor, dry_run=False) as (store, staging):
        said = _delivered(host.receiver, path)
        if said.get("outcome") != "accepted":
            code = next((name for name in CODES if name == said.get("code")), None)
            if code is None:
                raise UndecidedError(
                    "io-error", "the process that follows the owner does not answer; it may have ended"
                )
            return changed(Change(word, failures=(Failure(code, str(said.get("detail", ""))),)))
        number = int(said["generation"])
        if staging:
            facts = {"generation": str(number), "version": str(said["version"]), "waits": _WAITS}
            advance(store, staging, asked.at, word, facts)
    try:
        after, _, _ = _generation(host, number, asked.at)
        running = {image.module.record.manifest: image.module for image in host.images}
        after = [running.get(one.record.manifest, one) for one in after]  # one that stays is the very same
        found = replace(plan.exchange([*running.values()], after), waits=(_WAITS,))
    except (ModsealError, OSError):  # what the new root's policy accepts, this root's need not
        found = ChangePlan((), waits=(_WAITS,))
    return changed(Change(word, plan=found, generation=number, waits=True))


def _delivered(control: socket.socket, path: Path) -> Mapping[str, Any]:
    """What the receiver says of a delivery; nothing where it has ended."""
    said = b""
    with suppress(OSError), path.open("rb") as file, receiver.hand_over(control, path.stat().st_size) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        with suppress(OSError):  # it has answered already, and reads no more
            connection.sendfile(file)
            connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            said += piece
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
