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

from typing import Any

Entry = dict[str, Any]
VERSION = 1
