"""Find, load and check search spaces: the built-in ones by name, a user's own by path.

A search space is a Python file with BASE, SPACE and, where it needs them, the names in OPTIONAL.
`--help` imports this file: nothing here may load torch, ray, optuna or pandas.
"""

import ast
import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import search_spaces
from search_spaces.designs import DESIGNS
from search_spaces.domains import Domain
from search_spaces.domains.checks import check_space
from sweep.options.sweep_options import AUTO
from sweep.options.user_modules import UserModule, read_user_module
from tl_core.config import ARCHITECTURE, TrainConfig, config_from_dict
from tl_core.errors import BadInput, near_names
from tl_core.machine.user_path import absolute, expanded
from tl_core.settings import plain

DEFAULT_TRIALS = 32
"""Trials of a search that states no number."""
NOT_FROM_SCRATCH = ("strategy", "limit_train")
"""Fields that SCRATCH may not set: by them scratch runs are compared with the other strategies."""
DESIGN_SEEDS = {"one-at-a-time": 5, "factorial": 3}
"""Repeats under a design that states no number: an effect needs a spread to be judged by."""

OPTIONAL: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("DESIGN", "SEARCH", "SCHEDULER"), (str, "a name, or None")),
    **dict.fromkeys(("TRIALS", "SEEDS"), (int, "a whole number from 1")),
    "SCRATCH": (dict, "{field: value} of scratch runs"),
    "SOURCE": (TrainConfig, "TrainConfig(...)"),
    "SOURCE_SPACE": (dict, "{field: Choice(...), ...}"),
    "RUNS": (dict, "{name: {field: value}}"),
}
"""What a space's file may define besides: type, and the rule as an error words it. SOURCE and
SOURCE_SPACE make a study that trains its source first, RUNS one of several sweeps."""


@dataclass(frozen=True)
class SearchSpace:
    """A study: what is varied around what, and how it is explored unless the user says else."""

    name: str
    """Of a built-in space its command; else the file's stem made to match `[A-Za-z][\\w-]*`."""
    path: Path
    """The file, absolute."""
    module: UserModule
    """The file as it was read; trainer processes load it too, since it may define models."""
    question: str
    """First paragraph of the file's docstring on one line; may be empty."""
    base: TrainConfig
    space: dict[str, Domain]
    design: str | None
    """A name from DESIGNS, or None: then `search` is set."""
    search: str | None
    """A name from SEARCHERS or "auto" (where the file names neither), or None."""
    scheduler: str = "none"
    """A name from SCHEDULERS or "auto"; by default "auto" for a search, "none" for a design."""
    trials: int | None = None
    """Configurations to try; None: all of a design or grid, DEFAULT_TRIALS of another search."""
    seeds: int | None = None
    """Repeats of each configuration; None: DESIGN_SEEDS of a design, 1 of a search."""
    scratch: dict[str, Any] = field(default_factory=dict)
    """{field: value} of its scratch runs, unless the user sets the field."""
    origin: "SearchSpace | None" = None
    """The sweep whose winner is the source of its transfers."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name → {field: value} on top of the base, for several sweeps."""

    def with_fields(self, changed: Mapping[str, Any]) -> "SearchSpace":
        """The same space around another base; what makes the model changes at its origin too."""
        origin = self.origin
        if origin is not None:
            model = {name: value for name, value in changed.items() if name in ARCHITECTURE}
            origin = origin.with_fields(model)
        return replace(self, base=config_from_dict(changed, self.base), origin=origin, runs={})


