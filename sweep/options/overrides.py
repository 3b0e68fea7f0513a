"""The fields of TrainConfig that the command line fixes, checked before slow imports."""

import math
from typing import Any

from sweep.options.spaces import builtin_spaces, load_space
from sweep.options.sweep_options import SweepOptions
from sweep.results.sources import PRETRAINED, find_source
from tl_core.config import config_from_dict, parse_value
from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded

_PATH_SETTINGS = ("data_dir", "cache_dir")


def check_overrides(options: SweepOptions) -> None:
    """Refuse what is wrong with the options by themselves.

    Raises:
        BadInput: an unknown field or a value that it does not take. A file of the user's own
            may import what is slow and is left for the plan.
    """
    changed = overrides(options)
    if options.space in builtin_spaces():
        config_from_dict(changed, load_space(options.space).base)


def overrides(options: SweepOptions) -> dict[str, Any]:
    """The fields of TrainConfig that the options fix, paths made absolute."""
    flags = ("dataset", "data_dir", "cache_dir", "backbone", "teacher", "epochs")
    values = {"weights": options.source, **{name: getattr(options, name) for name in flags}}
    changed = {name: value for name, value in values.items() if value is not None}
    sizes = train_sizes(options)
    if sizes:
        changed["limit_train"] = sizes[-1]
    for setting in options.settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting}: write KEY=VALUE, such as --set lr=0.1.")
        if name == "seed":
            raise BadInput(
                "--set seed: use --seed S for the first seed and --seeds K for repeats."
            )
        changed[name] = parse_value(name, text)
    changed["seed"] = options.seed
    for name in _PATH_SETTINGS:
        if changed.get(name) is not None:
            changed[name] = str(expanded(changed[name]).resolve())
    if "dataset" in changed:
        changed["dataset"] = _absolute_dataset(changed["dataset"])
    for name, option in (("weights", "--source"), ("teacher", "--teacher")):
        if changed.get(name) is not None:
            changed[name] = find_source(changed[name], options.results, option)
    if changed.get("teacher") == PRETRAINED:
        raise BadInput("--teacher imagenet: it knows other classes; give a model of these data.")
    return changed


def _absolute_dataset(name: str) -> str:
    kind, colon, path = name.partition(":")
    return f"{kind}:{expanded(path).resolve()}" if colon and path else name


def train_sizes(options: SweepOptions) -> tuple[int | None, ...]:
    """The numbers of training images of `--limit-train`, ascending, None for all; () if unset.

    Raises:
        BadInput: a part is no such number.
    """
    if options.limit_train is None:
        return ()
    sizes: set[int | None] = set()
    for part in options.limit_train.split(","):
        text = part.strip().lower()
        if text != "all" and (not text.isdecimal() or int(text) == 0):
            raise BadInput(
                f"--limit-train {options.limit_train}: write numbers of images, or all, with"
                " commas between them, such as 100,1000,all."
            )
        sizes.add(None if text == "all" else int(text))
    return tuple(sorted(sizes, key=lambda size: size or math.inf))
