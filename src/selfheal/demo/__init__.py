"""The example shop: its history, its production, and one healing cycle on it."""

from selfheal.demo.cycle import run_demo
from selfheal.demo.history import Fault, ShopRepository, build_repository, planted_faults
from selfheal.demo.production import Production
from selfheal.demo.recording import Recording, record

__all__ = [
    "Fault",
    "Production",
    "Recording",
    "ShopRepository",
    "build_repository",
    "planted_faults",
    "record",
    "run_demo",
]
