"""Which store an address means."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts.dataset import describe
from selfheal.errors import ConfigurationError
from selfheal.store.model import Store


def open_store(address: str) -> Store:
    """The store at ``clickhouse://…``, in a folder that ``selfheal ingest`` fills, or a dataset's.

    Raises ConfigurationError where it is neither, and what the store itself raises.
    """
    from selfheal.store.local import LocalStore
    from selfheal.store.manifest import STATE
    from selfheal.store.parts import Growing

    scheme, separator, _ = address.partition("://")
    if separator and scheme == "clickhouse":
        from selfheal.store.clickhouse import ClickHouseStore

        return ClickHouseStore(address)
    folder = Path(address)
    if (folder / STATE).is_file():
        return LocalStore(Growing(folder))
    if separator or not any(folder.glob("*.parquet")):
        raise ConfigurationError(
            f"there is no store at {address.rpartition('@')[2]}.",
            where="store.url",
            hint="Give clickhouse://host:8123/database, or a folder that selfheal ingest has filled.",
        )
    return LocalStore(describe(folder.parent, folder.name))
