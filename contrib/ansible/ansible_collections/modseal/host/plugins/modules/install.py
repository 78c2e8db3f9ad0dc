#!/usr/bin/python
"""Installs signed modules on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install
short_description: Installs signed modules on a host
description:
  - Sends bundles, which the host verifies and installs, all of them or none.
  - In check mode the host verifies and plans all, and changes nothing.
  - Runs where Ansible runs, and asks the host by C(modseal remote); the host decides.
author: modseal
options:
  host: {description: The name of the host in I(inventory) or its address., type: str, required: true}
  inventory: {description: A C(remote.toml)., type: path}
  ca: {description: The CAs that the host is known by., type: path}
  cert: {description: The certificate that the host knows us by., type: path}
  key: {description: The file with its private key., type: path}
  wait: {description: The seconds that the host may be at work., type: int}
  executable: {description: Where modseal is., type: path, default: modseal}
  bundles: {description: Files to send., type: list, elements: path, required: true}
  update:
    description: Whether to take those alone that are newer than what is installed of the same name.
    type: bool
    default: false
"""

EXAMPLES = r"""
- modseal.host.install:
    host: web1
    inventory: remote.toml
    bundles: [acme-agent-1.2.seal]
  delegate_to: localhost
"""

RETURN = r"""
result: {description: What the host says; as C(modseal host --format json)., type: dict, returned: always}
undecided: {description: Whether there was no answer that decides., type: bool, returned: failure}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modseal.host.plugins.module_utils.asking import ARGUMENTS, ask


def main():
    """The entry point."""
    own = {
        "bundles": {"type": "list", "elements": "path", "required": True},
        "update": {"type": "bool", "default": False},
    }
    module = AnsibleModule({**ARGUMENTS, **own}, supports_check_mode=True)
    word = "update" if module.params["update"] else "install"
    options = ["--dry-run"] if module.check_mode else []
    result = ask(module, word, *options, "--", *module.params["bundles"])
    module.exit_json(changed=result["generation"] is not None, result=result)


if __name__ == "__main__":
    main()
