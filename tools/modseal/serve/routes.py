"""Who may ask for what: the one table of the service, from which its documentation and its tests are made.

What is not in it is denied. A route leads to an operation, and the lowest role of its routes is that of the operation:
the process that speaks to clients looks here, and the one that carries out looks here again.
"""

from __future__ import annotations

from modseal.errors import RefusedError
from modseal.serve.roles import Role
from modseal.values import dataclass

ROOT = "/redfish/v1"
MANAGER = f"{ROOT}/Managers/host"
UPDATE = f"{ROOT}/UpdateService"
INVENTORY = f"{UPDATE}/SoftwareInventory"
PUSH = f"{UPDATE}/update-multipart"
TASKS = f"{ROOT}/TaskService/Tasks"
LOG = f"{MANAGER}/LogServices/Log"
ENTRIES = f"{LOG}/Entries"
EVENTS = f"{ROOT}/EventService/SSE"
ROLES = f"{ROOT}/AccountService/Roles"
OWN = f"{MANAGER}/Oem/Modseal"
GENERATIONS, ACCEPTANCE, LOCKDOWN, POLICY, RECALLS = (
    f"{OWN}/{name}" for name in ("Generations", "Acceptance", "Lockdown", "Policy", "Recalls")
)
SCHEMA = f"{ROOT}/Schemas/Modseal_v1.xml"
SESSIONS = f"{ROOT}/SessionService"
SUBSCRIPTIONS = f"{ROOT}/EventService/Subscriptions"
SUBSCRIPTION = f"{SUBSCRIPTIONS}/{{number}}"
SERVICE = f"{ROOT}/"
MODULE, ENTRY, TASK, ROLE = f"{INVENTORY}/{{name}}", f"{ENTRIES}/{{number}}", f"{TASKS}/{{id}}", f"{ROLES}/{{name}}"
MONITOR = f"{ROOT}/TaskService/TaskMonitors/{{id}}"
ACTIONS = f"{MANAGER}/Actions/Oem/Modseal"
HOME_PAGE, MODULES_PAGE, GENERATIONS_PAGE, LOG_PAGE = "/", "/modules", "/generations", "/log"
TASKS_PAGE, UPLOAD_PAGE = "/tasks", "/upload"
MODULE_PAGE, TASK_PAGE = f"{MODULES_PAGE}/{{name}}", f"{TASKS_PAGE}/{{id}}"
PAGES = frozenset(
    {HOME_PAGE, MODULES_PAGE, MODULE_PAGE, GENERATIONS_PAGE, LOG_PAGE, TASKS_PAGE, TASK_PAGE, UPLOAD_PAGE}
)
"""The paths that are for people: what is there is HTML, and so is what is refused there."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, whose parts in braces stand for names, with the role that it needs.

    `operation` is what it asks of the host, of `operations.OPERATIONS`; `about` says it in a few words.
    """

    method: str
    path: str
    role: Role
    operation: str
    about: str


