"""`modseal serve`: a host that is managed from outside."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.host_options import root_option
from modseal.cli.options import FILE, FILES, now


@click.command()
@root_option
@click.option(
    "--config",
    type=FILE,
    required=True,
    metavar="FILE",
    shell_complete=FILES,
    help="A serve.toml: where to listen, the server's key, and the CAs of clients with the roles that they grant.",
)
def serve(root: Path, config: Path) -> None:
    """Let clients with certificates manage this host: over TLS 1.3, in the way of Redfish, until SIGTERM.

    Started by root, the process that speaks to clients becomes the user of FILE and has no rights of its own.
    """
    from modseal.report.host_html import PAGES
    from modseal.report.text import safe
    from modseal.serve.start import serve as serve_host

    serve_host(root, config, PAGES, now, lambda line: click.echo(f"modseal: {safe(line)}", err=True))
