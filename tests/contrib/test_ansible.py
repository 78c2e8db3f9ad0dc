"""The Ansible collection, run by Ansible against a host on loopback: one playbook, whose asserts are the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import managed, served
from builders.pki import root, signer
from builders.transcript import SOURCE

COLLECTIONS = SOURCE.parent / "contrib" / "ansible"
PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  connection: local
  module_defaults:
    modseal.host.install: &host {host: web, inventory: remote.toml, executable: BIN}
    modseal.host.acceptance: *host
    modseal.host.verify: *host
    modseal.host.info: *host
  tasks:
    - {modseal.host.install: {bundles: [good.seal]}, check_mode: true, register: planned}
    - {modseal.host.install: {bundles: [good.seal]}, register: first}
    - {modseal.host.install: {bundles: [good.seal]}, register: second}
    - {modseal.host.install: {bundles: [bad.seal]}, register: refused, ignore_errors: true}
    - {modseal.host.acceptance: {level: partner}, register: same}
    - {modseal.host.acceptance: {level: accepted}, check_mode: true, register: would}
    - {modseal.host.acceptance: {level: accepted}, register: in_use, ignore_errors: true}
    - {modseal.host.verify: {}, register: proved}
    - {modseal.host.info: {}, register: after}
    - {modseal.host.verify: {host: "127.0.0.1:1"}, register: gone, ignore_errors: true}
    - assert:
        that:
          - planned.changed and first.changed and not second.changed
          - first.result.generation == 1 and after.modules.modules[0].proven_level == "partner"
          - refused.failed and not refused.undecided and refused.msg is match("rejected. ")
          - not same.changed and would.changed
          - in_use.failed and "level-in-use" in in_use.msg
          - not proved.changed and proved.result.verdict == "accepted"
          - after.acceptance.level == "partner" and after.lockdown.mode == "normal"
          - gone.failed and gone.undecided
"""


def test_a_playbook_installs_once_and_is_refused_as_anybody_is(tmp_path: Path) -> None:
    playbook = Path(sys.executable).with_name("ansible-playbook")
    if not playbook.exists():
        pytest.skip("ansible-core is not installed")
    program = tmp_path / "modseal"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m modseal "$@"\n')
    program.chmod(0o755)
    desk = managed.desk(tmp_path)
    (tmp_path / "web").mkdir()
    service = served.make(tmp_path / "web", "requests = 100000", root(7))
    web = service.host
    good = web.bundle("acme-agent", "1.0", signer()).rename(tmp_path / "good.seal").read_bytes()
    (tmp_path / "bad.seal").write_bytes(good.replace(b"acme-agent", b"acme-agemt"))
    (tmp_path / "play.yml").write_text(PLAYBOOK.replace("BIN", str(program)))
    environ = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "PYTHONPATH": str(SOURCE),
    }
    service.start()
    with desk.hosts(web=service):
        done = subprocess.run(
            [playbook, "-i", "localhost,", "play.yml"], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
    assert service.stop() == (0, "")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert web.modules() == {"acme-agent": "1.0"}
