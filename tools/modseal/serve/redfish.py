"""What the API shows, as Redfish resources (DMTF DSP0266). What Redfish has no word for is in `Oem.Modseal`.

There the documents of `modseal host --format json` are whole, so that a client needs no second way to read them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from modseal.serve import routes
from modseal.serve.documents import PARTS, kind_of
from modseal.serve.roles import ROLES
from modseal.serve.routes import ROOT
from modseal.serve.tasks import DONE, RUNNING

Resource = dict[str, Any]
_GOOD = {"State": "Enabled", "Health": "OK"}
_PRIVILEGES = (["Login"], ["Login", "ConfigureComponents"], ["Login", "ConfigureComponents", "ConfigureManager"])
_STATES = {RUNNING: "Running", DONE: "Completed"}


def resource(path: str, kind: str, name: str, more: Mapping[str, Any] = {}) -> Resource:
    """A resource of a type such as `Task.v1_7_0.Task`."""
    identity = path.rstrip("/").rpartition("/")[2]
    return {"@odata.id": path, "@odata.type": f"#{kind}", "Id": identity, "Name": name, **more}


def collection(path: str, kind: str, name: str, members: Iterable[str], more: Mapping[str, Any] = {}) -> Resource:
    """A collection, whose members are links."""
    links = [{"@odata.id": one} for one in members]
    head = {"@odata.id": path, "@odata.type": f"#{kind}.{kind}", "Name": name}
    return {**head, "Members": links, "Members@odata.count": len(links), **more}


def link(path: str) -> dict[str, str]:
    """A reference to a resource."""
    return {"@odata.id": path}


def oem(document: Mapping[str, Any], kind: str = "") -> dict[str, Any]:
    """A document of modseal's own; `kind` is its type where it names no schema."""
    return {"Oem": {"Modseal": typed(document, kind or kind_of(document["schema"]))}}


