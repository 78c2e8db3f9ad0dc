"""Drives a service with DMTF's client of PyPI, `redfish`, and its tools: URL, a good bundle, a bad one. Prints JSON.

It runs in the environment of `make redfish`.
"""

import json
import sys

import redfish
import redfish_utilities as tools

url, good, bad = sys.argv[1:]
client = redfish.redfish_client(base_url=url, username="nobody", password="nothing")
client.login(auth="basic")
done = tools.poll_task_monitor(client, tools.multipart_push_update(client, good), silent=True)
tools.verify_response(done)
try:
    refused = tools.poll_task_monitor(client, tools.multipart_push_update(client, bad), silent=True)
    tools.verify_response(refused)
    refusal = "none"
except redfish.messages.RedfishOperationFailedError as error:
    refusal = str(error)
log = tools.get_log_entries(client, container_id="host", log_service_id="Log")
found = {
    "done": [done.status, done.dict["TaskState"], done.dict["PercentComplete"]],
    "refusal": refusal,
    "managers": tools.get_manager_ids(client),
    "last": log[-1]["Message"],
    "events": tools.get_event_service(client)["ServerSentEventUri"],
}
sys.stdout.write(json.dumps(found))
