"""Executions of the state machine: a model of them, and the ways to find and follow them."""
