-- The columns of the tables that the OpenTelemetry Collector's ClickHouse exporter makes.
-- {attributes} is Map(LowCardinality(String), String), or JSON where it is set up so,
-- {engine} is the table's.

CREATE TABLE otel.otel_traces{suffix} (
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    TraceState String,
    SpanName LowCardinality(String),
    SpanKind LowCardinality(String),
    ServiceName LowCardinality(String),
    ResourceAttributes {attributes},
    ScopeName String,
    ScopeVersion String,
    SpanAttributes {attributes},
    Duration UInt64,
    StatusCode LowCardinality(String),
    StatusMessage String,
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes {attributes}
    )
) {engine};

CREATE TABLE otel.otel_logs{suffix} (
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    TraceFlags UInt8,
    SeverityText LowCardinality(String),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String),
    Body String,
    ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes {attributes},
    ScopeSchemaUrl LowCardinality(String),
    ScopeName String,
    ScopeVersion LowCardinality(String),
    ScopeAttributes {attributes},
    LogAttributes {attributes}
) {engine};

CREATE TABLE otel.otel_metrics_gauge{suffix} (
    ResourceAttributes {attributes},
    ScopeName String,
    ServiceName LowCardinality(String),
    MetricName String,
    MetricUnit String,
    Attributes {attributes},
    StartTimeUnix DateTime64(9),
    TimeUnix DateTime64(9),
    Value Float64
) {engine};

CREATE TABLE otel.otel_metrics_sum{suffix} (
    ResourceAttributes {attributes},
    ScopeName String,
    ServiceName LowCardinality(String),
    MetricName String,
    MetricUnit String,
    Attributes {attributes},
    StartTimeUnix DateTime64(9),
    TimeUnix DateTime64(9),
    Value Float64,
    AggregationTemporality Int32,
    IsMonotonic Boolean
) {engine};

CREATE TABLE otel.otel_metrics_histogram{suffix} (
    ResourceAttributes {attributes},
    ScopeName String,
    ServiceName LowCardinality(String),
    MetricName String,
    MetricUnit String,
    Attributes {attributes},
    StartTimeUnix DateTime64(9),
    TimeUnix DateTime64(9),
    Count UInt64,
    Sum Float64,
    AggregationTemporality Int32
) {engine}
