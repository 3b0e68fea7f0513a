"""Effects of factors: how much each level changes the validation accuracy, with intervals."""

from sweep.report.effects.interactions import INTERACTION_COLUMNS
from sweep.report.effects.table import COLUMNS, Effects, effects, largest_first

__all__ = ["COLUMNS", "INTERACTION_COLUMNS", "Effects", "effects", "largest_first"]
