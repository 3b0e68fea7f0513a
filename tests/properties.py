"""How many examples the property tests try: few and always the same, or TL_SWEEP_EXAMPLES."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = os.environ.get("TL_SWEEP_EXAMPLES")
few = settings(
    max_examples=int(EXAMPLES or 20), derandomize=EXAMPLES is None, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
"""Decorates a property test."""
