"""selfheal: find what is wrong in a running service, prove its cause, heal it."""

__version__ = "0.1.0"
