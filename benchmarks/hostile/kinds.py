"""What is tried on each kind of input: a case is one input, made from a random generator and read.

`KINDS[name](folder)` gives a function: `case(rng)` makes one input and reads it as the project
does. It returns "refused" or "accepted"; any other error is a crash. `folder` is for files.
"""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.hostile.command_lines import command_line_case
from benchmarks.hostile.images import image_case
from benchmarks.hostile.tables import table_case
from benchmarks.hostile.weights import weights_case

Case = Callable[[Random], str]
KINDS: dict[str, Callable[[Path], Case]] = {
    "images": image_case, "checkpoints": weights_case, "Parquet files": table_case,
    "command lines": command_line_case,
}  # fmt: skip
SHARES = {"images": 0.4, "checkpoints": 0.3, "Parquet files": 0.2, "command lines": 0.1}
"""Of all cases, by what one costs."""


class Canary:
    """Unpickled, it makes the file `canary` in a folder: then code of an input has run."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "canary"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.file}'",)

    def sang(self) -> bool:
        """Whether it was unpickled since the last call."""
        if self.file.exists():
            self.file.unlink()
            return True
        return False

    def works(self) -> bool:
        """Whether unpickling it is seen, as a check of the check."""
        pickle.loads(pickle.dumps(self))
        return self.sang()
