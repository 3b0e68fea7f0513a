"""The description of a sweep whose file is lost, made anew from its journal and its plan."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sweep.driver.run_plan import new_manifest
from sweep.journal.entries import Entry
from sweep.plan.plan import Plan
from sweep.results.manifest import Manifest


def from_journal(entries: Sequence[Entry], name: str) -> Manifest:
    """What the journal alone says; it ended as its last entry says, else it was interrupted."""
    begin, last = entries[0], entries[-1]
    made = begin["made_of"]
    return Manifest(
        name=name,
        space=begin["space"],
        command="",
        question="",
        search=begin["settled"].get("search", "design"),
        scheduler=begin["settled"]["scheduler"],
        seeds=1,
        trials_planned=None,
        fields=made.get("field", {}),
        base=made["setting"],
        notes=[],
        started_at=datetime.fromtimestamp(begin["time"], UTC).isoformat(),
        status=last["status"] if last["kind"] == "close" else "interrupted",
    )


def with_plan(manifest: Manifest, plan: Plan) -> Manifest:
    """A description from a journal with all that the plan says."""
    made = new_manifest(plan, manifest.name)
    return replace(made, started_at=manifest.started_at, status=manifest.status)
