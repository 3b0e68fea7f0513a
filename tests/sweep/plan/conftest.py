"""Plans of a space, and what they propose."""

from collections.abc import Callable
from typing import Any

import pytest

from sweep.plan.make_plan import make_plan
from sweep.plan.plan import Plan


@pytest.fixture
def plan(options: Callable[..., Any]) -> Callable[..., Plan]:
    """plan(space, **options) → the plan of it; of the ablation where no space is named."""
    return lambda space="ablation", **fields: make_plan(options(space, **fields))


@pytest.fixture
def propose_all() -> Callable[[Plan], list[dict[str, Any]]]:
    """propose_all(plan) → all that its proposer proposes."""
    return lambda plan: list(iter(plan.proposer("s1", None).propose, None))
