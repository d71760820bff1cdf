"""The commands' screens: what they print on a terminal, and elsewhere."""
