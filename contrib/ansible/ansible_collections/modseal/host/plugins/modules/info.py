#!/usr/bin/python
"""Shows what a host says of itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: info
short_description: Shows what a host says of itself
description:
  - Modules with claimed and proven level, generations, acceptance level and lockdown.
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
- modseal.host.info:
    host: web1
    inventory: remote.toml
  delegate_to: localhost
  register: web1
"""

RETURN = r"""
modules: {description: As C(modseal host list)., type: dict, returned: success}
history: {description: As C(modseal host history)., type: dict, returned: success}
acceptance: {description: As C(modseal host acceptance get)., type: dict, returned: success}
lockdown: {description: As C(modseal host lockdown get)., type: dict, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modseal.host.plugins.module_utils.asking import ARGUMENTS, ask


def main():
    """The entry point."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.exit_json(
        changed=False,
        modules=ask(module, "list"),
        history=ask(module, "history"),
        acceptance=ask(module, "acceptance", "get"),
        lockdown=ask(module, "lockdown", "get"),
    )


if __name__ == "__main__":
    main()
