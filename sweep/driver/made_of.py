"""What decides a sweep's numbers beside its data: versions, code, the space. Kept to compare."""

import importlib.metadata
import platform
from typing import Any

from sweep import __version__
from sweep.journal.journal import as_read
from sweep.plan.plan import Plan
from tl_core.machine.user_code import digest, package_digest

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pillow", "optuna")


def made_of(plan: Plan) -> dict[str, dict[str, Any]]:
    """Kind → name → version, hash, or plain value."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "version": {"tl-sweep": __version__, "Python": platform.python_version(), **libraries},
        "code": {
            "tl_core": package_digest(),
            **{module.path: digest(module.text) for module in plan.modules},
        },
        "setting": {name: as_read(value) for name, value in plan.base.to_dict().items()},
        "field": {name: repr(domain) for name, domain in plan.free.items()},
        "sweep": {"seeds": list(plan.search.seeds)},
    }


def differences(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    """One phrase on each thing that is not what it was."""
    return [
        f"{name} has changed" if kind == "code" else f"{name}: {old} → {new}"
        for kind in now
        for name in {**before.get(kind, {}), **now[kind]}
        if (old := before.get(kind, {}).get(name)) != (new := now[kind].get(name))
    ]
