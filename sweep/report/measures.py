"""What a reader of the measures has to know: k of top-k, absent classes, pictures left out."""

import pandas as pd

from tl_core.evaluation import top_count

ABSENT_SHOWN = 5


def top_counts(classes: pd.DataFrame) -> list[int]:
    """k of the top-k accuracies of judged trials, ascending; none where they have two classes.

    Args:
        classes: the table `classes`.
    """
    if classes.empty:
        return []
    found = {top_count(len(rows)) for _, rows in classes.groupby(["trial_id", "split"])}
    return sorted(found - {0})


def absent_classes(classes: pd.DataFrame) -> list[str]:
    """Names of the classes that have no image in the test split, ABSENT_SHOWN of them at most."""
    if classes.empty:
        return []
    rows = classes[classes["split"].eq("test") & classes["images"].eq(0)]
    names = list(dict.fromkeys(rows["class_name"]))
    more = [f"and {len(names) - ABSENT_SHOWN} more"] if len(names) > ABSENT_SHOWN else []
    return [*names[:ABSENT_SHOWN], *more]


def wrong_images_line(evaluations: pd.DataFrame, trial_id: str) -> str | None:
    """How many of the wrong test images are kept, where it is not all.

    Args:
        evaluations: the table.
        trial_id: the winner.
    """
    rows = evaluations[evaluations["trial_id"].eq(trial_id) & evaluations["split"].eq("test")]
    for _, row in rows.iterrows():
        if row["wrong_kept"] < row["wrong"]:  # neither is so where it is unknown
            kept, wrong = int(row["wrong_kept"]), int(row["wrong"])
            return f"{kept} of {wrong:,} wrong images kept, the most confident"
    return None
