"""From options to a plan.

Planning reads the user's files and checks every name and value; it trains nothing, downloads
nothing and decodes no image, so that `--dry-run` is quick.
"""

from dataclasses import replace

from search_spaces.domains import Choice, fix
from sweep.options.decided import fixed_fields
from sweep.options.spaces import SearchSpace, load_space
from sweep.options.sweep_options import SweepOptions
from sweep.options.user_modules import read_user_module
from sweep.plan.at_source import check_source_options
from sweep.plan.plan import Plan, counted_plan
from sweep.plan.plan_names import check_names
from sweep.plan.unheeded import unheeded_options, without_dead_fields
from sweep.search.search import choose_search
from tl_core.config import config_from_dict
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.machine.cache_folder import gibibytes_from


def make_plan(options: SweepOptions, space: SearchSpace | None = None) -> Plan:
    """Check everything that can be checked without data or a GPU, and count the trials.

    `space` is what to explore, where that is not what the file that the options name says.

    Raises:
        BadInput: a name, a value, a file or a combination of options is wrong.
    """
    modules = tuple(read_user_module(path) for path in options.imports)
    for module in modules:
        module.load()
    gibibytes_from(BUDGET_VARIABLE)
    space = space or load_space(options.space)
    fixed = fixed_fields(options, space.base)
    base = config_from_dict(fixed, space.base)
    sizes = {"limit_train": Choice(options.limit_train)} if len(options.limit_train) > 1 else {}
    free = {**sizes, **fix(space.space, fixed)}
    if base.device == "cpu" and "device" not in free and options.gpus is None:
        options = replace(options, gpus=0)
    plan = Plan(
        options=options,
        space=space,
        base=base,
        free=free,
        modules=(*modules, space.module),
        named=tuple(options.overrides),
        search=choose_search(options, space),
    )
    check_source_options(plan)
    check_names(plan)
    counted = counted_plan(without_dead_fields(plan))
    return replace(counted, notes=(*unheeded_options(counted), *counted.notes))
