"""The console: pages in a browser that show every file and every execution of a stack, and act on them."""