def typed(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A document with its type, as Redfish wants it of each object that is not its own."""
    return {"@odata.type": f"#Modseal.v1_0_0.{kind}", **document}


def service_root(state: Mapping[str, Any]) -> Resource:
    """Where everything is."""
    return {
        **resource(f"{ROOT}/", "ServiceRoot.v1_15_0.ServiceRoot", "modseal host"),
        "Id": "RootService",
        "RedfishVersion": "1.17.0",
        "UUID": _uuid(state["host"]),
        "UpdateService": link(routes.UPDATE),
        "Managers": link(f"{ROOT}/Managers"),
        "Tasks": link(f"{ROOT}/TaskService"),
        "EventService": link(f"{ROOT}/EventService"),
        "AccountService": link(f"{ROOT}/AccountService"),
        "SessionService": link(routes.SESSIONS),
        "Links": {"Sessions": link(f"{routes.SESSIONS}/Sessions")},
    }


def _uuid(host: str) -> str:
    """The host's random name, as Redfish wants names; it stands for nothing else."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, host))


def manager(state: Mapping[str, Any]) -> Resource:
    """The host: what it demands, what runs, and what can be done."""
    return {
        **resource(routes.MANAGER, "Manager.v1_19_0.Manager", "This host"),
        "ManagerType": "Service",
        "Status": _GOOD,
        "UUID": _uuid(state["host"]),
        "LogServices": link(f"{routes.MANAGER}/LogServices"),
        "Actions": {
            "Oem": {
                f"#{one.path.rpartition('/')[2]}": {"target": one.path}
                for one in routes.ROUTES
                if one.path.startswith(routes.ACTIONS)
            },
        },
        **oem({**state, **{name: link(f"{routes.OWN}/{name}") for name in routes.own_names()}}),
    }


def own(path: str, document: Mapping[str, Any]) -> Resource:
    """A resource that Redfish has no type for."""
    name = path.rpartition("/")[2]
    return resource(path, f"Modseal.v1_0_0.{name}", name, oem(document))


def update_service(most: int) -> Resource:
    """Where bundles are pushed. There is no way to force one."""
    return {
        **resource(routes.UPDATE, "UpdateService.v1_11_0.UpdateService", "Modules"),
        "ServiceEnabled": True,
        "Status": _GOOD,
        "MultipartHttpPushUri": routes.PUSH,
        "MaxImageSizeBytes": most,
        "SoftwareInventory": link(routes.INVENTORY),
        "Actions": {},  # sushy demands it; a host fetches nothing from addresses of others
    }


def inventory(found: Mapping[str, Any]) -> Resource:
    """The installed modules."""
    members = [f"{routes.INVENTORY}/{quote(one['name'], safe='')}" for one in found["modules"]]
    return collection(routes.INVENTORY, "SoftwareInventoryCollection", "Installed modules", members, oem(found))


def module(found: Mapping[str, Any], verdict: str) -> Resource:
    """One module, with the level that it claims and the one that is proved."""
    good = verdict == "accepted"
    return {
        **resource(
            f"{routes.INVENTORY}/{quote(found['name'], safe='')}",
            "SoftwareInventory.v1_10_0.SoftwareInventory",
            found["name"],
        ),
        "Id": found["name"],
        "Version": found["version"],
        "Manufacturer": found["vendor"],
        "Updateable": True,
        "Status": _GOOD if good else {"State": "Enabled", "Health": "Critical"},
        **oem(found),
    }


def task(found: Mapping[str, Any]) -> Resource:
    """One task, with the whole of what became of it."""
    step = found.get("progress")
    state = _STATES.get(found["state"], "Exception") if step or found["state"] != RUNNING else "Pending"
    path = f"{routes.TASKS}/{found['id']}"
    problems = [found["problem"]] if found["problem"] else _problems(found["result"] or {})
    shown: Resource = {
        **resource(path, "Task.v1_7_0.Task", found["operation"]),
        "TaskState": state,
        "TaskStatus": "OK" if state != "Exception" else "Critical",
        "StartTime": found["started"],
        "TaskMonitor": monitor(found),
        "HidePayload": True,
        "Messages": [message(one) for one in problems],
        "Oem": {
            "Modseal": _result(found["result"] or found["problem"]),
            "ModsealTask": typed({name: found.get(name) for name in PARTS["TaskRecord"].fields}, "TaskRecord"),
        },
    }
    if state != "Exception":  # which has come to an end somewhere
        shown["PercentComplete"] = 100 if state == "Completed" else step["percent"] if step else 0
    return {**shown, "EndTime": found["ended"]} if found["ended"] else shown


def monitor(found: Mapping[str, Any]) -> str:
    """Where whoever waits for a task asks (DSP0266 section 12.2)."""
    return routes.MONITOR.replace("{id}", found["id"])


def task_failure(found: Mapping[str, Any]) -> Resource:
    """What a task that was not done says to whoever has waited for it: as the request would have, at once."""
    document = found["problem"] or found["result"]
    problems = [message(one) for one in ([document] if found["problem"] else _problems(document))]
    first = problems[0] if problems else {"MessageId": "Base.1.18.GeneralError", "Message": "it was not done"}
    return error(first["MessageId"], first["Message"], problems, document)


def _result(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return typed(document, kind_of(document["schema"])) if document else None


def tasks(found: Mapping[str, Any]) -> Resource:
    """The tasks that are kept, the newest first."""
    members = [f"{routes.TASKS}/{one['id']}" for one in found["tasks"]]
    return collection(routes.TASKS, "TaskCollection", "The newest tasks", members)


def _problems(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What speaks against a change, and against its bundles, with the codes of `modseal verify`."""
    bundles = result.get("results", ())
    of_bundles = [check for one in bundles for check in one["checks"] if check["code"]]  # not those not examined
    of_bundles += [one["error"] for one in bundles if one.get("error")]
    return [*result.get("problems", ()), *of_bundles, *result.get("refused", ()), *result.get("findings", ())]


def message(failure: Mapping[str, Any]) -> dict[str, Any]:
    """A failure as a message, whose identifier ends with the code in Redfish's spelling."""
    code = str(failure.get("code", "internal-error"))
    return {
        "@odata.type": "#Message.v1_1_2.Message",
        "MessageId": f"Modseal.1.0.{code.title().replace('-', '')}",
        "Message": str(failure.get("detail", "")),
        "MessageArgs": [],
        "MessageSeverity": "Critical",
        "Resolution": str(failure.get("next_step", "")),
        **oem({name: failure[name] for name in PARTS["Failure"].fields if name in failure}, "Failure"),
    }


def error(
    code: str, text: str, messages: Sequence[Mapping[str, Any]] = (), problem: Mapping[str, Any] = {}
) -> Resource:
    """The body of a reply that is not a good one, with the document of the problem where modseal has found it."""
    own = oem(problem) if problem else {}
    return {"error": {"code": code, "message": text, "@Message.ExtendedInfo": list(messages), **own}}


def entry(event: Mapping[str, Any]) -> Resource:
    """A line of the host's log."""
    facts = ", ".join(f"{name} {value}" for name, value in event["facts"].items())
    return {
        **resource(f"{routes.ENTRIES}/{event['number']}", "LogEntry.v1_16_0.LogEntry", event["event"]),
        "EntryType": "Oem",
        "OemRecordFormat": "Modseal",
        "Created": event["time"],
        "Severity": "OK",
        "Message": f"{event['event']}: {facts}" if facts else event["event"],
        **oem(event, "Event"),
    }


def event(identity: str, lines: Sequence[Mapping[str, Any]]) -> Resource:
    """Lines of the host's log as one event, as they are sent."""
    return {
        "@odata.type": "#Event.v1_7_0.Event",
        "Id": identity,
        "Name": "Lines of the host's log",
        "Events": [
            {
                "MemberId": str(place),
                "EventType": "Other",
                "EventId": str(one["number"]),
                "EventTimestamp": one["time"],
                "MessageSeverity": "OK",
                "Message": entry(one)["Message"],
                "MessageId": f"Modseal.1.0.{one['event'].title().replace('-', '')}",
                "OriginOfCondition": link(f"{routes.ENTRIES}/{one['number']}"),
                **oem(one, "Event"),
            }
            for place, one in enumerate(lines)
        ],
    }


def subscription(number: int, found: Mapping[str, Any]) -> Resource:
    """Where lines of the log are sent, and what became of that."""
    is_well = found["failure"] is None
    return {
        **resource(f"{routes.SUBSCRIPTIONS}/{number}", "EventDestination.v1_13_0.EventDestination", "A webhook"),
        "Destination": found["destination"],
        "Protocol": "Redfish",
        "SubscriptionType": "RedfishEvent",
        "EventFormatType": "Event",
        "Context": "modseal",
        "VerifyCertificate": True,
        "Status": _GOOD if is_well else {"State": "Enabled", "Health": "Warning"},
        **oem({name: found[name] for name in PARTS["Subscription"].fields}, "Subscription"),
    }


def subscriptions(count: int) -> Resource:
    """All of them, as the host's configuration names them."""
    members = [f"{routes.SUBSCRIPTIONS}/{number}" for number in range(count)]
    return collection(routes.SUBSCRIPTIONS, "EventDestinationCollection", "Webhooks", members)


def entries(found: Mapping[str, Any]) -> Resource:
    """The lines of the host's log, with the digest that stands for all of it."""
    lines = [entry(one) for one in found["events"]]
    rest = {key: found[key] for key in ("verdict", "head", "findings")}
    head = collection(routes.ENTRIES, "LogEntryCollection", "Who changed what", [], oem(rest, "LogHead"))
    return {**head, "Members": lines, "Members@odata.count": len(lines)}


def role(name: str) -> Resource:
    """A role, and what it may do."""
    path = f"{routes.ROLES}/{name}"
    return {
        **resource(path, "Role.v1_3_1.Role", f"The role {name}"),
        "RoleId": name,
        "IsPredefined": True,
        "AssignedPrivileges": _PRIVILEGES[ROLES.index(name)],
    }


_ON = {"ServiceEnabled": True, "Status": _GOOD}
_LOG = {"OverWritePolicy": "NeverOverWrites", "Entries": link(routes.ENTRIES), **_ON}
FIXED = {
    one["@odata.id"]: one
    for one in (
        collection(f"{ROOT}/Managers", "ManagerCollection", "Managers", [routes.MANAGER]),
        collection(f"{routes.MANAGER}/LogServices", "LogServiceCollection", "Logs", [routes.LOG]),
        resource(routes.LOG, "LogService.v1_5_0.LogService", "The host's log", _LOG),
        resource(
            f"{ROOT}/TaskService", "TaskService.v1_2_0.TaskService", "Tasks", {"Tasks": link(routes.TASKS), **_ON}
        ),
        resource(
            f"{ROOT}/EventService",
            "EventService.v1_10_0.EventService",
            "Events",
            {
                "ServerSentEventUri": routes.EVENTS,
                "EventFormatTypes": ["Event"],
                "Subscriptions": link(routes.SUBSCRIPTIONS),
                "Actions": {},  # sushy demands them
                **_ON,
            },
        ),
        resource(
            routes.SESSIONS,
            "SessionService.v1_1_8.SessionService",
            "Sessions",
            {"ServiceEnabled": False, "Status": {"State": "Disabled"}, "Sessions": link(f"{routes.SESSIONS}/Sessions")},
        ),
        collection(f"{routes.SESSIONS}/Sessions", "SessionCollection", "Sessions", []),
        resource(
            f"{ROOT}/AccountService",
            "AccountService.v1_13_0.AccountService",
            "Roles, which certificates have",
            {"Roles": link(routes.ROLES), **_ON},
        ),
        collection(routes.ROLES, "RoleCollection", "Roles", [f"{routes.ROLES}/{one}" for one in ROLES]),
    )
}
"""Resources that are the same on every host, by path."""


def metrics(state: Mapping[str, Any]) -> str:
    """The state in Prometheus' text form; every value is a number of our own."""
    rows = {
        "generation": state["generation"],
        "generation_pending": state["pending"] if state["pending"] is not None else -1,
        "modules": state["modules"],
        "log_events": state["event"],
        "lockdown_strict": int(state["lockdown"] == "strict"),
    }
    return "".join(f"# TYPE modseal_{name} gauge\nmodseal_{name} {value}\n" for name, value in rows.items())
