"""What the command line says in one sentence instead of a traceback."""


class StackError(Exception):
    """The embedded stack cannot do what was asked. The message says why and what to do."""
