"""A deployed stack: its outputs, clients that reach it, and its tracking records."""