@functools.cache
def builtin_spaces() -> Mapping[str, str]:
    """Name → question of each space in the package `search_spaces`, without importing any."""
    found = {}
    for path in sorted(Path(search_spaces.__path__[0]).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any("SPACE" in _assigned(statement) for statement in tree.body):
            found[path.stem] = _first_paragraph(ast.get_docstring(tree))
    return found


def load_space(name_or_path: str | Path) -> SearchSpace:
    """Import a search space, named as in `builtin_spaces()` or by the path of a .py file.

    Raises:
        BadInput: there is no such space or file, the file fails when run, or what it defines
            is no valid space; the one line names the file and, where known, its line.
    """
    path = _find(name_or_path)
    module = read_user_module(path)
    loaded = module.load()
    try:
        return _space(loaded, module, path)
    except BadInput as error:
        raise BadInput(f"{path.name}: {error}") from None


def _space(loaded: ModuleType, module: UserModule, path: Path) -> SearchSpace:
    space, base = getattr(loaded, "SPACE", None), getattr(loaded, "BASE", None)
    if not isinstance(space, Mapping):
        raise BadInput("a search space needs SPACE = {field: Choice(...), ...}.")
    if not isinstance(base, TrainConfig):
        raise BadInput("a search space needs BASE = TrainConfig(...).")
    said = _said(loaded)
    check_space(space, base)
    design, search = said["DESIGN"], said["SEARCH"]
    if design and search:
        raise BadInput(f"DESIGN={design!r} and SEARCH={search!r}; leave one of them out.")
    if design is not None and design not in DESIGNS:
        raise BadInput(f"unknown DESIGN={design!r}; one of {', '.join(DESIGNS)}.")
    return SearchSpace(
        name=name_of(path),
        path=path,
        module=module,
        question=_first_paragraph(loaded.__doc__),
        base=base,
        space=dict(space),
        design=design,
        search=AUTO if design is None and search is None else search,
        scheduler=said["SCHEDULER"] or ("none" if design else AUTO),
        trials=said["TRIALS"],
        seeds=said["SEEDS"],
        scratch=_checked_scratch(said["SCRATCH"] or {}, base),
        origin=_origin(said["SOURCE"], said["SOURCE_SPACE"] or {}, module, path),
        runs=_checked_runs(said["RUNS"] or {}, base),
    )


def _said(loaded: ModuleType) -> dict[str, Any]:
    """The values of OPTIONAL in a module, None for those that it does not define."""
    said = {name: plain(getattr(loaded, name, None)) for name in OPTIONAL}
    for name, value in said.items():
        kind, rule = OPTIONAL[name]
        right = isinstance(value, kind) and not isinstance(value, bool)
        if value is not None and (not right or (kind is int and value < 1)):
            raise BadInput(f"{name}={value!r} must be {rule}.")
    return said


def _checked_scratch(scratch: dict[str, Any], base: TrainConfig) -> dict[str, Any]:
    config_from_dict(scratch, base)
    for name in NOT_FROM_SCRATCH:
        if name in scratch:
            raise BadInput(
                f"SCRATCH has {name}={scratch[name]!r}, but scratch runs are the strategy"
                f" 'scratch' and have the sizes of the others; leave {name} out."
            )
    return scratch


def _origin(
    base: TrainConfig | None, space: dict[str, Domain], module: UserModule, path: Path
) -> SearchSpace | None:
    """The sweep of one configuration, or of a space around it, that makes the source."""
    if base is None:
        return None
    try:
        check_space(space, base)
    except BadInput as error:
        raise BadInput(f"SOURCE_SPACE: {error}") from None
    return SearchSpace(
        name=f"{name_of(path)}-source",
        path=path,
        module=module,
        question=f"Which source serves {name_of(path)}?",
        base=base,
        space=space,
        design="one-at-a-time" if space else None,
        search=None if space else "grid",
        seeds=1,
    )


def _checked_runs(runs: dict[str, dict[str, Any]], base: TrainConfig) -> dict[str, dict[str, Any]]:
    for name, changed in runs.items():
        if not re.fullmatch(r"[\w-]+", str(name)) or not isinstance(changed, Mapping):
            raise BadInput(f"RUNS[{name!r}]={changed!r} must be NAME: {{field: value}}.")
        config_from_dict(changed, base)
    return runs


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if text in (names := builtin_spaces()):
        return Path(search_spaces.__path__[0]) / f"{text}.py"
    path = expanded(text)
    if path.suffix == ".py" or path.name != text:
        if not os.path.isfile(path):  # a name may be too long
            raise BadInput(f"{text}: no such file; give the path of a .py file with a SPACE.")
        if path.suffix != ".py":
            raise BadInput(f"{text} is no .py file; a search space is a Python file.")
        return absolute(path)
    spaces = ", ".join(name for name in names if name != "pretrain")  # a command of its own
    hint = near_names(text, names, f"the search spaces are {spaces}.")
    what = f"unknown command or search space {text!r}"
    raise BadInput(f"{what}: {hint} A file is given as ./{text}.py.")


def name_of(path: Path) -> str:
    """The name of the space in a file."""
    name = re.sub(r"[^\w-]", "_", path.stem)
    return name if re.match(r"[A-Za-z]", name) else f"space_{name}"


def _assigned(statement: ast.stmt) -> list[str]:
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _first_paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").strip().split("\n\n")[0].split())
