"""The operator's command line, and the embedded stack it can start."""
