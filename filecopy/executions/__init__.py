"""Executions of the state machine: what Step Functions knows of them, and the states that they go through."""

from .find import describe, history

__all__ = ["describe", "history"]
