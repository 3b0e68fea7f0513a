"""Where the commands write."""

from rich.console import Console

console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)
