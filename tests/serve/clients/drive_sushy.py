"""Looks at a service with OpenStack's client of PyPI, `sushy`: URL. Prints JSON.

It runs in the environment of `make redfish`.
"""

import json
import sys

import sushy
from sushy import auth


class Certificate(auth.AuthBase):
    """Nothing besides the certificate."""

    def _do_authenticate(self):
        """See `AuthBase`."""

    def can_refresh_session(self):
        """See `AuthBase`."""
        return False


root = sushy.Sushy(sys.argv[1], auth=Certificate())
manager = root.get_manager("/redfish/v1/Managers/host")
update, tasks, events = root.get_update_service(), root.get_task_service(), root.get_event_service()
newest = tasks.tasks.get_members()[0]
try:
    waited = root.get_task_monitor(newest.task_monitor).check_is_processing
except sushy.exceptions.HTTPError as error:
    waited = str(error)
found = {
    "version": root.redfish_version,
    "manager": [manager.name, manager.manager_type.value],
    "modules": [[one.identity, one.version] for one in update.software_inventory.get_members()],
    "task": [newest.task_state.value, newest.percent_complete, [one.message_id for one in newest.messages]],
    "waited": waited,
    "events": events.service_enabled,
}
sys.stdout.write(json.dumps(found))
