"""Screens of the commands: something to look at on a terminal, plain lines elsewhere."""
