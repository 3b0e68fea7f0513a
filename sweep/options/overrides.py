"""The fields of TrainConfig that the options fix, read without slow imports."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sweep.results.sources import find_source
from tl_core.config import PRETRAINED, parse_value
from tl_core.errors import BadInput
from tl_core.machine.user_path import absolute


def read_overrides(
    fixed: Mapping[str, Any], said: Mapping[str, str], settings: Iterable[str], results: Path
) -> dict[str, Any]:
    """Field → value, paths made absolute and sources found among the named models in `results`.

    Args:
        fixed: the values of fields that have an option of their own.
        said: how these options are written, for the error.
        settings: the texts of `--set`.
        results: the results folder.

    Raises:
        BadInput: an unknown field, one that an option of its own fixes otherwise, a value that it
            does not take, or no such source.
    """
    changed = dict(fixed)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting}: write KEY=VALUE, such as --set lr=0.1.")
        if name == "seed":
            raise BadInput("--set seed: use --seed S for the first seed, --seeds K for more.")
        changed[name] = parse_value(name, text)
        if name in fixed and changed[name] != fixed[name]:
            raise BadInput(f"{said[name]} and --set {setting}: {name} has one value; give one.")
    for name in ("data_dir", "cache_dir"):
        if changed.get(name) is not None:
            changed[name] = str(absolute(changed[name]))
    if "dataset" in changed:
        kind, colon, path = changed["dataset"].partition(":")
        if colon and path:
            changed["dataset"] = f"{kind}:{absolute(path)}"
    for name, option in (("weights", "--source"), ("teacher", "--teacher")):
        if changed.get(name) is not None:
            changed[name] = find_source(changed[name], results, option)
    if changed.get("teacher") == PRETRAINED:
        raise BadInput("--teacher imagenet: it knows other classes; give a model of these data.")
    return changed
