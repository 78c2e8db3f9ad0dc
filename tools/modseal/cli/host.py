"""`modseal host`. What a host needs is imported where it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.depot_options import key_options
from modseal.cli.options import (
    BUNDLES,
    FILE,
    FILE_OR_STREAM,
    FILES,
    FOLDERS,
    OUTPUT,
    PLACE,
    POLICIES,
    REFERENCE,
    Choice,
    at_option,
    now,
    policy_option,
    recall_option,
    require_path,
)
from modseal.errors import UsageError
from modseal.limits import HOST_GENERATIONS

if TYPE_CHECKING:
    from modseal.host.change import Change
    from modseal.host.verify import Verification

LEVELS = Choice(
    [
        *("certified", "accepted", "partner", "community"),
        *("VMwareCertified", "VMwareAccepted", "PartnerSupported", "CommunitySupported"),
    ]
)

signed_option = click.option("--signed", is_flag=True, help="Refuse depots that have no signed index; with --depot.")
root_option = click.option(
    "--root",
    type=FILE,
    default=Path("/"),
    metavar="DIR",
    shell_complete=FOLDERS,
    help="The root that modules are installed under; / by default.",
)
format_option = click.option(
    "--format", "output", type=Choice(["text", "json"]), default="text", help="The form of the result."
)
depots_option = click.option(
    "--depot",
    "depots",
    multiple=True,
    type=PLACE,
    metavar="DEPOT",
    shell_complete=FILES,
    help="Where to take modules from, by name: a folder, a zip file, an OCI image layout, or an address; repeatable.",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")


@click.group()
def host() -> None:
    """Install modules on a host, in generations, and prove what is installed.

    Exit status: as that of verify.
    """


def show(values: dict[str, Any], text: Callable[[], str], output: str) -> None:
    """Print a result in the form that was asked for."""
    click.echo(json.dumps(values, indent=2) if output == "json" else text())


@host.command()
@root_option
@policy_option(required=True)
@click.option("--level", type=LEVELS, help="The host's acceptance level; the policy's minimum by default.")
def init(root: Path, policy: str, level: str | None) -> None:
    """Make an image store. It keeps POLICY, with every file that it names, for all that comes later."""
    from modseal.format.level import Level
    from modseal.host.create import create
    from modseal.policy.sources import load
    from modseal.report import policy_text
    from modseal.report.text import safe

    time = now()
    rules = load(policy, time)
    state = create(root, rules, Level.parse(level) if level else None, time)
    click.echo(f"{safe(root)}: image store made, acceptance level {state.level}")
    click.echo(policy_text.weakest(rules))


@host.command()
@click.argument("what", nargs=-1, metavar="BUNDLE|NAME...", shell_complete=BUNDLES)
@depots_option
@click.option(
    "--profile",
    metavar="PROFILE",
    shell_complete=FILES,
    help="An image profile, or where one is: its modules are installed from the depots, in its versions.",
)
@signed_option
@root_option
@dry_run_option
@format_option
def install(
    what: tuple[str, ...],
    depots: tuple[str, ...],
    profile: str | None,
    root: Path,
    output: str,
    *,
    signed: bool,
    dry_run: bool,
) -> int:
    """Verify BUNDLEs and install their modules; with --depot, install NAMEs and what they need. All of them, or none.

    NAME may be 'acme-agent >= 1.0'. What is chosen from a depot is proved by itself, as a BUNDLE is.
    """
    if profile:
        if what or not depots:
            raise UsageError("--profile needs --depot, and says itself what to install")
        from modseal.host.depots import install_profile
        from modseal.profile.found import read_profiles

        wanted = read_profiles(profile).only(profile, None).as_profile()
        done = install_profile(root, wanted, depots, now(), signed=signed, dry_run=dry_run)
        return _report(done, output, dry_run=dry_run)
    if not what:
        raise UsageError("name what to install: bundles, or with --depot names of modules")
    return _arrive(what, depots, root, output, update=False, signed=signed, dry_run=dry_run)


@host.command()
@click.argument("what", nargs=-1, metavar="[BUNDLE|NAME]...", shell_complete=BUNDLES)
@depots_option
@signed_option
@root_option
@dry_run_option
@format_option
def update(
    what: tuple[str, ...], depots: tuple[str, ...], root: Path, output: str, *, signed: bool, dry_run: bool
) -> int:
    """Install those of BUNDLEs that are newer than what is installed of the same name, and skip the others.

    With --depot, install the newest versions of NAMEs that fit, by default of all that is installed, with their needs.
    """
    if not what and not depots:
        raise UsageError("name bundles, or depots with --depot")
    return _arrive(what, depots, root, output, update=True, signed=signed, dry_run=dry_run)


def _arrive(
    what: tuple[str, ...],
    depots: tuple[str, ...],
    root: Path,
    output: str,
    *,
    update: bool,
    signed: bool,
    dry_run: bool,
) -> int:
    if signed and not depots:
        raise UsageError("--signed has a meaning only with --depot")
    if depots:
        from modseal.host.depots import install_from
        from modseal.profile.solve import parse_asked

        for depot in depots:
            require_path(depot)
        asked = [parse_asked(one) for one in what]
        done = install_from(root, asked, depots, now(), update=update, signed=signed, dry_run=dry_run)
    else:
        from modseal.host.change import install as install_on

        bundles = [FILE.convert(one, None, None) for one in what]
        done = install_on(root, bundles, now(), update=update, dry_run=dry_run)
    return _report(done, output, dry_run=dry_run)


@host.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@root_option
@dry_run_option
@format_option
def remove(names: tuple[str, ...], root: Path, output: str, *, dry_run: bool) -> int:
    """Remove modules by NAME: all of them, or none."""
    from modseal.host.change import remove as remove_from

    return _report(remove_from(root, names, now(), dry_run=dry_run), output, dry_run=dry_run)


def _report(change: Change, output: str, *, dry_run: bool = False) -> int:
    from modseal.cli.verify import EXIT
    from modseal.host.values import change_values
    from modseal.report import host_text

    show(change_values(change), lambda: host_text.change(change), output)
    _say_dry_run(dry_run)
    return EXIT[change.verdict]


def _say_dry_run(dry_run: bool) -> None:
    if dry_run:
        click.echo("modseal: this was a dry run; nothing was changed", err=True)


@host.command("list")
@root_option
@click.option("--pending", is_flag=True, help="Show the generation that waits for `host activate`.")
@format_option
def list_command(root: Path, output: str, *, pending: bool) -> None:
    """Show the installed modules: the level that each claims beside the one that is proved."""
    from modseal.host import values
    from modseal.host.look import modules_of
    from modseal.host.store import open_store
    from modseal.report import host_text

    with open_store(root) as store:
        found = modules_of(store, store.newest if pending else store.state.generation, now())
        show(
            values.list_values(store, found, pending=pending),
            lambda: host_text.modules(store, found, pending=pending),
            output,
        )


@host.command()
@click.argument("name")
@root_option
@format_option
def get(name: str, root: Path, output: str) -> int:
    """Show the installed module NAME, proved again: signers, levels, relations, files (in JSON).

    Exit status: 0 where today's policy accepts it, else as that of verify.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.look import module_named
    from modseal.host.store import open_store
    from modseal.host.values import get_values
    from modseal.report import host_text

    with open_store(root) as store:
        found = module_named(store, store.state.generation, name, now())
    show(get_values(found), lambda: host_text.module(found), output)
    return EXIT[found.examination.verdict]


