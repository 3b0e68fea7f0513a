"""The kinds of entries in a sweep's journal.

| kind | when | fields |
|---|---|---|
| begin | the sweep has its name | `version`, `sweep`, `folder`, `options`, `space`, `of_source`,
  `kept_as`, `settled`, `replaced`, `made_of` |
| session | a driver begins to run trials | `precisions`, and what trials have of the machine |
| propose | Tune has taken a trial | `number`, `configuration` or null, `values`, `config_id` |
| start | a slot has taken it | `number` |
| result | the driver heard a report | `number`, `report`, `said`: go, stop, cut (by the budget) |
| end | the trial ended | `number`, `error`: of its slot, or null |
| over | the time budget ended the search | |
| more | `resume` was told to go on | `options` that replace those of `begin` |
| reopen | `resume` was given time for a search that the budget had ended | |
| again | `retry` runs trials again | `numbers` |
| longer | `resume --epochs` lets trials go on | `numbers`, `epochs` |
| close | the driver has no more trials | `status` of the sweep |
"""

from types import NoneType
from typing import Any

Entry = dict[str, Any]
VERSION = 1


class Absent:
    """The type of a field that an entry lacks."""


_NUMBER = (int, float)
FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "begin": {
        "version": (int,), "sweep": (str,), "folder": (str,), "options": (dict,),
        "options.space": (str,), "options.time_budget": (*_NUMBER, NoneType, Absent),
        "space": (str,), "of_source": (bool,), "kept_as": (str, NoneType), "settled": (dict,),
        "settled.search": (str, Absent), "settled.scheduler": (str,),
        "settled.trials": (int, Absent), "settled.grace_period": (int, NoneType, Absent),
        "replaced": (dict,), "made_of": (dict,), "made_of.setting": (dict,), "made_of.*": (dict,),
    },
    "session": {"precisions": (dict,), "precisions.*": (dict,)},
    "propose": {
        "number": (int,), "configuration": (int, NoneType), "values": (dict,), "config_id": (str,),
    },
    "start": {"number": (int,)},
    "result": {
        "number": (int,), "said": (str,), "report": (dict,), "report.epoch": (int,),
        "report.val_accuracy": _NUMBER, "report.best_val_accuracy": _NUMBER,
        "report.train_seconds": _NUMBER, "report.eval_seconds": _NUMBER,
        "report.images_per_second": _NUMBER, "report.host_memory_bytes": _NUMBER,
        "report.status": (str,), "report.error": (str, NoneType), "report.done": (bool,),
        "report.traceback": (str, Absent),
    },
    "end": {"number": (int,), "error": (str, NoneType)},
    "over": {},
    "more": {"options": (dict,), "options.trials": (int,)},
    "reopen": {},
    "again": {"numbers": (list,), "numbers.*": (int,)},
    "longer": {"numbers": (list,), "numbers.*": (int,), "epochs": (int,)},
    "close": {"status": (str,)},
}  # fmt: skip
"""Kind → each field that is read → its types in JSON, where a bool is no int.

`report.epoch` is a field within `report`, `numbers.*` each item of `numbers`.
"""
