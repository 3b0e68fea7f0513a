"""What a kept source is found again by: a hash of all that decides what its sweep comes to.

Data, weights and teachers count by content. The trainer's code counts as a whole, as do the files
of `--import`, what the space's file defines besides its plain data, and the user's modules that
these import. Versions of torch, torchvision and timm do not: a new one moves numbers by rounding,
and a source may have taken days.
"""

import ast
import hashlib
import json
from typing import TYPE_CHECKING, Any

from sweep.options.user_modules import UserModule
from sweep.results.sources import PRETRAINED
from tl_core.config import FIELDS, config_from_dict
from tl_core.datasets import load_data
from tl_core.machine.user_code import digest, package_digest, user_code
from tl_core.models.source_weights import file_fingerprint

if TYPE_CHECKING:
    from sweep.plan.plan import Plan

PLAIN_DATA = frozenset((
    "BASE", "SPACE", "DESIGN", "SEARCH", "SCHEDULER", "TRIALS", "SEEDS", "SCRATCH", "SOURCE",
    "SOURCE_SPACE", "RUNS",
))  # fmt: skip
"""What a space's file says of itself; of the source, its values count in their own place."""
BY_CONTENT = ("dataset", "weights", "teacher")
"""Fields of which what they name counts, wherever it lies."""


def source_digest(plan: "Plan") -> str:
    """Eight hexadecimal digits, the same for the same source.

    Args:
        plan: of the source's sweep.
    """
    strategy = plan.strategy
    config = {
        name: value
        for name, value in plan.base.to_dict().items()
        if FIELDS[name].metadata["identity"] and name not in BY_CONTENT
    }
    free = {n: repr(d) for n, d in plan.free.items() if n not in BY_CONTENT}
    about = {
        "config": config,
        "space": free,
        "strategy": (strategy.design, strategy.search, strategy.scheduler, strategy.trials),
        "seeds": strategy.seeds,
        "data": [_data(plan, name) for name in plan.levels("dataset")],
        "files": [_content(file) for name in ("weights", "teacher") for file in plan.levels(name)],
        "trainer": package_digest(),
        "code": [
            _space_code(module) if module == plan.space.source else _code(module)
            for module in plan.modules
        ],
    }
    text = json.dumps(about, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _data(plan: "Plan", name: str) -> str:
    return load_data(config_from_dict({"dataset": name}, plan.base)).fingerprint


def _content(file: str | None) -> str | None:
    return file if file in (None, PRETRAINED) else file_fingerprint(str(file))


def _code(module: UserModule) -> str:
    """Hash of a module's code and of the user's modules that it imports."""
    return digest(user_code([module.load().__name__]))


def _space_code(module: UserModule) -> list[str]:
    """What a space's file defines besides its plain data, and the code of what it imports."""
    body = ast.parse(module.source).body
    found = [ast.dump(part) for part in body if not (_is_plain_data(part) or _is_text(part))]
    name = module.load().__name__
    imported = {n: text for n, text in user_code([name]).items() if n != name}
    return [*found, digest(imported)]


def _is_plain_data(statement: ast.stmt) -> bool:
    targets: list[Any] = getattr(statement, "targets", None) or [
        getattr(statement, "target", None)
    ]
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    names = [
        name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
    ]
    return bool(names) and set(names) <= PLAIN_DATA


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