@host.command()
@root_option
@format_option
def history(root: Path, output: str) -> None:
    """Show the generations: `*` is active, `>` waits. Their modules are shown as recorded, unproved."""
    from modseal.host.store import open_store
    from modseal.host.values import history_values
    from modseal.report import host_text

    with open_store(root) as store:
        found = [store.generation(one) for one in store.state.kept]
        show(history_values(store, found), lambda: host_text.history(store, found), output)


@host.command()
@click.argument("files", nargs=-1, type=FILE, metavar="[RECALL]...", shell_complete=FILES)
@root_option
@format_option
def recalls(files: tuple[Path, ...], root: Path, output: str) -> None:
    """Keep the RECALLs, and show all that the host keeps. What they withdraw is neither installed nor accepted again.

    Those of a depot that modules were installed from are kept already.
    """
    from modseal.host.learned import keep_recalls
    from modseal.host.store import open_store
    from modseal.host.values import recalls_values
    from modseal.report import host_text

    new = keep_recalls(root, files, now()) if files else ()
    with open_store(root) as store:
        kept = store.policy.kept_recalls
    show(recalls_values(kept, new), lambda: host_text.recalls(kept, new), output)


@host.command()
@root_option
@recall_option
@at_option
@format_option
@click.option("--at-boot", is_flag=True, help="Print the verdict in one line, for a unit that runs at boot.")
@click.option(
    "--event-log", type=OUTPUT, metavar="FILE", help="Write what was measured, for `host replay`; with --at-boot."
)
@click.option("--tpm", is_flag=True, help="Extend PCR 13 of this machine's TPM by what was measured; with --at-boot.")
def verify(
    root: Path,
    recalls: tuple[Path, ...],
    at: datetime | None,
    output: str,
    event_log: Path | None,
    *,
    at_boot: bool,
    tpm: bool,
) -> int:
    """Prove every installed module again under today's policy, and hold every file against what is signed.

    Exit status: 0 if and only if nothing was found; 1 if something is wrong; 3 if something cannot be judged.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.values import verification_values
    from modseal.host.verify import verify as verify_host
    from modseal.report import host_text

    if (event_log or tpm) and not at_boot:
        raise UsageError("--event-log and --tpm have a meaning only with --at-boot")
    time = at or now()
    found = verify_host(root, time, now(), recalls)
    if event_log or tpm:
        _measure(found, event_log, tpm=tpm)
    if at_boot and output == "text":
        click.echo(host_text.verdict_line(found))
    else:
        show(verification_values(found, time), lambda: host_text.verification(str(root), found), output)
    return EXIT[found.verdict]


def _measure(found: Verification, path: Path | None, *, tpm: bool) -> None:
    from modseal.files.output import output_file
    from modseal.host.measure import measurements

    measured = list(measurements(found))
    if tpm:
        from modseal.host.tpm import extend

        extend(measured)
    if path:
        with output_file(path, is_report=True) as file:
            file.writelines(one.line() for one in measured)


@host.command()
@click.argument("path", type=FILE_OR_STREAM, metavar="EVENT-LOG")
@click.option("--start", metavar="HEX", help="The value of the register before; zeros by default, as after a reset.")
def replay(path: Path, start: str | None) -> None:
    """Replay an event log of `host verify --at-boot` to the value that the register of a TPM must have.

    Compare it with a quote by that TPM (tpm2_checkquote): if they are equal, the log is true.
    """
    from modseal.files.small import read_small
    from modseal.host import measure
    from modseal.limits import HOST_LOG_SIZE

    try:
        value = bytes.fromhex(start) if start else measure.START
    except ValueError:
        value = b""
    if len(value) != len(measure.START):
        raise UsageError("--start needs 64 hexadecimal digits")
    found = measure.replay(read_small(path, HOST_LOG_SIZE, pipes=True).data, str(path))
    for one in found:
        click.echo(host_line(one.event))
    click.echo(f"sha256:{measure.PCR} = {measure.extend(value, found).hex()}")


def host_line(event: dict[str, object]) -> str:
    """One measurement, on a line."""
    from modseal.report.text import safe

    return "  ".join(f"{safe(name)}={safe(value)}" for name, value in sorted(event.items()))


@host.command()
@click.argument("path", metavar="PATH")
@root_option
@format_option
def owner(path: str, root: Path, output: str) -> int:
    """Show which modules bring PATH, or the content of this SHA-256, in which generations: as recorded, unproved.

    Exit status: 1 where none does.
    """
    from modseal.host import index
    from modseal.host.store import open_store
    from modseal.host.values import owner_values
    from modseal.report import host_text

    with open_store(root) as store:
        found = index.owners(store, path, now())
    show(owner_values(found), lambda: host_text.owners(path, found), output)
    return 0 if found else 1


@host.command()
@root_option
def rebuild(root: Path) -> None:
    """Make the index anew that `host owner` asks. It decides nothing, and is made from the store alone."""
    from modseal.host import index
    from modseal.host.store import open_store

    with open_store(root) as store:
        click.echo(f"{index.rebuild(store, now())} entries")


@host.command()
def unit() -> None:
    """Print a systemd unit that proves the host at boot, before systemd-sysext merges the modules.

    Write it to /etc/systemd/system/modseal-host-verify.service and enable it. What is not proved is not merged.
    """
    import sys
    from importlib import resources

    text = resources.files("modseal.host").joinpath("units", "modseal-host-verify.service").read_text("utf-8")
    program = Path(sys.argv[0]).absolute()
    click.echo(text.replace("/usr/bin/modseal", str(program)) if program.name == "modseal" else text, nl=False)


@host.command()
@root_option
@click.option("--to", type=click.IntRange(0), metavar="N", help="The generation to go to; the one before by default.")
@dry_run_option
@format_option
def rollback(root: Path, to: int | None, output: str, *, dry_run: bool) -> int:
    """Go back to an earlier generation, once all of it is proved again. One that waits is given up first."""
    from modseal.host.switch import rollback as roll_back

    return _report(roll_back(root, to, now(), dry_run=dry_run), output, dry_run=dry_run)


@host.command()
@root_option
@dry_run_option
@format_option
def activate(root: Path, output: str, *, dry_run: bool) -> int:
    """Make the generation active that waits: it has modules that cannot be exchanged on a running host."""
    from modseal.host.switch import activate as activate_on

    return _report(activate_on(root, now(), dry_run=dry_run), output, dry_run=dry_run)


@host.command()
@root_option
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=HOST_GENERATIONS,
    metavar="N",
    help=f"How many of the newest generations stay; {HOST_GENERATIONS} by default.",
)
@dry_run_option
@format_option
def prune(root: Path, keep: int, output: str, *, dry_run: bool) -> None:
    """Remove old generations, and the files that only they have.

    The active one stays, and the one that waits, and those that a rollback from them goes to.
    """
    from modseal.host.prune import prune as prune_on
    from modseal.host.values import pruned_values
    from modseal.report import host_text

    done = prune_on(root, keep, now(), dry_run=dry_run)
    show(pruned_values(done), lambda: host_text.pruned(done), output)
    _say_dry_run(dry_run)


@host.command()
@root_option
@click.option(
    "--format", "kind", type=Choice(["ipe", "ima", "fsverity", "fapolicyd"]), required=True, help="What enforces it."
)
@click.option("-o", "--output", "out", type=FILE, required=True, metavar="OUT", help="The folder to write; a new one.")
@click.option(
    "--base",
    multiple=True,
    metavar="HEX",
    help="ipe: the dm-verity root hash of an image of the system itself, which may run too; repeatable.",
)
@key_options
def export(root: Path, kind: str, out: Path, base: tuple[str, ...], **given: Any) -> None:
    """Write what the kernel's own enforcement needs to run the active generation, once all of it is proved again."""
    from modseal.cli.depot_options import open_signers
    from modseal.packing import host_export
    from modseal.report.text import safe

    if base and kind != "ipe":
        raise UsageError("--base has a meaning only with --format ipe")
    if given["key"] and kind == "fapolicyd":
        raise UsageError("fapolicyd reads no signature; leave out --key")
    try:
        roots = tuple(bytes.fromhex(one.removeprefix("sha256:")) for one in base)
    except ValueError:
        roots = (b"",)
    if any(len(one) != 32 for one in roots):
        raise UsageError("--base needs 64 hexadecimal digits")
    signers = open_signers(given) if given["key"] or given["cert"] else []
    if len(signers) > 1:
        raise UsageError("name one --key")
    signer = signers[0] if signers else None
    done = host_export.write(root, kind, out, now(), signer, roots)  # type: ignore[arg-type]
    click.echo(f"{safe(out)}: generation {done.generation}, {done.modules} modules, {done.files} files, for {kind}")
    if not done.signed and kind != "fapolicyd":
        click.echo("modseal: this is not signed; the kernel takes it only signed: use --key and --cert", err=True)


