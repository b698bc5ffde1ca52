"""Which executor runs the tasks: ``processes`` or ``dask://host:port``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from selfheal.config import RunConfig
from selfheal.engine.pool import WorkerPool
from selfheal.errors import ConfigurationError


def check_executor(config: RunConfig) -> None:
    """Raise what `make_executor` would."""
    if config.executor.startswith("dask://"):
        from selfheal.engine.distributed import check_scheduler

        check_scheduler(config.executor)
    elif config.executor != "processes":
        raise ConfigurationError(
            f"there is no executor {config.executor!r}.",
            where="run.executor",
            hint="Use processes, or dask://host:port.",
        )


def make_executor(
    config: RunConfig, on_workers: Callable[[list[int]], None] | None = None
) -> Executor:
    """The executor that the configuration names.

    `on_workers` is told the process ids of local workers. Raises ConfigurationError for
    an unknown kind and MissingExtra where dask is not installed.
    """
    check_executor(config)
    if config.executor == "processes":
        return WorkerPool(config.workers, on_workers)
    from selfheal.engine.distributed import dask_executor

    return dask_executor(config.executor)
