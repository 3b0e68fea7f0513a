"""What a sweep may be called."""

import re
from datetime import datetime

from sweep.plan import Plan
from sweep.spaces import builtin_spaces
from tl_core.errors import BadInput

_COMMANDS = (
    "list", "show", "delete", "pretrain", "sources", "predict", "export", "pictures", "spaces",
    "settings", "datasets", "models",
)  # fmt: skip
RESERVED_NAMES = frozenset((*_COMMANDS, *builtin_spaces()))


def sweep_name(plan: Plan, now: datetime) -> str:
    """`--name`, or SPACE-YYYYMMDD-HHMMSS, with a number behind it where that is taken.

    Raises:
        BadInput: the name has other characters, or is that of a sweep in these results.
    """
    runs = plan.options.results / "runs"
    name = plan.options.name
    if name is None:
        stem = f"{plan.space.name}-{now:%Y%m%d-%H%M%S}"
        taken = {path.name for path in runs.glob(f"{stem}*")}
        others = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
        return next(free for free in (stem, *others) if free not in taken)
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise BadInput(f"--name {name!r}: a letter, then letters, digits, - and _ only.")
    if name in RESERVED_NAMES:
        raise BadInput(f"--name {name}: this is the name of a command; take another.")
    if (runs / name).exists():
        raise BadInput(
            f"--name {name}: a sweep of this name is in {plan.options.results}; take another "
            f"name, or `delete {name}` first."
        )
    return name
