"""The files of examples/cluster, and the commands that stand in them and in their page."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "cluster"
PAGE = ROOT / "docs" / "clusters.md"
TEXTS = [PAGE, *sorted(path for path in FOLDER.iterdir() if path.is_file())]
VALUES = {
    "NAME": "mine", "RESULTS": "results", "SHARED": "shared", "address": "10.0.0.1:6379",
    "@": "", "RESUME:+\"$RESUME\"": "--force",
}  # fmt: skip
"""What stands for the variables of the scripts."""
COMMAND = re.compile(r"python -m sweep ([^\n`&|;'#]+)")


def commands(path: Path) -> list[list[str]]:
    """The arguments of every `python -m sweep …` in a file, variables replaced."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, value in VALUES.items():
        for written in (f'"${name}"', f"${{{name}}}", f"${name}"):
            text = text.replace(written, value)
    lines = [line for line in text.splitlines() if "…" not in line]
    found = [words for line in lines for words in COMMAND.findall(line)]
    return [shlex.split(words) for words in found]
