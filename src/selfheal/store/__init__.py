"""Where telemetry is asked: a run's dataset, a folder that grows, or ClickHouse.

An analysis is written once, in the SQL of DuckDB, over the tables of the event model
(docs/event-model.md); `selfheal.store.catalogue` holds those that are shipped. Where the
rows lie in ClickHouse, in the schema of the OpenTelemetry Collector, the statement is
translated and runs there.
"""

from selfheal.store.catalogue import Query, catalogue, query_named
from selfheal.store.model import Answer, Period, Store

__all__ = ["Answer", "Period", "Query", "Store", "catalogue", "query_named"]
