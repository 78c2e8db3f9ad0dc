"""`modseal host`: what changes the installed modules."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.host_options import (
    LEVELS,
    depots_option,
    dry_run_option,
    format_option,
    report,
    root_option,
    say_dry_run,
    show,
    signed_option,
)
from modseal.cli.options import (
    BUNDLES,
    FILE,
    FILES,
    now,
    policy_option,
    require_path,
)
from modseal.errors import UsageError
from modseal.limits import HOST_GENERATIONS


@click.command()
@root_option
@policy_option(required=True)
@click.option("--level", type=LEVELS, help="The host's acceptance level; the policy's minimum by default.")
@format_option
def init(root: Path, policy: str, level: str | None, output: str) -> None:
    """Make an image store. It keeps POLICY, with every file that it names, for all that comes later."""
    from modseal.format.level import Level
    from modseal.host.create import create
    from modseal.host.values import made_values
    from modseal.policy.sources import load
    from modseal.report import policy_text
    from modseal.report.text import safe

    time = now()
    rules = load(policy, time)
    state = create(root, rules, Level.parse(level) if level else None, time)
    said = f"{safe(root)}: image store made, acceptance level {state.level}\n{policy_text.weakest(rules)}"
    show(made_values(state), lambda: said, output)


@click.command()
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
        return report(done, output, dry_run=dry_run)
    if not what:
        raise UsageError("name what to install: bundles, or with --depot names of modules")
    return _arrive(what, depots, root, output, update=False, signed=signed, dry_run=dry_run)


@click.command()
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
    return report(done, output, dry_run=dry_run)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@root_option
@dry_run_option
@format_option
def remove(names: tuple[str, ...], root: Path, output: str, *, dry_run: bool) -> int:
    """Remove modules by NAME: all of them, or none."""
    from modseal.host.change import remove as remove_from

    return report(remove_from(root, names, now(), dry_run=dry_run), output, dry_run=dry_run)


@click.command()
@root_option
@click.option("--to", type=click.IntRange(0), metavar="N", help="The generation to go to; the one before by default.")
@dry_run_option
@format_option
def rollback(root: Path, to: int | None, output: str, *, dry_run: bool) -> int:
    """Go back to an earlier generation, once all of it is proved again. One that waits is given up first."""
    from modseal.host.switch import rollback as roll_back

    return report(roll_back(root, to, now(), dry_run=dry_run), output, dry_run=dry_run)


@click.command()
@root_option
@dry_run_option
@format_option
def activate(root: Path, output: str, *, dry_run: bool) -> int:
    """Make the generation active that waits: it has modules that cannot be exchanged on a running host."""
    from modseal.host.switch import activate as activate_on

    return report(activate_on(root, now(), dry_run=dry_run), output, dry_run=dry_run)


@click.command()
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
    say_dry_run(dry_run)


@click.command()
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
