"""The example shop: its history, its production, and one healing cycle on it."""
