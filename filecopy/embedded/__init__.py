"""The embedded stack: the program, run without the Pulumi CLI against an emulator that pip installs."""
