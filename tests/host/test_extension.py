"""The way to the image: who else could change it, what hides another one, and what a change puts right of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import Host
from modseal.errors import UndecidedError


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle())
    return found


@pytest.mark.parametrize("name", ["var/lib/extensions", "var/lib", "."])
def test_a_folder_on_the_way_that_others_can_write_to_is_found(host: Host, name: str) -> None:
    (host.root / name).chmod(0o757)
    assert host.codes() == ["host-invalid"]


@pytest.mark.parametrize("link", ["/opt/x", "../opt/x", "../../../../opt/x", "/opt/y"])
def test_a_twin_behind_a_link_is_found_where_the_started_system_has_it(host: Host, link: str) -> None:
    for name in ("etc", "opt/x/modseal"):
        (host.root / name).mkdir(parents=True)
    (host.root / "opt/y").symlink_to("../opt/x/.")
    (host.root / "etc/extensions").symlink_to(link)
    assert host.codes() == ["installed-twin"]


def test_links_in_a_circle_and_to_nowhere_are_no_twin(host: Host) -> None:
    (host.root / "etc").mkdir()
    (host.root / "etc/extensions").symlink_to("extensions")
    (host.root / "run").symlink_to("/nowhere")
    assert host.codes() == []


@pytest.mark.parametrize("foreign", [None, "/tmp/another"])
def test_a_change_puts_the_link_right(host: Host, foreign: str | None) -> None:
    for change in (lambda: host.installed(host.bundle("other")), host.rollback):
        host.image.unlink()
        if foreign:
            host.image.symlink_to(foreign)
        assert host.codes() == ["installed-link"]
        change()
        assert host.codes() == []


def test_a_change_does_not_take_what_is_no_link_for_its_own(host: Host) -> None:
    host.image.unlink()
    host.image.mkdir()
    other = host.bundle("other")
    for dry_run in (True, False):
        with pytest.raises(UndecidedError, match="is no link"):
            host.install(other, dry_run=dry_run)
    assert host.modules() == {"acme-agent": "1.0"}
