"""The state of a run in a group, with which it goes on in another process."""

from typing import Any

from tl_core.errors import BadInput
from tl_core.heads.head_group import Member
from tl_core.train.checkpoint import refuse_other_run

_PLAIN = ("epoch", "best_epoch", "best_val_accuracy", "stop_reason")


def member_state(member: Member) -> dict[str, Any]:
    """Everything that decides the rest of the run, as tensors and plain values."""
    names = ("weights", *member.group.state)
    return {
        "config": member.config.to_dict(),
        "model": dict(zip(names, member.group.rows_of(member), strict=True)),
        "plateau": member.plateau.state_dict(),
        "order": member.order.get_state(),
        "best_weights": member.best_weights,
        **{name: getattr(member, name) for name in _PLAIN},
    }


def restore_member(member: Member, state: dict[str, Any]) -> None:
    """Let a run that has not begun go on where its state was taken.

    Raises:
        BadInput: the state is of another configuration, or of another head; nothing has changed.
    """
    refuse_other_run(state["config"], member.config)
    group, rows = member.group, state["model"]
    shapes = {name: tuple(row.shape) for name, row in rows.items()}
    expected = dict.fromkeys(("weights", *group.state), (1, group.layout.size))
    if shapes != expected:
        raise BadInput(f"the checkpoint is of another head: {shapes} instead of {expected}.")
    seated = member in group.members
    if seated:
        group.leave(member)
    member.kept = [rows[name].to(group.device) for name in expected]
    if seated:
        group.rejoin(member)
    member.plateau.load_state_dict(state["plateau"])
    member.order.set_state(state["order"])
    member.best_weights = {k: v.to(group.device) for k, v in state["best_weights"].items()}
    for name in _PLAIN:
        setattr(member, name, state[name])
