"""The documents of modseal's own that the API shows: what `modseal host --format json` prints, and two more.

From their shapes the published descriptions are made: `openapi` for clients, `csdl` for Redfish's own validator.
"""

from __future__ import annotations

from collections.abc import Mapping

from modseal.bundle.result_shape import CODE, EVIDENCE, LEVELS, text, time
from modseal.format.shape import UNBOUNDED, Integer, Nullable, Shape, Table, Text
from modseal.host import result_shape, values
from modseal.serve import tasks
from modseal.serve.operations import OPERATIONS, STATE

_LOG = result_shape.SHAPE.tables[values.LOG]
_NUMBER = Integer(0, UNBOUNDED)
_FAILURE: Mapping[str, Shape] = {"code": CODE, "detail": text(), "evidence": EVIDENCE, "next_step": text()}
_PROGRESS = Table(
    {
        "number": _NUMBER,
        "steps": _NUMBER,
        "what": text("What this step works on."),
        "done": _NUMBER,
        "of": _NUMBER,
        "percent": Integer(0, 99, about="Of all steps, which count alike."),
    }
)
_TASKS = [name for name, one in OPERATIONS.items() if one.task]
_ARGUMENTS = {key: shape for name in _TASKS for key, shape in OPERATIONS[name].takes.fields.items()}

DOCUMENTS: Mapping[str, Table] = {
    **result_shape.SHAPE.tables,
    STATE: Table(
        {
            "schema": Text(choices=(STATE,)),
            "host": text("32 lower-case hex digits, which stand for nothing else."),
            "generation": _NUMBER,
            "pending": Nullable(_NUMBER, about="The generation that waits for `Activate`."),
            "level": Text(choices=LEVELS),
            "policy_minimum": Text(choices=LEVELS),
            "lockdown": Text(choices=("normal", "strict")),
            "event": _NUMBER,
            "changed": time(),
            "modules": _NUMBER,
        }
    ),
}
"""By schema."""


PARTS: Mapping[str, Table] = {
    "Failure": Table(_FAILURE, {"module": Nullable(text()), "bundle": text()}),
    "Event": result_shape.EVENT,
    "LogHead": Table({key: _LOG.fields[key] for key in ("verdict", "head", "findings")}),
    "Subscription": Table(
        {
            "sent": Integer(0, UNBOUNDED, about="Lines, since the service was started."),
            "dropped": _NUMBER,
            "failure": Nullable(text(), about="Why the last attempt was none."),
        }
    ),
    "TaskRecord": Table(
        {
            "schema": Text(choices=(tasks.SCHEMA,)),
            "id": text(),
            "operation": Text(choices=_TASKS),
            "arguments": Table({}, _ARGUMENTS, about="As they were asked for, with the names of pushed files."),
            "by": Table({"key": text(), "name": text()}),
            "state": Text(choices=("running", "done", "refused", "failed")),
            "started": time(),
            "ended": Nullable(time()),
            "progress": Nullable(_PROGRESS, about="Null where it has not begun yet, and where it has ended."),
            "before": Integer(0, UNBOUNDED, about="The number of the newest line of the log, before it began."),
        }
    ),
}
"""By the names of their types: what stands within a resource, and has no schema of its own."""


def kind_of(schema: str) -> str:
    """The name of a document's type: `HostChange` for `modseal/host-change@1`."""
    return schema.removeprefix("modseal/").rpartition("@")[0].title().replace("-", "")
