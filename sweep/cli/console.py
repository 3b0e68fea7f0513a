"""Where the commands write."""

from sweep.terminal.safe_console import SafeConsole

console = SafeConsole(emoji=False)
errors = SafeConsole(stderr=True, emoji=False)
