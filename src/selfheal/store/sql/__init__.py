"""The statements; see `selfheal.store.catalogue`."""
