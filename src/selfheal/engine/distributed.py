"""Running tasks on dask workers that share the file system with the coordinator.

A dask worker does not run a handler itself: it keeps a worker process of our own, so
that a time limit ends the whole process group there just as it does here.
"""

from __future__ import annotations

import importlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from selfheal.engine.pool import WorkerPool
from selfheal.errors import ConfigurationError, MissingExtra

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_SECONDS, REACH_SECONDS = "10s", 5.0

_pools = threading.local()


def dask_endpoint(address: str) -> tuple[str, Any]:
    """``host:port`` of ``dask://host:port``, and dask's Security where it is to be TLS.

    Off loopback the connection is TLS, with the certificates of dask's configuration
    (``distributed.comm.tls``). Connects to nothing. Raises MissingExtra and
    ConfigurationError.
    """
    distributed = _distributed()
    host, port = _host_and_port(address)
    place = f"{host}:{port}"
    security = None
    if not _is_loopback(host):
        security = distributed.Security(require_encryption=True)
        if not security.get_connection_args("client").get("ssl_context"):
            raise ConfigurationError(
                f"the scheduler {place} is not on this machine, and no TLS certificate is set.",
                where="run.executor",
                hint="Set distributed.comm.tls in dask's configuration (ca-file, client cert).",
            )
    return place, security


def check_scheduler(address: str) -> None:
    """Whether something listens at ``dask://host:port``.

    Raises what `dask_endpoint` does, and ConfigurationError where nothing does.
    """
    place, _ = dask_endpoint(address)
    try:
        socket.create_connection(_host_and_port(address), REACH_SECONDS).close()
    except OSError as error:
        raise _no_answer(place, error) from error


def dask_executor(address: str) -> Executor:
    """An executor over the dask scheduler at ``dask://host:port``.

    Raises what `dask_endpoint` does, and ConfigurationError where no scheduler answers.
    """
    distributed = _distributed()
    place, security = dask_endpoint(address)
    try:
        client = distributed.Client(
            f"{'tls' if security else 'tcp'}://{place}", security=security, timeout=CONNECT_SECONDS
        )
    except OSError as error:
        raise _no_answer(place, error) from error
    return _DaskExecutor(client)


def _no_answer(place: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"no dask scheduler answers at {place}: {error}",
        where="run.executor",
        hint="Start one with: dask scheduler",
    )


class _DaskExecutor(Executor):
    """dask's own executor, with every task wrapped so that its time limit holds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._inner = client.get_executor(pure=False, retries=0)
        self.size = max(sum(client.nthreads().values()), 1)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if kwargs:
            raise TypeError("tasks take positional arguments only.")
        future: Future[T] = self._inner.submit(in_own_process, fn, *args)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Closing the client releases its tasks; those not begun are cancelled by it."""
        if self._client is None:
            return
        self._inner.shutdown(wait=wait and not cancel_futures)
        self._client.close()
        self._client = None


def in_own_process(function: Callable[..., T], *arguments: Any) -> T:
    """Run a task in the worker process of this dask thread, under its time limit."""
    pool = getattr(_pools, "pool", None)
    if pool is None:
        pool = _pools.pool = WorkerPool(1)
    return pool.submit(function, *arguments).result()


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtra.of("distributed", "dask") from error


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, or none that exists
        host, port = None, None
    if not host or not port:
        raise ConfigurationError(
            f"{address!r} is no address of a scheduler.",
            where="run.executor",
            hint="Write dask://host:port.",
        )
    return host, port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
