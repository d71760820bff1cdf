"""The state machine that copies one file to every destination: its resources and its definition."""
