#!/usr/bin/python
"""Lets a host prove what is installed on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Lets a host prove what is installed on it
description:
  - Every module is proved again, and every file held against what is signed. The task fails where anything is found.
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
"""

EXAMPLES = r"""
- modseal.host.verify:
    host: web1
    inventory: remote.toml
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
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False, result=ask(module, "verify"))


if __name__ == "__main__":
    main()
