"""`modseal host`: the group of its commands. What a host needs is imported where it is used."""

from __future__ import annotations

import click

from modseal.cli import host_change, host_enforce, host_lockdown, host_look, host_settings


@click.group()
def host() -> None:
    """Install modules on a host, in generations, and prove what is installed.

    Exit status: as that of verify.
    """


for _command in (
    host_change.init,
    host_change.install,
    host_change.update,
    host_change.remove,
    host_change.rollback,
    host_change.activate,
    host_change.prune,
    host_change.recalls,
    host_look.list_command,
    host_look.get,
    host_look.history,
    host_look.verify,
    host_look.replay,
    host_look.owner,
    host_look.rebuild,
    host_look.log_command,
    host_enforce.export,
    host_enforce.guard,
    host_enforce.unit,
    host_settings.acceptance,
    host_settings.policy_group,
    host_lockdown.lockdown,
    host_lockdown.break_glass,
):
    host.add_command(_command)
