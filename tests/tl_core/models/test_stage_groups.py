"""Stages grouped without timm are those that timm groups."""

import pytest
from timm.models import group_parameters
from torch import nn

from tl_core.models.stages import _matched_groups

TEN = nn.ModuleDict(
    {"stem": nn.Linear(1, 1), "odd": nn.Linear(1, 1)}
    | {"blocks": nn.ModuleList([nn.Sequential(nn.Linear(1, 1)) for _ in range(11)])}
)


@pytest.mark.parametrize(
    "matcher",
    [
        {"stem": r"^stem", "blocks": r"^blocks\.(\d+)"},  # of the eleven, 10 comes last
        {"blocks": r"^blocks\.(\d+)\.(\d+)", "stem": r"^stem"},
        {"stem": r"^stem|^odd", "blocks": [(r"^blocks\.(\d+)", None)]},
        lambda name: int("blocks" in name),
    ],
)
def test_groups_are_timms(matcher):
    groups = group_parameters(TEN, matcher)
    expected = [groups[number] for number in sorted(groups)]
    assert _matched_groups(TEN, matcher) == expected
    assert len(expected) > 1
