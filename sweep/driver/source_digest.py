"""A hash of all that decides what a source's sweep comes to, by which a kept source is found.

Data, weights, teachers and all code count by content, libraries by their versions. Those of torch,
torchvision, NumPy and timm do not count: a new one changes numbers by rounding alone.
"""

import ast
import hashlib
import json

from sweep.options.user_modules import UserModule
from sweep.plan.plan import Plan
from tl_core.config import FIELDS, PRETRAINED, config_from_dict
from tl_core.datasets import load_data
from tl_core.machine.user_code import digest, libraries, package_digest, user_code
from tl_core.models.source_weights import file_fingerprint

PLAIN_DATA = frozenset((
    "BASE", "SPACE", "DESIGN", "SEARCH", "SCHEDULER", "TRIALS", "SEEDS", "SCRATCH", "SOURCE",
    "SOURCE_SPACE", "RUNS",
))  # fmt: skip
"""Names in a space's file that are plain data: the values of the source count by themselves."""
BY_CONTENT = ("dataset", "weights", "teacher")
"""Fields of which what they name counts, wherever it lies."""


def source_digest(plan: Plan) -> str:
    """Eight hexadecimal digits, the same for the same source; `plan` is that of its sweep."""
    search = plan.search
    config = {
        name: value
        for name, value in plan.base.to_dict().items()
        if FIELDS[name].metadata["identity"] and name not in BY_CONTENT
    }
    free = {n: repr(d) for n, d in plan.free.items() if n not in BY_CONTENT}
    about = {
        "config": config,
        "space": free,
        "strategy": (search.design, search.searcher, search.scheduler, search.trials),
        "seeds": search.seeds,
        "data": [
            load_data(config_from_dict({"dataset": name}, plan.base)).fingerprint
            for name in plan.levels("dataset")
        ],
        "files": [_content(file) for name in ("weights", "teacher") for file in plan.levels(name)],
        "trainer": package_digest(),
        "code": [
            _space_code(module) if module == plan.space.module else _code(module)
            for module in plan.modules
        ],
    }
    text = json.dumps(about, sort_keys=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _content(file: str | None) -> str | None:
    return file if file in (None, PRETRAINED) else file_fingerprint(str(file))


def _code(module: UserModule) -> str:
    """Hash of a module's code and of all that it imports, libraries by their versions."""
    texts = user_code([module.load().__name__])
    return digest(texts, libraries(texts.values()))


def _space_code(module: UserModule) -> list[str]:
    """What a space's file defines besides its plain data, and the code of what it imports."""
    body = ast.parse(module.text).body
    found = [ast.dump(statement) for statement in body if not _is_plain_data(statement)]
    name = module.load().__name__
    imported = {n: text for n, text in user_code([name]).items() if n != name}
    texts = [*map(str.encode, found), *imported.values()]
    return [*found, digest(imported), *libraries(texts)]


def _is_plain_data(statement: ast.stmt) -> bool:
    """Whether a statement is a text, or sets nothing but names of PLAIN_DATA."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return bool(names) and names <= PLAIN_DATA
