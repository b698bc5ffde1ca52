"""A small shop: catalogue, search, prices, cart and orders over HTTP."""

__version__ = "1.0.0"
