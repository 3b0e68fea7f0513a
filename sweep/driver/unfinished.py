"""How a command ends whose sweep did not come to what was to be made of it."""


class Unfinished(Exception):
    """A sweep ended without the model that it was run for; exit code 1."""
