#!/usr/bin/python
"""Sets the acceptance level of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acceptance
short_description: Sets the acceptance level of a host
description:
  - The host does not raise it while a module below it is installed.
  - In check mode the levels are compared; whether the host would take another one is not asked.
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
  level:
    description: The level that a module must at least be proved for.
    type: str
    required: true
    choices: [certified, accepted, partner, community]
"""

EXAMPLES = r"""
- modseal.host.acceptance:
    host: web1
    inventory: remote.toml
    level: accepted
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
    levels = ["certified", "accepted", "partner", "community"]
    own = {"level": {"type": "str", "required": True, "choices": levels}}
    module = AnsibleModule({**ARGUMENTS, **own}, supports_check_mode=True)
    wanted = module.params["level"]
    result = ask(module, "acceptance", "get")
    changed = result["level"] != wanted
    if changed and not module.check_mode:
        result = ask(module, "acceptance", "set", wanted)
    module.exit_json(changed=changed, result=result)


if __name__ == "__main__":
    main()
