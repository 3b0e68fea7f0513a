"""What searchers are made from."""

from collections.abc import Callable
from typing import Any

import pytest

from search_spaces.domains import Space
from sweep.search.proposer import SearchContext
from tl_core.config import TrainConfig


@pytest.fixture
def context() -> Callable[..., SearchContext]:
    """context(space, trials=, seed=, **more) → that of a sweep of models with two stages."""

    def make(space: Space, trials: int | None = 5, seed: int = 0, **more: Any) -> SearchContext:
        return SearchContext(
            space=dict(space), base=TrainConfig(), limits=lambda name, known: 2, seed=seed,
            trials=trials, **{"name": "s1", **more},
        )  # fmt: skip

    return make
