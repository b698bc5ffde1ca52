"""Records what functions are called with in production, for tests to be made of it.

    from selfheal.recorder import install, record

    @record                                   # here, or by name:
    def total(items, discount): ...

    install(["shop.pricing:*", "shop.cart:Cart.add"], folder="/var/lib/shop/calls")

Nothing is recorded until `install` is called. It needs the standard library alone, samples,
bounds what it writes, keeps secrets back, and never raises into the service. The folder is
telemetry like any other: ``selfheal run --telemetry /var/lib/shop/calls``. See
docs/recorder.md.
"""

from __future__ import annotations

from selfheal.recorder.installing import install, install_from_environment, record, uninstall
from selfheal.recorder.recording import Options, Recorder
from selfheal.recorder.values import Limits

__all__ = [
    "Limits",
    "Options",
    "Recorder",
    "install",
    "install_from_environment",
    "record",
    "uninstall",
]