@host.command("log")
@root_option
@click.option(
    "--verify", "whole", is_flag=True, help="Hold each line against the one before, and the last against now."
)
@format_option
def log_command(root: Path, output: str, *, whole: bool) -> None:
    """Show who changed what, and when. With --verify, prove that nothing of it was changed or removed.

    The SHA-256 that --verify prints stands for the whole log; compare it with one that was noted elsewhere.
    """
    from modseal.host import event_log
    from modseal.host.documents import encode_event, sha256_of
    from modseal.host.store import open_store
    from modseal.host.values import log_values
    from modseal.report import host_text

    with open_store(root) as store:
        found = list(event_log.events(store))
        head = sha256_of(encode_event(store.state.event)) if whole else None
    if output == "json":
        show(log_values(found, head), str, output)
    elif whole:
        click.echo(f"{len(found)} events, unbroken; the newest is sha256:{head}")
    else:
        for event in found:
            click.echo(host_text.event(event))


@host.group()
def acceptance() -> None:
    """The level that a module must at least be proved for."""


@acceptance.command("get")
@root_option
@format_option
def get_acceptance(root: Path, output: str) -> None:
    """Show the host's acceptance level."""
    from modseal.host.store import open_store
    from modseal.host.values import acceptance_values

    with open_store(root) as store:
        level, minimum = store.state.level, store.policy.minimum_level
    higher = f" (the policy's minimum, {minimum}, holds as well)" if minimum > level else ""
    show(acceptance_values(level, minimum), lambda: f"{level}{higher}", output)


