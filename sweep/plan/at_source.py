"""What of a study's options reaches the sweep that trains its source."""

from dataclasses import fields
from typing import Any

from sweep.options.option import NEVER, OWN, SAME, Fixed
from sweep.options.sweep_options import FLAGS, SweepOptions, flag_of
from sweep.plan.plan import Plan
from tl_core.config import ARCHITECTURE
from tl_core.errors import BadInput

SHARED_SETTINGS = frozenset((
    *ARCHITECTURE, "data_dir", "cache_dir", "device", "threads", "precision", "eval_precision",
    "channels_last", "deterministic", "eval_batch_size",
))  # fmt: skip
"""Settings of `--set` that hold for the source too, unless `--source-set` says otherwise: of the
model, which its weights must fit, and of where and in which arithmetic trials run."""


def source_options(options: SweepOptions) -> SweepOptions:
    """How the source's sweep is run, as each field of SweepOptions says by `at_source`.

    A setting of `--source-set` goes before the option that fixes it for the transfers.
    """
    given: dict[str, Any] = {}
    own = set(map(_key, options.source_settings))
    for field in fields(options):
        at_source = field.metadata["at_source"]
        if at_source == SAME and field.metadata["sets"] not in own:
            given[field.name] = getattr(options, field.name)
        elif isinstance(at_source, Fixed):
            given[field.name] = at_source.value
        elif at_source not in (SAME, OWN, NEVER):
            given[field.name] = getattr(options, at_source)
    shared = [text for text in options.settings if _key(text) in SHARED_SETTINGS]
    return SweepOptions(**{**given, "settings": (*shared, *options.source_settings)})


def transfers_alone(options: SweepOptions) -> str | None:
    """A line on the options that the source's sweep does not share; None where there are none."""
    given = [flag_of(n) for n in options.given() if FLAGS[n].metadata["at_source"] == OWN]
    keys = map(_key, options.settings)
    given += [f"--set {key}" for key in keys if key not in SHARED_SETTINGS]
    if not given:
        return None
    say = "the source is trained as the space's file and --source-set say"
    return f"For the transfers alone: {', '.join(given)}; {say}."


def check_source_options(plan: Plan) -> None:
    """Raise BadInput where options are of a source that is not trained, or contradict."""
    of_source = {field.metadata["at_source"] for field in FLAGS.values()}
    named = [flag_of(name) for name in plan.options.given() if name in of_source]
    if named and not plan.trains_source:
        why = "--source names one" if plan.space.origin else f"{plan.space.name} has no SOURCE"
        raise BadInput(f"{' and '.join(named)}: no source is trained, since {why}; leave it out.")
    dataset = plan.options.source_dataset
    for text in plan.options.source_settings if dataset is not None else ():
        if _key(text) == "dataset" and text != f"dataset={dataset}":
            both = f"--source-dataset {dataset} and --source-set {text}"
            raise BadInput(f"{both}: dataset has one value; give one.")


def _key(setting: str) -> str:
    return setting.partition("=")[0]
