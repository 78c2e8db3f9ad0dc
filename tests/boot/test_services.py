"""Services of modules: what their files may say."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from modseal.boot import documents, services, syscalls
from modseal.boot.services import Service

GOOD = 'schema = "modseal/service@1"\ncommand = ["/usr/bin/run", "-x"]\n'


def found(folder: Path, text: str) -> tuple[list[Service], list[str]]:
    place = folder / "usr/lib/modseal/services"
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.toml").write_text(text)
    made, failures = services.services_of(str(folder), "acme")
    return made, [one.detail for one in failures]


def test_a_service_that_says_little_gets_little(tmp_path: Path) -> None:
    (one,), failures = found(tmp_path, GOOD)
    assert not failures
    assert (one.name, one.module, one.command) == ("run", "acme", ("/usr/bin/run", "-x"))
    assert (one.user, one.capabilities, one.environment) == (65534, frozenset(), {"PATH": "/usr/bin"})


def test_a_module_without_services_has_none(tmp_path: Path) -> None:
    assert services.services_of(str(tmp_path), "acme") == ([], [])


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('capabilities = ["mac_admin"]', "no service has mac_admin"),
        ('capabilities = ["net_raw", "sys_ptrace"]', "no service has sys_ptrace"),
        ('capabilities = ["kill"]', "no service has kill"),
        ('capabilities = ["sys_nice"]', "no service has sys_nice"),
        ('capabilities = ["setuid"]', "no service has setuid"),
        ("user = 0", "user: is 0, and must be from 1 to"),
        ('capabilities = ["everything"]', "no capability"),
        ('folders = ["/run/../etc"]', "a folder of /run"),
        ('folders = ["/usr/x"]', "a folder of /run"),
        ('shell = "sh"', "unknown key"),
        ("user = -1", "1 to"),
        ("user = 65500", "one of the host's own, 65500 to 65533"),
        ("user = 65533", "one of the host's own"),
        ("command = 5", "must be an array"),
        ("[", "run.toml:"),
    ],
)
def test_what_a_service_may_not_say_is_named(tmp_path: Path, more: str, why: str) -> None:
    text = GOOD if not more.startswith("command") else GOOD.splitlines()[0] + "\n"
    made, failures = found(tmp_path, f"{text}{more}\n")
    assert not made
    assert why in failures[0]


def test_a_program_is_named_by_its_absolute_path(tmp_path: Path) -> None:
    assert "absolute" in found(tmp_path, GOOD.replace("/usr/bin/run", "run"))[1][0]


@pytest.mark.parametrize(
    "name", ["machine", "update", "serve", "management", "modseal", "Machine", "a b", "machine: x", ""]
)
def test_no_service_has_a_name_of_the_host_itself_or_one_that_looks_like_more(tmp_path: Path, name: str) -> None:
    """What it says would stand in the log as if the host had said it."""
    found(tmp_path, GOOD)
    folder = tmp_path / "usr/lib/modseal/services"
    (folder / "run.toml").rename(folder / f"{name}.toml")
    made, (failure,) = services.services_of(str(tmp_path), "acme")
    assert not made
    assert (failure.code, failure.evidence["module"]) == ("bad-spec", "acme")
    assert "name" in failure.detail


def test_every_name_under_which_the_host_speaks_is_its_own() -> None:
    names = {
        name
        for path in Path(services.__file__).parent.glob("*.py")
        for name in re.findall(r'say\("(\w+)"', path.read_text())
    }
    assert names == {documents.MACHINE}
    assert names < documents.OWN_NAMES


def test_a_link_to_what_nobody_has_signed_is_no_service(tmp_path: Path) -> None:
    found(tmp_path, GOOD)
    folder = tmp_path / "usr/lib/modseal/services"
    (folder / "run.toml").rename(tmp_path / "elsewhere")
    (folder / "run.toml").symlink_to(tmp_path / "elsewhere")
    made, (failure,) = services.services_of(str(tmp_path), "acme")
    assert not made
    assert "is a link" in failure.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("user", [0, 33])
@pytest.mark.parametrize("names", [(), ("net_bind_service", "kill")])
def test_a_service_has_the_capabilities_that_it_names_and_no_others(user: int, names: tuple[str, ...]) -> None:
    """Whoever it runs as: nobody has to be root for a port below 1024."""
    numbers = frozenset(syscalls.CAPABILITIES[one] for one in names)
    read, write = os.pipe()
    command = ("/bin/grep", "-E", "^(Uid|Cap|NoNewPrivs)", "/proc/self/status")
    if not os.fork():
        services.become(Service("x", "m", command, user, numbers, {}, (), restart=False), write, None)
    os.close(write)
    with os.fdopen(read) as output:
        status = dict(line.split(":\t", 1) for line in output.read().splitlines())
    assert os.wait()[1] == 0
    bits = f"{sum(1 << one for one in numbers):016x}"
    assert (status["Uid"], status["NoNewPrivs"]) == ("\t".join([str(user)] * 4), "1")
    assert [status[f"Cap{kind}"] for kind in ("Prm", "Eff", "Bnd")] == [bits] * 3