@acceptance.command("set")
@click.argument("level", type=LEVELS)
@root_option
def set_acceptance(level: str, root: Path) -> None:
    """Set the host's acceptance level. It is not raised while a module below it is installed."""
    from modseal.format.level import Level
    from modseal.host.settings import set_level

    before = set_level(root, Level.parse(level), now())
    click.echo(f"acceptance level {Level.parse(level)}, was {before}")


@host.group("policy")
def policy_group() -> None:
    """The policy that a host keeps."""


@policy_group.command("set")
@click.argument("reference", type=REFERENCE, metavar="POLICY", shell_complete=POLICIES)
@root_option
def set_policy(reference: str, root: Path) -> None:
    """Give the host another policy. Modules that it does not accept stay, and are named; nothing new comes beside them.

    The change is logged with the digests of both policies.
    """
    from modseal.host.settings import set_policy as set_on
    from modseal.policy.sources import load
    from modseal.report import policy_text
    from modseal.report.text import safe

    time = now()
    rules = load(reference, time)
    refused = set_on(root, rules, time)
    click.echo(policy_text.weakest(rules))
    for module in refused:
        name = f"{safe(module.name)} {safe(module.version)}"
        click.echo(f"modseal: warning: this policy does not accept {name}, which is installed", err=True)


@policy_group.command("show")
@root_option
def show_policy(root: Path) -> None:
    """Show what the host's policy says, defaults included."""
    from modseal.host.store import open_store
    from modseal.report import policy_text

    with open_store(root) as store:
        click.echo(policy_text.render(store.policy))


