"""Options that `modseal audit` and its subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from modseal.auditing.finding import Severity
from modseal.auditing.target import DEADLINE
from modseal.cli.options import Choice

_DAY = 86_400

jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes; by default as many as there are cores."
)

deadline_option = click.option(
    "--deadline",
    type=click.IntRange(0, _DAY),
    default=DEADLINE,
    show_default=True,
    metavar="SECONDS",
    help="A bundle that takes longer is undecided; 0 for no deadline.",
)


def fail_on_option(text: str) -> Callable[[Any], Any]:
    """`--fail-on`, which says in its own words what it is the least severity of."""
    severities = Choice([str(severity) for severity in Severity])
    return click.option("--fail-on", type=severities, default="medium", show_default=True, help=text)
