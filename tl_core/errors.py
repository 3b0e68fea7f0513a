"""The one exception that means "what you asked for cannot be done, and here is the way out"."""


class BadInput(ValueError):
    """A value given by the user breaks a rule.

    The message is one line that names the value, the rule and the way out; the command line
    prints it as it is and exits with code 2.
    """
