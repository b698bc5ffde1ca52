"""Written with its first module."""