@host.command()
@root_option
@click.option(
    "--mount",
    "mounts",
    type=FILE,
    metavar="DIR",
    multiple=True,
    required=True,
    shell_complete=FOLDERS,
    help="Where a file system is mounted that is to be guarded, all of it. Several times: several of them.",
)
@click.option("--audit", is_flag=True, help="Deny nothing; log what would be denied.")
@click.option("--libraries", is_flag=True, help="Hold ELF files as soon as they are opened, so shared libraries too.")
@click.option(
    "--late",
    type=Choice(["deny", "allow"]),
    default="deny",
    help="What happens to a program that cannot be judged in time; deny by default.",
)
def guard(root: Path, mounts: tuple[Path, ...], late: str, *, audit: bool, libraries: bool) -> None:
    """Let run only what is in the active generation, by its content. Needs root; runs until it is told to stop.

    Writes one line of JSON for each denial. For hosts whose kernel cannot enforce the rule itself (`host export`), and
    for finding out what it would deny.
    """
    import signal
    import sys

    from modseal.host.guard import Guard, runs_from_memory

    found = Guard(root, mounts, now, sys.stdout, audit=audit, libraries=libraries, allow_late=late == "allow")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: found.stop())
    if runs_from_memory():
        note = "programs can still be run from memory (memfd_create); `sysctl vm.memfd_noexec=2` ends that"
        click.echo(f"modseal: warning: {note}", err=True)
    found.serve()