_READER, _OPERATOR, _ADMIN = Role.READER, Role.OPERATOR, Role.ADMIN
ROUTES = (
    Route("GET", "/redfish", _READER, "whoami", "Versions of the protocol."),
    Route("GET", SERVICE, _READER, "state", "Where everything is."),
    Route("GET", f"{ROOT}/odata", _READER, "whoami", "The same, for OData clients."),
    Route("GET", f"{ROOT}/$metadata", _READER, "whoami", "The types that are used."),
    Route("GET", SCHEMA, _READER, "whoami", "Those of them that are modseal's own."),
    Route("GET", UPDATE, _READER, "whoami", "Where bundles are pushed to."),
    Route("POST", PUSH, _OPERATOR, "install", "Install or update a bundle, or try to: a task."),
    Route("GET", INVENTORY, _READER, "modules", "The installed modules, each with its claimed and its proved level."),
    Route("GET", MODULE, _READER, "module", "One of them, proved again."),
    Route("DELETE", MODULE, _OPERATOR, "remove", "Remove it: a task."),
    Route("GET", f"{ROOT}/Managers", _READER, "whoami", "The one manager, `host`."),
    Route("GET", MANAGER, _READER, "state", "Level, lockdown, generation, and how many modules."),
    Route("GET", GENERATIONS, _READER, "history", "The generations."),
    Route("GET", ACCEPTANCE, _READER, "level", "The host's acceptance level."),
    Route("GET", LOCKDOWN, _READER, "keys", "The mode of the host, and the keys that it names."),
    Route("GET", POLICY, _READER, "policy", "The host's policy, and which installed modules it does not accept."),
    Route("GET", RECALLS, _READER, "recalls", "The recalls that the host keeps."),
    Route("POST", f"{ACTIONS}.Remove", _OPERATOR, "remove", "Remove modules, all or none: a task."),
    Route(
        "POST", f"{ACTIONS}.Verify", _OPERATOR, "verify", "Hold every installed file against what is signed: a task."
    ),
    Route("POST", f"{ACTIONS}.Activate", _OPERATOR, "activate", "Make the generation active that waits: a task."),
    Route("POST", f"{ACTIONS}.Rollback", _OPERATOR, "rollback", "Go back to an earlier generation: a task."),
    Route("POST", f"{ACTIONS}.Prune", _OPERATOR, "prune", "Remove old generations: a task."),
    Route("POST", f"{ACTIONS}.KeepRecalls", _OPERATOR, "recall", "Keep recalls, which only withdraw."),
    Route("POST", f"{ACTIONS}.SetAcceptance", _ADMIN, "acceptance", "Set the host's acceptance level."),
    Route("POST", f"{ACTIONS}.SetLockdown", _ADMIN, "lockdown", "Begin or end strict mode."),
    Route("GET", f"{MANAGER}/LogServices", _READER, "whoami", "The one log, `Log`."),
    Route("GET", LOG, _READER, "whoami", "What the log is."),
    Route("GET", ENTRIES, _READER, "log", "Who changed what, and when: proved to be whole."),
    Route("GET", ENTRY, _READER, "log", "One line of it."),
    Route("GET", f"{ROOT}/TaskService", _READER, "whoami", "What tasks are."),
    Route("GET", TASKS, _READER, "tasks", "The newest tasks."),
    Route("GET", TASK, _READER, "task", "One of them, with what became of it."),
    Route(
        "GET",
        MONITOR,
        _READER,
        "task",
        "The same for clients that wait: 202 until it has ended, then what became of it.",
    ),
    Route("GET", f"{ROOT}/EventService", _READER, "whoami", "Where events are sent."),
    Route("GET", SUBSCRIPTIONS, _READER, "whoami", "Where the log is sent to, by the host's configuration."),
    Route("GET", SUBSCRIPTION, _READER, "whoami", "One of these addresses, and what became of what was sent."),
    Route("GET", EVENTS, _READER, "events", "Lines of the log as they are written: server-sent events."),
    Route("GET", SESSIONS, _READER, "whoami", "That there are no sessions: a certificate is one."),
    Route("GET", f"{SESSIONS}/Sessions", _READER, "whoami", "None."),
    Route("GET", f"{ROOT}/AccountService", _READER, "whoami", "Where roles are described."),
    Route("GET", ROLES, _READER, "whoami", "The roles."),
    Route("GET", ROLE, _READER, "whoami", "What a role may do."),
    Route("GET", "/metrics", _READER, "state", "The state in numbers, for Prometheus."),
    Route("GET", "/openapi.json", _READER, "whoami", "This table without its pages, as OpenAPI 3.1."),
    Route("GET", HOME_PAGE, _READER, "state", "The page for people: the state of the host."),
    Route("GET", MODULES_PAGE, _READER, "inventory", "The installed modules: levels, signers, recalls."),
    Route("GET", MODULE_PAGE, _READER, "proof", "One of them, with the steps of its verification."),
    Route("GET", GENERATIONS_PAGE, _READER, "history", "The generations, and what changed with each."),
    Route("GET", LOG_PAGE, _READER, "log", "The log, the newest lines first."),
    Route("GET", TASKS_PAGE, _READER, "tasks", "The newest tasks."),
    Route("GET", TASK_PAGE, _READER, "task", "One of them; after an upload, the steps of the verification."),
    Route("GET", UPLOAD_PAGE, _OPERATOR, "install", "The form for bundles."),
    Route("POST", UPLOAD_PAGE, _OPERATOR, "install", "What the form sends: leads to the page of the task."),
)


def own_names() -> list[str]:
    """The resources of a host that Redfish has no type for."""
    return [route.path.rpartition("/")[2] for route in ROUTES if route.path.startswith(f"{OWN}/")]


def role_for(operation: str) -> Role | None:
    """The lowest role that may ask for an operation; None where no route leads to it."""
    return min((route.role for route in ROUTES if route.operation == operation), default=None)


def require_role(operation: str, role: Role, name: str) -> None:
    """Raises `RefusedError` (role-too-low) where somebody of this role may not ask for an operation."""
    needed = role_for(operation)
    if needed is None or role < needed:
        detail = f"{operation} needs the role {needed}, and {name} has {role}"
        raise RefusedError("role-too-low", detail, operation=operation, role=str(role))
