"""`modseal host acceptance` and `modseal host policy`: what a host demands of modules."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.host_options import LEVELS, format_option, root_option, show
from modseal.cli.options import (
    POLICIES,
    REFERENCE,
    now,
)


@click.group()
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
@format_option
def set_acceptance(level: str, root: Path, output: str) -> None:
    """Set the host's acceptance level. It is not raised while a module below it is installed."""
    from modseal.format.level import Level
    from modseal.host.settings import set_level
    from modseal.host.store import open_store
    from modseal.host.values import acceptance_values

    wanted = Level.parse(level)
    before = set_level(root, wanted, now())
    with open_store(root) as store:
        minimum = store.policy.minimum_level
    show(acceptance_values(wanted, minimum, before), lambda: f"acceptance level {wanted}, was {before}", output)


@click.group("policy")
def policy_group() -> None:
    """The policy that a host keeps."""


@policy_group.command("set")
@click.argument("reference", type=REFERENCE, metavar="POLICY", shell_complete=POLICIES)
@root_option
@format_option
def set_policy(reference: str, root: Path, output: str) -> None:
    """Give the host another policy. Modules that it does not accept stay, and are named; nothing new comes beside them.

    The change is logged with the digests of both policies.
    """
    from modseal.host.settings import set_policy as set_on
    from modseal.host.values import policy_values
    from modseal.policy.sources import load
    from modseal.report import policy_text
    from modseal.report.text import safe

    time = now()
    rules = load(reference, time)
    refused = set_on(root, rules, time)
    show(policy_values(rules, refused), lambda: policy_text.weakest(rules), output)
    for module in refused:
        name = f"{safe(module.name)} {safe(module.version)}"
        click.echo(f"modseal: warning: this policy does not accept {name}, which is installed", err=True)


@policy_group.command("show")
@root_option
@format_option
def show_policy(root: Path, output: str) -> None:
    """Show what the host's policy says, defaults included; in JSON its own words, and whom it trusts."""
    from modseal.host.store import open_store
    from modseal.host.values import policy_values
    from modseal.report import policy_text

    with open_store(root) as store:
        show(policy_values(store.policy), lambda: policy_text.render(store.policy), output)
